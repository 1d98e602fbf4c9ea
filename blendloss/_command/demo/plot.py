"""The picture: the weights of each arm over training, and its test errors."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from blendloss._command.demo.arms import ARMS, SINGLES
from blendloss._command.demo.summary import METRICS, of
from blendloss.console.numbers import significant

# Okabe and Ito's palette, for colour-blind readers.
_MSE, _HUBER, _BLEND, _GREY = "#0072B2", "#E69F00", "#333333", "#888888"
_FILLS = {
    "mse": _MSE,
    "squared": _MSE,
    "huber": _HUBER,
    "absolute": "#009E73",
    "cauchy_0.5": "#CC79A7",
    "tukey_2.5": "#D55E00",
    "tukey": "#56B4E9",
}
_LABELS = {"mse": "MSE", "huber": "Huber"}
_ON_DARK = ("mse", "squared", "absolute", "tukey_2.5")
_TITLES = {"mae": "MAE: mean |error|", "rmse": "RMSE: root mean squared error", "median": "MedAE: median |error|"}
_COLOURS = {SINGLES[0]: _MSE, SINGLES[1]: _HUBER}


def plot(record: dict[str, Any], path: Path) -> None:
    """Draws the run `record` into the file `path`."""
    figure = Figure(figsize=(12, 10.5), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.5, 1], hspace=0.05)
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    data = record["data"]
    _heading(above, f"Weights of the losses while training to predict {data['predicts']} (seed 0)")
    for axes, arm in zip(above.subplots(3, 3, sharex=True, sharey=True).flat, ARMS, strict=True):
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
    # A column's name may contain dollar signs, but is not a formula.
    figure.suptitle(text, x=0.01, ha="left", weight="bold", parse_math=False)


def _trajectory(axes: Axes, run: dict[str, Any], about: str) -> None:
    steps, below = run["trajectory"]["step"], np.zeros(len(run["trajectory"]["step"]))
    for name in run["weights"]:
        above = below + run["trajectory"][name]
        axes.fill_between(steps, below, above, color=_FILLS[name], lw=0, step="post")
        _label(axes, name, steps, below, above)
        below = above
    axes.set_title(run["arm"], loc="left", size=11, weight="bold", pad=32)  # above two lines of text
    axes.text(0, 1.04, _in_two_lines(about), transform=axes.transAxes, size=8.5, color=_GREY, va="bottom")
    axes.set(xlim=(0, max(1, steps[-1])), ylim=(0, 1), yticks=(0, 0.5, 1), yticklabels=("0", "\u00bd", "1"))
    axes.tick_params(labelsize=9)


def _label(axes: Axes, name: str, steps: list[int], below: np.ndarray, above: np.ndarray) -> None:
    """Writes the loss's name where its band is widest, if it is wide enough."""
    width = max(1, len(steps) // 5)
    heights = [
        float(above[start : start + width].min() - below[start : start + width].max())
        for start in range(len(steps) - width + 1)
    ]
    start = int(np.argmax(heights))
    if heights[start] > 0.12:
        window = slice(start, start + width)
        place = (steps[start] + steps[start + width - 1]) / 2, (above[window].min() + below[window].max()) / 2
        colour = "white" if name in _ON_DARK else "black"
        axes.text(*place, _LABELS.get(name, name), ha="center", va="center", color=colour, size=10, weight="bold")


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
    legend = f"line: {better}; dashed: the training median, {significant(baseline)}"
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
