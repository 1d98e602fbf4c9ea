"""`blendloss advise`: which loss suits a column of residuals."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blendloss._command import csv_file
from blendloss._internal.startup import import_tensorflow, without_notes
from blendloss.console.errors import UserError
from blendloss.console.extras import require

_PICTURES = (".png", ".pdf", ".svg")


class Request(NamedTuple):
    """The arguments of the command: a file, and names of its columns."""

    file: Path
    residuals: str | None
    target: str | None
    prediction: str | None
    weight: str | None
    group: str | None
    block: int | None
    seed: int
    picture: Path | None


def advise(request: Request) -> None:
    """Reads the columns, compares the losses, prints the result and draws the picture."""
    _check(request)
    arguments = _columns(request)
    import_tensorflow()
    from rich.markup import escape

    from blendloss._advice.compare import compare_losses
    from blendloss._advice.report import show
    from blendloss.console.screen import screen

    try:
        with without_notes():
            found = compare_losses(**arguments, block=request.block, seed=request.seed)
    except ValueError as error:
        raise UserError(f"{request.file}: {error}") from error
    console = screen()
    console.print("[bold]Which loss suits these residuals?[/bold]")
    show(console, found)
    if request.picture is not None:
        found.plot(request.picture)
        what = "the score of the residuals, the slopes, and the efficiencies"
        console.print(f"\n[bold]{escape(str(request.picture))}[/bold]  {what}", soft_wrap=True)


def _check(request: Request) -> None:
    require("blendloss advise", "pandas", *(["matplotlib"] if request.picture else []))
    if request.residuals is None and (request.target is None or request.prediction is None):
        raise UserError("advise needs --residuals COLUMN, or --target COLUMN and --prediction COLUMN")
    if request.residuals is not None and request.target is not None:
        raise UserError("--residuals are already the difference to a target: leave out --target")
    if request.group is not None and request.block is not None:
        raise UserError("--group and --block are two ways to resample: leave out one")
    if request.picture is None:
        return
    if request.picture.suffix.lower() not in _PICTURES:
        raise UserError(
            f"--out must end in {', '.join(_PICTURES[:-1])} or {_PICTURES[-1]}, not {request.picture.name!r}"
        )
    if not request.picture.parent.is_dir():
        raise UserError(f"cannot write {request.picture}: there is no folder {request.picture.parent}")
    if request.picture.is_dir():
        raise UserError(f"cannot write {request.picture}: it is a folder")


def _columns(request: Request) -> dict[str, Any]:
    """The arguments of `compare_losses`, from the file."""
    chosen = {
        "residuals": request.residuals,
        "y_true": request.target,
        "y_pred": request.prediction,
        "sample_weight": request.weight,
        "groups": request.group,
    }
    named = {argument: name for argument, name in chosen.items() if name is not None}
    names = csv_file.header(request.file, fewest=1)
    csv_file.require_columns(names, list(named.values()))
    frame = csv_file.read_columns(request.file, names, sorted(set(named.values())))
    if not len(frame):
        raise UserError(f"{request.file} has no rows below its header")
    return {
        argument: _labels(name, frame[name]) if argument == "groups" else _numbers(name, frame[name])
        for argument, name in named.items()
    }


def _numbers(name: str, column: Any) -> np.ndarray:
    found = None if column.dtype.kind == "b" else csv_file.numbers(column)
    if found is None:
        raise UserError(f"the column {name!r} must be numbers; {csv_file.first_text(column)}")
    return csv_file.require_finite(name, found, "remove or correct these rows")


def _labels(name: str, column: Any) -> np.ndarray:
    csv_file.require_present(name, column, "give these rows a group")
    return np.asarray(column.factorize()[0])
