"""What a folder of papers declares: sizes, arms, one run, claims, pictures."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from blendloss.console.errors import UserError

ROOT = Path(__file__).parent


class Paper(NamedTuple):
    """A folder of `papers/`, loaded."""

    name: str
    #: One line: what is reproduced, of whom.
    about: str
    modules: dict[str, ModuleType]

    def config(self, smoke: bool, seeds: int | None = None) -> Any:
        """PAPER or SMOKE, a frozen dataclass that JSON can hold, with another number of seeds where one is given."""
        found = self.modules["config"].SMOKE if smoke else self.modules["config"].PAPER
        return found if seeds is None else dataclasses.replace(found, seeds=seeds)

    def arms(self, config: Any) -> Sequence[str]:
        """The names of what is run, with each seed."""
        return self.modules["config"].arms(config)

    def run(self, config: Any, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
        """One arm with one seed; numbers, strings and lists of them. `progress` takes the part that is done."""
        return self.modules["run"].run(config, arm, seed, progress)

    @property
    def claims(self) -> Sequence[Any]:
        """The `Claim`s of what was published."""
        return self.modules["expected"].CLAIMS

    def plot(self, runs: Any, folder: Path) -> list[Path]:
        """Draws the runs; gives the pictures' files, written in `folder`."""
        return self.modules["plot"].plot(runs, folder)

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return ROOT / self.name


def names() -> list[str]:
    """The papers, in the order of their folders."""
    return sorted(module.name for module in pkgutil.iter_modules([str(ROOT)]) if module.ispkg)


def load(name: str) -> Paper:
    """The paper `name`, or the only one whose name begins with it."""
    found = [one for one in names() if one == name] or [one for one in names() if one.startswith(name)]
    if len(found) != 1:
        what = f"several papers begin with {name!r}: {', '.join(found)}" if found else f"no paper {name!r}"
        raise UserError(f"{what}; `python -m papers list` names them")
    package = importlib.import_module(f"papers.{found[0]}")
    parts = ("config", "run", "expected", "plot")
    modules = {part: importlib.import_module(f"papers.{found[0]}.{part}") for part in parts}
    return Paper(found[0], (package.__doc__ or "").strip().splitlines()[0], modules)


def settings(config: Any) -> dict[str, Any]:
    """What of `config` must be the same for runs to belong together: all but the number of seeds."""
    return {
        name: list(v) if isinstance(v, tuple) else v
        for name, v in dataclasses.asdict(config).items()
        if name != "seeds"
    }
