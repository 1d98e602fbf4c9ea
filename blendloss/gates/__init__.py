"""Gates: where the gating logits come from. A gate composes with every mode and every set of losses."""

from blendloss.gates import families, normalizers, regularizers, statistics
from blendloss.gates._bayesian import Bayesian
from blendloss.gates._by_residual import ByResidual
from blendloss.gates._exponential_family import ExponentialFamily
from blendloss.gates._fixed import Fixed
from blendloss.gates._gate import Context, Gate, Gating
from blendloss.gates._gradient_gate import GradientGate
from blendloss.gates._learned import Learned
from blendloss.gates._loss_gradients import LossGradients
from blendloss.gates._metric_gate import MetricGate
from blendloss.gates._mixture import Mixture
from blendloss.gates._network import Network
from blendloss.gates._plateau import Plateau
from blendloss.gates._residual_state import ResidualState
from blendloss.gates._scheduled import Scheduled
from blendloss.gates._threshold import Threshold
from blendloss.gates._uncertainty import Uncertainty

__all__ = [
    "Bayesian",
    "ByResidual",
    "Context",
    "ExponentialFamily",
    "Fixed",
    "Gate",
    "Gating",
    "GradientGate",
    "Learned",
    "LossGradients",
    "MetricGate",
    "Mixture",
    "Network",
    "Plateau",
    "ResidualState",
    "Scheduled",
    "Threshold",
    "Uncertainty",
    "families",
    "normalizers",
    "regularizers",
    "statistics",
]
