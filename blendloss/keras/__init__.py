"""Keras: the model that trains a blend, and its callbacks. The only room that knows `fit`."""

from blendloss.keras._blended_model import BlendedModel
from blendloss.keras._collapse_monitor import CollapseMonitor
from blendloss.keras._gate_history import GateHistory
from blendloss.keras._held_out import HeldOut
from blendloss.keras._metric_monitor import MetricMonitor
from blendloss.keras._residual_monitor import ResidualMonitor
from blendloss.keras._workers import wait_for_workers

__all__ = [
    "BlendedModel",
    "CollapseMonitor",
    "GateHistory",
    "HeldOut",
    "MetricMonitor",
    "ResidualMonitor",
    "wait_for_workers",
]
