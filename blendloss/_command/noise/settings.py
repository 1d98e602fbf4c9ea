"""The settings of a study, and the arguments of the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blendloss._command.contaminated import Contaminated
from blendloss.console.errors import UserError


@dataclass(frozen=True)
class Settings:
    """The settings that determine the numbers of a study; JSON-serializable."""

    seeds: int = 3
    share: float = 0.1
    width: float = 10.0
    train: int = 2000
    held_out: int = 500
    test: int = 20_000
    batch: int = 100
    epochs: int = 50
    hidden: int = 32
    learning_rate: float = 5e-3
    gate_learning_rate: float = 0.02

    def check(self) -> None:
        """Raises an error for impossible noise."""
        if not 0 <= self.share <= 0.5:
            raise UserError(f"--share must be from 0 to 0.5: the part of the noise that is broad, not {self.share:g}")
        if not 1 <= self.width <= 1000:
            raise UserError(f"--width must be from 1 to 1000: how many times as broad that part is, not {self.width:g}")

    @property
    def noise(self) -> Contaminated:
        """The law of the noise."""
        return Contaminated(self.share, self.width)

    @property
    def steps_per_epoch(self) -> int:
        """The number of updates in an epoch."""
        return self.train // self.batch

    @property
    def steps(self) -> int:
        """The number of updates of a training."""
        return self.epochs * self.steps_per_epoch

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Request:
    """The command line."""

    settings: Settings
    output: Path | None = None
    overwrite: bool = False
