"""Sets of losses that cover noise from light to heavy tails."""

from __future__ import annotations

from functools import cache

from blendloss._internal import checks
from blendloss.losses._absolute_error import AbsoluteError
from blendloss.losses._cauchy import Cauchy
from blendloss.losses._huber import Huber
from blendloss.losses._penalty import Penalty
from blendloss.losses._squared_error import SquaredError
from blendloss.losses._tukey import Tukey


def m_estimators(*, convex: bool = False) -> dict[str, Penalty]:
    """Losses whose best blend is efficient for light and heavy tails; the usual losses of `gates.ScoreMatching`.

    Thresholds are in units of the residuals' robust standard deviation, which `ScoreMatching` tracks. In large samples
    the best blend has these efficiencies, 1 / (its variance times Fisher's information):

        noise                          squared    default    convex    any convex loss
        normal                         1          1          1         1
        Student t, 3 degrees           0.500      0.998      0.988     0.989
        Cauchy                         0          0.998      0.878     0.878
        Laplace                        0.500      1          1         1
        1 % outliers, 10 times wide    0.514      0.963      0.968     0.968
        10 % outliers, 10 times wide   0.111      0.988      0.841     0.844
        40 % outliers, 10 times wide   0.055      0.984      0.645     0.647

    Each loss is needed for one of these laws. More losses change little: averaged over 28 laws, the squared error of
    twelve losses is 0.4 % larger at n = 50 and 0.3 % smaller at n = 1000. That of Huber's loss alone is 11 % and 20 %
    larger. `python -m papers run feng2024_score_matching` prints these figures.

    Args:
        convex: whether to use only convex losses: squared, absolute, and Huber with thresholds 0.3, 0.7, 1.345 and 2.
            Their blend has one minimum in a linear model.

    Returns:
        Six losses, by name.

    Raises:
        TypeError: if `convex` is not a bool.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(bl.losses.m_estimators(), bl.gates.ScoreMatching())
        >>> blend.names
        ('squared', 'absolute', 'huber', 'cauchy_0.5', 'tukey_2.5', 'tukey')
        >>> list(bl.losses.m_estimators(convex=True))
        ['squared', 'absolute', 'huber_0.3', 'huber_0.7', 'huber', 'huber_2']

    References:
        Feng, Kao, Xu and Samworth, "Optimal convex M-estimation via score matching" (2024), arXiv:2403.16688, for the
        best convex loss.

    Deviations:
        The choice of losses is this library's.
    """
    if checks.boolean("convex", convex):
        return {
            "squared": SquaredError(),
            "absolute": AbsoluteError(),
            "huber_0.3": Huber(0.3),
            "huber_0.7": Huber(0.7),
            "huber": Huber(_threshold(Huber)),
            "huber_2": Huber(2.0),
        }
    return {
        "squared": SquaredError(),
        "absolute": AbsoluteError(),
        "huber": Huber(_threshold(Huber)),
        "cauchy_0.5": Cauchy(0.5),
        "tukey_2.5": Tukey(2.5),
        "tukey": Tukey(_threshold(Tukey)),
    }


@cache
def _threshold(of: type[Penalty]) -> float:
    """The threshold at which a loss has an efficiency of 95 % at the normal law. Cached, because solving is slow."""
    tuned = of.tuned(0.95)
    return float(getattr(tuned, tuned.tuned_argument))
