"""All problems of one arm and one seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from papers.blendloss2026_switching.blends import ADAPTIVE
from papers.blendloss2026_switching.config import Config
from papers.blendloss2026_switching.data import Problem, real, synthetic
from papers.blendloss2026_switching.train import trainer


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    """Errors by problem: the RMSE to the function for each law, or a table's MAE and RMSE; and Huber's mean weights."""
    errors: dict[str, dict[str, float]] = {}
    weights: dict[str, dict[str, float]] = {}
    parts = len(config.synthetic) + len(config.tables)
    for n, features in config.synthetic:
        name = f"n={n} d={features}"
        errors[name], weights[name] = {}, {}
        for law in config.laws:
            problem = synthetic(config, n, features, law, seed)
            (_, rmse), weights[name][law] = _trained(config, arm, problem, seed)
            errors[name][law] = rmse
        progress(len(errors) / parts)
    for name in config.tables:
        (mae, rmse), weight = _trained(config, arm, real(name, seed), seed)
        errors[name], weights[name] = {"MAE": mae, "RMSE": rmse}, {"": weight}
        progress(len(errors) / parts)
    return {"errors": errors, **({"weights": weights} if arm in ADAPTIVE else {})}


def _trained(config: Config, arm: str, problem: Problem, seed: int) -> tuple[tuple[float, float], float]:
    """MAE and RMSE, and Huber's mean weight."""
    predicted, weights = trainer(config, arm, problem.x.shape[1]).train(problem, seed)
    mae, rmse = problem.errors(predicted)
    return (float(f"{mae:.4g}"), float(f"{rmse:.4g}")), float(f"{weights[-1]:.3g}")
