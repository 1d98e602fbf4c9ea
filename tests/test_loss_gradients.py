"""Per-loss gradients, and the gradient of a blend by gates that look at them, against NumPy and against `combine`."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import GradientGate, LossGradients
from tests.gates.instances import GATES

RNG = np.random.default_rng(0)
# Sums of at most 12 products in float32.
ROUNDING = {"rtol": 16 * 2.0**-23, "atol": 0}


@keras.saving.register_keras_serializable(package="tests")
class Inverse(GradientGate):
    """g_k = 1 / |G_k|."""

    def weigh(self, gradients, context):
        return 1 / gradients.norms()


@keras.saving.register_keras_serializable(package="tests")
class Given(GradientGate):
    """Weights that the test gives, whatever the gradients."""

    def __init__(self, weights=(1.0,), **named):
        super().__init__(**named)
        self.weights_given = list(weights)

    def weigh(self, gradients, context):
        gradients.gram()
        return tf.constant(self.weights_given, tf.float64)

    def get_config(self):
        return {**super().get_config(), "weights": self.weights_given}


class Layers:
    """Two trunks, a head for each of two losses, and a variable that nothing acts on; losses that are linear in each.

    l_a = sum(A * lower) + sum(B * upper) + sum(C * own_a), and so for b: the gradients are the factors themselves.
    """

    shapes = {"trunk/lower": [3, 4], "trunk/upper": [5], "last/upper": [2], "head_a/kernel": [3], "head_b/kernel": [2]}

    def __init__(self, dtype="float32", sizes=(1.0, 1.0)):
        self.variables = [tf.Variable(tf.ones(s, dtype), name=n) for n, s in self.shapes.items()]
        self.variables.append(tf.Variable(tf.ones([2], dtype), name="idle/kernel"))
        rng = np.random.default_rng(0)
        draw = [[size * rng.normal(size=s) for s in self.shapes.values()] for size in sizes]
        draw[0][4] = draw[1][3] = None  # another's head
        self.factors = [[None if f is None else f.astype(dtype) for f in row] + [None] for row in draw]

    def losses(self):
        def loss(factors):
            pairs = zip(factors, self.variables, strict=True)
            return tf.add_n([tf.reduce_sum(f * v) for f, v in pairs if f is not None])

        return [loss(factors) for factors in self.factors]

    def rows(self, places):
        """The gradients of both losses in the variables `places`, in float64."""
        return np.stack([np.concatenate([np.float64(row[i]).ravel() for i in places]) for row in self.factors])

    def gradients(self, measured="shared", **named):
        with tf.GradientTape(persistent=True) as tape:
            losses = self.losses()
        return LossGradients(tape, losses, self.variables, measured, **named)


PLACES = [
    ("shared", [0, 1, 2]),
    ("last", [2]),
    (["trunk/*"], [0, 1]),
    (["*upper:0", "*/lower*"], [0, 1, 2]),
    (["last/upper:0"], [2]),
]


# What is measured


@pytest.mark.parametrize(("measured", "places"), PLACES, ids=lambda value: str(value))
def test_measures_are_those_of_numpy(measured, places):
    layers = Layers()
    gradients, rows = layers.gradients(measured), layers.rows(places)
    np.testing.assert_allclose(gradients.gram(), rows @ rows.T, rtol=1e-13)
    np.testing.assert_allclose(gradients.norms(), np.linalg.norm(rows, axis=1), rtol=1e-13)
    np.testing.assert_array_equal(gradients.largest(), np.abs(rows).max(1))
    np.testing.assert_allclose(gradients.mean_sizes(), np.abs(rows).mean(1), rtol=1e-6)  # sums of each in float64
    assert len(gradients) == 2
    assert [tuple(rows.shape) for rows in gradients.matrices()] == [
        (2, int(np.prod(list(layers.shapes.values())[place]))) for place in places
    ]


@pytest.mark.parametrize("sizes", [(1e30, 1.0), (1e-30, 1e-30), (1e30, 1e-30)], ids=str)
def test_huge_and_tiny_gradients_keep_their_squares(sizes):
    layers = Layers(sizes=sizes)
    gradients, rows = layers.gradients(), layers.rows([0, 1, 2])
    np.testing.assert_allclose(gradients.gram(), rows @ rows.T, rtol=1e-13)
    np.testing.assert_allclose(gradients.norms(), np.linalg.norm(rows, axis=1), rtol=1e-13)
    assert gradients.gram().dtype == gradients.norms().dtype == gradients.largest().dtype == tf.float64


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_dtype_is_measured(dtype):
    layers = Layers(dtype="float32" if dtype == "bfloat16" else dtype)
    if dtype == "bfloat16":
        layers.variables = [tf.Variable(tf.cast(v, dtype), name=v.name[:-2]) for v in layers.variables]
        layers.factors = [[None if f is None else tf.cast(f, dtype) for f in row] for row in layers.factors]
    gradients, rows = layers.gradients(), layers.rows([0, 1, 2])
    np.testing.assert_allclose(gradients.gram(), rows @ rows.T, rtol=1e-13)
    assert all(part.dtype == (dtype if dtype == "float64" else tf.float32) for part in gradients.matrices())
    combined = gradients.combined(tf.constant([0.5, 2.0]))
    assert all(part.dtype == dtype for part in combined if part is not None)


def test_scale_and_share_are_of_the_backward_pass():
    """Measures of one replica of two of a scaled step: with the share, which the replicas add up, without the scale."""
    layers = Layers()
    gradients, rows = layers.gradients(share=tf.constant(0.5), scale=tf.constant(1024.0)), layers.rows([0, 1, 2])
    np.testing.assert_allclose(gradients.norms(), np.linalg.norm(rows, axis=1) / 2, rtol=1e-13)
    for found in (gradients.combined([1.0, 3.0]), layers.gradients(share=0.5, scale=1024.0).combined([1.0, 3.0])):
        np.testing.assert_allclose(
            found[1], 512 * (layers.factors[0][1] + 3 * layers.factors[1][1]), rtol=0, atol=512 * 4 * 2.0**-21
        )


def test_one_loss_measures_every_variable_it_acts_on():
    layers = Layers()
    with tf.GradientTape(persistent=True) as tape:
        losses = layers.losses()[:1]
    gradients = LossGradients(tape, losses, layers.variables)
    expected = np.sqrt(sum((f**2).sum() for f in layers.factors[0] if f is not None))
    np.testing.assert_allclose(gradients.norms(), [expected], rtol=1e-6)


def test_a_loss_that_acts_on_no_variable_has_gradient_0():
    layers = Layers()
    with tf.GradientTape(persistent=True) as tape:
        losses = [*layers.losses(), tf.constant(3.0)]
    gradients = LossGradients(tape, losses, layers.variables)
    rows = np.vstack([layers.rows([0, 1, 2]), np.zeros(19)])
    np.testing.assert_allclose(gradients.gram(), rows @ rows.T, rtol=1e-13)
    assert float(gradients.mean_sizes()[2]) == float(gradients.largest()[2]) == 0.0
    found = gradients.combined([0.0, 0.0, 7.0])
    assert [None if part is None else float(tf.reduce_max(tf.abs(part))) for part in found] == [0, 0, 0, 0, 0, None]


@pytest.mark.parametrize(
    ("measured", "losses", "message"),
    [
        (["no/such"], None, r"`variables` must match some of \['trunk/lower:0'"),
        (["idle/*"], None, "must act on at least one measured variable"),
        ("shared", "heads", "At least two losses must act on one variable"),
        ("last", "heads", "At least two losses must act on one variable"),
        ("shared", "none", "must act on at least one of the variables"),
    ],
    ids=str,
)
def test_nothing_to_measure(measured, losses, message):
    layers = Layers()
    with tf.GradientTape(persistent=True) as tape:
        heads = [tf.reduce_sum(layers.variables[3]), tf.reduce_sum(layers.variables[4])]
        given = {None: layers.losses(), "heads": heads, "none": [tf.constant(1.0), tf.constant(2.0)]}[losses]
    with pytest.raises(ValueError, match=message):
        LossGradients(tape, given, layers.variables, measured).gram()


def test_last_of_variables_without_layers_is_the_last():
    with tf.GradientTape(persistent=True) as tape:
        variables = [tf.Variable(1.0), tf.Variable(1.0)]  # of one name
        losses = [2 * variables[0] + 3 * variables[1], 4 * variables[0] + 5 * variables[1]]
    np.testing.assert_allclose(LossGradients(tape, losses, variables, "last").norms(), [3, 5], rtol=1e-15)


def test_keras_variables_have_paths():
    network = keras.Sequential([keras.Input([2]), keras.layers.Dense(3, name="one"), keras.layers.Dense(2, name="two")])
    with tf.GradientTape(persistent=True) as tape:
        output = network(tf.ones([1, 2]))
        losses = [output[0, 0], output[0, 1] + output[0, 0]]
    sizes = {
        name: sum(rows.shape[1] for rows in LossGradients(tape, losses, network.trainable_variables, name).matrices())
        for name in ("shared", "last")
    }
    assert sizes == {"shared": 6 + 3 + 6 + 2, "last": 6 + 2}
    (kernel,) = LossGradients(tape, losses, network.trainable_variables, ["*one/kernel"]).matrices()
    assert kernel.shape == (2, 6)


# Sums


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_combined_is_the_weighted_sum(own, known):
    layers = Layers()
    gradients = layers.gradients()
    if known:
        gradients.gram()
    weights = [0.25, -3.0]
    found = gradients.combined(weights, own=own)
    assert found[5] is None
    for place in range(5):
        factors = [row[place] for row in layers.factors]
        alone = own and place > 2
        expected = sum((1.0 if alone else w) * f for w, f in zip(weights, factors, strict=True) if f is not None)
        np.testing.assert_allclose(found[place], expected, rtol=0, atol=4 * 2.0**-23 * 8)


def test_a_weight_of_0_keeps_an_infinite_gradient_out_of_known_ones():
    w = tf.Variable([4.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(w**2), tf.reduce_sum(tf.sqrt(w - 4.0))]
    gradients = LossGradients(tape, losses, [w])
    assert np.isinf(gradients.each[1][0])
    np.testing.assert_array_equal(gradients.combined([0.5, 0.0])[0], [4.0])


def test_embeddings_are_dense():
    table = tf.Variable(RNG.normal(size=(5, 2)).astype("float32"), name="table")
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(tf.gather(table, [0, 2, 2])), tf.reduce_sum(3 * tf.gather(table, [2, 4]))]
    gradients = LossGradients(tape, losses, [table])
    np.testing.assert_array_equal(gradients.gram(), [[10.0, 12.0], [12.0, 36.0]])
    expected = np.float32([[1], [0], [5], [0], [3]]) * np.ones([1, 2], "float32")
    np.testing.assert_array_equal(gradients.combined([1.0, 1.0])[0], expected)
    np.testing.assert_array_equal(LossGradients(tape, losses, [table]).combined([1.0, 1.0])[0], expected)


def test_gradients_of_residuals():
    """`of` with the residuals as targets: what a gate of the tangent kernel asks for."""
    w = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        residuals = [w * 3.0, w**2]
        losses = [tf.reduce_mean(r**2) for r in residuals]
    gradients = LossGradients(tape, losses, [w], residuals=residuals)
    (found,) = gradients.of(gradients.residuals, [tf.constant([1.0, 0.0]), tf.constant([0.0, 1.0])])
    np.testing.assert_array_equal(found, [3.0, 4.0])


# `Blend.gradients` with gates that look at no gradient

FOR_COMBINE = [
    (name, k, make)
    for name, k, make in GATES
    if not any(
        getattr(make(), need)
        for need in ("needs_residual", "needs_penalties", "needs_features", "needs_gradients", "elementwise")
    )
]
MODES = {
    "soft": lambda: bl.modes.Soft(),
    "concrete": lambda: bl.modes.Annealed(bl.schedules.linear(2.0, 0.5, steps=10), bl.modes.entmax15, seed=5),
    "reinmax": lambda: bl.modes.Hard(bl.modes.ReinMax(2)),
}


def three(w, k):
    """K losses of two variables; the gate's step sees other values in each."""
    parts = [tf.reduce_sum(w[0] ** 2) + w[1], tf.exp(w[1]) * tf.reduce_mean(w[0] ** 4), tf.reduce_sum(tf.abs(w[0]))]
    return dict(zip("abc", parts[:k], strict=False))


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "k", "make"), FOR_COMBINE, ids=[row[0] for row in FOR_COMBINE])
def test_any_other_gate_has_the_gradient_of_combine(name, k, make, mode, persistent):
    names = list("abc")[:k]
    one, other = (bl.Blend(names, make(), MODES[mode]()) for _ in range(2))
    w = [tf.Variable([0.5, -1.5], name="w"), tf.Variable(0.25, name="b")]
    for step in range(3):
        with tf.GradientTape(persistent=persistent) as tape:
            values = three(w, k)
        found = one.gradients(tape, values, w + one.trainable_variables, step=step)
        with tf.GradientTape() as tape:
            reading = other.read_values(three(w, k), step=step)
        expected = tape.gradient(reading.value, w + other.trainable_variables, unconnected_gradients="zero")
        np.testing.assert_array_equal(found.reading.value, reading.value)
        np.testing.assert_array_equal(found.reading.weights, reading.weights)
        for a, b in zip(found.gradients, expected, strict=True):
            # The weights are applied where the losses are, not after: other products, of numbers below 8.
            np.testing.assert_allclose(0 if a is None else a, b, rtol=1e-6, atol=1e-6)
        for a, b in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_gates_that_work_with_combine_are_among_them():
    assert {"fixed", "learned", "bayesian-dirichlet"} <= {name for name, _, _ in FOR_COMBINE}


