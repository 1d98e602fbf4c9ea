"""The summary of the runs: mean and spread over seeds, and the blends that beat the better single loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from blendloss._command.demo.arms import ARMS, MATCHED, SINGLES
from blendloss.console.numbers import ENOUGH_SEEDS, STANDARD_ERRORS, compared, named_shares, significant

METRICS = {"mae": "MAE", "rmse": "RMSE", "median": "MedAE"}


def summarize(runs: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation over seeds of each test error, by arm and metric."""
    return {
        arm: {
            metric: {
                "mean": float(np.mean(values)),
                "std": float(np.std(values, ddof=1)) if len(values) > 1 else math.nan,
            }
            for metric in METRICS
            for values in [of(runs, arm, metric)]
        }
        for arm in _names(runs)
    }


def of(runs: list[dict[str, Any]], arm: str, metric: str) -> list[float]:
    """The test errors `metric` of `arm`, in the order of the seeds."""
    ordered = sorted((run for run in runs if run["arm"] == arm), key=lambda run: run["seed"])
    return [run["test"][metric] for run in ordered]


def _names(runs: list[dict[str, Any]]) -> list[str]:
    """The arms with runs, in the order of `ARMS`."""
    return [arm.name for arm in ARMS if any(run["arm"] == arm.name for run in runs)]


def findings(runs: list[dict[str, Any]], unit: str, baseline: dict[str, float]) -> list[str]:
    """The result in sentences: one for each metric, the report of score matching, and how much the errors are worth."""
    of_metrics = [_finding(runs, metric, unit) for metric in METRICS]
    return [*of_metrics, *_hardness(runs, baseline), *_matched(runs), _worth(runs)]


def _finding(runs: list[dict[str, Any]], metric: str, unit: str) -> str:
    best = min(SINGLES, key=lambda single: float(np.mean(of(runs, single, metric))))
    reference = np.array(of(runs, best, metric))
    winner = f"{best.removesuffix(' alone')} is better ({significant(reference.mean())} {unit})"
    start = f"{METRICS[metric]}: of the single losses {winner}"
    blends = [name for name in _names(runs) if name not in SINGLES]
    differences = {blend: np.array(of(runs, blend, metric)) - reference for blend in blends}
    if len(reference) < ENOUGH_SEEDS:
        blend = min(blends, key=lambda name: differences[name].mean())
        change = differences[blend].mean()
        if change >= 0:
            return f"{start}, and no blend is below it."
        return f"{start}; the lowest blend, {blend}, is {-change:.2g} below it."
    return f"{start}; {compared(differences)}."


def _matched(runs: list[dict[str, Any]]) -> list[str]:
    """The final weights of score matching, and its gate's report."""
    found = [run for run in runs if run["arm"] == MATCHED]
    if not found:
        return []
    means = {name: float(np.mean([run["weights"][name] for run in found])) for name in found[0]["weights"]}
    return [f"Score matching ends with {named_shares(means)}. {found[0]['report']}"]


def _hardness(runs: list[dict[str, Any]], baseline: dict[str, float]) -> list[str]:
    """Names the errors in which no arm beats predicting the median, if there are any."""
    unbeaten = [
        METRICS[metric]
        for metric in METRICS
        if min(float(np.mean(of(runs, name, metric))) for name in _names(runs)) >= baseline[metric]
    ]
    return [f"No arm beats predicting the training median in {' or '.join(unbeaten)}."] if unbeaten else []


def _worth(runs: list[dict[str, Any]]) -> str:
    seeds = len({run["seed"] for run in runs})
    if seeds == 1:
        return "One seed: a small difference may be the seed's, not the blend's. See --seeds 5."
    spread = ", ".join(
        f"{label} {max(np.std(of(runs, name, metric), ddof=1) for name in _names(runs)):.2g}"
        for metric, label in METRICS.items()
    )
    if seeds < ENOUGH_SEEDS:
        return f"{seeds} seeds are too few to tell small differences from chance. Largest spread of an arm: {spread}."
    return (
        f"{seeds} seeds; 'no different' is within {STANDARD_ERRORS:g} standard errors of the paired difference. "
        f"Largest spread of an arm: {spread}."
    )
