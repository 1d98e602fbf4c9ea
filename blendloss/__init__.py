"""Differentiable loss blending for TensorFlow: losses, gates and modes, combined in one trace."""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from blendloss._startup import IS_COMMAND

# The command has TensorFlow's start-up notes to stop, and `--help` to print, before TensorFlow is imported. Everyone
# else gets everything at once: `import blendloss` alone must register the classes that `load_model` looks up.
if TYPE_CHECKING or not IS_COMMAND:
    from blendloss import gates, keras, losses, modes, schedules
    from blendloss._blend import Blend, Reading
    from blendloss.keras import BlendedModel

__version__ = metadata.version("blendloss")

__all__ = ["Blend", "BlendedModel", "Reading", "gates", "keras", "losses", "modes", "schedules"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """What the command did not import yet."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        homes = {"Blend": "blendloss._blend", "Reading": "blendloss._blend", "BlendedModel": "blendloss.keras"}
        return getattr(import_module(homes[name]), name) if name in homes else import_module(f"{__name__}.{name}")
