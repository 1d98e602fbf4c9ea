"""The expected loss over the steps, a panel for each power."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs
from papers.liu2023_reinmax.config import ESTIMATORS, PAPER, named, parts
from papers.liu2023_reinmax.expected import optimum, straight_through, uniform

NAMES = {
    "exact": "exact gradient",
    "ST": "straight-through",
    "Gumbel ST": "Gumbel straight-through",
    "argmax ST": "straight-through, argmax for the sample",
}
#: The closed forms: name, loss, style of the line.
REFERENCES = (
    ("start: equal probabilities", uniform, "-."),
    ("where straight-through rests (closed form)", straight_through, "--"),
    ("optimum", optimum, ":"),
)


def plot(runs: Runs, folder: Path) -> list[Path]:
    powers = sorted({parts(arm)[0] for arm in runs.arms})
    if not powers:
        return []
    figure = Figure(figsize=(4.5 * max(len(powers), 2), 5), layout="constrained")
    panels = figure.subplots(1, len(powers), squeeze=False)[0]
    for axes, p in zip(panels, powers, strict=True):
        _panel(axes, runs, p)
    panels[0].set_ylabel(f"expected loss, $\\mathrm{{E}}\\,|z - {PAPER.center}|^p$, mean over the latents")
    handles = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    columns = 2 if len(powers) < 3 else 3
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns, frameon=False)
    figure.suptitle("Polynomial programming over binary latents: where each estimator's descent ends")
    picture = folder / "losses.png"
    replace(picture, lambda path: figure.savefig(path, dpi=130))
    return [picture]


def _panel(axes: Axes, runs: Runs, p: float) -> None:
    """The mean over the seeds, in the band of all of them."""
    for index, estimator in enumerate(ESTIMATORS):
        if named(p, estimator) in runs.arms:
            results = runs.of(named(p, estimator))
            curves = np.array([result["expected losses"] for result in results])
            steps = np.linspace(0, results[0]["steps"], curves.shape[1])
            axes.plot(steps, curves.mean(0), color=f"C{index}", linewidth=2.4, label=NAMES.get(estimator, estimator))
            axes.fill_between(steps, curves.min(0), curves.max(0), color=f"C{index}", alpha=0.25, linewidth=0)
    for name, value, style in REFERENCES:
        axes.axhline(value(p, PAPER.center), linestyle=style, color="black", linewidth=0.9, label=name, zorder=3)
    axes.set(xlabel="step", title=f"p = {p:g}")
