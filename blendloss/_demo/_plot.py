"""The picture: how each arm's weights moved, and what errors it ended with."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from blendloss._cli._numbers import significant
from blendloss._demo._arms import ARMS, SINGLES
from blendloss._demo._summary import METRICS, of

# Blue and orange of Okabe and Ito's palette, which colour-blind readers can tell apart.
_MSE, _HUBER, _BLEND, _GREY = "#0072B2", "#E69F00", "#333333", "#888888"
_TITLES = {"mae": "MAE: mean |error|", "rmse": "RMSE: root mean squared error", "median": "MedAE: median |error|"}
_COLOURS = {SINGLES[0]: _MSE, SINGLES[1]: _HUBER}


def plot(record: dict[str, Any], path: Path) -> None:
    """Draws the run `record` into the file `path`."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.15, 1], hspace=0.05)
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    data = record["data"]
    _heading(above, f"Weights of the two losses while training to predict {data['predicts']} (seed 0)")
    for axes, arm in zip(above.subplots(2, 4, sharex=True, sharey=True).flat, ARMS, strict=True):
        _trajectory(axes, next(run for run in record["runs"] if run["arm"] == arm.name and run["seed"] == 0), arm.about)
    above.supxlabel("training step", size=10)
    above.supylabel("weight", size=10)
    seeds = len({run["seed"] for run in record["runs"]})
    repeated = f"; mean and range of {seeds} seeds" if seeds > 1 else "; one seed"
    _heading(below, f"Test errors in {data['unit']}, smaller is better{repeated}")
    for axes, metric in zip(below.subplots(1, len(METRICS), sharey=True), METRICS, strict=True):
        _errors(axes, record, metric)
    figure.savefig(path, dpi=130)


def _heading(figure: FigureBase, text: str) -> None:
    # A column's name may hold dollar signs, and is no formula.
    figure.suptitle(text, x=0.01, ha="left", weight="bold", parse_math=False)


def _trajectory(axes: Axes, run: dict[str, Any], about: str) -> None:
    steps, mse = run["trajectory"]["step"], run["trajectory"]["mse"]
    axes.fill_between(steps, 0, mse, color=_MSE, lw=0, step="post")
    axes.fill_between(steps, mse, 1, color=_HUBER, lw=0, step="post")
    axes.set_title(run["arm"], loc="left", size=11, weight="bold", pad=32)  # above two lines of text
    axes.text(0, 1.04, _in_two_lines(about), transform=axes.transAxes, size=8.5, color=_GREY, va="bottom")
    axes.set(xlim=(0, max(1, steps[-1])), ylim=(0, 1), yticks=(0, 0.5, 1), yticklabels=("0", "\u00bd", "1"))
    axes.tick_params(labelsize=9)
    start = mse[: 1 + len(mse) // 8]
    if sum(start) / len(start) > 0.3:
        axes.text(0.04, 0.13, "MSE", transform=axes.transAxes, color="white", size=10, weight="bold")
    if mse[-1] < 0.5:
        axes.text(0.96, 0.8, "Huber", transform=axes.transAxes, ha="right", size=10, weight="bold")


def _errors(axes: Axes, record: dict[str, Any], metric: str) -> None:
    names = [arm.name for arm in ARMS]
    for row, name in enumerate(names):
        values = of(record["runs"], name, metric)
        mean = _mean(values)
        colour = _COLOURS.get(name, _BLEND)
        axes.plot([min(values), max(values)], [row, row], color=colour, lw=2.5, alpha=0.5, solid_capstyle="butt")
        axes.plot(mean, row, "o", color=colour, ms=8)
        label = axes.annotate(significant(mean), (mean, row), (0, 7), textcoords="offset points", ha="center", size=8)
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    baseline = record["baseline"][metric]
    axes.axvline(baseline, color=_GREY, ls="--", lw=1, zorder=0)
    better = min(SINGLES, key=lambda single: _mean(of(record["runs"], single, metric)))
    axes.axvline(_mean(of(record["runs"], better, metric)), color=_COLOURS[better], lw=1.2, zorder=0)
    axes.set_title(_TITLES[metric], loc="left", size=11)
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.9))
    legend = f"line: {better}; dashed: always the training median, {significant(baseline)}"
    axes.set_xlabel(legend, size=8.5, color=_GREY, loc="left")
    axes.margins(x=0.12)
    axes.grid(axis="y", color="#DDDDDD", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _in_two_lines(text: str) -> str:
    lines = textwrap.wrap(text, 40)
    return "\n".join([*lines, ""] if len(lines) == 1 else lines)
