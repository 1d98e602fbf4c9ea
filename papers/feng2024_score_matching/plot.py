"""Efficiencies by law, the slopes at Cauchy noise, and what more losses gain and cost."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from blendloss.console.results import replace
from papers._claim import Runs
from papers.feng2024_score_matching.config import CONVEX, DEFAULT

ANY, ONLY_CONVEX = "tab:red", "tab:blue"
#: What is drawn of each law: label, marker, colour.
POINTS = {
    "default, best loss": ("best loss of the default six", "|", "tab:gray"),
    "best convex": ("best convex loss (projection)", "s", "lightsteelblue"),
    "convex": ("blend of the convex six", ".", ONLY_CONVEX),
    "default": ("blend of the default six", ".", ANY),
}
SLOPES = {
    "score": ("score, the best loss of all", "black", "--"),
    "best convex": ("best convex loss", "lightsteelblue", "-"),
    "convex": ("blend of the convex six", ONLY_CONVEX, "-"),
    "default": ("blend of the default six", ANY, "-"),
}


def plot(runs: Runs, folder: Path) -> list[Path]:
    drawn = {}
    if "efficiencies" in runs.arms:
        [result] = runs.of("efficiencies")[:1]
        drawn["laws.png"] = _laws(result)
    if "choice" in runs.arms and "convex choice" in runs.arms:
        drawn["sets.png"] = _sets(runs)
    for name, figure in drawn.items():
        replace(folder / name, partial(figure.savefig, dpi=120))
    table = folder / "sets.md"
    replace(table, lambda path: path.write_text(_table(runs), encoding="utf-8"))
    return [*(folder / name for name in drawn), table]


def _laws(result: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(12, 6.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    places = -np.arange(len(result["law"]))
    for key, (label, marker, colour) in POINTS.items():
        size = {"|": 10, "s": 9}.get(marker, 9)
        left.plot(result[key], places, marker, color=colour, markersize=size, markeredgewidth=2, label=label)
    left.set(
        yticks=places, yticklabels=result["law"], xlim=(0.2, 1.02), xlabel="efficiency: 1 / (variance × information)"
    )
    left.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.set_title("Large samples, each law")
    for key, (label, colour, line) in SLOPES.items():
        right.plot(result["cauchy"]["r"], result["cauchy"][key], line, color=colour, label=label, linewidth=2)
    right.set(xlabel="residual r", ylabel="slope ψ(r)", title="Cauchy noise: slopes", ylim=(0, None), xlim=(0, 5))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right" if axes is right else "lower left")
    return figure


def _sets(runs: Runs) -> Figure:
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for arm, name, colour in (("choice", "any", ANY), ("convex choice", "convex", ONLY_CONVEX)):
        [result] = runs.of(arm)[:1]
        greedy, best = (_means(result[f"{kind} efficiencies"]) for kind in ("greedy", "best"))
        left.plot(range(1, len(greedy) + 1), greedy, ":", color=colour, label=f"{name}: one after the other, of all")
        left.plot(
            range(2, len(best) + 1), best[1:], "-o", color=colour, markersize=4, label=f"{name}: best set, of a few"
        )
    left.set(xlabel="number of losses", ylabel="mean efficiency over the laws", title="Large samples")
    for arm, line in zip([arm for arm in runs.arms if arm.startswith("n = ")], ("-", "--", ":"), strict=False):
        _draw_errors(right, arm, line, runs.of(arm)[0]["squared errors"])
    right.set(xlabel="number of losses", ylabel="squared error over the default set's, mean over the laws")
    right.yaxis.set_major_locator(MultipleLocator(0.05))
    right.set_title("Samples of n: the same for all sets")
    for axes in (left, right):
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def _draw_errors(axes: Axes, arm: str, line: str, errors: dict[str, list[float]]) -> None:
    for colour, name in ((ANY, "any"), (ONLY_CONVEX, "convex")):
        some = [title for title in errors if title.startswith("convex") == (name == "convex")]
        points = sorted((_number(title), _ratio(errors, title)) for title in some)
        axes.plot(*zip(*points, strict=True), f"{line}", marker="o", markersize=4, color=colour, label=f"{arm}, {name}")


def _ratio(errors: dict[str, list[float]], title: str) -> float:
    """The geometric mean over the laws of the squared error over that of the default set."""
    return float(np.exp(np.log(np.divide(errors[title], errors[str(len(DEFAULT))])).mean()))


def _number(title: str) -> int:
    """How many losses the set `title` has."""
    return int(title.removeprefix("convex "))


def _means(efficiencies: list[list[float]]) -> list[float]:
    """Geometric means over the laws."""
    return np.exp(np.log(efficiencies).mean(axis=1)).tolist()


def _table(runs: Runs) -> str:
    lines = ["# Sets of losses", "", f"Default: {', '.join(DEFAULT)}. Convex: {', '.join(CONVEX)}.", ""]
    if "efficiencies" in runs.arms:
        lines += [*_by_law(runs.of("efficiencies")[0]), ""]
    for arm in ("choice", "convex choice"):
        if arm in runs.arms:
            lines += [*_chosen(arm, runs.of(arm)[0]), ""]
    lines += _errors({arm: runs.of(arm)[0]["squared errors"] for arm in runs.arms if arm.startswith("n = ")})
    return "\n".join(lines) + "\n"


def _by_law(result: dict[str, Any]) -> list[str]:
    keys = [key for key in result if key not in ("law", "cauchy", "threshold")]
    lines = [
        "## Efficiencies in large samples",
        "",
        "| law | " + " | ".join(keys) + " |",
        "|---" * (len(keys) + 1) + "|",
    ]
    for number, name in enumerate(result["law"]):
        lines.append("| " + " | ".join([name, *(f"{result[key][number]:.4f}" for key in keys)]) + " |")
    return lines


def _chosen(arm: str, result: dict[str, Any]) -> list[str]:
    best = list(zip(result["best"], result["best efficiencies"], strict=True))
    path = list(zip(result["greedy"], result["greedy efficiencies"], strict=True))
    return [
        f"## {arm.capitalize()}: mean and worst efficiency over the laws",
        "",
        f"All losses of the grid: {_summary(result['all'])}.",
        "",
        "| losses | best set of a few | mean, worst | one more, of the grid | mean, worst |",
        "|---|---|---|---|---|",
        *(
            "| "
            + " | ".join(
                [
                    str(size + 1),
                    *((", ".join(best[size][0]), _summary(best[size][1])) if size < len(best) else ("", "")),
                    *((path[size][0], _summary(path[size][1])) if size < len(path) else ("", "")),
                ]
            )
            + " |"
            for size in range(max(len(best), len(path)))
        ),
    ]


def _summary(efficiencies: list[float]) -> str:
    return f"{np.exp(np.log(efficiencies).mean()):.4f}, {min(efficiencies):.4f}"


def _errors(by_size: dict[str, dict[str, list[float]]]) -> list[str]:
    lines = [
        "## Samples: squared error over that of the default set: geometric mean over the laws, least and largest",
        "",
        "| losses | " + " | ".join(by_size) + " |",
        "|---" * (len(by_size) + 1) + "|",
    ]
    for title in sorted(
        next(iter(by_size.values()), ()), key=lambda title: (title.startswith("convex"), _number(title))
    ):
        cells = []
        for errors in by_size.values():
            ratios = np.divide(errors[title], errors[str(len(DEFAULT))])
            cells.append(f"{_ratio(errors, title):.3f} ({ratios.min():.2f} to {ratios.max():.2f})")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines
