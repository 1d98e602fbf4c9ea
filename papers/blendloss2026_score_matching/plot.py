"""The regret of every arm in every cell, mean ranks, and the tables of location and of the population."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from matplotlib.figure import Figure

from blendloss._cli._results import replace
from papers._claim import Runs
from papers.blendloss2026_score_matching.config import LOCATION, POPULATION
from papers.blendloss2026_score_matching.expected import location_ratio
from papers.blendloss2026_score_matching.location import KNOWN, OWN
from papers.blendloss2026_score_matching.study import MAIN, of_switching, skewed, symmetric
from papers.blendloss2026_switching.plot import TABLES, heat_map, ranks, saved
from papers.blendloss2026_switching.study import LEVEL, Study, study


def plot(runs: Runs, folder: Path) -> list[Path]:
    files = []
    trained = [arm for arm in runs.arms if arm not in (LOCATION, POPULATION)]
    if any(arm.endswith(" alone") for arm in trained):
        files += _pictures(study(runs, trained), folder)
    for arm, lines in ((LOCATION, _location), (POPULATION, _population)):
        if arm in runs.arms:
            files.append(_written(lines, runs, folder / f"{arm}.md"))
    return files


def _pictures(found: Study, folder: Path) -> Iterator[Path]:
    first = of_switching(found)
    more = [k for k in found.where() if k not in first]
    for name, cells in (("regret", first), ("regret-more", more)):
        if cells:
            yield saved(_heat_map(found, cells), folder / f"{name}.png")
    groups = {
        "all cells": found.where(),
        "switching study's": first,
        "symmetric noise": [k for k in symmetric(found) if found.cells[k][1] not in TABLES],
        "skewed noise": skewed(found),
        "tables": found.where(TABLES),
    }
    yield saved(ranks(found, {name: cells for name, cells in groups.items() if cells}), folder / "rank.png")


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
