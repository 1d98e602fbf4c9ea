"""The command `blendloss`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from blendloss import __version__
from blendloss._internal.startup import import_tensorflow
from blendloss.console.arguments import Parser, number, path, seeds, whole
from blendloss.console.guard import guarded


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the process; returns the exit status.

    0 is success, 2 is a mistake of the user or an output that cannot be written, 128 + n is signal n.
    """
    return guarded("blendloss", lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> None:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.run is None:
        parser.print_help()
    else:
        arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="blendloss", description="Differentiable loss blending for TensorFlow.")
    parser.add_argument("--version", action="version", version=f"blendloss {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    info = commands.add_parser("info", help="versions, devices, and whether XLA works here")
    info.set_defaults(run=_run_info)
    _add_recover(commands)
    _add_noise(commands)
    _add_demo(commands)
    _add_advise(commands)
    return parser


def _add_recover(commands: Any) -> None:
    recover = commands.add_parser(
        "recover",
        help="fit a likelihood gate to residuals of five known laws",
        description="Draws residuals from five laws and fits a likelihood gate over four losses to each. Compares the "
        "fit with the true law and with the best single loss. Also prints the efficiency of estimates with the weights "
        "that score matching gives six losses.",
    )
    recover.set_defaults(run=_run_recover)
    recover.add_argument(
        "--residuals",
        type=whole(1, 10_000_000),
        metavar="N",
        default=100_000,
        help="the number of residuals of each law (100,000)",
    )
    _add_seed(recover, "residuals")


def _add_noise(commands: Any) -> None:
    noise = commands.add_parser(
        "noise",
        help="train one network on contaminated data with six gates, and see which finds the noise",
        description="Trains the same small network on a known function with outliers: with two single losses and with "
        "six gates. Then shows the distance of each to the function, and the noise law that it found.",
    )
    noise.set_defaults(run=_run_noise)
    noise.add_argument("--seeds", type=seeds, metavar="N", default=3, help="repeat with the seeds 0 to N - 1 (3)")
    noise.add_argument("--share", type=number, default=0.1, help="the part of the noise that is broad, up to 0.5 (0.1)")
    noise.add_argument("--width", type=number, default=10.0, help="how many times as broad that part is (10)")
    _add_output(noise, "the folder for results (blendloss-noise/run-001, -002, ...)")


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="train one network with nine ways of weighing its losses, on real data",
        description="Trains the same small network with MSE, with Huber, with six blends of the two, and with six "
        "losses under score matching. The data are the flights that left New York in 2013, or your own table. Then "
        "compares the test errors.",
        epilog="examples:  blendloss demo   |   blendloss demo --seeds 5   |   "
        "blendloss demo --data houses.csv --target price --drop id",
    )
    demo.set_defaults(run=_run_demo)
    table = demo.add_argument_group("your own table")
    table.add_argument("--data", type=path, metavar="FILE.csv", help="a CSV file with a header")
    table.add_argument("--target", metavar="COLUMN", help="the column to predict: numbers, none missing")
    table.add_argument("--drop", metavar="COLUMN", action="append", help="a column to leave out (may be repeated)")
    run = demo.add_argument_group("the run")
    run.add_argument("--seeds", type=seeds, metavar="N", help="repeat with the seeds 0 to N - 1 (default: 1)")
    run.add_argument(
        "--epochs", type=whole(1, 1_000_000), metavar="N", help="epochs of each arm (default: what the data needs)"
    )
    run.add_argument(
        "--rows", type=whole(1, 1_000_000), help=argparse.SUPPRESS
    )  # for tests: the number of flights, evenly spread
    place = demo.add_argument_group("the results: demo.json and demo.png")
    _add_output(place, "the folder (default: blendloss-demo/run-001, -002, ...)")
    place.add_argument("--resume", type=path, metavar="DIR", help="continue an interrupted run, or add --seeds to it")


def _add_advise(commands: Any) -> None:
    advise = commands.add_parser(
        "advise",
        help="say which loss suits the residuals in a CSV file",
        description="Compares losses by the variance of their estimates, for the noise that the residuals in a CSV "
        "file show. Reports the efficiency of each loss with a bootstrap interval, findings on tails, asymmetry and "
        "uneven noise, one sentence of advice, and code to paste.",
        epilog="examples:  blendloss advise test.csv --target price --prediction predicted   |   "
        "blendloss advise test.csv --residuals error --group patient --out losses.png",
    )
    advise.set_defaults(run=_run_advise)
    advise.add_argument("file", type=path, metavar="FILE.csv", help="a CSV file with a header")
    table = advise.add_argument_group("its columns")
    table.add_argument("--residuals", metavar="COLUMN", help="prediction minus target; or give the next two")
    table.add_argument("--target", metavar="COLUMN", help="the targets")
    table.add_argument("--prediction", metavar="COLUMN", help="the predictions, preferably of held-out rows")
    table.add_argument("--weight", metavar="COLUMN", help="weights of the rows, as in training")
    rows = advise.add_argument_group("dependent rows")
    rows.add_argument("--group", metavar="COLUMN", help="rows that belong together: a patient, a day")
    rows.add_argument("--block", type=whole(1, 1_000_000), metavar="N", help="N consecutive rows belong together")
    _add_seed(advise, "bootstrap")
    advise.add_argument("--out", type=path, metavar="PICTURE.png", help="also draw the picture; replaces the file")


def _add_seed(command: Any, purpose: str) -> None:
    command.add_argument(
        "--seed", type=whole(0, 2**63 - 1), metavar="N", default=0, help=f"the seed of the {purpose} (0)"
    )


def _add_output(command: Any, folder: str) -> None:
    command.add_argument("--output", type=path, metavar="DIR", help=folder)
    command.add_argument("--overwrite", action="store_true", help="replace results that --output already holds")


def _run_info(arguments: argparse.Namespace) -> None:
    from blendloss._command.info import info

    info()


def _run_recover(arguments: argparse.Namespace) -> None:
    import_tensorflow()
    from blendloss._command.recover import run

    run(arguments.residuals, arguments.seed)


def _run_noise(arguments: argparse.Namespace) -> None:
    from blendloss._command.noise.command import study
    from blendloss._command.noise.settings import Request, Settings

    settings = Settings(seeds=arguments.seeds, share=arguments.share, width=arguments.width)
    study(Request(settings, arguments.output, arguments.overwrite))


def _run_demo(arguments: argparse.Namespace) -> None:
    from blendloss._command.demo.command import demo
    from blendloss._command.demo.settings import Request

    demo(
        Request(
            data=arguments.data,
            target=arguments.target,
            drop=tuple(arguments.drop or ()),
            seeds=arguments.seeds,
            epochs=arguments.epochs,
            rows=arguments.rows,
            output=arguments.output,
            overwrite=arguments.overwrite,
            resume=arguments.resume,
        )
    )


def _run_advise(arguments: argparse.Namespace) -> None:
    from blendloss._command.advise.command import Request, advise

    advise(
        Request(
            file=arguments.file,
            residuals=arguments.residuals,
            target=arguments.target,
            prediction=arguments.prediction,
            weight=arguments.weight,
            group=arguments.group,
            block=arguments.block,
            seed=arguments.seed,
            picture=arguments.out,
        )
    )
