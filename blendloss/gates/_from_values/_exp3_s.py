"""Exp3.S."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._from_values._bandit import Bandit, shared_with_all, shared_with_others


@dataclasses.dataclass(frozen=True)
class Form:
    """Whose rule it is.

    Args:
        unit: whether rewards are in [0, 1]; else in [-1, 1].
        rate: (gamma, K) -> the usual eta.
        shared: (log weights after the gain, those before, alpha) -> log weights, less a constant.
    """

    unit: bool
    rate: Callable[[float, int], float]
    shared: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


FORMS = {
    "graves": Form(False, lambda exploration, k: 1e-3, lambda new, before, share: shared_with_others(new, share)),
    "auer": Form(True, lambda exploration, k: exploration / k, shared_with_all),
}


@register
class Exp3S(Bandit):
    """Exp3.S: the bandit of `Exp3` for gains that change, whose losses share what they have won with the others.

        pi_k = (1 - gamma) softmax(w)_k + gamma / K,    u_k = w_k + eta ([k drawn] r + beta) / pi_k

    ========  ===================================================================  =======  ==========
    form      w_k becomes                                                          r in     eta
    ========  ===================================================================  =======  ==========
    "graves"  log((1 - alpha) e^u_k + alpha / (K - 1) sum_{j != k} e^u_j)          [-1, 1]  1e-3
    "auer"    log(e^u_k + (e alpha / K) sum_j e^w_j)                               [0, 1]   gamma / K
    ========  ===================================================================  =======  ==========

    r is the drawn loss's progress over the update, brought to its range between the 20th and 80th percentiles of its
    history (clipped; the middle while those are one). Losses that were not drawn are neither trained nor rewarded.

    `BlendedModel` gives the losses after the update by itself (one more forward pass a step). In a loop of your own:
    `gate.observe_progress(blend.values(y, network(x)))` after the optimizer's step.

    Args:
        exploration: gamma, in (0, 1].
        seed: seeds the draws, which are a function of seed and step.
        form: "graves" (Graves et al.) or "auer" (Auer et al.).
        rate: eta > 0; None is the form's.
        share: alpha, in [0, 1]; None is 1 / (t + 1) after reward number t = 1, 2, ...
        bonus: beta >= 0, for every loss, which keeps those that are seldom drawn in the race.
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
        >>> gate = bl.gates.Exp3S(seed=0)
        >>> blend = bl.Blend(["a", "b"], gate=gate)
        >>> blend.compute_from_values({"a": 1.0, "b": 3.0}, step=0).weights.numpy().tolist()
        [0.0, 1.0]
        >>> gate.observe_progress({"a": 1.0, "b": 2.0})
        >>> int(gate.seen), gate.policy().numpy().tolist()
        (1, [0.5, 0.5])

    References:
        Graves, Bellemare, Menick, Munos and Kavukcuoglu, "Automated Curriculum Learning for Neural Networks", ICML
        2017, arXiv:1704.03003; Auer, Cesa-Bianchi, Freund and Schapire, "The Nonstochastic Multiarmed Bandit Problem",
        SIAM J. Comput. 32 (2002).

    Deviations:
        Graves et al.'s reward is the absolute prediction gain over the time a task takes: their losses have one unit,
        and their tasks different lengths.
    """

    def __init__(
        self,
        exploration: float = 0.05,
        *,
        seed: int,
        form: str = "graves",
        rate: float | None = None,
        share: float | None = None,
        bonus: float = 0.0,
        gain: str = "relative",
        history: int = 1000,
        same_batch: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(seed, exploration, gain, history, same_batch, name=name, dtype=dtype)
        self.form = checks.one_of("form", form, list(FORMS))
        self._form = FORMS[self.form]
        self.unit = self._form.unit
        self.rate = None if rate is None else checks.positive("rate", rate, dtype=self.compute_dtype)
        self.share = None if share is None else checks.non_negative("share", share, maximum=1, dtype=self.compute_dtype)
        self.bonus = checks.non_negative("bonus", bonus, dtype=self.compute_dtype)

    def gained(self, reward: tf.Tensor, chosen: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        return super().gained(reward, chosen, probabilities) + self.bonus / probabilities

    def learned(self, log_weights: tf.Tensor, gains: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        rate = self._form.rate(self.exploration, len(self.names)) if self.rate is None else self.rate
        share = 1 / tf.cast(count + 1, gains.dtype) if self.share is None else tf.constant(self.share, gains.dtype)
        new = log_weights + rate * gains
        shared = self._form.shared(new, log_weights, share)
        return shared - tf.reduce_max(shared)

    def get_config(self) -> dict[str, Any]:
        config = {"form": self.form, "rate": self.rate, "share": self.share, "bonus": self.bonus}
        return {**super().get_config(), **config}
