"""Regularizers of a gate's shares. They keep the shares spread out, near a prior, or balanced over a batch."""

from blendloss.gates.regularizers._entropy import Entropy
from blendloss.gates.regularizers._kl import KL
from blendloss.gates.regularizers._load_balance import LoadBalance
from blendloss.gates.regularizers._regularizer import Regularizer
from blendloss.gates.regularizers._switch_load_balance import SwitchLoadBalance

__all__ = ["KL", "Entropy", "LoadBalance", "Regularizer", "SwitchLoadBalance"]
