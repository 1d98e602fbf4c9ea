"""How the losses of a blend are evaluated, blended by example, and reduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeGuard

import tensorflow as tf

from blendloss._blend.batch import Batch, to_compute_dtype
from blendloss._blend.fused import chosen_penalty_mean, penalty_means, penalty_sums_by_example
from blendloss._blend.loss_variables import block_variable_gradients, held_variables
from blendloss._blend.missing import zeroed
from blendloss._blend.weighted_sum import block_nonfinite_gradient, weighted_sum
from blendloss._internal.reductions import (
    accurate_mean,
    accurate_sum,
    number_of,
    of_all_replicas,
    reduce,
    reduce_weighed,
    weights_of_elements,
)
from blendloss.losses import AddedLoss, Columns, OutputLoss, Penalty
from blendloss.losses._adapter import AdaptedLoss, as_loss
from blendloss.losses._columns import innermost
from blendloss.losses._penalty import align


class Evaluation:
    """Evaluates the losses of batches, one batch for each; penalties of one residual together, in one pass.

    Args:
        losses: by name, as a blend is given them; None is one whose values are computed elsewhere.
        elementwise: whether penalties are weighed residual by residual.
        reduction: the blend's. Where the blend itself does not reduce, a loss's own value is its mean.
    """

    def __init__(self, losses: Mapping[str, Any], elementwise: bool, reduction: str | None) -> None:
        self.losses: list[Any] = [evaluator(name, loss) for name, loss in losses.items() if loss is not None]
        self._names = list(losses)
        self._parts = [innermost(loss) for loss in losses.values()]
        #: The variables that each loss holds and that nobody but a blend would track.
        self.held = [held_variables(*pair) for pair in zip(losses, self._parts, strict=True)]
        # Whether each loss reads a batch of its own.
        self._heads = any(isinstance(loss, (AddedLoss, OutputLoss, Columns)) for loss in losses.values())
        self._elementwise = elementwise
        self._blend_reduction = reduction
        self._loss_reduction = "mean" if reduction in ("none", None) else reduction

    def values(
        self, batches: Sequence[Batch], scale: tf.Tensor | None, off: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[Batch]]:
        """Of each loss, of residuals in units of `scale`, by example; by element, if they are weighed so.

        Returns:
            The values, and the batches by which they are weighed and reduced.
        """
        found = []
        for index, batch in enumerate(batches):
            if self._reduces_itself(index, batch):
                kind = type(self.losses[index].loss).__name__
                raise ValueError(
                    f"The loss {self._names[index]!r} reduces its own values: neither a gate that weighs each example "
                    f"by itself nor a blend that does not reduce can take it. Received: a {kind}"
                )
            values = self._value(index, block_batch_gradients(batch, off[index]), scale, off[index])
            found.append((zeroed(to_compute_dtype(values), batch.missing), _masked(batch, values)))
        return [values for values, _ in found], [batch for _, batch in found]

    def _value(self, index: int, batch: Batch, scale: tf.Tensor | None, off: tf.Tensor | None) -> tf.Tensor:
        loss = self.losses[index]
        if scale is None and not self._elementwise:
            with block_variable_gradients(self._parts[index], self.held[index], off):
                return tf.convert_to_tensor(loss(batch.y_true, batch.y_pred))
        residual = _residual(index, batch, scale)
        return loss.value(residual) if self._elementwise else loss(tf.zeros_like(residual), residual)

    def _reduces_itself(self, index: int, batch: Batch) -> bool:
        loss = self.losses[index]
        weighed = batch.sample_weight is not None or batch.mask is not None
        return isinstance(loss, AdaptedLoss) and loss.reduces_itself(self._blend_reduction, weighed)

    def means(
        self,
        batches: Sequence[Batch],
        scale: tf.Tensor | None = None,
        off: Sequence[tf.Tensor] | None = None,
        apart: bool = False,
    ) -> list[tf.Tensor]:
        """The reduced losses.

        Args:
            batches: of each loss.
            scale: of the residuals.
            off: whether each loss is off, and must send back nothing that is not finite.
            apart: whether to evaluate each by itself.
        """
        means: dict[int, tf.Tensor] = {}
        for together in [] if apart or self._heads else self._groups(batches):
            residuals = [_residual(k, batches[k], scale) for k in together]
            some = None if off is None else [off[k] for k in together]
            penalties = [self.losses[k] for k in together]
            found = penalty_means(penalties, residuals, batches[together[0]], self._loss_reduction, some)
            means |= dict(zip(together, tf.unstack(found), strict=True))
        for k, batch in enumerate(batches):
            if k not in means:
                means[k] = self._mean(k, batch, scale, None if off is None else off[k])
        return _alike([means[k] for k in range(len(batches))])

    def _groups(self, batches: Sequence[Batch]) -> list[list[int]]:
        """The penalties that have the same residuals and the same weights of them."""
        groups: dict[int, list[int]] = {}
        for k, loss in enumerate(self.losses):
            if _fusible(loss):
                groups.setdefault(id(batches[k]), []).append(k)
        return list(groups.values())

    def _mean(
        self, index: int, batch: Batch, scale: tf.Tensor | None = None, off: tf.Tensor | None = None
    ) -> tf.Tensor:
        loss = self.losses[index]
        if _fusible(loss):
            some = None if off is None else [off]
            return penalty_means([loss], [_residual(index, batch, scale)], batch, self._loss_reduction, some)[0]
        batch = batch if off is None else block_batch_gradients(batch, off)
        if self._reduces_itself(index, batch):
            with block_variable_gradients(self._parts[index], self.held[index], off):
                return self._reduced_by_itself(loss, batch)
        values = self._value(index, batch, scale, off)
        return self._mean_of(zeroed(to_compute_dtype(values), batch.missing), _masked(batch, values))

    def _reduced_by_itself(self, loss: AdaptedLoss, batch: Batch) -> tf.Tensor:
        y_true = batch.own_targets if loss.has_own_call else batch.y_true
        value = to_compute_dtype(loss.reduced(y_true, batch.y_pred, batch.sample_weight, batch.mask))
        if value.shape.rank:  # which Keras, too, has not divided by the number of replicas
            return reduce_weighed(value, batch.sample_weight, batch.mask, self._loss_reduction)
        return of_all_replicas(value, self._loss_reduction)

    def means_of(self, values: list[tf.Tensor], batches: Sequence[Batch]) -> list[tf.Tensor]:
        """`means` of losses that were evaluated."""
        return _alike([self._mean_of(*pair) for pair in zip(values, batches, strict=True)])

    def _mean_of(self, values: tf.Tensor, batch: Batch) -> tf.Tensor:
        return self._reduced(self._of_examples(values), batch, self._loss_reduction)

    def chosen_mean(self, chosen: tf.Tensor, batches: Sequence[Batch], scale: tf.Tensor | None) -> tf.Tensor:
        """The mean of loss number `chosen`; the others are not evaluated."""
        if self._of_one_residual(batches):
            terms = _terms(batches[0]) if scale is None else [_residual(chosen, batches[0], scale)]
            return chosen_penalty_mean(self.losses, chosen, terms, batches[0], self._loss_reduction)
        branches = [partial(self._mean, index, batch, scale) for index, batch in enumerate(batches)]
        dtype = common_dtype([batch.y_pred for batch in batches])
        return tf.switch_case(chosen, [lambda mean=mean: tf.cast(mean(), dtype) for mean in branches])

    def sums_by_example(self, batches: Sequence[Batch]) -> bool:
        """Whether the blend can weigh what the losses sum up to in each example, without their values by element."""
        reduces = self._blend_reduction not in ("none", None)
        return reduces and not self._elementwise and self._of_one_residual(batches)

    def blended_sums(
        self, weights: tf.Tensor, batches: Sequence[Batch], scale: tf.Tensor | None, off: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The blend by weights `[batch, K]`, and the losses `[K]`, if `sums_by_example`; arguments as of `means`."""
        residuals = [_residual(k, batch, scale) for k, batch in enumerate(batches)]
        sums, number = penalty_sums_by_example(self.losses, residuals, batches[0], self._loss_reduction, off)
        blend = accurate_sum(weighted_sum(sums, tf.broadcast_to(weights, tf.shape(sums))))
        return tf.math.divide_no_nan(blend, number), tf.math.divide_no_nan(accurate_sum(tf.transpose(sums)), number)

    def _of_one_residual(self, batches: Sequence[Batch]) -> bool:
        """Whether all losses are penalties of one residual, weighed alike."""
        alike = all(batch is batches[0] for batch in batches)
        return not self._heads and alike and all(map(_fusible, self.losses))

    def blended(self, values: list[tf.Tensor], weights: tf.Tensor, batches: Sequence[Batch]) -> tf.Tensor:
        """The blend of values by example, reduced as the blend is."""
        if all(batch is batches[0] for batch in batches):
            blended = self._of_examples(_by_example(values, weights))
            return self._reduced(blended, batches[0], self._blend_reduction)
        if not self._heads or weights.shape.rank == 1:
            shares = [self._share(*pair) for pair in zip(values, batches, strict=True)]
            kept = self._blend_reduction in ("none", None)
            return reduce(_by_example(shares, weights), None, "none" if kept else "sum")
        parts = [_by_example([value], weights[:, k : k + 1]) for k, value in enumerate(values)]
        return tf.add_n([self._reduced(*pair, self._blend_reduction) for pair in zip(parts, batches, strict=True)])

    def _of_examples(self, values: tf.Tensor) -> tf.Tensor:
        """`values` by element, of an elementwise gate, averaged over the last axis as penalties are by themselves."""
        return accurate_mean(values) if self._elementwise and values.shape.rank > 1 else values

    def _share(self, values: tf.Tensor, batch: Batch) -> tf.Tensor:
        """`values` by example, as parts of the sum that they are reduced to, by weights and a mask of their own."""
        weights = weights_of_elements(values, batch.sample_weight, batch.mask, self._blend_reduction)
        weighed = values if weights is None else values * weights
        if self._blend_reduction in ("none", None):
            return weighed
        return tf.math.divide_no_nan(weighed, number_of(weighed, weights, self._blend_reduction))

    def _reduced(self, values: tf.Tensor, batch: Batch, reduction: str | None) -> tf.Tensor:
        return reduce(values, weights_of_elements(values, batch.sample_weight, batch.mask, reduction), reduction)