# With gates that do


def both(layers, gate, step=0, **named):
    blend = gate if isinstance(gate, bl.Blend) else bl.Blend(["a", "b"], gate)
    with tf.GradientTape(persistent=True) as tape:
        values = dict(zip("ab", layers.losses(), strict=True))
    return blend.gradients(tape, values, layers.variables + blend.trainable_variables, step=step, **named)


@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize(("measured", "places"), PLACES, ids=lambda value: str(value))
def test_the_direction_of_a_gate_by_hand(measured, places, heads):
    layers = Layers()
    found = both(layers, Inverse(variables=measured, heads=heads))
    weights = 1 / np.linalg.norm(layers.rows(places), axis=1)
    np.testing.assert_allclose(found.reading.weights, weights, **ROUNDING)
    losses = [float(loss) for loss in layers.losses()]
    np.testing.assert_allclose(found.reading.losses, losses, **ROUNDING)
    np.testing.assert_allclose(found.reading.value, np.dot(weights, losses), rtol=0, atol=1e-5)
    for place in range(5):
        own = heads == "own" and place > 2
        pairs = zip(weights, [row[place] for row in layers.factors], strict=True)
        expected = sum((1.0 if own else w) * f for w, f in pairs if f is not None)
        np.testing.assert_allclose(found.gradients[place], expected, rtol=0, atol=8 * 2.0**-23)
    assert found.gradients[5] is None


