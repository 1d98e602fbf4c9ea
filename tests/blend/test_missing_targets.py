"""A target that is missing, NaN with a sample weight of 0 or masked, reaches neither value nor gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import OutputLoss
from tests.blend.instances import PerExample
from tests.executions import EXECUTIONS

RNG = np.random.default_rng(5)
Y = RNG.normal(size=(4, 2)).astype("float32")
P = (Y + RNG.normal(size=(4, 2))).astype("float32")
W = np.array([1.0, 0.0, 2.0, 0.0], "float32")
MISSING = Y.copy()
MISSING[1] = np.nan
MISSING[3, 0] = np.inf
KEPT = W > 0
LOGITS = RNG.normal(size=(4, 3)).tolist()


@keras.saving.register_keras_serializable(package="tests")
class Doubled(keras.losses.MeanSquaredError):
    """A loss with a `__call__` of its own."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return 2 * super().__call__(y_true, y_pred, sample_weight)


def penalties():
    return {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(), "mae": bl.losses.AbsoluteError()}


LOSSES = {
    "penalties": penalties,
    "keras": lambda: {"mse": "mse", "huber": keras.losses.Huber(), "mae": bl.losses.AbsoluteError()},
    "own reduction": lambda: {
        **penalties(),
        "mse": keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"),
        "huber": Doubled(),
    },
    "functions": lambda: {**penalties(), "mse": lambda y, p: tf.reduce_mean((y - p) ** 2, -1)},
    "trained": lambda: {**penalties(), "mae": bl.losses.AdaptiveBarron()},
}
STATISTIC = bl.gates.statistics.MeanAbsolute()
GATES = {
    "fixed": lambda: bl.gates.Fixed([0.2, 0.3, 0.5]),
    "example": lambda: PerExample(LOGITS),
    "values": lambda: bl.gates.Tchebycheff([0.3, 0.3, 0.4]),
    "residual-state": lambda: bl.gates.ResidualState(STATISTIC, [0.5, 1.0], width=0.1, memory=2),
    "exponential-family": bl.gates.ExponentialFamily,
    "mixture": bl.gates.Mixture,
    "by-residual": lambda: bl.gates.ByResidual([0.5, 1.0], width=0.1),
}


def derivatives(make, y, p, weights, execution="eager", mask=None, reduction="sum_over_batch_size"):
    """Value, and gradients in predictions, weights and the blend's variables; the state after the step."""
    blend = make(reduction)

    def run(y, p, weights):
        with tf.GradientTape() as tape:
            tape.watch([p, weights])
            given = tf.identity(p)
            if mask is not None:
                given._keras_mask = tf.constant(mask)
            value = blend(y, given, weights if mask is None else None, step=0)
        found = tape.gradient(value, [p, weights, *blend.trainable_variables], unconnected_gradients="zero")
        return [value, *found]

    found = EXECUTIONS[execution](run)(*map(tf.constant, (y, p, weights)))
    return [np.array(one) for one in (*found, *blend.variables)]


def assert_ignored(make, execution="eager", mask=None, reduction="sum_over_batch_size", y=Y, missing=MISSING, p=P):
    there = np.where(np.isfinite(p), p, 0).astype("float32")
    expected = derivatives(make, y, there, W, execution, mask, reduction)
    found = derivatives(make, missing, p, W, execution, mask, reduction)
    assert np.isfinite(found[2]).all()
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        one, other = (one[KEPT], other[KEPT]) if k == 2 else (one, other)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("losses", LOSSES)
@pytest.mark.parametrize("gate", ["fixed", "example", "values"])
def test_weights_of_zero_leave_missing_targets_out(losses, gate):
    if losses == "own reduction" and gate == "example":
        pytest.skip("a loss that reduces its own values is weighed as a whole")

    def make(reduction):
        return bl.Blend(LOSSES[losses](), GATES[gate](), reduction=reduction)

    broken = P.copy()
    broken[3] = np.nan, np.inf
    assert_ignored(make, p=broken)
    assert_ignored(make, reduction="mean_with_sample_weight")


@pytest.mark.parametrize("losses", LOSSES)
def test_masks_leave_missing_targets_out(losses):
    assert_ignored(lambda reduction: bl.Blend(LOSSES[losses](), GATES["fixed"]()), mask=KEPT)


@pytest.mark.parametrize("gate", ["residual-state", "exponential-family", "mixture", "by-residual"])
def test_gates_that_look_at_residuals_do_not_see_missing_ones(gate):
    assert_ignored(lambda reduction: bl.Blend(penalties(), GATES[gate]()))


