"""What the benchmarks compute: the same inputs, losses and modes in all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

#: The losses in their order; K takes the first K. Each but the first has a threshold of 1 where it has one.
LOSSES = (
    "SquaredError",
    "Huber",
    "AbsoluteError",
    "LogCosh",
    "Cauchy",
    "PseudoHuber",
    "Welsch",
    "GemanMcClure",
    "Tukey",
    "Fair",
    "Quantile",
    "EpsilonInsensitive",
    "Barron",
)
#: K = 16 takes these once more, with another threshold.
WIDER = (("Huber", 3.0), ("Cauchy", 3.0), ("Welsch", 3.0))
MOST = len(LOSSES) + len(WIDER)
ARGUMENTS: dict[str, tuple[float, ...]] = {"Quantile": (0.7,), "EpsilonInsensitive": (0.1,), "Barron": (0.5,)}

VECTOR, EXAMPLE = "vector", "example"
STEP = 100


class Inputs(NamedTuple):
    """Targets and predictions `[batch, width]`; logits `[K]`, or `[batch, K]` for a gate of each example."""

    y_true: np.ndarray
    y_pred: np.ndarray
    logits: np.ndarray


def inputs(elements: int, losses: int, gate: str = VECTOR, width: int = 1, period: int | None = None) -> Inputs:
    """Float32; residuals are Student's t with 3 degrees of freedom: every loss sees its near and its far side.

    None is 0, where the slope of a loss with a kink is a convention, and not that of all libraries.
    All that has an example axis repeats after `period` examples.
    """
    if period and elements > period * width:
        repeats = elements // (period * width)
        once = inputs(period * width, losses, gate, width)
        return Inputs(*(np.tile(array, (repeats, 1)) if array.ndim > 1 else array for array in once))
    if not 1 <= losses <= MOST or elements % width:
        raise ValueError(f"there are 1 to {MOST} losses, and `width` divides the elements. Received: {losses}, {width}")
    random = np.random.default_rng(0)
    shape = (elements // width, width)
    y_true = random.standard_normal(shape, np.float32)
    chi_squared = random.standard_gamma(1.5, shape, np.float32) / 1.5
    y_pred = y_true + random.standard_normal(shape, np.float32) / np.sqrt(chi_squared)
    y_pred = np.where(y_pred == y_true, y_true + 1, y_pred)
    logits = random.standard_normal((losses,) if gate == VECTOR else (shape[0], losses), np.float32)
    return Inputs(y_true, y_pred, logits)


def bytes_moved(given: Inputs, itemsize: int, gradients: bool) -> int:
    """The least that must be read and written: y, p and z; and, with gradients, dL/dp and dL/dz."""
    read = sum(array.size for array in given)
    return itemsize * (read + gradients * (given.y_pred.size + given.logits.size))


def penalties(losses: int) -> dict[str, Any]:
    """The first so many losses, by name."""
    import blendloss as bl

    named = [(name, ARGUMENTS.get(name, ())) for name in LOSSES]
    named += [(name, (threshold,)) for name, threshold in WIDER]
    found = {f"{name}{''.join(map(str, of))}": getattr(bl.losses, name)(*of) for name, of in named}
    return dict(list(found.items())[:losses])


def modes() -> dict[str, Callable[[], Any]]:
    """Every mode by name; the lazy one is for gates that do not train."""
    import blendloss as bl

    def cooling() -> Any:
        return bl.schedules.exponential(5.0, 0.1, steps=1000)

    return {
        "soft": bl.modes.Soft,
        "annealed": lambda: bl.modes.Annealed(cooling()),
        "annealed, Gumbel": lambda: bl.modes.Annealed(cooling(), seed=0),
        "hard, straight-through": lambda: bl.modes.Hard(lazy=False),
        "hard, ReinMax": lambda: bl.modes.Hard(bl.modes.ReinMax(seed=0), lazy=False),
        "hard, lazy": bl.modes.Hard,
    }


def blended(mode: Any, losses: int) -> Callable[..., Any]:
    """The blend L(y_true, y_pred, logits, step), of logits that are handed in."""
    import blendloss as bl

    class Given(bl.gates.Gate):
        logits: Any = None

        def gating(self, context: Any) -> Any:
            return self.logits

    gate = Given()
    blend = bl.Blend(penalties(losses), gate, mode)

    def value(y_true: Any, y_pred: Any, logits: Any, step: Any, sample_weight: Any = None) -> Any:
        gate.logits = logits
        return blend(y_true, y_pred, sample_weight, step=step)

    return value


def with_gradients(value: Callable[..., Any], lazy: bool) -> Callable[..., Any]:
    """L, dL/dy_pred, and, unless the mode is lazy, dL/dlogits."""
    import tensorflow as tf

    def value_and_gradients(y_true: Any, y_pred: Any, logits: Any, step: Any) -> Any:
        sources = [y_pred] if lazy else [y_pred, logits]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            loss = value(y_true, y_pred, logits, step)
        return loss, *tape.gradient(loss, sources)

    return value_and_gradients


def tensors(given: Inputs, dtype: str) -> tuple[Any, ...]:
    """The inputs and the step on TensorFlow's device."""
    import tensorflow as tf

    half = dtype in ("float16", "bfloat16")
    logits = tf.constant(given.logits, "float32" if half else dtype)
    return tf.cast(given.y_true, dtype), tf.cast(given.y_pred, dtype), logits, tf.constant(STEP, tf.int64)


def device() -> str:
    """The device that TensorFlow computes on, in words."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"
