"""The two losses, and where on their front each method must end.

With u = (1, ..., 1) / sqrt(n) and x = s u + p, p at right angles to u,

    f1 = 1 - exp(-(s - 1)^2 - |p|^2),    f2 = 1 - exp(-(s + 1)^2 - |p|^2).

The front is p = 0, -1 <= s <= 1, whatever n. It is convex where s^2 > 1/2, near its ends, and concave between. Fixed
weights r and 1 - r rest where 2 artanh(s) = 4 s + log(r / (1 - r)): in minima where s^2 > 1/2, in saddles between.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

#: |s| at which the front turns from convex to concave.
TURN = 0.5**0.5


def losses(x: tf.Tensor) -> dict[str, tf.Tensor]:
    place = 1 / tf.sqrt(tf.cast(tf.size(x), x.dtype))
    return {
        "first": 1 - tf.exp(-tf.reduce_sum((x - place) ** 2)),
        "second": 1 - tf.exp(-tf.reduce_sum((x + place) ** 2)),
    }


def on_front(s: np.ndarray | float) -> np.ndarray:
    """(f1, f2) at s, `[..., 2]`."""
    s = np.asarray(s, float)
    return np.stack([1 - np.exp(-((s - 1) ** 2)), 1 - np.exp(-((s + 1) ** 2))], axis=-1)


def fixed_weights(count: int) -> np.ndarray:
    """r of each solution: the middles of `count` equal parts of (0, 1)."""
    return (np.arange(count) + 0.5) / count


def preferences(count: int) -> np.ndarray:
    """Directions of (f1, f2), `[count, 2]`: the authors', evenly over the quarter circle from (1, 0) to (0, 1)."""
    angles = np.linspace(0, np.pi / 2, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def maximum_weights(count: int) -> np.ndarray:
    """w of each preference c: w1 f1 = w2 f2 where f is along c, so w = (c2, c1)."""
    return np.abs(preferences(count)[:, ::-1]).round(15)


def linear_minima(r: float) -> list[float]:
    """s of each local minimum of r f1 + (1 - r) f2."""
    odds = np.log(r / (1 - r))

    def slope(s: float) -> float:
        return 2 * np.arctanh(s) - 4 * s - odds

    near = 1 - 1e-15
    found = []
    if slope(TURN) < 0:
        found.append(root(slope, TURN, near))
    if slope(-TURN) > 0:
        found.append(root(slope, -near, -TURN))
    return found


def maximum_minimum(weights: np.ndarray, smoothness: float = 0.0) -> float:
    """s where max_k w_k f_k, or its smooth maximum, is least."""

    def slope(s: float) -> float:
        values, slopes = weights * on_front(s), weights * 2 * np.array([s - 1, s + 1]) * (1 - on_front(s))
        if not smoothness:
            return values[1] - values[0]
        shares = np.exp((values - values.max()) / smoothness)
        return float(shares @ slopes)

    return root(slope, -1.0, 1.0)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where an ascending function passes through 0, by bisection; the end that is nearest where it does not."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return (low + high) / 2
