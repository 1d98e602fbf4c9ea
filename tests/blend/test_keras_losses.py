"""Keras's losses inside a blend are what they are in Keras: their own `__call__`, reduction, masks and scalars."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.blend.instances import PerExample
from tests.executions import EXECUTIONS

RNG = np.random.default_rng(3)
Y = RNG.uniform(0.1, 0.9, size=(4, 3, 2)).astype("float32")
P = RNG.uniform(0.1, 0.9, size=(4, 3, 2)).astype("float32")
LABELS = np.array([0, 1, 1, 0])
MASKS = {
    "[batch, time]": np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], bool),
    "[batch]": [True, True, False, True],
}
WEIGHTS = {
    "[batch]": [1.0, 0.0, 3.0, 2.0],
    "[batch, 1]": [[1.0], [0.0], [3.0], [2.0]],
    "[batch, time]": RNG.uniform(size=(4, 3)),
    "scalar": 3.0,
}
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]


class Costs(keras.losses.MeanSquaredError):
    """A loss with a `__call__` of its own, which gives weights of its own to Keras's."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        costs = tf.where(tf.reduce_max(y_true, -1) > 0.5, 20.0, 1.0)
        return super().__call__(y_true, y_pred, costs if sample_weight is None else costs * sample_weight)


class OnlyACall(keras.losses.Loss):
    """A loss that has nothing but `__call__`, and reads integers as they were given."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return tf.reduce_sum((tf.one_hot(y_true, 2) - y_pred) ** 2)


class Masking(keras.losses.MeanAbsoluteError):
    """A loss that masks some of its values itself."""

    def call(self, y_true, y_pred):
        values = super().call(y_true, y_pred)
        values._keras_mask = tf.reduce_max(y_true, -1) > 0.4
        return values


def blended(loss, by_output=False, **named):
    """A blend in which `loss` counts twice, beside a penalty."""
    losses = {"own": loss, "mae": bl.losses.AbsoluteError()}
    if by_output:
        losses = {name: bl.losses.OutputLoss("out", each) for name, each in losses.items()}
    return bl.Blend(losses, bl.gates.Fixed([2.0, 0.0]), **named)


def as_given(p, mask):
    p = tf.identity(p)
    if mask is not None:
        p._keras_mask = tf.constant(mask)
    return p


def value_and_gradient(function, p, mask, execution="eager"):
    def run(p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = function(as_given(p, mask))
        return value, tape.gradient(value, p)

    return [np.array(found) for found in EXECUTIONS[execution](run)(tf.constant(p))]


def compare(loss, y, p, weights=None, mask=None, execution="eager", by_output=False, **named):
    blend = blended(loss, by_output, **named)
    whole = (lambda one: {"out": one}) if by_output else (lambda one: one)
    expected = value_and_gradient(lambda given: 2 * loss(y, given, weights), p, mask)
    found = value_and_gradient(lambda given: blend(whole(y), whole(given), weights), p, mask, execution)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-7)


LOSSES = {
    "own call": Costs,
    "mean": keras.losses.MeanSquaredError,
    "function": lambda **named: keras.losses.Huber(0.1, **named),
    "scalar": keras.losses.Dice,
    "masks itself": Masking,
}


@pytest.mark.parametrize("by_output", [False, True], ids=["blend", "output"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_reduction_is_keras_s(loss, by_output):
    for reduction in REDUCTIONS:
        compare(LOSSES[loss](reduction=reduction), Y, P, by_output=by_output)
        compare(LOSSES[loss](reduction=reduction), Y, P, WEIGHTS["[batch, time]"], by_output=by_output)


@pytest.mark.parametrize("blend_reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_reduction_of_the_blend_does_not_change_one_of_the_loss_s_own(loss, blend_reduction):
    weights = np.array([[1.0], [2.0], [0.5], [0.0]], "float32") * np.ones((1, 3), "float32")
    for reduction in REDUCTIONS:
        follows = loss != "own call" and reduction in ("sum_over_batch_size", "mean")
        expected = LOSSES[loss](reduction=blend_reduction if follows else reduction)
        blend = blended(LOSSES[loss](reduction=reduction), reduction=blend_reduction)
        np.testing.assert_allclose(blend(Y, P, weights), 2 * expected(Y, P, weights), rtol=1e-6)


@pytest.mark.parametrize("execution", ["eager", "graph", "xla"])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_and_masks_count_as_in_keras(loss, execution):
    for reduction in REDUCTIONS if execution == "eager" else ["mean_with_sample_weight"]:
        own = LOSSES[loss](reduction=reduction)
        compare(own, Y, P, mask=MASKS["[batch, time]"], execution=execution)
        compare(own, Y, P, WEIGHTS["[batch, time]"], MASKS["[batch, time]"], execution=execution)


class MeanOfAll(keras.losses.Loss):
    """A scalar of the whole batch, as Keras wraps a function that returns one."""

    def call(self, y_true, y_pred):
        return tf.reduce_mean((y_true - y_pred) ** 2)


@pytest.mark.parametrize("mask", [None, *MASKS])
@pytest.mark.parametrize("weights", [None, *WEIGHTS])
def test_a_scalar_takes_weights_and_masks_of_every_rank(weights, mask):
    if {weights, mask} == {"[batch]", "[batch, time]"}:
        pytest.skip("Keras multiplies the two without bringing their axes together")
    given = None if weights is None else np.array(WEIGHTS[weights], "float32")
    where = None if mask is None else MASKS[mask]
    for reduction in REDUCTIONS:
        compare(keras.losses.Dice(reduction=reduction), Y, P, given, where, reduction=reduction)
        function = blended(lambda y, p: tf.reduce_mean((y - p) ** 2), reduction=reduction)
        expected = 2 * MeanOfAll(reduction=reduction)(Y, as_given(P, where), given)
        np.testing.assert_allclose(function(Y, as_given(P, where), given), expected, rtol=1e-6)


@pytest.mark.parametrize("loss", ["own call", "scalar"])
def test_a_batch_of_unknown_size_makes_no_difference(loss):
    own, weights = LOSSES[loss](reduction="mean_with_sample_weight"), tf.constant(WEIGHTS["[batch, time]"], tf.float32)
    unknown = [tf.TensorSpec([None, 3, 2]), tf.TensorSpec([None, 3, 2]), tf.TensorSpec([None, 3])]
    blend = blended(own)
    found = tf.function(lambda *given: blend(*given), input_signature=unknown, autograph=False)(Y, P, weights)
    np.testing.assert_allclose(found, 2 * own(Y, P, weights), rtol=1e-6)


class CostCCE(keras.losses.CategoricalCrossentropy):
    def __init__(self, cost, **named):
        super().__init__(**named)
        self.cost = tf.constant(cost)

    def __call__(self, y_true, y_pred, sample_weight=None):
        at = tf.stack([tf.argmax(y_true, 1), tf.argmax(y_pred, 1)], 1)
        return super().__call__(y_true, y_pred, tf.gather_nd(self.cost, at))


def test_costs_of_a_loss_with_a_call_of_its_own():
    y, p = np.array([[0.0, 1.0], [1.0, 0.0]], "f4"), np.array([[0.9, 0.1], [0.8, 0.2]], "f4")
    losses = {"cost": CostCCE([[1.0, 1.0], [20.0, 1.0]]), "mse": "mse"}
    right = (-20 * np.log(0.1) - np.log(0.8)) / 2
    for mode in (bl.modes.Soft(), bl.modes.Hard()):
        np.testing.assert_allclose(bl.Blend(losses, bl.gates.Fixed([1.0, 0.0]), mode)(y, p), right, rtol=1e-6)
    both = bl.Blend(losses, bl.gates.Tchebycheff([0.5, 0.5]))  # reads the losses before it weighs them
    np.testing.assert_allclose(both.compute(y, p, step=0).losses[0], right, rtol=1e-6)


def test_a_loss_that_has_nothing_but_a_call_reads_integers():
    blend = bl.Blend({"own": OnlyACall()}, bl.gates.Fixed([2.0]))
    np.testing.assert_allclose(blend(LABELS, P[:, 0]), 2 * OnlyACall()(LABELS, P[:, 0]))


@pytest.mark.parametrize("weights", [None, WEIGHTS["[batch]"]], ids=["plain", "weighted"])
@pytest.mark.parametrize("masked", [False, True], ids=["full", "masked"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_values_that_are_not_reduced_are_reduced_as_the_blend_is(reduction, masked, weights):
    given = None if weights is None else np.array(weights, "float32")[:, None] * np.ones((1, 3), "float32")
    where = MASKS["[batch, time]"] if masked else None
    found = blended(Costs(reduction="none"), reduction=reduction)(Y, as_given(P, where), given)
    values = np.array(Costs(reduction="none")(Y, P, given))
    kept: Any = np.ones((4, 3)) if where is None else where
    number = {"sum": 1, "sum_over_batch_size": kept.sum()}.get(
        reduction, (kept * (1 if given is None else given)).sum()
    )
    np.testing.assert_allclose(found, 2 * (values * kept).sum() / number, rtol=1e-6)


def test_labels_that_a_crossentropy_ignores_are_not_counted():
    labels = np.array([[0, -1, 1], [1, 1, -1], [0, 0, 0], [-1, -1, 1]])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    expected = float(loss(labels, P))
    named = {"ce": loss, "again": keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)}
    for gate in (bl.gates.Fixed([1.0, 1.0]), PerExample([[0.3, -0.2]] * 4)):
        value = bl.Blend(named, gate)(labels, P)
        np.testing.assert_allclose(value, expected * (1 if isinstance(gate, PerExample) else 2), rtol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [Costs(), Costs(reduction="none"), keras.losses.MeanSquaredError(reduction="sum")],
    ids=["call", "none", "sum"],
)
def test_a_loss_that_reduces_its_own_values_cannot_be_weighed_by_example(loss):
    with pytest.raises(ValueError, match="The loss 'own' reduces its own values: neither a gate.*Received: "):
        bl.Blend({"own": loss, "mae": "mae"}, PerExample([[0.0, 0.0]] * 4))(Y, P)
    with pytest.raises(ValueError, match="nor a blend that does not reduce"):
        blended(loss, reduction="none")(Y, P)
    with pytest.raises(ValueError, match="must have values of one shape"):
        bl.Blend({"dice": keras.losses.Dice(), "mae": "mae"}, PerExample([[0.0, 0.0]] * 4))(Y, P)


def test_a_mean_by_sample_weight_is_the_mean_without_weights():
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    blend = bl.Blend({"own": loss, "mse": "mse"}, PerExample([[0.3, -0.2]] * 4))
    np.testing.assert_allclose(blend(Y, P), loss(Y, P), rtol=1e-6)
    with pytest.raises(ValueError, match="reduces its own values"):
        blend(Y, P, WEIGHTS["[batch]"])


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize("loss", [Costs(), keras.losses.MeanSquaredError(reduction="sum")], ids=["call", "sum"])
def test_replicas_share_a_loss_that_reduces_itself(replicas, loss, reduction):
    blend = blended(loss, reduction=reduction)
    found, expected = (
        replicas.experimental_local_results(replicas.run(function, (tf.constant(Y), tf.constant(P))))
        for function in (blend, lambda y, p: 2 * loss(y, p))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def network_that_masks():
    network = keras.Sequential([keras.layers.Input((3, 2)), keras.layers.Masking(), keras.layers.Dense(2)])
    network.layers[-1].set_weights([np.array([[0.5, 0.1], [0.2, 0.4]]), np.array([0.1, 0.2])])
    return network


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_fit_trains_a_masked_network_as_keras_does(loss, reduction):
    x = P.copy()
    x[0, 1:] = x[2, 2:] = 0  # which is masked
    weights = np.array(WEIGHTS["[batch, time]"], "float32")
    plain, network = network_that_masks(), network_that_masks()
    model = bl.BlendedModel(network, bl.Blend({"own": LOSSES[loss](reduction=reduction)}, bl.gates.Fixed([1.0])))
    plain.compile(keras.optimizers.SGD(0.1), loss=LOSSES[loss](reduction=reduction))
    model.compile(keras.optimizers.SGD(0.1))
    histories = [
        one.fit(x, Y, sample_weight=weights, batch_size=2, epochs=2, shuffle=False, verbose=0) for one in (plain, model)
    ]
    np.testing.assert_allclose(histories[1].history["loss"], histories[0].history["loss"], rtol=1e-5)
    for one, other in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
