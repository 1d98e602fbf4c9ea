"""Printing on the terminal."""

from __future__ import annotations

import textwrap
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PIPED_WIDTH = 110


class Screen(Console):
    """A console that raises on a closed pipe, so that the command handles it. Rich would end the process."""

    def on_broken_pipe(self) -> NoReturn:
        """Raises the error again."""
        raise


def screen(soft_wrap: bool = False) -> Console:
    """The terminal, or a wide page if the output is piped."""
    console = Screen(highlight=False, soft_wrap=soft_wrap)
    if not console.is_terminal:
        console.width = max(console.width, _PIPED_WIDTH)
    return console


def say(console: Console, text: str, mark: str = "") -> None:
    """Prints a paragraph, indented; `mark` comes before its first line."""
    indent = "  " + " " * len(mark)
    width = min(console.width, _PIPED_WIDTH)
    console.print(textwrap.fill(text, width, initial_indent=f"  {mark}", subsequent_indent=indent), markup=False)


def bar(console: Console, show: bool) -> Progress:
    """A progress bar of trainings; its tasks have a field `loss`."""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Files and pipes get only the lines of finished arms.
    return Progress(*columns, console=console, transient=True, disable=not show)
