"""The standard deviations on their way, and the fits over the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs
from papers.kendall2018_uncertainty.data import TASKS, drawn
from papers.kendall2018_uncertainty.expected import KERAS, least_squares_of
from papers.kendall2018_uncertainty.run import GRID

COLOURS = {"first": "tab:orange", "second": "tab:blue"}


def plot(runs: Runs, folder: Path) -> list[Path]:
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    way, data = figure.subplots(1, 2)
    networks = runs.of("network") if "network" in runs.arms else []
    draw_way(way, networks)
    draw_fits(data, networks)
    picture = folder / "sigmas.png"
    replace(picture, lambda path: figure.savefig(path, dpi=130))
    return [picture]


def draw_way(axes: Any, networks: list[dict[str, Any]]) -> None:
    for task, colour in COLOURS.items():
        for seed, network in enumerate(networks):
            label = None if seed else f"{task} task, network (seeds: {len(networks)})"
            axes.plot(network["steps"], network["sigmas"][task], color=colour, linewidth=0.8, label=label)
    for task in TASKS:
        first = task == "first"
        axes.axhline(KERAS[task], color="black", linewidth=1, label="published (Keras)" if first else None)
        axes.axhline(TASKS[task][2], color="black", linewidth=1, linestyle=":", label="truth" if first else None)
        least = least_squares_of(task)[2]
        axes.axhline(least, color="grey", linewidth=1, linestyle="--", label="least squares line" if first else None)
    axes.set_yscale("log")
    axes.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    axes.set_yticks([], minor=True)
    axes.set(xlabel="step", ylabel="σ = exp(s / 2)", title="The standard deviations that the gate learns")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.09))


def draw_fits(axes: Any, networks: list[dict[str, Any]]) -> None:
    x, y = drawn(100)
    for task, colour in COLOURS.items():
        slope, start, sigma = TASKS[task]
        axes.plot(x, y[task], "o", color=colour, markersize=3, alpha=0.6, label=f"{task} task: noise of {sigma:g}")
        axes.plot(GRID, slope * GRID + start, ":", color="black", linewidth=1)
        if networks:
            fit, found = np.array(networks[0]["fits"][task]), networks[0]["sigmas"][task][-1]
            axes.plot(GRID, fit, color=colour, label=f"fit ± σ, σ = {found:.3g} (seed 0)")
            axes.fill_between(GRID, fit - found, fit + found, color=colour, alpha=0.15, linewidth=0)
    axes.plot([], [], ":", color="black", label="truth")
    axes.set(xlabel="x", ylabel="y", title="What the network fits to 100 data", ylim=(-27, 62))
    axes.legend(loc="upper left", ncols=2, fontsize="small")
