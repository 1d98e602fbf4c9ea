"""The switching study's trainer: one trace and one compilation for problems of every length."""

from __future__ import annotations

from functools import cache

import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.blendloss2026_score_matching.blends import BLENDS
from papers.blendloss2026_score_matching.config import Config
from papers.blendloss2026_switching.data import Problem
from papers.blendloss2026_switching.train import Trainer

#: To how many rows the parts are filled up: to train on, held out, to test on.
ROWS = (10_000, 2_500, 5_000)


class Filled(Trainer):
    """The switching study's trainer on problems that are filled up to one length, with rows that are never drawn.

    A batch that is larger than the problem has each example more than once. Where the gate takes held-out residuals, it
    is shown those of all held-out examples.
    """

    def _batch(self, examples: int, random: np.random.Generator) -> np.ndarray:
        return np.resize(random.permutation(examples), self.config.batch)

    def _inputs(self, problem: Problem) -> tuple[np.ndarray, ...]:
        train, held, test = ROWS
        lengths = (train, train, held, held, test)
        return tuple(_filled(part, length) for part, length in zip(problem.inputs, lengths, strict=True))

    def _first_look(self, held_x: tf.Tensor, held_y: tf.Tensor) -> None:
        self._look(held_x, held_y)  # the gate has no weights of its own before

    def _look(self, held_x: tf.Tensor, held_y: tf.Tensor) -> None:
        gate = self.blend.gate
        if isinstance(gate, bl.gates.ScoreMatching) and gate.held_out:
            there = tf.math.is_finite(held_y)
            residuals = tf.where(there, self.network(held_x) - held_y, 0.0)
            gate.observe(residuals, tf.cast(there, tf.float32))


def _filled(part: np.ndarray, length: int) -> np.ndarray:
    """`part` with NaN rows up to `length`."""
    return np.pad(part, [(0, length - len(part)), (0, 0)], constant_values=np.nan)


@cache
def trainer(config: Config, arm: str, features: int, layers: int) -> Filled:
    """The one of this worker."""
    return Filled(config, BLENDS[arm](config.steps), features, layers)
