"""The pictures of a report, as the benchmark declares them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from benchmarks.console.results import replace
from benchmarks.harness.benchmark import AGAIN, Benchmark, Plot, Quantity
from benchmarks.harness.results import Case, Results, power

COLUMNS = 3
COLOURS = [plt.get_cmap("tab10")(number) for number in range(10)]
MARKERS = "os^Dv"


def draw(benchmark: Benchmark, results: Results, folder: Path) -> None:
    """Draws the plots whose axis varies and whose quantity is known, and the ratios."""
    quantities = {quantity.name: quantity for quantity in benchmark.quantities}
    shown = [arm for arm in results.arms if not arm.endswith(AGAIN) and arm not in benchmark.roofs]
    for plot in benchmark.plots:
        known = [results.quantity(quantities[plot.quantity], *of) for of in product(results.cases, shown)]
        if plot.against in results.varying and np.isfinite(known).any():
            name = f"{plot.quantity}-by-{plot.against}.png".replace("/", "-per-").replace(" ", "-")
            _save(_lines(plot, quantities[plot.quantity], results, shown), folder / name)
    arms = [arm for arm in shown if arm != benchmark.base]
    if results.times and arms:
        _save(_ratios(benchmark, results, arms), folder / "ratios.png")


def _save(figure: Any, path: Path) -> None:
    replace(path, lambda place: figure.savefig(place, dpi=120, bbox_inches="tight"))
    plt.close(figure)


def _grid(panels: int, width: float, height: float, **options: Any) -> tuple[Any, list[Axes]]:
    columns = min(COLUMNS, panels)
    rows = -(-panels // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False, **options)
    for unused in axes.flat[panels:]:
        unused.set_axis_off()
    return figure, list(axes.flat[:panels])


def _lines(plot: Plot, quantity: Quantity, results: Results, arms: list[str]) -> Any:
    """A panel for each combination of the other axes that vary."""
    panels: dict[Case, list[Case]] = {}
    for case in results.cases:
        others = tuple((name, value) for name, value in case if name in results.varying and name != plot.against)
        panels.setdefault(others, []).append(case)
    figure, axes = _grid(len(panels), 4.2, 3.2, sharey=True)
    for axis, cases in zip(axes, panels.values(), strict=True):
        places = [dict(case)[plot.against] for case in cases]
        for number, arm in enumerate(arms):
            values = [results.quantity(quantity, case, arm) for case in cases]
            if np.isfinite(values).any():
                style: dict[str, Any] = {
                    "color": COLOURS[number % 10],
                    "marker": MARKERS[number // 10 % 5],
                    "ms": 4,
                    "lw": 1.2,
                }
                axis.plot(places, values, label=arm, **style)
        if plot.roof:
            roof = [results.quantity(quantity, case, plot.roof) for case in cases]
            axis.plot(places, roof, "--", color="black", label=plot.roof)
        axis.set_xscale("log", base=2)
        axis.set_xticks(places, [power(place) for place in places], fontsize=7)
        if plot.log:
            _logarithmic(axis.yaxis)
        axis.set_title(results.label(cases[0], but=plot.against), fontsize=9)
        axis.set_xlabel(plot.against)
        axis.grid(alpha=0.3)
    for axis in axes[::COLUMNS]:
        axis.set_ylabel(quantity.name)
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.tight_layout()
    figure.legend(handles.values(), handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    return figure


def _logarithmic(axis: Any) -> None:
    """A logarithmic axis whose labels are numbers as people write them."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    if high < 1000 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}" if high < 5 * low else "")
    axis.set_tick_params(which="both", labelsize=8)


def _ratios(benchmark: Benchmark, results: Results, arms: list[str]) -> Any:
    """A panel for each case: the interval of each arm's ratio, over the band in which nothing can be claimed."""
    figure, axes = _grid(len(results.cases), 4.2, 0.24 * len(arms) + 1.3, sharey=True)
    for axis, case in zip(axes, results.cases, strict=True):
        noise = results.ratio(case, benchmark.base + AGAIN, benchmark.base)
        if noise is not None:
            axis.axvspan(min(noise.low, 1), max(noise.high, 1), color="tab:gray", alpha=0.3, lw=0)
        for row, arm in enumerate(arms):
            ratio = results.ratio(case, arm, benchmark.base)
            if ratio is None:
                continue
            colour = "tab:blue" if ratio.differs(noise) else "tab:gray"
            axis.plot([ratio.low, ratio.high], [row, row], color=colour, lw=3, solid_capstyle="butt")
            axis.plot(ratio.median, row, "o", color=colour, ms=4)
            published = benchmark.published.get(arm, {}).get(dict(case).get("losses", 0))
            if published is not None:
                axis.plot(published, row, "x", color="tab:red", ms=6)
        axis.axvline(1, color="black", lw=0.8)
        axis.set_xscale("log")
        low, high = axis.get_xlim()
        axis.set_xlim(min(low, 0.9), max(high, 1.1))
        _logarithmic(axis.xaxis)
        axis.set_title(results.label(case), fontsize=9)
        axis.set_yticks(range(len(arms)), arms, fontsize=8)
        axis.set_ylim(len(arms) - 0.5, -0.5)
        axis.grid(axis="y", alpha=0.3)
    crosses = ", cross: published" if benchmark.published else ""
    figure.supxlabel(f"time over that of: {benchmark.base} (dot: median, bar: 95 %, band: noise{crosses})", size=9)
    figure.tight_layout()
    return figure
