"""Differentiable loss blending for TensorFlow: losses, gates and modes, combined in one trace."""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from blendloss._internal.startup import IS_COMMAND

# The command has TensorFlow's start-up notes to stop, and `--help` to print, before TensorFlow is imported. Everyone
# else gets everything at once: `import blendloss` alone must register the classes that `load_model` looks up.
if TYPE_CHECKING or not IS_COMMAND:
    from blendloss import gates, keras, losses, modes, schedules
    from blendloss._advice.compare import compare_losses
    from blendloss._advice.comparison import LossComparison
    from blendloss._blend.blend import Blend
    from blendloss._blend.diagnosis import Diagnosis
    from blendloss._blend.fit_gate import GateFit, fit_gate
    from blendloss._blend.look_ahead import look_ahead_gradient
    from blendloss._blend.output import BlendedGradients, BlendOutput
    from blendloss.keras import BlendedModel

__version__ = metadata.version("blendloss")

__all__ = [
    "Blend",
    "BlendedGradients",
    "BlendedModel",
    "Diagnosis",
    "GateFit",
    "LossComparison",
    "BlendOutput",
    "compare_losses",
    "fit_gate",
    "gates",
    "keras",
    "look_ahead_gradient",
    "losses",
    "modes",
    "schedules",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """What the command did not import yet."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        homes = {
            "Blend": "blendloss._blend.blend",
            "BlendedGradients": "blendloss._blend.output",
            "BlendedModel": "blendloss.keras",
            "Diagnosis": "blendloss._blend.diagnosis",
            "GateFit": "blendloss._blend.fit_gate",
            "LossComparison": "blendloss._advice.comparison",
            "BlendOutput": "blendloss._blend.output",
            "compare_losses": "blendloss._advice.compare",
            "fit_gate": "blendloss._blend.fit_gate",
            "look_ahead_gradient": "blendloss._blend.look_ahead",
        }
        return getattr(import_module(homes[name]), name) if name in homes else import_module(f"{__name__}.{name}")
