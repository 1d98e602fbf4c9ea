"""For each estimator, the loss of a step: what is differentiated, and what counts as the training loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

import blendloss as bl

#: From the logits `[batch, latents, 2]` and the step: the surrogate whose gradient is followed, and the training loss.
Objective = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
#: The loss of each value of a latent.
Loss = Callable[[tf.Tensor], tf.Tensor]
#: One for all runs: the noise is a function of the seed and the step, and each run has steps of its own.
SEED = 0


class SampledStraightThrough(bl.modes.Estimator):
    """The paper's straight-through: a sample forward, softmax's Jacobian backward. The library's takes the argmax."""

    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        soft = bl.modes.softmax(logits)
        return drawn(logits, step) + (soft - tf.stop_gradient(soft))

    def get_config(self) -> dict[str, Any]:
        return {}


def objective(estimator: str, loss: Loss) -> Objective:
    """What `estimator` follows, to minimize the expectation of `loss`."""
    if estimator == "exact":
        return _exact(loss)
    if estimator == "REINFORCE":
        return _reinforce(loss)
    estimators = {
        "ReinMax": bl.modes.ReinMax(SEED),
        "Gumbel ST": bl.modes.GumbelStraightThrough(SEED),
        "ST": SampledStraightThrough(),
        "argmax ST": bl.modes.StraightThrough(),
    }
    return _through(bl.modes.Hard(estimators[estimator]), loss)


def drawn(logits: tf.Tensor, step: tf.Tensor | None) -> tf.Tensor:
    """One-hot samples of the categorical laws, without a gradient."""
    return tf.stop_gradient(bl.modes.ReinMax(SEED)(logits, step))


def expected(logits: tf.Tensor, loss: Loss) -> tf.Tensor:
    """The expectation of the loss, a mean over the latents."""
    return tf.reduce_mean(tf.reduce_sum(bl.modes.softmax(logits) * loss(tf.constant([1.0, 0.0])), -1))


def _through(mode: bl.modes.Mode, loss: Loss) -> Objective:
    def through(logits: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        value = tf.reduce_mean(loss(mode(logits, step)[..., 0]))
        return value, value

    return through


def _exact(loss: Loss) -> Objective:
    def exact(logits: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        value = expected(logits[:1], loss)  # the rows of the batch are equal
        return value, value

    return exact


def _reinforce(loss: Loss) -> Objective:
    def reinforce(logits: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sample = drawn(logits, step)
        values = tf.reduce_mean(loss(sample[..., 0]), -1)
        likelihoods = tf.reduce_sum(sample * tf.nn.log_softmax(logits), [-2, -1])
        return tf.reduce_mean(values * likelihoods), tf.reduce_mean(values)

    return reinforce
