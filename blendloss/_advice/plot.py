"""The picture: the score of the residuals with the slopes, and the efficiencies as bars."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blendloss._advice.record import ComparisonRecord
from blendloss.console.results import replace

# Okabe and Ito's palette, for colour-blind readers. Line styles differ, too.
_COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#8A5A83", "#56B4E9")
_STYLES = ("-", "--", ":", "-.")
_BLEND, _GREY, _PALE = "#000000", "#777777", "#D9D9D9"


def plot(found: ComparisonRecord, path: str | PathLike[str]) -> None:
    """Draws the comparison into the file `path`."""
    figure = Figure(figsize=(12, 5.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(found.efficiencies)}
    _slopes(left, found, colours)
    _efficiencies(right, found, colours)
    replace(Path(path), lambda beside: figure.savefig(beside, dpi=120))


def _slopes(axes: Axes, found: ComparisonRecord, colours: dict[str, str]) -> None:
    score = found.score
    axes.fill_between(score.u, score.low, score.high, color=_PALE, lw=0, label=f"score, {100 * found.level:.4g}% band")
    axes.plot(score.u, score.score, color=_GREY, lw=1.5, label="score -p'/p of the residuals")
    for place, (name, slope) in enumerate(score.slopes.items()):
        axes.plot(score.u, slope, _STYLES[place % len(_STYLES)], color=colours[name], lw=1.2, label=name)
    axes.plot(score.u, score.blend, color=_BLEND, lw=2.5, label="best blend")
    top = 1.3 * max(1.0, np.nanmax(np.abs([score.score, score.blend]), initial=0))
    axes.set(xlim=(score.u[0], score.u[-1]), ylim=(-top, top))
    axes.set_xlabel(f"residual, in robust standard deviations ({found.scale:.3g}) from {found.location:.3g}", size=10)
    axes.set_ylabel("slope of the loss", size=10)
    axes.set_title("The score of the residuals, and the slopes nearest to it", loc="left", weight="bold", size=12)
    for label in axes.legend(
        frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4
    ).get_texts():
        label.set_parse_math(False)
    _plain(axes)


def _efficiencies(axes: Axes, found: ComparisonRecord, colours: dict[str, str]) -> None:
    ordered = sorted(found.efficiencies.items(), key=lambda item: -item[1].value)
    rows = [("best blend", found.blend), *ordered]
    for row, (name, one) in enumerate(rows):
        axes.barh(row, one.value, color=colours[name] if row else _GREY, height=0.62, alpha=0.75)
        axes.plot([one.low, one.high], [row, row], color=_BLEND, lw=2, solid_capstyle="butt")
        axes.annotate(
            f"{one.value:.3f}", (max(one.high, one.value), row), (5, 0), textcoords="offset points", va="center", size=9
        )
    axes.set(yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.6), xlim=(0, 1.12))
    for label in axes.set_yticklabels([name for name, _ in rows]):
        label.set_parse_math(False)
    axes.axvline(1, color=_GREY, lw=1, ls="--", zorder=0)
    axes.set_xlabel(f"V(best blend) / V(loss); lines: {100 * found.level:.4g}% intervals", size=10)
    axes.set_title(f"Efficiency, from {found.rows:,} residuals", loc="left", weight="bold", size=12)
    axes.tick_params(axis="y", length=0)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
