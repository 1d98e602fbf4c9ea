"""The regret of every arm in every cell, mean ranks, and the tables of location and of the population."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from blendloss.console.results import replace
from papers._claim import Runs
from papers.blendloss2026_score_matching.config import EARLIER, LOCATION, MATCHING, POPULATION, SINGLES
from papers.blendloss2026_score_matching.expected import location_ratio
from papers.blendloss2026_score_matching.location import KNOWN, OWN
from papers.blendloss2026_score_matching.study import MAIN, large, of_switching, overfitted, skewed, symmetric
from papers.blendloss2026_switching.plot import TABLES, heat_map, ranks, saved
from papers.blendloss2026_switching.study import LEVEL, Study, interval, percent, study


def plot(runs: Runs, folder: Path) -> list[Path]:
    files: list[Path] = []
    if any(arm in SINGLES for arm in runs.arms):
        files += _pictures(runs, folder)
    for arm, lines in ((LOCATION, _location), (POPULATION, _population)):
        if arm in runs.arms:
            files.append(_written(lines, runs, folder / f"{arm}.md"))
    return files


def _pictures(runs: Runs, folder: Path) -> Iterator[Path]:
    """The gate next to what it must beat, without its variants, which would take ranks from each other; then all."""
    found = study(runs, [arm for arm in (*SINGLES, *EARLIER, MAIN) if arm in runs.arms])
    first = of_switching(found)
    more = [k for k in found.where() if k not in first]
    for name, cells in (("regret", first), ("regret-more", more)):
        if cells:
            yield saved(_heat_map(found, cells), folder / f"{name}.png")
    yield saved(ranks(found, _groups(found)), folder / "rank.png")
    yield saved(_means(runs), folder / "mean.png")


def _groups(found: Study) -> dict[str, list[int]]:
    groups = {
        "all cells": found.where(),
        "switching study's": of_switching(found),
        "symmetric noise": [k for k in symmetric(found) if found.cells[k][1] not in TABLES],
        "skewed noise": skewed(found),
        "tables": found.where(TABLES),
        "n = 50 or 100, 10 features": overfitted(found),
        "n from 1000": large(found),
    }
    return {name: cells for name, cells in groups.items() if cells}


def _means(runs: Runs) -> Figure:
    """The mean regret of each arm, on the seeds that it shares with the single losses."""
    singles = [arm for arm in SINGLES if arm in runs.arms]
    arms = [arm for arm in runs.arms if arm not in (LOCATION, POPULATION)]
    groups = _groups(study(runs, singles))
    figure = Figure(figsize=(2 + 1.9 * len(groups), 4.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(groups), sharey=True))
    for axes, (name, cells) in zip(panels, groups.items(), strict=True):
        for row, arm in enumerate(arms):
            regrets = study(runs, list(dict.fromkeys([*singles, arm]))).regret(arm)[cells].mean(0)
            colour = "#777777" if arm in singles else "#0072B2" if arm in MATCHING else "#E69F00"
            axes.plot([percent(end) for end in interval(regrets)], [row, row], color=colour, linewidth=2)
            axes.plot(percent(regrets.mean()), row, "o", color=colour, markersize=6)
        axes.set_title(f"{name} ({len(cells)})", size=9)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xticks([-5, 0, 5, 10, 100, 1000], ["-5", "0", "5", "10", "100", "1000"], size=8)
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
    panels[0].invert_yaxis()
    panels[0].set_yticks(range(len(arms)), arms)
    figure.supxlabel(f"mean regret in % (linear up to 10), with {100 * LEVEL:g} % bootstrap interval", size=10)
    return figure


def _heat_map(found: Study, cells: list[int]) -> Figure:
    return heat_map(Study(found.arms, [found.cells[k] for k in cells], found.logs[:, cells]))


def _written(lines: Callable[[Runs], Iterator[str]], runs: Runs, path: Path) -> Path:
    replace(path, lambda new: new.write_text("\n".join([*lines(runs), ""]), encoding="utf-8"))
    return path


def _location(runs: Runs) -> Iterator[str]:
    """Ratios of squared errors with their intervals, a row a size."""
    errors = runs.of(LOCATION)[0]["squared errors"]
    yield "# Location: squared error over that of the best single loss"
    yield f"\nIn hindsight, with {100 * LEVEL:g} % bootstrap intervals over groups of samples."
    for name, rivals in (("that knows the noise's scale", KNOWN), ("that estimates its scale, too", OWN)):
        laws = list(next(iter(errors.values())))
        yield f"\nOver the best single loss {name}:\n"
        yield f"| losses | n | {' | '.join(laws)} |"
        yield "|---|---|" + "---|" * len(laws)
        for losses in (MAIN, "convex"):
            for size in errors:
                row = [location_ratio(runs, size, law, losses, rivals) for law in laws]
                cells = " | ".join(f"{ratio:.3f} ({low:.3f} to {high:.3f})" for ratio, low, high in row)
                yield f"| {'all' if losses == MAIN else losses} | {size.removeprefix('n=')} | {cells} |"


def _population(runs: Runs) -> Iterator[str]:
    """Asymptotic variances over the blend's, a row a law."""
    laws = runs.of(POPULATION)[0]
    singles = list(next(iter(laws.values()))["singles"])
    yield "# Population: asymptotic variance over that of the blend of seven\n"
    yield "By quadrature. The thresholds are in units of c, 1.4826 times the median of |e|. `bound` is 1 / Fisher"
    yield "information, `convex` the blend of the six convex losses, `V` the blend's own variance.\n"
    yield f"| law | {' | '.join(singles)} | convex | bound | V | c |"
    yield "|---|" + "---|" * (len(singles) + 4)
    for law, values in laws.items():
        ratios = [*(values["singles"][name] for name in singles), values["convex"], values["bound"]]
        cells = ["-" if ratio > 1e4 else f"{ratio / values['blend']:.3f}" for ratio in ratios]
        yield f"| {law} | {' | '.join(cells)} | {values['blend']:.4f} | {values['scale']:.3f} |"
