"""The training rule of `HeldOut`: the network follows the blended loss, the gate a loss of held-out data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.blend import Blend
from blendloss._blend.look_ahead import dense, pulled_back, step_along
from blendloss._internal.half_precision import within_range
from blendloss._internal.replicas import sum_over_replicas
from blendloss._internal.step import integer_step
from blendloss.gates import Needs
from blendloss.keras._held_out import HeldOut
from blendloss.keras._held_out_data import HeldOutData
from blendloss.keras._log_loss import log_loss
from blendloss.keras._requirements import nothing_trains
from blendloss.keras._targets import match_outputs
from blendloss.keras._trainable import Trainable


class HeldOutRule:
    """The network follows the blended loss; what trains in the gate follows `held_out`, by the data that are set."""

    def __init__(self, held_out: HeldOut) -> None:
        if not isinstance(held_out, HeldOut):
            raise TypeError(f"`held_out` must be a HeldOut, such as HeldOut('mae'). Received: held_out={held_out!r}")
        self.held_out = held_out
        self._data: HeldOutData | None = None

    def check(self, blend: Blend, overrides_compute_loss: bool) -> None:
        """Raises if the gate has another rule or does not train, or if the model has a loss of its own."""
        if Needs.GRADIENTS in blend.gate.needs or Needs.PROGRESS in blend.gate.needs:
            raise ValueError(f"`held_out` trains the gate; {blend.gate.name!r} has a rule of its own. Received: both")
        if overrides_compute_loss:
            raise TypeError("`held_out` trains on the blend's own loss: override `blended_loss`, not `compute_loss`.")
        frozen = not (blend.trainable and blend.gate.trainable)  # a model that was saved so must load
        if not frozen:
            _require_trainable(blend)

    def set_data(self, data: Any, strategy: tf.distribute.Strategy) -> bool:
        """Keeps `data` in memory; whether a step that is traced already can take them."""
        if self._data is not None and self._data.take(data):
            return True
        with strategy.scope():
            self._data = HeldOutData(data)
        return False

    def require_ready(self, blend: Blend) -> None:
        """Raises if there are no held-out data, or nothing that trains by them."""
        _require_trainable(blend)
        self._require_data()

    def require_whole_step(self, blend: Blend) -> None:
        """Raises: by the gradient of `compute_loss` the gate would not follow the held-out loss."""
        raise ValueError(
            "The gate follows the held-out loss: let `train_step` call `super().train_step(data)`. By "
            "`compute_loss` it would follow the training loss. Received: held_out, and a call of `compute_loss`"
        )

    def step(self, model: Trainable, data: Any) -> dict[str, Any]:
        """One step of network and gate, both from the same weights; gives the logs of Keras's step."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        optimizer = model.optimizer
        with tf.GradientTape(persistent=True) as outer:
            with tf.GradientTape() as tape:
                y_pred = model(x, training=True)
                loss, once = model.blended_loss(x, y, y_pred, sample_weight, training=True)
                scaled = optimizer.scale_loss(loss)
            gate = model.blend.gate.trainable_variables  # the first call may have created them
            trained = [v for v in model.trainable_variables if not _among(v, gate)]
            slopes = tape.gradient(scaled, trained)
            densely = [dense(slope) for slope in slopes]
            scaled_once = optimizer.scale_loss(once)
        log_loss(model, loss, x)

        one = tf.ones([])
        scale = optimizer.scale_loss(one)
        scale = None if scale is one else scale
        rate = tf.convert_to_tensor(optimizer.learning_rate if self.held_out.rate is None else self.held_out.rate)
        weights = [tf.convert_to_tensor(variable.value) for variable in trained]
        at = weights if self.held_out.order == 1 else _look_ahead(weights, densely, rate, scale)
        direction, length = self._held_out_direction(model, trained, at, scale)
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
        optimizer.apply_gradients(gradients)
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def _held_out_direction(
        self, model: Trainable, trained: list[keras.Variable], at: list[tf.Tensor], scale: tf.Tensor | None
    ) -> tuple[list[tf.Tensor | None], tf.Tensor]:
        """dT/dw where the trained variables have the values `at`, as a unit direction and its length.

        What goes back through the network a second time is the direction: in half precision the slopes themselves,
        times a learning rate, would underflow.
        """
        held_out = self.held_out
        x, y, sample_weight = self._require_data().batch(integer_step(model.step), held_out.batch_size, held_out.seed)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as probe:
            probe.watch(at)
            # In this scope the network reads the values `at`; its variables keep their own.
            with keras.StatelessScope(state_mapping=list(zip(trained, at, strict=True))):
                target = {"target": held_out.target}
                matched = match_outputs(target, model.network, y, model(x, training=False), sample_weight)
                (aim,) = held_out.losses.bind(*matched, added=None).means()

        def backward(factor: Any) -> list[tf.Tensor | None]:
            seed = tf.cast(factor if scale is None else factor * scale, aim.dtype)
            return [dense(slope) for slope in probe.gradient(aim, at, output_gradients=seed)]

        towards = _in_range(backward, scale)
        if all(slope is None for slope in towards):
            raise ValueError(
                "The held-out target must depend on the network's trainable weights. "
                f"Received: target={held_out.target!r}"
            )
        length = tf.linalg.global_norm([slope for slope in towards if slope is not None])
        unit = [None if s is None else tf.math.divide_no_nan(s, tf.cast(length, s.dtype)) for s in towards]
        return unit, length if scale is None else length / tf.cast(scale, length.dtype)

    def _require_data(self) -> HeldOutData:
        if self._data is None:
            raise ValueError(
                "The gate is trained on held-out data: pass `held_out_data=(x, y)` to `fit`, or call "
                "`set_held_out_data`. Received: none"
            )
        return self._data


def _require_trainable(blend: Blend) -> None:
    if not blend.gate.trainable_variables:
        raise ValueError(nothing_trains("held_out", "gate", blend.gate))


def _look_ahead(
    weights: list[tf.Tensor], slopes: list[tf.Tensor | None], rate: tf.Tensor, scale: tf.Tensor | None
) -> list[tf.Tensor]:
    """The weights after a step of gradient descent on the loss of the whole batch."""
    total = _times(_summed_over_replicas(slopes), 1.0 if scale is None else 1 / scale)
    return [w if s is None else step_along(w, s, rate) for w, s in zip(weights, total, strict=True)]


def _pulled_in_range(
    tape: tf.GradientTape,
    slopes: list[tf.Tensor | None],
    directions: list[tf.Tensor | None],
    gate: list[keras.Variable],
    scale: tf.Tensor | None,
) -> list[tf.Tensor | None]:
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
