"""One training step in which the gate follows a held-out loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.look_ahead import dense, pulled_back, step_along
from blendloss._internal.half_precision import within_range
from blendloss._internal.replicas import sum_over_replicas
from blendloss._internal.step import integer_step
from blendloss.keras._log_loss import log_loss


def held_out_step(model: Any, data: Any) -> Any:
    """One step of `model`, a `BlendedModel` with the rule `held_out`; what Keras's own step gives, logs included."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss, once = model.blended_loss(x, y, y_pred, sample_weight, training=True)
            scaled = model.optimizer.scale_loss(loss)
        gate = model.blend.gate.trainable_variables  # the first call may have created them
        trained = [v for v in model.trainable_variables if not _among(v, gate)]
        slopes = tape.gradient(scaled, trained)
        densely = [dense(slope) for slope in slopes]
        scaled_once = model.optimizer.scale_loss(once)
    log_loss(model, loss, x)

    one = tf.ones([])
    scale = model.optimizer.scale_loss(one)
    scale = None if scale is one else scale
    rate = model.optimizer.learning_rate if model.held_out.rate is None else model.held_out.rate
    rate = tf.convert_to_tensor(rate)
    weights = [tf.convert_to_tensor(variable.value) for variable in trained]
    direction, length = _held_out_direction(model, trained, weights, densely, rate, scale)
    through = _pulled_in_range(outer, densely, direction, gate, scale)
    if all(part is None for part in through):
        raise ValueError(
            "Nothing that trains in the gate acts on the training loss, so that the held-out loss cannot train it. "
            f"Received: the gate {model.blend.gate.name!r}"
        )
    directly = outer.gradient(scaled_once, gate)
    del outer
    gradients = list(zip(map(_after_reading, weights, slopes), trained, strict=True))
    for variable, part, own in zip(gate, through, directly, strict=True):
        moved = None if part is None else -tf.cast(rate * length, part.dtype) * part
        gradients.append((own if moved is None else moved if own is None else moved + own, variable))
    model.optimizer.apply_gradients(gradients)
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _held_out_direction(
    model: Any,
    trained: list[Any],
    weights: list[tf.Tensor],
    slopes: list[Any],
    rate: tf.Tensor,
    scale: tf.Tensor | None,
) -> tuple[list[Any], tf.Tensor]:
    """dT/dw at the look-ahead step (or at w, for order 1), as a unit direction and its length.

    What goes back through the network a second time is the direction: in half precision the slopes themselves, times a
    learning rate, would underflow.
    """
    at = weights
    if model.held_out.order == 2:
        total = _times(_summed_over_replicas(slopes), 1.0 if scale is None else 1 / scale)
        at = [w if s is None else step_along(w, s, rate) for w, s in zip(at, total, strict=True)]
    x, y, sample_weight = model.held_out_data.batch(
        integer_step(model.step), model.held_out.batch_size, model.held_out.seed
    )
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as probe:
        probe.watch(at)
        with keras.StatelessScope(state_mapping=list(zip(trained, at, strict=True))):
            target = {"target": model.held_out.target}
            read = model.by_name(y, model(x, training=False), sample_weight, losses=target)
            (aim,) = model.held_out.losses.read(*read, added=None).means()

    def backward(factor: Any) -> list[tf.Tensor | None]:
        seed = tf.cast(factor if scale is None else factor * scale, aim.dtype)
        return [dense(slope) for slope in probe.gradient(aim, at, output_gradients=seed)]

    towards = _in_range(backward, scale)
    if all(slope is None for slope in towards):
        raise ValueError(
            "The held-out target must depend on the network's trainable weights. "
            f"Received: target={model.held_out.target!r}"
        )
    length = tf.linalg.global_norm([slope for slope in towards if slope is not None])
    unit = [None if s is None else tf.math.divide_no_nan(s, tf.cast(length, s.dtype)) for s in towards]
    return unit, length if scale is None else length / tf.cast(scale, length.dtype)


def _pulled_in_range(
    tape: tf.GradientTape, slopes: list[Any], directions: list[Any], gate: list[Any], scale: tf.Tensor | None
) -> list[Any]:
    return _in_range(lambda factor: pulled_back(tape, slopes, _times(directions, factor), gate), scale)


def _in_range(backward: Callable[[Any], list[Any]], scale: tf.Tensor | None) -> list[Any]:
    """`backward(1.0)`; by a smaller factor where a loss scale, which is chosen for the blended loss, overflows."""
    return backward(1.0) if scale is None else within_range(backward)[0]


def _after_reading(weight: tf.Tensor, slope: Any) -> Any:
    """`slope`, from which the update of a variable follows, tied to `weight`, another reading of the variable.

    TensorFlow's optimizer of graphs (2.21) drops the order of a read and an update where no value leads from the one to
    the other: now and then the look-ahead step started from weights that were updated already.
    """
    if slope is None:
        return None
    if isinstance(slope, tf.IndexedSlices):
        return tf.IndexedSlices(_after_reading(weight, slope.values), slope.indices, slope.dense_shape)
    known = tf.reduce_all(tf.equal(weight, weight))  # False for NaN, whose slope is NaN too
    return tf.where(known, slope, tf.constant(float("nan"), slope.dtype))


def _times(gradients: list[Any], factor: Any) -> list[Any]:
    return [None if gradient is None else gradient * tf.cast(factor, gradient.dtype) for gradient in gradients]


def _summed_over_replicas(slopes: list[Any]) -> list[Any]:
    """The slopes of the whole batch: each replica has those of its share."""
    total = iter(sum_over_replicas([slope for slope in slopes if slope is not None]))
    return [None if slope is None else next(total) for slope in slopes]


def _among(variable: Any, variables: list[Any]) -> bool:
    return any(variable is other for other in variables)
