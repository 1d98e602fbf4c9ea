"""SoftAdapt."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.assertions import require
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.values import kept
from blendloss.gates._from_values._rate_gate import RateGate, finite, put, smoothed
from blendloss.gates._from_values._softadapt_rates import NORMALIZATIONS, RATES


@register
class SoftAdapt(RateGate):
    """SoftAdapt: the faster a loss has risen, or the slower it has fallen, the larger its weight.

        g_k = softmax(beta s)_k,    or, loss-weighted, m_k e^(beta s_k) / sum_j m_j e^(beta s_j)

    s_k is the slope of loss k over its last order + 1 values: the forward difference of that order of accuracy, which
    is the slope at the oldest of them. m_k is the loss's mean over the values kept. Every `every` training steps the
    weights are computed anew, the present losses included; before the first time they are 1 each, and so sum to K.

    Args:
        beta: beta; negative favours the losses that fall fastest.
        order: of accuracy, at least 1; None is 4, five losses. 1 is the paper's difference of the last two.
        every: steps between changes of the weights; None is order + 1, so that no loss counts twice, or 1 for ratios.
            The last max(every, order + 1) losses are kept.
        rate: "slope"; or "ratio", s_k = l_k(t) / l_k(t - 1), of PhysicsNeMo-Sym (with beta 1 and `total` None) and
            jinns (with beta 1), which has no unit.
        normalize: None; "sum" divides the slopes by their sum, as the official package's normalized variant does, which
            turns the order around where that is negative; "absolute" by the sum of their sizes, which does not, and
            which version 0.0.3 of the package took.
        loss_weighted: whether to multiply by the mean losses, which must then not be negative; the official package's
            recommendation. Means that are all 0 do not count.
        total: what the weights sum to; None is K.
        momentum: from 0 to below 1, the part of the old weights in the new ones; ReLoBRaLo's repository has it (with
            order 1, every 1, `total` None).
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log g less its largest, `[K]`, so that a mode's temperature T stands for beta / T, and
        the total of g. A step whose losses are not all finite leaves the state as it is and is counted in the variable
        `skipped`. A negative mean loss, of a loss-weighted gate, is caught in the graph; XLA, which cannot raise, turns
        the blend's value into NaN.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or an `order` is given for ratios.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.SoftAdapt(1.0, order=1, every=1))
        >>> for a in (1.0, 2.0):
        ...     output = blend.compute_from_values({"a": a, "b": 3.0}, step=0)  # slopes 1 and 0: odds of e
        >>> [round(float(g), 3) for g in output.weights]
        [0.731, 0.269]

    References:
        Heydari, Thompson and Mehmood, "SoftAdapt: Techniques for Adaptive Loss Weighting of Neural Networks with
        Multi-Part Loss Functions", arXiv:1912.12355, and its package (SoftAdapt, NormalizedSoftAdapt,
        LossWeightedSoftAdapt).

    Deviations:
        The package adds 1e-8 to the sum of the exponentials, so that one loss weighs 0.99999999; PhysicsNeMo-Sym adds
        1e-8 to the denominators of the ratios, jinns 1e-6. The package's normalized slopes are NaN where their sum is
        0. ReLoBRaLo's repository compares the first losses with 1, and changes the weights by that.
    """

    def __init__(
        self,
        beta: float = 0.1,
        *,
        order: int | None = None,
        every: int | None = None,
        rate: str = "slope",
        normalize: str | None = None,
        loss_weighted: bool = False,
        total: float | None = 1.0,
        momentum: float = 0.0,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.beta = checks.finite("beta", beta, dtype=self.compute_dtype)
        self.rate = checks.one_of("rate", rate, list(RATES))
        self._rate = RATES[self.rate](order)
        self.order = None if order is None else int(order)
        self.every = None if every is None else checks.integer("every", every, 1)
        self._period = self._rate.period if self.every is None else self.every
        self.normalize = checks.one_of("normalize", normalize, list(NORMALIZATIONS))
        self._normalization = NORMALIZATIONS[self.normalize]
        self.loss_weighted = checks.boolean("loss_weighted", loss_weighted)
        self.sum_of_weights = None if total is None else checks.positive("total", total, dtype=self.compute_dtype)
        self.momentum = checks.momentum("momentum", momentum, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.history: Any = None
        self.seen: Any = None

    def create_state(self, k: int) -> None:
        super().create_state(k)
        self.history = kept(self, "losses", (max(self._rate.points, self._period), k))
        self.seen = self.add_state("seen", dtype="int64")

    def total(self, logits: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.exp(logits))

    def stepped(self, values: tf.Tensor, valid: tf.Tensor, context: Context) -> tf.Tensor:
        before = tf.cast(tf.convert_to_tensor(self.history), values.dtype)
        losses = put(self.history, tf.concat([before[1:], values[tf.newaxis]], 0), valid)
        seen = put(self.seen, tf.convert_to_tensor(self.seen) + 1, valid)
        old = tf.cast(tf.convert_to_tensor(self.logits), values.dtype)
        due = valid & (seen >= losses.shape[0]) & (seen % self._period == 0)
        new = smoothed(old, self._log_weights(losses), self.momentum)
        # Slopes of the largest losses overflow; logarithms of negative means are NaN.
        logits = put(self.logits, new, due & ~tf.reduce_any(tf.math.is_nan(new)))
        if not self.loss_weighted:
            return logits
        rule = f"The mean losses that the gate {self.name!r} multiplies by must not be negative."
        return require(~(due & tf.reduce_any(tf.reduce_mean(losses, 0) < 0)), rule, logits)

    def _log_weights(self, losses: tf.Tensor) -> tf.Tensor:
        logits = self.beta * self._normalization(self._rate(losses))
        if self.loss_weighted:
            means = tf.reduce_mean(losses, axis=0)
            means = tf.where(tf.reduce_any(means > 0), means, tf.ones_like(means))
            logits += tf.math.log(means)
        total = len(self.names) if self.sum_of_weights is None else self.sum_of_weights
        return finite(tf.nn.log_softmax(logits) + math.log(total))  # of a mean of 0, too

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta": self.beta,
            "order": self.order,
            "every": self.every,
            "rate": self.rate,
            "normalize": self.normalize,
            "loss_weighted": self.loss_weighted,
            "total": self.sum_of_weights,
            "momentum": self.momentum,
        }
