"""The look-ahead gradient: DARTS's example, finite differences, closed forms, every regime."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

RNG = np.random.default_rng(0)
X = tf.constant(RNG.normal(size=(6, 3)))
Y = tf.constant(RNG.normal(size=(6, 2)) * 2)
X_HELD_OUT = tf.constant(RNG.normal(size=(5, 3)))
Y_HELD_OUT = tf.constant(RNG.normal(size=(5, 2)))
H = 1e-6


# DARTS's example (Liu et al. 2019, figure 2): T = a w - 2 a + 1, L = w^2 - 2 a w + a^2, from (a, w) = (2, -2)


def darts(a, w, rate, order, learning_rate=0.05):
    [h] = bl.look_ahead_gradient(
        lambda w: w[0] ** 2 - 2 * a * w[0] + a**2,
        lambda w: a * w[0] - 2 * a + 1,
        parameters=[w],
        gate_variables=[a],
        rate=rate,
        order=order,
    )
    slope = 2 * (w - a)
    a.assign_sub(learning_rate * h)
    w.assign_sub(learning_rate * slope)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("rate", [0, 0.1, 0.2, 0.5])
def test_darts_example_ends_where_theory_says(rate, order):
    a, w = tf.Variable(2.0, dtype=tf.float64), tf.Variable(-2.0, dtype=tf.float64)
    step = tf.function(lambda: darts(a, w, rate, order))
    for _ in range(2000):
        step()
    # At rest w = a, and h = w - 2 + 2 rate a = 0 (the orders differ in h only by what is 0 where w = a).
    np.testing.assert_allclose([float(a), float(w)], 2 / (1 + 2 * rate), rtol=1e-9)


# Against finite differences, on a network of two layers


class Problem:
    """A small network, its blend, and T(w') as a plain function of the gate's logits."""

    def __init__(self, mode=None, rate=0.3, losses=None, logits=(0.1, -0.2, 0.05), direct=False):
        losses = losses or {"huber": bl.losses.Huber(0.7), "mse": bl.losses.SquaredError(), "mae": "log_cosh"}
        self.blend = bl.Blend(losses, bl.gates.Learned(list(logits), dtype="float64"), mode)
        rng = np.random.default_rng(1)
        self.w = [tf.Variable(rng.normal(size=shape)) for shape in ((3, 4), (4, 2))]
        self.rate, self.direct = rate, direct

    def network(self, w, x):
        return tf.tanh(x @ w[0]) @ w[1]

    def loss(self, w):
        return self.blend(Y, self.network(w, X), step=0)

    def target(self, w):
        value = tf.reduce_mean(tf.sqrt(1 + (Y_HELD_OUT - self.network(w, X_HELD_OUT)) ** 2))
        return value * tf.exp(0.3 * self.blend.gate.logits[0]) if self.direct else value

    def gradient(self, order=2, rate=None):
        rate = self.rate if rate is None else rate
        variables = [self.blend.gate.logits]
        return bl.look_ahead_gradient(self.loss, self.target, self.w, variables, rate=rate, order=order)[0]

    def ahead(self, logits):
        """T(w') by its definition."""
        self.blend.gate.logits.assign(logits)
        with tf.GradientTape() as tape:
            loss = self.loss(self.w)
        slopes = tape.gradient(loss, self.w)
        return float(self.target([w - self.rate * slope for w, slope in zip(self.w, slopes, strict=True)]))


def finite_differences(function, at):
    shifts = H * np.eye(len(at))
    return np.array([(function(at + shift) - function(at - shift)) / (2 * H) for shift in shifts])


MODES = {
    "softmax": bl.modes.Soft(),
    "sparsemax": bl.modes.Soft(bl.modes.sparsemax),
    "entmax15": bl.modes.Soft(bl.modes.entmax15),
    "concrete": bl.modes.Annealed(0.7, seed=5),
}


@pytest.mark.parametrize("direct", [False, True], ids=["", "direct"])
@pytest.mark.parametrize("mode", MODES)
def test_order_two_is_the_derivative(mode, direct):
    problem = Problem(MODES[mode], direct=direct)
    at = problem.blend.gate.logits.numpy()
    found = problem.gradient()
    # Central differences in float64 with h = 1e-6: rounding 1e-16 / 1e-6 and truncation 1e-12, of numbers near 1.
    np.testing.assert_allclose(found, finite_differences(problem.ahead, at), rtol=1e-6, atol=1e-9)


def test_every_loss_has_the_right_second_derivative():
    losses = {
        "absolute": bl.losses.AbsoluteError(),
        "pseudo-huber": bl.losses.PseudoHuber(0.7),
        "log-cosh": bl.losses.LogCosh(0.7),
        "cauchy": bl.losses.Cauchy(0.7),
        "geman-mcclure": bl.losses.GemanMcClure(0.7),
        "welsch": bl.losses.Welsch(1.3),
        "tukey": bl.losses.Tukey(4.0),
        "fair": bl.losses.Fair(0.7),
        "quantile": bl.losses.Quantile(0.3),
        "barron": bl.losses.Barron(-1.5, 0.7),
        "keras": "mean_squared_error",
        "callable": lambda y_true, y_pred: tf.reduce_mean(tf.sin(y_true - y_pred), axis=-1),
    }
    problem = Problem(losses=losses, logits=np.linspace(-0.5, 0.5, len(losses)))
    at = problem.blend.gate.logits.numpy()
    np.testing.assert_allclose(problem.gradient(), finite_differences(problem.ahead, at), rtol=1e-6, atol=1e-9)


def test_weight_of_a_loss_that_is_off_has_its_derivative_too():
    """In g itself: h_k = -rate <dl_k/dw, dT/dw(w')>, whether g_k is 0 or not."""
    problem = Problem()
    weights = tf.Variable([1.0, 0.0, 0.0], dtype=tf.float64)
    gate: Any = problem.blend.gate
    gate.gating = lambda context: bl.gates.Gating(tf.zeros([3], tf.float64), 3 * weights)
    [found] = bl.look_ahead_gradient(problem.loss, problem.target, problem.w, [weights], rate=0.3)
    expected = []
    for k in range(3):
        weights.assign(np.eye(3)[k])
        with tf.GradientTape() as tape:
            loss = problem.loss(problem.w)
        expected.append(tape.gradient(loss, problem.w))
    ahead = [w - 0.3 * slope for w, slope in zip(problem.w, expected[0], strict=True)]
    with tf.GradientTape() as tape:
        tape.watch(ahead)
        value = problem.target(ahead)
    towards = tape.gradient(value, ahead)
    inner = [sum(float(tf.reduce_sum(a * b)) for a, b in zip(of_loss, towards, strict=True)) for of_loss in expected]
    np.testing.assert_allclose(found, -0.3 * np.array(inner), rtol=1e-12)


def test_loss_that_is_off_and_not_finite_neither_attracts_nor_repels():
    def broken(y_true, y_pred):
        return tf.reduce_mean(tf.math.log(tf.abs(y_pred) * 0), axis=-1)

    losses = {"mse": bl.losses.SquaredError(), "broken": broken}
    problem = Problem(bl.modes.Soft(bl.modes.sparsemax), losses=losses, logits=(3.0, 0.0))
    np.testing.assert_array_equal(problem.gradient(), [0.0, 0.0])


def test_order_one_is_the_limit_of_small_rates():
    problem = Problem()
    one = problem.gradient(1, 1.0).numpy()
    np.testing.assert_allclose(problem.gradient(1, 1e-2) / 1e-2, one, rtol=1e-12)
    off = [np.abs(problem.gradient(2, rate).numpy() / rate - one).max() for rate in (1e-3, 1e-4)]
    # h is off by O(rate^2), h / rate by O(rate): ten times less, up to the next power.
    assert 0 < off[0] < 0.1 * np.abs(one).max()
    np.testing.assert_allclose(off[0] / off[1], 10.0, rtol=1e-2)


def test_straight_through_weights_pass_the_hypergradient_of_the_weights_on():
    """`Hard()` is, backwards, softmax: h_z = J h_g, with h_g at the one-hot weights."""
    problem = Problem(bl.modes.Hard(), logits=(0.5, 0.1, -0.3))
    found = problem.gradient()
    one_hot = Problem(logits=(0.5, 0.1, -0.3))
    weights = tf.Variable([1.0, 0.0, 0.0], dtype=tf.float64)
    gate: Any = one_hot.blend.gate
    gate.gating = lambda context: bl.gates.Gating(tf.zeros([3], tf.float64), 3 * weights)
    [of_weights] = bl.look_ahead_gradient(one_hot.loss, one_hot.target, one_hot.w, [weights], rate=0.3)
    soft = tf.nn.softmax(tf.constant([0.5, 0.1, -0.3], tf.float64)).numpy()
    np.testing.assert_allclose(found, (np.diag(soft) - np.outer(soft, soft)) @ np.array(of_weights), rtol=1e-10)


# Regimes


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_graph_and_xla_give_the_same(compiled, order):
    problem = Problem()
    rate = tf.Variable(0.3)
    traced = tf.function(lambda: problem.gradient(order, rate), jit_compile=compiled)
    for value in (0.3, 0.1):
        rate.assign(value)
        np.testing.assert_allclose(traced(), problem.gradient(order, float(rate.numpy())), rtol=1e-12)
    assert traced.experimental_get_tracing_count() == 1


def test_parameters_and_gate_may_be_tensors():
    w, a = tf.constant(1.0), tf.constant(0.5)
    [h] = bl.look_ahead_gradient(lambda w: a * w[0] ** 2, lambda w: w[0] ** 2, [w], [a], rate=0.25)
    assert float(h) == -0.75


def test_embeddings():
    table, a = tf.Variable(RNG.normal(size=(4, 2))), tf.Variable(0.5, dtype=tf.float64)

    def of(rows):
        return lambda w: a * tf.reduce_sum(tf.gather(w[0], rows) ** 2)

    [h] = bl.look_ahead_gradient(of([0, 1, 1]), lambda w: of([1, 2])(w) / a, [table], [a], rate=0.1)
    # Row 1 counts twice: w' = (1 - 4 rate a) w, and h = -4 rate w 2 w'.
    np.testing.assert_allclose(h, -0.8 * 0.8 * (table.numpy()[1] ** 2).sum(), rtol=1e-12)


def test_variable_without_influence_has_no_gradient():
    a, idle = tf.Variable(0.5), tf.Variable(1.0)
    h = bl.look_ahead_gradient(lambda w: a * w[0] ** 2, lambda w: w[0] ** 2, [tf.constant(1.0)], [a, idle], rate=0.25)
    assert h[1] is None


# Mistakes


def quadratic(**named):
    a = tf.Variable(0.5)
    arguments = {
        "loss": lambda w: a * w[0] ** 2,
        "target": lambda w: w[0] ** 2,
        "parameters": [tf.constant(1.0)],
        "gate_variables": [a],
        "rate": 0.1,
        **named,
    }
    return bl.look_ahead_gradient(**arguments)


@pytest.mark.parametrize("order", [1, 2])
def test_rate_zero_raises_where_nothing_would_ever_train(order):
    with pytest.raises(ValueError, match="the gate would never train"):
        quadratic(rate=0, order=order)


def test_loss_without_the_gate_raises():
    with pytest.raises(ValueError, match="the gate would never train"):
        quadratic(loss=lambda w: w[0] ** 2)


def test_rate_tensor_of_zero_is_a_gradient_of_zero():
    assert float(quadratic(rate=tf.constant(0.0))[0]) == 0.0


def test_negative_rate_raises():
    with pytest.raises(ValueError, match="`rate` must not be negative"):
        quadratic(rate=-0.1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`rate` must not be negative"):
        quadratic(rate=tf.constant(-0.1))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"order": 3}, "`order` must be one of"),
        ({"parameters": []}, "must not be empty"),
        ({"gate_variables": []}, "must not be empty"),
    ],
)
def test_wrong_arguments(named, message):
    with pytest.raises(ValueError, match=message):
        quadratic(**named)
