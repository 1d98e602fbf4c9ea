"""The blend: the one place where losses, gate and mode meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.added import added_names, with_added
from blendloss._blend.batch import NO_BATCH, Batch, batches_of, shared_batch, to_compute_dtype, validate_losses
from blendloss._blend.context import context_of
from blendloss._blend.diagnosis import Diagnosis, diagnosis_of
from blendloss._blend.evaluation import Evaluation, common_dtype
from blendloss._blend.fresh import fresh
from blendloss._blend.gradients import gradients_of
from blendloss._blend.keras_loss import KerasBlendLoss
from blendloss._blend.output import BlendedGradients, BlendOutput, output_of
from blendloss._blend.weighted_sum import weighted_sum
from blendloss._internal import checks, conversion
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.dtypes import cast, state_dtype
from blendloss._internal.reductions import REDUCTIONS, accurate_mean
from blendloss._internal.seeds import SavesSeeds
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates import Context, Gate, Gating, Needs
from blendloss.losses import Columns, OutputLoss, Penalty
from blendloss.losses._columns import innermost
from blendloss.losses._penalty import align
from blendloss.modes import Mode, Soft


@register
class Blend(SavesSeeds, keras.losses.Loss):
    """A differentiable blend of losses: L = sum_k g_k l_k(y_true, y_pred) + cost, g = total * mode(logits of the gate).

    It is a Keras layer, so that the gate's state is tracked, trained, saved and resumed, and a Keras loss, so that it
    can stand in `compile(loss=...)` where nothing in it trains or needs the step. A weight of exactly 0 keeps a loss
    out of value and gradient, infinite or not. Half-precision predictions are computed in float32. The cost is the
    gate's own: 0 for most gates; a normaliser, a divergence or a regulariser for those that learn.

    Args:
        losses: the losses by name: penalties, Keras losses (objects or names), or callables
            `(y_true, y_pred) -> [batch, ...]`; or a list of names alone, whose values are given to `combine`.
        gate: where the logits come from.
        mode: how logits become the gating vector; None is `Soft()`.
        reduction: "sum_over_batch_size" (or "mean"), "sum", "mean_with_sample_weight", or "none", as in Keras.
        name: the layer's name.

    Returns:
        Calling it gives L, a scalar; float32, or float64 where the predictions are.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if there are no losses, a name is empty, or the gate does not fit them. When called: if no `step` is
            given, as in a plain `compile(loss=blend)`, and something in it trains, keeps a running state, depends on
            the step, or watches a metric that nothing shows it: it would silently stay as it is.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(
        ...     {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(delta=1.0)},
        ...     gate=bl.gates.Scheduled(bl.schedules.switch_at(10)),
        ... )
        >>> [float(blend([[0.0]], [[3.0]], step=step)) for step in (0, 10)]
        [9.0, 2.5]

    Deviations:
        A rank-1 pair of targets and predictions is a batch of scalars (in Keras, a single example). As in every Keras
        layer, `blend.weights` are variables and `blend.losses` regularisation losses: the blend's own are in readings.
    """

    def __init__(
        self,
        losses: Mapping[str, Any] | Sequence[str],
        gate: Gate,
        mode: Mode | None = None,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=state_dtype(None), autocast=False)
        given = validate_losses(losses)
        for loss_name, loss in given.items():
            if isinstance(loss, Blend):
                raise TypeError(f"`losses` must not contain a blend: blend its losses. Received: {loss_name!r}")
        mode = Soft() if mode is None else mode
        if not isinstance(gate, Gate):
            raise TypeError(f"`gate` must be a Gate, such as blendloss.gates.Fixed([...]). Received: gate={gate!r}")
        if not isinstance(mode, Mode):
            raise TypeError(f"`mode` must be a Mode, such as blendloss.modes.Soft(). Received: mode={mode!r}")
        self.reduction = checks.one_of("reduction", reduction, REDUCTIONS)
        self.names = tuple(given)
        self.gate = gate
        self.mode = mode
        self._given = given
        self._heads = [loss for loss in given.values() if isinstance(loss, OutputLoss)]
        parts = [loss for loss in given.values() if isinstance(loss, (OutputLoss, Columns))]
        self._of_heads = [innermost(part) for part in parts]  # what trains in these is tracked, saved and resumed here
        self._evaluation = Evaluation(given, gate.elementwise, self.reduction)
        self._of_losses = [variable for held in self._evaluation.held for variable in held]
        self._added = added_names(given)
        if (parts or self._added) and Needs.RESIDUAL in gate.needs:
            raise ValueError(
                f"The gate {gate.name!r} needs one residual that all losses share, which heads, columns and "
                f"layers have not. Received: losses={losses!r}"
            )
        if (self._heads or self._added) and reduction in ("none", None):
            raise ValueError(
                f"Losses of several heads, or of layers, must be reduced. Received: reduction={reduction!r}"
            )
        if Needs.RESIDUAL in gate.needs and not self._evaluation.losses:
            raise ValueError(
                f"The gate {gate.name!r} needs residuals, which losses that are names alone have not. "
                f"Received: losses={losses!r}"
            )
        gate.attach(self.names, tuple(given.values()))
        self.built = True

    # Calling it

    @traced_as_written
    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        step: Any = None,
        training: bool = True,
        features: Any = None,
        added: Mapping[str, Any] | None = None,
    ) -> tf.Tensor:
        """The blended loss L.

        Args:
            y_true: targets, as the losses take them.
            y_pred: predictions, `[batch, ...]`; a Keras mask on it counts.
            sample_weight: `[batch]`, or a shape that broadcasts to the losses' values; or a dict of these by the names
                of losses, of which those that are not named have none. A mask of one loss is weights of 0 and 1. Where
                a weight is 0, or the Keras mask says so, a target may be missing (NaN): it counts for nothing.
            step: the training step: an integer, a scalar tensor, or `optimizer.iterations`.
            training: False neither samples nor updates state.
            features: what a gate that chooses by example looks at; passed on as it is.
            added: the value of each `losses.AddedLoss`, by the name of the loss; `BlendedModel` gives them itself.

        Returns:
            L, a scalar; `[batch, ...]` with reduction "none".
        """
        return self._compute(y_true, y_pred, sample_weight, step, training, features, added)[0].value

    @traced_as_written
    def compute(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        step: Any = None,
        training: bool = True,
        features: Any = None,
        added: Mapping[str, Any] | None = None,
    ) -> BlendOutput:
        """The blended loss with every loss and weight; arguments as of a call."""
        return self._compute(y_true, y_pred, sample_weight, step, training, features, added)[0]

    def _compute(
        self, y_true: Any, y_pred: Any, sample_weight: Any, step: Any, training: bool, features: Any, added: Any = None
    ) -> tuple[BlendOutput, tf.Tensor]:
        """The reading, and what of its cost is added once (regularisers of the gate), differentiable."""
        batches, weighing = self._batches(y_true, y_pred, sample_weight, added)
        context = context_of(self, step, training, batches[0], features)
        if Needs.GRADIENTS in self.gate.needs and training:
            raise ValueError(
                f"The gate {self.gate.name!r} weighs losses by their gradients: use `BlendedModel`, or in a loop of "
                "your own `blend.gradients(tape, blend.values(y_true, y_pred), variables, step=step)`. "
                "Received: a call without a tape"
            )
        if Needs.VALUES in self.gate.needs:
            context = context._replace(values=tf.stop_gradient(tf.stack(self._evaluation.means(batches))))
        gating, shares, weights = self._gated(context, common_dtype([batch.y_pred for batch in batches]))
        cost = self.gate.cost(shares, gating, context)
        if self._lazy and weights.shape.rank == 1:
            return self._compute_chosen(batches, gating, weights, cost, weighing)
        if self._added and weights.shape.rank > 1:
            raise ValueError(
                f"The gate {self.gate.name!r} weighs each example by itself, which the losses of layers, "
                f"{self._added}, cannot be: they are of the whole batch. Received: weights of shape {weights.shape}"
            )
        off = tf.unstack(weights == 0, len(self.names), axis=-1)
        if self._sums(weights):
            return self._summed(self._evaluation.means(batches, gating.scale, off), weights, cost, weighing)
        if self._evaluation.sums_by_example(batches):
            value, losses = self._evaluation.blended_sums(weights, batches, gating.scale, off)
            return self._weighed(value, losses, weights, cost, weighing)
        values, weighed_by = self._evaluation.values(batches, gating.scale, off)
        return self._blended(values, weights, cost, weighed_by, weighing)

    def _batches(
        self, y_true: Any, y_pred: Any, sample_weight: Any, added: Any = None
    ) -> tuple[tuple[Batch, ...], Batch]:
        """What each loss reads, and the batch by which a cost of all examples alike is counted."""
        if not self._evaluation.losses:
            raise ValueError(
                f"The losses {list(self.names)} have names alone: give their values to `combine`. "
                "Received: targets and predictions"
            )
        of_one_residual = not self._heads and (Needs.RESIDUAL in self.gate.needs or Needs.PENALTIES in self.gate.needs)
        if of_one_residual and isinstance(sample_weight, Mapping) and not isinstance(y_pred, Mapping):
            raise ValueError(
                f"The gate {self.gate.name!r} looks at residuals that all losses share: `sample_weight` must be one "
                f"for all losses. Received: weights of {list(sample_weight)}"
            )
        output = {name: loss for name, loss in self._given.items() if name not in self._added}
        batches = batches_of(output, y_true, y_pred, sample_weight) if output else ()
        weighing = shared_batch(batches, output, sample_weight, y_pred) if output else NO_BATCH
        return with_added(self._given, batches, added), weighing

    @traced_as_written
    def values(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, added: Mapping[str, Any] | None = None
    ) -> dict[str, tf.Tensor]:
        """The reduced losses by themselves, by name, for `gradients` or `combine`; differentiable scalars.

        Args:
            y_true: as of a call.
            y_pred: as of a call.
            sample_weight: as of a call.
            added: as of a call.

        Returns:
            A scalar for each loss; its mean where the blend itself does not reduce.
        """
        batches, _ = self._batches(y_true, y_pred, sample_weight, added)
        # Each by itself: together, each would be tied to the variables of all.
        return dict(zip(self.names, self._evaluation.means(batches, apart=True), strict=True))

    @traced_as_written
    def residuals(self, y_true: Any, y_pred: Any) -> dict[str, tf.Tensor]:
        """The residual y_pred - y_true that each loss reads, by name, for gates that look at their gradients.

        Raises:
            TypeError: if a loss is no penalty, and so may be of something else than the residual.
        """
        found = {}
        nothing = dict.fromkeys(self._added, 0.0)  # refused below
        batches, _ = self._batches(y_true, y_pred, None, nothing)
        for name, loss, batch in zip(self.names, self._evaluation.losses, batches, strict=True):
            if not isinstance(loss, Penalty):
                raise TypeError(
                    f"A residual is known of penalties alone, such as blendloss.losses.SquaredError(). "
                    f"Received: {name}={self._given[name]!r}"
                )
            target, prediction = align(batch.y_true, batch.y_pred)
            found[name] = prediction - target
        return found

    @traced_as_written
    def gradients(
        self,
        tape: tf.GradientTape,
        values: Mapping[str, Any],
        variables: Sequence[Any],
        *,
        step: Any = None,
        features: Any = None,
        residuals: Mapping[str, tf.Tensor] | None = None,
        scale: Any = None,
    ) -> BlendedGradients:
        """The gradient of the blend in each variable, by a gate that may look at the gradient of each loss.

        For a `GradientGate` that is the direction of its method; for every other gate, the gradient of `combine`.

        Args:
            tape: the persistent tape that recorded the values.
            values: a scalar for each loss, as `values` gives them.
            variables: those of the network that the losses train, and what trains in the blend.
            step: as of a call.
            features: as of a call.
            residuals: as `residuals` gives them, recorded by the tape, for a gate that needs them.
            scale: a factor of the gradients, which the optimizer divides by, where half precision needs one.

        Returns:
            `BlendedGradients`: the gradients, in the order of `variables`, and the reading.

        Raises:
            ValueError: if a value is no scalar; the tape is not persistent, and the gate looks at each gradient; the
                gate trains and none of its variables are among `variables`; or as of `combine`.
        """
        given = [conversion.real("values", value) for value in self._by_name("values", values)]
        named_residuals = None
        if residuals is not None:
            named_residuals = [conversion.floating("residuals", one) for one in self._by_name("residuals", residuals)]
        trained = conversion.variables("variables", variables)
        return gradients_of(self, tape, given, trained, step, features, named_residuals, scale)

    @traced_as_written
    def combine(
        self, values: Mapping[str, Any], *, step: Any = None, training: bool = True, features: Any = None
    ) -> tf.Tensor:
        """The blend of losses whose values were computed elsewhere.

        Args:
            values: a value for each loss, scalar or `[batch, ...]`; reduced by the blend's rule.
            step: as of a call.
            training: as of a call.
            features: as of a call.

        Returns:
            L, a scalar; `[batch, ...]` with reduction "none".
        """
        return self.compute_from_values(values, step=step, training=training, features=features).value

    @traced_as_written
    def compute_from_values(
        self, values: Mapping[str, Any], *, step: Any = None, training: bool = True, features: Any = None
    ) -> BlendOutput:
        """The blend of given values with every loss and weight; arguments as of `combine`."""
        if Needs.GRADIENTS in self.gate.needs and training:
            raise ValueError(
                f"The gate {self.gate.name!r} weighs losses by their gradients: use "
                "`blend.gradients(tape, values, variables, step=step)`. Received: values without a tape"
            )
        given = [to_compute_dtype(value) for value in self._by_name("values", values)]
        return self._compute_from(given, context_of(self, step, training, NO_BATCH, features))

    def _by_name(self, argument: str, values: Mapping[str, Any]) -> list[Any]:
        """`values` in the order of the losses."""
        if not isinstance(values, Mapping):
            raise TypeError(
                f"`{argument}` must be a dict with a value for each of {list(self.names)}. "
                f"{checks.received(argument, values)}"
            )
        if set(values) != set(self.names):
            raise ValueError(f"`{argument}` must have exactly the names {list(self.names)}. Received: {list(values)}")
        return [values[name] for name in self.names]

    def _compute_from(self, given: list[tf.Tensor], context: Context) -> BlendOutput:
        """The blend of values that were computed elsewhere."""
        if Needs.PENALTIES in self.gate.needs:
            raise ValueError(f"The gate {self.gate.name!r} needs residuals, which `combine` has not: call the blend.")
        dtype = common_dtype(given)
        given = [tf.cast(value, dtype) for value in given]
        nothing = (NO_BATCH,) * len(given)
        if Needs.VALUES in self.gate.needs:
            context = context._replace(values=tf.stop_gradient(tf.stack(self._evaluation.means_of(given, nothing))))
        gating, shares, weights = self._gated(context, dtype)
        cost = self.gate.cost(shares, gating, context)
        if self._sums(weights):
            return self._summed(self._evaluation.means_of(given, nothing), weights, cost, NO_BATCH)[0]
        return self._blended(given, weights, cost, nothing, NO_BATCH)[0]

    def as_keras_loss(self, step: Any) -> keras.losses.Loss:
        """This blend as a loss for plain `compile(loss=blend.as_keras_loss(optimizer.iterations))`.

        Args:
            step: a variable that the training advances.

        Returns:
            A Keras loss. Keras does not tell a loss whether it trains, so noise stays on in `evaluate`; and a model
            saved with it has to be compiled again after loading. `BlendedModel` has neither limit.

        Raises:
            ValueError: if something in the blend trains or keeps state in the step; `BlendedModel` is the way then.
        """
        return KerasBlendLoss(self, step)

    def diagnose(
        self, output: BlendOutput | None = None, *, step: Any = None, held_out: bool = False, threshold: float = 0.99
    ) -> Diagnosis:
        """Says, in words, whether a gate that trains has collapsed onto one loss; for people, outside of any graph.

        Minimising the blended loss over its weights moves them to the loss with the smallest numbers. Where the gate
        does not train, or its weights are evidence (a likelihood, held-out data), a small weight is no collapse.

        Args:
            output: what `compute` gave. It tells the losses, and the weights where they depend on the batch. Where they
                do not, they are the gate's own, as it is now.
            step: the training step, where the weights depend on it.
            held_out: whether the gate is trained on data that the network is not trained on.
            threshold: the share, above 0.5, from which on one loss has all. A mode that sharpens, by temperature or by
                a hard choice, does not count: the flatter of the mode's shares and its relaxation's is judged.

        Returns:
            A `Diagnosis`; its `str()` is a sentence or two.

        Raises:
            ValueError: if the weights of a gate that trains depend on a batch or a step that is not given.
        """
        if output is not None and not isinstance(output, BlendOutput):
            raise TypeError(f"`output` must be a BlendOutput, such as blend.compute(...) gives. Received: {output!r}")
        if not tf.executing_eagerly():
            raise ValueError("`diagnose` must be called outside of any graph. Received: a call in a traced function")
        threshold = checks.between("threshold", threshold, 0.5, 1)
        return diagnosis_of(self, output, step, checks.boolean("held_out", held_out), threshold)

    def fresh(self) -> Blend:
        """A new blend of the same losses, gate and mode, in its initial state: for another fold, seed or network.

        Gate and losses that keep variables are made anew from their configuration; what keeps none is shared. A gate's
        network starts from its initializers, which draw other numbers unless they have a seed.

        Returns:
            The new blend, of the same name. Its `set_weights(blend.get_weights())` continues in this one's state.

        Raises:
            ValueError: if a part that keeps variables cannot be made from its configuration.
        """
        return fresh(self)

    # The parts of a call

    def _gated(self, context: Context, dtype: Any) -> tuple[Gating, tf.Tensor, tf.Tensor]:
        """What the gate gave, what the mode made of its logits, and the gating vector."""
        given = self.gate.gating(context)
        gating = given if isinstance(given, Gating) else Gating(given)
        logits = tf.convert_to_tensor(gating.logits)
        residual: Any = context.residual
        ranks = (residual.shape.rank + 1,) if self.gate.elementwise else (1, 2)
        if logits.shape.rank not in ranks or logits.shape[-1] not in (None, len(self.names)):
            raise ValueError(
                f"The gate {self.gate.name!r} must give logits of shape [K] or [batch, K] with K = {len(self.names)}, "
                f"or, if it is elementwise, of the predictions' shape and K. Received: shape {logits.shape}"
            )
        if gating.scale is not None:
            gating = gating._replace(scale=cast(gating.scale, dtype))
        shares = self.mode(logits, context.step, context.training)
        return gating, shares, tf.cast(shares * cast(gating.total, shares.dtype), dtype)

    @property
    def _lazy(self) -> bool:
        # What trains, gate or loss, gets a gradient from every loss: eagerly, one not evaluated would give None.
        if not self.mode.lazy or self.reduction in ("none", None) or self.trainable_variables:
            return False
        # XLA cannot differentiate the chosen branch when the choice itself was computed from a batch whose size it
        # learns only at run time (TensorFlow 2.21: an error, or a hang).
        return not (Needs.RESIDUAL in self.gate.needs or Needs.VALUES in self.gate.needs)

    def _sums(self, weights: tf.Tensor) -> bool:
        """Whether reduced losses are all that is weighed."""
        return weights.shape.rank == 1 and self.reduction not in ("none", None)

    def _summed(
        self, losses: list[tf.Tensor], weights: tf.Tensor, cost: Any, weighing: Batch
    ) -> tuple[BlendOutput, tf.Tensor]:
        """The blend of reduced losses."""
        stacked = tf.cast(tf.stack(losses), weights.dtype)
        return output_of(weighted_sum(stacked, weights), stacked, weights, cost, weighing, self.reduction)

    def _blended(
        self, values: list[tf.Tensor], weights: tf.Tensor, cost: Any, batches: Sequence[Batch], weighing: Batch
    ) -> tuple[BlendOutput, tf.Tensor]:
        """The blend of losses by example."""
        losses = tf.stack(self._evaluation.means_of(values, batches))
        value = self._evaluation.blended(values, weights, batches)
        return self._weighed(value, losses, weights, cost, weighing)

    def _weighed(
        self, value: tf.Tensor, losses: tf.Tensor, weights: tf.Tensor, cost: Any, weighing: Batch
    ) -> tuple[BlendOutput, tf.Tensor]:
        """The reading of a blend by example, of which weights are told by their mean."""
        losses = tf.cast(losses, weights.dtype)
        mean_weights = accurate_mean(tf.transpose(tf.reshape(weights, [-1, len(self.names)])))
        mean_weights = mean_weights if weights.shape.rank > 1 else weights
        return output_of(value, losses, mean_weights, cost, weighing, self.reduction)

    def _compute_chosen(
        self, batches: Sequence[Batch], gating: Gating, weights: tf.Tensor, cost: Any, weighing: Batch
    ) -> tuple[BlendOutput, tf.Tensor]:
        chosen = tf.argmax(weights, output_type=tf.int32)
        loss = tf.cast(self._evaluation.chosen_mean(chosen, batches, gating.scale), weights.dtype)
        # The chosen weight is all there is: one-hot shares times the total. NaN weights stay NaN.
        value = loss * tf.reduce_sum(weights)
        unread = tf.constant(float("nan"), weights.dtype)
        losses = tf.where(tf.range(len(self.names)) == chosen, tf.stop_gradient(loss), unread)
        return output_of(value, losses, weights, cost, weighing, self.reduction)

    # Saving it

    def get_config(self) -> dict[str, Any]:
        return {
            "losses": [[name, None if loss is None else serialize(loss)] for name, loss in self._given.items()],
            "gate": serialize(self.gate),
            "mode": serialize(self.mode),
            "reduction": self.reduction,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Blend:
        losses = {name: deserialize(loss) for name, loss in config["losses"]}
        blend = cls(
            losses if None not in losses.values() else list(losses),
            deserialize(config["gate"]),
            deserialize(config["mode"]),
            reduction=config["reduction"],
            name=config["name"],
        )
        if not config["trainable"]:  # True would undo the gate's own
            blend.trainable = False
        return blend
