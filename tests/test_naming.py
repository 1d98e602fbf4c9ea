"""Test ids: what they say of a parameter."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from blendloss import gates, losses
from tests.naming import id_of


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"a": [1.0, None], "b": (True, "x")}, "{'a': [1.0, None], 'b': (True, 'x')}"),
        ([object(), np.zeros(3), gates.Fixed], "[object, ndarray, Fixed]"),
        (gates.MGDA(), "MGDA"),
        (functools.partial(gates.Fixed, [1.0]), "Fixed"),
        (lambda: gates.Tchebycheff(ideal=[float("inf"), 1]), "Tchebycheff"),
        (lambda: losses.m_estimators(convex=bool(1)), "m_estimators"),
        (lambda x: x**2, "lambda"),
        (["x" * 60], "['" + "x" * 45 + "..."),
    ],
)
def test_the_id_says_what_the_parameter_is(value, name):
    assert id_of(value) == name


@pytest.mark.parametrize("value", ["mean", 2, 0.5, None, True, gates.Fixed, np.square])
def test_pytests_own_ids_are_kept(value):
    assert id_of(value) is None
