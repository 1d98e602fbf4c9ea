"""One arm: the efficiencies at every law, the choice of losses, or squared errors at one sample size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import blendloss as bl
from papers.feng2024_score_matching.choice import Efficiencies
from papers.feng2024_score_matching.config import CONVEX, DEFAULT, SETS, Config
from papers.feng2024_score_matching.gate import gate_efficiency
from papers.feng2024_score_matching.laws import law
from papers.feng2024_score_matching.location import squared_errors
from papers.feng2024_score_matching.penalties import penalty, slopes
from papers.feng2024_score_matching.program import efficiency, moments, weights
from papers.feng2024_score_matching.projection import convex_information, majorant_information, projected, threshold

Progress = Callable[[float], None]


def run(config: Config, arm: str, seed: int, progress: Progress) -> dict[str, Any]:
    if arm == "efficiencies":
        return _efficiencies(config, progress)
    if arm == "choice":
        return _choice(config, config.grid, config.pool)
    if arm == "convex choice":
        return _choice(config, [name for name in config.grid if _is_convex(name)], config.convex_pool)
    return _squared_errors(config, int(arm.removeprefix("n = ")), seed, progress)


def chosen_sets() -> dict[str, dict[str, bl.losses.Penalty]]:
    """The two sets of losses that are settled on."""
    return {title: {name: penalty(name) for name in some} for title, some in (("default", DEFAULT), ("convex", CONVEX))}


def _efficiencies(config: Config, progress: Progress) -> dict[str, Any]:
    found: dict[str, Any] = {"law": list(config.laws)}
    found["cauchy"] = _cauchy_slopes(config)
    for number, name in enumerate(config.laws):
        noise = law(name, config.cells)
        row = {
            "information": noise.information,
            "best convex": convex_information(noise) / noise.information,
            "best convex, by the majorant": majorant_information(noise) / noise.information,
            "threshold": threshold(noise),
        }
        for title, losses in chosen_sets().items():
            row[title] = efficiency(noise, list(losses))
            row[f"{title}, by the gate"] = gate_efficiency(noise, losses, config.residuals)
            row[f"{title}, best loss"] = max(efficiency(noise, [one]) for one in losses)
        for key, value in row.items():
            found.setdefault(key, []).append(value)
        progress((number + 1) / len(config.laws))
    return found


def _cauchy_slopes(config: Config) -> dict[str, Any]:
    """The score of Cauchy noise, the best convex slope, and those of the best blends of the two sets, to be drawn."""
    noise = law("t(1)", config.cells)
    best, end = projected(noise), threshold(noise)
    shown = np.searchsorted(noise.r, np.linspace(0.02, 5, 250))
    slopes_of = {"score": noise.score, "best convex": best}
    for title, losses in chosen_sets().items():
        slopes_of[title] = slopes(list(losses), noise.r / noise.scale) @ weights(*moments(noise, list(losses)))
    return {
        "off the score before": float(np.abs(best - noise.score)[noise.r < end].max()),
        "r": noise.r[shown].tolist(),
        **{title: slope[shown].tolist() for title, slope in slopes_of.items()},
    }


def _choice(config: Config, grid: Any, pool: Any) -> dict[str, Any]:
    """The greedy path through `grid` and the best sets out of `pool`, with the efficiencies at each law."""
    laws = [law(name, config.cells) for name in config.laws]
    wide, narrow = Efficiencies(laws, grid), Efficiencies(laws, pool)
    path = wide.greedy(config.greedy)
    best = [narrow.best("squared", size) for size in range(1, config.largest + 1)]
    return {
        "greedy": path,
        "greedy efficiencies": [wide.of(path[:size]).tolist() for size in range(1, len(path) + 1)],
        "all": wide.of(wide.pool).tolist(),
        "best": best,
        "best efficiencies": [narrow.of(names).tolist() for names in best],
    }


def _squared_errors(config: Config, n: int, seed: int, progress: Progress) -> dict[str, Any]:
    sets = {"6": DEFAULT, "convex 6": CONVEX, **SETS}
    found: dict[str, list[float]] = {title: [] for title in sets}
    for number, name in enumerate(config.laws):
        errors = squared_errors(law(name, config.cells), sets, n, config.samples, seed)
        for title, error in errors.items():
            found[title].append(error)
        progress((number + 1) / len(config.laws))
    return {"law": list(config.laws), "squared errors": found}


def _is_convex(name: str) -> bool:
    return name in ("squared", "absolute") or name.startswith("huber")
