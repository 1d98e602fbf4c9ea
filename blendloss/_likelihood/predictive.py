"""Predictive intervals of targets from a law of the residuals."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss.losses._penalty import as_floating


def interval(law: Any, scale: Any, y_pred: Any, level: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The equal-tailed interval of y_true = y_pred - r at probability `level`, with r from `law`.

    Args:
        law: a float64 distribution with `cdf`, in units of the residual.
        scale: a residual of about the law's scale, to start the search.
        y_pred: predictions of any shape.
        level: the probability, in (0, 1).
    """
    from blendloss._likelihood.residual_law import quantile

    level = checks.between("level", level, 0.0, 1.0)
    y_pred = as_floating("y_pred", y_pred)
    tails = tf.constant([(1 - level) / 2, (1 + level) / 2], tf.float64)
    low, high = tf.unstack(tf.cast(quantile(law.cdf, tails, tf.cast(scale, tf.float64)), y_pred.dtype))
    return y_pred - high, y_pred - low
