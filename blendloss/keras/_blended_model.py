"""The Keras model whose loss is a blend."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.blend import Blend
from blendloss._blend.output import BlendOutput
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.custom_gradient import gradients_freed_with_graph
from blendloss._internal.seeds import SavesSeeds
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates import Needs
from blendloss.keras._arguments import check_compile, prepare_fit
from blendloss.keras._blend_metrics import BlendMetrics
from blendloss.keras._build import build_before_tracing
from blendloss.keras._gate_optimizer import assign_optimizers
from blendloss.keras._held_out import HeldOut
from blendloss.keras._held_out_rule import HeldOutRule
from blendloss.keras._layer_losses import add_regularization, added_values, without_added
from blendloss.keras._network_model import NetworkModel
from blendloss.keras._ownership import take
from blendloss.keras._progress import observe_progress
from blendloss.keras._requirements import require_progress
from blendloss.keras._several_workers import has_several_workers, own_part, with_axis
from blendloss.keras._state_tree import add_optimizer_state, take_optimizer_state
from blendloss.keras._step_count import check_train_step, checked_train_step, count_updates, require_advance
from blendloss.keras._targets import match_outputs
from blendloss.keras._training_rule import training_rule


@register
class BlendedModel(SavesSeeds, NetworkModel):
    """A Keras model that trains a network, and what trains in a blend, on the blended loss.

    The loss is L = blend(y, network(x), step) plus the network's regularization losses. `step` counts the optimizer's
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
        super().__init__(network, name=name)
        if not isinstance(blend, Blend):
            raise TypeError(f"`blend` must be a Blend. Received: blend={blend!r}")
        if blend.reduction in ("none", None):
            raise ValueError(f"`blend` must reduce to a scalar. Received: reduction={blend.reduction!r}")
        self._rule = training_rule(blend, held_out)
        self._rule.check(blend, overrides_compute_loss=type(self).compute_loss is not BlendedModel.compute_loss)
        self.blend = blend
        self.held_out = held_out
        self.gate_optimizer: Any = None  # of what trains in the blend, where it has one of its own
        self.step = self._add_count("step")
        self.has_advanced = False
        self.logged_at = self._add_count("logged_at")  # the step of the last logs in training
        self._blend_metrics = BlendMetrics(blend.names, blend.gate.has_cost)
        take(blend)

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        check_train_step(cls)

    def _add_count(self, name: str) -> Any:
        return self.add_weight(
            name=name, shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation="only_first_replica"
        )

    # Compiling

    def compile(self, *arguments: Any, gate_optimizer: Any = None, **named: Any) -> None:
        """As `keras.Model.compile`, without a loss; `gate_optimizer` is for what trains in the blend.

        Without one, `optimizer` trains both, and its weight decay is for the network alone.
        """
        given = inspect.signature(super().compile).bind(*arguments, **named).arguments
        check_compile(self.blend, given, gate_optimizer)
        optimizer = keras.optimizers.get(given.get("optimizer", "rmsprop"))
        gate_optimizer = keras.optimizers.get(gate_optimizer)
        assign_optimizers(optimizer, gate_optimizer, lambda: self.blend.trainable_variables)
        super().compile(**{**given, "optimizer": optimizer})
        self.gate_optimizer = gate_optimizer
        count_updates(self)

    def get_compile_config(self) -> dict[str, Any]:
        """As Keras's, with the optimizer of what trains in the blend, if it has one of its own."""
        own = {} if self.gate_optimizer is None else {"gate_optimizer": serialize(self.gate_optimizer)}
        return {**super().get_compile_config(), **own}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was; Keras leaves this to models with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """As Keras's, with the variables of `gate_optimizer`, if there is one."""
        return add_optimizer_state(super().get_state_tree(value_format), self, self.gate_optimizer, value_format)

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Assigns what `get_state_tree` gave."""
        super().set_state_tree(take_optimizer_state(state_tree, self, self.gate_optimizer))

    # Training

    def set_held_out_data(self, data: Any) -> None:
        """Keeps in memory what the gate is trained on; `fit(held_out_data=data)` does it by itself.

        Args:
            data: `(x, y)`, `(x, y, sample_weight)`, or a finite batched `tf.data.Dataset` of these.

        Raises:
            ValueError: if the model has no rule `held_out`, or the data are none of these.
        """
        if not isinstance(self._rule, HeldOutRule):
            raise ValueError(
                "Held-out data need a rule: BlendedModel(network, blend, held_out=HeldOut(target)). Received: no rule"
            )
        if not self._rule.set_data(data, self.distribute_strategy):
            self.train_function = None  # traced without data, or with data of another form

    def fit(self, *arguments: Any, held_out_data: Any = None, **named: Any) -> Any:
        """As `keras.Model.fit`; a gate that watches a metric observes it after every epoch.

        `held_out_data`, `(x, y)` or as of `set_held_out_data`, are what a gate with the rule `held_out` is trained on.
        """
        if held_out_data is not None:
            self.set_held_out_data(held_out_data)
        self._rule.require_ready(self.blend)
        given = prepare_fit(self.blend, inspect.signature(super().fit).bind(*arguments, **named).arguments)
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

    def _make_function(self, step_function: Any) -> Any:
        if has_several_workers(self.distribute_strategy):
            if self.steps_per_execution > 1:
                raise ValueError(
                    "`steps_per_execution` must be 1 on several workers: collectives cannot stand in the loop "
                    f"that it makes. Received: steps_per_execution={self.steps_per_execution}"
                )
            step_function = with_axis(step_function)
        return super()._make_function(step_function)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None and has_several_workers(self.distribute_strategy):
            _, _, batches = next(iter(iterator))
            iterator, data_batch = None, own_part(self.distribute_strategy, next(batches))
        super()._maybe_symbolic_build(iterator, data_batch)

    @traced_as_written
    @checked_train_step
    def train_step(self, data: Any) -> Any:
        """One step of training."""
        self._rule.require_ready(self.blend)
        with gradients_freed_with_graph():  # those of the network's own layers, too
            logs = self._rule.step(self, data)
            if Needs.PROGRESS in self.blend.gate.needs:
                observe_progress(self, data)
        return logs

    def keras_train_step(self, data: Any) -> Any:
        """Keras's own step of training, which takes the loss from `compute_loss`."""
        return super().train_step(data)

    def advance(self, updates: Any = 1) -> None:
        """Advances `step`, as each update by `model.optimizer` does by itself.

        Args:
            updates: how many updates were made: an integer or an int64 scalar tensor.
        """
        self.has_advanced = True
        self.step.assign(tf.convert_to_tensor(self.step) + tf.cast(updates, tf.int64))

    # The loss

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> tf.Tensor:
        """The blended loss plus regularization losses."""
        if training:
            self._rule.require_whole_step(self.blend)
        return self.blended_loss(x, y, y_pred, sample_weight, training)[0]

    def blended_loss(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The blended loss plus regularization losses, and what of it concerns the blend alone (its regularizers)."""
        if training:
            require_progress(self)
        features = x if Needs.FEATURES in self.blend.gate.needs else None
        matched = match_outputs(self.blend.functions, self.network, y, y_pred, sample_weight)
        output, own = self.blend.objective.compute(*matched, added_values(self), self.step, training, features)
        self.log_output(output, matched[1], training)
        return add_regularization(output.value, self.losses), add_regularization(own, self.blend.losses)

    def log_output(self, output: BlendOutput, y_pred: Any, training: bool = True) -> None:
        """Counts in `history` what the blend computed for a batch of predictions."""
        if training:
            self.logged_at.assign(self.step)
        self._blend_metrics.count_output(output, y_pred)

    @property
    def losses(self) -> list[Any]:
        """The regularization losses, without those that are an `AddedLoss` of the blend."""
        return without_added(self, super().losses)

    # Saving

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
