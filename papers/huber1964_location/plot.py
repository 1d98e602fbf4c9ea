"""The variances against contamination, by one law and by the worst, and the table of all penalties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from blendloss.console.results import replace
from papers._claim import Runs
from papers.huber1964_location.config import PENALTIES
from papers.huber1964_location.expected import minimax_variance

#: What is drawn; the others lie between these.
DRAWN = {
    "SquaredError": ("mean (SquaredError)", "tab:gray"),
    "AbsoluteError": ("median (AbsoluteError, Quantile ½)", "tab:brown"),
    "EpsilonInsensitive": ("EpsilonInsensitive", "tab:olive"),
    "Huber": ("Huber", "tab:blue"),
    "Fair": ("Fair", "tab:cyan"),
    "Cauchy": ("Cauchy", "tab:orange"),
    "Tukey": ("Tukey", "tab:red"),
    "AdaptiveBarron": ("AdaptiveBarron", "tab:purple"),
}
SHOWN = (0.0, 0.01, 0.05, 0.1, 0.2)


def plot(runs: Runs, folder: Path) -> list[Path]:
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for arm, (name, colour) in DRAWN.items():
        if arm in runs.arms:
            _draw(left, right, runs.of(arm)[0], name, colour)
    if "minimax" in runs.arms:
        found = runs.of("minimax")[0]
        left.plot(found["curve"], found["bound"], "--", color="black", label="bound for any estimate (Cramér–Rao)")
        share = np.linspace(0, 0.3, 61)
        envelope = [minimax_variance(e) for e in share]
        style = {"color": "black", "linewidth": 5, "alpha": 0.3, "zorder": 0}
        right.plot(share, envelope, **style, label="Huber's minimax envelope, closed form")
        near = [(e, v) for e, v in zip(found["share"], found["variance"], strict=True) if e <= 0.3]
        right.plot(*np.transpose(near), "o", color="black", markersize=4, label="least worst variance found, over δ")
    left.set(ylim=(0.9, 2.6), title="Contaminated by N(0, 9); points: Monte Carlo, n = 200")
    right.set(ylim=(0.9, 4.2), title="Contaminated by the worst symmetric law")
    for axes in (left, right):
        axes.set(xlim=(-0.004, 0.304), xlabel="contamination ε", ylabel="n × variance of the location estimate")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("Location under contamination, σ known: every penalty with a threshold is 95 % efficient at ε = 0")
    picture, table = folder / "variances.png", folder / "penalties.md"
    replace(picture, lambda path: figure.savefig(path, dpi=130))
    replace(table, lambda path: path.write_text(_table(runs), encoding="utf-8"))
    return [picture, table]


def _draw(left: Axes, right: Axes, result: dict[str, Any], name: str, colour: str) -> None:
    left.plot(result["share"], result["variance"], color=colour, label=name)
    if "200" in result.get("simulated", {}):
        left.plot(result["drawn"], result["simulated"]["200"], "o", color=colour, markersize=4)
    if "worst" in result:
        right.plot(result["share"], np.array(result["worst"], float), color=colour)


def _table(runs: Runs) -> str:
    """Every penalty: its arguments, efficiency and variances."""
    heads = (
        "penalty", "arguments", "95 % constant", "efficiency", *(f"ε = {e:g}" for e in SHOWN),
        "n = 20, ε = 0.1", "n = 200, ε = 0.1", "worst, ε = 0.1",
    )  # fmt: skip
    lines = [
        "# Every penalty of the library",
        "",
        "n × variance of the location estimate with σ known, under (1 − ε) N(0, 1) + ε N(0, 9): by formula, then at",
        "ε = 0.1 by Monte Carlo, then the largest under ε = 0.1 of any symmetric contamination.",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
        *("| " + " | ".join([arm, *_cells(runs.of(arm)[0])]) + " |" for arm in PENALTIES if arm in runs.arms),
    ]
    if "minimax" in runs.arms:
        found = runs.of("minimax")[0]
        bounds = [_at(found["curve"], found["bound"], e) for e in SHOWN]
        worst = _number(minimax_variance(0.1))
        lines.append(f"| *least possible* | | | 1.0000 | {' | '.join(bounds)} | | | {worst} |")
    lines += [
        "",
        "Barron's shapes 1, 0, −2 and −∞ are PseudoHuber, Cauchy, GemanMcClure and Welsch. AdaptiveBarron fits its",
        "shape α and scale c to the law; those given are at ε = 0.1. EpsilonInsensitive is never 95 % efficient: its",
        "epsilon is the most efficient one.",
    ]
    return "\n".join(lines) + "\n"


def _cells(result: dict[str, Any]) -> list[str]:
    variances = [_at(result["share"], result["variance"], e) for e in SHOWN]
    if "alpha" in result:  # adaptive
        alpha, scale = (_at(result["share"], result[key], 0.1) for key in ("alpha", "scale"))
        efficiency = _number(1 / result["variance"][0])
        return [f"α = {alpha}, c = {scale}", "", efficiency, *variances, "", "", ""]
    given, tuned = dict(result["arguments"]), result["tuned"]
    constant = f"{tuned} = {given.pop(tuned):.5g}" if tuned else ""
    simulated = [_at(result["drawn"], result["simulated"].get(size, []), 0.1) for size in ("20", "200")]
    worst = _at(result["share"], result["worst"], 0.1) or "∞"
    arguments = ", ".join(f"{name} = {value:g}" for name, value in given.items())
    return [arguments, constant, _number(result["efficiency"]), *variances, *simulated, worst]


def _at(places: list[float], values: list[float | None], place: float) -> str:
    """The value at `place`, or nothing where there is none."""
    value = dict(zip(places, values, strict=False)).get(place)
    return "" if value is None or not np.isfinite(value) else _number(value)


def _number(value: float) -> str:
    return f"{value:.4f}"
