"""The arguments of the command line, and the settings of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blendloss.console.errors import UserError

_BATCH = 1024
_EPOCHS = 5
# A small table needs more epochs, for about as many updates as the arms need to differ.
_UPDATES = 1000
_MOST_EPOCHS = 30
# The rows of all batches are drawn in advance. 100 times as many as usual still fit into memory.
_MOST_UPDATES = 100_000


@dataclass(frozen=True)
class Request:
    """The command line."""

    data: Path | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()
    seeds: int | None = None
    epochs: int | None = None
    rows: int | None = None
    output: Path | None = None
    overwrite: bool = False
    resume: Path | None = None

    def check(self) -> None:
        """Raises an error for contradicting options."""
        if self.resume is not None:
            given = (self.data, self.target, self.drop, self.epochs, self.rows, self.output, self.overwrite)
            if any(given):
                raise UserError("--resume takes everything but --seeds from the run that it continues: give no others")
        if self.data is None and (self.target is not None or self.drop):
            raise UserError("--target and --drop go with --data FILE.csv")
        if self.data is not None and self.target is None:
            raise UserError("--data needs --target COLUMN: the column to predict")


@dataclass(frozen=True)
class Settings:
    """The settings that determine the numbers of a run, except the number of seeds; JSON-serializable."""

    data: str | None
    target: str | None
    drop: tuple[str, ...]
    rows: int | None
    epochs: int
    batch: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """The number of updates of one arm."""
        return self.epochs * self.steps_per_epoch

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "drop": list(self.drop)}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Settings:
        """The settings of a recorded run."""
        return cls(**{**given, "drop": tuple(given["drop"])})


def settle(request: Request, rows: int) -> Settings:
    """The settings for `request` with `rows` training rows."""
    # At least 8 updates an epoch; a power of 2.
    batch = min(_BATCH, 1 << max(3, (rows // 8).bit_length() - 1))
    steps = rows // batch
    most = max(1, _MOST_UPDATES // steps)
    if request.epochs is not None and request.epochs > most:
        raise UserError(f"--epochs must be at most {most} with {rows:,} rows to train on. Received: {request.epochs}")
    return Settings(
        data=None if request.data is None else str(request.data.resolve()),
        target=request.target,
        drop=request.drop,
        rows=request.rows,
        epochs=request.epochs or min(_MOST_EPOCHS, max(_EPOCHS, round(_UPDATES / steps))),
        batch=batch,
        steps_per_epoch=steps,
    )
