"""Loss, alpha and scale over the steps against the published readings, and the lines over the points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs
from papers.barron2019_robust.expected import LOG, LOG_STEPS, series
from papers.barron2019_robust.fits import points

COLOURS = {"adaptive": "tab:blue", "least squares": "tab:orange"}
LABELS = {"alpha": "shape α", "scale": "scale c", "loss": "loss"}


def plot(runs: Runs, folder: Path) -> list[Path]:
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplot_mosaic([[name, "line"] for name in (*LABELS, "off")], width_ratios=[1.25, 1])
    for column, name in ((1, "alpha"), (2, "scale"), (0, "loss")):
        _readings(axes[name], runs, name, LOG[:, column])
    axes["alpha"].set(title="The adaptive fit, over its steps", ylim=(-0.08, 2))
    axes["alpha"].legend(loc="upper right")
    axes["scale"].set_yscale("log")
    _differences(axes["off"], runs)
    _lines(axes["line"], runs)
    picture = folder / "fit.png"
    replace(picture, lambda path: figure.savefig(path, dpi=130))
    return [picture]


def _readings(axes: Any, runs: Runs, name: str, published: np.ndarray) -> None:
    found = runs.of("adaptive") if "adaptive" in runs.arms else []
    for index, run in enumerate(found):
        label = f"ours, {len(found)} runs" if index == 0 else None
        axes.plot(run["step"], run[name], color=COLOURS["adaptive"], linewidth=0.8, alpha=0.6, label=label)
    axes.plot(LOG_STEPS, published, "o", color="black", markersize=4, markerfacecolor="none", label="published")
    axes.set_ylabel(LABELS[name])
    axes.grid(alpha=0.3)
    axes.tick_params(labelbottom=False)


def _differences(axes: Any, runs: Runs) -> None:
    """Of the losses: what is chaotic is too small to be seen otherwise."""
    if "adaptive" in runs.arms:
        steps = np.intersect1d(LOG_STEPS, runs.of("adaptive")[0]["step"])
        off = series("adaptive", "loss", runs, steps) - LOG[np.searchsorted(LOG_STEPS, steps), 0]
        axes.plot(steps, off.T, color=COLOURS["adaptive"], linewidth=0.8, alpha=0.6)
    axes.axhline(0, color="black", linewidth=1)
    axes.set(xlabel="step", ylabel="loss,\nours − published")
    axes.grid(alpha=0.3)


def _lines(axes: Any, runs: Runs) -> None:
    x, y, flipped = points()
    ends = np.array([0.0, 1.0])
    axes.plot(x[~flipped], y[~flipped], "o", color="grey", markersize=4, label="45 points")
    axes.plot(x[flipped], y[flipped], "x", color="tab:red", markersize=7, label="5 flipped points")
    axes.plot(ends, 0.7 * ends + 0.15, "--", color="black", linewidth=1, label="true line", zorder=3)
    for arm, colour in COLOURS.items():
        for index, run in enumerate(runs.of(arm) if arm in runs.arms else []):
            label = f"{arm}: {run['slope']:.3f} x + {run['intercept']:.3f}" if index == 0 else None
            axes.plot(ends, run["slope"] * ends + run["intercept"], color=colour, linewidth=1.2, label=label)
    axes.set(title="The fitted lines", xlabel="x", ylabel="y", ylim=(0, 1.3))
    axes.legend(loc="upper right")
    axes.grid(alpha=0.3)
