"""Stack loss: each method's residuals and weights, day by day. Engel: the lines of the quantiles over the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs
from papers.huber1981_regression.data import engel

MARKERS = {"OLS": "s", "Huber, proposal 2": "v", "Huber": "o", "bisquare": "D", "LAD": "x"}


def plot(runs: Runs, folder: Path) -> list[Path]:
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    left, lines = halves
    residuals, weights = left.subplots(2, 1, sharex=True, height_ratios=(2.6, 1))
    fits = {name: runs.of(f"stack loss: {name}")[0] for name in MARKERS if f"stack loss: {name}" in runs.arms}
    _residuals(residuals, fits)
    _weights(left, weights, fits)
    _quantiles(lines.subplots(), runs)
    picture = folder / "fits.png"
    replace(picture, lambda path: figure.savefig(path, dpi=130))
    return [picture]


def _residuals(axes: Any, fits: dict[str, Any]) -> None:
    for (name, fit), shift in zip(fits.items(), np.linspace(-0.24, 0.24, len(fits)), strict=True):
        days = np.arange(1, len(fit["residuals"]) + 1)
        axes.plot(days + shift, -np.array(fit["residuals"]), MARKERS[name], markersize=4.5, label=name)
    axes.axhline(0, color="black", linewidth=0.8, zorder=0)
    axes.set(title="Stack loss: what each method leaves", ylabel="loss − fit, in 0.1 % of the ammonia")
    axes.legend(loc="lower left", ncols=2)


def _weights(figure: Any, axes: Any, fits: dict[str, Any]) -> None:
    shown = {name: fit["weights"] for name, fit in fits.items() if "weights" in fit and name != "OLS"}
    axes.set(xlabel="day", xticks=range(1, 22, 2), yticks=range(len(shown)), yticklabels=list(shown))
    if not shown:
        return
    image = axes.imshow(list(shown.values()), cmap="Greys_r", vmin=0, vmax=1, aspect="auto", extent=_cells(len(shown)))
    figure.colorbar(image, ax=axes, label="weight ψ(u) / u", ticks=(0, 0.5, 1))


def _cells(rows: int) -> tuple[float, float, float, float]:
    return 0.5, 21.5, rows - 0.5, -0.5


def _quantiles(axes: Any, runs: Runs) -> None:
    x, y = engel()
    axes.plot(x[:, 0], y, ".", color="dimgrey", markersize=4.5, zorder=3)
    ends = np.array([[x[:, 0].min(), 1.0], [5100.0, 1.0]])
    fits = {arm.removeprefix("Engel: "): runs.of(arm)[0] for arm in runs.arms if arm.startswith("Engel: ")}
    for name, fit in sorted(fits.items(), reverse=True):
        style = {"color": "black", "linestyle": "--"} if name == "OLS" else {"color": _colour(name)}
        axes.plot(ends[:, 0], ends @ np.array(fit["coefficients"]), label=name, **style)
    axes.set(xlim=(200, 5100), ylim=(150, 2500), xlabel="income, in francs", ylabel="spent on food, in francs")
    axes.set_title("Engel: what households spend on food, by quantile")
    axes.legend(loc="lower right")


def _colour(name: str) -> Any:
    return colormaps["viridis"](float(name.removeprefix("q = ")))
