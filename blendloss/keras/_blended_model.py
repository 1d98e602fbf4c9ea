"""The Keras model whose loss is a blend."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.blend import Blend
from blendloss._blend.output import BlendOutput
from blendloss._internal.custom_gradient import gradients_freed_with_graph
from blendloss._internal.reductions import per_replica
from blendloss._internal.seeds import SavesSeeds
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates import MetricGate, Needs
from blendloss.keras._added_losses import added_values, without_added
from blendloss.keras._blend_metrics import BlendMetrics
from blendloss.keras._build import build_before_tracing, build_by_call
from blendloss.keras._gate_optimizer import assign_optimizers
from blendloss.keras._gradient_step import gradient_step
from blendloss.keras._held_out import HeldOut
from blendloss.keras._held_out_data import HeldOutData
from blendloss.keras._held_out_step import held_out_step
from blendloss.keras._metric_monitor import monitored
from blendloss.keras._of_network import OfNetwork, check_network, input_shape_of
from blendloss.keras._ownership import take
from blendloss.keras._rules import nothing_trains, require_held_out_data, require_own_step, require_progress
from blendloss.keras._saveable import require_saveable
from blendloss.keras._step_count import checked_train_step, count_updates, require_advance
from blendloss.keras._targets import by_name, check_targets

_OF_GATE = "gate_optimizer_variables"


@register
class BlendedModel(SavesSeeds, OfNetwork, keras.Model):
    """A Keras model that trains a network, and what trains in a blend, on the blended loss.

    The loss is L = blend(y, network(x), step) plus the network's regularisation losses. `step` counts the optimizer's
    updates; it is a weight of the model, so that schedules go on where a saved model stopped, and survive compiling
    again. `history` holds `gate/<name>`, the weight at the end of each epoch, and `loss/<name>`, its mean value (NaN
    where it was not evaluated); `cost` what the gate itself adds, if it adds something. Gates that watch a metric
    observe it after every epoch by themselves; gates that choose by features are given the network's inputs, gates that
    look at the gradient of each loss their gradients, and gates that look at progress the losses after each update, by
    one more forward pass over the batch. A network of several outputs goes with losses that are `OutputLoss`s.

    What trains in the blend trains on the same loss as the network, or with `held_out` on a loss of data that the
    network does not see; by the same optimizer, or by `compile(optimizer, gate_optimizer=...)`, one of its own (it
    clips, decays, accumulates and counts for itself; `model.step` goes on with the network's).

    Args:
        network: any Keras model or layer: Sequential, Functional or subclassed; used as it is.
        blend: the blend. One that keeps state (a gate or a loss with variables) belongs to one model: give another one
            `blend.fresh()`. Under `tf.distribute`, create network, blend and model in the strategy's scope.
        held_out: a `HeldOut`, by which the gate trains; None trains it on the blended training loss.
        name: the model's name.

    Returns:
        A `keras.Model` for `compile` (without `loss`), `fit`, `evaluate`, `predict` and `save`; calling it is calling
        the network.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if another model has, or had, the blend's state; or if `held_out` is given, and nothing in the gate
            trains. From `compile`, if a loss is given, or a `gate_optimizer`, and nothing in the blend trains. From
            `fit`, if a gate watches a validation metric and there is no validation, or the held-out data are missing.

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
    """

    def __init__(
        self, network: keras.Layer, blend: Blend, *, held_out: HeldOut | None = None, name: str | None = None
    ) -> None:
        super().__init__(name=name, autocast=False)  # the network casts its inputs itself
        check_network(network)
        if not isinstance(blend, Blend):
            raise TypeError(f"`blend` must be a Blend. Received: blend={blend!r}")
        if blend.reduction in ("none", None):
            raise ValueError(f"`blend` must reduce to a scalar. Received: reduction={blend.reduction!r}")
        if Needs.GRADIENTS in blend.gate.needs and type(self).compute_loss is not BlendedModel.compute_loss:
            raise TypeError(
                f"The gate {blend.gate.name!r} differentiates the blend's losses: `compute_loss` is not used."
            )
        if held_out is not None:
            self._check_held_out(held_out, blend)
        self.network = network
        self.blend = blend
        self.held_out = held_out
        self.held_out_data: HeldOutData | None = None
        self.gate_optimizer: Any = None  # of what trains in the blend, where it has one of its own
        self.step = self._count("step")
        self.logged_at = self._count("logged_at")  # the step of the last reading in training
        self._advances = 0  # how often `advance` was called, in Python: while tracing
        self._blend_metrics = BlendMetrics(blend.names, blend.gate.has_cost)
        if network.built:
            shape = input_shape_of(network)
            if shape is not None:  # converters look it up; `build` would forbid a subclass state of its own
                self._build_shapes_dict = {"input_shape": shape}
            self.built = True
        take(blend)

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if not hasattr(cls.train_step, "checked"):  # its own, or that of a mixin
            cls.train_step = checked_train_step(cls.train_step)  # type: ignore[method-assign]

    def _check_held_out(self, held_out: Any, blend: Blend) -> None:
        if not isinstance(held_out, HeldOut):
            raise TypeError(f"`held_out` must be a HeldOut, such as HeldOut('mae'). Received: held_out={held_out!r}")
        if Needs.GRADIENTS in blend.gate.needs or Needs.PROGRESS in blend.gate.needs:
            raise ValueError(f"`held_out` trains the gate; {blend.gate.name!r} has a rule of its own. Received: both")
        if type(self).compute_loss is not BlendedModel.compute_loss:
            raise TypeError("`held_out` trains on the blend's own loss: override `blended_loss`, not `compute_loss`.")
        frozen = not (blend.trainable and blend.gate.trainable)  # a model that was saved so must load
        if not frozen and not blend.gate.trainable_variables:
            raise ValueError(nothing_trains("held_out", "gate", blend.gate))

    def _count(self, name: str) -> Any:
        return self.add_weight(
            name=name, shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation="only_first_replica"
        )

    def build(self, input_shape: Any) -> None:
        """Builds the network for `input_shape`."""
        if not self.network.built:
            if type(self.network).build is keras.Layer.build:  # which would only say that it is built
                build_by_call(self.network, input_shape)
            else:
                self.network.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The network's output."""
        return self.network(inputs, training=training)

    def compile(self, *arguments: Any, gate_optimizer: Any = None, **named: Any) -> None:
        """As `keras.Model.compile`, without a loss; `gate_optimizer` is for what trains in the blend.

        Without one, `optimizer` trains both, and its weight decay is for the network alone.
        """
        given = inspect.signature(super().compile).bind(*arguments, **named).arguments
        for name in ("loss", "loss_weights"):
            if given.get(name) is not None:
                raise ValueError(f"`{name}` is the blend's business: compile without it. Received: {given[name]!r}")
        if gate_optimizer is not None and not self.blend.trainable_variables:
            raise ValueError(nothing_trains("gate_optimizer", "blend", self.blend))
        optimizer = keras.optimizers.get(given.get("optimizer", "rmsprop"))
        gate_optimizer = keras.optimizers.get(gate_optimizer)
        if optimizer is not None:
            assign_optimizers(optimizer, gate_optimizer, lambda: self.blend.trainable_variables)
        super().compile(**{**given, "optimizer": optimizer})
        self.gate_optimizer = gate_optimizer
        count_updates(self)

    def advance(self, updates: Any = 1) -> None:
        """Advances `step`, as each update by `model.optimizer` does by itself.

        Args:
            updates: how many updates were made: an integer or an int64 scalar tensor.
        """
        self._advances += 1
        self.step.assign(tf.convert_to_tensor(self.step) + tf.cast(updates, tf.int64))

    @property
    def metrics(self) -> list[Any]:
        """The model's metrics, and the network's own, which Keras leaves out for a model in a model."""
        metrics = super().metrics
        return metrics + [metric for metric in self.network._metrics if not any(metric is m for m in metrics)]

    def get_compile_config(self) -> dict[str, Any]:
        """As Keras's, with the optimizer of what trains in the blend, if it has one of its own."""
        config: dict[str, Any] = super().get_compile_config()
        if self.gate_optimizer is not None:
            config["gate_optimizer"] = serialize(self.gate_optimizer)
        return config

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """As Keras's, with the variables of `gate_optimizer`, if there is one."""
        tree: dict[str, Any] = super().get_state_tree(value_format)
        if self.gate_optimizer is not None:
            tree[_OF_GATE] = self._create_nested_dict(self.gate_optimizer.variables, value_format)
        return tree

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Assigns what `get_state_tree` gave."""
        if self.gate_optimizer is not None and _OF_GATE in state_tree:
            self._assign_variable_values(self.gate_optimizer.variables, self._flatten_nested_dict(state_tree[_OF_GATE]))
            state_tree = {name: part for name, part in state_tree.items() if name != _OF_GATE}
        super().set_state_tree(state_tree)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was; Keras leaves this to models with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def set_held_out_data(self, data: Any) -> None:
        """Keeps in memory what the gate is trained on; `fit(held_out_data=data)` does it by itself.

        Args:
            data: `(x, y)`, `(x, y, sample_weight)`, or a finite batched `tf.data.Dataset` of these.

        Raises:
            ValueError: if the model has no rule `held_out`, or the data are none of these.
        """
        if self.held_out is None:
            raise ValueError(
                "Held-out data need a rule: BlendedModel(network, blend, held_out=HeldOut(target)). Received: no rule"
            )
        if self.held_out_data is not None and self.held_out_data.take(data):
            return
        with self.distribute_strategy.scope():
            self.held_out_data = HeldOutData(data)
        self.train_function = None  # traced with data of another form

    def fit(self, *arguments: Any, held_out_data: Any = None, **named: Any) -> Any:
        """As `keras.Model.fit`; a gate that watches a metric observes it after every epoch.

        `held_out_data`, `(x, y)` or as of `set_held_out_data`, are what a gate with the rule `held_out` is trained on.
        """
        if held_out_data is not None:
            self.set_held_out_data(held_out_data)
        require_held_out_data(self)
        given = inspect.signature(super().fit).bind(*arguments, **named).arguments
        require_saveable(self.blend, given.get("callbacks"))
        gate = self.blend.gate
        if isinstance(gate, MetricGate):
            validated = given.get("validation_data") is not None or given.get("validation_split")
            if gate.monitor.startswith("val_") and not validated:
                raise ValueError(
                    f"The gate {gate.name!r} watches {gate.monitor!r}: pass `validation_data=` or `validation_split=`. "
                    "Received: neither"
                )
            given["callbacks"] = monitored(given.get("callbacks"), gate)
        check_targets(self.blend.functions.values(), given.get("x"), given.get("y"))
        if not self.run_eagerly:
            build_before_tracing(self, given.get("x"), given.get("y"), given.get("sample_weight"))
        history = super().fit(**given)
        if self.run_eagerly and history.epoch:
            require_advance(self)
        return history

    def make_train_function(self, force: bool = False) -> Any:
        """As Keras's; raises before anything is traced for a gate that would never see its metric."""
        require_progress(self)
        return super().make_train_function(force)

    @checked_train_step
    def train_step(self, data: Any) -> Any:
        """One step of training."""
        require_held_out_data(self)
        with gradients_freed_with_graph():
            return self._train_step(data)

    def _train_step(self, data: Any) -> Any:
        if self.held_out is not None:
            logs = held_out_step(self, data)
        elif Needs.GRADIENTS in self.blend.gate.needs:
            logs = gradient_step(self, data)
        else:
            logs = super().train_step(data)
        if Needs.PROGRESS in self.blend.gate.needs:
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            # The batch has moved running statistics, such as batch normalisation's, once.
            with keras.StatelessScope(collect_losses=True):
                after = self(x, training=True)
                added = added_values(self)
            self.blend.gate.observe_progress(self.blend.values(*self.by_name(y, after, sample_weight), added=added))
        return logs

    def predict_step(self, data: Any) -> Any:
        """The network's own, if it has one."""
        own = isinstance(self.network, keras.Model) and type(self.network).predict_step is not keras.Model.predict_step
        return self.network.predict_step(data) if own else super().predict_step(data)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> tf.Tensor:
        """The blended loss plus regularisation losses."""
        if training:
            require_own_step(self)
        return self.blended_loss(x, y, y_pred, sample_weight, training)[0]

    def blended_loss(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The blended loss plus regularisation losses, and what of it concerns the blend alone (its regularisers)."""
        if training:
            require_progress(self)
        features = x if Needs.FEATURES in self.blend.gate.needs else None
        y, y_pred, sample_weight = self.by_name(y, y_pred, sample_weight)
        output, own = self.blend.objective.compute(
            y, y_pred, sample_weight, added_values(self), self.step, training, features
        )
        if training:
            self.logged_at.assign(self.step)
        self.log_output(output, y_pred)
        return self.with_losses(output.value, self.losses), self.with_losses(own, self.blend.losses)

    def by_name(self, y: Any, y_pred: Any, sample_weight: Any, losses: Any = None) -> tuple[Any, Any, Any]:
        """The batch as `losses`, the blend's if None, read it, where the network's outputs are a list with names."""
        losses = self.blend.functions if losses is None else losses
        return by_name(losses.values(), getattr(self, "output_names", None), y, y_pred, sample_weight)

    def log_output(self, output: BlendOutput, y_pred: Any) -> None:
        """Counts a reading of a batch of predictions in `history`."""
        self._blend_metrics.count_output(output, tf.shape(tf.nest.flatten(y_pred)[0])[0])

    @property
    def losses(self) -> list[Any]:
        """The regularisation losses, without those that are an `AddedLoss` of the blend."""
        return without_added(self, super().losses)

    def with_losses(self, total: tf.Tensor, losses: list[Any]) -> tf.Tensor:
        """`total` and regularisation losses, of which each replica has its share."""
        for loss in losses:
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
            "held_out": None if self.held_out is None else serialize(self.held_out),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> BlendedModel:
        held_out = deserialize(config.get("held_out"))
        network, blend = deserialize(config["network"]), deserialize(config["blend"])
        # A subclass need not know a rule that it is not given.
        rule = {} if held_out is None else {"held_out": held_out}
        model = cls(network, blend, name=config["name"], **rule)
        if not config["trainable"]:  # True would undo what is frozen inside
            model.trainable = False
        return model
