"""What the demo prints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from blendloss._command.demo.arms import MATCHED
from blendloss._command.demo.records import PICTURE, RECORD
from blendloss._command.demo.summary import METRICS
from blendloss.console.numbers import significant
from blendloss.console.screen import say

# From this width on, an error and its spread fit on one line.
_WIDE = 105


def introduce(console: Console, record: dict[str, Any], seeds: int) -> None:
    """Prints what will be done."""
    data, settings = record["data"], record["settings"]
    unit = data["unit"]
    console.print("[bold]One network, eight ways of blending MSE and Huber, and six losses under score matching[/bold]")
    said = (
        data["story"],
        f"The target is scaled for training by the median ({data['centre']:g}) and {data['scale']:.4g}, the robust "
        f"standard deviation; Huber's delta is 1 of these, {data['scale']:.4g} {unit}. Errors are in {unit}.",
        f"{len(record['arms'])} arms x {seeds} seed{'s' * (seeds > 1)}; epochs: {settings['epochs']}, of "
        f"{settings['steps_per_epoch']} steps each. All arms of a seed have the same first weights and batches.",
    )
    for text in said:
        say(console, text)
    console.print()


def results(console: Console, record: dict[str, Any]) -> None:
    """Prints the table of all arms, and what its columns mean."""
    runs, summary, baseline = record["runs"], record["summary"], record["baseline"]
    unit = record["data"]["unit"]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    between = " " if console.width >= _WIDE else "\n"
    table.add_column("arm", no_wrap=True)
    for label in (*METRICS.values(), "mse / huber", "seconds", "traces"):
        table.add_column(label, justify="right", no_wrap=True)
    best = {metric: min(errors[metric]["mean"] for errors in summary.values()) for metric in METRICS}
    for arm, errors in summary.items():
        of_arm = [run for run in runs if run["arm"] == arm]
        cells = [_error(errors[metric], best[metric], between) for metric in METRICS]
        two = arm != MATCHED
        weights = " / ".join(f"{_mean(of_arm, 'weights', name):.2f}" for name in ("mse", "huber")) if two else "-"
        seconds = sum(run["seconds"] for run in of_arm) / len(of_arm)
        table.add_row(arm, *cells, weights, f"{seconds:.1f}", str(max(run["traces"] for run in of_arm)))
    table.add_section()
    table.add_row("always median", *(f"{significant(baseline[metric])} " for metric in METRICS), *"---", style="dim")
    console.print(f"\n[bold]Test errors in {escape(unit)}[/bold] (* best of the column)")
    console.print(table)
    spread = "; +- is the standard deviation over seeds" if len({run["seed"] for run in runs}) > 1 else ""
    say(
        console,
        "MAE, MedAE: mean and median absolute error. mse / huber: the weights in the last step; those of score "
        "matching, which has six losses, are named below. traces: how often the training step was traced; 1 means that "
        "no change of the blend recompiled anything. always median: the errors of predicting the training "
        f"median{spread}.",
    )
    console.print()


def conclude(console: Console, record: dict[str, Any], folder: Path) -> None:
    """Prints the findings, the places of the files, and what to try next."""
    for finding in record["findings"]:
        say(console, finding, "- ")
    console.print(
        f"\n[bold]{escape(str(folder / PICTURE))}[/bold]  each arm's weights over the steps, and the errors",
        soft_wrap=True,
    )
    console.print(
        f"[bold]{escape(str(folder / RECORD))}[/bold]  everything: settings, histories, trajectories, versions",
        soft_wrap=True,
    )
    seeds = len({run["seed"] for run in record["runs"]})
    console.print("Next:", style="bold")
    if seeds < 5:
        console.print(f"  blendloss demo --resume {folder} --seeds 5", markup=False, soft_wrap=True)
    if record["settings"]["data"] is None:
        console.print("  blendloss demo --data FILE.csv --target COLUMN    the same on your own table", markup=False)


def _error(error: dict[str, float], best: float, between: str) -> str:
    spread = "" if math.isnan(error["std"]) else f"{between}+- {error['std']:.2g}"
    text = f"{significant(error['mean'])}{spread}"
    return f"[bold]{text}*[/bold]" if error["mean"] == best else f"{text} "


def _mean(runs: list[dict[str, Any]], group: str, name: str) -> float:
    return sum(run[group][name] for run in runs) / len(runs)
