"""The report of a run: Markdown tables and plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.console.results import readable, replace
from benchmarks.harness.benchmark import AGAIN, Benchmark, load
from benchmarks.harness.results import Case, Results, gather, power
from benchmarks.harness.statistics import spread
from benchmarks.harness.store import SAMPLES, read


def write(folder: Path) -> str:
    """Writes `report.md` and the plots beside the samples in `folder`; gives the report."""
    path = folder if folder.is_file() else folder / SAMPLES
    records = read(path)
    benchmark = load(records[0]["benchmark"])
    with readable(path):
        _check_cases(benchmark, records)
        results = gather(benchmark, records)
        text = _text(benchmark, records, results)
    replace(path.parent / "report.md", lambda place: place.write_text(text, encoding="utf-8"))
    from benchmarks.harness import plots

    with readable(path):
        plots.draw(benchmark, results, path.parent)
    return text


def _check_cases(benchmark: Benchmark, records: list[dict[str, Any]]) -> None:
    axes = {axis.name: axis for axis in benchmark.axes}
    for record in records:
        for name, value in record["case"].items():
            if name not in axes or type(value) is not type(axes[name].values[0]):
                raise ValueError(f"{benchmark.name} has no {name} {value!r}")


def _text(benchmark: Benchmark, records: list[dict[str, Any]], results: Results) -> str:
    lines = [f"# {benchmark.name}: {benchmark.about}", "", *_conditions(records, results), ""]
    for quantity in benchmark.quantities:
        cells = {
            (arm, case): quantity.format.format(value)
            for arm in results.arms
            for case in results.cases
            if not np.isnan(value := results.quantity(quantity, case, arm))
        }
        if cells:
            lines += [f"## {quantity.name}", "", *_table(benchmark, results, cells), ""]
    ratios = dict(_ratios(benchmark, results))
    if ratios:
        lines += [
            f"## Time over that of: {benchmark.base}",
            "",
            "Median of paired ratios [95 % bootstrap interval]; `=` where it is no more than what the base differs "
            "from itself (last row), so that nothing can be claimed.",
            *([f"In brackets after some: published, {benchmark.source}."] if benchmark.published else []),
            "",
            *_table(benchmark, results, ratios),
            "",
        ]
    if benchmark.conclusions:
        lines += benchmark.conclusions(results)
    lines += _failures(results)
    if results.times:
        lines += ["<details><summary>All times of a call, ms</summary>", "", *_times(results), "", "</details>"]
    return "\n".join(lines).rstrip() + "\n"


def _conditions(records: list[dict[str, Any]], results: Results) -> Iterator[str]:
    first = records[0]
    if fixed := [f"{name} {power(value)}" for name, value in results.cases[0] if name not in results.varying]:
        yield "- " + ", ".join(fixed)
    versions: dict[str, str] = {}
    devices = []
    for about in first["workers"].values():
        versions |= about["versions"]
        devices += [about["device"]] if about["device"] else []
    flags = {name: value for name, value in first["flags"].items() if value}
    processes = {record["process"] for record in records}
    cores = f"{first['processor']} ({first['usable cores']} usable)"
    yield f"- {cores}, {first['platform']}; arms on: {', '.join(dict.fromkeys(devices))}"
    yield "- " + ", ".join(f"{name} {version}" for name, version in versions.items()) + f"; commit {first['commit']}"
    yield "- " + (", ".join(f"{name}={value}" for name, value in flags.items()) or "no XLA or thread flags")
    yield (
        f"- {len(processes)} fresh processes a case, {first['settings']['blocks']} blocks of "
        f"{first['settings']['milliseconds']} ms; load before a process {_range([one['load'] for one in records])}"
    )


def _range(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


def _table(benchmark: Benchmark, results: Results, cells: dict[tuple[str, Case], str]) -> Iterator[str]:
    """A row for each arm that has a cell, a column for each value of one axis; the others one after another."""
    drawn = [plot.against for plot in benchmark.plots if plot.against in results.varying]
    across = (drawn or results.varying or [""])[0]
    columns = list(dict.fromkeys(dict(case).get(across) for case in results.cases))
    groups: dict[str, dict[Any, Case]] = {}
    for case in results.cases:
        groups.setdefault(results.label(case, but=across), {})[dict(case).get(across)] = case
    yield f"| {across} | " + " | ".join("" if value is None else power(value) for value in columns) + " |"
    yield "|---|" + "---|" * len(columns)
    for name, group in groups.items():
        if name:
            yield f"| **{name}** |" + " |" * len(columns)
        for arm in results.arms:
            row = [cells.get((arm, group[value]), "") if value in group else "" for value in columns]
            if any(row):
                yield f"| {arm} | " + " | ".join(row) + " |"


def _ratios(benchmark: Benchmark, results: Results) -> Iterator[tuple[tuple[str, Case], str]]:
    for case in results.cases:
        noise = results.ratio(case, benchmark.base + AGAIN, benchmark.base)
        for arm in results.arms:
            ratio = results.ratio(case, arm, benchmark.base)
            if ratio is None or arm in (benchmark.base, *benchmark.roofs):
                continue
            published = benchmark.published.get(arm, {}).get(dict(case).get("losses", 0))
            cell = str(ratio) if ratio.differs(noise) or arm.endswith(AGAIN) else f"{ratio} ="
            yield (arm, case), cell if published is None else f"{cell} ({published:.2f})"


def _failures(results: Results) -> list[str]:
    if not results.failures:
        return []
    rows = [
        f"- {arm} ({', '.join(f'{name} {value}' for name, value in case)}; process {process}): {error}"
        for case, process, arm, error in results.failures
    ]
    return ["## Failed", "", *rows, ""]


def _times(results: Results) -> Iterator[str]:
    yield "| case | arm | samples | least | p20 | p50 | p80 |"
    yield "|---|---|---|---|---|---|---|"
    for (case, arm), by_block in results.times.items():
        times = 1e3 * np.array(list(by_block.values()))
        row = " | ".join(f"{value:.4g}" for value in spread(times))
        yield f"| {results.label(case)} | {arm} | {len(times)} | {row} |"
