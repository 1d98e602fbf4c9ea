"""The problems: those of the switching study, more sizes, a deeper network, skewed noise, and four more tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from papers.blendloss2026_score_matching.config import Config
from papers.blendloss2026_switching.data import Problem, real, split, synthetic

#: Rows of a table that are used, at most: 3000 of them to train on.
MOST_ROWS = 5000
_PUPILS = (
    "LOWINC", "PERASIAN", "PERBLACK", "PERHISP", "PERMINTE", "AVYRSEXP", "AVSALK", "PERSPENK", "PTRATIO", "PCTAF",
    "PCTCHRT", "PCTYRRND",
)  # fmt: skip


class Case(NamedTuple):
    """A problem of the study; `law` is "" for a table."""

    name: str
    law: str
    layers: int
    make: Callable[[int], Problem]


def cases(config: Config) -> Iterator[Case]:
    """All of them."""
    groups = (
        (config.synthetic, config.laws, 1),
        (config.synthetic, config.skewed_laws, 1),
        (config.more_sizes, config.few_laws, 1),
        (config.deep, config.few_laws, 3),
    )
    for sizes, laws, layers in groups:
        for n, features in sizes:
            name = f"n={n} d={features}" + (" deep" if layers > 1 else "")
            for law in laws:
                yield Case(name, law, layers, partial(synthetic, config, n, features, law))
    for name in config.tables:
        yield Case(name, "", 1, partial(real, name))
    for name in config.more_tables:
        yield Case(name, "", 1, partial(_more, name))


def _more(name: str, seed: int) -> Problem:
    x, y = _table(name)
    rows = np.random.default_rng([seed, 2]).permutation(len(y))[:MOST_ROWS]
    return split(x[rows], y[rows], np.arange(len(rows)), None, seed)


@cache
def _table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of statsmodels' tables."""
    from statsmodels import datasets

    match name:
        case "cancer":  # deaths in a county, by its population
            table = datasets.cancer.load_pandas().data
            return table[["population"]].to_numpy(float), table["cancer"].to_numpy(float)
        case "Grunfeld":  # a firm's investment in a year, by its value and capital
            table = datasets.grunfeld.load_pandas().data
            return table[["value", "capital"]].to_numpy(float), table["invest"].to_numpy(float)
        case "star98":  # a district's share of pupils above the national median of mathematics
            table = datasets.star98.load_pandas().data
            share = table["NABOVE"] / (table["NABOVE"] + table["NBELOW"])
            return table[list(_PUPILS)].to_numpy(float), share.to_numpy(float)
        case "RAND":  # a person's visits to a doctor in a year, by insurance and health
            table = datasets.randhie.load_pandas().data
            return table.drop(columns="mdvis").to_numpy(float), table["mdvis"].to_numpy(float)
    raise ValueError(name)
