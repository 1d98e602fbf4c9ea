"""L = reduce(sum_k g_k l_k) + cost: losses, gate and mode put together, without Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from blendloss._blend.batch import NO_BATCH, Batch
from blendloss._blend.batch_losses import BatchLosses
from blendloss._blend.context import build_context
from blendloss._blend.example_values import Terms
from blendloss._blend.given_losses import GivenLosses
from blendloss._blend.loss_set import LossSet
from blendloss._blend.output import BlendOutput, build_output
from blendloss._blend.weighted_sum import weighted_sum
from blendloss._internal import checks
from blendloss._internal.dtypes import cast
from blendloss._internal.reductions import REDUCTIONS, for_mean_over_replicas
from blendloss.gates import Context, Gate, Gating, Needs
from blendloss.losses import Penalty
from blendloss.losses._penalty import align
from blendloss.modes import Mode

_OF_BATCH = Needs.RESIDUAL | Needs.VALUES


class Objective:
    """The blended loss of a batch, as a function of what `Blend` holds; it has no variables of its own.

    Args:
        losses: by name, or names alone.
        gate: gives the logits.
        mode: makes weights of them.
        reduction: as in `Blend`.
    """

    def __init__(self, losses: Any, gate: Any, mode: Any, reduction: str | None) -> None:
        if not isinstance(gate, Gate):
            raise TypeError(f"`gate` must be a Gate, such as blendloss.gates.Fixed([...]). Received: gate={gate!r}")
        if not isinstance(mode, Mode):
            raise TypeError(f"`mode` must be a Mode, such as blendloss.modes.Soft(). Received: mode={mode!r}")
        self.gate, self.mode = gate, mode
        self.reduction = checks.one_of("reduction", reduction, REDUCTIONS)
        self.losses = LossSet(losses, gate.elementwise, self.reduction)
        self._check_gate(losses)
        gate.attach(self.losses.names, tuple(self.losses.functions.values()), self.reduction)

    def _check_gate(self, losses: Any) -> None:
        needs_residual = Needs.RESIDUAL in self.gate.needs
        if needs_residual and self.losses.separate:
            raise ValueError(
                f"The gate {self.gate.name!r} needs one residual that all losses share, which losses of several "
                f"outputs, columns or layers do not have. Received: losses={losses!r}"
            )
        if not self.reduces and (self.losses.reads_outputs or self.losses.added):
            raise ValueError(
                f"Losses of several outputs, or of layers, must be reduced. Received: reduction={self.reduction!r}"
            )
        if needs_residual and not self.losses.evaluators:
            raise ValueError(
                f"The gate {self.gate.name!r} needs residuals, which losses that are names alone have not. "
                f"Received: losses={losses!r}"
            )

    @property
    def reduces(self) -> bool:
        """Whether the blend of a batch is a scalar."""
        return self.reduction not in ("none", None)

    @property
    def trains(self) -> bool:
        """Whether the gate or a loss trains."""
        return bool(self.gate.trainable_variables) or self.losses.trains

    # A call

    def compute(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any,
        added: Mapping[str, Any] | None,
        step: Any,
        training: bool,
        features: Any,
    ) -> tuple[BlendOutput, tf.Tensor]:
        """The blend of a batch, and what of the gate's cost is added once (regularizers), differentiable."""
        losses = self.bind_losses(y_true, y_pred, sample_weight, added)
        context = self.context(step, training, losses.batches[0], features)
        if Needs.GRADIENTS in self.gate.needs and training:
            raise ValueError(
                f"The gate {self.gate.name!r} weighs losses by their gradients: use `BlendedModel`, or in a loop of "
                "your own `blend.gradients(tape, blend.values(y_true, y_pred), variables, step=step)`. "
                "Received: a call without a tape"
            )
        return self.blend(losses, context)

    def compute_from_values(
        self, values: Mapping[str, Any], step: Any, training: bool, features: Any
    ) -> tuple[BlendOutput, tf.Tensor]:
        """The blend of losses whose values were computed elsewhere; else as `compute`."""
        if Needs.GRADIENTS in self.gate.needs and training:
            raise ValueError(
                f"The gate {self.gate.name!r} weighs losses by their gradients: use "
                "`blend.gradients(tape, values, variables, step=step)`. Received: values without a tape"
            )
        losses = self.losses.given(values)
        return self.blend(losses, self.context(step, training, NO_BATCH, features))

    def context(self, step: Any, training: bool, batch: Batch, features: Any) -> Context:
        """What the gate is given in a call, but for the losses' values and gradients."""
        return build_context(self.gate, self.mode, self.losses.trains, step, training, batch, features)

    def blend(self, losses: BatchLosses | GivenLosses, context: Context) -> tuple[BlendOutput, tf.Tensor]:
        """The blend of `losses`, wherever their values come from; returns what `compute` does."""
        if Needs.PENALTIES in self.gate.needs and isinstance(losses, GivenLosses):
            raise ValueError(f"The gate {self.gate.name!r} needs residuals, which `combine` has not: call the blend.")
        if Needs.VALUES in self.gate.needs:
            values = tf.stop_gradient(tf.stack(losses.means()))
            context = context._replace(values=for_mean_over_replicas(values, self.reduction))
        gating = self._gating(context, losses.dtype)
        shares = self.mode(gating.logits, context.step, context.training)
        weights = tf.cast(shares * cast(gating.total, shares.dtype), losses.dtype)
        cost = self.gate.cost(shares, gating, context)
        return build_output(self._terms(losses, weights, gating.scale), cost, losses.shared, self.reduction)

    def _gating(self, context: Context, dtype: tf.DType) -> Gating:
        """What the gate gives, checked."""
        given = self.gate.gating(context)
        gating = given if isinstance(given, Gating) else Gating(given)
        logits = tf.convert_to_tensor(gating.logits)
        residual: Any = context.residual
        ranks = (residual.shape.rank + 1,) if self.gate.elementwise else (1, 2)
        k = len(self.losses.names)
        if logits.shape.rank not in ranks or logits.shape[-1] not in (None, k):
            raise ValueError(
                f"The gate {self.gate.name!r} must give logits of shape [K] or [batch, K] with K = {k}, "
                f"or, if it is elementwise, of the predictions' shape and K. Received: shape {logits.shape}"
            )
        return gating._replace(logits=logits, scale=None if gating.scale is None else cast(gating.scale, dtype))

    def _terms(self, losses: BatchLosses | GivenLosses, weights: tf.Tensor, scale: tf.Tensor | None) -> Terms:
        """sum_k g_k l_k, by the cheapest way there is for these weights."""
        of_all = weights.shape.rank == 1  # else each example has weights of its own
        if of_all and self._evaluates_chosen_alone and isinstance(losses, BatchLosses):
            return losses.choose(weights, scale)
        if losses.whole_batch and not of_all:
            raise ValueError(
                f"The gate {self.gate.name!r} weighs each example by itself, which the losses of layers, "
                f"{losses.whole_batch}, cannot be: they are of the whole batch. "
                f"Received: weights of shape {weights.shape}"
            )
        off = tf.unstack(weights == 0, len(self.losses.names), axis=-1)
        if of_all and self.reduces:
            stacked = tf.cast(tf.stack(losses.means(scale, off)), weights.dtype)
            return Terms(weighted_sum(stacked, weights), stacked, weights)
        return losses.blend(weights, scale, off)

    @property
    def _evaluates_chosen_alone(self) -> bool:
        """Whether a mode that chooses one loss spares the others."""
        # What trains, gate or loss, gets a gradient from every loss: eagerly, one not evaluated would give None.
        if not self.mode.lazy or not self.reduces or self.trains:
            return False
        # XLA cannot differentiate the chosen branch when the choice itself was computed from a batch whose size it
        # learns only at run time (TensorFlow 2.21: an error, or a hang).
        return not self.gate.needs & _OF_BATCH

    # The losses by themselves

    def bind_losses(self, y_true: Any, y_pred: Any, sample_weight: Any, added: Mapping[str, Any] | None) -> BatchLosses:
        """The losses, bound to the batch of a call; no value is computed yet."""
        self.losses.require_functions()
        one_residual = not self.losses.reads_outputs and self.gate.needs & (Needs.RESIDUAL | Needs.PENALTIES)
        if one_residual and isinstance(sample_weight, Mapping) and not isinstance(y_pred, Mapping):
            raise ValueError(
                f"The gate {self.gate.name!r} looks at residuals that all losses share: `sample_weight` must be one "
                f"for all losses. Received: weights of {list(sample_weight)}"
            )
        return self.losses.bind(y_true, y_pred, sample_weight, added)

    def values(
        self, y_true: Any, y_pred: Any, sample_weight: Any, added: Mapping[str, Any] | None
    ) -> dict[str, tf.Tensor]:
        """The reduced losses by name, each tied to its own variables alone."""
        losses = self.bind_losses(y_true, y_pred, sample_weight, added)
        return dict(zip(self.losses.names, losses.means(apart=True), strict=True))

    def residuals(self, y_true: Any, y_pred: Any) -> dict[str, tf.Tensor]:
        """The residual y_pred - y_true that each loss reads, by name."""
        nothing = dict.fromkeys(self.losses.added, 0.0)  # refused below
        losses = self.bind_losses(y_true, y_pred, None, nothing)
        found = {}
        for evaluator, batch in zip(self.losses.evaluators, losses.batches, strict=True):
            if not isinstance(evaluator.function, Penalty):
                raise TypeError(
                    "A residual is known of penalties alone, such as blendloss.losses.SquaredError(). "
                    f"Received: {evaluator.name}={self.losses.functions[evaluator.name]!r}"
                )
            target, prediction = align(batch.y_true, batch.y_pred)
            found[evaluator.name] = prediction - target
        return found