def test_weights_of_any_sign_are_as_they_are():
    layers = Layers()
    found = both(layers, Given([-2.0, 0.0], heads="weighted"))
    np.testing.assert_allclose(found.reading.weights, [-2.0, 0.0], **ROUNDING)
    np.testing.assert_allclose(found.gradients[0], -2 * layers.factors[0][0], **ROUNDING)
    assert not np.any(found.gradients[4])
    assert not np.any(both(layers, Given([0.0, 0.0], heads="weighted")).gradients[0])


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_loss_that_is_off_is_out_of_value_and_gradient(value):
    w = tf.Variable([2.0, 1.0])
    blend = bl.Blend(["a", "b"], Given([1.0, 0.0]))
    with tf.GradientTape(persistent=True) as tape:
        values = {"a": tf.reduce_sum(w**2), "b": tf.reduce_sum(w * value)}
    found = blend.gradients(tape, values, [w], step=0)
    assert float(found.reading.value) == 5.0
    np.testing.assert_array_equal(found.gradients[0], [4.0, 2.0])


def test_one_loss():
    w = tf.Variable([3.0, 4.0])
    blend = bl.Blend(["a"], Inverse())
    with tf.GradientTape(persistent=True) as tape:
        values = {"a": tf.reduce_sum(w**2) / 2}
    found = blend.gradients(tape, values, [w], step=0)
    np.testing.assert_allclose(found.reading.weights, [0.2], **ROUNDING)
    np.testing.assert_allclose(found.gradients[0], [0.6, 0.8], **ROUNDING)


