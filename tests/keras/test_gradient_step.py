"""A model trained by gates that look at the gradient of each loss, and at progress: every way of running it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context  # the only way to an optimized graph

import blendloss as bl
from blendloss.gates import Gate, GradientGate
from blendloss.losses import Head

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = {
    "depth": RNG.normal(size=(64, 1)).astype("float32"),
    "normal": (5 * RNG.normal(size=(64, 3))).astype("float32"),
    "label": RNG.integers(0, 5, size=64),
}
LOSSES = {"depth": "mse", "normal": "mae", "label": "sparse_categorical_crossentropy"}


@keras.saving.register_keras_serializable(package="tests.gradient_step")
class Inverse(GradientGate):
    """g_k = 1 / (1 + |G_k|)."""

    def weigh(self, gradients, context):
        return 1 / (1 + gradients.norms())


@keras.saving.register_keras_serializable(package="tests.gradient_step")
class Balanced(GradientGate):
    """Weights that train: d/dv of sum_k v_k |G_k| is |G_k|, as in GradNorm; the state is a mean of it."""

    usual_heads = "weighted"

    def create_state(self, k):
        super().create_state(k)
        self.v = self.add_weight(name="v", shape=(k,), initializer="ones")
        self.mean = self.state("mean", (k,))

    def weigh(self, gradients, context):
        self.mean.assign(0.9 * self.mean + 0.1 * tf.cast(gradients.mean_sizes(), self.mean.dtype))
        return tf.convert_to_tensor(self.v)

    def own_gradients(self, context):
        return [tf.cast(context.gradients.norms(), "float32")]


@keras.saving.register_keras_serializable(package="tests.gradient_step")
class Progress(Gate):
    """Weights 1 / (losses after the last update), and how often it was told them."""

    needs_progress = True
    updates = True

    def create_state(self, k):
        self.seen = self.state("seen", (k,), 1)
        self.told = self.state("told", dtype="int64")

    def gating(self, context):
        return -tf.math.log(tf.convert_to_tensor(self.seen))

    def observe_progress(self, values):
        mean = tf.stack([values[name] for name in self.names])
        replica = tf.distribute.get_replica_context()
        self.seen.assign(replica.all_reduce("mean", mean))
        self.told.assign_add(1)


GATES = {
    "inverse": lambda: Inverse(),
    "inverse-weighted-every-3": lambda: Inverse(heads="weighted", every=3),
    "inverse-own-every-2": lambda: Inverse(every=2),
    "inverse-last": lambda: Inverse(variables="last"),
    "inverse-named": lambda: Inverse(variables=["trunk/*"]),
    "balanced": lambda: Balanced(),
    "progress": lambda: Progress(),
}
every_gate = pytest.mark.parametrize("gate", GATES)


def network(regularizer=None, activity=None):
    inputs = keras.Input([4])
    trunk = keras.layers.Dense(8, "tanh", name="trunk", kernel_regularizer=regularizer, activity_regularizer=activity)(
        inputs
    )
    shared = keras.layers.Dense(6, "tanh", name="shared")(trunk)
    return keras.Model(
        inputs,
        {
            "depth": keras.layers.Dense(1, name="depth")(shared),
            "normal": keras.layers.Dense(3, name="normal")(shared),
            "label": keras.layers.Dense(5, "softmax", dtype="float32", name="label")(shared),
        },
    )


def pairwise():
    """A network in which two gradients meet in each layer: TensorFlow adds up three in an order of chance."""
    inputs = keras.Input([4])
    trunk = keras.layers.Dense(8, "tanh", name="trunk")(inputs)
    shared = keras.layers.Dense(6, "tanh", name="shared")(trunk)
    outputs = {"depth": keras.layers.Dense(1)(trunk), "normal": keras.layers.Dense(3)(shared)}
    return keras.Model(inputs, {**outputs, "label": keras.layers.Dense(5, "softmax")(shared)})


def blend_of(gate="inverse", mode=None, **named):
    return bl.Blend({name: Head(name, loss) for name, loss in LOSSES.items()}, GATES[gate](), mode, **named)


def model_of(gate="inverse", net=network, kind=bl.BlendedModel, mode=None, reduction="mean", **named):
    keras.utils.set_random_seed(0)
    model = kind(net(), blend_of(gate, mode, reduction=reduction))
    model.compile(**{"optimizer": keras.optimizers.SGD(0.05), **named})
    return model


def fit(model, epochs=2, **named):
    return model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **named).history


def assert_close(one, other, **tolerance):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, **{"rtol": 2e-5, "atol": 1e-6, **tolerance})  # eight steps of rounding


def assert_same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def gradients_by_hand(model, x=X, y=Y):
    """Each loss and its gradient in the network's variables, as a list of arrays or Nones, by a pass for each."""
    losses, gradients = [], []
    for name in LOSSES:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.get(LOSSES[name])(y[name], model.network(x, training=True)[name]))
        losses.append(float(loss))
        gradients.append(tape.gradient(loss, model.network.trainable_variables))
    return losses, gradients


