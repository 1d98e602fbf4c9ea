"""What the study prints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from blendloss._command.noise.records import RESULTS
from blendloss._command.noise.settings import Settings
from blendloss._command.noise.summary import true_beyond
from blendloss._command.noise.training import LIMIT
from blendloss.console.numbers import significant
from blendloss.console.screen import say


def introduce(console: Console, settings: Settings, arms: int) -> None:
    """Prints what will be done."""
    console.print("[bold]Which noise does each gate find?[/bold]")
    say(
        console,
        f"Friedman's first function of 10 features, plus normal noise of scale 1, {settings.share:.3g} of it "
        f"{settings.width:.3g} times as broad. One network (2 x {settings.hidden} units), {settings.train:,} examples, "
        f"{settings.epochs} epochs; tested by its distance to the function itself. All arms train on the same "
        f"examples; the held-out gate alone also sees {settings.held_out:,} more, as noisy. {arms} arms x "
        f"{settings.seeds} seed{'s' * (settings.seeds > 1)}.",
    )
    console.print()


def results(console: Console, record: dict[str, Any]) -> None:
    """Prints the table of all arms, and what its columns mean."""
    settings, summary, runs = Settings(**record["settings"]), record["summary"], record["runs"]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("arm", no_wrap=True)
    table.add_column("test RMSE", justify="right", no_wrap=True)
    table.add_column("weights (scales)")
    table.add_column(f"|r| > {LIMIT:g}", justify="right", no_wrap=True)
    table.add_column("nats off", justify="right", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    best = min(found["rmse"]["mean"] for found in summary.values())
    for arm, found in summary.items():
        seconds = [run["seconds"] for run in runs if run["arm"] == arm]
        table.add_row(
            arm,
            _error(found["rmse"], best),
            ended_with(found),
            "-" if found["beyond"] is None else f"{found['beyond']:.1%}",
            "-" if found["divergence"] is None else f"{found['divergence']:.3f}",
            f"{sum(seconds) / len(seconds):.1f}",
        )
    table.add_section()
    beyond = f"{true_beyond(settings.noise):.1%}"
    table.add_row("the truth", "0 ", truth(settings), beyond, "0.000", "-", style="dim")
    console.print(table)
    spread = " +- is the standard deviation over seeds." if settings.seeds > 1 else ""
    say(
        console,
        f"Test RMSE: distance to the true function, * the smallest.{spread} Weights (scales): final, means over seeds, "
        "without small ones; those of the exponential family and of score matching have one scale. "
        f"|r| > {LIMIT:g}: the share of the found law beyond {LIMIT:g}. Nats off: divergence from the "
        "true law to it; the squared error implies a normal law. -: no law.",
    )
    console.print()


def ended_with(found: dict[str, Any]) -> str:
    """The weights in words, the largest first without small ones, and the scales."""
    weights, scales = found["weights"], found["scales"]
    if len(weights) == 1:
        return next(iter(weights))
    largest = max(weights.values())
    places = [k for k, weight in enumerate(weights.values()) if weight >= 0.02 * largest]
    named = list(weights.items())
    said = []
    for k in sorted(places, key=lambda k: -named[k][1]):
        name, weight = named[k]
        said.append(f"{weight:.2f} {name}" + (f" ({scales[k]:.2f})" if isinstance(scales, list) else ""))
    scale = f" ({scales:.2f})" if isinstance(scales, float) else ""
    return ", ".join(said) + scale


def truth(settings: Settings) -> str:
    """The true noise, in the form of the mixture's result."""
    if settings.share == 0:
        return "1.00 narrow (1.00)"
    return f"{1 - settings.share:.2f} narrow (1.00), {settings.share:.2f} broad ({settings.width:.2f})"


def conclude(console: Console, record: dict[str, Any], folder: Path) -> None:
    """Prints the findings, the places of the files, and what to try next."""
    for finding in record["findings"]:
        say(console, finding, "- ")
    for name, what in (
        (RESULTS.picture, "the laws, the weights over training, and the errors"),
        (RESULTS.record, "everything: settings, trajectories, densities, versions"),
    ):
        console.print(f"[bold]{escape(str(folder / name))}[/bold]  {what}", soft_wrap=True)
    settings = record["settings"]
    console.print("Next:", style="bold")
    if settings["share"] > 0:
        console.print("  blendloss noise --share 0    the same without outliers", markup=False)
    if settings["seeds"] < 10:
        console.print("  blendloss noise --seeds 10", markup=False)


def _error(error: dict[str, float], best: float) -> str:
    spread = "" if math.isnan(error["std"]) else f" +- {error['std']:.2g}"
    text = f"{significant(error['mean'])}{spread}"
    return f"[bold]{text}*[/bold]" if error["mean"] == best else f"{text} "
