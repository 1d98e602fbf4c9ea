"""Every error beside the published mean; errors and lambdas over the steps; the table of the candidates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import gmean

from blendloss.console.results import replace
from papers._claim import Runs
from papers.blendloss2026_annealing.candidates import BASELINE, EQUAL
from papers.blendloss2026_annealing.expected import LEVEL, PUBLISHED, SAME, change, errors, last_weight, reaches

#: So many lines can all have a colour.
FEW = 6


def plot(runs: Runs, folder: Path) -> list[Path]:
    sizes = _sizes(runs)
    figures = {"errors": _errors(runs, sizes), "courses": _courses(runs, sizes)}
    made = []
    for name, figure in figures.items():
        made.append(folder / f"{name}.png")
        replace(made[-1], partial(figure.savefig, dpi=120))
    made.append(folder / "candidates.md")
    text = "\n".join([*_table(runs, sizes), ""])
    replace(made[-1], lambda path: path.write_text(text, encoding="utf-8"))
    return made


def _sizes(runs: Runs) -> dict[str, list[str]]:
    """The candidates of each size that were run, and the baseline."""
    found: dict[str, list[str]] = {}
    for arm in runs.arms:
        size, name = arm.split(" ", 1)
        found.setdefault(size, []).append(name)
    for size, names in found.items():
        if size in PUBLISHED and BASELINE not in names:
            names.insert(0, BASELINE)
    return found


def _errors(runs: Runs, sizes: dict[str, list[str]]) -> Figure:
    """A row of points for each candidate; the published mean as a line, its standard deviation as a band."""
    rows = max(map(len, sizes.values()))
    figure = Figure(figsize=(4.6 * len(sizes) + 1.5, 0.3 * rows + 1.8), layout="constrained")
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    for axes, (size, names) in zip(panels, sizes.items(), strict=True):
        if size in PUBLISHED:
            mean, deviation = PUBLISHED[size]
            axes.axvspan(mean - deviation, mean + deviation, color="0.9", zorder=0)
            axes.axvline(mean, color="0.35", linestyle="--", zorder=1, label="published mean and deviation")
        for row, name in enumerate(names):
            values = errors(runs, size, name)
            color = "C0" if name == BASELINE else "C1"
            axes.plot(values, np.full(len(values), row), "o", color=color, alpha=0.45, markersize=4)
            axes.plot(values.mean(), row, "|", color="black", markersize=12, markeredgewidth=2, zorder=4)
        axes.set(xscale="log", yticks=range(len(names)), yticklabels=names, xlabel="relative error", title=size)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="x", which="both", color="0.93")
        axes.set_axisbelow(True)
    if any(size in PUBLISHED for size in sizes):
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", frameon=False)
    figure.suptitle("every network (dots) and the mean (bar)", fontsize=11)
    return figure


def _courses(runs: Runs, sizes: dict[str, list[str]]) -> Figure:
    """Geometric means over networks: those that change the error in colours; of many candidates the others grey."""
    figure = Figure(figsize=(4.6 * len(sizes) + 2.5, 7), layout="constrained")
    panels = figure.subplots(2, len(sizes), squeeze=False, sharex=True)
    looks: dict[str, dict[str, object]] = {BASELINE: {"color": "black", "linewidth": 2, "zorder": 4}}
    for column, (size, names) in enumerate(sizes.items()):
        for name in (name for name in names if f"{size} {name}" in runs.arms):
            result = runs.of(f"{size} {name}")[0]
            clear = BASELINE in names and change(runs, size, name).kind != SAME
            moved = name != BASELINE and (clear or len(names) <= FEW)
            if moved and name not in looks:
                looks[name] = {"color": f"C{len(looks) - 1}", "linewidth": 1.5, "zorder": 3}
            plain = {"color": "0.7", "linewidth": 0.8, "zorder": 2}
            look = looks[name] if moved or name == BASELINE else plain
            label = {"label": name} if look is not plain else {}
            panels[0, column].plot(result["steps"], gmean(result["course"], axis=1), **look, **label)
            if name != EQUAL:
                panels[1, column].plot(result["steps"][:-1], gmean(result["lambda"], axis=1)[:-1], **look)
        panels[0, column].set_title(size)
        panels[1, column].set_xlabel("step")
    for row, name in enumerate(("relative error", "λ, mean since the last point")):
        panels[row, 0].set_ylabel(name)
        for axes in panels[row]:
            axes.set_yscale("log")
    found: dict[str, Any] = {}
    for axes in panels[0]:
        handles, labels = axes.get_legend_handles_labels()
        found.update({label: handle for handle, label in zip(handles, labels, strict=True) if label not in found})
    figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=4, frameon=False)
    more = "; grey: no clear difference" if max(map(len, sizes.values())) > FEW else ""
    figure.suptitle(f"geometric means over networks{more}")
    return figure


def _table(runs: Runs, sizes: dict[str, list[str]]) -> Iterator[str]:
    """A row a candidate."""
    yield "# Candidates\n"
    yield "Mean and standard deviation over networks; the change of the geometric mean against the baseline, with its"
    yield f"{100 * LEVEL:g} % interval; lambda's mean over the last full record. *reached*: the published mean is"
    yield "within two standard errors of both means, and two published deviations."
    for size, names in sizes.items():
        published = (
            f"; published: {PUBLISHED[size].mean:g} ± {PUBLISHED[size].deviation:g}" if size in PUBLISHED else ""
        )
        yield f"\n## {size}{published}\n"
        yield "| candidate | error | change | lambda at the end | reached |"
        yield "|---|---|---|---|---|"
        for name in names:
            values = errors(runs, size, name)
            spread = f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else ""
            moved = "" if name == BASELINE or BASELINE not in names else str(change(runs, size, name))
            weight = last_weight(runs, size, name)
            reached = "" if size not in PUBLISHED else "yes" if reaches(runs, size, name) else "no"
            yield f"| {name} | {values.mean():.3g}{spread} | {moved} | {weight:.3g} | {reached} |"
