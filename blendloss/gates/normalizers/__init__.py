"""Normalizers: what makes losses of different size comparable to a learned gate."""

from blendloss.gates.normalizers._initial_value import InitialValue
from blendloss.gates.normalizers._likelihood import Likelihood
from blendloss.gates.normalizers._normalizer import Normalizer
from blendloss.gates.normalizers._root_mean_square import RootMeanSquare
from blendloss.gates.normalizers._running_mean import RunningMean

__all__ = ["InitialValue", "Likelihood", "Normalizer", "RootMeanSquare", "RunningMean"]
