"""Dynamic weight average."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.values import kept
from blendloss.gates._from_values._rate_gate import RateGate, finite, put, ratio


@register
class DWA(RateGate):
    """Dynamic weight average: the slower a loss falls from one epoch to the next, the larger its weight.

        g(t) = K softmax(r(t) / T),    r_k(t) = L_k(t - 1) / L_k(t - 2)

    L_k(t) is the mean of loss k over the t-th `window` of training steps, an epoch in the paper; in the first two
    windows all weights are 1. They sum to K, and do not depend on the units of the losses.

    Args:
        window: training steps of a mean, at least 1; the steps of an epoch make it the paper's.
        temperature: T > 0; large is equal weights.
        sliding: False computes the weights anew at each window's end. True is what the repositories of Nash-MTL, FAMO
            and FairGrad do (with 25 steps): r is, at each step, the mean of the last `window` losses, this step's
            included, over that of the `window` before, from the step after `window` + 1 others on. They fill the
            history with ones at the start, and so does this.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives (r - max r) / T, `[K]`, and the total K. Losses of 0 twice have r = 1. A step whose
        losses are not all finite is not averaged, and counted in the variable `skipped`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.DWA(window=1))
        >>> for a in (2.0, 1.0, 1.0):  # then r = (1/2, 1)
        ...     output = blend.compute_from_values({"a": a, "b": 3.0}, step=0)
        >>> [round(float(g), 3) for g in output.weights]
        [0.876, 1.124]

    References:
        Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, arXiv:1803.10704, section
        3.2; by epochs also in LibMTL 1.1 and TorchJD 0.18.

    Deviations:
        none. The repositories with a sliding window divide the weighted sum by K. All others give NaN where a loss was
        0.
    """

    def __init__(
        self,
        window: int,
        temperature: float = 2.0,
        *,
        sliding: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.window = checks.integer("window", window, 1)
        self.temperature = checks.positive("temperature", temperature, dtype=self.compute_dtype)
        self.sliding = checks.boolean("sliding", sliding)
        # Set once the losses are known.
        self.seen: Any = None
        self.history: Any = None
        self.mean: Any = None
        self.last: Any = None
        self.averaged: Any = None
        self.windows: Any = None

    def create_state(self, k: int) -> None:
        super().create_state(k)
        self.seen = self.add_state("seen", dtype="int64")
        if self.sliding:
            self.history = kept(self, "losses", (2 * self.window, k), 1)
        else:
            self.mean = kept(self, "mean", (k,))
            self.last = kept(self, "last", (k,))
            self.averaged = self.add_state("averaged", dtype="int64")
            self.windows = self.add_state("windows", dtype="int64")

    def stepped(self, values: tf.Tensor, valid: tf.Tensor, context: Context) -> tf.Tensor:
        return (self._slid if self.sliding else self._averaged)(values, valid)

    def _logits(self, now: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
        return finite(ratio(now, before) / self.temperature)

    def _slid(self, values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        before = tf.cast(tf.convert_to_tensor(self.history), values.dtype)
        losses = put(self.history, tf.concat([before[1:], values[tf.newaxis]], 0), valid)
        seen = put(self.seen, tf.convert_to_tensor(self.seen) + 1, valid)
        # Each over the window first: the sum of the largest losses overflows.
        older, newer = (tf.reduce_sum(part / self.window, axis=0) for part in tf.split(losses, 2))
        return put(self.logits, self._logits(newer, older), valid & (seen > self.window + 1))

    def _averaged(self, values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """The logits of the windows that are complete; then takes the losses into the present one."""
        seen, averaged, windows = map(tf.convert_to_tensor, (self.seen, self.averaged, self.windows))
        logits, mean, last = (
            tf.cast(tf.convert_to_tensor(state), values.dtype) for state in (self.logits, self.mean, self.last)
        )
        averaged += tf.cast(valid, tf.int64)
        mean = tf.where(valid, mean + (values - mean) / tf.cast(tf.maximum(averaged, 1), values.dtype), mean)
        ends = (seen + 1) % self.window == 0
        complete = ends & (averaged > 0)  # a window without a finite loss is passed over
        put(self.logits, self._logits(mean, last), complete & (windows > 0))
        put(self.last, mean, complete)
        self.mean.assign(tf.cast(tf.where(ends, tf.zeros_like(mean), mean), self.mean.dtype))
        self.averaged.assign(tf.where(ends, tf.zeros_like(averaged), averaged))
        self.windows.assign(windows + tf.cast(complete, tf.int64))
        self.seen.assign(seen + 1)
        return logits

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "window": self.window,
            "temperature": self.temperature,
            "sliding": self.sliding,
        }
