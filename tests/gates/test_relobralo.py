"""`ReLoBRaLo`: its balance, its steps against the authors' code and paper, and its draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from blendloss._internal.random import LOOK_BACK, uniform
from blendloss.gates._from_values._relobralo import log_balance
from tests.gates.golden.rates import SLOWER
from tests.gates.values import falling, in_training, precise


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_balance_at_its_ends(dtype):
    def balance(now, then, temperature=1e-5, epsilon=1e-12):
        return np.exp(log_balance(tf.constant(now, dtype), tf.constant(then, dtype), temperature, epsilon))

    np.testing.assert_allclose(balance([2.0, 4.0], [1.0, 2.0], epsilon=0.0), [1, 1], rtol=1e-6)
    # Losses 1 + T and 1/2 after 1 and 1/2, T = 2^-17: the quotients are 2^17 + 1 and 2^17, but for the epsilon.
    close = balance([1 + 2.0**-17, 0.5], [1.0, 0.5], temperature=2.0**-17, epsilon=2.0**-40)
    odds = math.exp(1 / (1 + 2.0**-23) - 2.0**-6 / (1 + 2.0**-23) + 2.0**-5 / (1 + 2.0**-22))
    np.testing.assert_allclose(close, [2 * odds / (1 + odds), 2 / (1 + odds)], rtol=1e-6)
    np.testing.assert_allclose(balance([2.0, 1.0], [1.0, 1.0]), [2, 0], rtol=1e-6)
    np.testing.assert_allclose(balance([1e30, 1.0], [0.0, 1.0]), [2, 0], rtol=1e-6)
    np.testing.assert_allclose(balance([0.0, 1.0], [0.0, 1.0], epsilon=0.0), [1, 1], rtol=1e-6)
    np.testing.assert_allclose(balance([3.0], [1.0]), [1], rtol=1e-6)


#: By the authors' code, commit b3c76d2b, and by the paper's equation, in float64; seed 2 at 1/2 draws 1, 1, 1, 0, 1, 0.
BALANCED = {
    "paper": [
        [1, 1, 1],
        [0.784180785263931, 0.563409304131565, 1.6524099106045],
        [0.536304280784867, 1.61248363902886, 0.85121208018627],
        [0.231072546001307, 0.609517718388024, 2.15940973561067],
        [0.962384962274269, 0.553971808725031, 1.4836432290007],
        [0.502686494795595, 0.14178456820755, 2.35552893699685],
    ],
    "code": [
        [1, 1, 1],
        [0.568361570527862, 0.126818608263131, 2.30481982120901],
        [0.428394673416832, 1.39418829109465, 1.17741703548852],
        [0.149091961773633, 1.47867612649047, 1.3722319117359],
        [0.921394670160433, 0.988551012776254, 1.09005431706331],
        [0.644619162902209, 0.391994936226743, 1.96338590087105],
    ],
}


@pytest.mark.parametrize("form", BALANCED)
def test_relobralo_step_by_step(form):
    weights = in_training(precise(gates.ReLoBRaLo(0.5, 0.1, 0.5, seed=2, form=form)), SLOWER)
    np.testing.assert_allclose(weights, BALANCED[form], rtol=1e-12)


def test_relobralo_that_never_looks_back_is_a_running_mean():
    losses, weights = falling(3, 9), np.ones(3)
    found = in_training(precise(gates.ReLoBRaLo(0.7, 0.5, 1.0, seed=0)), losses)
    for before, now, given in zip(losses, losses[1:], found[1:], strict=False):
        share = np.exp(now / before / 0.5)
        weights = 0.7 * weights + 0.3 * 3 * share / share.sum()
        np.testing.assert_allclose(given, weights, rtol=1e-10)  # epsilon is 1e-12 of losses of 0.2 and more


def test_lookbacks_are_as_frequent_as_asked():
    steps = tf.range(4000, dtype=tf.int64)

    @tf.function
    def draw(steps):
        return tf.map_fn(lambda step: uniform([1], 3, step, tf.float64, LOOK_BACK)[0], steps, tf.float64)

    drawn = draw(steps)
    for expected in (0.5, 0.9, 0.99):
        # Four standard errors.
        assert abs(np.mean(drawn < expected) - expected) < 4 * math.sqrt(expected * (1 - expected) / 4000)
    assert np.corrcoef(drawn[:-1], drawn[1:])[0, 1] < 4 / math.sqrt(4000)


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: gates.ReLoBRaLo(1.5, seed=0), ValueError, "alpha"),
        (lambda: gates.ReLoBRaLo(temperature=0, seed=0), ValueError, "temperature"),
        (lambda: gates.ReLoBRaLo(expected_rho=-0.1, seed=0), ValueError, "expected_rho"),
        (lambda: gates.ReLoBRaLo(seed=0.5), TypeError, "seed"),
        (lambda: gates.ReLoBRaLo(seed=0, form="jinns"), ValueError, "form"),
        (lambda: gates.ReLoBRaLo(seed=0, epsilon=-1), ValueError, "epsilon"),
    ],
)
def test_a_bad_argument_is_named(make, error, name):
    with pytest.raises(error, match=f"`{name}` must"):
        make()
