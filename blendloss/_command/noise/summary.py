"""The summary of the runs: errors over seeds, arms that beat the better single loss, and the noise that they found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from blendloss._command.contaminated import Contaminated
from blendloss._command.noise.arms import ARMS, MATCHED, MIXTURE, NAIVE, SINGLES
from blendloss._command.noise.training import LIMIT
from blendloss.console.numbers import ENOUGH_SEEDS, STANDARD_ERRORS, compared, named_shares, significant

Runs = list[dict[str, Any]]


def summarize(runs: Runs) -> dict[str, dict[str, Any]]:
    """By arm, over seeds: mean and standard deviation of the test error, and means of the noise law that it found."""
    return {arm: _of_arm([run for run in runs if run["arm"] == arm]) for arm in names(runs)}


def _of_arm(runs: Runs) -> dict[str, Any]:
    errors = [run["rmse"] for run in runs]
    scales = [run["found"]["scales"] for run in runs]
    noise = [run["noise"] for run in runs if run["noise"] is not None]
    return {
        "rmse": {"mean": float(np.mean(errors)), "std": float(np.std(errors, ddof=1)) if errors[1:] else math.nan},
        "weights": {
            name: float(np.mean([run["found"]["weights"][name] for run in runs]))
            for name in runs[0]["found"]["weights"]
        },
        "scales": None if scales[0] is None else np.mean(scales, axis=0).tolist(),
        "divergence": float(np.mean([one["divergence"] for one in noise])) if noise else None,
        "beyond": float(np.mean([one["beyond"] for one in noise])) if noise else None,
    }


def names(runs: Runs) -> list[str]:
    """The arms with runs, in the order of `ARMS`."""
    return [arm.name for arm in ARMS if any(run["arm"] == arm.name for run in runs)]


def errors_of(runs: Runs, arm: str) -> np.ndarray:
    """The test errors of `arm`, in the order of the seeds."""
    ordered = sorted((run for run in runs if run["arm"] == arm), key=lambda run: run["seed"])
    return np.array([run["rmse"] for run in ordered])


def better_single(runs: Runs) -> str:
    """The single loss with the lower mean test error."""
    return min(SINGLES, key=lambda arm: float(errors_of(runs, arm).mean()))


def findings(runs: Runs, noise: Contaminated) -> list[str]:
    """The result in sentences."""
    summary = summarize(runs)
    return [_on_errors(runs), _on_noise(summary, noise), _on_matched(runs, summary), _on_naive(runs), _worth(runs)]


def _on_errors(runs: Runs) -> str:
    best = better_single(runs)
    reference = errors_of(runs, best)
    other = next(arm for arm in SINGLES if arm != best)
    gap = float((errors_of(runs, other) - reference).mean())
    start = (
        f"Distance to the true function: of the single losses {best.removesuffix(' alone')} is nearer "
        f"({significant(reference.mean())}, {gap:.2g} less than {other.removesuffix(' alone')})"
    )
    differences = {arm: errors_of(runs, arm) - reference for arm in names(runs) if arm not in SINGLES}
    if len(reference) >= ENOUGH_SEEDS:
        return f"{start}; gates {compared(differences)}."
    nearest = min(differences, key=lambda arm: float(differences[arm].mean()))
    return f"{start}; the nearest gate, {nearest}, is at {differences[nearest].mean():+.2g} from it."


def _on_noise(summary: dict[str, dict[str, Any]], noise: Contaminated) -> str:
    found = summary[MIXTURE]
    ordered = sorted(
        ((of_arm["divergence"], arm) for arm, of_arm in summary.items() if of_arm["divergence"] is not None)
    )
    order = ", ".join(f"{arm} {divergence:.2g}" for divergence, arm in ordered)
    narrow, broad = found["scales"]
    truth = "normal, of scale 1"
    if noise.share > 0:
        truth += f", {noise.share:.3g} of it of scale {noise.width:.3g}"
    return (
        f"The noise is {truth}; the mixture finds scale {narrow:.2g}, and {found['weights']['broad']:.2g} of scale "
        f"{broad:.3g}. Divergence from the true law to the one found, in nats, nearest first: {order}."
    )


def _on_matched(runs: Runs, summary: dict[str, dict[str, Any]]) -> str:
    """The final weights of score matching, and its gate's report. Score matching implies no law."""
    report = next(run["report"] for run in runs if run["arm"] == MATCHED)
    return f"Score matching ends with {named_shares(summary[MATCHED]['weights'])}. {report}"


def _on_naive(runs: Runs) -> str:
    found = [run["diagnosis"] for run in runs if run["arm"] == NAIVE]
    collapsed = [one["sentence"] for one in found if one["collapsed"]]
    if not collapsed:
        return found[0]["sentence"]
    return f"Collapsed with {len(collapsed)} of {len(found)} seeds. {collapsed[0]}"


def _worth(runs: Runs) -> str:
    seeds = len({run["seed"] for run in runs})
    if seeds == 1:
        return "One seed is too few to tell small differences from chance."
    spread = f"Largest spread of an arm: {max(errors_of(runs, arm).std(ddof=1) for arm in names(runs)):.2g}."
    if seeds < ENOUGH_SEEDS:
        return f"{seeds} seeds are too few to tell small differences from chance. {spread}"
    return (
        f"{seeds} seeds, each with its own data; 'no different' is within {STANDARD_ERRORS:g} standard errors of "
        f"the paired difference. {spread}"
    )


def true_beyond(noise: Contaminated) -> float:
    """The share of the noise beyond the reported limit."""
    return noise.beyond(LIMIT)
