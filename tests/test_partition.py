"""Partition functions against closed forms, from narrow cores to tails that barely fall."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from blendloss import losses
from blendloss._likelihood.partition import Partition, log_partition_alone
from blendloss.losses._math.quadrature import tail

# The rule's own error is about 1e-11, the closed forms' rounding less.
TOLERANCE = 1e-9


def student(nu):
    """(1 + r^2 / nu)^(-(nu + 1) / 2): Cauchy's penalty of scale sqrt(nu), (nu + 1) / nu times."""
    log_z = 0.5 * math.log(nu * math.pi) + special.gammaln(nu / 2) - special.gammaln((nu + 1) / 2)
    return losses.Cauchy(math.sqrt(nu)), (nu + 1) / nu, log_z


def huber(delta):
    core, tails = math.sqrt(2 * math.pi) * math.erf(delta / math.sqrt(2)), 2 * math.exp(-(delta**2) / 2) / delta
    return losses.Huber(delta), 1.0, math.log(core + tails)


CLOSED_FORMS = {
    **{
        f"normal-{g:g}": (losses.SquaredError(), g, 0.5 * math.log(math.pi / g))
        for g in (1e-18, 1e-6, 1.0, 1e6, 1e12, 1e18)
    },
    **{f"laplace-{g:g}": (losses.AbsoluteError(), g, math.log(2 / g)) for g in (1e-18, 1.0, 1e9)},
    "sech": (losses.LogCosh(), 1.0, math.log(math.pi)),
    "logistic": (losses.LogCosh(2.0), 0.5, math.log(4.0)),  # sech^2(r / 2): rho = 4 log cosh(r / 2)
    **{f"student-{nu:g}": student(nu) for nu in (0.05, 0.1, 1.0, 3.0, 30.0)},
    **{f"huber-{delta:g}": huber(delta) for delta in (1e-3, 0.5, 1.345, 10.0)},
    "epsilon-insensitive": (losses.EpsilonInsensitive(0.4), 2.0, math.log(0.8 + 2 / 2)),
    "quantile": (losses.Quantile(0.8), 2.0, math.log(1 / 1.6 + 1 / 0.4)),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_forms(name):
    penalty, weight, expected = CLOSED_FORMS[name]
    found = Partition([penalty]).log_partition(tf.constant([weight], tf.float64))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


# Barron 2019's table, as tested by its authors, to 9 decimals.
BARRON = {
    1 / 7: 4.080330073, 1 / 5: 3.984791180, 1 / 3: 3.808203509, 3 / 7: 3.706553276, 3 / 5: 3.553489270,
    3 / 4: 3.439385624, 1.0: 3.272306973, 5 / 4: 3.119044506, 7 / 5: 3.028084866, 8 / 5: 2.901059987,
    7 / 4: 2.794052016, 5 / 2: 2.218882601, 3.0: 2.153202857, 7 / 2: 2.121140098, 9 / 2: 2.089161164,
    7.0: 2.059929623, 10 / 3: 2.129863884, 13 / 3: 2.092928254, 16 / 3: 2.075212740, 17 / 3: 2.071185791,
    15 / 2: 2.056990258,
}  # fmt: skip


@pytest.mark.parametrize("alpha", BARRON, ids="{:.3g}".format)
def test_barrons_table(alpha):
    # The table is rounded to half a unit of 1e-9.
    assert abs(math.exp(log_partition_alone("barron", losses.Barron(alpha))) - BARRON[alpha]) < 1.5e-9


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(0.0, math.log(math.pi * math.sqrt(2))), (2.0, 0.5 * math.log(2 * math.pi)), (math.inf, 0.70526025442)],
)
def test_barrons_limits(alpha, expected):
    assert abs(log_partition_alone("barron", losses.Barron(alpha)) - expected) < 2e-11 + TOLERANCE / 100


def test_a_sum_of_penalties():
    """A Gaussian cut by an exponential: the integral of exp(-r^2 / 2 - a |r|) is a Mills ratio."""
    partition = Partition([losses.SquaredError(math.sqrt(2)), losses.AbsoluteError()])
    expected = math.log(math.sqrt(2 * math.pi) * special.erfcx(3.0 / math.sqrt(2)))
    np.testing.assert_allclose(partition.log_partition([1.0, 3.0]), expected, rtol=0, atol=1e-7)  # float32 weights
    weights = tf.constant([1.0, 3.0], tf.float64)
    np.testing.assert_allclose(partition.log_partition(weights), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_gradient_is_minus_the_mean_and_hessian_the_covariance(jit_compile):
    """Of r^2 under a normal law: mean 1 / (2 g), variance 1 / (2 g^2)."""
    partition = Partition([losses.SquaredError()])

    @tf.function(jit_compile=jit_compile)
    def derivatives(weights):
        with tf.GradientTape() as outer:
            outer.watch(weights)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                value = partition.log_partition(weights)
            gradient = inner.gradient(value, weights)
        return gradient, outer.jacobian(gradient, weights, experimental_use_pfor=False)

    gradient, hessian = derivatives(tf.constant([0.7], tf.float64))
    np.testing.assert_allclose(gradient, [-1 / 1.4], rtol=1e-10)
    np.testing.assert_allclose(hessian, [[1 / (2 * 0.49)]], rtol=1e-10)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (losses.Welsch(), 0.0),
        (losses.Tukey(), 0.0),
        (losses.GemanMcClure(), 0.0),
        (losses.Cauchy(1.5), 2.25),
        (losses.Barron(0.0), 2.0),
        (losses.Huber(), 1e30),
        (losses.Fair(), 1e30),
        (losses.Quantile(0.9), 1e30),
    ],
    ids=lambda value: repr(value),
)
def test_tails(penalty, expected):
    np.testing.assert_allclose(tail(penalty), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("penalty", "reason"),
    [(losses.Welsch(), "rho is bounded"), (losses.Cauchy(), r"rho grows only as 1 log \|r\|")],
    ids=["bounded", "slow"],
)
def test_a_penalty_without_a_finite_integral_is_refused(penalty, reason):
    with pytest.raises(ValueError, match=f"`loss` must have a finite integral.*{reason}"):
        log_partition_alone("loss", penalty)


class Broken(losses.Penalty):
    def _value_and_slope(self, residual):
        return tf.math.log(residual), 1 / residual

    def get_config(self):
        return {}


def test_a_penalty_that_is_not_a_number_is_named():
    with pytest.raises(ValueError, match="must not be NaN at a finite residual. Received: Broken"):
        Partition([Broken()])


def test_can_be_made_while_a_function_is_traced():
    @tf.function
    def value():
        return Partition([losses.AbsoluteError()]).log_partition(tf.constant([1.0], tf.float64))

    np.testing.assert_allclose(value(), math.log(2), rtol=1e-10)
