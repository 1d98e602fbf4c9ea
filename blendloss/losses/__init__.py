"""Losses: penalties of the residual, and wrappers that choose which part of the outputs a loss reads."""

from blendloss.losses._absolute_error import AbsoluteError
from blendloss.losses._adaptive_barron import AdaptiveBarron
from blendloss.losses._added_loss import AddedLoss
from blendloss.losses._barron import Barron
from blendloss.losses._cauchy import Cauchy
from blendloss.losses._columns import Columns
from blendloss.losses._epsilon_insensitive import EpsilonInsensitive
from blendloss.losses._fair import Fair
from blendloss.losses._geman_mcclure import GemanMcClure
from blendloss.losses._huber import Huber
from blendloss.losses._log_cosh import LogCosh
from blendloss.losses._m_estimators import m_estimators
from blendloss.losses._output_loss import OutputLoss
from blendloss.losses._penalty import Penalty
from blendloss.losses._pseudo_huber import PseudoHuber
from blendloss.losses._quantile import Quantile
from blendloss.losses._squared_error import SquaredError
from blendloss.losses._tukey import Tukey
from blendloss.losses._welsch import Welsch

__all__ = [
    "AbsoluteError",
    "AdaptiveBarron",
    "AddedLoss",
    "Barron",
    "Cauchy",
    "Columns",
    "EpsilonInsensitive",
    "Fair",
    "GemanMcClure",
    "OutputLoss",
    "Huber",
    "LogCosh",
    "Penalty",
    "PseudoHuber",
    "Quantile",
    "SquaredError",
    "Tukey",
    "Welsch",
    "m_estimators",
]
