"""The gate whose weights give the estimate with the least variance."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.replicas import is_replicated
from blendloss._internal.serialization import register
from blendloss._solvers.least_variance import least_variance
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.score_moments import (
    Observed,
    Slopes,
    Sums,
    bandwidth,
    normal_moments,
    number_of,
    of_all_replicas,
    slopes_of,
    sums_of,
)
from blendloss.gates._score_report import Efficiency, asymmetry, best_by_itself, efficiencies, shifts

_MEAN_LOG = -(np.euler_gamma + math.log(2)) / 2  # E log |Z| for a normal Z
_QUARTILE = 0.6744897501960817  # of |Z|: P(|Z| <= it) = 1/2
_ALL_OF_THE_FIRST = 10  # calls update
_SLOPE_AT_QUARTILE = (
    math.sqrt(2 / math.pi) * _QUARTILE * math.exp(-(_QUARTILE**2) / 2)
)  # -d P(|Z| > q c) / d log c at c = 1


class _Solution(NamedTuple):
    """What the sums so far say.

    Args:
        shares: what each loss has of the mean curvature, g_k b_k, `[K]`; they sum to 1.
        curvature: b, `[K]`.
        precisions: 1 / V_k, `[K]`; 0 where a loss estimates nothing.
    """

    shares: Any
    curvature: Any
    precisions: Any


@register
class ScoreMatching(Gate):
    """Weights that minimize the asymptotic variance of the estimate, whatever the noise.

    For y = f(x) + e, an estimate with the slope psi_g = sum_k g_k psi_k has the variance, up to a factor that depends
    on the design alone,

        V(g) = g'Ag / (b'g)^2,    A = E psi psi',    b = E psi',    psi and psi' at u = r / c

    and g* = argmin_{g >= 0} g'Ag / 2 - b'g reaches its least value over g >= 0. The same g* projects the noise's score
    -p'/p on the cone of the slopes. So, in large samples, no loss of the blend and no fixed weights of them do better;
    the units of the losses do not matter; and nothing can collapse, for no loss is minimized over its weight.

    Each update adds the batch to sums that decay. Its residuals are counted in units of c, a running robust standard
    deviation: log c moves to where half of the residuals are above 0.6745 c. b is a difference of slopes over
    u - h ... u + h, h = 1.25 n^(-1/5), which is right for slopes with jumps, too. The width suits noise with a smooth
    density. It smooths a peak: at Laplace noise the squared error is 8 to 13 % above that of the best single loss
    (papers/blendloss2026_score_matching, n = 1000 to 50). A and b are shrunk to those of normal noise as if `prior`
    residuals of that kind had been seen: without data the weights are the best for normal noise.

    The mode shares out the mean curvature s_k = g_k b_k, so that the blend has unit curvature in every mode, as r^2 / 2
    has: L = c^2 sum_k (s_k / b_k) rho_k(r / c). `Soft()` uses g*; `Annealed` sharpens it; `Hard()` takes the loss with
    the least V_k. A batch with a residual that is not finite, or whose sums overflow, changes nothing and is counted in
    the variable `skipped`.

    Args:
        memory: how many training steps the sums remember, at least 1. It is short, as the residuals change while the
            network learns; where the last residuals are few (small batches), a longer one tells more.
        every: from how many steps to how many sums and weights are updated, at least 1; each of the first ten updates.
        prior: how many residuals of normal noise the shrinkage counts as, at least 0.
        examples: the number of different residuals that there are, where training goes round them again and again: it
            bounds the evidence that standard errors are computed from. None is no bound.
        held_out: whether training leaves the sums alone, which `observe` is then to update with residuals of examples
            that the network does not train on. Residuals of an overfitted network are not the noise.
        name: the layer's name.
        dtype: of the sums; the program is solved in float64.

    Returns:
        `gating(context)` gives log s, the totals c^2 / b, and c. Each replica sees the sums of all, of which there are
        K (K + 1) / 2 + 3 K + 5.

    Raises:
        TypeError: if a loss is no penalty, or an argument has the wrong type.
        ValueError: if an argument is out of its range.

    Example:
        >>> import numpy as np, blendloss as bl
        >>> gate = bl.gates.ScoreMatching(every=1)
        >>> losses = {"squared": bl.losses.SquaredError(), "absolute": bl.losses.AbsoluteError()}
        >>> blend = bl.Blend(losses, gate)
        >>> draw = np.random.default_rng(0).laplace
        >>> for step in range(20):
        ...     value = blend(np.zeros([500, 1]), draw(size=[500, 1]), step=step)
        >>> {name: round(each.value, 1) for name, each in gate.efficiencies().items()}
        {'squared': 0.6, 'absolute': 1.0}

    References:
        Hyvarinen, "Estimation of Non-Normalized Statistical Models by Score Matching", JMLR 6 (2005); Feng, Kao, Xu and
        Samworth, "Optimal convex M-estimation via score matching" (2024), arXiv:2403.16688; Huber, "Robust Estimation
        of a Location Parameter" (1964), for V.

    Deviations:
        Feng et al. estimate the score without a parametric form and project it on decreasing functions; here the cone
        is that of the given losses. The running sums, the shrinkage and the units are this library's.
    """

    needs = Needs.RESIDUAL | Needs.PENALTIES
    stateful = True
    why_small_weights_are_fine = "the weights give the least variance, and are not moved by the losses' sizes"

    def __init__(
        self,
        *,
        memory: float = 10.0,
        every: int = 5,
        prior: float = 20.0,
        examples: int | None = None,
        held_out: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.memory = checks.finite("memory", memory, minimum=1, dtype=self.compute_dtype)
        self.every = checks.integer("every", every, minimum=1)
        self.prior = checks.finite("prior", prior, minimum=0, dtype=self.compute_dtype)
        self.examples = None if examples is None else checks.integer("examples", examples, minimum=1)
        self.held_out = checks.boolean("held_out", held_out)
        self.shown = False  # whether something shows it residuals
        # Set once the losses are known.
        self.calls: Any = None
        self.batch: Any = None
        self.log_scale: Any = None
        self.sums: Any = None
        self.evidence: Any = None
        self.influence: Any = None
        self.solution: Any = None
        self.skipped: Any = None
        self._normal: Any = None
        self._fallback: Any = None
        self._traced: Any = None  # the update as a graph, once one is made eagerly

    def create_state(self, k: int) -> None:
        self._normal = normal_moments(self.penalties)
        start = _solved(*(tf.constant(part) for part in self._normal))
        self._fallback = _Solution(*map(np.asarray, start))
        if not self._fallback.shares.any():
            raise ValueError(
                "One loss at least must have a positive mean curvature E psi' at normal noise of scale 1. "
                f"Received: {dict(zip(self.names, self._normal[1].tolist(), strict=True))}"
            )
        self.calls = self.add_state("calls", dtype="int64")
        self.batch = self.add_state("batch")
        self.log_scale = self.add_state("log_scale")
        self.sums = Sums(
            self.add_state("weight"),
            self.add_state("weight_squared"),
            self.add_state("slope", (k,)),
            self.add_state("curvature", (k,)),
            self.add_state("second", (k, k)),
        )
        self.evidence = self.add_state("evidence")
        self.influence = self.add_state("influence", (k,))
        named = zip(("shares", "mean_curvature", "precisions"), start, strict=True)
        self.solution = _Solution(*(self.add_state(name, (k,), np.asarray(part).tolist()) for name, part in named))
        self.skipped = self.add_state("skipped", dtype="int64")

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        if context.training and self.held_out and not self.shown:
            raise ValueError(
                f"The gate {self.name!r} learns from held-out residuals alone, and nothing shows it any: call "
                "`gate.observe(residuals)` first, or give `fit` a `keras.ResidualMonitor`. Received: held_out=True"
            )
        if context.training and not self.held_out:
            self._update_when_due(context)
        shares, curvatures, precisions = map(tf.convert_to_tensor, self.solution)
        scale = tf.exp(tf.convert_to_tensor(self.log_scale))
        total = scale**2 / tf.where(curvatures > 0, curvatures, tf.ones_like(curvatures))
        return Gating(tf.math.log(precisions if context.one_hot else shares), total, scale)

    def batch_independent_gating(self, step: Any = None) -> Gating:
        return self.gating(Context(step, training=False))

    def observe(self, residuals: Any, sample_weight: Any = None) -> None:
        """Updates sums and weights with residuals that are given, of held-out examples, say.

        Args:
            residuals: y_pred - y_true, floating, any shape.
            sample_weight: of the residuals' shape; None weighs all alike.
        """
        self._require_blend()
        residuals = conversion.floating("residuals", residuals)
        weights = None if sample_weight is None else conversion.real("sample_weight", sample_weight)
        if weights is not None and not weights.shape.is_compatible_with(residuals.shape):
            raise ValueError(
                "`sample_weight` must have the shape of `residuals`. "
                f"Received: shapes {weights.shape} and {residuals.shape}"
            )
        self.shown = True
        self._update(residuals, weights)

    def efficiencies(self) -> dict[str, Efficiency]:
        """The efficiency V(g) / V_k of each loss by itself, by name; without residuals, that at normal noise."""
        self._require_blend()
        found = efficiencies(*self._moments(self._sums()), np.asarray(self.influence), self._evidence())
        return dict(zip(self.names, found, strict=True))

    def report(self) -> str:
        """The loss that is the best by itself, what the blend gains over it, and a warning of asymmetric residuals."""
        self._require_blend()
        sums = self._sums()
        if not float(sums.weight):
            return f"The gate {self.name!r} has seen no residuals yet: its weights are those for normal noise."
        moved = shifts(*self._moments(sums), np.asarray(sums.slope / sums.weight), self._evidence())
        return " ".join([best_by_itself(self.efficiencies()), *asymmetry(self.names, *moved)])

    def _evidence(self) -> float:
        """How many residuals of equal weight a mean over the sums amounts to, for standard errors."""
        number = float(tf.math.divide_no_nan(self.sums.weight**2, tf.convert_to_tensor(self.evidence)))
        return number if self.examples is None else min(number, self.examples)

    def _sums(self) -> Sums:
        return Sums(*map(tf.convert_to_tensor, self.sums))

    def _update_when_due(self, context: Context) -> None:
        calls = tf.convert_to_tensor(self.calls)
        self.calls.assign(calls + 1)
        due = (calls < _ALL_OF_THE_FIRST) | (calls % self.every == 0)
        if is_replicated():  # neither a collective nor an update of a variable on all replicas may stand in a branch
            self._take(self._observed(*self._flat(context.residual, context.element_weights)), due)
        elif self.every == 1:
            self._update(context.residual, context.element_weights)
        else:
            tf.cond(due, lambda: self._update(context.residual, context.element_weights), lambda: None)

    def _update(self, residuals: Any, weights: Any) -> None:
        """Adds residuals with their weights, of any shape, to the sums, and solves for the weights of the losses."""
        flat = self._flat(residuals, weights)
        if not tf.executing_eagerly():
            self._add(*flat)
            return
        # Run as a graph, hundreds of small operations are ten times faster.
        if self._traced is None:
            any_number = tf.TensorSpec([None], self.compute_dtype)
            self._traced = tf.function(self._add, autograph=False).get_concrete_function(any_number, any_number)
        self._traced(*flat)

    def _flat(self, residuals: Any, weights: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Residuals and weights, `[N]`; what has no weight is 0."""
        residual = tf.reshape(tf.cast(residuals, self.compute_dtype), [-1])
        if weights is None:
            return residual, tf.ones_like(residual)
        weight = tf.reshape(tf.cast(weights, self.compute_dtype), [-1])
        return tf.where(weight != 0, residual, tf.zeros_like(residual)), weight

    def _add(self, residual: tf.Tensor, weight: tf.Tensor) -> None:
        self._take(self._observed(residual, weight), tf.constant(True))

    def _observed(self, residual: tf.Tensor, weight: tf.Tensor) -> Observed:
        """What a batch adds to the sums, on all replicas."""
        before = self._sums()
        u = residual * tf.exp(-tf.convert_to_tensor(self.log_scale))
        slopes = slopes_of(self.penalties, u, bandwidth(number_of(before) + tf.convert_to_tensor(self.batch)))
        size = tf.abs(residual)
        there = tf.where(size > 0, weight, tf.zeros_like(weight))
        log_size = tf.math.log(tf.where(size > 0, size, tf.ones_like(size)))
        found = Observed(
            sums_of(slopes, weight),
            tf.reduce_sum((weight[:, tf.newaxis] * self._influences(slopes, before)) ** 2, axis=0),
            tf.reduce_sum(there * log_size),
            tf.reduce_sum(there),
            tf.reduce_sum(tf.where(tf.abs(u) > _QUARTILE, weight, tf.zeros_like(weight))),
        )
        return of_all_replicas(found) if is_replicated() else found

    def _influences(self, slopes: Slopes, before: Sums) -> tf.Tensor:
        """The influence of each residual on log V_k - log V(g), `[N, K]`, at the sums `before` it."""
        second, curvature = (tf.cast(part, self.compute_dtype) for part in self._moments(before))
        shares = tf.convert_to_tensor(self.solution.shares)
        weights = tf.math.divide_no_nan(shares, tf.convert_to_tensor(self.solution.curvature))[:, tf.newaxis]
        variance = tf.squeeze(tf.matmul(weights, second @ weights, transpose_a=True))
        square = tf.linalg.diag_part(second)
        of_each = tf.math.divide_no_nan(slopes.slope**2, square) - 2 * tf.math.divide_no_nan(
            slopes.curvature, curvature
        )
        of_blend = tf.math.divide_no_nan((slopes.slope @ weights) ** 2, variance) - 2 * slopes.curvature @ weights
        return of_each - of_blend

    def _take(self, batch: Observed, due: tf.Tensor) -> None:
        """Adds a batch to the sums where it is `due`, and solves for the weights. The first gives the scale alone."""
        before = self._sums()
        scaled, log_scale = tf.convert_to_tensor(self.batch) > 0, tf.convert_to_tensor(self.log_scale)
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(part)) for part in tf.nest.flatten(batch)])
        taken = finite & due
        starts, adds = taken & ~scaled & (batch.log_weight > 0), taken & scaled & (batch.sums.weight > 0)
        kept = (1 - 1 / self.memory) ** self.every

        def added(old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
            return tf.where(adds, kept * old + new, old)

        after = Sums(*map(added, before, batch.sums))
        start = tf.math.divide_no_nan(batch.log_size, batch.log_weight) - _MEAN_LOG
        above = tf.math.divide_no_nan(batch.above, batch.sums.weight)
        # Newton's step to where half are above, of the size of the batch's part in the sums.
        rate = tf.math.divide_no_nan(batch.sums.weight, after.weight)
        log_scale = tf.where(adds, log_scale + rate * (above - 0.5) / _SLOPE_AT_QUARTILE, log_scale)
        self.log_scale.assign(tf.where(starts, start, log_scale))
        self.batch.assign(tf.where(starts | adds, number_of(batch.sums), tf.convert_to_tensor(self.batch)))
        for variable, value in zip(self.sums, after, strict=True):
            variable.assign(value)
        evidence = tf.convert_to_tensor(self.evidence)
        self.evidence.assign(tf.where(adds, kept**2 * evidence + batch.sums.weight_squared, evidence))
        influence = tf.convert_to_tensor(self.influence)
        mean = tf.math.divide_no_nan(batch.influence, batch.sums.weight_squared)
        # Faster than the sums, as each is at the weights of its time. The first were those of normal noise.
        moved = influence + tf.minimum(3 * rate, 1) * (mean - influence)
        self.influence.assign(tf.where(adds & (before.weight > 0), moved, influence))
        found = _solved(*self._moments(after))
        some = tf.reduce_any(found.shares > 0)  # else every loss redescends where the residuals are
        for variable, value, fallback in zip(self.solution, found, self._fallback, strict=True):
            variable.assign(tf.cast(tf.where(some, value, tf.constant(fallback)), self.compute_dtype))
        self.skipped.assign(tf.convert_to_tensor(self.skipped) + tf.cast(due & ~finite, tf.int64))

    def _moments(self, sums: Sums) -> tuple[tf.Tensor, tf.Tensor]:
        """A `[K, K]` and b `[K]`, float64: of the sums, shrunk to those of normal noise."""
        number = tf.cast(number_of(sums), tf.float64)
        share = tf.where(number > 0, number / (number + self.prior), tf.zeros_like(number))
        seen = (
            tf.math.divide_no_nan(*pair) for pair in ((sums.second, sums.weight_squared), (sums.curvature, sums.weight))
        )
        of_data = (share * tf.cast(part, tf.float64) for part in seen)
        return tuple(part + (1 - share) * normal for part, normal in zip(of_data, self._normal, strict=True))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "memory": self.memory,
            "every": self.every,
            "prior": self.prior,
            "examples": self.examples,
            "held_out": self.held_out,
        }


def _solved(second: tf.Tensor, curvature: tf.Tensor) -> _Solution:
    """The shares of the mean curvature and the precisions that A `[K, K]` and b `[K]` give."""
    found = least_variance(second[tf.newaxis], curvature[tf.newaxis])
    return _Solution(found.weights[0] * curvature, curvature, 1 / found.variances[0])