def test_float64_is_kept():
    layers = Layers("float64")
    found = both(layers, Inverse(dtype="float64", heads="weighted"))
    weights = 1 / np.linalg.norm(layers.rows([0, 1, 2]), axis=1)
    np.testing.assert_allclose(found.reading.weights, weights, rtol=1e-14)
    expected = np.tensordot(weights, np.stack([row[0] for row in layers.factors]), 1)
    np.testing.assert_allclose(found.gradients[0], expected, rtol=0, atol=1e-14)
    assert found.reading.value.dtype == tf.float64


@pytest.mark.parametrize("heads", ["own", "weighted"])
def test_weights_are_kept_in_between(heads):
    """`every` = 3: computed at steps 0 and 3, of the gradients as they are then."""
    blend = bl.Blend(["a", "b"], Inverse(every=3, heads=heads))
    found, own = [], []
    for step in range(5):
        layers = Layers(sizes=(10.0**step, 1.0))
        result = both(layers, blend, step)
        found.append(np.array(result.reading.weights))
        own.append(1 / np.linalg.norm(layers.rows([0, 1, 2]), axis=1))
        kept = own[0] if step < 3 else own[3]
        expected = kept[0] * layers.factors[0][1] + kept[1] * layers.factors[1][1]
        np.testing.assert_allclose(result.gradients[1], expected, rtol=0, atol=1e-5 * max(kept[0] * 10.0**step, 1))
        factor = kept[0] if heads == "weighted" else 1.0
        np.testing.assert_allclose(result.gradients[3], factor * layers.factors[0][3], rtol=1e-6)
    np.testing.assert_allclose(found, [own[0]] * 3 + [own[3]] * 2, **ROUNDING)


