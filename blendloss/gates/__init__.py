"""Gates: where the gating logits come from. A gate composes with every mode and every set of losses."""

from blendloss.gates import statistics
from blendloss.gates._fixed import Fixed
from blendloss.gates._gate import Context, Gate, Gating
from blendloss.gates._learned import Learned
from blendloss.gates._metric_gate import MetricGate
from blendloss.gates._plateau import Plateau
from blendloss.gates._residual_state import ResidualState
from blendloss.gates._scheduled import Scheduled
from blendloss.gates._threshold import Threshold

__all__ = [
    "Context",
    "Fixed",
    "Gate",
    "Gating",
    "Learned",
    "MetricGate",
    "Plateau",
    "ResidualState",
    "Scheduled",
    "Threshold",
    "statistics",
]
