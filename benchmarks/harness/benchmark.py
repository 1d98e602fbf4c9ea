"""What a benchmark declares: axes, arms' homes, quantities and plots, together.

The module of a benchmark has `BENCHMARK`, and two functions that only worker processes call: `arms(case)`, the names of
what is compared, and `build(case, arm)`, a `Subject`. Nothing that computes is imported outside of them.
"""

from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks import SUITE
from benchmarks.console.errors import UserError

ROOT_PACKAGE = "benchmarks"
#: The arm that is the base once more: what differs between the two is noise.
AGAIN = " (A/A)"


@dataclass(frozen=True)
class Axis:
    """One thing that varies between cases: a list on the command line."""

    name: str
    values: tuple[Any, ...]
    help: str
    quick: tuple[Any, ...] = ()
    choices: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Part:
    """A process that builds arms: the functions of `module`, in this environment or in the peers'."""

    module: str
    peers: bool = False


@dataclass(frozen=True)
class Quantity:
    """A number in the report: a function of an arm's facts and of the seconds of one call.

    With `beside`, an arm, it is `by`(that function, the same function of that arm in the same case).
    """

    name: str
    of: Callable[[Mapping[str, Any], float], float]
    format: str = "{:.4g}"
    beside: str | None = None
    by: Callable[[float, float], float] = operator.truediv

    def __call__(self, facts: Mapping[str, Any], seconds: float) -> float:
        try:
            return float(self.of(facts, seconds))
        except (KeyError, ZeroDivisionError):
            return math.nan  # an arm without that fact


@dataclass(frozen=True)
class Plot:
    """A line for each arm: the quantity against an axis; `roof` is an arm that is drawn as a level."""

    quantity: str
    against: str
    roof: str | None = None
    log: bool = True


@dataclass(frozen=True)
class Benchmark:
    """All that the command line, the run and the report need to know."""

    name: str
    about: str
    axes: tuple[Axis, ...]
    base: str
    quantities: tuple[Quantity, ...]
    parts: tuple[Part, ...]
    plots: tuple[Plot, ...] = ()
    blocks: int = 12
    processes: int = 3
    #: Whether the base is timed twice, to see the noise.
    paired: bool = True
    #: Arms of a quick run; all where empty.
    quick_arms: tuple[str, ...] = ()
    #: Ratios that others have published, by arm and K, shown beside ours; and where.
    published: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    source: str = ""
    #: Further lines of the report, of its `Results`.
    conclusions: Callable[[Any], Iterable[str]] | None = None

    @property
    def roofs(self) -> set[str]:
        """The arms that are limits, not competitors."""
        return {plot.roof for plot in self.plots if plot.roof}


MILLISECONDS = Quantity("ms", lambda facts, seconds: 1e3 * seconds)


def load(name: str) -> Benchmark:
    """The benchmark of the module `benchmarks.<name>`."""
    if name not in SUITE:
        raise UserError(f"there is no benchmark {name!r}; there are: {', '.join(SUITE)}")
    return importlib.import_module(f"{ROOT_PACKAGE}.{name}").BENCHMARK
