"""The paths over the contours of the validation loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs


def plot(runs: Runs, folder: Path) -> list[Path]:
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    axes = figure.subplots()
    alpha, w = np.meshgrid(np.linspace(0.4, 3.6, 200), np.linspace(-2.4, 3.2, 200))
    contours = axes.contourf(alpha, w, alpha * w - 2 * alpha + 1, 20, cmap="Greys_r", alpha=0.6)
    figure.colorbar(contours, label="validation loss")
    for arm in runs.arms:
        path = np.array(runs.of(arm)[0]["path"])
        axes.plot(*path.T, label=arm.replace("xi", "ξ"))
        axes.plot(*path[-1], "o", color=axes.lines[-1].get_color())
    axes.plot(1, 1, "*", color="black", markersize=14, label="bilevel optimum", zorder=0)
    axes.plot([0.4, 3.2], [0.4, 3.2], ":", color="black", linewidth=1, label="w = α: training optimum")
    axes.set(xlabel="α, the gate", ylabel="w, the weight", title="DARTS's toy: where each virtual step ξ ends")
    figure.legend(loc="outside lower center", ncols=3)
    picture = folder / "paths.png"
    replace(picture, lambda path: figure.savefig(path, dpi=130))
    return [picture]
