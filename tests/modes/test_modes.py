"""What holds for every mode: golden values, the simplex, gradients, dtypes, regimes, one trace, arguments, saving."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import blendloss as bl
from blendloss import modes
from tests.modes.golden import ROWS
from tests.modes.instances import MODES, every_mode, select
from tests.modes.test_relaxations import ROUNDING

K = 5
RNG = np.random.default_rng(1)
LOGITS = RNG.normal(size=(20, K)).astype(np.float32) * 2
EXCLUDING = LOGITS.copy()
EXCLUDING[::2, 1] = -np.inf
EXCLUDING[::3, 4] = -np.inf
UPSTREAM = RNG.normal(size=LOGITS.shape).astype(np.float32)

choosing = select(lambda mode: isinstance(mode, (modes.Hard, modes.Estimator)))
sampling = select(lambda mode: "seed" in str(mode.get_config()) and "'seed': None" not in str(mode.get_config()))
following_the_step = select(lambda mode: mode.needs_step)


def weights_and_gradient(mode, logits, **options):
    logits = tf.convert_to_tensor(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        weights = mode(logits, **options)
    return weights, tape.gradient(weights, logits, output_gradients=tf.cast(UPSTREAM, logits.dtype))


# Values


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_golden(row):
    logits = np.float32(row.logits)
    weights = row.method(logits, step=row.step) if isinstance(row.method, modes.Mode) else row.method(logits)
    np.testing.assert_allclose(weights, row.weights, rtol=0, atol=row.tolerance)
    np.testing.assert_array_equal(weights == 0, np.equal(row.weights, 0))


def test_everything_public_has_a_golden_row():
    covered = {getattr(row.method, "__name__", type(row.method).__name__) for row in ROWS}
    assert covered == set(modes.__all__) - {"Mode", "Estimator"}


@every_mode
@pytest.mark.parametrize("training", [True, False])
def test_weights_lie_on_the_simplex_and_exclude(mode, training):
    weights = mode(EXCLUDING, step=3, training=training).numpy()
    assert weights.shape == EXCLUDING.shape
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.astype(np.float64).sum(-1), 1, rtol=ROUNDING)
    assert (weights[np.isinf(EXCLUDING)] == 0).all()


@choosing
@pytest.mark.parametrize("training", [True, False])
def test_choosing_modes_give_ones_and_zeros_to_the_bit(mode, training):
    weights = mode(EXCLUDING, step=3, training=training).numpy()
    assert set(weights.view(np.uint32).ravel().tolist()) == {0, np.float32(1).view(np.uint32)}
    assert (weights.sum(-1) == 1).all()


@choosing
def test_without_training_the_first_of_the_largest_is_chosen(mode):
    logits = np.float32([[0, 2, 2, 1], [3, 3, 3, 3], [-np.inf, -1, -5, -1]])
    expected = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    np.testing.assert_array_equal(mode(logits, step=0, training=False), expected)


@every_mode
@pytest.mark.parametrize("broken", [[np.nan, 0.0, 1.0], [0.0, 1.0, np.nan], [-np.inf] * 3, [np.inf, 0.0, 1.0]], ids=str)
def test_logits_without_a_maximum_give_nan(mode, broken):
    weights = mode(np.float32([broken, [0.0, 1.0, 2.0]]), step=0).numpy()
    assert np.isnan(weights[0].sum())
    assert np.isfinite(weights[1]).all()


@every_mode
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64], ids=lambda dtype: dtype.name)
def test_dtypes(mode, dtype):
    logits = tf.cast(EXCLUDING, dtype)
    weights, gradient = weights_and_gradient(mode, logits, step=3)
    assert weights.dtype == gradient.dtype == dtype
    if dtype.size < 4:  # computed in float32, rounded once
        single = tf.cast(mode(tf.cast(logits, tf.float32), step=3), dtype)
        np.testing.assert_array_equal(tf.cast(weights, tf.float32), tf.cast(single, tf.float32))
    assert np.isfinite(tf.cast(gradient, tf.float32)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("temperature", [1e-9, 1e9])  # beyond float16
def test_temperatures_that_half_precision_cannot_hold(dtype, temperature):
    logits = tf.constant([0.0, 1.0, 1.0, -60000.0, -np.inf], dtype)
    expected = [0, 0.5, 0.5, 0, 0] if temperature < 1 else [0.25, 0.25, 0.25, 0.25, 0]
    np.testing.assert_array_equal(modes.Annealed(temperature)(logits, step=0).numpy().astype(np.float32), expected)
    chosen = modes.StraightThrough(temperature=temperature)(logits)
    np.testing.assert_array_equal(chosen.numpy().astype(np.float32), [0, 1, 0, 0, 0])


# Gradients


@every_mode
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_finite_sum_to_zero_and_leave_out_the_excluded(mode, training):
    gradient = weights_and_gradient(mode, EXCLUDING, step=3, training=training)[1].numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0.01
    assert (gradient[np.isinf(EXCLUDING)] == 0).all()
    # A shift of the logits changes nothing. Jacobians are at most 1 / temperature <= 2 here, upstream values 4.
    np.testing.assert_allclose(gradient.astype(np.float64).sum(-1), 0, atol=2 * 4 * ROUNDING)


# Sampling


@sampling
def test_noise_depends_on_seed_and_step_alone(mode):
    logits = np.zeros((50, K), np.float32)
    first = mode(logits, step=3).numpy()
    np.testing.assert_array_equal(mode(logits, step=3), first)
    np.testing.assert_array_equal(type(mode).from_config(mode.get_config())(logits, step=tf.Variable(3)), first)
    assert (mode(logits, step=4).numpy() != first).any()
    assert (mode(logits, step=3 + 2**32).numpy() != first).any()
    other = json.loads(json.dumps(mode.get_config()).replace('"seed": 7', '"seed": 8'))
    assert (type(mode).from_config(other)(logits, step=3).numpy() != first).any()
    assert len(np.unique(first, axis=0)) > 1  # the rows of a batch have noise of their own


@sampling
def test_no_noise_without_training(mode):
    weights = mode(np.zeros((50, K), np.float32), step=3, training=False).numpy()
    assert len(np.unique(weights, axis=0)) == 1


# Regimes


def every(logits, step):
    results = [weights_and_gradient(mode, logits, step=step) for _, mode in MODES]
    return tf.stack([w for w, _ in results]), tf.stack([g for _, g in results])


@functools.cache
def eagerly():
    return every(EXCLUDING, 3)


@functools.cache
def compiled(jit_compile):
    signature = [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int64)]
    return tf.function(every, input_signature=signature, jit_compile=jit_compile)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_every_regime_gives_the_same(jit_compile):
    expected = eagerly()
    weights, gradients = compiled(jit_compile)(EXCLUDING, np.int64(3))
    for (name, mode), *got, want in zip(MODES, weights, gradients, zip(*expected, strict=True), strict=True):
        # The noise, -log(-log(u)), is of order 10, known to a unit or two: it moves a weight by temperature's inverse.
        tolerance = (20 if "noisy" in name or "gumbel" in name else 1) * ROUNDING
        if isinstance(mode, (modes.Hard, modes.Estimator)):
            np.testing.assert_array_equal(got[0], want[0], name)
        np.testing.assert_allclose(got[0], want[0], rtol=0, atol=tolerance, err_msg=name)
        np.testing.assert_allclose(got[1], want[1], rtol=0, atol=2 * 4 * tolerance, err_msg=name)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_thousand_steps_are_one_trace(jit_compile):
    function = compiled(True)
    if not jit_compile:
        function = tf.function(lambda logits, step: [mode(logits, step=step) for _, mode in MODES])
    for step in range(1000):
        function(tf.constant(np.roll(EXCLUDING, step, axis=0)), tf.constant(step, tf.int64))
    assert function.experimental_get_tracing_count() == 1


# Arguments


@following_the_step
def test_modes_that_need_the_step_raise_without_it(mode):
    with pytest.raises(ValueError, match=r"depends on the step: pass `step=`\. Received: step=None"):
        mode([0.0, 1.0])


@select(lambda mode: not mode.needs_step)
def test_other_modes_ignore_the_step(mode):
    np.testing.assert_array_equal(mode(LOGITS), mode(LOGITS, step=17))


@every_mode
def test_bad_logits_raise(mode):
    with pytest.raises(TypeError, match="`logits` must be floating"):
        mode([0, 1], step=0)
    with pytest.raises(ValueError, match=r"`logits` must have shape \[K\] or \[batch, K\]"):
        mode(1.0, step=0)
    with pytest.raises(ValueError, match=r"`logits` must have shape \[K\] or \[batch, K\]"):
        tf.function(lambda z: mode(z, step=0), input_signature=[tf.TensorSpec(None, tf.float32)])(LOGITS)


_NO_NUMBER = st.one_of(st.text(), st.none(), st.booleans(), st.complex_numbers(), st.binary(), st.sets(st.integers()))
_NO_INTEGER = st.one_of(_NO_NUMBER, st.floats(), st.lists(st.integers()))
_NO_FUNCTION = st.one_of(_NO_NUMBER, st.floats(), st.lists(st.integers()), st.just("softmax"))
_NOT_POSITIVE = st.one_of(st.floats(max_value=0), st.sampled_from([math.nan, math.inf, 1e-300, -3, np.float32(-1)]))
_NO_SEED = st.one_of(st.integers(min_value=2**64), st.integers(max_value=-(2**63) - 1))
_FUNCTIONS = {"temperature": _NO_NUMBER, "seed": _NO_INTEGER, "relaxation": _NO_FUNCTION, "lazy": st.just(1)}
_BELOW_ONE = st.one_of(_NOT_POSITIVE, st.floats(0, 1, exclude_max=True))
_OUT_OF_RANGE = {"temperature": _NOT_POSITIVE, "seed": _NO_SEED}
_REST: dict[Any, dict[str, Any]] = {
    modes.Annealed: {"temperature": 1.0},
    modes.GumbelStraightThrough: {"seed": 0},
    modes.ReinMax: {"seed": 0},
}
_OPTIONAL = {(modes.Annealed, "seed"), (modes.Hard, "estimator")}


_CLASSES = sorted({type(mode) for _, mode in MODES}, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", _CLASSES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_bad_argument_is_named(cls, data):
    for name in next(mode for _, mode in MODES if type(mode) is cls).get_config():
        bad = data.draw(st.one_of(_NO_NUMBER, st.floats()) if name == "estimator" else _FUNCTIONS[name])
        if not (bad is None and (cls, name) in _OPTIONAL):
            with pytest.raises(TypeError, match=f"`{name}` must"):
                cls(**{**_REST.get(cls, {}), name: bad})
        if name in _OUT_OF_RANGE:
            below = _BELOW_ONE if cls is modes.ReinMax else _OUT_OF_RANGE[name]
            bad = data.draw(below if name == "temperature" else _OUT_OF_RANGE[name])
            with pytest.raises(ValueError, match=f"`{name}` must"):
                cls(**{**_REST.get(cls, {}), name: bad})


def test_a_constant_schedule_is_checked_like_a_number():
    for make in (modes.Annealed, lambda t: modes.GumbelStraightThrough(0, t)):
        with pytest.raises(ValueError, match="`temperature` must be positive"):
            make(bl.schedules.constant(-1.0))
        with pytest.raises(TypeError, match="`temperature` must be a real number"):
            make([1.0, 2.0])
        with pytest.raises(ValueError, match="`temperature` must be a scalar schedule"):
            make(bl.schedules.linear([1.0, 2.0], [1.0, 1.0], steps=3))([0.0, 1.0], step=0)


# Saving


@keras.saving.register_keras_serializable(package="tests")
def uniform(logits):
    return tf.ones_like(logits) / tf.cast(tf.shape(logits)[-1], logits.dtype)


OWN_RELAXATION = {
    "soft": modes.Soft(uniform),
    "annealed": modes.Annealed(2.0, uniform),
    "straight-through": modes.StraightThrough(uniform),
}


@pytest.mark.parametrize(
    "mode",
    [m for _, m in MODES] + list(OWN_RELAXATION.values()),
    ids=[name for name, _ in MODES] + [f"{name}-own-relaxation" for name in OWN_RELAXATION],
)
def test_configuration_round_trip(mode):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(mode)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(mode)
    assert again == mode
    assert hash(again) == hash(mode)
    assert again.get_config() == mode.get_config()
    np.testing.assert_array_equal(again(LOGITS, step=3), mode(LOGITS, step=3))


def test_different_modes_differ():
    for i, (_, mode) in enumerate(MODES):
        assert [other == mode for _, other in MODES].index(True) == i
    assert modes.Annealed(0.5) != modes.Annealed(0.25)


MAKE = [
    modes.Soft,
    lambda f: modes.Annealed(1.0, f),
    modes.StraightThrough,
    lambda f: modes.Hard(modes.StraightThrough(f)),
]


@pytest.mark.parametrize("make", MAKE, ids=["soft", "annealed", "straight-through", "hard"])
def test_a_lambda_cannot_be_saved(make):
    mode = make(lambda logits: tf.nn.softmax(logits))
    with pytest.raises(ValueError, match="Saving needs every function registered"):
        keras.saving.serialize_keras_object(mode)


@pytest.mark.parametrize("make", MAKE, ids=["soft", "annealed", "straight-through", "hard"])
def test_a_lambda_works_but_cannot_be_saved(make):
    mode, other = (make(lambda logits: tf.nn.softmax(logits)) for _ in range(2))
    call = tf.function(lambda logits: mode(logits, step=0))
    np.testing.assert_allclose(call(tf.constant([0.0, 0.0, -np.inf])).numpy().sum(), 1)
    assert mode == mode
    assert mode != other
    assert len({mode, other}) == 2
    assert type(mode).__name__ in repr(mode)


def test_a_lambda_as_a_schedule_works_in_a_graph():
    mode = modes.Annealed(lambda step: 1.0 / (1.0 + step))
    weights = tf.function(lambda step: mode([0.0, 1.0], step=step))(tf.constant(1))
    np.testing.assert_allclose(weights, modes.softmax([0.0, 2.0]), rtol=ROUNDING)
