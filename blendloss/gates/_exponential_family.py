"""Weights as natural parameters of a law of the residuals."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.assertions import require
from blendloss._internal.dtypes import initial
from blendloss._internal.serialization import register
from blendloss._likelihood.partition import Partition, why_not
from blendloss._likelihood.predictive import interval
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.positive import log_square, root


@register
class ExponentialFamily(Gate):
    """Likelihood gate: the weights are the natural parameters of a density of the residuals, fitted by likelihood.

        p(r | g, c) = exp(-sum_k g_k rho_k(r / c)) / (c Z(g)),    Z(g) = integral of exp(-sum_k g_k rho_k(u)) du
        L = mean sum_k g_k rho_k(r / c) + log c + log Z(g) = mean -log p(r | g, c),    g_k >= 0, of any sum

    L is a proper negative log-likelihood: it has no cheap minimum at the loss with the smallest numbers. At fixed c it
    is convex in g, with gradient mean rho_k - E_p rho_k and the covariance of rho under p as its Hessian, so that a fit
    ends at the same g wherever it starts. Z is a quadrature over a few thousand fixed nodes, once a step, whatever the
    batch; log Z is good to 1e-9.

    Where the penalties have power tails, g = w with w = theta^2. Where they grow as b_k log |u| at most, p has
    a finite integral only if sum_k g_k b_k > 1, and g = w (1 + 1 / sum_k w_k b_k), which maps the w > 0 one to one onto
    just these g. With several outputs the law is that of each element.

    The gradients in g fall by orders of magnitude while the network learns. Adam's usual beta_2 of 0.999 remembers the
    large ones for a thousand steps, in which g hardly moves: give the gate `Adam(rate, beta_2=0.9)` as its
    `gate_optimizer`. Residuals should be of order 1 in units of c.

    Args:
        initial: g at the start, `[K]`, positive, with a finite Z; None starts from w = 1.
        scale: c > 0, in units of the residual; where the scale is learned, c at the start.
        learn_scale: whether c is trained. L then has other stationary points in (g, c) together: start c near the
            residuals' size, and look at what `fit_gate` makes of the residuals of the trained network.
        name: the layer's name.
        dtype: of the parameters; Z is computed in float64.

    Returns:
        `gating(context)` gives log w, the total of g, and c; `cost` gives log c + log Z.

    Raises:
        TypeError: if a loss is no penalty, or an argument has the wrong type.
        ValueError: if the penalties cannot be normalized (all are bounded, as Welsch's), or `initial` cannot. In the
            graph, if a mode chooses weights that cannot (`Hard` on a bounded penalty); XLA, which cannot raise, gives
            NaN.

    Example:
        >>> import math, blendloss as bl
        >>> gate = bl.gates.ExponentialFamily(initial=[0.5])
        >>> blend = bl.Blend({"squared": bl.losses.SquaredError()}, gate)
        >>> value = blend([[0.0]], [[1.0]], step=0)  # minus the log-density of the standard normal law at 1
        >>> round(float(value) - 0.5 * math.log(2 * math.pi) - 0.5, 6)
        0.0

    References:
        Brown, Fundamentals of Statistical Exponential Families (1986), theorems 1.13 and 2.2.
    """

    needs = Needs.PENALTIES
    why_small_weights_are_fine = "it is a natural parameter fitted by likelihood, in the units of its own loss"

    def __init__(
        self,
        initial: Any = None,
        *,
        scale: float = 1.0,
        learn_scale: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.initial = (
            None if initial is None else checks.finites("initial", initial, checks.positive, dtype=self.compute_dtype)
        )
        self.scale = checks.positive("scale", scale, dtype=self.compute_dtype)
        self.learn_scale = checks.boolean("learn_scale", learn_scale)
        # Set once the losses are known.
        self.partition: Any = None
        self.parameters: Any = None
        self.log_scale: Any = None

    def create_state(self, k: int) -> None:
        if self.initial is not None and len(self.initial) != k:
            raise ValueError(f"`initial` must have one weight for each of the {k} losses. Received: {self.initial}")
        self.partition = Partition(self.penalties)
        tails = self.partition.tails
        if tails.max() == 0:
            raise ValueError(
                f"Some loss must grow without bound, or no weights make a density: {why_not(tails)}. Add one such as "
                f"blendloss.losses.SquaredError(). Received: {list(self.penalties)}"
            )
        free = np.ones(k)
        if self.initial is not None:
            growth = tails @ self.initial
            if growth <= 1:
                raise ValueError(
                    "`initial` must make a density: sum_k g_k rho_k must grow faster than log |r|, and grows as "
                    f"{growth:.4g} log |r|. Received: initial={self.initial}"
                )
            free = np.array(self.initial) * (growth - 1) / growth
        self.parameters = self.add_weight(name="parameters", shape=(k,), initializer=keras.initializers.Zeros())
        self.parameters.assign(root(free))
        if self.learn_scale:
            self.log_scale = self.add_weight(name="log_scale", shape=(), initializer=initial(np.log(self.scale)))

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        log_free = log_square(tf.convert_to_tensor(self.parameters))
        # log sum w and log(sum w / sum w b), neither of which underflows before the other.
        log_sum = tf.reduce_logsumexp(log_free)
        with np.errstate(divide="ignore"):
            log_tails = tf.constant(np.log(self.partition.tails), log_free.dtype)
        log_ratio = log_sum - tf.reduce_logsumexp(log_free + log_tails)
        logits = tf.cast(log_free, self.compute_dtype)
        return Gating(logits, tf.exp(log_sum) + tf.exp(log_ratio), tf.exp(self._log_scale()))

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor:
        weights = tf.cast(gating.total, tf.float64) * tf.cast(shares, tf.float64)
        growth = tf.reduce_sum(weights * tf.constant(self.partition.tails))
        # 1 exactly is where g = w (1 + 1 / sum_k w_k b_k) ends as w -> 0: rounding may go below.
        growth = require(growth > 1 - 1e-5, "The weights must make a density: their losses grow too slowly.", growth)
        # NaN, where XLA cannot raise.
        log_partition = self.partition.log_partition(weights) + 0.0 * tf.stop_gradient(growth)
        return tf.reshape(log_partition + tf.cast(self._log_scale(), tf.float64), [1])

    def weights_and_scale(self) -> tuple[tf.Tensor, tf.Tensor]:
        """g, `[K]`, and c, a scalar, as they are now (under `Soft()`)."""
        self._require_blend()
        gating = self.gating(Context(None, False))
        return gating.total * tf.nn.softmax(tf.cast(gating.logits, gating.total.dtype)), gating.scale

    def law(self) -> Any:
        """The fitted law of the residual y_pred - y_true: a `tfp.distributions.Distribution` of float64 scalars.

        With `log_prob`, `cdf`, `quantile`, `sample`, `mode`, `entropy`, `mean` and `variance`; of the parameters as
        they are now, under `Soft()`.
        """
        self._require_blend()
        from blendloss._likelihood.residual_law import ResidualLaw

        return ResidualLaw(self.penalties, self.partition, *self.weights_and_scale())

    def interval(self, y_pred: Any, level: float = 0.9) -> tuple[tf.Tensor, tf.Tensor]:
        """The predictive interval that holds y_true with probability `level`, the rest equally on either side.

        Args:
            y_pred: predictions, any shape.
            level: in (0, 1).

        Returns:
            Its lower and upper end, of the shape of `y_pred`.
        """
        return interval(self.law(), self.weights_and_scale()[1], y_pred, level)

    def _log_scale(self) -> tf.Tensor:
        if self.learn_scale:
            return tf.convert_to_tensor(self.log_scale)
        return tf.constant(np.log(self.scale), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial": self.initial,
            "scale": self.scale,
            "learn_scale": self.learn_scale,
        }
