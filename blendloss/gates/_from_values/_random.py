"""Random loss weighting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.random import LAW, WEIGHTS, checked_seed, uniform
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs

#: What logits are made of, from numbers uniform in (0, 1); the weights are their softmax.
_LOGITS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "normal": tf.math.ndtri,
    "uniform": tf.identity,
    "dirichlet": lambda drawn: tf.math.log(-tf.math.log(drawn)),
}

DISTRIBUTIONS = (*_LOGITS, "random_normal", "bernoulli")


def not_all_off(drawn: tf.Tensor) -> tf.Tensor:
    """K fair coins, not all 0, from K + 1 numbers `drawn` uniform in (0, 1), `[K]` bool.

    The first that is 1 is number i, from 0, with probability 2^-(i + 1) / (1 - 2^-K); those after it are free.
    """
    k = drawn.shape[0] - 1
    place = tf.range(k, dtype=drawn.dtype)
    up_to = (1 - 2.0 ** -(place + 1)) / (1 - 2.0**-k)
    first = tf.minimum(tf.reduce_sum(tf.cast(drawn[0] > up_to, drawn.dtype)), k - 1)
    return (place == first) | ((place > first) & (drawn[1:] < 0.5))


def exactly(drawn: tf.Tensor, number: int) -> tf.Tensor:
    """Which are the `number` smallest of the numbers `drawn`, `[K]` bool; the earlier of equal ones."""
    ranks = tf.argsort(tf.argsort(drawn, stable=True), stable=True)
    return ranks < number


@register
class Random(Gate):
    """Random loss weighting (RLW): weights drawn anew at each step, to compare every other method with.

        g = softmax(z),    z_k normal, independent of each other and of the past

    Args:
        distribution: "normal", z standard normal; "uniform", z uniform in (0, 1); "dirichlet", g uniform on the
            simplex; "random_normal", z_k normal with a mean and a standard deviation that are drawn once, uniform in
            (0, 1); "bernoulli", g_k 0 or 1 alike, not all 0.
        seed: seeds the draws, which are a function of seed and step.
        ones: for "bernoulli", how many weights are 1, drawn without order; None is any number.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log g, `[K]`, up to what they have in common, and the total: 1, or the number of ones.
        Outside training the weights are those expected, equal ones; for "random_normal", softmax of the means.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `distribution` is no known name, or `ones` is out of its range or not for "bernoulli".

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.Random(seed=0))
        >>> losses = {"a": 1.0, "b": 3.0}
        >>> for step in (0, 1):
        ...     print([round(float(g), 3) for g in blend.compute_from_values(losses, step=step).weights])
        [0.489, 0.511]
        [0.648, 0.352]
        >>> blend.compute_from_values(losses, step=0, training=False).weights.numpy().tolist()
        [0.5, 0.5]

    References:
        Lin, Ye, Zhang and Tsang, "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning",
        TMLR 2022, arXiv:2111.10603; the distributions are those of its code. LibMTL 1.1 and TorchJD 0.18 have
        "normal".
    """

    needs = Needs.STEP

    def __init__(
        self,
        distribution: str = "normal",
        *,
        seed: int,
        ones: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.distribution = checks.one_of("distribution", distribution, DISTRIBUTIONS)
        self.seed = checked_seed(seed)
        self.ones = None if ones is None else checks.integer("ones", ones, 1)
        if self.ones is not None and distribution != "bernoulli":
            raise ValueError(f"`ones` must be None for the distribution {distribution!r}. Received: ones={ones!r}")

    def create_state(self, k: int) -> None:
        if self.ones is not None and self.ones > k:
            raise ValueError(f"`ones` must be at most the number of losses, for {k} losses. Received: {self.ones}")

    def gating(self, context: Context) -> Gating:
        logits, total = self._drawn(context.step) if context.training else self._expected()
        return Gating(tf.cast(logits, self.compute_dtype), total)

    def _drawn(self, step: tf.Tensor) -> tuple[tf.Tensor, Any]:
        k = len(self.names)
        if self.distribution != "bernoulli":
            drawn = self._uniform(k, step, WEIGHTS)
            if self.distribution == "random_normal":
                means, deviations = self._law()
                return means + deviations * tf.math.ndtri(drawn), 1.0
            return _LOGITS[self.distribution](drawn), 1.0
        if self.ones is None:
            on = not_all_off(self._uniform(k + 1, step, WEIGHTS))
        else:
            on = exactly(self._uniform(k, step, WEIGHTS), self.ones)
        off = tf.constant(float("-inf"), tf.float64)
        return tf.where(on, tf.zeros_like(off), off), tf.reduce_sum(tf.cast(on, tf.float64))

    def _expected(self) -> tuple[tf.Tensor, float]:
        k = len(self.names)
        if self.distribution == "random_normal":
            return self._law()[0], 1.0
        equal = tf.zeros([k], tf.float64)
        if self.distribution != "bernoulli":
            return equal, 1.0
        return equal, float(k / 2 / (1 - 2.0**-k)) if self.ones is None else float(self.ones)

    def _law(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Means and standard deviations, `[K]`, the same at every step."""
        return tuple(tf.split(self._uniform(2 * len(self.names), tf.constant(0, tf.int64), LAW), 2))

    def _uniform(self, number: int, step: tf.Tensor, stream: int) -> tf.Tensor:
        return uniform([number], self.seed, step, tf.float64, stream)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "distribution": self.distribution, "seed": self.seed, "ones": self.ones}