# What one step does


def test_a_step_is_the_one_by_hand():
    model = model_of("inverse")
    losses, gradients = gradients_by_hand(model)
    trunk = [[np.float64(g).ravel() for g in row[:4]] for row in gradients]
    weights = [1 / (1 + np.linalg.norm(np.concatenate(row))) for row in trunk]
    before = [variable.numpy() for variable in model.network.trainable_variables]
    logs = model.train_on_batch(X, Y, return_dict=True)
    for name, weight, loss in zip(LOSSES, weights, losses, strict=True):
        np.testing.assert_allclose(logs[f"gate/{name}"], weight, rtol=1e-6)
        np.testing.assert_allclose(logs[f"loss/{name}"], loss, rtol=1e-6)
    np.testing.assert_allclose(logs["loss"], np.dot(weights, losses), rtol=1e-6)
    for i, (variable, start) in enumerate(zip(model.network.trainable_variables, before, strict=True)):
        pairs = zip(weights, [row[i] for row in gradients], strict=True)
        step = sum((w if i < 4 else 1.0) * g.numpy() for w, g in pairs if g is not None)
        np.testing.assert_allclose(variable, start - 0.05 * step, rtol=1e-6, atol=1e-7)


class Counting(keras.layers.Layer):
    """The identity; counts its forward passes in training."""

    def build(self, shape):
        self.passes = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False)

    def call(self, inputs, training=None):
        if training:
            self.passes.assign_add(1)
        return inputs


def test_a_step_is_one_forward_pass():
    counting = Counting()

    def net():
        inputs = keras.Input([4])
        hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(counting(inputs)))
        shared = keras.layers.Dense(6, name="shared")(hidden)
        outputs = {name: keras.layers.Dense(size)(shared) for name, size in (("depth", 1), ("normal", 3))}
        return keras.Model(inputs, {**outputs, "label": keras.layers.Dense(5, "softmax")(shared)})

    model = model_of("inverse", net)
    before = int(counting.passes)
    fit(model, epochs=1)
    assert int(counting.passes) - before == 4


def products(graph):
    """The float32 matrix products that a graph needs for what it returns and does; branches included."""
    seen, found = set(), 0
    stack = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    while stack:
        op = stack.pop()
        if op in seen:
            continue
        seen.add(op)
        stack += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
        found += op.type == "MatMul" and op.inputs[0].dtype == tf.float32
        if op.type in ("If", "StatelessIf"):
            branches = [op.get_attr(name).name for name in ("then_branch", "else_branch")]
            found += sum(products(graph._get_function(name).graph) for name in branches)
    return found


# Forward 5. Backward, a loss: kernels of head, shared and trunk, inputs of head and shared.
FORWARD, BACKWARD = 5, 5
# All three at once: shared's and trunk's parts are of the sum.
AT_ONCE = 3 + 3 * 2
# What is measured alone is without the kernels of the heads.
MEASURED = BACKWARD - 1


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("inverse", FORWARD + 3 * BACKWARD),
        ("inverse-last", FORWARD + 3 * BACKWARD),
        ("balanced", FORWARD + 3 * BACKWARD),
        ("inverse-weighted-every-3", FORWARD + AT_ONCE + 3 * MEASURED),  # the last, in a branch of every third step
        ("inverse-own-every-2", FORWARD + AT_ONCE + 3 * MEASURED),
        ("progress", FORWARD + AT_ONCE + FORWARD),
    ],
)
@pytest.mark.parametrize("regularizer", [None, "l2"])
def test_a_step_costs_a_forward_pass_and_a_backward_pass_for_each_loss(gate, expected, regularizer):
    model = model_of(gate, lambda: network(regularizer))
    fit(model, epochs=1)
    step = tf.function(model.train_step).get_concrete_function((tf.constant(X), tf.nest.map_structure(tf.constant, Y)))
    assert products(step.graph) == expected


# Every way of running it


