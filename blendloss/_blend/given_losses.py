"""Losses whose values were computed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from blendloss._blend.batch import NO_BATCH
from blendloss._blend.example_values import ExampleValues, Terms
from blendloss._internal.dtypes import common_dtype


class GivenLosses:
    """K values, scalars or `[batch, ...]`, in the place of `BatchLosses`; there is no batch, and no residual.

    Args:
        values: of each loss, float32 or float64.
        elementwise: whether values are by element.
        reduction: the blend's.
        separate: whether each loss has its own number of examples.
    """

    shared = NO_BATCH
    whole_batch: Sequence[str] = ()

    def __init__(self, values: Sequence[tf.Tensor], elementwise: bool, reduction: str | None, separate: bool) -> None:
        self.dtype = common_dtype(values)
        cast = [tf.cast(value, self.dtype) for value in values]
        self._values = ExampleValues(cast, (NO_BATCH,) * len(cast), elementwise, reduction, separate)

    def means(self, scale: tf.Tensor | None = None, off: Sequence[tf.Tensor] | None = None) -> list[tf.Tensor]:
        """The reduced losses, K scalars. There are no residuals that a scale could divide."""
        return self._values.means()

    def blend(self, weights: tf.Tensor, scale: tf.Tensor | None, off: Sequence[tf.Tensor]) -> Terms:
        """The blend by weights `[K]` or `[batch, K]`."""
        return self._values.terms(weights)
