"""All problems of one arm and one seed; or that seed's samples of the location part; or the population part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from papers.blendloss2026_score_matching import location, population
from papers.blendloss2026_score_matching.config import LOCATION, POPULATION, Config
from papers.blendloss2026_score_matching.data import cases
from papers.blendloss2026_score_matching.train import trainer


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    seed += config.first_seed
    if arm == LOCATION:
        return location.errors(config, seed, progress)
    if arm == POPULATION:
        return population.variances(config.population_laws)
    return _trained(config, arm, seed, progress)


def _trained(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    """Errors by problem: the RMSE to the function for each law, or a table's MAE and RMSE; and the mean weights."""
    errors: dict[str, dict[str, float]] = {}
    weights: dict[str, dict[str, list[float]]] = {}
    every = list(cases(config))
    for number, case in enumerate(every):
        problem = case.make(seed)
        predicted, weight = trainer(config, arm, problem.x.shape[1], case.layers).train(problem, seed)
        mae, rmse = (float(f"{error:.4g}") for error in problem.errors(predicted))
        errors.setdefault(case.name, {}).update({case.law: rmse} if case.law else {"MAE": mae, "RMSE": rmse})
        weights.setdefault(case.name, {})[case.law] = [float(f"{one:.3g}") for one in weight]
        progress((number + 1) / len(every))
    return {"errors": errors, **({"weights": weights} if arm == "score matching" else {})}
