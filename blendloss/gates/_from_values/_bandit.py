"""The base of the gates that draw one loss a step, and what Exp3 and Exp3.S compute."""

from __future__ import annotations

import abc
import math
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.random import BANDIT, RESERVOIR, checked_seed, uniform
from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating, one_hot_logits
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import kept
from blendloss.gates._from_values._progress_gate import ProgressGate
from blendloss.gates.statistics._statistic import quantile

#: Graves et al. scale rewards between these quantiles of their history.
LEVELS = (0.2, 0.8)

GAINS = ("relative", "absolute")


def policy(log_weights: tf.Tensor, exploration: float) -> tf.Tensor:
    """pi = (1 - gamma) softmax(w) + gamma / K, `[K]`, for log weights w."""
    return (1 - exploration) * tf.nn.softmax(log_weights) + exploration / log_weights.shape[-1]


def scaled(reward: tf.Tensor, history: tf.Tensor, filled: tf.Tensor) -> tf.Tensor:
    """`reward` from between the quantiles of the first `filled` of `history` to [-1, 1]; 0 where those are one."""
    counted = tf.range(history.shape[0], dtype=tf.int64) < filled
    low, high = (quantile(history, counted, level) for level in LEVELS)
    spread = high - low
    usable = spread > 0  # false for NaN, which the quantiles of nothing are
    place = (reward - low) / tf.where(usable, spread, tf.ones_like(spread))
    return tf.where(usable, 2 * tf.clip_by_value(place, 0.0, 1.0) - 1, tf.zeros_like(reward))


