"""The study `blendloss noise`, from beginning to end."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from blendloss._command.noise.records import RESULTS
from blendloss._command.noise.settings import Request, Settings
from blendloss._internal.startup import import_tensorflow
from blendloss.console.environment import devices, versions
from blendloss.console.extras import require
from blendloss.console.numbers import require_finite, significant
from blendloss.console.results import replace
from blendloss.console.screen import bar, screen


def study(request: Request) -> Path:
    """Runs the study; returns the folder with the results.

    Raises:
        UserError: for a mistake in the request.
        KeyboardInterrupt: with a message, if interrupted; what was finished is in the record.
    """
    started = time.perf_counter()
    require("the study of noise", "matplotlib")
    settings = request.settings
    settings.check()
    folder = RESULTS.new_folder(request.output, request.overwrite)
    import_tensorflow()
    from blendloss._command.noise import plot, report, summary
    from blendloss._command.noise.arms import ARMS

    record = _new_record(settings, {arm.name: arm.about for arm in ARMS})
    console = screen()
    report.introduce(console, settings, len(ARMS))
    RESULTS.save(folder, record)
    try:
        _train_all(console, record, settings, folder)
    except KeyboardInterrupt as interruption:
        kept = f"{len(record['runs'])} of {len(ARMS) * settings.seeds} trainings are in {folder / RESULTS.record}"
        raise KeyboardInterrupt(f"interrupted; {kept}") from interruption
    record["summary"] = summary.summarize(record["runs"])
    record["findings"] = summary.findings(record["runs"], settings.noise)
    record["seconds"] = time.perf_counter() - started
    RESULTS.save(folder, record)
    replace(folder / RESULTS.picture, lambda path: plot.plot(record, path))
    console.print()
    report.results(console, record)
    report.conclude(console, record, folder)
    console.print(f"Done in {time.perf_counter() - started:.0f} s.")
    return folder


def _train_all(console: Console, record: dict[str, Any], settings: Settings, folder: Path) -> None:
    """Trains every arm with every seed, and saves the record after each."""
    from blendloss._command.noise.arms import ARMS
    from blendloss._command.noise.data import draw
    from blendloss._command.noise.training import Trainer, numbers_of

    number = len(ARMS) * settings.seeds
    with bar(console, show=console.is_terminal) as shown:
        task = shown.add_task("", total=number * settings.steps, loss="")

        def progress(steps: int, loss: float) -> None:
            shown.update(task, advance=steps, loss=f"loss {loss:.3f}")

        for arm in ARMS:
            shown.update(task, description=f"{arm.name:<18}  starts", loss="")
            trainer = Trainer(arm, settings)
            for seed in range(settings.seeds):
                label = f"{len(record['runs']) + 1:>2}/{number}  {arm.name:<18}  seed {seed}"
                shown.update(task, description=label)
                run = trainer.train(draw(settings, seed), seed, progress)
                require_finite(f"{arm.name}, seed {seed}", numbers_of(run))
                record["runs"].append(run)
                RESULTS.save(folder, record)
                console.print(f"  {label}  test RMSE {significant(run['rmse'])}  {run['seconds']:5.1f} s", markup=False)


def _new_record(settings: Settings, arms: dict[str, str]) -> dict[str, Any]:
    return {
        "format": RESULTS.format,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "devices": devices(),
        "settings": settings.to_json(),
        "arms": arms,
        "runs": [],
    }
