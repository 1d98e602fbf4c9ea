"""A weighted sum that rewards losses in proportion to a preference."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.values import one_each
from blendloss.gates._from_values._pbi import needed_preference
from blendloss.gates._from_values._scalarization import Scalarization


@register
class COSMOS(Scalarization):
    """A weighted sum of the losses, less a reward for the angle between them and the weights.

        F(l) = r . l - lambda cos(r, l),    g = r - lambda (r / |r| - cos(r, l) l / |l|) / |l|

    Weights can be negative. They are constants of the step; the cost F - g . l makes the blend's value F in every mode,
    and under `Soft()` its gradient is F's. Where all losses are 0 there is no angle: cos and its gradient count as 0.

    Args:
        preference: r, `[K]`, non-negative, not all 0.
        penalty: lambda >= 0; 0 leaves the weighted sum. The paper's lie between 0.01 and 8, by data set.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log |g|, `[K]`, and the total sign(g) sum_k |g_k|, `[K]`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or `preference` has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.COSMOS([1.0, 0.0], penalty=5.0))
        >>> output = blend.compute_from_values({"a": 3.0, "b": 4.0})  # 3 - 5 * 3/5; 1 - (1 - 9/25), -(-12/25)
        >>> [round(float(g), 2) for g in output.weights], round(float(output.value), 4)
        ([0.36, 0.48], 0.0)

    References:
        Ruchte and Grabocka, "Scalable Pareto Front Approximation for Deep Multi-Objective Learning", ICDM 2021,
        arXiv:2103.13392.

    Deviations:
        The paper draws r from a Dirichlet law at each step and gives it to the network as an input, so that one
        network covers the whole front; here, as in TorchJD 0.18, r is given, and the network is not looked at. Where
        |l| is below 1e-8, TorchJD (PyTorch) divides by 1e-8 instead.
    """

    def __init__(self, preference: Any, penalty: float, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.preference = needed_preference(preference)
        self.penalty = checks.non_negative("penalty", penalty, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.direction: list[float] = []

    def create_state(self, k: int) -> None:
        given = np.asarray(one_each("preference", self.preference, k, 1.0))
        self.direction = (given / given.max() / np.linalg.norm(given / given.max())).tolist()

    def scalarized(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        preference = tf.constant(self.preference, values.dtype)
        direction = tf.constant(self.direction, values.dtype)
        size = tf.reduce_max(tf.abs(values))  # squares of large losses overflow
        some = ~(size == 0)
        unit = values / tf.where(some, size, tf.ones_like(size))
        length = tf.where(some, tf.norm(unit), tf.ones_like(size))
        unit = unit / length
        cosine = tf.reduce_sum(direction * unit)
        penalty = tf.where(some, tf.constant(self.penalty, values.dtype), tf.zeros_like(size))
        turning = (direction - cosine * unit) / length / tf.where(some, size, tf.ones_like(size))
        return tf.reduce_sum(preference * values) - penalty * cosine, preference - penalty * turning

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "preference": self.preference, "penalty": self.penalty}