@pytest.mark.parametrize("every", [1, 2])
def test_a_step_of_no_finite_weights_is_counted_and_kept_out_of_the_state(every):
    blend = bl.Blend(["a", "b"], Inverse(every=every))
    expected = np.array(both(Layers(), blend, 0).reading.weights)
    broken = Layers(sizes=(np.nan, 1.0))
    found = both(broken, blend, 2)
    assert np.isnan(found.reading.value)
    np.testing.assert_allclose(blend.gate.last, expected, **ROUNDING)
    assert int(blend.gate.skipped) == 1
    assert np.isfinite(both(Layers(), blend, 4).reading.value)


def test_overflow_by_the_scale_is_not_the_losses():
    """1 / inf is a finite weight, 0, which would keep the overflow out of the sum, and the scale as it is for ever."""
    blend = bl.Blend(["a", "b"], Inverse())
    expected = np.array(both(Layers(), blend, 0).reading.weights)
    found = both(Layers(sizes=(1e30, 1.0)), blend, 1, scale=tf.constant(1e20))
    np.testing.assert_allclose(found.reading.weights, expected, **ROUNDING)
    assert not np.isfinite(found.gradients[0]).all()  # which the optimizer sees, and skips
    assert int(blend.gate.skipped) == 1


@pytest.mark.parametrize("gate", [bl.gates.Learned, bl.gates.Uncertainty, lambda: Inverse(heads="weighted")])
def test_a_scale_is_a_factor_of_every_gradient(gate):
    layers = Layers()
    made = [bl.Blend(["a", "b"], gate()) for _ in range(2)]
    plain, scaled = both(layers, made[0]), both(layers, made[1], scale=tf.constant(256.0))
    np.testing.assert_array_equal(scaled.reading.value, plain.reading.value)
    for a, b in zip(plain.gradients, scaled.gradients, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            # A power of 2; but in one pass it is applied before the sum of two losses, not after.
            np.testing.assert_allclose(b, 256 * a, rtol=0, atol=256 * 2.0**-22)


def test_without_training_the_kept_weights_hold():
    blend = bl.Blend({"a": "mse", "b": "mae"}, Inverse())
    w = tf.Variable(3.0)
    first = blend.read([[0.0]], [[2.0]], step=0, training=False)
    np.testing.assert_array_equal(first.weights, [1.0, 1.0])
    with tf.GradientTape(persistent=True) as tape:
        values = blend.values([[0.0]], tf.reshape(w, [1, 1]))
    found = blend.gradients(tape, values, [w], step=0)
    np.testing.assert_allclose(found.reading.weights, [1 / 6, 1.0], **ROUNDING)
    after = blend.read([[0.0]], [[2.0]], step=1, training=False)
    np.testing.assert_array_equal(after.weights, found.reading.weights)
    np.testing.assert_array_equal(
        blend.read_values({"a": 1.0, "b": 2.0}, step=1, training=False).weights, after.weights
    )


@pytest.mark.parametrize("mode", ["concrete", "reinmax"])
def test_every_mode_takes_the_weights_for_logits(mode):
    layers = Layers()
    blend = bl.Blend(["a", "b"], Given([1.0, 3.0], heads="weighted"), MODES[mode]())
    found = both(layers, blend)
    weights = np.array(found.reading.weights)
    shares = np.array(MODES[mode]()(tf.math.log([1.0, 3.0]), tf.constant(0, tf.int64), True))
    np.testing.assert_allclose(weights, 4 * shares, **ROUNDING)
    expected = np.tensordot(weights, np.stack([row[0] for row in layers.factors]), 1)
    np.testing.assert_allclose(found.gradients[0], expected, rtol=0, atol=32 * 2.0**-23)


# Hooks


@keras.saving.register_keras_serializable(package="tests")
class Hooked(GradientGate):
    """A sign of the sum as its direction, and a gradient of its own for what trains in it."""

    needs_residuals = True

    def create_state(self, k):
        super().create_state(k)
        self.own = self.add_weight(name="own", shape=(k,), initializer="zeros")

    def weigh(self, gradients, context):
        return tf.stack([tf.reduce_sum(residual) for residual in gradients.residuals])

    def combined(self, weights, gradients, context):
        return [None if g is None else tf.sign(g) for g in gradients.combined(weights)]

    def own_gradients(self, context):
        return [context.gradients.norms()]


def test_hooks_of_a_gate():
    w = tf.Variable([[3.0], [-1.0]], name="w")
    blend = bl.Blend({"a": bl.losses.SquaredError(), "b": bl.losses.AbsoluteError()}, Hooked())
    y_true = tf.constant([[1.0], [0.5]])
    with tf.GradientTape(persistent=True) as tape:
        values, residuals = blend.values(y_true, w), blend.residuals(y_true, w)
    found = blend.gradients(tape, values, [w, *blend.trainable_variables], step=0, residuals=residuals, scale=4.0)
    np.testing.assert_allclose(found.reading.weights, [0.5, 0.5], **ROUNDING)
    np.testing.assert_array_equal(found.gradients[0], [[1.0], [-1.0]])
    # Twice: r / N, sign(r) / N with N = 2; times the scale.
    np.testing.assert_allclose(found.gradients[1], 4 * np.array([np.hypot(2.0, -1.5), np.hypot(0.5, 0.5)]), **ROUNDING)


def test_residuals_are_of_each_head():
    outputs = {"u": tf.constant([[3.0], [4.0]]), "pde": tf.constant([2.0, 5.0, 7.0])}
    losses = {
        "data": bl.losses.Head("u", bl.losses.SquaredError()),
        "equation": bl.losses.Head("pde", bl.losses.SquaredError(), 0.0),
    }
    found = bl.Blend(losses, Inverse()).residuals({"u": [1.0, 1.0]}, outputs)
    np.testing.assert_array_equal(found["data"], [[2.0], [3.0]])
    np.testing.assert_array_equal(found["equation"], [2.0, 5.0, 7.0])
    with pytest.raises(TypeError, match="A residual is known of penalties alone.*Received: b='mse'"):
        bl.Blend({"a": bl.losses.SquaredError(), "b": "mse"}, Inverse()).residuals([[0.0]], [[1.0]])


# Mistakes


def test_a_tape_that_is_not_persistent():
    w = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        values = {"a": w**2, "b": w}
    with pytest.raises(ValueError, match="`tape` must be persistent"):
        bl.Blend(["a", "b"], Inverse()).gradients(tape, values, [w], step=0)


@pytest.mark.parametrize("gate", [bl.gates.Learned, Hooked])
def test_a_gate_that_would_never_train(gate):
    w = tf.Variable(1.0)
    blend = bl.Blend(["a", "b"], gate())
    with tf.GradientTape(persistent=True) as tape:
        values = {"a": w**2, "b": w * 1.0}
    with pytest.raises(ValueError, match="`variables` must have those of the gate"):
        blend.gradients(tape, values, [w], step=0)


def test_a_frozen_gate_needs_not_be_among_the_variables():
    w = tf.Variable(1.0)
    blend = bl.Blend(["a", "b"], bl.gates.Learned([1.0, 1.0]))
    blend.gate.trainable = False
    with tf.GradientTape() as tape:
        values = {"a": w**2, "b": w * 1.0}
    (gradient,) = blend.gradients(tape, values, [w], step=0).gradients
    np.testing.assert_allclose(gradient, 1.5, **ROUNDING)


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ({"a": 1.0}, {}, r"`values` must have exactly the names \['a', 'b'\]"),
        ({"a": 1.0, "b": [1.0, 2.0]}, {}, "`values` must be scalars.*Received: b"),
        ({"a": 1.0, "b": 2.0}, {"residuals": {"a": 1.0}}, "`residuals` must have exactly the names"),
        ({"a": 1.0, "b": 2.0}, {"step": None}, "needs the step"),
    ],
    ids=["names", "shape", "residuals", "step"],
)
def test_wrong_arguments(values, named, message):
    with tf.GradientTape(persistent=True) as tape:
        pass
    with pytest.raises(ValueError, match=message):
        bl.Blend(["a", "b"], Inverse()).gradients(tape, values, [], **{"step": 0, **named})


