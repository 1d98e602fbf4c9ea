"""A smooth maximum of the weighted losses."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import checked_entries, checked_preference, kept, one_each, shared_values
from blendloss.gates._from_values._scalarization import blended

#: What the published code adds to what it takes the logarithm of.
_LEAST = 1e-20


@register
class SmoothTchebycheff(Gate):
    """A smooth maximum of the weighted losses (STCH): as mu falls, the loss that is furthest behind has all the weight.

        F(l) = mu log sum_k exp(y_k / mu),    y_k = w_k (l_k - z_k),    g_k = w_k softmax(y / mu)_k

    F is the largest of sum_k p_k y_k + mu H(p) over shares p on the simplex, with Shannon's entropy H. The blend's
    value is that, at the mode's shares: F itself under `Soft()`, with F's gradient; under `Hard()` the maximum,
    max_k y_k, as in `Tchebycheff`.

    The published code for multi-task learning computes another thing, here where `averaging` is given: losses of any
    size, after a warm-up, relative to what they were at its end.

        F(l) = K mu log sum_k exp(y_k / mu),    y_k = w_k log(l_k / n_k + 1e-20)

    with n the mean of the losses over `averaging` training steps, after `warmup` steps (1 for a loss that was 0 in all
    of them). Until n is known, F(l) = sum_k log(l_k + 1e-20).

    Args:
        smoothness: mu > 0.
        preference: w, `[K]`, non-negative, not all 0; None is 1/K for each, with `averaging` 1.
        ideal: z, `[K]`, a lower bound of the losses; None is 0. Not with `averaging`.
        warmup: training steps before the averaging.
        averaging: training steps over which n is the mean; None is the formula at the top.
        name: the layer's name.
        dtype: of the logits; the state is float32 where it is half precision.

    Returns:
        `gating(context)` gives (y - max y) / mu, `[K]`, and the total w, or K w_k / (l_k + 1e-20 n_k), `[K]`. A step
        whose losses are not all finite is not averaged, and counted in the variable `skipped`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, has not one number for each loss, or does not go with others.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.SmoothTchebycheff(1.0, preference=[1.0, 1.0]))
        >>> output = blend.compute_from_values({"a": 1.0, "b": 1.0}, training=False)  # 1 + log 2
        >>> output.weights.numpy().tolist(), round(float(output.value), 3)
        ([0.5, 0.5], 1.693)

    References:
        Lin et al., "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML 2024, arXiv:2402.19078;
        with `averaging`, its code for multi-task learning, also in LibMTL 1.1: there mu = 1, the warm-up lasts 4 epochs
        (`warmup`), the fifth is averaged (`averaging`).

    Deviations:
        TorchJD 0.18 has the formula at the top alone. The published code has no w with the logarithms, and
        reports F less K times the largest logarithm, with the same gradient.
    """

    needs = Needs.VALUES

    def __init__(
        self,
        smoothness: float,
        preference: Any = None,
        ideal: Any = None,
        *,
        warmup: int = 0,
        averaging: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.smoothness = checks.positive("smoothness", smoothness, dtype=self.compute_dtype)
        self.preference = checked_preference("preference", preference)
        self.ideal = checked_entries("ideal", ideal, dtype=self.compute_dtype)
        self.warmup = checks.integer("warmup", warmup, 0)
        self.averaging = None if averaging is None else checks.integer("averaging", averaging, 1)
        if self.averaging is None and self.warmup:
            raise ValueError(f"`warmup` must be 0 without `averaging`. Received: warmup={warmup!r}")
        if self.averaging is not None and self.ideal is not None:
            raise ValueError(f"`ideal` must be None with `averaging`. Received: ideal={ideal!r}")
        self.stateful = self.averaging is not None
        # Set once the losses are known.
        self.factors: list[float] = []
        self.origin: list[float] = []
        self.nadir: Any = None
        self.steps: Any = None
        self.averaged: Any = None
        self.known: Any = None
        self.skipped: Any = None

    def create_state(self, k: int) -> None:
        self.factors = one_each("preference", self.preference, k, 1 / k if self.averaging is None else 1.0)
        self.origin = one_each("ideal", self.ideal, k, 0.0)
        if self.averaging is not None:
            self.nadir = kept(self, "nadir", (k,))
            self.steps = self.add_state("steps", dtype="int64")
            self.averaged = self.add_state("averaged", dtype="int64")
            self.known = self.add_state("known", dtype="int64")
            self.skipped = self.add_state("skipped", dtype="int64")

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        values = shared_values(self, context)
        if self.averaging is None:
            behind, factors = self._behind(values), tf.constant(self.factors, values.dtype)
            return Gating(self._logits(behind), factors)
        if context.training:
            self._average(values)
        factors = len(self.factors) * tf.constant(self.factors, values.dtype)
        early = 1 / (values + _LEAST)
        logits = tf.where(self._ready(), self._logits(self._behind(values)), self._cast(tf.math.log(early)))
        total = tf.where(self._ready(), factors / (values + _LEAST * self._units(values.dtype)), tf.reduce_sum(early))
        return Gating(logits, total)

    def _behind(self, values: tf.Tensor) -> tf.Tensor:
        """y."""
        factors = tf.constant(self.factors, values.dtype)
        if self.averaging is None:
            return factors * (values - tf.constant(self.origin, values.dtype))
        return factors * tf.math.log(values / self._units(values.dtype) + _LEAST)

    def _units(self, dtype: Any) -> tf.Tensor:
        """n; 1 where it is not known yet, or 0."""
        nadir = tf.cast(tf.convert_to_tensor(self.nadir), dtype)
        return tf.where(self._ready() & (nadir != 0), nadir, tf.ones_like(nadir))

    def _logits(self, behind: tf.Tensor) -> tf.Tensor:
        # Centred first: large losses over a small mu overflow.
        return self._cast((behind - tf.reduce_max(behind)) / self.smoothness)

    def _cast(self, logits: tf.Tensor) -> tf.Tensor:
        return tf.cast(logits, self.compute_dtype)

    def _ready(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.known) > 0

    def _average(self, values: tf.Tensor) -> None:
        """Takes the losses of a training step into n, which is used from the step after the last of them."""
        steps, averaged, nadir = map(tf.convert_to_tensor, (self.steps, self.averaged, self.nadir))
        ready = averaged >= self.averaging
        due = (steps >= self.warmup) & ~ready
        valid = tf.reduce_all(tf.math.is_finite(values))
        counted = averaged + tf.cast(due & valid, tf.int64)
        change = (tf.cast(values, nadir.dtype) - nadir) / tf.cast(tf.maximum(counted, 1), nadir.dtype)
        self.nadir.assign(tf.where(due & valid, nadir + change, nadir))
        self.averaged.assign(counted)
        self.known.assign(tf.cast(ready, tf.int64))
        self.steps.assign(steps + 1)
        self.skipped.assign(tf.convert_to_tensor(self.skipped) + tf.cast(due & ~valid, tf.int64))

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor:
        values = shared_values(self, context)
        shares = tf.cast(shares, values.dtype)
        entropy = -tf.reduce_sum(tf.math.xlogy(shares, shares))
        if self.averaging is None:
            origin = tf.cast(gating.total, values.dtype) * tf.constant(self.origin, values.dtype)
            return self.smoothness * entropy - tf.reduce_sum(shares * origin)
        bound = len(self.factors) * (tf.reduce_sum(shares * self._behind(values)) + self.smoothness * entropy)
        early = tf.reduce_sum(tf.math.log(values + _LEAST))
        return tf.where(self._ready(), bound, early) - blended(shares, gating, values)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "smoothness": self.smoothness,
            "preference": self.preference,
            "ideal": self.ideal,
            "warmup": self.warmup,
            "averaging": self.averaging,
        }
