"""Every argument of every gate, given wrongly, is named."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendloss import gates
from blendloss.gates import families, normalizers, regularizers, statistics
from tests.naming import id_of

_NO_NUMBER = st.one_of(st.text(), st.none(), st.booleans(), st.complex_numbers(), st.binary())
_NO_NUMBERS = st.one_of(_NO_NUMBER, st.floats(), st.lists(_NO_NUMBER, min_size=1, max_size=3))
_NOT_FINITE = st.sampled_from([math.nan, math.inf, -math.inf])
_NOT_POSITIVE = st.one_of(st.floats(max_value=0), _NOT_FINITE)
_NEGATIVE = st.one_of(st.floats(max_value=-1e-300), _NOT_FINITE)
_UNORDERED: st.SearchStrategy[Any] = st.one_of(
    st.just([]), st.just([1.0, 1.0]), st.just([1.0, 3.0, 2.0]), _NOT_FINITE.map(lambda x: [x])
)
_MEAN = statistics.MeanAbsolute()
ARGUMENTS: list[tuple[Any, ...]] = [  # factory, argument, wrong types, wrong values
    (gates.Fixed, "weights", _NO_NUMBERS, st.one_of(st.lists(_NEGATIVE, min_size=1, max_size=3), st.just([0.0, 0]))),
    (
        gates.Manual,
        "initial",
        _NO_NUMBERS.filter(lambda x: x is not None),
        st.one_of(st.lists(_NEGATIVE, min_size=1, max_size=3), st.just([0.0, 0])),
    ),
    (gates.Learned, "initial", _NO_NUMBERS.filter(lambda x: x is not None), _NOT_FINITE.map(lambda x: [1, x])),
    (gates.Learned, "normalize", st.one_of(st.booleans(), st.complex_numbers(), st.binary()), st.text()),
    (gates.Learned, "regularizers", st.one_of(_NO_NUMBER, st.lists(_NO_NUMBER, min_size=1)), None),
    (regularizers.Entropy, "coefficient", _NO_NUMBER, _NOT_FINITE),
    (regularizers.LoadBalance, "coefficient", _NO_NUMBER, _NOT_FINITE),
    (regularizers.SwitchLoadBalance, "coefficient", _NO_NUMBER, _NOT_FINITE),
    (
        lambda **a: regularizers.KL(**{"coefficient": 1, **a}),
        "prior",
        _NO_NUMBERS,
        st.one_of(st.lists(st.floats(max_value=0), min_size=1), st.just([0.5, 0.6]), _NOT_FINITE.map(lambda x: [x])),
    ),
    (
        normalizers.RunningMean,
        "memory",
        _NO_NUMBER,
        st.one_of(st.floats(max_value=1, exclude_max=True), _NOT_FINITE),
    ),
    (normalizers.Likelihood, "scale", _NO_NUMBER.filter(lambda x: x is not None), _NOT_POSITIVE),
    (gates.Uncertainty, "form", st.one_of(st.none(), st.floats()), st.one_of(st.text(), st.just(["geometric", "l2"]))),
    (gates.Uncertainty, "initial", _NO_NUMBERS.filter(lambda x: not isinstance(x, float)), _NOT_FINITE),
    (gates.Scheduled, "schedule", _NO_NUMBER, _NOT_FINITE),
    (gates.Plateau, "monitor", _NO_NUMBER.filter(lambda x: not isinstance(x, str)), st.just("")),
    *(
        (make, name, wrong, out)
        for make in (lambda **a: gates.Plateau("m", **a), lambda **a: gates.Threshold("m", [1.0], **a))
        for name, wrong, out in (
            ("patience", st.one_of(_NO_NUMBER, st.floats()), st.integers(max_value=0)),
            ("cooldown", st.one_of(_NO_NUMBER, st.floats()), st.integers(max_value=-1)),
        )
    ),
    (lambda **a: gates.Plateau("m", **a), "min_delta", _NO_NUMBER, _NEGATIVE),
    (lambda **a: gates.Plateau("m", **a), "cyclic", st.sampled_from([1, None, "yes"]), None),
    (lambda **a: gates.Plateau("m", **a), "direction", None, _NO_NUMBERS),
    (lambda **a: gates.Threshold("m", **a), "thresholds", _NO_NUMBERS, _UNORDERED),
    (lambda **a: gates.Threshold("m", [1.0], **a), "hysteresis", _NO_NUMBER, _NEGATIVE),
    (lambda **a: gates.Threshold("m", [1.0], **a), "returns", st.sampled_from([1, None, "yes"]), None),
    (lambda **a: gates.Threshold("m", [1.0], **a), "direction", None, _NO_NUMBERS),
    (lambda **a: gates.ResidualState(**{"thresholds": [1.0], "width": 1, **a}), "statistic", _NO_NUMBERS, None),
    (lambda **a: gates.ResidualState(_MEAN, width=1, **a), "thresholds", _NO_NUMBERS, _UNORDERED),
    (lambda **a: gates.ResidualState(_MEAN, [1.0], **a), "width", _NO_NUMBER, _NOT_POSITIVE),
    (lambda **a: gates.ResidualState(_MEAN, [1.0], width=1, **a), "direction", None, _NO_NUMBERS),
    (
        lambda **a: gates.ResidualState(_MEAN, [1.0], width=1, **a),
        "memory",
        _NO_NUMBER,
        st.one_of(st.floats(max_value=1, exclude_max=True), _NOT_FINITE),
    ),
    (gates.ByResidual, "thresholds", _NO_NUMBERS, st.one_of(_UNORDERED, st.just([0.0, 1.0]))),
    (
        lambda **a: gates.ByResidual([1.0], **a),
        "width",
        _NO_NUMBER.filter(lambda x: x is not None),
        _NOT_POSITIVE,
    ),
    (lambda **a: gates.ByResidual([1.0], **a), "continuous", st.sampled_from([1, None, "yes"]), None),
    (lambda **a: gates.Bayesian(families.Dirichlet(), seed=0, **a), "examples", _NO_NUMBER, _NOT_POSITIVE),
    (lambda **a: gates.Bayesian(families.Dirichlet(), examples=9, **a), "seed", st.floats(), st.just(2**64)),
    (gates.Network, "network", _NO_NUMBERS, None),
    (families.Dirichlet, "concentration", _NO_NUMBERS.filter(lambda x: not isinstance(x, float)), _NOT_POSITIVE),
    (families.LogisticNormal, "scale", _NO_NUMBERS.filter(lambda x: not isinstance(x, float)), _NOT_POSITIVE),
    (gates.GradNorm, "alpha", _NO_NUMBER, _NEGATIVE),
    (gates.GradNorm, "form", None, _NO_NUMBERS),
    (gates.GradNorm, "relative_to", None, _NO_NUMBERS),
    (
        gates.GradNorm,
        "initial_losses",
        _NO_NUMBERS.filter(lambda x: x is not None),
        _NOT_POSITIVE.map(lambda x: [x, 1.0]),
    ),
    (gates.GradNorm, "variables", st.one_of(st.floats(), st.just([]), st.just([1])), st.just("trunk")),
    (gates.LRAnnealing, "form", None, _NO_NUMBERS),
    (gates.LRAnnealing, "reference", st.one_of(st.floats(), st.booleans()), st.integers(max_value=-1)),
    (gates.LRAnnealing, "momentum", _NO_NUMBER, st.one_of(_NEGATIVE, st.floats(min_value=1))),
    (gates.LRAnnealing, "every", st.one_of(_NO_NUMBER, st.floats()), st.integers(max_value=0)),
    (gates.LRAnnealing, "task_specific", None, _NO_NUMBERS.filter(lambda x: x is not None)),
    (gates.NTK, "form", None, _NO_NUMBERS),
    (lambda **a: gates.NTK(seed=0, **a), "probes", st.floats(), st.integers(max_value=0)),
    (lambda **a: gates.NTK(probes=1, **a), "seed", st.floats(), st.just(2**64)),
    (gates.NTK, "momentum", _NO_NUMBER, st.one_of(_NEGATIVE, st.floats(min_value=1))),
    (lambda **a: gates.GradDrop(seed=0, **a), "leak", _NO_NUMBER, st.one_of(_NEGATIVE, st.floats(1, exclude_min=True))),
    (gates.GradDrop, "seed", st.one_of(st.none(), st.floats()), st.just(2**64)),
    (gates.MGDA, "normalize", None, _NO_NUMBERS.filter(lambda x: x is not None)),
    (gates.CAGrad, "c", _NO_NUMBER, _NEGATIVE),
    (gates.CAGrad, "rescale", None, st.one_of(st.floats(), st.booleans(), st.integers(min_value=3))),
    (gates.FairGrad, "alpha", _NO_NUMBER, _NOT_POSITIVE),
    (gates.FairGrad, "max_norm", _NO_NUMBER.filter(lambda x: x is not None), _NOT_POSITIVE),
    (gates.NashMTL, "max_norm", _NO_NUMBER.filter(lambda x: x is not None), _NOT_POSITIVE),
    (gates.AlignedMTL, "scale", None, _NO_NUMBERS),
    (gates.AlignedMTL, "tolerance", _NO_NUMBER.filter(lambda x: x is not None), _NOT_POSITIVE),
    (gates.AlignedMTL, "preference", _NO_NUMBERS.filter(lambda x: x is not None), _NEGATIVE.map(lambda x: [x, 1.0])),
    (gates.ConFIG, "length", None, _NO_NUMBERS),
    (gates.ConFIG, "preference", _NO_NUMBERS.filter(lambda x: x is not None), _NEGATIVE.map(lambda x: [x, 1.0])),
    (gates.UPGrad, "preference", _NO_NUMBERS.filter(lambda x: x is not None), st.just([0.0, 0.0])),
    (gates.PCGrad, "seed", st.floats(), st.one_of(st.none(), st.just(2**64))),
    (lambda **a: gates.PCGrad(seed=0, **a), "reduction", None, _NO_NUMBERS),
    (
        lambda **a: gates.GradVac(seed=0, **a),
        "beta",
        _NO_NUMBER,
        st.one_of(_NOT_POSITIVE, st.floats(1, exclude_min=True)),
    ),
    (lambda **a: gates.GradVac(seed=0, **a), "follow", None, _NO_NUMBERS),
    (gates.GradVac, "seed", st.one_of(st.none(), st.floats()), st.just(2**64)),
    (statistics.QuantileAbsolute, "level", _NO_NUMBER, st.one_of(_NOT_POSITIVE, st.floats(min_value=1))),
    (statistics.OutlierShare, "cutoff", _NO_NUMBER, _NOT_POSITIVE),
    (statistics.Stagnation, "ratio", _NO_NUMBER, st.one_of(st.floats(max_value=1), _NOT_FINITE)),
    (statistics.Stagnation, "statistic", _NO_NUMBERS.filter(lambda x: x is not None), None),
]


@pytest.mark.parametrize(
    ("make", "name", "wrong_type", "wrong_value"),
    ARGUMENTS,
    ids=[f"{id_of(a[0]) or a[0].__name__}-{a[1]}" for a in ARGUMENTS],
)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_bad_argument_is_named(make, name, wrong_type, wrong_value, data):
    for strategy, error in ((wrong_type, TypeError), (wrong_value, ValueError)):
        if strategy is not None:
            with pytest.raises(error, match=rf"`{name}(\[\d+\])?`.* must"):
                make(**{name: data.draw(strategy)})
