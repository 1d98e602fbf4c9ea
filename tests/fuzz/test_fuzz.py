"""Hostile inputs end as in Keras, or in our own words; `python -m tests.fuzz --inputs 10000` tries many more."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from tests.fuzz import judge
from tests.fuzz.run import cases, outcomes
from tests.fuzz.subjects import SUBJECTS
from tests.test_contract import ENUMERATIONS, PUBLIC, RECORDS

INPUTS, SEED = 2000, 0


def test_no_input_ends_in_an_obscure_error_in_nan_or_in_silence():
    wrong = [(str(case), *what) for case, *what in outcomes(cases(INPUTS, SEED), SEED) if what[0] in judge.BAD]
    assert not wrong, f"{Counter(outcome for _, outcome, _ in wrong)}: {wrong[:20]}"


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - RECORDS - ENUMERATIONS))
def test_every_exported_name_is_fuzzed(name):
    """By itself or by one of its calls; bases by what derives from them."""
    bases = {"gates.GradientGate": "gates.MGDA", "gates.families.Family": "gates.families.Dirichlet"}
    bases |= {"gates.normalizers.Normalizer": "gates.normalizers.RunningMean"}
    wanted = bases.get(name, name)
    assert any(one == wanted or one.startswith((f"{wanted}.", f"{wanted},", f"{wanted} ")) for one in SUBJECTS)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (AttributeError("'float' object has no attribute 'gradient'"), "obscure class"),
        (OverflowError("int too large to convert to float"), "obscure class"),
        (tf.errors.InvalidArgumentError(None, None, "Incompatible shapes: [5,1] vs. [6,2]"), "obscure class"),
        (TypeError("'float' object is not iterable"), "TensorFlow's words"),
        (ValueError("Attempt to convert a value (None) with an unsupported type"), "TensorFlow's words"),
        (ValueError("`delta` must be positive. Received: delta=-1.0"), "our ValueError"),
        (TypeError("`tape` must be a tf.GradientTape. Received: tape=None"), "our TypeError"),
        (tf.errors.InvalidArgumentError(None, None, "`rate` must not be negative. Received: -1"), "our run-time check"),
    ],
)
def test_errors_are_judged(error, outcome):
    assert judge.of_error(error) == outcome


@pytest.mark.parametrize(
    ("hostile", "must_refuse", "result", "outcome"),
    [
        ("complex", True, tf.constant(1.0), "silence"),
        ("0", False, (tf.constant(1.0), [np.float64("nan")]), "NaN from finite"),
        ("0", False, tf.constant([1.0, float("nan")]), "NaN from finite"),
        ("nan", False, tf.constant(float("nan")), "computed"),
        ("0", False, tf.constant(float("inf")), "computed"),
    ],
)
def test_results_are_judged(hostile, must_refuse, result, outcome):
    assert judge.of_result(hostile, must_refuse, result) == outcome


def test_cases_follow_from_the_seed():
    assert cases(50, 3) == cases(50, 3) != cases(50, 4)
