"""The report: a table of ratios and a picture, from the samples."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ratios import Ratio, paired

#: Published step times relative to a plain sum, by K (figure of arXiv 2502.08585), for the same methods in torch.
PUBLISHED = {
    "FAMO": {2: 1.18, 3: 1.19, 11: 1.13, 40: 1.07},
    "CAGrad": {2: 1.61, 3: 2.09, 11: 3.33, 40: 3.45},
    "PCGrad": {2: 1.50, 3: 2.23, 11: 3.96, 40: 8.70},
    "MGDA": {2: 2.05, 3: 2.32, 11: 6.76, 40: 5.28},
    "NashMTL": {2: 2.07, 3: 2.34, 11: 6.58, 40: 12.49},
}
BASE = "plain sum"


def ratios(records: list[dict[str, Any]]) -> dict[str, dict[int, Ratio]]:
    """For each arm and K, its time over the plain sum's in the same block of the same process."""
    times: dict[tuple[int, int, int], dict[str, float]] = defaultdict(dict)
    for record in records:
        for sample in record["samples"]:
            if sample[0] == "time":
                times[record["k"], record["process"], sample[2]][sample[1]] = sample[3]
    pairs: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for (k, _, _), block in times.items():
        for arm, seconds in block.items():
            if arm != BASE and BASE in block:
                pairs[arm][k].append((seconds, block[BASE]))
    return {arm: {k: paired(*np.transpose(p)) for k, p in of_k.items()} for arm, of_k in pairs.items()}


def write(folder: Path) -> str:
    """Writes `report.md` and `ratios.png` into `folder`; gives the report."""
    records = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    found = ratios(records)
    losses = sorted({record["k"] for record in records})
    order = sorted(found, key=lambda arm: np.mean([ratio.median for ratio in found[arm].values()]))
    first = records[0]
    how = "XLA" if first["compiled"] else "graph"
    base = {k: 1000 * float(np.median(_times(records, k))) for k in losses}
    lines = [
        "# A training step with each gate, over Keras's plain sum of the same losses",
        "",
        f"{first['device']}; TensorFlow {first['versions']['tensorflow']}, Keras {first['versions']['keras']}, {how}; "
        f"batch {first['batch']}, a trunk of three layers of 256 and K outputs, Adam; commit {first['commit']}.",
        "Median of paired ratios and its 95 % interval; load before the runs at most "
        f"{max(record['load'] for record in records):.1f}. In brackets after some: published, the same method in torch on a GPU.",
        "The plain sum takes " + ", ".join(f"{base[k]:.1f} ms at K = {k}" for k in losses) + ".",
        "",
        "| | " + " | ".join(f"K = {k}" for k in losses) + " |",
        "|---|" + "---|" * len(losses),
    ]
    for arm in order:
        cells = []
        for k in losses:
            cell = str(found[arm][k]) if k in found[arm] else "failed"
            published = PUBLISHED.get(arm, {}).get(k)
            cells.append(cell if published is None else f"{cell} ({published:.2f})")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    for record in records:
        lines += [f"\n{s[1]} failed at K = {record['k']}: {s[2]}" for s in record["samples"] if s[0] == "failed"]
    text = "\n".join(lines) + "\n"
    (folder / "report.md").write_text(text)
    draw(folder / "ratios.png", found, order, losses)
    return text


def _times(records: list[dict[str, Any]], k: int) -> list[float]:
    return [s[3] for r in records if r["k"] == k for s in r["samples"] if s[0] == "time" and s[1] == BASE]


def draw(path: Path, found: dict[str, dict[int, Ratio]], order: list[str], losses: list[int]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(losses), figsize=(3 * len(losses) + 2, 0.28 * len(order) + 1.5), sharey=True)
    for axis, k in zip(np.atleast_1d(axes), losses, strict=True):
        for row, arm in enumerate(order):
            if k not in found[arm]:
                continue
            ratio = found[arm][k]
            axis.plot([ratio.low, ratio.high], [row, row], color="tab:blue", lw=3, solid_capstyle="butt")
            axis.plot(ratio.median, row, "o", color="tab:blue", ms=4)
            published = PUBLISHED.get(arm, {}).get(k)
            if published is not None:
                axis.plot(published, row, "x", color="tab:red", ms=6)
        axis.axvline(1, color="grey", lw=1)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
        axis.tick_params(axis="x", which="both", labelsize=7)
        axis.set_title(f"K = {k}")
        axis.grid(axis="y", alpha=0.3)
    np.atleast_1d(axes)[0].set_yticks(range(len(order)), order)
    figure.supxlabel(
        "time of a training step over the plain sum's (dot: median, bar: 95 %, cross: published, torch)", size=9
    )
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
