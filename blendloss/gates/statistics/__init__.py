"""Statistics of the residuals that can drive a gate."""

from blendloss.gates.statistics._kurtosis import Kurtosis
from blendloss.gates.statistics._mean_absolute import MeanAbsolute
from blendloss.gates.statistics._outlier_share import OutlierShare
from blendloss.gates.statistics._quantile_absolute import QuantileAbsolute
from blendloss.gates.statistics._stagnation import Stagnation
from blendloss.gates.statistics._statistic import Statistic

__all__ = ["Kurtosis", "MeanAbsolute", "OutlierShare", "QuantileAbsolute", "Stagnation", "Statistic"]
