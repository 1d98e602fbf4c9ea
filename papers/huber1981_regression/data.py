"""The data, which ship with statsmodels and scikit-learn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Data(NamedTuple):
    """Targets `y` and a design `x`, whose last column is the constant."""

    x: np.ndarray
    y: np.ndarray


def stack_loss() -> Data:
    """Brownlee's plant: air flow, water temperature, acid concentration, constant; ammonia lost. 21 days."""
    from statsmodels.datasets import stackloss

    table = stackloss.load_pandas()
    return _with_constant(table.exog[["AIRFLOW", "WATERTEMP", "ACIDCONC"]], table.endog)


def engel() -> Data:
    """235 Belgian households of 1857: income, constant; what they spend on food. Both in francs."""
    from statsmodels.datasets import engel as module

    table = module.load_pandas().data
    return _with_constant(table[["income"]], table["foodexp"])


def contaminated() -> Data:
    """The example in the docstring of `sklearn.linear_model.HuberRegressor`: 4 of 200 points are far off."""
    from sklearn.datasets import make_regression

    x, y = make_regression(n_samples=200, n_features=2, noise=4.0, random_state=0)
    draws = np.random.RandomState(0)
    x[:4] = draws.uniform(10, 20, (4, 2))
    y[:4] = draws.uniform(10, 20, 4)
    return _with_constant(x, y)


def _with_constant(x: np.ndarray, y: np.ndarray) -> Data:
    return Data(np.column_stack([x, np.ones(len(x))]).astype(float), np.asarray(y, float))
