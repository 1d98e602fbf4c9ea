"""Statistics against NumPy and SciPy in float64, their invariances, extremes, and what does not count."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from blendloss.gates import statistics
from tests.gates import golden
from tests.gates.instances import STATISTICS, every_statistic

EPS = 2.0**-23
RNG = np.random.default_rng(0)
BATCHES = {
    "normal": RNG.normal(size=501),
    "laplace": RNG.laplace(size=1000),
    "cauchy": RNG.standard_cauchy(size=300),
    "skewed-far-from-0": RNG.exponential(size=400) + 1000,
    "ties": RNG.integers(-3, 4, size=200),
    "two": np.array([0.25, -7.0]),
}
BATCHES = {name: batch.astype(np.float32) for name, batch in BATCHES.items()}
every_batch = pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)


def outlier_share(r, cutoff):
    distance = np.abs(r - np.median(r))
    return np.mean(distance > cutoff * np.median(distance) / scipy.stats.norm.ppf(0.75))


REFERENCES = {
    "mean-absolute": lambda r: np.mean(np.abs(r)),
    "quantile-absolute": lambda r: np.quantile(np.abs(r), 0.8),
    "kurtosis": lambda r: scipy.stats.kurtosis(r, fisher=False),
    "outlier-share": lambda r: outlier_share(r, 1.5),
    "stagnation": lambda r: np.quantile(np.abs(r), 0.5),
}
#: Roundings, half a unit each: a sum in parts and a quotient; two differences and a product; and for the kurtosis the
#: shift to the mean (twice), the scale, squares of squares (4 times what is before them), two means and a quotient.
ROUNDING = {"mean-absolute": 10, "quantile-absolute": 3, "kurtosis": 40, "outlier-share": 2, "stagnation": 3}


@pytest.mark.parametrize("row", golden.STATISTICS, ids=lambda row: row.id)
def test_golden(row):
    value = row.make()(np.float32(row.residual))
    assert value.shape == ()
    np.testing.assert_allclose(value, row.value, rtol=4 * EPS)


@every_batch
@pytest.mark.parametrize(("name", "statistic"), STATISTICS, ids=[i for i, _ in STATISTICS])
def test_value_is_that_of_numpy_and_scipy(name, statistic, batch):
    expected = REFERENCES[name](batch.astype(np.float64))
    np.testing.assert_allclose(statistic(batch), expected, rtol=ROUNDING[name] * EPS / 2)
    doubled = statistic(batch.astype(np.float64))
    assert doubled.dtype == tf.float64
    np.testing.assert_allclose(doubled, expected, rtol=1e-13)


@pytest.mark.parametrize("level", [1e-9, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.99, 1 - 1e-9])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 11])
def test_quantiles_are_those_of_numpy(level, size):
    residual = RNG.normal(size=size)
    expected = np.quantile(np.abs(residual), level)
    np.testing.assert_allclose(statistics.QuantileAbsolute(level)(residual), expected, rtol=1e-14)


@pytest.mark.parametrize("cutoff", [0.5, 1.0, 2.0, 3.0])
@every_batch
def test_outlier_share_at_every_cutoff(batch, cutoff):
    expected = outlier_share(batch.astype(np.float64), cutoff)
    np.testing.assert_allclose(statistics.OutlierShare(cutoff)(batch), expected, rtol=EPS)


@pytest.mark.parametrize("name", ["kurtosis", "outlier-share"])
@every_batch
def test_scale_free_statistics(name, batch):
    statistic = dict(STATISTICS)[name]
    for scale in (2.0**-40, -(2.0**-3), 2.0**40):  # exact in float32
        # A reflection sums in another order.
        np.testing.assert_allclose(statistic(scale * batch), statistic(batch), rtol=ROUNDING[name] * EPS)


@pytest.mark.parametrize("name", ["mean-absolute", "quantile-absolute", "stagnation"])
@every_batch
def test_statistics_in_the_units_of_the_residual(name, batch):
    statistic = dict(STATISTICS)[name]
    for scale in (2.0**-40, -(2.0**-3), 2.0**40):
        np.testing.assert_array_equal(statistic(scale * batch), abs(scale) * statistic(batch).numpy())


@pytest.mark.parametrize("name", ["kurtosis", "outlier-share"])
@pytest.mark.parametrize("shift", [-1000.0, 64.0])
def test_shift_free_statistics(name, shift):
    statistic = dict(STATISTICS)[name]
    batch = np.round(BATCHES["laplace"] * 1024) / 1024  # the shift is exact
    np.testing.assert_allclose(statistic(batch + np.float32(shift)), statistic(batch), rtol=2 * ROUNDING[name] * EPS)


@every_statistic
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extremes_of_float32_are_finite(statistic, scale):
    batch = (scale * BATCHES["normal"]).astype(np.float32)
    name = next(name for name, s in STATISTICS if s is statistic)
    expected = REFERENCES[name](batch.astype(np.float64))
    np.testing.assert_allclose(statistic(batch), expected, rtol=ROUNDING[name] * EPS / 2)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e30, 3e-5])
@pytest.mark.parametrize("size", range(1, 20))
def test_kurtosis_of_equal_residuals_is_nan(value, size):
    assert np.isnan(statistics.Kurtosis()(np.full(size, value, np.float32)))


@every_statistic
@pytest.mark.parametrize("filling", [0.0, 1e30, np.nan, np.inf, -np.inf])
def test_masked_residuals_do_not_count(statistic, filling):
    batch = BATCHES["laplace"]
    counted = RNG.uniform(size=batch.shape) < 0.6
    filled = np.where(counted, batch, np.float32(filling))
    value = statistic(filled.reshape(10, -1), counted.reshape(10, -1))
    # Sums of zeros in between are grouped otherwise.
    np.testing.assert_allclose(value, statistic(batch[counted]), rtol=20 * EPS)


@every_statistic
def test_nothing_counted_is_nan(statistic):
    assert np.isnan(statistic(np.zeros(0, np.float32)))
    assert np.isnan(statistic(np.float32([1, 2, 3]), [False] * 3))


@every_statistic
def test_residuals_must_be_floating(statistic):
    for bad in ([1, 2], ["a"], [True]):
        with pytest.raises(TypeError, match="`residual` must be floating"):
            statistic(bad)


@every_statistic
def test_configuration_round_trip(statistic):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(statistic)))
    again = keras.saving.deserialize_keras_object(config)
    assert again == statistic
    assert hash(again) == hash(statistic)
    assert again.get_config() == statistic.get_config()


def test_different_statistics_differ():
    for i, (_, statistic) in enumerate(STATISTICS):
        assert [other == statistic for _, other in STATISTICS].index(True) == i
    assert statistics.QuantileAbsolute(0.5) != statistics.QuantileAbsolute(0.6)


def test_stagnation_compares_a_short_and_a_long_memory():
    stagnation = statistics.Stagnation(ratio=4.0)
    assert stagnation.running_mean_memories(25.0) == (25.0, 100.0)
    assert float(stagnation.from_means([1.0, 4.0], [1.0, 0.64])) == 0.25
    assert np.isnan(stagnation.from_means([1.0, 4.0], [1.0, 0.63]))  # 1 - 1/e is 0.632
