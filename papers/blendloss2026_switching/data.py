"""The problems: known functions with noise of many laws, and three tables."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.linear_model import HuberRegressor

from papers._flights import read_flights
from papers.blendloss2026_switching.config import Config

FLIGHTS = 1000


class Problem(NamedTuple):
    """Inputs `[n, features]`, and targets `[n, 1]` that are centred and in units of the noise's scale.

    `test_y` is in its own units: the function itself where it is known.
    """

    x: np.ndarray
    y: np.ndarray
    held_x: np.ndarray
    held_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    centre: float
    scale: float

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        return self.x, self.y, self.held_x, self.held_y, self.test_x

    def errors(self, predicted: np.ndarray) -> tuple[float, float]:
        """MAE and RMSE of predictions `[n]` of `y`'s kind."""
        off = predicted.astype(float) * self.scale + self.centre - self.test_y
        return float(np.mean(np.abs(off))), float(np.sqrt(np.mean(off**2)))


def synthetic(config: Config, examples: int, features: int, law: str, seed: int) -> Problem:
    """As many examples again by a quarter are held out; all but the test have noise."""
    random = np.random.default_rng([seed, 0])
    held = examples // 4
    n = examples + held + config.test
    if features == 1:
        x = random.random((n, 1))
        y = 2 * np.sin(2 * np.pi * x[:, 0])
    else:
        x, y = make_friedman1(n, features, random_state=seed)
    y[: examples + held] += noise(law, x[: examples + held, 0], random)
    x = (x - 0.5) * np.sqrt(12)
    return _problem(x, y, np.split(np.arange(n), [examples, examples + held]), scale=1.0)


def noise(law: str, u: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Of scale 1; outliers have 10; the heteroscedastic one goes from 0.2 to 1.8 with the feature `u` in [0, 1].

    The exponential and the lognormal law are less their means.
    """
    n = len(u)
    match law.split():
        case ["Gaussian"]:
            return random.normal(size=n)
        case ["t3"]:
            return random.standard_t(3, n)
        case ["Cauchy"]:
            return random.standard_cauchy(n)
        case [share, "%", "outliers"]:
            return random.normal(size=n) * np.where(random.random(n) < float(share) / 100, 10, 1)
        case ["heteroscedastic"]:
            return random.normal(size=n) * (0.2 + 1.6 * u)
        case ["Laplace"]:
            return random.laplace(size=n)
        case ["exponential"]:
            return random.exponential(size=n) - 1
        case ["lognormal"]:
            return random.lognormal(size=n) - np.exp(0.5)
    raise ValueError(law)


def real(name: str, seed: int) -> Problem:
    """A random split; of the flights, by date, as few as the synthetic problems have."""
    return split(*_table(name), seed)


def split(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray | None, seed: int) -> Problem:
    """A table's rows to train on and to test on, drawn at random; without `test`, a quarter is left to test on."""
    random = np.random.default_rng([seed, 0])
    if test is None:
        train, test = np.split(random.permutation(train), [3 * len(train) // 4])
    else:
        train, test = random.permutation(train)[: 5 * FLIGHTS // 4], random.permutation(test)[: 5 * FLIGHTS]
    train, held = np.split(train, [len(train) * 4 // 5])
    spread = x[train].std(0)
    x = (x - x[train].mean(0)) / np.where(spread > 0, spread, 1)
    line = HuberRegressor(max_iter=1000).fit(x[train], y[train])
    off = np.abs(y[train] - line.predict(x[train]))
    return _problem(x, y, [train, held, test], scale=1.4826 * float(np.median(off)))


def _problem(x: np.ndarray, y: np.ndarray, parts: list[np.ndarray], scale: float) -> Problem:
    train, held, test = parts
    centre = float(np.median(y[train]))
    x, units = x.astype(np.float32), ((y - centre) / scale).astype(np.float32)[:, None]
    return Problem(x[train], units[train], x[held], units[held], x[test], y[test], centre, scale)


@cache
def _table(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Inputs, targets, and the rows to train on and to test on; no test where the split is left to chance."""
    if name == "diabetes":
        x, y = load_diabetes(return_X_y=True)
        return x, y, np.arange(len(y)), None
    if name == "Engel":
        from statsmodels.datasets import engel

        table = engel.load_pandas().data
        return table[["income"]].to_numpy(), table["foodexp"].to_numpy(), np.arange(len(table)), None
    return read_flights(40_000)
