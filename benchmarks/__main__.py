"""`python -m benchmarks`: what can be timed, and its reports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import SUITE
from benchmarks.console.arguments import Parser, path, whole
from benchmarks.console.guard import guarded
from benchmarks.harness.benchmark import Axis, Benchmark, load
from benchmarks.harness.conduct import Plan, arms_of, cases, run
from benchmarks.harness.report import write

RESULTS = Path("benchmark-results")
#: The most of a number on the command line: 2^40 residuals are 4 TiB.
MOST = 1 << 40
DAY = 86_400


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, 1 where an arm failed, 2 for a mistake in what was asked, 128 + n for signal n."""
    return guarded("benchmarks", lambda: do(argv))


def do(argv: list[str] | None) -> int:
    parser = Parser(prog="python -m benchmarks", description="Timings of blendloss.")
    commands = parser.add_subparsers(title="benchmarks", metavar="NAME", required=True)
    for name in SUITE:
        add(commands, load(name))
    report = commands.add_parser("report", help="the table and the plots of runs that are there")
    report.add_argument("folders", type=path, nargs="+", metavar="DIR", help="what a run wrote, or samples.jsonl in it")
    report.set_defaults(do=lambda given: [print(write(folder)) for folder in given.folders] and 0)
    arguments = parser.parse_args(argv)
    try:
        return arguments.do(arguments)
    except KeyboardInterrupt:
        kept = "interrupted: the finished processes are kept; go on with --resume"
        raise KeyboardInterrupt(kept) from None


def add(commands: Any, benchmark: Benchmark) -> None:
    """A command for the benchmark, with an option for each of its axes."""
    command = commands.add_parser(benchmark.name, help=benchmark.about, description=benchmark.about)
    for axis in benchmark.axes:
        command.add_argument(
            f"--{axis.name}",
            type=power(MOST) if isinstance(axis.values[0], int) else str,
            nargs="+",
            choices=axis.choices,
            metavar=axis.name[0].upper(),
            help=f"{axis.help} ({shown(axis.values)})",
        )
    command.add_argument(
        "--arms", nargs="+", default=[], metavar="NAME", help="only these, beside the base; see --list"
    )
    command.add_argument(
        "--processes",
        type=power(1000),
        default=benchmark.processes,
        help=f"fresh processes for each case ({benchmark.processes})",
    )
    command.add_argument(
        "--blocks", type=power(10_000), help=f"times that an arm is timed in each ({benchmark.blocks})"
    )
    command.add_argument("--milliseconds", type=power(60_000), default=50, help="of a block, about (50)")
    command.add_argument("--timeout", type=power(DAY), default=600, help="seconds that one answer may take (600)")
    command.add_argument("--quick", action="store_true", help="few cases, one process: under a minute")
    command.add_argument("--list", action="store_true", help="name the arms and stop")
    command.add_argument(
        "--output", "--export", type=path, metavar="DIR", help=f"({RESULTS / benchmark.name}, or ...-quick)"
    )
    command.add_argument("--resume", action="store_true", help="go on with the samples that --output holds")
    command.set_defaults(do=lambda given: measured(benchmark, given))


def measured(benchmark: Benchmark, given: argparse.Namespace) -> int:
    """Runs the benchmark as `given`, writes the report and prints it."""
    axes = {axis.name: values(axis, given) for axis in benchmark.axes}
    if given.list:
        print(*arms_of(benchmark, cases(axes)[0], given.timeout), sep="\n")
        return 0
    blocks = given.blocks or (min(4, benchmark.blocks) if given.quick else benchmark.blocks)
    plan = Plan(
        axes=axes,
        arms=tuple(given.arms or (benchmark.quick_arms if given.quick else ())),
        processes=1 if given.quick else given.processes,
        blocks=blocks,
        milliseconds=min(10, given.milliseconds) if given.quick else given.milliseconds,
        timeout=given.timeout,
    )
    folder = given.output or RESULTS / (benchmark.name + "-quick" * given.quick)
    failed = run(benchmark, plan, folder, given.resume)
    print(write(folder))
    return int(failed > 0)


def values(axis: Axis, given: argparse.Namespace) -> tuple[Any, ...]:
    """What was given for the axis, or its default."""
    default = (axis.quick or axis.values[:1]) if given.quick else axis.values
    return tuple(getattr(given, axis.name) or default)


def shown(values: tuple[Any, ...]) -> str:
    return " ".join(map(str, values))


def power(most: int) -> Callable[[str], int]:
    """A whole number from 1 to `most`, such as 256 or 2^22."""

    def read(text: str) -> int:
        base, caret, exponent = text.partition("^")
        return whole(1, most)(str(whole(1, most)(base) ** whole(0, 99)(exponent)) if caret else base)

    return read


if __name__ == "__main__":
    sys.exit(main())
