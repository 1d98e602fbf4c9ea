"""The losses of one batch, from which a blend takes what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import tensorflow as tf

from blendloss._blend.batch import Batch
from blendloss._blend.example_values import ExampleValues, Terms
from blendloss._blend.fused import chosen_penalty_mean, penalty_means, penalty_sums_by_example
from blendloss._blend.loss_evaluator import LossEvaluator, compute_residual
from blendloss._blend.weighted_sum import weighted_sum
from blendloss._internal.dtypes import common_dtype, to_common_dtype
from blendloss._internal.reductions import accurate_sum
from blendloss.losses._penalty import align


class BatchLosses:
    """K losses on their batches; penalties of one residual are evaluated together, in one pass.

    Args:
        evaluators: one for each loss.
        batches: what each loss reads.
        shared: the batch by which a cost of all examples alike is counted.
        whole_batch: the names of losses that have one value for the whole batch.
        separate: whether each loss has a batch of its own.
        elementwise: whether penalties are weighted residual by residual.
        reduction: the blend's.
    """

    def __init__(
        self,
        evaluators: Sequence[LossEvaluator],
        batches: Sequence[Batch],
        shared: Batch,
        whole_batch: Sequence[str],
        separate: bool,
        elementwise: bool,
        reduction: str | None,
    ) -> None:
        self.batches, self.shared, self.whole_batch = batches, shared, whole_batch
        self.dtype = common_dtype([batch.y_pred for batch in batches])
        self._evaluators = evaluators
        self._separate, self._elementwise, self._reduction = separate, elementwise, reduction

    def means(
        self, scale: tf.Tensor | None = None, off: Sequence[tf.Tensor] | None = None, apart: bool = False
    ) -> list[tf.Tensor]:
        """The reduced losses, K scalars.

        Args:
            scale: the unit of the residuals, a scalar or `[K]`; None is 1.
            off: whether each weight is 0: then nothing that is not finite flows back; None is no weight.
            apart: whether to evaluate each loss by itself: together, each would be tied to the variables of all.
        """
        means: dict[int, tf.Tensor] = {}
        for together in [] if apart or self._separate else self._groups():
            residuals = [compute_residual(self.batches[k], _unit(scale, k)) for k in together]
            blocked = None if off is None else [off[k] for k in together]
            penalties = [self._evaluators[k].function for k in together]
            found = penalty_means(penalties, residuals, self.batches[together[0]], self._mean_reduction, blocked)
            means |= dict(zip(together, tf.unstack(found), strict=True))
        for k, evaluator in enumerate(self._evaluators):
            if k not in means:
                means[k] = evaluator.mean(self.batches[k], _unit(scale, k), None if off is None else off[k])
        return to_common_dtype([means[k] for k in range(len(self.batches))])

    def blend(self, weights: tf.Tensor, scale: tf.Tensor | None, off: Sequence[tf.Tensor]) -> Terms:
        """The blend of values by example; arguments as in `means`, and weights `[K]` or `[batch, ..., K]`."""
        if self._reduction not in ("none", None) and not self._elementwise and self._share_one_residual:
            return self._blend_sums(weights, scale, off)
        pairs = [
            evaluator.values(batch, _unit(scale, k), off[k])
            for k, (evaluator, batch) in enumerate(zip(self._evaluators, self.batches, strict=True))
        ]
        values, batches = zip(*pairs, strict=True)
        return ExampleValues(values, batches, self._elementwise, self._reduction, self._separate).terms(weights)

    def choose(self, weights: tf.Tensor, scale: tf.Tensor | None) -> Terms:
        """The blend by one-hot `weights` `[K]`: the other losses are not evaluated, and read as NaN."""
        chosen = tf.argmax(weights, output_type=tf.int32)
        loss = tf.cast(self._chosen_mean(chosen, scale), weights.dtype)
        nan = tf.constant(float("nan"), weights.dtype)
        losses = tf.where(tf.range(len(self.batches)) == chosen, tf.stop_gradient(loss), nan)
        # The chosen weight is all there is: one-hot shares times the total. NaN weights stay NaN.
        return Terms(loss * tf.reduce_sum(weights), losses, weights)

    def _chosen_mean(self, chosen: tf.Tensor, scale: tf.Tensor | None) -> tf.Tensor:
        if self._share_one_residual:
            batch = self.batches[0]
            terms = _differing(batch) if scale is None else [compute_residual(batch, _unit(scale, chosen))]
            penalties = [evaluator.function for evaluator in self._evaluators]
            return chosen_penalty_mean(penalties, chosen, terms, batch, self._mean_reduction)
        branches = [
            partial(evaluator.mean, batch, _unit(scale, k), None)
            for k, (evaluator, batch) in enumerate(zip(self._evaluators, self.batches, strict=True))
        ]
        return tf.switch_case(chosen, [lambda mean=mean: tf.cast(mean(), self.dtype) for mean in branches])

    def _blend_sums(self, weights: tf.Tensor, scale: tf.Tensor | None, off: Sequence[tf.Tensor]) -> Terms:
        """The blend of what each penalty sums up to in each example, without its values by element."""
        residuals = [compute_residual(batch, _unit(scale, k)) for k, batch in enumerate(self.batches)]
        penalties = [evaluator.function for evaluator in self._evaluators]
        sums, number = penalty_sums_by_example(penalties, residuals, self.batches[0], self._mean_reduction, off)
        blend = accurate_sum(weighted_sum(sums, tf.broadcast_to(weights, tf.shape(sums))))
        losses = tf.math.divide_no_nan(accurate_sum(tf.transpose(sums)), number)
        return Terms(tf.math.divide_no_nan(blend, number), losses, weights)

    @property
    def _mean_reduction(self) -> str:
        return "mean" if self._reduction in ("none", None) else self._reduction

    @property
    def _share_one_residual(self) -> bool:
        """Whether all losses are penalties of one residual, weighted alike."""
        alike = not self._separate and all(batch is self.batches[0] for batch in self.batches)
        return alike and all(evaluator.is_plain_penalty for evaluator in self._evaluators)

    def _groups(self) -> list[list[int]]:
        """The penalties that have the same residuals, weighted alike."""
        groups: dict[int, list[int]] = {}
        for k, evaluator in enumerate(self._evaluators):
            if evaluator.is_plain_penalty:
                groups.setdefault(id(self.batches[k]), []).append(k)
        return list(groups.values())


def _unit(scale: tf.Tensor | None, k: int | tf.Tensor) -> tf.Tensor | None:
    """The unit of the residuals of loss number `k`."""
    return scale[k] if scale is not None and scale.shape.rank else scale


def _differing(batch: Batch) -> list[tf.Tensor]:
    """Two tensors whose difference is the residual, or the residual.

    XLA writes to memory what it hands to a branch: two tensors that are there already cost nothing, a residual does.
    Tensors that were converted are not there, and then one residual is less to write than two of them.
    """
    y_true, y_pred = align(batch.y_true, batch.y_pred)
    return [y_pred - y_true] if batch.converted or batch.missing else [y_pred, y_true]