class Counted(bl.BlendedModel):
    """Python runs a traced step only when it is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


@pytest.mark.parametrize("data", ["arrays", "dataset"])
@every_gate
def test_one_trace(gate, data):
    model = model_of(gate, kind=Counted, metrics={"depth": ["mae"], "label": ["accuracy"]})
    for _ in range(2):
        if data == "arrays":
            history = fit(model)
        else:
            batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
            history = model.fit(batches, epochs=2, shuffle=False, verbose=0).history
    assert model.traces == 1
    assert int(model.step) == 16
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "named",
    [{"jit_compile": True}, {"jit_compile": False}, {"steps_per_execution": 2}, {"run_eagerly": True}],
    ids=str,
)
@every_gate
def test_every_way_of_running_gives_the_same(gate, named):
    reference, other = model_of(gate), model_of(gate, **named)
    expected, found = fit(reference, validation_data=(X, Y)), fit(other, validation_data=(X, Y))
    assert_close(reference, other)
    assert set(expected) == set(found)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


def loop_over_steps(model):
    """The nodes of the loop that `fit` ran, by name, as TensorFlow's optimizer of graphs left them."""
    context.enable_graph_collection()
    fit(model, epochs=1)
    graphs = [each.post_optimization_graph for each in context.export_run_metadata().function_graphs]
    context.disable_graph_collection()
    (loop,) = (graph for graph in graphs if any(node.op == "NextIteration" for node in graph.node))
    return {node.name: node for node in loop.node}


def sources(node):
    return [name.lstrip("^").split(":")[0] for name in node.input]


def before(nodes, name):
    """The nodes that an iteration runs before the named one."""
    seen, stack = set(), [name]
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += sources(nodes[name]) if nodes[name].op != "NextIteration" else []
    return seen


def resource(nodes, name):
    while nodes[name].op in ("ReadVariableOp", "Enter", "Identity", "Switch") or nodes[name].op.startswith("Assign"):
        name = sources(nodes[name])[0]
    return name


@every_gate
def test_the_order_of_reads_and_updates_survives_in_a_loop_over_steps(gate):
    """TensorFlow's optimizer of graphs drops a control dependency that it takes for implied by a later iteration."""
    nodes = loop_over_steps(model_of(gate, steps_per_execution=2))
    updates = [name for name, node in nodes.items() if node.op.startswith("Assign")]
    reads = [name for name, node in nodes.items() if node.op == "ReadVariableOp"]
    ordered = 0
    for update in updates:
        earlier = before(nodes, update)
        for read in reads:
            if resource(nodes, read) == resource(nodes, update):
                assert read in earlier or update in before(nodes, read), (read, update)
                ordered += 1
    assert ordered > 20  # else nothing was looked at


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@every_gate
def test_two_replicas_are_one_device(gate, reduction, replicas):
    optimizer = {"mean": 0.05, "sum": 0.05 / 16}[reduction]
    net = lambda: network("l2")  # noqa: E731
    one = model_of(gate, net, reduction=reduction, optimizer=keras.optimizers.SGD(optimizer))
    expected = fit(one)
    with replicas.scope():
        two = model_of(gate, net, reduction=reduction, optimizer=keras.optimizers.SGD(optimizer))
    found = fit(two)
    # A loss summed over each replica's half is half of it, in what is logged of it, and after an update.
    if reduction == "sum":
        if gate != "progress":
            assert_close(one.network, two.network)
        return
    assert_close(one, two)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("gate", "mode"), [*((gate, "soft") for gate in GATES), ("inverse", "annealed"), ("balanced", "hard")]
)
def test_resumes_bit_for_bit(gate, mode, tmp_path):
    modes = {
        "soft": bl.modes.Soft(),
        "annealed": bl.modes.Annealed(bl.schedules.exponential(3.0, 0.3, steps=20), seed=1),
        "hard": bl.modes.Hard(bl.modes.ReinMax(2)),
    }
    straight, stopped = (model_of(gate, pairwise, mode=modes[mode], optimizer="adam") for _ in range(2))
    history = fit(straight, epochs=3)
    fit(stopped, epochs=1)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    assert_same(stopped, resumed)
    np.testing.assert_array_equal(
        resumed.evaluate(X, Y, verbose=0), stopped.evaluate(X, Y, verbose=0)
    )  # by the kept weights
    continued = fit(resumed, epochs=3, initial_epoch=1)
    assert_same(straight, resumed)
    for name, values in continued.items():
        np.testing.assert_array_equal(values, history[name][1:], err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@every_gate
def test_mixed_precision(gate, policy):
    single = model_of(gate)
    keras.config.set_dtype_policy(policy)
    model = model_of(gate)
    history, expected = fit(model), fit(single)
    assert np.isfinite(history["loss"]).all()
    for name in LOSSES:
        # Half the digits; bfloat16 has 8 bits. Steps that overflow at first are skipped.
        np.testing.assert_allclose(history[f"gate/{name}"], expected[f"gate/{name}"], rtol=0.1)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    assert 0 < int(model.step) == int(optimizer.iterations) <= 8
    assert all(variable.dtype == "float32" for variable in model.blend.gate.variables if "float" in variable.dtype)


def test_a_scale_that_overflows_is_lowered():
    """Weights of 1 / (1 + inf) = 0 would hide it from the optimizer."""
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=2.0**30)
    model = model_of("inverse", optimizer=optimizer)
    fit(model, epochs=8)
    assert float(optimizer.dynamic_scale) < 2.0**30
    skipped = int(model.blend.gate.skipped)
    assert skipped > 0
    assert 0 < int(model.step) <= 32 - skipped  # a head's gradient, which is not measured, overflows too
    assert np.isfinite(np.concatenate([weights.ravel() for weights in model.get_weights()])).all()


