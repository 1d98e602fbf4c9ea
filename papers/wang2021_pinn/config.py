"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """The official script's numbers; `every` is ours: the steps from one record to the next."""

    seeds: int = 10
    hidden_layers: int = 3
    widths: tuple[int, ...] = (50, 30)
    methods: tuple[str, ...] = ("equal", "annealing")
    #: Methods that the paper does not have, for the first width alone.
    others: tuple[str, ...] = ("ReLoBRaLo", "SoftAdapt", "uncertainty")
    batch: int = 128
    steps: int = 40_001
    every: int = 500
    grid: int = 100
    drawn_grid: int = 50
    #: XLA: faster steps, after seconds of compiling for each arm.
    jit: bool = True


PAPER = Config()
SMOKE = Config(
    seeds=1,
    hidden_layers=1,
    widths=(8,),
    others=(),
    batch=16,
    steps=41,
    every=20,
    grid=20,
    drawn_grid=20,
    jit=False,
)


def arms(config: Config) -> list[str]:
    names = {width: f"{config.hidden_layers}x{width}" for width in config.widths}
    of_paper = [[f"{name} {method}" for method in config.methods] for name in names.values()]
    others = [f"{names[config.widths[0]]} {method}" for method in config.others]
    return [*of_paper[0], *others, *(arm for one in of_paper[1:] for arm in one)]
