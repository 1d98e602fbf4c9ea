"""The calls of a blend, its losses and its gates, of records and of functions."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from tests.fuzz.subjects import LOGITS, LOSSES, New, P, Y, subject

_Y, _P, _W = ("tensor", Y), ("tensor", P), ("tensor?", tf.ones([6]))
_OUTPUT = ("output", Y)  # which may be the one output of a dict, as in Keras
_STEP, _TRAINING = ("step?", 3), ("boolean", True)
_FIXED = New(lambda: bl.gates.Fixed([1.0, 2.0]))
_VALUES = {"mse": tf.constant(1.0), "mae": tf.constant(2.0)}
BLENDS = {
    "penalties": bl.Blend(LOSSES, bl.gates.Learned()),
    "keras": bl.Blend({"mse": "mse", "mae": keras.losses.MeanAbsoluteError()}, bl.gates.Learned()),
    "scheduled": bl.Blend(LOSSES, bl.gates.Scheduled(bl.schedules.linear(0.0, 1.0, steps=9)), bl.modes.Hard()),
    "unreduced": bl.Blend(LOSSES, bl.gates.Learned(), reduction="none"),
    "by residual": bl.Blend(LOSSES, bl.gates.ByResidual([1.0])),
}
for _name, _blend in BLENDS.items():
    subject(
        f"Blend.__call__ ({_name})", _blend, y_true=_OUTPUT, y_pred=("output", P), sample_weight=("output?", _W[1]),
        step=_STEP, training=_TRAINING,
    )  # fmt: skip
_LEARNED = BLENDS["penalties"]
subject("Blend.values", _LEARNED.values, y_true=_OUTPUT, y_pred=("output", P), sample_weight=("output?", _W[1]))
subject("Blend.residuals", _LEARNED.residuals, y_true=_OUTPUT, y_pred=("output", P))
subject("Blend.combine", _LEARNED.combine, values=("object", _VALUES), step=_STEP, training=_TRAINING)
subject(
    "Blend.combine of one", lambda value, step: _LEARNED.combine({**_VALUES, "mse": value}, step=step),
    value=("tensor", tf.constant(1.0)), step=_STEP,
)  # fmt: skip
subject("Blend.diagnose", _LEARNED.diagnose, output=("object?", None), step=_STEP, held_out=("boolean", False),
        threshold=("number", 0.9))  # fmt: skip
subject("Blend.as_keras_loss", lambda step: bl.Blend(LOSSES, _FIXED.make()).as_keras_loss(step)(Y, P), step=_STEP)
subject(
    "Blend", lambda losses, gate, mode, reduction: bl.Blend(losses, gate, mode, reduction=reduction)(Y, P),
    losses=("losses", LOSSES), gate=("object", _FIXED), mode=("object?", None), reduction=("choice?", "sum"),
)  # fmt: skip
subject("Blend of one loss", lambda loss: bl.Blend({"a": loss}, bl.gates.Fixed([1.0]))(Y, P), loss=("loss", "mse"))


def _gradients(**named):
    variable = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        values = _LEARNED.values(Y, P * variable)
    given = {"tape": tape, "values": values, "variables": [variable, *_LEARNED.trainable_variables], "step": 0}
    return _LEARNED.gradients(**{**given, **named})


for _argument, _kind in {"tape": "object", "values": "object", "variables": "object", "residuals": "object?"}.items():
    subject(f"Blend.gradients, {_argument}", _gradients, **{_argument: (_kind, None if "?" in _kind else "right")})
subject("Blend.gradients", _gradients, step=("step", 3), scale=("scale?", None))

_MATCHING = bl.Blend(LOSSES, bl.gates.ScoreMatching()).gate
subject("gates.ScoreMatching.observe", _MATCHING.observe, residuals=_P, sample_weight=("tensor?", P**2))

_PENALTY = bl.losses.Huber()
subject("losses.Penalty.__call__", _PENALTY, y_true=_Y, y_pred=_P)
for _method in ("value", "slope", "value_and_slope"):
    subject(f"losses.Penalty.{_method}", getattr(_PENALTY, _method), residual=_P)
subject("losses.Penalty.tuned", bl.losses.Huber.tuned, efficiency=("number", 0.95))
subject("losses.AdaptiveBarron.__call__", bl.losses.AdaptiveBarron(), y_true=_Y, y_pred=_P)
subject(
    "losses.OutputLoss.__call__",
    lambda y_true, y_pred: bl.losses.OutputLoss("a", "mse")({"a": y_true}, {"a": y_pred}),
    y_true=_Y,
    y_pred=_P,
)
subject("losses.Columns.__call__", bl.losses.Columns(bl.losses.Huber(), [0, 1]), y_true=_Y, y_pred=_P)
for _mode in (bl.modes.Soft(), bl.modes.Annealed(2.0, seed=1), bl.modes.Hard(), bl.modes.StraightThrough(),
              bl.modes.GumbelStraightThrough(1), bl.modes.ReinMax(1)):  # fmt: skip
    _needed = "step" if _mode.needs_step else "step?"
    subject(f"modes.{type(_mode).__name__}.__call__", _mode, logits=("tensor", LOGITS), step=(_needed, 3),
            training=_TRAINING)  # fmt: skip
subject("modes.Mode.__call__", bl.modes.Soft(bl.modes.sparsemax), logits=("tensor", LOGITS))
subject("modes.Estimator.__call__", bl.modes.Hard(), logits=("tensor", LOGITS))

_SCHEDULES = {
    "schedules.Schedule.__call__": bl.schedules.linear(0.0, 1.0, steps=9),
    "schedules.wrap of a Keras schedule": bl.schedules.wrap(keras.optimizers.schedules.CosineDecay(1.0, 10)),
    "schedules.cyclic.__call__": bl.schedules.cyclic(1.0, period=4),
}
for _name, _schedule in _SCHEDULES.items():
    subject(_name, _schedule, step=("step", 3))

_ENTROPY = bl.gates.regularizers.Entropy(1.0)
subject("gates.regularizers.Regularizer.__call__", _ENTROPY, shares=("tensor", [0.5, 0.5]), step=_STEP)
subject("gates.statistics.Statistic.__call__", bl.gates.statistics.MeanAbsolute(), residual=_P,
        counted=("tensor?", tf.ones([6, 2], tf.bool)))  # fmt: skip


def _attached(gate, losses=LOSSES):
    bl.Blend(losses, gate)
    return gate


_FAMILY = _attached(bl.gates.ExponentialFamily())
_MIXTURE = _attached(bl.gates.Mixture([1.0, 2.0]))
_BANDIT = _attached(bl.gates.Exp3(0.1, seed=1, same_batch=True))
subject("gates.ExponentialFamily.interval", _FAMILY.interval, y_pred=_P, level=("number", 0.9))
subject("gates.Mixture.responsibilities", _MIXTURE.responsibilities, residual=_P)
subject("gates.Manual.assign", _attached(bl.gates.Manual([1.0, 2.0])).assign, weights=("tensor", [1.0, 2.0]))
for _gate in (bl.gates.Plateau("m"), bl.gates.Threshold("m", [1.0])):
    subject(f"gates.{type(_gate).__name__}.observe", _attached(_gate).observe, metric=("tensor", 1.0))
subject("gates.MetricGate.observe", _attached(bl.gates.Plateau("m")).observe, metric=("tensor", 1.0))
_LEARNED_BANDIT = bl.Blend(LOSSES, _BANDIT)
subject(
    "gates.Gate.observe_progress",
    lambda values: (_LEARNED_BANDIT(Y, P, step=0), _BANDIT.observe_progress(values))[1],
    values=("tensor", [1.0, 2.0]),
)


def _loss_gradients(**named):
    variable = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(variable**2), tf.reduce_sum(variable)]
    given = {"tape": tape, "losses": losses, "variables": [variable], **named}
    return bl.gates.LossGradients(**given).gram()


for _argument in ("tape", "losses", "variables"):
    subject(f"gates.LossGradients, {_argument}", _loss_gradients, **{_argument: ("object", None)})
subject("gates.LossGradients", _loss_gradients, measured=("patterns", "shared"))


def _look_ahead(**named):
    w, a = tf.Variable(1.0), tf.Variable(0.5)
    given = {"loss": lambda v: a * v[0] ** 2, "target": lambda v: v[0] ** 2, "parameters": [w], "gate_variables": [a]}
    return bl.look_ahead_gradient(**{**given, "rate": 0.1, **named})


subject("look_ahead_gradient", _look_ahead, rate=("step", 0.1), order=("choice", 2))
for _argument, _kind in {
    "loss": "function", "target": "function", "parameters": "object", "gate_variables": "object"
}.items():  # fmt: skip
    subject(f"look_ahead_gradient, {_argument}", _look_ahead, **{_argument: (_kind, None)})


def _fit(**named):
    blend = bl.Blend({"a": bl.losses.SquaredError()}, bl.gates.Uncertainty())
    given = {"blend": blend, "y_true": Y, "y_pred": P, "max_iterations": 1}
    return tuple(bl.fit_gate(**{**given, **named}))


for _argument, _argument_kind in {
    "blend": "object!", "y_true": "output!", "y_pred": "output!", "sample_weight": "output!?", "variables": "object!?",
    "tolerance": "number!", "max_iterations": "integer!",
}.items():  # fmt: skip
    subject(f"fit_gate, {_argument}", _fit, **{_argument: (_argument_kind, None)})


def _compare(**named):
    return bl.compare_losses(**{"losses": LOSSES, "resamples": 100, **named}).location


_RESIDUALS = np.linspace(-3, 5, 40)
subject("compare_losses", _compare, residuals=("tensor", _RESIDUALS))
subject("compare_losses, y_true", _compare, y_true=("tensor", _RESIDUALS), y_pred=("tensor", 0 * _RESIDUALS))
for _argument, _argument_kind in {
    "losses": "object!?", "sample_weight": "tensor!?", "groups": "object!?", "block": "integer!?", "level": "number!",
    "resamples": "integer!", "seed": "integer!",
}.items():  # fmt: skip
    subject(
        f"compare_losses, {_argument}", lambda **named: _compare(residuals=_RESIDUALS, **named),
        **{_argument: (_argument_kind, None)},
    )  # fmt: skip


subject(
    "gates.least_variance_weights", bl.gates.least_variance_weights,
    second=("tensor", np.array([[1.0, 0.5], [0.5, 1.0]])), curvature=("tensor", np.array([1.0, 0.8])),
)  # fmt: skip


def _network():
    return keras.Sequential([keras.Input([2]), keras.layers.Dense(2)])


for _room in ("", "keras."):
    subject(
        f"{_room}BlendedModel", lambda **named: bl.BlendedModel(**named)(P),
        network=("layer", New(_network)), blend=("object", New(lambda: bl.Blend(LOSSES, bl.gates.Learned()))),
        held_out=("object?", None),
    )  # fmt: skip


def _held_out(x, y):
    model = bl.BlendedModel(_network(), bl.Blend(LOSSES, bl.gates.Learned()), held_out=bl.keras.HeldOut("mse"))
    model.set_held_out_data((x, y))


subject("keras.BlendedModel.set_held_out_data", _held_out, x=("data", np.asarray(P)), y=("data", np.asarray(Y)))
