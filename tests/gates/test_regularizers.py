"""Regularizers of the shares: closed forms, limits, gradients, averages over examples and replicas, regimes."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import modes
from blendloss.gates import regularizers
from tests.gates import golden

PRIOR = [0.5, 0.3, 0.2]
REGULARIZERS = {
    "entropy": lambda coefficient=1.0: regularizers.Entropy(coefficient),
    "kl": lambda coefficient=1.0: regularizers.KL(PRIOR, coefficient),
    "load-balance": lambda coefficient=1.0: regularizers.LoadBalance(coefficient),
    "switch-load-balance": lambda coefficient=1.0: regularizers.SwitchLoadBalance(coefficient),
}
every_regularizer = pytest.mark.parametrize("make", REGULARIZERS.values(), ids=list(REGULARIZERS))
SHAPES = [(3,), (5, 3), (2, 4, 3)]
EPS = 2.0**-23


def shares_of(shape):
    return np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=shape[:-1])


# Values


@pytest.mark.parametrize("row", golden.REGULARIZERS, ids=lambda row: row.id)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden(row, dtype):
    value = row.make()(tf.constant(row.shares, dtype))
    assert value.dtype == dtype
    # Logarithms, products and a mean of numbers of about 1: a dozen roundings.
    np.testing.assert_allclose(value, row.value, rtol=0, atol=12 * (EPS if dtype == "float32" else 2.0**-52))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_limits_at_equal_shares_and_at_one_loss_alone(k):
    equal, alone = np.full(k, 1 / k), np.eye(k)[0]
    for make, at_equal, at_alone in (
        (lambda: regularizers.Entropy(1.0), -math.log(k), 0.0),
        (lambda: regularizers.KL([1 / k] * k, 1.0), 0.0, math.log(k)),
        (lambda: regularizers.LoadBalance(1.0), 0.0, k - 1),
        (lambda: regularizers.SwitchLoadBalance(1.0), 1.0, k),
    ):
        for shares, expected in ((equal, at_equal), (alone, at_alone)):
            np.testing.assert_allclose(make()(shares), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_closed_forms_over_all_axes_but_the_last(shape):
    shares = shares_of(shape)
    rows = shares.reshape(-1, 3)
    means = rows.mean(axis=0)
    chosen = np.bincount(rows.argmax(axis=1), minlength=3) / len(rows)
    for name, expected in {
        "entropy": (rows * np.log(rows)).sum(axis=1).mean(),
        "kl": (rows * np.log(rows / PRIOR)).sum(axis=1).mean(),
        "load-balance": 3 * (means**2).sum() - 1,  # for shares that sum to 1
        "switch-load-balance": 3 * (chosen * means).sum(),
    }.items():
        np.testing.assert_allclose(REGULARIZERS[name]()(shares), expected, rtol=1e-12, atol=1e-14, err_msg=name)


def test_kl_with_an_equal_prior_is_entropy_and_a_constant():
    shares = shares_of((7, 3))
    divergence = regularizers.KL([1 / 3] * 3, 0.75)(shares)
    np.testing.assert_allclose(divergence, regularizers.Entropy(0.75)(shares) + 0.75 * math.log(3), rtol=1e-12)


def test_switch_divides_a_tie_among_those_who_tie():
    shares = np.array([[0.4, 0.4, 0.2], [0.2, 0.3, 0.5]])
    means = shares.mean(axis=0)
    value = regularizers.SwitchLoadBalance(1.0)(shares)
    np.testing.assert_allclose(value, 3 * (means @ [0.25, 0.25, 0.5]), rtol=1e-14)


def test_balance_leaves_each_example_free_where_entropy_does_not():
    shares = tf.constant(np.eye(3)[[0, 1, 2]])
    assert float(regularizers.LoadBalance(1.0)(shares)) == 0.0  # the least it can be
    assert float(regularizers.Entropy(1.0)(shares)) == 0.0  # the most: log 3 above its least


# Coefficients


@every_regularizer
@pytest.mark.parametrize("coefficient", [-2.5, 0.0, 3.0])
def test_the_coefficient_is_a_factor_of_either_sign(make, coefficient):
    shares = shares_of((4, 3))
    np.testing.assert_allclose(make(coefficient)(shares), coefficient * make()(shares), rtol=1e-15)


@every_regularizer
def test_the_coefficient_follows_the_step_in_one_trace(make):
    regularizer, shares = make(bl.schedules.linear(2.0, 0.0, steps=10)), tf.constant(shares_of((4, 3)))
    assert regularizer.needs_step
    assert not make().needs_step
    function = tf.function(lambda step: regularizer(shares, step))
    for step in range(12):
        expected = max(2.0 - 0.2 * step, 0.0) * float(make()(shares))
        np.testing.assert_allclose(function(tf.constant(step)), expected, rtol=2 * EPS)  # the schedule's float32
    assert function.experimental_get_tracing_count() == 1
    with pytest.raises(ValueError, match=r"follows the step: pass `step=`. Received: step=None"):
        regularizer(shares)


# Gradients


def finite_differences(function, at, h=1e-6):
    result = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        shift = np.zeros_like(at)
        shift[place] = h
        result[place] = (function(at + shift) - function(at - shift)) / (2 * h)
    return result


@every_regularizer
@pytest.mark.parametrize("relax", [modes.softmax, modes.sparsemax, modes.entmax15], ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_in_the_logits(make, relax, shape):
    logits = np.random.default_rng(0).uniform(-0.2, 0.2, size=shape)  # where all shares are well above 0
    if len(shape) > 1:
        logits[(0,) * len(shape)] = -9.0  # but for one, which the sparse relaxations switch off
    regularizer = make(1.7)

    def value_at(given):
        return float(regularizer(relax(tf.constant(given))))

    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = regularizer(relax(variable))
    # Central differences in float64: |value| eps / h + h^2 |value'''|, about 1e-9.
    expected = finite_differences(value_at, logits)
    np.testing.assert_allclose(tape.gradient(value, variable), expected, rtol=0, atol=1e-8)
    assert np.abs(expected).max() > 1e-3


@every_regularizer
def test_second_derivatives(make):
    regularizer = make()
    logits, direction = np.random.default_rng(0).normal(size=(2, 4, 3))

    def slope_at(given):
        variable = tf.Variable(given)
        with tf.GradientTape() as tape:
            value = regularizer(modes.softmax(variable))
        return tape.gradient(value, variable).numpy()

    variable = tf.Variable(logits)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = regularizer(modes.softmax(variable))
        along = tf.reduce_sum(inner.gradient(value, variable) * direction)
    expected = (slope_at(logits + 1e-6 * direction) - slope_at(logits - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(outer.gradient(along, variable), expected, rtol=0, atol=1e-8)


ZERO_SHARES = {
    "softmax": (modes.Soft(), [200.0, 0.0, -200.0]),
    "subnormal": (modes.Soft(), [90.0, 0.0, -1.0]),  # e^-90 is below float32's normal numbers
    "sparsemax": (modes.Soft(modes.sparsemax), [3.0, 0.0, -1.0]),
    "entmax15": (modes.Soft(modes.entmax15), [5.0, 0.0, -1.0]),
    "excluded": (modes.Soft(), [0.5, 0.0, -math.inf]),
    "hard": (modes.Hard(), [0.5, 0.0, -1.0]),
}


@pytest.mark.parametrize("jit_compile", [False, True], ids=["eager", "xla"])
@pytest.mark.parametrize("case", ZERO_SHARES)
def test_shares_of_zero_have_finite_values_and_gradients(jit_compile, case):
    mode, logits = ZERO_SHARES[case]
    made = [make() for make in REGULARIZERS.values()]

    def values_and_gradients(given):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(given)
            values = [regularizer(mode(given, 0)) for regularizer in made]
        return [(value, tape.gradient(value, given)) for value in values]

    function = tf.function(values_and_gradients, jit_compile=True) if jit_compile else values_and_gradients
    for result in tf.nest.flatten(function(tf.constant([logits, logits[::-1]]))):
        assert np.isfinite(result).all()


def test_a_share_of_zero_has_no_gradient_of_its_own():
    shares = tf.Variable([0.25, 0.75, 0.0])
    for make in (lambda: regularizers.Entropy(1.0), lambda: regularizers.KL(PRIOR, 1.0)):
        with tf.GradientTape() as tape:
            value = make()(shares)
        gradient = tape.gradient(value, shares).numpy()
        assert gradient[2] == 0
        assert (gradient[:2] != 0).all()


@pytest.mark.parametrize(("sign", "spreads"), [(1.0, True), (-1.0, False)])
def test_the_entropy_coefficient_spreads_or_sharpens_by_its_sign(sign, spreads):
    logits = tf.Variable([1.0, 0.0])
    with tf.GradientTape() as tape:
        value = regularizers.Entropy(sign)(modes.softmax(logits))
    downhill = -tape.gradient(value, logits).numpy()
    assert (downhill[0] < 0) == spreads


# Ends


@every_regularizer
def test_an_empty_batch_is_zero_and_nan_stays_nan(make):
    assert float(make()(tf.zeros([0, 3]))) == 0.0
    assert np.isnan(make()([[math.nan, 0.5, 0.5], [1.0, 0.0, 0.0]]))


@every_regularizer
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(make, dtype):
    shares = tf.cast(shares_of((1000, 3)), dtype)
    value = make()(shares)
    assert value.dtype == tf.float32
    # Sums of 1,000 float32 numbers of about 1, each rounded once more than in float64.
    np.testing.assert_allclose(value, make()(tf.cast(shares, tf.float64)), rtol=20 * EPS, atol=20 * EPS)


@every_regularizer
def test_every_regime_gives_the_same(make):
    regularizer = make(bl.schedules.linear(1.0, 2.0, steps=10))

    def value_and_gradient(logits, step):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = regularizer(modes.softmax(logits), step)
        return value, tape.gradient(value, logits)

    signature = [tf.TensorSpec([None, 3]), tf.TensorSpec([], tf.int64)]
    logits = np.random.default_rng(0).normal(size=(9, 3))
    arguments = tf.constant(logits, tf.float32), tf.constant(4, tf.int64)
    expected = value_and_gradient(*arguments)
    for jit_compile in (False, True):
        function = tf.function(value_and_gradient, input_signature=signature, jit_compile=jit_compile)
        for found, one in zip(function(*arguments), expected, strict=True):
            np.testing.assert_allclose(found, one, rtol=20 * EPS, atol=20 * EPS)


@pytest.mark.parametrize("name", ["load-balance", "switch-load-balance"])
@pytest.mark.parametrize("sizes", [(4, 4), (5, 3)], ids=str)
def test_balance_is_that_of_all_replicas(name, sizes, replicas):
    """Value and gradient are those of the whole batch on one device, also where the parts differ in size."""
    logits = np.random.default_rng(0).normal(size=(8, 3))
    parts = [logits[: sizes[0]], logits[sizes[0] :]]
    regularizer = REGULARIZERS[name]()

    def value_and_gradient(given):
        with tf.GradientTape() as tape:
            tape.watch(given)
            value = regularizer(modes.softmax(given))
            part = value / tf.distribute.get_strategy().num_replicas_in_sync  # as the blend divides it
        return value, tape.gradient(part, given)

    expected, gradient = value_and_gradient(tf.constant(logits))
    given = replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )
    function = tf.function(lambda values: replicas.run(value_and_gradient, args=(values,)))
    values, gradients = map(replicas.experimental_local_results, function(given))
    # Mean shares below 1 are known to one unit.
    np.testing.assert_allclose(values, [expected] * 2, rtol=0, atol=2.0**-52)
    np.testing.assert_allclose(np.concatenate(gradients), gradient, rtol=1e-12, atol=1e-16)


# In a gate


@every_regularizer
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_cost_is_added_once_with_every_reduction(make, reduction):
    y, p = np.zeros((4, 1), "float32"), np.ones((4, 1), "float32")
    losses = {"a": "mse", "b": "mae", "c": "mse"}
    plain = bl.Blend(losses, bl.gates.Learned([0.3, 0.0, 1.0]), reduction=reduction).compute(y, p, step=0)
    both = bl.gates.Learned([0.3, 0.0, 1.0], regularizers=[make(0.5), make(-0.25)])
    output = bl.Blend(losses, both, reduction=reduction).compute(y, p, step=0)
    expected = 0.25 * float(make()(modes.softmax([0.3, 0.0, 1.0])))
    np.testing.assert_allclose(output.cost, expected, rtol=0, atol=4 * EPS)
    np.testing.assert_allclose(output.value - plain.value, np.full(plain.value.shape, expected), rtol=0, atol=8 * EPS)


def test_a_frozen_gate_still_follows_a_coefficients_step():
    gate = bl.gates.Learned(regularizers=[regularizers.Entropy(bl.schedules.linear(1.0, 0.0, steps=4))])
    gate.trainable = False
    blend = bl.Blend(["a", "b"], gate)
    with pytest.raises(ValueError, match="This blend needs the step"):
        blend.combine({"a": 1.0, "b": 1.0})
    costs = [float(blend.compute_from_values({"a": 1.0, "b": 1.0}, step=step).cost) for step in (0, 2, 4)]
    np.testing.assert_allclose(costs, -math.log(2) * np.array([1, 0.5, 0]), rtol=4 * EPS)


# Arguments


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: regularizers.Entropy("large"), TypeError, "`coefficient` must be a schedule"),
        (lambda: regularizers.Entropy(math.nan), ValueError, "`coefficient`.* must"),
        (lambda: regularizers.LoadBalance([1.0, 2.0]), ValueError, "`coefficient` must be a scalar schedule"),
        (lambda: regularizers.KL("ab", 1.0), TypeError, "`prior` must be a list of numbers"),
        (lambda: regularizers.KL([], 1.0), ValueError, "`prior` must not be empty"),
        pytest.param(
            lambda: regularizers.KL([0.0, 1.0], 1.0), ValueError, "`prior` must be positive everywhere", id="prior of 0"
        ),
        pytest.param(
            lambda: regularizers.KL([-0.5, 1.5], 1.0),
            ValueError,
            "`prior` must be positive everywhere",
            id="prior below 0",
        ),
        (lambda: regularizers.KL([0.5, 0.6], 1.0), ValueError, "`prior` must sum to 1"),
        (lambda: regularizers.KL([math.nan, 0.6], 1.0), ValueError, r"`prior\[0\]` must"),
        (lambda: regularizers.KL([0.5, 0.5], 1.0)([0.2, 0.3, 0.5]), ValueError, "`prior` must have one number"),
        (lambda: regularizers.Entropy(1.0)([1, 0]), TypeError, "`shares` must be floating"),
        (lambda: regularizers.Entropy(1.0)(1.0), ValueError, r"`shares` must have shape \[..., K\]"),
        pytest.param(
            lambda: bl.gates.Learned(regularizers=regularizers.Entropy(1.0)),
            TypeError,
            "`regularizers` must be a list",
            id="no list",
        ),
        pytest.param(
            lambda: bl.gates.Learned(regularizers=["entropy"]),
            TypeError,
            "`regularizers` must be a list",
            id="list of a name",
        ),
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=f"{message}.*Received"):
        make()


def test_a_prior_for_other_losses_is_refused_by_the_blend():
    gate = bl.gates.Learned(regularizers=[regularizers.KL([0.5, 0.5], 1.0)])
    with pytest.raises(ValueError, match="`prior` must have one number for each of the 3 losses"):
        bl.Blend(["a", "b", "c"], gate)
    assert bl.Blend(["a", "b"], gate).gate is gate


def test_a_prior_given_in_float32_is_accepted():
    assert regularizers.KL(np.full(7, 1 / 7, np.float32), 1.0).prior == [float(np.float32(1 / 7))] * 7


@every_regularizer
def test_regularizers_with_a_schedule_compare_and_are_saved(make):
    scheduled = make(bl.schedules.cosine(1.0, 0.0, steps=10))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(scheduled))
    assert copy == scheduled != make()


def test_autograph_converts_the_check_without_a_warning():
    # A body of a docstring alone cannot be converted: a loop of one's own in a tf.function would warn of it.
    assert callable(tf.autograph.to_graph(regularizers.Regularizer.check))
