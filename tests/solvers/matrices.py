"""Gradients of many kinds, for the tests of solvers."""

from __future__ import annotations

import numpy as np
import pytest

SIZES = [1, 2, 3, 5, 11, 40]
KINDS = ["random", "dependent", "conflicting", "scaled", "repeated"]
#: Sums of up to 40 products in float64, some steps of which were refined from such sums.
ROUNDING = 256 * 2.0**-52


def gradients_of(kind, k, seed=0):
    """`[K, D]`: independent, of rank K/2, nearly cancelling, of lengths from 1e-8 to 1e8, or in equal pairs."""
    random = np.random.default_rng(100 * seed + k)
    rows = random.normal(size=(k, 48))
    if kind == "dependent":
        return rows[:, : max(1, k // 2)]
    if kind == "conflicting":
        return rows - 0.99 * rows.mean(axis=0)
    if kind == "scaled":
        return rows * 10 ** random.uniform(-8, 8, (k, 1))
    if kind == "repeated":
        return rows[np.arange(k) // 2]
    return rows


def gram_of(rows):
    return rows @ rows.T


def lengths_of(rows):
    return np.linalg.norm(rows, axis=1)


over_sizes = pytest.mark.parametrize("k", SIZES)
