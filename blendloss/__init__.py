"""Differentiable loss blending for TensorFlow: losses, gates and modes, combined in one trace."""

from importlib import metadata

from blendloss import gates, keras, losses, modes, schedules
from blendloss._blend import Blend, Reading
from blendloss.keras import BlendedModel

__version__ = metadata.version("blendloss")

__all__ = ["Blend", "BlendedModel", "Reading", "gates", "keras", "losses", "modes", "schedules"]