def test_float64():
    keras.config.set_dtype_policy("float64")
    model = model_of("inverse", lambda: network("l2"))
    trunk = model.network.trainable_variables[0]
    before = trunk.numpy()
    _, gradients = gradients_by_hand(model, X.astype("float64"))
    norms = [np.linalg.norm(np.concatenate([np.ravel(g) for g in row[:4]])) for row in gradients]
    model.train_on_batch(X.astype("float64"), Y)
    weights = np.float32(1 / (1 + np.array(norms))).astype("float64")  # the gate's own dtype
    step = sum(w * row[0].numpy() for w, row in zip(weights, gradients, strict=True)) + 2 * 0.01 * before
    # of_signed_weights in float32 rounds the weights by some units.
    np.testing.assert_allclose(trunk, before - 0.05 * step, rtol=0, atol=0.05 * 8 * 2.0**-23)
    assert trunk.dtype == "float64"


# What the optimizer does


@pytest.mark.parametrize("named", [{"clipnorm": 0.1}, {"clipvalue": 0.01}, {"global_clipnorm": 0.1}], ids=str)
def test_gradients_are_clipped_as_ever(named):
    """A gate of weights 1 is the plain sum: clipping sees the same gradients."""

    class Ones(GradientGate):
        def weigh(self, gradients, context):
            return tf.ones([len(gradients)])

    keras.utils.set_random_seed(0)
    blends = [
        bl.Blend({n: Head(n, loss) for n, loss in LOSSES.items()}, g) for g in (Ones(), bl.gates.Fixed([1, 1, 1]))
    ]
    models = []
    for blend in blends:
        keras.utils.set_random_seed(0)
        model = bl.BlendedModel(network("l2"), blend)
        model.compile(keras.optimizers.SGD(0.5, **named))
        fit(model)
        models.append(model)
    assert_close(models[0].network, models[1].network)


def test_gradients_accumulate():
    model = model_of("inverse", optimizer=keras.optimizers.SGD(0.05, gradient_accumulation_steps=4))
    fit(model)
    assert int(model.step) == 2
    assert np.isfinite(model.evaluate(X, Y, verbose=0)).all()


def test_every_counts_updates_of_the_optimizer():
    """Where gradients accumulate the step stays for some batches: weights of step 0 are of each of its batches."""
    model = model_of("inverse-weighted-every-3", optimizer=keras.optimizers.SGD(0.05, gradient_accumulation_steps=4))
    fit(model, epochs=1)
    kept = np.array(model.blend.gate.last)
    fit(model, epochs=1)
    np.testing.assert_array_equal(model.blend.gate.last, kept)


@pytest.mark.parametrize("activity", [None, "l2"])
def test_regularisation_is_added(activity):
    plain, regularised = model_of("inverse"), model_of("inverse", lambda: network("l2", activity))
    kernel = plain.network.trainable_variables[0].numpy().astype("float64")
    logs = [model.train_on_batch(X, Y, return_dict=True) for model in (plain, regularised)]
    with tf.GradientTape() as tape:
        trunk = tf.Variable(kernel)
        # Keras divides an activity's penalty by the batch.
        hidden = tf.tanh(tf.cast(X, tf.float64) @ trunk)
        penalty = 0.01 * tf.reduce_sum(trunk**2)
        if activity:
            penalty += 0.01 * tf.reduce_sum(hidden**2) / 64
    np.testing.assert_allclose(logs[1]["loss"] - logs[0]["loss"], penalty, rtol=1e-5)
    moved = plain.network.trainable_variables[0].numpy() - regularised.network.trainable_variables[0].numpy()
    np.testing.assert_allclose(moved, 0.05 * tape.gradient(penalty, trunk), rtol=0, atol=4 * 2.0**-23)
    for name in LOSSES:
        assert logs[0][f"gate/{name}"] == logs[1][f"gate/{name}"]  # regularisation is no loss that is weighed


