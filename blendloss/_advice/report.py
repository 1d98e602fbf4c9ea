"""The comparison as text."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blendloss._advice.bootstrap import Estimate
from blendloss._advice.record import ComparisonRecord

_WIDTH = 110


def text(found: ComparisonRecord) -> str:
    """The whole report as text, without colours."""
    page = io.StringIO()
    show(Console(file=page, width=_WIDTH, highlight=False, color_system=None), found)
    return page.getvalue().rstrip("\n")


def show(console: Console, found: ComparisonRecord) -> None:
    """Prints the table, the findings, the advice and the code."""
    from blendloss.console.screen import say

    console.print(_table(found))
    for finding in found.findings.values():
        say(console, finding.text, "- ")
    console.print()
    say(console, found.advice)
    console.print()
    for line in found.code.splitlines():
        console.print(f"    {line}" if line else "", markup=False, soft_wrap=True)


def _table(found: ComparisonRecord) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("loss", no_wrap=True)
    for heading in ("efficiency", f"{100 * found.level:.4g}% interval", "weight in the blend"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("best blend", *_estimate(found.blend), "")
    for name in sorted(found.efficiencies, key=lambda name: -found.efficiencies[name].value):
        chosen = "bold" if name == found.best_single else None
        table.add_row(Text(name), *_estimate(found.efficiencies[name]), f"{found.weights[name]:.2f}", style=chosen)
    return table


def _estimate(one: Estimate) -> tuple[str, str]:
    return f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}"