def evaluator(name: str, loss: Any) -> Any:
    """What gives the values of `loss`, of the part of the batch that it reads."""
    if isinstance(loss, AddedLoss):
        return lambda _, value: value  # given, and not computed here
    if isinstance(loss, OutputLoss) and not isinstance(loss.loss, Columns):
        return loss.evaluate
    return as_loss(name, innermost(loss))


def block_batch_gradients(batch: Batch, off: tf.Tensor) -> Batch:
    """`batch`, through which no gradient flows back from a loss that is off."""

    def gated(tensor: tf.Tensor) -> tf.Tensor:
        if not tensor.dtype.is_floating:
            return tensor
        if 0 < off.shape.rank < tensor.shape.rank:
            return block_nonfinite_gradient(tensor, tf.reshape(off, [-1] + [1] * (tensor.shape.rank - 1)))
        return block_nonfinite_gradient(tensor, off)

    y_true, y_pred = (tf.nest.map_structure(gated, structure) for structure in (batch.y_true, batch.y_pred))
    batch = batch._replace(y_true=y_true, y_pred=y_pred)
    if batch.sample_weight is None or off.shape.rank:  # weights of each example multiply what is blended already
        return batch
    return batch._replace(sample_weight=gated(batch.sample_weight))


def _masked(batch: Batch, values: tf.Tensor) -> Batch:
    """`batch`, of which a loss masks some values itself, as Keras's crossentropy with an `ignore_class` does."""
    own = getattr(values, "_keras_mask", None)
    if own is None:
        return batch
    return batch._replace(mask=own if batch.mask is None else tf.cast(batch.mask, tf.bool) & tf.cast(own, tf.bool))