def test_what_trains_in_a_gate_has_its_own_optimizer():
    model = model_of("balanced", gate_optimizer=keras.optimizers.SGD(1e-3))
    _, gradients = gradients_by_hand(model)
    norms = [np.linalg.norm(np.concatenate([np.ravel(g) for g in row[:4]])) for row in gradients]
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(model.blend.gate.v, 1 - 1e-3 * np.array(norms), rtol=1e-6)
    fit(model)
    assert int(model.gate_optimizer.iterations) == 9


def test_frozen_gate():
    model = model_of("balanced")
    model.blend.gate.trainable = False
    model.compile("sgd")
    fit(model)
    np.testing.assert_array_equal(model.blend.gate.v, [1, 1, 1])


def test_what_trains_in_a_loss_is_trained():
    models = []
    for gate in (Inverse(heads="own"), bl.gates.Fixed([1.0, 1.0, 1.0])):
        keras.utils.set_random_seed(0)
        loss = bl.losses.AdaptiveBarron()
        losses = {name: Head(name, loss if name == "depth" else given) for name, given in LOSSES.items()}
        model = bl.BlendedModel(network(), bl.Blend(losses, gate))
        model.compile(keras.optimizers.SGD(0.05))
        model.train_on_batch(X, Y)
        models.append(loss)
    # One loss alone acts on its shape and scale: it follows that loss, unweighted.
    np.testing.assert_allclose(models[0].alpha_and_scale(), models[1].alpha_and_scale(), rtol=1e-6)
    assert float(models[0].alpha_and_scale()[1]) != 1.0


def test_embeddings():
    def net():
        inputs = keras.Input([4], dtype="int32")
        shared = keras.layers.Flatten()(keras.layers.Embedding(10, 3, name="table", activity_regularizer="l2")(inputs))
        return keras.Model(
            inputs,
            {
                "depth": keras.layers.Dense(1)(shared),
                "normal": keras.layers.Dense(3)(shared),
                "label": keras.layers.Dense(5, "softmax")(shared),
            },
        )

    tokens = RNG.integers(0, 10, size=(64, 4))
    weights = []
    for eagerly in (True, False):
        model = model_of("inverse", net, run_eagerly=eagerly)
        model.fit(tokens, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        weights.append(model)
    assert_close(*weights)


# Progress


def test_progress_is_told_after_the_update():
    model = model_of("progress")
    for step in range(3):
        model.train_on_batch(X, Y)
        after, _ = gradients_by_hand(model)
        np.testing.assert_allclose(model.blend.gate.seen, after, rtol=1e-6)
        assert int(model.blend.gate.told) == step + 1


def test_progress_of_given_weights():
    model = model_of("progress")
    weights = {"depth": np.linspace(0, 2, 64), "normal": np.zeros(64), "label": np.ones(64)}
    model.train_on_batch(X, Y, sample_weight=weights)
    assert float(model.blend.gate.seen[1]) == 0.0


def test_a_gate_that_watches_nothing_says_so():
    with pytest.raises(TypeError, match="does not watch the losses after an update"):
        blend_of("inverse").gate.observe_progress({})


# Mistakes


def test_compute_loss_of_ones_own_is_refused():
    class Own(bl.BlendedModel):
        def compute_loss(self, *arguments, **named):
            return super().compute_loss(*arguments, **named)

    with pytest.raises(TypeError, match="`compute_loss` is not used"):
        Own(network(), blend_of("inverse"))


@pytest.mark.parametrize("gate", ["balanced", "progress"])
def test_held_out_is_refused(gate):
    with pytest.raises(ValueError, match="has a rule of its own"):
        bl.BlendedModel(network(), blend_of(gate), held_out=bl.keras.HeldOut("mae"))


def test_a_network_that_does_not_train():
    model = model_of("inverse")
    model.network.trainable = False
    model.compile("sgd")
    with pytest.raises(ValueError, match="must act on at least one of the variables"):
        fit(model)


def test_a_pattern_that_fits_nothing_says_what_there_is():
    keras.utils.set_random_seed(0)
    model = bl.BlendedModel(
        network(), bl.Blend({n: Head(n, loss) for n, loss in LOSSES.items()}, Inverse(variables=["x/*"]))
    )
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"`variables` must match some of \['trunk/kernel', 'trunk/bias'"):
        fit(model)