@pytest.mark.parametrize("execution", ["graph", "xla"])
@pytest.mark.parametrize("gate", ["fixed", "example", "mixture"])
def test_every_gate_ignores_missing_targets_in_every_regime(gate, execution):
    assert_ignored(
        lambda reduction: bl.Blend(LOSSES["keras" if gate != "mixture" else "penalties"](), GATES[gate]()), execution
    )


@pytest.mark.parametrize("execution", ["eager", "graph", "xla"])
def test_a_lazy_mode_ignores_missing_targets(execution):
    for losses in ("penalties", "keras"):
        blend = lambda reduction, losses=losses: bl.Blend(LOSSES[losses](), GATES["fixed"](), bl.modes.Hard())  # noqa: E731
        assert_ignored(blend, execution)


def test_missing_labels_of_a_class():
    labels, missing = (
        np.array([[0.0], [1.0], [1.0], [0.0]], "float32"),
        np.array([[0.0], [np.nan], [1.0], [np.nan]], "float32"),
    )
    scores = RNG.normal(size=(4, 3)).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for gate in (lambda: bl.gates.Fixed([1.0]), lambda: PerExample([[0.3]] * 4)):
        assert_ignored(lambda reduction, gate=gate: bl.Blend({"ce": loss}, gate()), y=labels, missing=missing, p=scores)


def test_outputs_have_missing_targets_of_their_own():
    blend = bl.Blend({"a": OutputLoss("a", "mse"), "b": OutputLoss("b", bl.losses.Huber())}, bl.gates.Learned())
    weights = {"a": W, "b": W[::-1].copy()}

    def run(y):
        p = {name: tf.Variable(P) for name in "ab"}
        with tf.GradientTape() as tape:
            value = blend(y, p, weights, step=0)
        return [value, *tape.gradient(value, [*p.values(), *blend.trainable_variables])]

    for one, other in zip(run({"a": MISSING, "b": MISSING[::-1]}), run({"a": Y, "b": Y[::-1]}), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    "weights", [np.ones(4, "float32"), np.array([1, 1e-3, 1, 0], "float32")], ids=["ones", "small"]
)
def test_a_target_that_counts_and_is_missing_is_nan(weights):
    for losses in LOSSES.values():
        assert not np.isfinite(bl.Blend(losses(), GATES["fixed"]())(MISSING, P, weights, step=0))


def test_a_scalar_for_the_batch_cannot_leave_an_example_out():
    blend = bl.Blend({"dice": keras.losses.Dice()}, bl.gates.Fixed([1.0]))
    assert np.isfinite(blend(np.abs(Y), np.abs(P), W))
    assert np.isnan(blend(MISSING, np.abs(P), W))


@pytest.mark.parametrize("losses", ["penalties", "keras", "functions"])
def test_the_slope_in_a_weight_of_0_is_0_where_the_target_is_missing(losses):
    make = lambda reduction: bl.Blend(LOSSES[losses](), bl.gates.Fixed([1.0, 0.0, 0.0]))  # noqa: E731
    each = ((P - Y) ** 2).mean(-1) / 4
    np.testing.assert_allclose(derivatives(make, Y, P, W)[2], each, rtol=1e-5)
    missing = np.where(np.arange(4)[:, None] == 1, np.nan, Y).astype("float32")
    np.testing.assert_allclose(derivatives(make, missing, P, W)[2], np.where(np.arange(4) == 1, 0, each), rtol=1e-5)


# Training


def trained(y, gate, **named):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)])
    model = bl.BlendedModel(network, bl.Blend(penalties(), gate()), **({"held_out": named["rule"]} if named else {}))
    model.compile(keras.optimizers.SGD(0.1), weighted_metrics=[], jit_compile=named.get("jit_compile", False))
    held_out = {"held_out_data": (P, y, W)} if named else {}
    history = model.fit(P, y, sample_weight=W, batch_size=2, epochs=2, shuffle=False, verbose=0, **held_out)
    return [*history.history.values(), *(variable.numpy() for variable in model.variables)]


@pytest.mark.parametrize("gate", [lambda: bl.gates.Learned(), lambda: bl.gates.MGDA()], ids=["learned", "mgda"])
def test_fit_learns_nothing_from_missing_targets(gate):
    for one, other in zip(trained(MISSING, gate), trained(Y, gate), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_held_out_targets_may_be_missing(jit_compile):
    rule = bl.keras.HeldOut("mse", batch_size=4)
    found = [trained(y, bl.gates.Learned, rule=rule, jit_compile=jit_compile) for y in (MISSING, Y)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