def _by_example(values: list[tf.Tensor], weights: tf.Tensor) -> tf.Tensor:
    """sum_k g_k l_k for each example: `values` K times `[batch, ...]`, `weights` `[K]` or `[batch, K]`."""
    shapes = {tuple(value.shape) for value in values}
    if len({len(shape) for shape in shapes}) > 1 or not values[0].shape.rank:
        raise ValueError(f"Losses blended by example must have values of one shape [batch, ...]. Received: {shapes}")
    if weights.shape.rank == 2:
        batch = tf.shape(weights)[0]
        weights = tf.reshape(weights, tf.stack([batch] + [1] * (values[0].shape.rank - 1) + [len(values)]))
    return weighted_sum(tf.stack([tf.cast(value, weights.dtype) for value in values], axis=-1), weights)


def common_dtype(tensors: Sequence[Any]) -> tf.DType:
    """What the tensors, or structures of them, are computed in."""
    return tf.float64 if any(tensor.dtype == tf.float64 for tensor in tf.nest.flatten(tensors)) else tf.float32


def _alike(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    return [tf.cast(tensor, common_dtype(tensors)) for tensor in tensors]


def _fusible(loss: Any) -> TypeGuard[Penalty]:
    """Whether a loss is a penalty that is averaged as all penalties are."""
    return isinstance(loss, Penalty) and type(loss).__call__ is Penalty.__call__


def _residual(index: Any, batch: Batch, scale: tf.Tensor | None) -> tf.Tensor:
    """y_pred - y_true, in units of `scale`, of all losses or of each."""
    y_true, y_pred = align(batch.y_true, batch.y_pred)
    if scale is None:
        return y_pred - y_true
    return (y_pred - y_true) / (scale[index] if scale.shape.rank else scale)


def _terms(batch: Batch) -> list[tf.Tensor]:
    """What the residual is the difference of; or the residual, where one of them has to be converted first."""
    converted = [getattr(getattr(of, "op", None), "type", None) == "Cast" for of in (batch.y_true, batch.y_pred)]
    y_true, y_pred = align(batch.y_true, batch.y_pred)
    return [y_pred - y_true] if any(converted) or batch.missing else [y_pred, y_true]
