"""The picture: the noise laws, the weights over training, and the networks' distances to the function."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from blendloss._command.noise.arms import ARMS, SINGLES
from blendloss._command.noise.settings import Settings
from blendloss._command.noise.summary import better_single, errors_of, names
from blendloss._command.noise.training import drawn_at
from blendloss.console.numbers import significant

# Okabe and Ito's palette, for colour-blind readers. Line styles of the laws differ, too.
_FOUR = {"squared": "#0072B2", "Huber": "#E69F00", "absolute": "#009E73", "Cauchy": "#CC79A7"}
_SIX = {"huber": "#E69F00", "cauchy_0.5": "#CC79A7", "tukey_2.5": "#D55E00", "tukey": "#56B4E9"}
_PARTS = {"narrow": ("#333333", "-"), "broad": ("#D55E00", "-")}
_LAWS = {
    "squared alone": ("#0072B2", ":", "squared error's normal law"),
    "likelihood choice": ("#CC79A7", "-", "likelihood choice"),
    "exponential family": ("#000000", "--", "exponential family"),
    "mixture": ("#D55E00", "-.", "mixture"),
}
_GREY, _DARK, _PALE = "#777777", "#333333", "#D9D9D9"
_LOWEST = 1e-6


def plot(record: dict[str, Any], path: Path) -> None:
    """Draws the study `record` into the file `path`."""
    settings = Settings(**record["settings"])
    first = {run["arm"]: run for run in record["runs"] if run["seed"] == 0}
    figure = Figure(figsize=(14, 8.6), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.35, 1], hspace=0.04)
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    left, right = above.subplots(1, 2, width_ratios=[1.25, 1])
    _laws(left, first, settings)
    _errors(right, record, settings)
    gated = [arm for arm in ARMS if arm.name not in SINGLES]
    _heading(below, "How each gate came to its weights (seed 0)")
    for place, (axes, arm) in enumerate(zip(below.subplots(1, len(gated), sharex=True), gated, strict=True)):
        _trajectory(axes, first[arm.name], arm.about, settings, labelled=place == 0)
    below.supxlabel("training step", size=10)
    figure.savefig(path, dpi=100, pil_kwargs={"optimize": True})


def _heading(figure: FigureBase, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", weight="bold", size=12)


def _laws(axes: Axes, runs: dict[str, dict[str, Any]], settings: Settings) -> None:
    r = drawn_at(settings.noise)
    axes.fill_between(r, _LOWEST, np.exp(settings.noise.log_density(r)), color=_PALE, lw=0, label="the true noise")
    for arm, (colour, style, label) in _LAWS.items():
        noise = runs[arm]["noise"]
        axes.plot(noise["r"], np.exp(noise["log_density"]), style, color=colour, lw=2, label=label)
    axes.set(yscale="log", ylim=(_LOWEST, 1), xlim=(r[0], r[-1]))
    axes.set_xlabel("residual, in standard deviations of the narrow noise", size=10)
    axes.set_ylabel("density (log scale)", size=10)
    axes.set_title("What each takes the noise for (seed 0)", loc="left", weight="bold", size=12)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    _plain(axes)


def _errors(axes: Axes, record: dict[str, Any], settings: Settings) -> None:
    runs = record["runs"]
    arms = names(runs)
    for row, arm in enumerate(arms):
        errors = errors_of(runs, arm)
        colour = _GREY if arm in SINGLES else _DARK
        axes.plot(errors, [row] * len(errors), "o", color=colour, alpha=0.55, mew=0, ms=7)
        mean = float(errors.mean())
        axes.plot([mean, mean], [row - 0.3, row + 0.3], color=colour, lw=2.5)
        label = axes.annotate(significant(mean), (mean, row - 0.33), ha="center", va="bottom", size=9, color=colour)
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    best = better_single(runs)
    axes.axvline(float(errors_of(runs, best).mean()), color=_GREY, lw=1, ls="--", zorder=0)
    axes.set(yticks=range(len(arms)), yticklabels=arms, ylim=(len(arms) - 0.5, -0.8))
    axes.margins(x=0.1)
    dots = f"dots: {settings.seeds} seeds; bar: mean" if settings.seeds > 1 else "one seed"
    axes.set_xlabel(f"RMSE ({dots}; dashed: {best})", size=10)
    axes.set_title("Distance to the true function", loc="left", weight="bold", size=12)
    axes.grid(axis="y", color="#E6E6E6", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _plain(axes)


def _trajectory(axes: Axes, run: dict[str, Any], about: str, settings: Settings, labelled: bool) -> None:
    steps, weights = run["trajectory"]["step"], run["trajectory"]["weights"]
    for name, values in weights.items():
        colour, style = _PARTS[name] if name in _PARTS else ((_FOUR | _SIX)[name], "-")
        axes.plot(steps, values, style, color=colour, lw=1.8, label=name)
    axes.set_title(run["arm"], loc="left", size=11, weight="bold", pad=30)
    axes.text(0, 1.03, _in_two_lines(about), transform=axes.transAxes, size=8.5, color=_GREY, va="bottom")
    top = max(1.0, *(max(values) for values in weights.values()))
    axes.set(xlim=(0, max(1, steps[-1])), ylim=(-0.03 * top, 1.05 * top))
    if "broad" in weights:
        axes.axhline(settings.share, color=_PARTS["broad"][0], lw=1, ls=":", label="true share")
    if labelled or "broad" in weights:
        axes.legend(frameon=False, fontsize=9, loc="best" if "broad" in weights else "center right")
    elif not _FOUR.keys() >= weights.keys():  # six lines need a legend in two columns, on white
        axes.legend(
            fontsize=7.5, ncols=2, loc="center", framealpha=0.85, edgecolor="none", handlelength=1, columnspacing=0.8
        )
    if labelled:
        axes.set_ylabel("weight", size=10)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _in_two_lines(text: str) -> str:
    lines = textwrap.wrap(text, 27)
    return "\n".join([*lines, ""] if len(lines) == 1 else lines)
