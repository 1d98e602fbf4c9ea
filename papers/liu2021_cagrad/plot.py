"""The paths over the mean loss, one panel a method, one picture a scale."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from blendloss.console.results import replace
from papers._claim import Runs
from papers.liu2021_cagrad import late
from papers.liu2021_cagrad.config import LATE, PAPER
from papers.liu2021_cagrad.problem import front, losses

PICTURES = {"1": "scale-1.png", "0.1": "scale-0.1.png"}
TITLES = {"mean": "Adam on the mean loss", "CAGrad 0.5": "CAGrad, c = 0.5", "CAGrad 0.4": "CAGrad, c = 0.4"}
TITLES["CAGrad 10"] = "CAGrad, c = 10"
SETTINGS = {"1": "CAGrad's setting, both losses as they are", "0.1": "FAMO's setting, the first loss times 0.1"}
SAME = "CAGrad 0"  # as the mean
#: What `run.py` did before the reason was found.
BEFORE = {late.BASELINE: "as run before, not clipped"}
COLUMNS = 4
SIZE = 11.5
REACHED, SHORT, PARETO = "#ffffff", "#e8112d", "#7CFC98"


def _shades(name: str, low: float, high: float) -> ListedColormap:
    from matplotlib import colormaps

    return ListedColormap(colormaps[name](np.linspace(low, high, 256)))


def _landscape(scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    line = np.linspace(-SIZE, SIZE, 401)
    x1, x2 = np.meshgrid(line, line)
    first, second = losses(tf.constant(np.stack([x1, x2])), scale)
    return x1, x2, (first.numpy() + second.numpy()) / 2


def _path(axes: Axes, path: np.ndarray) -> None:
    """A line that brightens along its way."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    pieces = np.stack([path[:-1], path[1:]], axis=1)
    axes.plot(*path.T, color="black", linewidth=3.4, alpha=0.35, solid_capstyle="round", zorder=3)
    line = LineCollection(list(pieces), cmap=_shades("plasma", 0.35, 1.0), linewidth=2.1, capstyle="round", zorder=4)
    line.set_array(along[:-1])
    axes.add_collection(line)


def _minimum(scale: float, pareto: np.ndarray) -> tuple[float, float]:
    """Where the mean loss is least: at the minimum along x1 of the parabolas' sum, on the Pareto set."""
    x1 = -7 * (1 - scale) / (1 + scale)
    return x1, float(np.interp(x1, *pareto))


def _panel(axes: Axes, scale: float, landscape: tuple[np.ndarray, ...], result: dict[str, Any]) -> Any:
    x1, x2, mean, pareto = *landscape, front()
    shown = axes.contourf(x1, x2, mean, 40, cmap=_shades("bone", 0.12, 0.97), zorder=0)
    axes.contour(x1, x2, mean, 16, colors="white", linewidths=0.4, alpha=0.35, zorder=1)
    axes.plot(*pareto, color=PARETO, linewidth=6, alpha=0.9, solid_capstyle="round", zorder=2)
    for start, end, reached, text in zip(*(result[key] for key in ("starts", "ends", "reached", "paths")), strict=True):
        _path(axes, np.array(text.split(), float).reshape(-1, 2))
        axes.plot(*start, "o", color="black", markersize=5.5, markeredgecolor="white", markeredgewidth=1, zorder=5)
        mark: dict[str, Any] = {"marker": "o", "markersize": 6} if reached else {"marker": "X", "markersize": 10}
        color = REACHED if reached else SHORT
        axes.plot(*end, color=color, markeredgecolor="black" if reached else "white", zorder=6, **mark)
    axes.plot(*_minimum(scale, pareto), "*", color="#ffd700", markeredgecolor="black", markersize=19, zorder=5)
    axes.set(
        xlim=(-SIZE, SIZE), ylim=(-SIZE, SIZE), aspect="equal", xticks=[-10, -5, 0, 5, 10], yticks=[-10, -5, 0, 5, 10]
    )
    return shown


def _entries() -> list[Line2D]:
    plain: dict[str, Any] = {"linestyle": "none", "markeredgecolor": "black"}
    return [
        Line2D([], [], marker="o", color="black", markersize=6, linestyle="none", label="start"),
        Line2D([], [], marker="o", color=REACHED, markersize=8, label="end on the Pareto set", **plain),
        Line2D([], [], marker="X", color=SHORT, markersize=10, label="end elsewhere", **plain),
        Line2D([], [], color=PARETO, linewidth=6, label="Pareto set"),
        Line2D([], [], marker="*", color="#ffd700", markersize=14, label="minimum of the mean loss", **plain),
    ]


