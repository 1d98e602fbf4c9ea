"""Where each method ends on the front."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs
from papers.lin2019_concave_front.config import PAPER
from papers.lin2019_concave_front.front import TURN, on_front, preferences

ABOUT = {
    "linear": "Fixed: only the two ends",
    "MGDA": "MGDA: a few in the middle",
    "Tchebycheff": "Tchebycheff: by preference",
    "smooth Tchebycheff": "SmoothTchebycheff: by preference",
}


def plot(runs: Runs, folder: Path) -> list[Path]:
    figure = Figure(figsize=(13, 4.1), layout="constrained")
    panels = figure.subplots(1, len(ABOUT), sharex=True, sharey=True)
    for axes, (arm, about) in zip(panels, ABOUT.items(), strict=True):
        axes.plot(*on_front(np.linspace(-1, 1, 400)).T, color="silver", linewidth=5, label="front", zorder=1)
        axes.plot([], [], ":", color="tab:blue", label="preferences")
        axes.plot(*on_front(np.linspace(-TURN, TURN, 200)).T, color="grey", label="its concave part", zorder=2)
        if arm in runs.arms:
            # The authors' number of steps, where that is the authors' method; else where descent ends.
            when = "short" if arm in ("linear", "MGDA") else "end"
            ends = np.array([result[when]["losses"] for result in runs.of(arm)]).reshape(-1, 2)
            style = {"color": "tab:orange", "markersize": 6, "alpha": 0.6, "clip_on": False, "zorder": 3}
            axes.plot(*ends.T, "o", **style, label="where descent ends, all starts")
        if "Tchebycheff" in arm:
            for direction in preferences(PAPER.solutions):
                axes.plot(*np.outer(direction, [0, 1.4]), ":", color="tab:blue", linewidth=0.9, zorder=0)
        axes.set(xlabel="first loss", title=about, xlim=(-0.03, 1.05), ylim=(-0.03, 1.05), aspect="equal")
    panels[0].set_ylabel("second loss")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    picture = folder / "front.png"
    replace(picture, lambda path: figure.savefig(path, dpi=130))
    return [picture]
