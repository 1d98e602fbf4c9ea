"""Gates: where the gating logits come from. A gate composes with every mode and every set of losses."""

from blendloss.gates import families, normalizers, regularizers, statistics
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import LossGradients
from blendloss.gates._base.metric_gate import MetricGate
from blendloss.gates._base.needs import Needs
from blendloss.gates._bayesian import Bayesian
from blendloss.gates._by_residual import ByResidual
from blendloss.gates._exponential_family import ExponentialFamily
from blendloss.gates._fixed import Fixed
from blendloss.gates._from_gradients._aligned_mtl import AlignedMTL
from blendloss.gates._from_gradients._cagrad import CAGrad
from blendloss.gates._from_gradients._config import ConFIG
from blendloss.gates._from_gradients._fair_grad import FairGrad
from blendloss.gates._from_gradients._grad_drop import GradDrop
from blendloss.gates._from_gradients._grad_norm import GradNorm
from blendloss.gates._from_gradients._grad_vac import GradVac
from blendloss.gates._from_gradients._imtl_g import IMTLG
from blendloss.gates._from_gradients._lr_annealing import LRAnnealing
from blendloss.gates._from_gradients._mgda import MGDA
from blendloss.gates._from_gradients._nash_mtl import NashMTL
from blendloss.gates._from_gradients._ntk import NTK
from blendloss.gates._from_gradients._pcgrad import PCGrad
from blendloss.gates._from_gradients._upgrad import UPGrad
from blendloss.gates._from_values._cosmos import COSMOS
from blendloss.gates._from_values._dwa import DWA
from blendloss.gates._from_values._exp3 import Exp3
from blendloss.gates._from_values._exp3_s import Exp3S
from blendloss.gates._from_values._famo import FAMO
from blendloss.gates._from_values._geometric_mean import GeometricMean
from blendloss.gates._from_values._imtl_l import IMTLL
from blendloss.gates._from_values._logarithm import Logarithm
from blendloss.gates._from_values._normalized import Normalized
from blendloss.gates._from_values._pbi import PBI
from blendloss.gates._from_values._random import Random
from blendloss.gates._from_values._relobralo import ReLoBRaLo
from blendloss.gates._from_values._smooth_tchebycheff import SmoothTchebycheff
from blendloss.gates._from_values._softadapt import SoftAdapt
from blendloss.gates._from_values._tchebycheff import Tchebycheff
from blendloss.gates._learned import Learned
from blendloss.gates._least_variance_weights import least_variance_weights
from blendloss.gates._manual import Manual
from blendloss.gates._mixture import Mixture
from blendloss.gates._network import Network
from blendloss.gates._plateau import Plateau
from blendloss.gates._residual_state import ResidualState
from blendloss.gates._scheduled import Scheduled
from blendloss.gates._score_matching import ScoreMatching
from blendloss.gates._score_report import Efficiency
from blendloss.gates._threshold import Threshold
from blendloss.gates._uncertainty import Uncertainty

__all__ = [
    "COSMOS",
    "DWA",
    "FAMO",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "NTK",
    "PBI",
    "AlignedMTL",
    "Bayesian",
    "ByResidual",
    "CAGrad",
    "ConFIG",
    "Context",
    "Efficiency",
    "Exp3",
    "Exp3S",
    "ExponentialFamily",
    "FairGrad",
    "Fixed",
    "Gate",
    "Gating",
    "GeometricMean",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "GradientGate",
    "LRAnnealing",
    "Learned",
    "Logarithm",
    "LossGradients",
    "Manual",
    "MetricGate",
    "Mixture",
    "NashMTL",
    "Needs",
    "Network",
    "Normalized",
    "PCGrad",
    "Plateau",
    "Random",
    "ReLoBRaLo",
    "ResidualState",
    "Scheduled",
    "ScoreMatching",
    "SmoothTchebycheff",
    "SoftAdapt",
    "Tchebycheff",
    "Threshold",
    "UPGrad",
    "Uncertainty",
    "families",
    "least_variance_weights",
    "normalizers",
    "regularizers",
    "statistics",
]
