"""What a training step uses of a `BlendedModel`."""

from __future__ import annotations

from typing import Any, Protocol

import keras
import tensorflow as tf

from blendloss._blend.blend import Blend
from blendloss._blend.output import BlendOutput


class Trainable(Protocol):
    """A model that a training rule can train. `BlendedModel` is one."""

    network: keras.Layer
    blend: Blend
    step: keras.Variable
    optimizer: keras.optimizers.Optimizer
    compiled: bool

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """Those of the network, and what trains in the blend."""

    @property
    def losses(self) -> list[tf.Tensor]:
        """The regularization losses of the last call."""

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """The network's output."""

    def blended_loss(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and what of it concerns the blend alone."""

    def log_output(self, output: BlendOutput, y_pred: Any, training: bool = True) -> None:
        """Logs what the blend gave for a batch of predictions."""

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Updates the metrics; gives the logs."""

    def keras_train_step(self, data: Any) -> dict[str, Any]:
        """Keras's own training step, which takes the loss from `compute_loss`."""
