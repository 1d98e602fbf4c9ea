"""The solution and what the paper's two methods make of it; the weights and losses over the steps."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs
from papers.wang2021_pinn.problem import grid, solution


def plot(runs: Runs, folder: Path) -> list[Path]:
    figures = {"fields": _fields(runs), "weights": _weights(runs)}
    pictures = []
    for name, figure in figures.items():
        if figure is not None:
            pictures.append(folder / f"{name}.png")
            replace(pictures[-1], partial(figure.savefig, dpi=130))
    return pictures


def _fields(runs: Runs) -> Figure | None:
    """The solution; a prediction and its error for each arm that kept one, the errors each on a scale of its own."""
    firsts = {arm: runs.of(arm)[0] for arm in runs.arms}
    drawn = {arm: np.array(first["field"]) for arm, first in firsts.items() if "field" in first}
    if not drawn:
        return None
    size = math.isqrt(len(next(iter(drawn.values()))))
    exact = solution(grid(size)).numpy()[:, 0]
    figure = Figure(figsize=(10.5, 3.3 * len(drawn)), layout="constrained")
    axes = figure.subplot_mosaic([["solution", f"{arm}: u", f"{arm}: u − u*"] for arm in drawn])
    _field(figure, axes["solution"], exact, "solution u*")
    for arm, u in drawn.items():
        _field(figure, axes[f"{arm}: u"], u, f"{arm}: u")
        _field(figure, axes[f"{arm}: u − u*"], u - exact, f"u − u*; relative error {firsts[arm]['error']:.2g}")
    return figure


def _field(figure: Figure, axes: Axes, values: np.ndarray, title: str) -> None:
    size, most = math.isqrt(len(values)), np.abs(values).max()
    shown = axes.imshow(
        values.reshape(size, size).T,
        origin="lower",
        extent=(-1, 1, -1, 1),
        cmap="RdBu_r",
        vmin=-most,
        vmax=most,
        interpolation="bilinear",
    )
    axes.set(title=title, xlabel="x", ylabel="y", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    figure.colorbar(shown, ax=axes, fraction=0.046)


def _weights(runs: Runs) -> Figure | None:
    """λ, the boundary's weight over the residual's, and both losses: every run of the first size."""
    if not runs.arms:
        return None
    size = runs.arms[0].split()[0]
    figure = Figure(figsize=(11, 4), layout="constrained")
    weight, boundary, residual = figure.subplots(1, 3)
    for place, arm in enumerate(arm for arm in runs.arms if arm.startswith(f"{size} ")):
        for seed, run in enumerate(runs.of(arm)):
            look = {"color": f"C{place}", "linewidth": 1, "label": "_" if seed else arm.removeprefix(f"{size} ")}
            of_residual, of_boundary = _columns(run["weights"])
            shown = (of_boundary / of_residual, *_columns(run["losses"]))
            for axes, values in zip((weight, residual, boundary), shown, strict=True):
                axes.plot(run["steps"][:-1], values[:-1], **look)  # the last is of one step, not a mean
    for axes, title in ((weight, "λ: boundary's weight / residual's"), (boundary, "boundary"), (residual, "residual")):
        axes.set(yscale="log", xlabel="step", title=title)
    weight.set_ylabel("weight")
    for axes in (boundary, residual):
        axes.set_ylabel("loss, unweighted")
    handles, names = weight.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    every = runs.of(runs.arms[0])[0]["steps"][0]
    figure.suptitle(f"{size}, every run; each point is the mean over the {every} steps before it")
    return figure


def _columns(rows: list[list[float | None]]) -> np.ndarray:
    """The two columns, NaN where a number was none that is finite."""
    return np.array(rows, float).T
