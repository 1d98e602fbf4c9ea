"""One row per relaxation and mode: the weights it must give, worked out by hand.

softmax: logits that are logarithms have rational weights.
sparsemax: p = z - tau with tau = (sum of the support - 1) / size.
entmax15: p = (z / 2 - tau)^2, so logits 2 sqrt(p), shifted, have rational weights if the p are squares of rationals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, log
from typing import Any, NamedTuple

from blendloss import modes, schedules

#: Float32 rounding of the logit, of exp or of a square, of a sum of up to 4, and of a quotient: half a unit each, and
#: one to spare, in units in the last place of 1.
ROUNDING = 4 * 2.0**-23


class Row(NamedTuple):
    id: str
    method: Callable[..., Any]
    logits: Sequence[float]
    weights: Sequence[float]
    tolerance: float = ROUNDING
    step: int | None = None


_HALVING = schedules.exponential(4.0, 0.25, steps=4)  # 4, 2, 1, 1/2, 1/4

ROWS = [
    Row("softmax-odds-of-3", modes.softmax, [0.0, log(3)], [0.25, 0.75]),
    Row("softmax-tenths", modes.softmax, [0.0, log(2), log(3), log(4)], [0.1, 0.2, 0.3, 0.4]),
    Row("softmax-excluded", modes.softmax, [-inf, 5.0, 5.0 + log(3)], [0.0, 0.25, 0.75]),
    Row("softmax-huge", modes.softmax, [1e30, 1e30, -1e30], [0.5, 0.5, 0.0], 0.0),
    Row("softmax-one", modes.softmax, [-7.0], [1.0], 0.0),
    Row("sparsemax-inside", modes.sparsemax, [0.1, 0.2, 0.7], [0.1, 0.2, 0.7]),
    Row("sparsemax-edge", modes.sparsemax, [0.0, 1.0], [0.0, 1.0], 0.0),
    Row("sparsemax-cut", modes.sparsemax, [3.0, 2.5, 0.0], [0.75, 0.25, 0.0], 0.0),
    Row("sparsemax-ties", modes.sparsemax, [2.0, 2.0, -inf, 2.0], [1 / 3, 1 / 3, 0.0, 1 / 3]),
    Row("sparsemax-huge", modes.sparsemax, [1e30, 1e30, -1e30], [0.5, 0.5, 0.0], 0.0),
    Row("sparsemax-one", modes.sparsemax, [-7.0], [1.0], 0.0),
    Row("entmax15-345", modes.entmax15, [0.0, 0.4], [0.36, 0.64]),
    Row("entmax15-5-12-13", modes.entmax15, [14 / 13, 0.0], [144 / 169, 25 / 169]),
    Row("entmax15-236", modes.entmax15, [0.0, 2 / 7, 8 / 7, -1.0], [4 / 49, 9 / 49, 36 / 49, 0.0]),
    Row("entmax15-edge", modes.entmax15, [0.0, 2.0], [0.0, 1.0], 0.0),
    Row("entmax15-huge", modes.entmax15, [1e30, 1e30, -1e30], [0.5, 0.5, 0.0]),
    Row("entmax15-one", modes.entmax15, [-7.0], [1.0], 0.0),
    Row("soft", modes.Soft(), [0.0, log(3)], [0.25, 0.75]),
    Row("soft-sparsemax", modes.Soft(modes.sparsemax), [3.0, 2.5, 0.0], [0.75, 0.25, 0.0], 0.0),
    Row("annealed", modes.Annealed(0.5), [0.0, log(3)], [0.1, 0.9], step=0),
    Row("annealed-warm", modes.Annealed(_HALVING), [0.0, log(81)], [0.25, 0.75], step=0),
    Row("annealed-cool", modes.Annealed(_HALVING), [0.0, log(3) / 2], [0.1, 0.9], step=4),
    Row("annealed-cold", modes.Annealed(1e-30), [0.0, 1.0, 1.0, -inf], [0.0, 0.5, 0.5, 0.0], 0.0, step=0),
    Row("annealed-hot", modes.Annealed(1e30), [0.0, 1e4, -1e4, -inf], [1 / 3, 1 / 3, 1 / 3, 0.0], step=0),
    Row("annealed-entmax15", modes.Annealed(0.5, modes.entmax15), [0.2, 0.0], [0.64, 0.36], step=0),
    Row("straight-through", modes.StraightThrough(), [0.0, 2.0, 1.0], [0.0, 1.0, 0.0], 0.0),
    Row("straight-through-tie", modes.StraightThrough(), [0.0, 2.0, 2.0], [0.0, 1.0, 0.0], 0.0),
    Row("gumbel-straight-through", modes.GumbelStraightThrough(3), [-inf, -inf, 1.0], [0.0, 0.0, 1.0], 0.0, step=5),
    Row("reinmax", modes.ReinMax(3), [-inf, 1.0, -inf], [0.0, 1.0, 0.0], 0.0, step=5),
    Row("hard", modes.Hard(), [0.0, 2.0, 1.0], [0.0, 1.0, 0.0], 0.0),
    Row("hard-reinmax", modes.Hard(modes.ReinMax(3)), [1e9, 0.0], [1.0, 0.0], 0.0, step=5),
]
