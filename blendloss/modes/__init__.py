"""Modes turn logits into the gating vector. Every mode works with every gate and every set of losses."""

from blendloss.modes._annealed import Annealed
from blendloss.modes._entmax15 import entmax15
from blendloss.modes._estimator import Estimator
from blendloss.modes._gumbel_straight_through import GumbelStraightThrough
from blendloss.modes._hard import Hard
from blendloss.modes._mode import Mode
from blendloss.modes._reinmax import ReinMax
from blendloss.modes._soft import Soft
from blendloss.modes._softmax import softmax
from blendloss.modes._sparsemax import sparsemax
from blendloss.modes._straight_through import StraightThrough

__all__ = [
    "Annealed",
    "Estimator",
    "GumbelStraightThrough",
    "Hard",
    "Mode",
    "ReinMax",
    "Soft",
    "StraightThrough",
    "entmax15",
    "softmax",
    "sparsemax",
]
