"""All that is promised of two workers; writes `results.md` beside this file, or ends with what fails.

`python -m tests.workers [--only WORD]`
"""

from __future__ import annotations

import argparse
import pathlib
import platform
import sys
import tempfile

import tests.conftest  # noqa: F401, two virtual CPUs  # isort: skip
import keras
import tensorflow as tf

from tests.workers.cases import BOUNDS, FLOAT32, LONG, trained
from tests.workers.fits import compiled, fitted
from tests.workers.kills import BOUND, killed_again_and_again
from tests.workers.pair import Comparison, Pair, compare
from tests.workers.traffic import ROWS, local_workers, sent_and_expected

RESULTS = pathlib.Path(__file__).with_name("results.md")
KILLS, STEPS = 10, 200
#: Numbers of losses and widths of the network for which traffic is counted.
COUNTED = [(2, 3), (4, 5)]


class Failures(list[str]):
    """What fails, said at once."""

    def add(self, text: str) -> None:
        print("FAILED", text, flush=True)
        self.append(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.workers")
    parser.add_argument("--only", help="only cases whose name has this word; nothing is written")
    only = parser.parse_args().only
    failures = Failures()
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        names = [name for name in LONG if only is None or only in name]
        found = compared(folder, names, failures, fits=only is None)
        if only is not None:
            return bool(failures)
        sent = counted(failures)
        report = killed_again_and_again(folder, KILLS, STEPS)
    for kill in report.kills:
        if not kill.other_ended:
            failures.add(f"worker {1 - kill.worker} did not end in {BOUND} s after worker {kill.worker} was killed")
    for name in report.differ:
        failures.add(f"after the kills, {name} differs")
    text = page(found, sent, ", ".join(f"{kill.worker} after step {kill.step}" for kill in report.kills))
    print(text)
    if not failures:
        RESULTS.write_text(text)
    return bool(failures)


def compared(folder: pathlib.Path, names: list[str], failures: Failures, fits: bool) -> dict[str, Comparison]:
    """How two workers differ from one process, by case."""
    one, found = tf.distribute.get_strategy(), {}
    extra = ["fit", "xla", "unbroken", "resumed"] if fits else []
    with Pair(folder, [*names, *extra]) as pair:
        for name in names:
            found[name] = compare(LONG[name], trained(LONG[name], one), pair.found(name))
            check(name, found[name], BOUNDS[LONG[name].policy], failures)
        if fits:
            found["fit"] = compare(None, fitted(one, folder, 0), pair.found("fit"))
            check("fit", found["fit"], BOUNDS[FLOAT32], failures)
            found["XLA"] = compare(None, compiled(one, folder, 0), pair.found("xla"))
            check("XLA", found["XLA"], BOUNDS[FLOAT32], failures)
            found["BackupAndRestore"] = compare(None, pair.found("unbroken")[0], pair.found("resumed"))
            check("BackupAndRestore", found["BackupAndRestore"], 0.0, failures)
    return found


def check(name: str, found: Comparison, bound: float, failures: Failures) -> None:
    print(f"{name:45} {found.deviation:.1e} {found.where}", flush=True)
    if found.differ:
        failures.add(f"{name}: the workers differ in {found.differ}")
    if not found.deviation <= bound:
        failures.add(f"{name}: {found.where} deviates by {found.deviation:.1e}, more than {bound:.0e}")


def counted(failures: Failures) -> list[str]:
    """The table of formulas, each of which was compared with what is traced."""
    strategy, lines = local_workers(), []
    for row in ROWS:
        for name in row.gates:
            for losses, width in COUNTED:
                sent, expected = sent_and_expected(row, name, losses, width, strategy)
                if sent != expected:
                    failures.add(f"{name} sends {sent} with {losses} losses and width {width}, not {expected}")
        gathers = f"{row.by_row} for each example" if row.by_row else ""
        lines.append(f"| {', '.join(f'`{name}`' for name in row.gates)} | {row.formula} | {gathers} |")
    return lines


def page(found: dict[str, Comparison], sent: list[str], kills: str) -> str:
    policies = {name: LONG[name].policy if name in LONG else FLOAT32 for name in found}
    worst = {
        policy: max((one.deviation, name) for name, one in found.items() if policies[name] == policy)
        for policy in BOUNDS
    }
    versions = f"Python {platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}"
    summary = "".join(f"| {p} | {BOUNDS[p]:.0e} | {size:.1e} | {name} |\n" for p, (size, name) in worst.items())
    cases = "".join(f"| {name} | {policies[name]} | {one.deviation:.1e} |\n" for name, one in found.items())
    return f"""# Two workers and one process

Written by `make workers`, with {versions}. A deviation is the largest
difference of a variable or log of two workers from that of one process, divided by its largest number. In every case,
the states of the two workers were equal bit for bit.

| dtype | bound | largest deviation | case |
|---|---|---|---|
{summary}
Kills: worker {kills}.
The other worker ended by itself within {BOUND:.0f} s each time. The state after {STEPS} steps was equal to that of
an unbroken run, bit for bit.

Bytes that a step of {sum(len(row.gates) for row in ROWS)} gates sends, beside 4 for each variable that trains. The
formulas were equal to what the traced step sends for (K, width) of {" and ".join(map(str, COUNTED))}:

| gates | bytes summed | bytes gathered |
|---|---|---|
{chr(10).join(sent)}

| case | dtype | deviation |
|---|---|---|
{cases}"""


if __name__ == "__main__":
    sys.exit(main())
