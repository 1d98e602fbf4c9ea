"""The Keras model whose loss is a blend."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend import Blend
from blendloss._reduction import per_replica
from blendloss._serialization import deserialize, register, serialize
from blendloss._step import as_step
from blendloss.gates import MetricGate
from blendloss.keras._build import build_before_tracing
from blendloss.keras._metric_monitor import MetricMonitor
from blendloss.keras._readings import Latest, MeanOfEvaluated


@register
class BlendedModel(keras.Model):
    """A Keras model that trains a network, and what trains in a blend, on the blended loss.

    The loss is L = blend(y, network(x), step) plus the network's regularisation losses. `step` counts the optimizer's
    updates; it is a weight of the model, so that schedules go on where a saved model stopped, and survive compiling
    again. `history` holds `gate/<name>`, the weight at the end of each epoch, and `loss/<name>`, its mean value (NaN
    where it was not evaluated); `cost` what the gate itself adds, if it adds something. Gates that watch a metric
    observe it after every epoch by themselves; gates that choose by features are given the network's inputs.

    Args:
        network: any Keras model or layer: Sequential, Functional or subclassed; used as it is.
        blend: the blend. Under `tf.distribute`, create network, blend and model in the strategy's scope.
        name: the model's name.

    Returns:
        A `keras.Model` for `compile` (without `loss`), `fit`, `evaluate`, `predict` and `save`; calling it is calling
        the network.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: from `compile`, if a loss is given; from `fit`, if a gate watches a validation metric and there is
            no validation.

    Example:
        >>> import numpy as np, keras, blendloss as bl
        >>> keras.utils.set_random_seed(0)
        >>> gate = bl.gates.Scheduled(bl.schedules.switch_at(4))
        >>> blend = bl.Blend({"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber()}, gate=gate)
        >>> model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
        >>> model.compile("adam")
        >>> history = model.fit(np.ones((64, 3)), np.ones((64, 1)), epochs=3, verbose=0)
        >>> history.history["gate/huber"]
        [0.0, 0.0, 1.0]

    References:
        none.

    Deviations:
        none.
    """

    def __init__(self, network: keras.Layer, blend: Blend, *, name: str | None = None) -> None:
        super().__init__(name=name)
        if not isinstance(network, keras.Layer):
            raise TypeError(f"`network` must be a Keras model or layer. Received: network={network!r}")
        if not isinstance(blend, Blend):
            raise TypeError(f"`blend` must be a Blend. Received: blend={blend!r}")
        if blend.reduction in ("none", None):
            raise ValueError(f"`blend` must reduce to a scalar. Received: reduction={blend.reduction!r}")
        self.network = network
        self.blend = blend
        self.step = self._count("step")
        self.read_at = self._count("read_at")  # the step of the last reading in training
        self._loss_readings = [MeanOfEvaluated(name=f"loss/{name}") for name in blend.names]
        self._gate_readings = [Latest(name=f"gate/{name}") for name in blend.names]
        self._cost_readings = [MeanOfEvaluated(name="cost")] if blend.gate.has_cost else []
        if network.built:
            self.built = True

    def _count(self, name: str) -> Any:
        return self.add_weight(
            name=name, shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation="only_first_replica"
        )

    def build(self, input_shape: Any) -> None:
        """Builds the network for `input_shape`."""
        if not self.network.built:
            self.network.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The network's output."""
        return self.network(inputs, training=training)

    def compile(self, *arguments: Any, **named: Any) -> None:
        """As `keras.Model.compile`, without a loss."""
        given = inspect.signature(super().compile).bind(*arguments, **named).arguments
        for name in ("loss", "loss_weights"):
            if given.get(name) is not None:
                raise ValueError(f"`{name}` is the blend's business: compile without it. Received: {given[name]!r}")
        super().compile(*arguments, **named)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was; Keras leaves this to models with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def fit(self, *arguments: Any, **named: Any) -> Any:
        """As `keras.Model.fit`; a gate that watches a metric observes it after every epoch."""
        given = inspect.signature(super().fit).bind(*arguments, **named).arguments
        gate = self.blend.gate
        if isinstance(gate, MetricGate):
            validated = given.get("validation_data") is not None or given.get("validation_split")
            if gate.monitor.startswith("val_") and not validated:
                raise ValueError(
                    f"The gate {gate.name!r} watches {gate.monitor!r}: pass `validation_data=` or `validation_split=`. "
                    "Received: neither"
                )
            given["callbacks"] = _monitored(given.get("callbacks"), gate)
        if not self.run_eagerly:
            build_before_tracing(self, given.get("x"), given.get("y"), given.get("sample_weight"))
        return super().fit(**given)

    def train_step(self, data: Any) -> Any:
        """One step of training; `step` moves as the optimizer's updates do."""
        before = self._updates()
        logs = super().train_step(data)
        self.step.assign(tf.convert_to_tensor(self.step) + self._updates() - before)
        return logs

    def _updates(self) -> tf.Tensor:
        """How often the optimizer has updated the weights; one that scales the loss wraps the one that counts."""
        optimizer: Any = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        return as_step(optimizer.iterations)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> tf.Tensor:
        """The blended loss plus regularisation losses."""
        features = x if self.blend.gate.needs_features else None
        reading = self.blend.read(y, y_pred, sample_weight, step=self.step, training=training, features=features)
        if training:
            self.read_at.assign(self.step)
        number = tf.shape(y_pred)[0]
        for k, (loss, gate) in enumerate(zip(self._loss_readings, self._gate_readings, strict=True)):
            unread = tf.math.is_nan(reading.losses[k]) & (reading.weights[k] == 0)
            loss.update_state(reading.losses[k], tf.where(unread, 0, number))
            gate.update_state(reading.weights[k])
        for cost in self._cost_readings:
            cost.update_state(reading.cost, number)
        total = reading.value
        for loss in self.losses:
            total += per_replica(tf.cast(tf.reduce_sum(loss), total.dtype), "mean")
        return total

    def export(self, *arguments: Any, **named: Any) -> Any:
        """As `keras.Model.export`: the network alone, which is what predicts."""
        if not isinstance(self.network, keras.Model):
            raise ValueError(f"Only a network that is a `keras.Model` can be exported. Received: {self.network!r}")
        return self.network.export(*arguments, **named)

    def get_config(self) -> dict[str, Any]:
        return {
            "network": serialize(self.network),
            "blend": serialize(self.blend),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BlendedModel:
        model = cls(deserialize(config["network"]), deserialize(config["blend"]), name=config["name"])
        if not config["trainable"]:  # True would undo what is frozen inside
            model.trainable = False
        return model


def _monitored(callbacks: Any, gate: MetricGate) -> Any:
    """`callbacks` with a monitor for `gate`, unless there is one."""
    made = isinstance(callbacks, keras.callbacks.CallbackList)
    held = callbacks.callbacks if made else tf.nest.flatten([] if callbacks is None else callbacks)
    if not any(isinstance(callback, MetricMonitor) and callback.gate is gate for callback in held):
        held.insert(0, MetricMonitor(gate))  # first, so that a callback that saves the model saves the gate's new state
    return callbacks if made else held