def shared_with_others(log_weights: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """log((1 - a) e^w_k + a / (K - 1) sum_{j != k} e^w_j) - max w: Graves et al.'s; one weight alone stays."""
    weights = tf.exp(log_weights - tf.reduce_max(log_weights))
    k = log_weights.shape[-1]
    if k == 1:
        return tf.zeros_like(log_weights)
    others = tf.linalg.matvec(tf.ones([k, k], weights.dtype) - tf.eye(k, dtype=weights.dtype), weights)
    return tf.math.log((1 - share) * weights + share / (k - 1) * others)


def shared_with_all(log_weights: tf.Tensor, before: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """log(e^w_k + (e a / K) sum_j e^v_j) - max w, with v the log weights `before` the gain: Auer et al.'s."""
    largest = tf.reduce_max(log_weights)
    total = tf.reduce_sum(tf.exp(before - largest))
    return tf.math.log(tf.exp(log_weights - largest) + math.e * share / log_weights.shape[-1] * total)


class Bandit(ProgressGate, abc.ABC):
    """A gate that draws one loss at each training step, and learns from how far the update brought that loss down.

    A subclass implements `learned`. Progress is the drawn loss's, scaled between the quantiles of its history.

    Args:
        seed: seeds the draws, which are a function of seed and step.
        exploration: gamma, in (0, 1]: the share of the draws that are uniform.
        gain: "relative", (before - after) / |before|, or "absolute", before - after.
        history: how many rewards are kept, a uniform sample of all.
        same_batch: whether progress is measured on the batch of the update, by one more pass; else on the next batch.
        name: the layer's name.
        dtype: of the logits and the state.
    """

    needs = ProgressGate.needs | Needs.STEP
    #: Whether scaled rewards are in [0, 1]; else in [-1, 1].
    unit: bool = False

    def __init__(
        self, seed: Any, exploration: Any, gain: Any, history: Any, same_batch: Any, *, name: str | None, dtype: Any
    ) -> None:
        super().__init__(same_batch, name=name, dtype=dtype)
        self.seed = checked_seed(seed)
        self.exploration = checks.positive("exploration", exploration, maximum=1, dtype=self.compute_dtype)
        self.gain = checks.one_of("gain", gain, GAINS)
        self.history = checks.integer("history", history, 1)
        # Set once the losses are known.
        self.log_weights: Any = None
        self.rewards: Any = None
        self.seen: Any = None
        self.drawn: Any = None
        self.before: Any = None

    def create_state(self, k: int) -> None:
        super().create_state(k)
        self.log_weights = kept(self, "log_weights", (k,))
        self.rewards = kept(self, "rewards", (self.history,))
        self.seen = self.add_state("seen", dtype="int64")
        self.drawn = self.add_state("drawn", dtype="int64")
        self.before = kept(self, "before")

    @abc.abstractmethod
    def learned(self, log_weights: tf.Tensor, gains: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """The log weights after the `gains` r / pi, `[K]`, of reward number `count`, from 1."""

    def gained(self, reward: tf.Tensor, chosen: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        """What each loss is thought to have gained, `[K]`: without bias, as the others were not tried."""
        return tf.where(chosen, reward / probabilities, tf.zeros_like(probabilities))

    def policy(self) -> tf.Tensor:
        """The probabilities of the losses in the next draw, `[K]`."""
        self._require_blend()
        return policy(tf.convert_to_tensor(self.log_weights), self.exploration)

    def chosen(self, values: tf.Tensor, context: Context) -> Gating:
        probabilities = policy(tf.cast(tf.convert_to_tensor(self.log_weights), tf.float64), self.exploration)
        if not context.training:
            return Gating(tf.cast(tf.math.log(probabilities), self.compute_dtype))
        drawn = tf.reduce_sum(
            tf.cast(uniform([1], self.seed, context.step, tf.float64, BANDIT) > tf.cumsum(probabilities), tf.int64)
        )
        drawn = tf.minimum(drawn, len(self.names) - 1)  # the probabilities' sum is rounded
        self.drawn.assign(drawn)
        self.before.assign(tf.cast(tf.gather(values, drawn), self.before.dtype))
        return Gating(one_hot_logits(drawn, len(self.names), self.compute_dtype))

    def learn(self, values: tf.Tensor, waiting: tf.Tensor) -> tf.Tensor:
        dtype = values.dtype
        drawn, seen = tf.convert_to_tensor(self.drawn), tf.convert_to_tensor(self.seen)
        old, history = (tf.cast(tf.convert_to_tensor(state), dtype) for state in (self.log_weights, self.rewards))
        progress = self._progress(tf.cast(tf.convert_to_tensor(self.before), dtype), tf.gather(values, drawn))
        valid = tf.math.is_finite(progress)
        due = waiting & valid
        reward = scaled(progress, history, tf.minimum(seen, self.history))
        reward = (reward + 1) / 2 if self.unit else reward
        chosen = tf.range(len(self.names), dtype=tf.int64) == drawn
        gains = self.gained(reward, chosen, policy(old, self.exploration))
        new = self.learned(old, gains, seen + 1)
        self.log_weights.assign(tf.cast(tf.where(due, new, old), self.log_weights.dtype))
        self.rewards.assign(tf.cast(tf.where(due & self._replaced(seen), progress, history), self.rewards.dtype))
        self.seen.assign(seen + tf.cast(due, tf.int64))
        return valid

    def _progress(self, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
        fallen = before - after
        if self.gain == "absolute":
            return fallen
        return tf.where(fallen == 0, fallen, fallen / tf.abs(before))  # from 0 to 0 is no progress

    def _replaced(self, seen: tf.Tensor) -> tf.Tensor:
        """Which place of the history takes reward number `seen`, from 0; none, as often as a uniform sample asks."""
        drawn = uniform([1], self.seed, seen, tf.float64, RESERVOIR)[0] * tf.cast(seen + 1, tf.float64)
        place = tf.where(seen < self.history, seen, tf.cast(drawn, tf.int64))
        return tf.range(self.history, dtype=tf.int64) == place

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "seed": self.seed,
            "exploration": self.exploration,
            "gain": self.gain,
            "history": self.history,
        }
