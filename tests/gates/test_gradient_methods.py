"""GradNorm, learning-rate annealing, NTK weights and gradient sign dropout: what each does by itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from blendloss.gates._from_gradients._grad_drop import kept, purity
from blendloss.gates._from_gradients._grad_norm import slopes, training_rates
from blendloss.gates._from_gradients._kernel_traces import estimated_trace, exact_trace
from blendloss.losses import OutputLoss
from tests.gates.gradients import steps_of, train
from tests.gates.values import blend_of

RNG = np.random.default_rng(0)
CONFLICT = np.array([[1, 0.2, 0.1], [-0.8, 1, 0.3], [-0.3, -0.9, 1.2]])
X = RNG.normal(size=(32, 3)).astype("float32")
Y = {"a": RNG.normal(size=(32, 1)).astype("float32"), "b": (4 * RNG.normal(size=(32, 2))).astype("float32")}


def two_heads():
    inputs = keras.Input([3])
    shared = keras.layers.Dense(5, "tanh", name="shared")(keras.layers.Dense(6, "tanh", name="trunk")(inputs))
    return keras.Model(
        inputs, {"a": keras.layers.Dense(1, name="a")(shared), "b": keras.layers.Dense(2, name="b")(shared)}
    )


def of_heads(gate):
    return bl.Blend({"a": OutputLoss("a", bl.losses.SquaredError()), "b": OutputLoss("b", bl.losses.Huber())}, gate)


def model_of(gate, **named):
    keras.utils.set_random_seed(0)
    model = bl.BlendedModel(two_heads(), of_heads(gate))
    model.compile(**{"optimizer": keras.optimizers.SGD(0.01), **named})
    return model


# GradNorm


@pytest.mark.parametrize(
    ("alpha", "signs"), [(0.0, [-1, 1, 1]), (0.12, [-1, -1, 1]), (1.0, [1, -1, 1]), (1.5, [1, -1, 1])]
)
def test_slopes_are_those_of_the_reference_computation(alpha, signs):
    """L_grad by autograd in float64, of these gradients, initial losses 2, 4, 1/2 and losses 1, 3.6, 0.3."""
    norms = np.linalg.norm(CONFLICT, axis=1)
    rates = training_rates(tf.constant([1, 3.6, 0.3], tf.float64), tf.constant([2, 4, 0.5], tf.float64))
    np.testing.assert_allclose(rates, np.array([0.5, 0.9, 0.6]) / (2 / 3), rtol=1e-15)
    found = slopes(tf.ones([3], tf.float64), tf.constant(norms), rates, alpha)
    np.testing.assert_allclose(found, signs * norms, rtol=1e-15)


@pytest.mark.parametrize("form", ["renormalized", "softmax", "exponential"])
def test_the_weights_gradient_is_that_of_the_gradients_distances(form):
    """Central differences of L_grad in what trains, the targets held; float64."""
    k, steps = 4, steps_of(4, 2)
    norms, losses = np.linalg.norm(steps.gradients[1], axis=1), steps.losses
    gate = gates.GradNorm(0.7, form=form, initial_losses=list(losses[0]), dtype="float64")
    blend, variable = blend_of(gate, k), tf.Variable(tf.zeros([6], tf.float64))
    start = np.array([1.2, 0.3, 1.9, 0.6]) if form == "renormalized" else np.array([0.3, -1.0, 0.6, 0.1])
    start = start if form == "softmax" else start * 4 / start.sum() if form == "renormalized" else _brought(start)
    gate.parameters.assign(start)
    with tf.GradientTape(persistent=True) as tape:
        values = {
            name: losses[1, i] + tf.tensordot(steps.gradients[1, i], variable, 1) for i, name in enumerate(blend.names)
        }
    found = blend.gradients(tape, values, [variable, *blend.trainable_variables], step=0).gradients[1]

    def weights_at(parameters):
        exponentials = np.exp(parameters)
        if form == "softmax":
            return k * exponentials / exponentials.sum()
        return parameters if form == "renormalized" else exponentials

    ratios = losses[1] / losses[0]
    targets = (weights_at(start) * norms).mean() * (ratios / ratios.mean()) ** 0.7

    def distance(parameters):
        return np.abs(weights_at(parameters) * norms - targets).sum()

    step = 1e-6
    expected = [(distance(start + e) - distance(start - e)) / (2 * step) for e in step * np.eye(k)]
    # Rounding of the distances, of size 20, over the step.
    np.testing.assert_allclose(found, expected, rtol=0, atol=20 * 2.0**-52 / step)


def _brought(parameters):
    return parameters + np.log(4 / np.exp(parameters).sum())


def test_weights_that_are_negative_or_zero_still_grow_by_their_gradients():
    weights, norms, rates = (tf.constant(v, tf.float64) for v in ([-0.5, 0.0, 3.5], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]))
    found = slopes(weights, norms, rates, 0.0)
    # sizes 0.5, 0, 3.5, mean 4 / 3
    np.testing.assert_array_equal(found, [1, -2, 1])


@pytest.mark.parametrize("form", ["renormalized", "softmax", "exponential"])
def test_gradients_come_to_the_same_length(form):
    """With alpha = 0 the fixed point of constant gradients is w_k in proportion to 1 / |G_k|."""
    lengths = np.array([1.0, 2.0, 4.0])
    blend, variable = blend_of(gates.GradNorm(0, form=form), 3), tf.Variable(tf.zeros([3]))
    step = tf.function(lambda rate: train(blend, variable, np.float32(np.diag(lengths)), rate=rate)[1].weights)
    for rate in (0.02, 0.002, 0.0002):
        for _ in range(300):
            weights = step(rate)
    # Each sign step is up to 4 times 2 times the rate, and the weights go to and fro by some of these.
    np.testing.assert_allclose(weights, 3 / lengths / (1 / lengths).sum(), atol=20 * 0.0002)


def test_a_loss_that_starts_at_zero_is_compared_with_its_first_value_above():
    blend, variable = blend_of(gates.GradNorm(1.0), 2), tf.Variable(tf.zeros([2]))
    gradients = np.float32([[3, 0], [0, 4]])
    for step, losses in enumerate([[0.0, 0.0], [0.0, 2.0], [5.0, 1.0]]):
        train(blend, variable, gradients, tf.constant(losses), step=step)
    np.testing.assert_array_equal(blend.gate.references, [5, 2])
    np.testing.assert_allclose(blend.gate.rates, [1 / 0.75, 0.5 / 0.75], rtol=1e-6)


def test_a_negative_loss_is_refused_where_it_is_raised_to_a_power():
    gradients, losses = np.float32([[3, 0], [0, 4]]), tf.constant([-1.0, 2.0])
    variable = tf.Variable(tf.zeros([2]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must not be negative"):
        train(blend_of(gates.GradNorm(), 2), variable, gradients, losses)
    assert np.isfinite(train(blend_of(gates.GradNorm(0), 2), variable, gradients, losses)[1].weights).all()


def test_a_step_that_takes_the_weights_below_zero_together_is_refused():
    blend, variable = blend_of(gates.GradNorm(0), 2), tf.Variable(tf.zeros([2]))
    gradients = np.float32([[3, 0], [0, 4]])
    train(blend, variable, gradients, rate=10.0)  # 1 + 30 and 1 - 40
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have a positive sum"):
        train(blend, variable, gradients)


def test_losses_before_are_no_initial_losses():
    with pytest.raises(ValueError, match="`initial_losses` must be None"):
        gates.GradNorm(initial_losses=[1.0], relative_to="previous")


def test_a_models_optimizers_train_network_and_weights():
    """The first step of Adam is its learning rate along the sign: 1.025 and 0.975, as one length is above the mean."""
    model = model_of(gates.GradNorm(), gate_optimizer=keras.optimizers.Adam(0.025))
    history = model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    weights = np.array([history["gate/a"], history["gate/b"]])
    np.testing.assert_allclose(weights.sum(0), 2, rtol=1e-6)
    assert (np.abs(weights - 1) > 0.01).all()
    model = model_of(gates.GradNorm(0), gate_optimizer=keras.optimizers.Adam(0.025))
    model.fit(X, Y, batch_size=32, epochs=1, verbose=0)
    np.testing.assert_allclose(np.sort(model.blend.gate.parameters), [0.975, 1.025], atol=1e-5)


# Learning-rate annealing


def test_the_codes_mean_counts_every_variable_alike_and_the_papers_every_element():
    small, large = tf.Variable(tf.ones([1])), tf.Variable(tf.ones([9]))
    for form, mean in (("code", (8 + 1) / 2), ("paper", (8 + 9) / 10), ("mean", (8 + 9) / 10)):
        blend = bl.Blend(["r", "b"], gates.LRAnnealing(form, momentum=0, every=1))
        with tf.GradientTape(persistent=True) as tape:
            reference = 36 * small[0] + tf.reduce_sum(large)
            values = {"r": reference, "b": 8 * small[0] + tf.reduce_sum(large)}
        weights = blend.gradients(tape, values, [small, large], step=0).output.weights
        size = (36 + 9) / 10 if form == "mean" else 36
        np.testing.assert_allclose(weights, [1, size / mean], rtol=1e-6)


def test_the_codes_fixed_point_is_the_root_of_the_papers():
    gradients, variable = np.float32(CONFLICT), tf.Variable(tf.zeros([3]))
    found = {}
    for form in ("code", "paper"):
        blend = blend_of(gates.LRAnnealing(form, every=1), 3)
        step = tf.function(lambda blend=blend: train(blend, variable, gradients)[1].weights)
        for _ in range(300):
            found[form] = step().numpy()
    # 0.9^300 is nothing; the weights' own rounding is all that is left.
    np.testing.assert_allclose(found["paper"], [1, 1 / 0.7, 1 / 0.8], rtol=1e-6)
    np.testing.assert_allclose(found["code"], np.sqrt(found["paper"]), rtol=1e-6)


@pytest.mark.parametrize("reference", ["c", 2])
def test_a_reference_that_is_no_loss_of_the_blend(reference):
    with pytest.raises(ValueError, match="`reference` must be"):
        blend_of(gates.LRAnnealing(reference=reference), 2)


@pytest.mark.parametrize("form", ["norm_sum", "norm_mean"])
def test_norms_have_no_reference(form):
    with pytest.raises(ValueError, match="`reference` must be None"):
        gates.LRAnnealing(form, reference=0)


def test_weights_move_in_the_steps_that_are_due():
    blend, variable = blend_of(gates.LRAnnealing(every=10), 3), tf.Variable(tf.zeros([3]))
    step = tf.function(lambda step: train(blend, variable, np.float32(CONFLICT), step=step)[1].weights)
    weights = [step(tf.constant(i, tf.int64)).numpy() for i in range(21)]
    changed = [i for i in range(1, 21) if (weights[i] != weights[i - 1]).any()]
    assert changed == [10, 20]
    np.testing.assert_allclose(weights[5], [1, 0.9 + 0.1 / 0.7, 0.9 + 0.1 / 0.8], rtol=1e-6)


# Neural tangent kernels


def jacobian_of(model, output):
    """d output / dw in the shared variables, `[N, D]`, built explicitly, in float64."""
    shared = [v for v in model.network.trainable_variables if v.path.startswith(("trunk", "shared"))]
    with tf.GradientTape(persistent=True) as tape:
        residual = tf.reshape(model.network(X, training=True)[output], [-1])
    parts = tape.jacobian(residual, [v.value for v in shared], experimental_use_pfor=False)
    return np.concatenate([part.numpy().reshape(residual.shape[0], -1) for part in parts], axis=1).astype(np.float64)


def step_on(blend, network, step=0):
    with tf.GradientTape(persistent=True) as tape:
        predictions = network(X, training=True)
        values, residuals = blend.values(Y, predictions), blend.residuals(Y, predictions)
    return blend.gradients(tape, values, network.trainable_variables, step=step, residuals=residuals).output.weights


@pytest.mark.parametrize("regime", ["eager", "graph", "xla"])
def test_the_traces_are_those_of_the_kernels_themselves(regime):
    model = model_of(gates.NTK())
    kernels = [jacobian @ jacobian.T for jacobian in (jacobian_of(model, "a"), jacobian_of(model, "b"))]
    assert [len(kernel) for kernel in kernels] == [32, 64]
    traces = np.array([np.trace(kernel) for kernel in kernels])
    run = step_on if regime == "eager" else tf.function(step_on, jit_compile=regime == "xla")
    # Each of some hundred squares is of a sum of a dozen products in float32.
    np.testing.assert_allclose(run(model.blend, model.network), traces.sum() / traces, rtol=1e-5)
    mean = of_heads(gates.NTK("mean"))
    each = traces / [32, 64]
    np.testing.assert_allclose(step_on(mean, model.network), each.mean() / (each + 1e-5 * each.mean()), rtol=1e-5)


def test_a_fit_has_the_weights_of_its_step():
    model = model_of(gates.NTK(every=1), optimizer=keras.optimizers.SGD(0.0))
    traces = np.array([np.square(jacobian_of(model, output)).sum() for output in ("a", "b")])
    history = model.fit(X, Y, batch_size=32, epochs=1, shuffle=False, verbose=0).history
    np.testing.assert_allclose([history["gate/a"][0], history["gate/b"][0]], traces.sum() / traces, rtol=1e-5)


def test_probes_are_unbiased():
    jacobian = RNG.normal(size=(5, 7))
    kernel = jacobian @ jacobian.T

    def pullback(seed):
        return [tf.linalg.matvec(tf.constant(jacobian, tf.float32), tf.reshape(seed, [-1]), transpose_a=True), None]

    np.testing.assert_allclose(exact_trace(pullback, tf.constant([5, 1])), np.trace(kernel), rtol=1e-6)
    drawn = tf.constant(RNG.uniform(size=(4000, 1, 5)), tf.float32)
    each = tf.function(lambda u: tf.map_fn(lambda v: estimated_trace(pullback, [5, 1], 1, v), u, tf.float64))
    found = each(drawn)
    # The variance for random signs is 2 sum of squares off the diagonal; five standard errors of 4000.
    deviation = np.sqrt(2 * (np.square(kernel).sum() - np.square(np.diag(kernel)).sum()))
    assert abs(np.mean(found) - np.trace(kernel)) < 5 * deviation / np.sqrt(4000)
    # A sample variance of such has a relative standard error of some multiples of sqrt(2 / 4000).
    np.testing.assert_allclose(np.std(found), deviation, rtol=0.1)


def test_probes_differ_from_step_to_step_and_with_the_seed_and_come_again():
    model = model_of(gates.NTK())

    def weights(seed, step):
        return step_on(of_heads(gates.NTK(probes=2, seed=seed, every=1)), model.network, step).numpy().tolist()

    assert weights(0, 0) == weights(0, 0)
    assert len({tuple(weights(seed, step)) for seed in (0, 1) for step in (0, 1)}) == 4


def test_many_probes_come_near_the_traces():
    model = model_of(gates.NTK())
    exact = step_on(model.blend, model.network).numpy()
    rough = step_on(of_heads(gates.NTK(probes=400, seed=0)), model.network).numpy()
    # Each trace to sqrt(2 / 400) = 7 % at most; the weights' errors are no larger than both traces' together.
    np.testing.assert_allclose(rough, exact, rtol=4 * 2 * np.sqrt(2 / 400))
    assert (rough != exact).any()


def test_residuals_must_be_given():
    blend, variable = blend_of(gates.NTK(), 2), tf.Variable(tf.zeros([2]))
    with pytest.raises(ValueError, match="pass `residuals=blend.residuals"):
        train(blend, variable, np.float32([[3, 0], [0, 4]]))
    model = bl.BlendedModel(
        two_heads(), bl.Blend({"a": OutputLoss("a", "mse"), "b": OutputLoss("b", "mae")}, gates.NTK())
    )
    model.compile("sgd")
    with pytest.raises(TypeError, match="A residual is known of penalties alone"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("named", "match"),
    [
        ({"probes": 3}, "`seed` must be given"),
        ({"seed": 3}, "`seed` must be given"),
        ({"form": "root", "probes": 3, "seed": 0}, "`probes` must be None"),
    ],
)
def test_probes_and_seeds_go_together(named, match):
    with pytest.raises(ValueError, match=match):
        gates.NTK(**named)


# Gradient sign dropout


def test_purity_and_what_is_kept():
    """TorchJD 0.18 with the given numbers in the place of its own."""
    rows, uniforms = tf.constant(CONFLICT), tf.constant([3 / 11, 10 / 11, 6 / 11], tf.float64)
    np.testing.assert_allclose(purity(rows), [1 / 2.1, 1.2 / 2.1, 1], rtol=1e-15)
    for leak, expected in ((0.0, [1, -0.9, 1.6]), (0.3, [0.67, -0.54, 1.6]), (1.0, CONFLICT.sum(0))):
        found = tf.reduce_sum(kept(rows, uniforms, tf.fill([3], tf.constant(leak, tf.float64))) * rows, axis=0)
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_elements_without_gradients_have_none():
    rows = tf.constant([[1.0, 0.0], [-2.0, 0.0]], tf.float64)
    np.testing.assert_allclose(purity(rows), [1 / 3, 1 / 2])
    factors = kept(rows, tf.constant([3 / 11, 10 / 11], tf.float64), tf.zeros([2], tf.float64))
    np.testing.assert_array_equal(factors * rows, [[1, 0], [0, 0]])


def test_each_sign_comes_as_often_as_it_is_pure():
    size, steps = 50, 200
    gradients = np.float32(np.tile([[3.0], [-1.0], [-0.5]], size))
    blend, variable = blend_of(gates.GradDrop(seed=7), 3), tf.Variable(tf.zeros([size]))
    step = tf.function(lambda step: train(blend, variable, gradients, step=step)[0])
    found = np.array([step(tf.constant(i, tf.int64)) for i in range(steps)])
    assert set(np.unique(found)) == {3.0, -1.5}
    share, expected = np.mean(found == 3.0), 3 / 4.5
    assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / found.size)
    # Neither from element to element nor from step to step do the choices repeat themselves.
    for a, b in ((found[:, 1:], found[:, :-1]), (found[1:], found[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def shared_and_own(gate, weights=None, dtype="float32"):
    """Combined gradients of two variables that both losses act on, and of one for each loss."""
    sizes = {"trunk/kernel": 4, "last/kernel": 4, "a/kernel": 1, "b/kernel": 1}
    variables = [tf.Variable(tf.ones([size], dtype), name=name) for name, size in sizes.items()]
    blend = bl.Blend(["a", "b"], gate, None if weights is None else bl.modes.Hard())
    with tf.GradientTape(persistent=True) as tape:
        first, second, of_a, of_b = (tf.reduce_sum(v) for v in variables)
        values = {"a": 2 * first + 2 * second + 5 * of_a, "b": -first - second - 7 * of_b}
    found = blend.gradients(tape, values, variables, step=0)
    return [np.array(gradient) for gradient in found.gradients], found.output.weights.numpy()


def test_what_one_loss_acts_on_alone_keeps_its_sign():
    (first, second, of_a, of_b), _ = shared_and_own(gates.GradDrop(seed=0))
    assert set(first) | set(second) == {2.0, -1.0}
    assert (first != second).any()  # variables have numbers of their own
    np.testing.assert_array_equal([of_a, of_b], [[5], [-7]])


@pytest.mark.parametrize(("variables", "places"), [("last", [1]), (["trunk/*"], [0])], ids=str)
def test_signs_are_chosen_where_they_are_asked_for(variables, places):
    gradients, _ = shared_and_own(gates.GradDrop(seed=0, variables=variables))
    for place in (0, 1):
        assert set(gradients[place]) <= ({2.0, -1.0} if place in places else {1.0})
    np.testing.assert_array_equal(gradients[2:], [[5], [-7]])


@pytest.mark.parametrize("task_specific", ["unweighted", "weighted"])
def test_a_mode_that_chooses_one_loss_leaves_its_gradient_whole(task_specific):
    (first, second, of_a, of_b), weights = shared_and_own(gates.GradDrop(seed=0, task_specific=task_specific), "hard")
    np.testing.assert_array_equal(weights, [2, 0])
    np.testing.assert_array_equal([first, second], np.full((2, 4), 4.0))
    np.testing.assert_array_equal([of_a, of_b], [[5], [-7]] if task_specific == "unweighted" else [[10], [0]])


def test_everything_leaks_is_the_sum():
    (first, second, _, _), _ = shared_and_own(gates.GradDrop(1, seed=0))
    np.testing.assert_array_equal([first, second], np.ones((2, 4)))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_variables_of_every_precision(dtype):
    (first, second, _, _), _ = shared_and_own(gates.GradDrop(seed=0), dtype=dtype)
    expected, _ = shared_and_own(gates.GradDrop(seed=0))
    assert first.dtype == dtype
    np.testing.assert_array_equal([first, second], expected[:2])


# In models

METHODS = {
    "grad-norm": lambda: gates.GradNorm(),
    "lr-annealing": lambda: gates.LRAnnealing(every=2),
    "ntk": lambda: gates.NTK(every=2),
    "ntk-probes": lambda: gates.NTK(probes=2, seed=0, every=1),
    "grad-drop": lambda: gates.GradDrop(seed=0),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_model_is_one_that_is_not(method):
    plain, compiled = (model_of(METHODS[method](), jit_compile=jit) for jit in (False, True))
    for model in (plain, compiled):
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(plain.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)  # eight steps of rounding


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("method", METHODS)
def test_mixed_precision(method, policy):
    keras.config.set_dtype_policy(policy)
    model = model_of(METHODS[method]())
    history = model.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(variable.dtype in ("float32", "int64") for variable in model.blend.gate.variables)
    assert all(np.isfinite(variable.numpy()).all() for variable in model.blend.gate.variables)
    assert int(model.step) > 0
