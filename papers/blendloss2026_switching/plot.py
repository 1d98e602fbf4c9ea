"""The regret of every arm in every cell, and mean ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs
from papers.blendloss2026_switching.study import LEVEL, Study, interval, percent, study

#: Colours end at this regret, in per cent.
END = 30
TABLES = ("MAE", "RMSE")
LIGHT = ("Gaussian", "heteroscedastic")


def plot(runs: Runs, folder: Path) -> list[Path]:
    found = study(runs, runs.arms)
    if not found.singles:
        return []  # nothing to compare with
    groups = {
        "all cells": found.where(),
        "Gaussian, heteroscedastic": found.where(LIGHT),
        "t3, Cauchy, outliers": [k for k, (_, law) in enumerate(found.cells) if law not in (*LIGHT, *TABLES)],
        "tables, MAE": found.where(["MAE"]),
        "tables, RMSE": found.where(["RMSE"]),
    }
    return [saved(heat_map(found), folder / "regret.png"), saved(ranks(found, groups), folder / "rank.png")]


def saved(figure: Figure, picture: Path) -> Path:
    replace(picture, lambda path: figure.savefig(path, dpi=110))
    return picture


def heat_map(found: Study) -> Figure:
    """A heat map with numbers; bold where the interval is below 0."""
    logs = np.array([found.regret(arm) for arm in found.arms])
    regrets, better = percent(logs.mean(-1)).T, interval(logs)[1].T < 0
    figure = Figure(figsize=(2.6 + 0.95 * len(found.arms), 2.2 + 0.29 * len(found.cells)), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(regrets, cmap="RdBu_r", vmin=-END, vmax=END, aspect="auto")
    for row, column in np.ndindex(regrets.shape):
        value = regrets[row, column]
        axes.text(
            column,
            row,
            _number(value),
            ha="center",
            va="center",
            size=9,
            weight="bold" if better[row, column] else "normal",
            color="white" if abs(value) > 0.7 * END else "black",
        )
    axes.set_xticks(range(len(found.arms)), [arm.replace(" ", "\n") for arm in found.arms], size=9)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_yticks(range(len(found.cells)), [", ".join(_named(cell)) for cell in found.cells], size=9)
    for row in range(1, len(found.cells)):
        if found.cells[row][0] != found.cells[row - 1][0]:
            axes.axhline(row - 0.5, color="black", linewidth=1)
    axes.axvline(len(found.singles) - 0.5, color="black", linewidth=1)
    figure.suptitle("By how many % the error is above that of the row's best single loss", weight="bold")
    bar = figure.colorbar(shown, location="bottom", shrink=0.5, aspect=40, pad=0.01, extend="both")
    below = f"bold: better than the best single loss by more than its {100 * LEVEL:g} % interval"
    bar.set_label(f"regret in %; 3x: three times the error; {below}")
    return figure


def _number(value: float) -> str:
    """Whole per cent, or how many times where it is much."""
    return f"{1 + value / 100:.0f}x" if value >= 200 else "0" if round(value) == 0 else f"{value:+.0f}"


def _named(cell: tuple[str, str]) -> tuple[str, str]:
    return cell[0].replace("=", " = "), cell[1]


def ranks(found: Study, groups: dict[str, list[int]]) -> Figure:
    """Mean ranks with their intervals, over groups of cells."""
    groups = {name: cells for name, cells in groups.items() if cells}
    figure = Figure(figsize=(2 + 2.3 * len(groups), 4.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(groups), sharey=True, sharex=True))
    for axes, (name, cells) in zip(panels, groups.items(), strict=True):
        _ranking(axes, found, cells)
        axes.set_title(f"{name} ({len(cells)})", size=10)
    panels[0].invert_yaxis()
    panels[0].set_yticks(range(len(found.arms)), found.arms)
    figure.supxlabel(
        f"mean rank over the cells (1: lowest error), with {100 * LEVEL:g} % bootstrap interval over seeds", size=10
    )
    return figure


def _ranking(axes: Axes, found: Study, cells: list[int]) -> None:
    ranks = found.ranks(cells)
    low, high = interval(ranks)
    for row, (arm, mean) in enumerate(zip(found.arms, ranks.mean(-1), strict=True)):
        colour = "#777777" if arm in found.singles else "#0072B2"
        axes.plot([low[row], high[row]], [row, row], color=colour, linewidth=2)
        axes.plot(mean, row, "o", color=colour, markersize=6)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