def _picture(runs: Runs, scale: str, methods: list[str]) -> Figure:
    rows, columns = -(-len(methods) // COLUMNS), min(COLUMNS, len(methods))
    figure = Figure(figsize=(3.5 * columns + 1.2, 3.6 * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    landscape = _landscape(float(scale))
    for number, (axes, method) in enumerate(zip(panels.flat, methods, strict=False)):
        [result] = runs.of(f"{scale}: {method}")
        shown = _panel(axes, float(scale), landscape, result)
        axes.set_title(f"{TITLES.get(method, method)}: {sum(result['reached'])} of {len(result['ends'])}")
        if number + columns >= len(methods):  # nothing below
            axes.set_xlabel("$x_1$")
            axes.tick_params(labelbottom=True)
        if number % columns == 0:
            axes.set_ylabel("$x_2$")
    spare = list(panels.flat[len(methods) :])
    for axes in spare:
        axes.set_axis_off()
    figure.colorbar(shown, ax=panels, label="mean loss", shrink=0.7, aspect=30, ticks=range(-20, 21, 5))
    figure.suptitle(f"{SETTINGS[scale]}: how many paths come to the Pareto set", fontsize=14)
    if spare:
        spare[0].legend(handles=_entries(), loc="center", frameon=False, fontsize=11, labelspacing=1.2)
    else:
        below: dict[str, Any] = {"loc": "outside lower center", "ncols": len(_entries()) if columns == COLUMNS else 1}
        figure.legend(handles=_entries(), frameon=False, fontsize=11, **below)
    return figure


def plot(runs: Runs, folder: Path) -> list[Path]:
    drawn = []
    for scale, name in PICTURES.items():
        methods = [arm.split(": ")[1] for arm in runs.arms if arm.split(": ")[0] == scale]
        methods = [method for method in methods if method != SAME]
        if methods:
            figure = _picture(runs, scale, methods)
            replace(folder / name, partial(figure.savefig, dpi=110))
            drawn.append(folder / name)
    methods = [arm.split(": ")[1] for arm in runs.arms if arm.startswith(f"{LATE}: ")]
    if methods:
        figure = _heights(runs, methods)
        replace(folder / "late.png", lambda path: figure.savefig(path, dpi=110))
        text = "\n".join([*_late_table(runs, methods), ""])
        replace(folder / "late.md", lambda path: path.write_text(text, encoding="utf-8"))
        drawn += [folder / "late.png", folder / "late.md"]
    return drawn


def _heights(runs: Runs, methods: list[str]) -> Figure:
    """x2 over the steps; in colours what arrives within the paper's number of them."""
    figure = Figure(figsize=(5.2 * len(methods) + 2.4, 4.2), layout="constrained")
    panels = figure.subplots(1, len(methods), squeeze=False, sharey=True)[0]
    looks: dict[str, str] = {late.BASELINE: "black"}
    for axes, method in zip(panels, methods, strict=True):
        [result] = runs.of(f"{LATE}: {method}")
        for name, one in result["candidates"].items():
            first = one["arrived"][0]
            if first is not None and first <= PAPER.short:
                looks.setdefault(name, f"C{len(looks) - 1}")
            shown = name in looks
            steps = late.LOOK * late.COURSE * np.arange(len(one["course"])) / 1000
            width = 2.2 if name == late.BASELINE else 1.4 if shown else 0.7
            label = BEFORE.get(name, name) if shown else "_"
            axes.plot(steps, one["course"], color=looks.get(name, "0.65"), linewidth=width, label=label)
        axes.axvline(PAPER.short / 1000, color="0.3", linestyle=":", linewidth=1)
        axes.set(title=method, xlabel="thousands of steps", xlim=(0, 120))
    panels[0].set_ylabel("$x_2$")
    found = {}
    for axes in panels:
        found.update({label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)})
    figure.legend(found.values(), found.keys(), loc="outside right center", frameon=False)
    figure.suptitle("scale 0.1 from (9, 9); grey: candidates that do not arrive within 50,000 steps")
    return figure


def _late_table(runs: Runs, methods: list[str]) -> Iterator[str]:
    """Where the path of each candidate is, and when it and those beside it arrive."""
    yield "# Scale 0.1 from (9, 9)\n"
    yield "x₂ of the path after some steps; in brackets the lowest and the highest of all starts, those within"
    yield f"{late.APART:g} of (9, 9) among them. *arrives*: the first step, of every {late.LOOK}, at which it is on"
    yield "the Pareto set."
    for method in methods:
        [result] = runs.of(f"{LATE}: {method}")
        marks = list(next(iter(result["candidates"].values()))["at"])
        yield f"\n## {method}\n"
        yield f"| candidate | {' | '.join(f'{int(mark):,}' for mark in marks)} | arrives | others arrive |"
        yield "|---|" + "---|" * (len(marks) + 2)
        for name, one in result["candidates"].items():
            cells = [_height(one, mark) for mark in marks]
            first, *others = one["arrived"]
            yield f"| {BEFORE.get(name, name)} | {' | '.join(cells)} | {_step(first)} | {_range(others)} |"


def _height(one: dict[str, Any], mark: str) -> str:
    if mark not in one["at"]:
        return ""
    low, high = one["lowest"][mark], one["highest"][mark]
    beside = "" if round(low, 2) == round(high, 2) else f" ({low:.2f} to {high:.2f})"
    return f"{one['at'][mark][1]:.2f}{beside}"


def _step(first: int | None) -> str:
    return "no" if first is None else f"{first:,}"


def _range(steps: list[int | None]) -> str:
    there = [step for step in steps if step is not None]
    if not there:
        return "none" if steps else ""
    number = "" if len(there) == len(steps) else f", {len(there)} of {len(steps)}"
    return f"{min(there):,} to {max(there):,}{number}"
