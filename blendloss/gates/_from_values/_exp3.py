"""Exp3."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates._from_values._bandit import Bandit


@register
class Exp3(Bandit):
    """Exp3: a bandit draws one loss a step, and comes to draw most often the loss that training brings down furthest.

        pi_k = (1 - gamma) softmax(w)_k + gamma / K,    w_k <- w_k + (gamma / K) r / pi_k for the drawn loss k

    r is the drawn loss's progress over the update, brought to [0, 1] between the 20th and 80th percentiles of its
    history (clipped; 1/2 while those are one). Losses that were not drawn are neither trained nor rewarded.

    `BlendedModel` gives the losses after the update by itself (one more forward pass a step). In a loop of your own:
    `gate.observe_progress(blend.values(y, network(x)))` after the optimizer's step.

    Args:
        exploration: gamma, in (0, 1]. Auer et al.'s for T steps: min(1, sqrt(K ln K / ((e - 1) T))).
        seed: seeds the draws, which are a function of seed and step.
        gain: "relative", (before - after) / |before|, whatever the units of the losses; or "absolute",
            before - after.
        history: how many rewards are kept for the percentiles, a uniform sample of all.
        same_batch: True measures progress on the batch of the update; a training step without an observation since
            the last one raises. False takes the loss of the next training step's batch instead, with no extra pass.
        name: the layer's name.
        dtype: of the logits; the state is float32 where it is half precision.

    Returns:
        `gating(context)` gives 0 for the drawn loss and -inf for the others; outside training log pi, `[K]`. Progress
        that is not finite is no reward, and counted in the variable `skipped`. Missing observations are caught in the
        graph; XLA, which cannot raise, turns the weights into NaN. `policy()` gives pi as it is now.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Exp3(0.1, seed=0)
        >>> blend = bl.Blend(["a", "b"], gate=gate)
        >>> blend.compute_from_values({"a": 1.0, "b": 3.0}, step=0).weights.numpy().tolist()
        [0.0, 1.0]
        >>> gate.observe_progress({"a": 1.0, "b": 2.0})
        >>> [round(float(p), 3) for p in gate.policy()]
        [0.489, 0.511]

    References:
        Auer, Cesa-Bianchi, Freund and Schapire, "The Nonstochastic Multiarmed Bandit Problem", SIAM J. Comput. 32
        (2002); losses as its arms, and rewards between percentiles, as in Graves et al., "Automated Curriculum Learning
        for Neural Networks", ICML 2017, arXiv:1704.03003.

    Deviations:
        Graves et al.'s reward is the absolute prediction gain: their losses have one unit.
    """

    unit = True

    def __init__(
        self,
        exploration: float,
        *,
        seed: int,
        gain: str = "relative",
        history: int = 1000,
        same_batch: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(seed, exploration, gain, history, same_batch, name=name, dtype=dtype)

    def learned(self, log_weights: tf.Tensor, gains: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        new = log_weights + self.exploration / len(self.names) * gains
        return new - tf.reduce_max(new)
