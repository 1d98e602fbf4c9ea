"""A set of penalties that covers noise from light to heavy tails."""

from __future__ import annotations

from blendloss import _checks
from blendloss.losses._absolute_error import AbsoluteError
from blendloss.losses._cauchy import Cauchy
from blendloss.losses._huber import Huber
from blendloss.losses._penalty import Penalty
from blendloss.losses._squared_error import SquaredError
from blendloss.losses._tukey import Tukey


def m_estimators(*, convex: bool = False) -> dict[str, Penalty]:
    """The usual penalties of robust regression, by name: what `gates.ScoreMatching` blends where the noise is unknown.

    Thresholds are in units of the residuals' standard deviation, which `ScoreMatching` tracks by itself. Huber, Cauchy
    and Tukey are there at 95 % efficiency for normal noise; Huber and Cauchy again with thresholds for heavy tails.

    Args:
        convex: whether only convex penalties are wanted: squared, Huber at 2, 1.345, 0.7 and 0.3, absolute. Their blend
            has one minimum in a linear model.

    Returns:
        Seven penalties, or six convex ones.

    Raises:
        TypeError: if `convex` is not a bool.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(bl.losses.m_estimators(), bl.gates.ScoreMatching())
        >>> blend.names
        ('squared', 'huber', 'huber_0.4', 'absolute', 'cauchy', 'cauchy_1', 'tukey')

    References:
        none.

    Deviations:
        none.
    """
    if _checks.boolean("convex", convex):
        return {
            "squared": SquaredError(),
            "huber_2": Huber(2.0),
            "huber": Huber.tuned(0.95),
            "huber_0.7": Huber(0.7),
            "huber_0.3": Huber(0.3),
            "absolute": AbsoluteError(),
        }
    return {
        "squared": SquaredError(),
        "huber": Huber.tuned(0.95),
        "huber_0.4": Huber(0.4),
        "absolute": AbsoluteError(),
        "cauchy": Cauchy.tuned(0.95),
        "cauchy_1": Cauchy(1.0),
        "tukey": Tukey.tuned(0.95),
    }