def test_a_blend_that_does_not_reduce():
    with tf.GradientTape(persistent=True) as tape:
        pass
    blend = bl.Blend(["a"], bl.gates.Fixed([1.0]), reduction="none")
    with pytest.raises(ValueError, match="does not reduce has no one gradient"):
        blend.gradients(tape, {"a": 1.0}, [])


def test_a_call_without_a_tape_is_refused():
    blend = bl.Blend({"a": "mse", "b": "mae"}, Inverse())
    with pytest.raises(ValueError, match=r"weighs losses by their gradients: use `BlendedModel`"):
        blend([[0.0]], [[1.0]], step=0)
    with pytest.raises(ValueError, match=r"weighs losses by their gradients: use\s+`blend.gradients"):
        blend.combine({"a": 1.0, "b": 1.0}, step=0)
    with pytest.raises(ValueError, match="keeps a running state"):
        blend.at(tf.Variable(0))


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"variables": "first"}, ValueError, "`variables` must be one of"),
        ({"variables": []}, TypeError, "`variables` must be 'shared', 'last' or a list"),
        ({"variables": [3]}, TypeError, "`variables` must be 'shared', 'last' or a list"),
        ({"variables": [""]}, TypeError, "`variables` must be 'shared', 'last' or a list"),
        ({"variables": None}, TypeError, "`variables` must be 'shared', 'last' or a list"),
        ({"heads": "both"}, ValueError, "`heads` must be one of"),
        ({"every": 0}, ValueError, "`every` must"),
        ({"every": 1.5}, TypeError, "`every` must"),
    ],
    ids=str,
)
def test_wrong_arguments_of_a_gate(named, error, message):
    with pytest.raises(error, match=message):
        Inverse(**named)


