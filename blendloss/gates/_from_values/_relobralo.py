"""Relative loss balancing with random lookback."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.random import LOOK_BACK, checked_seed, uniform
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import kept
from blendloss.gates._from_values._rate_gate import RateGate, finite, put, smoothed


def log_balance(now: tf.Tensor, then: tf.Tensor, temperature: float, epsilon: float) -> tf.Tensor:
    """log(K softmax(l / (T l' + eps))), `[..., K]`, of losses l `now`, `[K]`, and l' `then`, `[..., K]`."""
    # Less 1 / T, which softmax does not see: at T = 1e-5 the quotients are 1e5, with few digits left for their change.
    relative = finite((now - then - epsilon / temperature) / (temperature * then + epsilon))
    relative = tf.where(tf.math.is_nan(relative), tf.zeros_like(relative), relative)  # 0 / 0
    return tf.nn.log_softmax(relative) + math.log(now.shape[0])


@dataclasses.dataclass(frozen=True)
class Form:
    """How training starts.

    Args:
        first: the step, counted from 0, whose losses stand for l(0) from the next one on.
        log_weights: (steps seen, log g(t - 1), that or log bal(t, 0) as rho says, log bal(t, t - 1), the formula's
            log g(t)) -> log g(t), `[K]`.
    """

    first: int
    log_weights: Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def _from_ones(seen: tf.Tensor, old: tf.Tensor, past: tf.Tensor, step: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """g(0) = 1."""
    return tf.where(seen == 0, old, new)


def _from_losses_of_one(seen: tf.Tensor, old: tf.Tensor, past: tf.Tensor, step: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """alpha is 1 at the first step and 0 at the second."""
    return tf.where(seen == 0, past, tf.where(seen == 1, step, new))


FORMS = {"paper": Form(0, _from_ones), "code": Form(1, _from_losses_of_one)}


@register
class ReLoBRaLo(RateGate):
    """Relative loss balancing with random lookback: the less a loss has fallen, the larger its weight.

        bal(t, t') = K softmax(l(t) / (T l(t') + eps)),    g(0) = 1
        g(t) = alpha (rho g(t - 1) + (1 - rho) bal(t, 0)) + (1 - alpha) bal(t, t - 1)

    A loss is compared with itself at the last step and, at random, at the first: rho is 1 with the probability E[rho],
    else 0, drawn anew at each training step. The weights sum to K, and do not depend on the units of the losses.

    Args:
        alpha: in [0, 1], how much of the last weights stays. The paper has 0.999, and 0.99 for its Helmholtz problem;
            PhysicsNeMo-Sym 0.95.
        temperature: T > 0; small is one-hot. The paper has 0.1 (Burgers), 0.01 (Kirchhoff), 1e-5 (Helmholtz);
            PhysicsNeMo-Sym 1.
        expected_rho: E[rho], in [0, 1]. The paper has 0.9999, and 0.99 for its Helmholtz problem; PhysicsNeMo-Sym 0.99;
            the official code 1, no lookback.
        seed: seeds the draws, which are a function of seed and step.
        form: "paper", the formula above; or "code", the official repository's: l(0) and l(-1) are 1 at the first step,
            alpha is 1 at the first and 0 at the second, and the losses of the second stand for l(0) from the third on.
        epsilon: eps >= 0. PhysicsNeMo-Sym has 1e-8.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log g less its largest, `[K]`, and the total K. A step whose losses are not all
        finite leaves the state as it is and is counted in the variable `skipped`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.ReLoBRaLo(alpha=0.5, temperature=1.0, seed=0)
        >>> blend = bl.Blend(["a", "b"], gate=gate)
        >>> for step, a in enumerate((1.0, 2.0)):  # half 1 and 1, half 2 softmax(2, 1)
        ...     output = blend.compute_from_values({"a": a, "b": 3.0}, step=step)
        >>> [round(float(g), 3) for g in output.weights]
        [1.231, 0.769]

    References:
        Bischof and Kraus, "Multi-Objective Loss Balancing for Physics-Informed Deep Learning", CMAME 439 (2025),
        arXiv:2110.09813, equation 11; the code of its authors.

    Deviations:
        The official code draws all rho in advance, by NumPy. jinns compares l(t - 1) with l(t - 2) where the formula
        has g(t - 1), its weights sum to 1, but to K in the lookback, and its temperature acts in the lookback alone.
    """

    needs = RateGate.needs | Needs.STEP

    def __init__(
        self,
        alpha: float = 0.999,
        temperature: float = 0.1,
        expected_rho: float = 0.9999,
        *,
        seed: int,
        form: str = "paper",
        epsilon: float = 1e-12,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.alpha = checks.non_negative("alpha", alpha, maximum=1, dtype=self.compute_dtype)
        self.temperature = checks.positive("temperature", temperature, dtype=self.compute_dtype)
        self.expected_rho = checks.non_negative("expected_rho", expected_rho, maximum=1, dtype=self.compute_dtype)
        self.seed = checked_seed(seed)
        self.form = checks.one_of("form", form, list(FORMS))
        self._form = FORMS[self.form]
        self.epsilon = checks.non_negative("epsilon", epsilon, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.history: Any = None
        self.seen: Any = None

    def create_state(self, k: int) -> None:
        super().create_state(k)
        self.history = kept(self, "losses", (2, k), 1)  # the first and the last; two variables cost a small step more
        self.seen = self.add_state("seen", dtype="int64")

    def stepped(self, values: tf.Tensor, valid: tf.Tensor, context: Context) -> tf.Tensor:
        seen = tf.convert_to_tensor(self.seen)
        before, old = (tf.cast(tf.convert_to_tensor(state), values.dtype) for state in (self.history, self.logits))
        keeps = uniform([1], self.seed, context.step, tf.float64, LOOK_BACK)[0] < self.expected_rho
        look_back, step = tf.unstack(self._balance(values, before))
        past = tf.where(keeps, old, look_back)
        new = smoothed(past, step, self.alpha)
        new = self._form.log_weights(seen, old, past, step, new)
        first = tf.where(seen == self._form.first, values, before[0])
        put(self.history, tf.stack([first, values]), valid)
        put(self.seen, seen + 1, valid)
        return put(self.logits, new, valid)

    def _balance(self, now: tf.Tensor, then: tf.Tensor) -> tf.Tensor:
        return log_balance(now, then, self.temperature, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "temperature": self.temperature,
            "expected_rho": self.expected_rho,
            "seed": self.seed,
            "form": self.form,
            "epsilon": self.epsilon,
        }
