"""One arm: Huber's k, the two scales, the tuning constants, or all that is asked of one penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss import losses
from papers.huber1964_location import adaptive, menezes, monte_carlo
from papers.huber1964_location.asymptotic import Asymptotics, argmax, bound, relative_variance
from papers.huber1964_location.config import Config
from papers.huber1964_location.penalties import MENU, TUNED

Progress = Callable[[float], None]


def run(config: Config, arm: str, seed: int, progress: Progress) -> dict[str, Any]:
    if arm == "minimax":
        return _minimax(config, progress)
    if arm == "scales":
        return _scales(config, seed)
    if arm == "constants":
        return _constants(config)
    if arm == "AdaptiveBarron":
        return _adaptive(config, progress)
    return _penalty(config, arm, seed, progress)


def _minimax(config: Config, progress: Progress) -> dict[str, Any]:
    """For each share the threshold of the library's Huber whose worst variance is the least."""
    found: dict[str, Any] = {"share": list(config.shares), "k": [], "variance": [], "efficiency": []}
    for number, share in enumerate(config.shares):
        k = _best_threshold(share)
        found["k"].append(k)
        found["variance"].append(Asymptotics(losses.Huber(k)).worst(share))
        found["efficiency"].append(losses.Huber(k).efficiency())
        progress((number + 1) / len(config.shares))
    return {**found, "bound": [bound(share) for share in config.curve], "curve": list(config.curve)}


def _best_threshold(share: float) -> float:
    return argmax(lambda k: -Asymptotics(losses.Huber(k)).worst(share), 0.05, 4.0)


def _scales(config: Config, seed: int) -> dict[str, Any]:
    """The efficiency of the mean absolute deviation relative to the standard deviation, location known."""
    drawn = monte_carlo.scales(config.scale_size, config.scale_replications)
    formula, simulated = [], []
    for number, share in enumerate(config.scales):
        # The standard deviation is a root: its relative variance is a quarter of the mean square's.
        squared = relative_variance(losses.SquaredError(), share) / 4
        formula.append(squared / relative_variance(losses.AbsoluteError(), share))
        standard, absolute = drawn(tf.constant([seed, number]), tf.constant(share)).numpy()
        simulated.append(float(standard / absolute))
    return {"share": list(config.scales), "formula": formula, "simulated": simulated}


def _constants(config: Config) -> dict[str, Any]:
    """The constant for each efficiency, and the efficiency at each published constant."""
    found = {}
    for name in config.tuned:
        kind: Any = TUNED[name]
        found[name] = {
            "constants": [getattr(kind.tuned(wanted), kind.tuned_argument) for wanted in menezes.EFFICIENCIES],
            "efficiencies": [kind(**{kind.tuned_argument: c}).efficiency() for c in menezes.CONSTANTS[name]],
        }
    return found


def _penalty(config: Config, arm: str, seed: int, progress: Progress) -> dict[str, Any]:
    penalty = MENU[arm]()
    asymptotics = Asymptotics(penalty)
    return {
        "arguments": penalty.get_config(),
        "tuned": penalty.tuned_argument if arm != "EpsilonInsensitive" else None,
        "efficiency": penalty.efficiency(),
        "share": list(config.curve),
        "variance": [asymptotics.variance(share) for share in config.curve],
        "worst": [asymptotics.worst(share) for share in config.curve],
        "drawn": list(config.drawn),
        "simulated": _simulated(config, penalty, seed, progress),
    }


def _simulated(config: Config, penalty: losses.Penalty, seed: int, progress: Progress) -> dict[str, list[float]]:
    """n Var for each n, at each share; all penalties see the same samples."""
    batches = config.replications // config.batch
    found: dict[str, list[float]] = {}
    for place, size in enumerate(config.sizes):
        mean_square = monte_carlo.estimator(penalty, size, config.batch)
        found[str(size)] = []
        for number, share in enumerate(config.drawn):
            seeds = [tf.constant([seed, (number * len(config.sizes) + place) * batches + b]) for b in range(batches)]
            found[str(size)].append(size * sum(float(mean_square(one, tf.constant(share))) for one in seeds) / batches)
            progress((place + (number + 1) / len(config.drawn)) / len(config.sizes))
    return found


def _adaptive(config: Config, progress: Progress) -> dict[str, Any]:
    fitted = []
    for barron in adaptive.fits(config.curve, config.fit_steps):
        fitted.append(barron)
        progress(len(fitted) / len(config.curve))
    fitted.reverse()
    return {
        "share": list(config.curve),
        "alpha": [barron.alpha for barron in fitted],
        "scale": [barron.scale for barron in fitted],
        "variance": [Asymptotics(barron).variance(share) for barron, share in zip(fitted, config.curve, strict=True)],
    }
