"""`python -m benchmarks`: what can be timed, and its reports."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0, 2 for a mistake in what was asked, 130 for an interruption."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Timings of blendloss.")
    commands = parser.add_subparsers(title="benchmarks", metavar="NAME", required=True)
    gates = commands.add_parser(
        "gates",
        help="a training step with each adaptive weighting, against a plain sum of the losses",
        description="Times a whole compiled training step of a network with K outputs under each gate, interleaved "
        "with Keras's own plain sum of the same losses, in fresh processes.",
    )
    gates.add_argument("--losses", type=int, nargs="+", metavar="K", default=[2, 3, 11, 40], help="(2 3 11 40)")
    gates.add_argument("--arms", nargs="+", metavar="NAME", help="only these, beside the plain sum; see --list")
    gates.add_argument("--processes", type=int, default=3, help="fresh processes for each K (3)")
    gates.add_argument("--blocks", type=int, default=12, help="times that each arm is timed in a process (12)")
    gates.add_argument("--batch", type=int, default=256, help="examples of a step (256)")
    gates.add_argument("--graph", action="store_true", help="as a graph without XLA")
    gates.add_argument("--quick", action="store_true", help="K = 2, few arms, one process: under a minute")
    gates.add_argument("--list", action="store_true", help="name the arms and stop")
    gates.add_argument("--output", type=Path, default=Path("benchmark-gates"), metavar="DIR", help="(benchmark-gates)")
    gates.add_argument("--resume", action="store_true", help="go on with the results that --output holds")
    arguments = parser.parse_args(argv)

    from benchmarks.gates.command import run

    try:
        return run(arguments)
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept; go on with --resume", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
