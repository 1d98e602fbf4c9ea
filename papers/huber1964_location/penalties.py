"""The library's penalties at 95 % efficiency where they can have it, and those of others by subclassing `Penalty`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss import losses

#: Without AdaptiveBarron, which is a Barron whose arguments depend on the law: see adaptive.py.
MENU: dict[str, Callable[[], losses.Penalty]] = {
    "SquaredError": losses.SquaredError,
    "AbsoluteError": losses.AbsoluteError,
    "Quantile 1/2": losses.Quantile,
    # The most efficient: 2 phi(e)^2 / Phi(-e) = 0.810 has its maximum where phi(e) / Phi(-e) = 2 e.
    "EpsilonInsensitive": lambda: losses.EpsilonInsensitive(0.612),
    "Huber": losses.Huber.tuned,
    "PseudoHuber": losses.PseudoHuber.tuned,
    "LogCosh": losses.LogCosh.tuned,
    "Fair": losses.Fair.tuned,
    "Cauchy": losses.Cauchy.tuned,
    "Welsch": losses.Welsch.tuned,
    "GemanMcClure": losses.GemanMcClure.tuned,
    "Tukey": losses.Tukey.tuned,
    "Barron 1.5": lambda: losses.Barron.tuned(alpha=1.5),
    "Barron 0.5": lambda: losses.Barron.tuned(alpha=0.5),
}


class Scaled(losses.Penalty):
    """A penalty given by c^2 rho(r / c); a location estimate needs its slope alone."""

    tuned_argument = "scale"

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rho, psi = self.unit(tf.minimum(tf.abs(residual) / self.scale, 1e3))
        return self.scale**2 * rho, self.scale * tf.sign(residual) * psi

    def unit(self, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """rho and psi at u = |r| / c."""
        raise NotImplementedError


class Andrews(Scaled):
    def unit(self, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        u = tf.minimum(u, math.pi)
        return 1 - tf.cos(u), tf.sin(u)


class Hampel(Scaled):
    """Of three parts, with corners at c / 4, c / 2 and c."""

    def unit(self, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        first, last = tf.minimum(u, 0.25), tf.clip_by_value(u, 0.5, 1.0) - 0.5
        middle = tf.clip_by_value(u, 0.25, 0.5) - 0.25
        return first**2 / 2 + middle / 4 + last * (1 - last) / 4, first - last / 2


class TrimmedMean(Scaled):
    def unit(self, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inside = tf.minimum(u, 1.0)
        return inside**2 / 2, tf.where(u <= 1, u, 0.0)


class TukeyQuartic(Scaled):
    """Tukey's biweight with a fourth power of u in it."""

    def unit(self, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        u = tf.minimum(u, 1.0)
        return u**2 / 2 - u**6 / 3 + u**10 / 10, u * (1 - u**4) ** 2


TUNED: dict[str, type[losses.Penalty]] = {
    "Huber": losses.Huber,
    "Tukey": losses.Tukey,
    "Cauchy": losses.Cauchy,
    "Andrews": Andrews,
    "Hampel": Hampel,
    "trimmed mean": TrimmedMean,
    "Tukey quartic": TukeyQuartic,
}
