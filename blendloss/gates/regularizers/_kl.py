"""The divergence of the shares from a prior."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates.regularizers._regularizer import Regularizer, mean_over_examples, positive_part


@register
class KL(Regularizer):
    """Keeps the shares near a prior: coefficient * KL(shares || prior), sum_k s_k log(s_k / p_k) in nats.

    The divergence is 0 if the shares equal the prior, and positive otherwise. With equal priors it is `Entropy` plus
    the constant log K. For a batch it is the mean over the examples.

    Args:
        prior: p, a list of K positive numbers with sum 1.
        coefficient: a number, or a schedule of the step; negative drives the shares away from the prior.

    Returns:
        `regularizer(shares, step)` returns a scalar: float64 for float64 shares, else float32; 0 for an empty batch.
        Under `tf.distribute`, it is each replica's mean; the blend averages them.

    Raises:
        TypeError: if `prior` is not a list of numbers, or `coefficient` is neither a number nor a schedule.
        ValueError: if `prior` is not positive, does not sum to 1, or does not have one number for each loss, or if
            `coefficient` is not finite or not a scalar.

    Example:
        >>> import blendloss as bl
        >>> kl = bl.gates.regularizers.KL([0.5, 0.5], coefficient=1.0)
        >>> float(kl([0.5, 0.5])), round(float(kl([1.0, 0.0])), 3)  # log 2
        (0.0, 0.693)

    References:
        Kullback and Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22 (1951).

    Deviations:
        At a share of exactly 0, the derivative is infinite. There the gradient is 0, because the loss is switched off.
    """

    def __init__(self, prior: Any, coefficient: Any) -> None:
        super().__init__(coefficient)
        self.prior = _on_simplex("prior", prior)

    def check(self, k: int) -> None:
        if len(self.prior) != k:
            raise ValueError(f"`prior` must have one number for each of the {k} losses. Received: prior={self.prior}")

    def penalty(self, shares: tf.Tensor) -> tf.Tensor:
        positive, logs = positive_part(shares)
        log_ratios = logs - tf.math.log(tf.constant(self.prior, shares.dtype))
        return mean_over_examples(
            tf.reduce_sum(tf.where(positive, shares * log_ratios, tf.zeros_like(shares)), axis=-1)
        )

    def get_config(self) -> dict[str, Any]:
        return {"prior": self.prior, **super().get_config()}


def _on_simplex(name: str, values: Any) -> list[float]:
    """Checks that `values` are positive numbers with sum 1; returns a list of floats."""
    given = checks.finites(name, values)
    for k, value in enumerate(given):
        if value <= 0:
            raise ValueError(
                f"`{name}` must be positive everywhere, because the divergence of a positive share from 0 is infinite. "
                f"Received: {name}[{k}]={value!r}"
            )
    # The sum of float32 numbers, such as [1/3] * 3, differs from 1 by up to 1e-7 for each.
    if abs(sum(given) - 1) > 1e-6:
        raise ValueError(f"`{name}` must sum to 1. Received: {name}={values!r}, which sums to {sum(given)!r}")
    return given
