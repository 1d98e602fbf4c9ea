"""How one loss is evaluated on its batch."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._blend.batch import Batch, to_compute_dtype
from blendloss._blend.example_values import reduce_values
from blendloss._blend.fused import penalty_means
from blendloss._blend.loss_variables import block_variable_gradients, held_variables
from blendloss._blend.missing import zero_missing
from blendloss._blend.weighted_sum import block_nonfinite_gradient
from blendloss._internal.reductions import of_all_replicas, reduce_weighed
from blendloss.losses import AddedLoss, Columns, OutputLoss, Penalty
from blendloss.losses._adapter import AdaptedLoss, as_loss
from blendloss.losses._columns import innermost
from blendloss.losses._penalty import align


class LossEvaluator:
    """Evaluates one loss: its values by example, or its mean.

    Args:
        name: the loss's name, for messages.
        loss: a penalty, a Keras loss, a function, or a part of the outputs with one of these.
        elementwise: whether a penalty is weighted residual by residual.
        reduction: the blend's. Where the blend does not reduce, the loss's own value is its mean.
    """

    def __init__(self, name: str, loss: Any, elementwise: bool, reduction: str | None) -> None:
        self.name = name
        self.function = _function_of(name, loss)
        #: The loss without what says which part of the outputs it reads.
        self.inner = innermost(loss)
        #: The variables that the loss holds and that nothing but a blend would track.
        self.held = held_variables(name, self.inner)
        self._elementwise = elementwise
        self._blend_reduction = reduction
        self._reduction = "mean" if reduction in ("none", None) else reduction

    @property
    def is_plain_penalty(self) -> bool:
        """Whether the loss is a penalty that is averaged as all penalties are, and so can be fused with others."""
        return isinstance(self.function, Penalty) and type(self.function).__call__ is Penalty.__call__

    @property
    def trains(self) -> bool:
        """Whether the loss has variables that train."""
        own = self.inner.trainable_variables if hasattr(self.inner, "trainable_variables") else ()
        return bool(own) or any(variable.trainable for variable in self.held)

    def values(self, batch: Batch, scale: tf.Tensor | None, off: tf.Tensor) -> tuple[tf.Tensor, Batch]:
        """The values by example, or by element for an elementwise gate, and the batch by which they are reduced.

        Args:
            batch: what the loss reads.
            scale: the unit of the residuals, a scalar; None is 1.
            off: whether the weight is 0: then nothing that is not finite flows back.
        """
        if self._reduces_itself(batch):
            raise ValueError(
                f"The loss {self.name!r} reduces its own values: neither a gate that weighs each example by itself nor "
                f"a blend that does not reduce can take it. Received: a {type(self.function.loss).__name__}"
            )
        values = self._evaluate(block_batch_gradients(batch, off), scale, off)
        return zero_missing(to_compute_dtype(values), batch.missing), _with_mask_of(values, batch)

    def mean(self, batch: Batch, scale: tf.Tensor | None, off: tf.Tensor | None) -> tf.Tensor:
        """The reduced loss; arguments as in `values`, and `off` may be None: the weight is not 0."""
        if self.is_plain_penalty:
            blocked = None if off is None else [off]
            return penalty_means([self.function], [compute_residual(batch, scale)], batch, self._reduction, blocked)[0]
        batch = batch if off is None else block_batch_gradients(batch, off)
        if self._reduces_itself(batch):
            with block_variable_gradients(self.inner, self.held, off):
                return self._reduced_by_itself(batch)
        values = self._evaluate(batch, scale, off)
        masked = _with_mask_of(values, batch)
        return reduce_values(
            zero_missing(to_compute_dtype(values), batch.missing), masked, self._elementwise, self._reduction
        )

    def _evaluate(self, batch: Batch, scale: tf.Tensor | None, off: tf.Tensor | None) -> tf.Tensor:
        if scale is None and not self._elementwise:
            with block_variable_gradients(self.inner, self.held, off):
                return tf.convert_to_tensor(self.function(batch.y_true, batch.y_pred))
        residual = compute_residual(batch, scale)
        return self.function.value(residual) if self._elementwise else self.function(tf.zeros_like(residual), residual)

    def _reduces_itself(self, batch: Batch) -> bool:
        weighted = batch.sample_weight is not None or batch.mask is not None
        return isinstance(self.function, AdaptedLoss) and self.function.reduces_itself(self._blend_reduction, weighted)

    def _reduced_by_itself(self, batch: Batch) -> tf.Tensor:
        y_true = batch.own_targets if self.function.has_own_call else batch.y_true
        value = to_compute_dtype(self.function.reduced(y_true, batch.y_pred, batch.sample_weight, batch.mask))
        if value.shape.rank:  # which Keras, too, has not divided by the number of replicas
            return reduce_weighed(value, batch.sample_weight, batch.mask, self._reduction)
        return of_all_replicas(value, self._reduction)


def compute_residual(batch: Batch, scale: tf.Tensor | None) -> tf.Tensor:
    """y_pred - y_true, in units of `scale`."""
    y_true, y_pred = align(batch.y_true, batch.y_pred)
    return y_pred - y_true if scale is None else (y_pred - y_true) / scale


def block_batch_gradients(batch: Batch, off: tf.Tensor) -> Batch:
    """`batch`, through which a loss with weight 0 sends back nothing that is not finite."""

    def blocked(tensor: tf.Tensor) -> tf.Tensor:
        if not tensor.dtype.is_floating:
            return tensor
        if 0 < off.shape.rank < tensor.shape.rank:
            return block_nonfinite_gradient(tensor, tf.reshape(off, [-1] + [1] * (tensor.shape.rank - 1)))
        return block_nonfinite_gradient(tensor, off)

    y_true, y_pred = (tf.nest.map_structure(blocked, structure) for structure in (batch.y_true, batch.y_pred))
    batch = batch._replace(y_true=y_true, y_pred=y_pred)
    if batch.sample_weight is None or off.shape.rank:  # weights of each example multiply what is blended already
        return batch
    return batch._replace(sample_weight=blocked(batch.sample_weight))


def _function_of(name: str, loss: Any) -> Any:
    """(y_true, y_pred) -> values, of the part of the batch that `loss` reads."""
    if isinstance(loss, AddedLoss):
        return lambda _, value: value  # computed by its layer, and passed in
    if isinstance(loss, OutputLoss) and not isinstance(loss.loss, Columns):
        return loss.evaluate
    return as_loss(name, innermost(loss))


def _with_mask_of(values: tf.Tensor, batch: Batch) -> Batch:
    """`batch` with the mask of a loss that masks some values itself, as Keras's crossentropy with `ignore_class`."""
    own = getattr(values, "_keras_mask", None)
    if own is None:
        return batch
    return batch._replace(mask=own if batch.mask is None else tf.cast(batch.mask, tf.bool) & tf.cast(own, tf.bool))