@pytest.mark.parametrize("named", [{}, {"variables": "last", "heads": "weighted"}, {"variables": ["a/*"], "every": 7}])
def test_configuration_round_trip(named):
    gate = Inverse(**named)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(gate))
    assert again.get_config() == gate.get_config()
    assert (again.measured, again.heads, again.every) == (gate.measured, gate.heads, gate.every)


# Regimes


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("heads", ["own", "weighted"])
def test_one_trace_gives_what_eager_gives(heads, every, jit_compile):
    layers, traces = Layers(), []
    eager, traced = (bl.Blend(["a", "b"], Inverse(heads=heads, every=every)) for _ in range(2))

    @tf.function(jit_compile=jit_compile)
    def run(step):
        traces.append(1)
        found = both(layers, traced, step)
        return found.reading, found.gradients[:5]

    for step in range(3):
        reading, gradients = run(tf.constant(step, tf.int64))
        expected = both(layers, eager, step)
        np.testing.assert_allclose(reading.weights, expected.reading.weights, **ROUNDING)
        for a, b in zip(gradients, expected.gradients, strict=False):
            np.testing.assert_allclose(a, b, rtol=0, atol=32 * 2.0**-23)
        layers.variables[0].assign_add(tf.ones([3, 4]))
    assert len(traces) == 1
