"""`ScoreMatching`: known laws, scale, masks, weights, modes, replicas, and what its diagnosis says."""

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import tensorflow as tf

import blendloss as bl
from tests.executions import EXECUTIONS
from tests.gates.laws import quantiles

L = bl.losses


def shown(residuals, losses=None, times=1, mode=None, **named):
    """A blend whose gate has seen `residuals` so often, after once for its scale."""
    blend = bl.Blend(losses or L.m_estimators(), bl.gates.ScoreMatching(**named), mode)
    for _ in range(times + 1):
        blend.gate.observe(residuals)
    return blend


def efficiencies(blend):
    return {name: each.value for name, each in blend.gate.efficiencies().items()}


# Known laws


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        # Efficiency of each loss over that of the best in the cone; by quadrature, of slopes in units of 1.4826 MAD.
        pytest.param(scipy.stats.norm(), {"squared": 1.0, "huber": 0.95, "absolute": 2 / math.pi}, id="normal"),
        pytest.param(scipy.stats.norm(scale=1e4), {"squared": 1.0, "tukey": 0.95, "huber": 0.95}, id="wide-normal"),
    ],
)
def test_efficiencies_at_normal_noise(law, expected):
    found = efficiencies(shown(quantiles(law), times=2, prior=0.0, dtype="float64"))
    for name, value in expected.items():
        # The window of 1.25 n^(-1/5) = 0.17 smooths the median's density by h^2 / 6.
        np.testing.assert_allclose(found[name], value, rtol=0.01)


def test_laplace_noise_comes_down_to_the_median():
    """The window of 1.25 n^(-1/5) = 0.095 flattens the peak of the density: b by 5 %, the variance by 10 %."""
    found = efficiencies(shown(quantiles(scipy.stats.laplace(), 400_001), times=2, prior=0.0, dtype="float64"))
    assert found["absolute"] > 0.95
    np.testing.assert_allclose(found["squared"] / found["absolute"], 0.5, rtol=0.12)


def test_logistic_noise_reaches_fishers_bound():
    """Its score tanh(x / 2) is the slope of log-cosh of that scale; the information is 1/3."""
    x = quantiles(scipy.stats.logistic())
    scale = 1.4826022185056018 * np.median(np.abs(x))
    losses = {"mse": L.SquaredError(), "score": L.LogCosh(2 / scale), "mae": L.AbsoluteError()}
    blend = shown(x, losses, times=30, prior=0.0, dtype="float64")
    shares = dict(zip(blend.names, blend.gate.solution.shares.numpy(), strict=True))
    assert shares["score"] > 0.97
    c = math.exp(float(blend.gate.log_scale))
    np.testing.assert_allclose(c, scale, rtol=1e-3)
    variance = c**2 / float(blend.gate.solution.precisions[1])
    np.testing.assert_allclose(variance, 3.0, rtol=0.01)  # 1 / information


# The running sums


def test_before_any_residual_the_weights_are_those_for_normal_noise():
    blend = bl.Blend(L.m_estimators(), bl.gates.ScoreMatching())
    shares = blend.gate.solution.shares.numpy()
    np.testing.assert_allclose(shares, [1, 0, 0, 0, 0, 0], atol=1e-6)
    assert math.isnan(blend.gate.efficiencies()["huber"].standard_error)
    assert "has seen no residuals yet" in str(blend.diagnose())


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_units_of_the_residuals_do_not_matter(unit):
    residuals = np.random.default_rng(0).standard_t(3, size=2000)
    one, other = (shown(residuals * factor, times=5) for factor in (1.0, unit))
    np.testing.assert_allclose(other.gate.solution.shares, one.gate.solution.shares, atol=1e-4)
    np.testing.assert_allclose(other.gate.log_scale - math.log(unit), one.gate.log_scale, atol=1e-4)


@pytest.mark.parametrize(
    "mode", [bl.modes.Soft(), bl.modes.Annealed(0.3), bl.modes.Hard()], ids=["soft", "annealed", "hard"]
)
def test_the_mean_curvature_is_one_in_every_mode(mode):
    """The blend's gradient is as large as that of r^2 / 2, whatever is chosen."""
    residuals = np.random.default_rng(0).laplace(scale=3.0, size=4000)
    blend = shown(residuals, times=20, mode=mode, dtype="float64", prior=0.0)
    nudge = 0.6 * math.exp(float(blend.gate.log_scale)) * 0.2
    slopes = []
    for shift in (nudge, -nudge):
        r = tf.constant(residuals[:, np.newaxis] + shift)
        with tf.GradientTape() as tape:
            tape.watch(r)
            value = blend(tf.zeros_like(r), r, step=0, training=False)
        slopes.append(float(tf.reduce_sum(tape.gradient(value, r))))
    np.testing.assert_allclose((slopes[0] - slopes[1]) / (2 * nudge), 1.0, rtol=0.05)


def test_hard_takes_the_loss_with_the_least_variance():
    blend = shown(np.random.default_rng(0).laplace(size=20_000), times=10, mode=bl.modes.Hard())
    weights = blend.compute(np.zeros([4, 1]), np.ones([4, 1]), step=0, training=False).weights.numpy()
    found = efficiencies(blend)
    assert blend.names[int(weights.argmax())] == max(found, key=found.get)
    assert np.count_nonzero(weights) == 1


def test_the_scale_follows_residuals_that_shrink():
    blend = bl.Blend(L.m_estimators(), bl.gates.ScoreMatching(memory=50, every=1))
    train = tf.function(lambda r, step: blend(tf.zeros_like(r), r, step=step))
    random = np.random.default_rng(0)
    for step in range(600):
        residuals = random.normal(size=(64, 1)) * 10.0 ** (-step / 150)
        train(tf.constant(residuals), tf.constant(step))
    assert 0 < float(blend.gate.log_scale) - math.log(10.0**-4) < 1.5  # half a memory of 1.5 % a step behind, at most


def test_what_is_masked_or_of_weight_0_does_not_count():
    random = np.random.default_rng(0)
    residuals, weight = random.normal(size=(300, 1)), np.repeat([1.0, 0.0], [200, 100])[:, np.newaxis]
    spoilt = np.where(weight == 0, 1e30, residuals)
    one, other = (bl.Blend(L.m_estimators(), bl.gates.ScoreMatching()) for _ in range(2))
    for step in range(4):
        one(np.zeros([200, 1]), residuals[:200], step=step)
        other(np.zeros([300, 1]), spoilt, sample_weight=weight, step=step)
    for mine, its in zip(one.gate.variables, other.gate.variables, strict=True):
        np.testing.assert_allclose(its, mine, rtol=1e-5, atol=1e-6)


def test_weights_of_residuals_are_those_of_the_estimating_equation():
    """Sum w psi = 0 has the variance E w^2 psi^2 / (E w psi')^2: weights 1 / sigma^2 whiten two groups of noise."""
    random = np.random.default_rng(0)
    wide = np.repeat([1.0, 5.0], 5000)
    blend = bl.Blend({"squared": L.SquaredError()}, bl.gates.ScoreMatching(prior=0.0, dtype="float64"))
    residuals = random.normal(size=10_000) * wide
    for _ in range(2):
        blend.gate.observe(residuals, 1 / wide**2)
    mean_log = np.average(np.log(np.abs(residuals)), weights=1 / wide**2)
    before = math.exp(mean_log + (np.euler_gamma + math.log(2)) / 2)
    second = float(blend.gate.sums.second[0, 0]) / 4 * before**2
    np.testing.assert_allclose(second, np.sum((residuals / wide**2) ** 2), rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30], ids=str)
def test_a_batch_that_is_not_finite_changes_nothing_and_is_counted(bad):
    blend = shown(np.random.default_rng(0).normal(size=500), times=3)
    before = [variable.numpy() for variable in blend.gate.variables]
    blend.gate.observe(np.array([1.0, bad, -1.0]))
    after = [variable.numpy() for variable in blend.gate.variables]
    for name, one, other in zip([v.name for v in blend.gate.variables], before, after, strict=True):
        if name == "skipped":
            assert other == one + 1
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize(
    "residuals", [np.zeros(50), np.full(50, 3.0), np.zeros(0), [2.0]], ids=["zero", "equal", "none", "one"]
)
def test_samples_without_spread_give_finite_weights(residuals):
    blend = shown(np.asarray(residuals, np.float32), times=3)
    output = blend.compute(np.zeros([4, 1]), np.ones([4, 1]), step=0, training=False)
    assert np.isfinite(output.weights).all()
    assert np.isfinite(output.value)
    assert (output.weights.numpy() >= 0).all()


def test_losses_that_all_redescend_get_the_weights_for_normal_noise():
    residuals = np.concatenate([np.full(20, 1e-3), np.full(500, 9.0), np.full(500, -9.0)])  # c is 9 / 0.6745
    blend = shown(residuals, {"a": L.Tukey(1.1), "b": L.Tukey(1.2)}, times=40, prior=0.0)
    shares = blend.gate.solution.shares.numpy()
    np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-6)
    assert np.isfinite(blend.compute(np.zeros([4, 1]), np.ones([4, 1]), step=0, training=False).value)


def test_losses_without_curvature_at_normal_noise_are_refused():
    with pytest.raises(ValueError, match="positive mean curvature"):
        bl.Blend({"a": L.EpsilonInsensitive(50.0)}, bl.gates.ScoreMatching())


def test_one_loss_has_unit_curvature():
    blend = bl.Blend({"squared": L.SquaredError()}, bl.gates.ScoreMatching())
    output = blend.compute([[0.0], [0.0]], [[2.0], [-1.0]], step=0)
    np.testing.assert_allclose(output.value, (4 + 1) / 2 / 2, rtol=1e-6)  # the mean of r^2 / 2


def test_losses_of_several_columns_share_the_law():
    random = np.random.default_rng(0)
    residuals = random.standard_t(3, size=(600, 4))
    flat, wide = (bl.Blend(L.m_estimators(), bl.gates.ScoreMatching()) for _ in range(2))
    for step in range(3):
        flat(np.zeros([2400, 1]), residuals.reshape(-1, 1), step=step)
        wide(np.zeros([600, 4]), residuals, step=step)
    np.testing.assert_allclose(wide.gate.solution.shares, flat.gate.solution.shares, rtol=1e-4, atol=1e-5)


# Regimes


@pytest.mark.parametrize("way", ["graph", "xla"])
def test_every_way_of_running_gives_the_same(way):
    batches = np.random.default_rng(0).standard_t(3, size=(25, 64, 1))
    states = []
    for run in ("eager", way):
        blend = bl.Blend(L.m_estimators(), bl.gates.ScoreMatching(every=3, dtype="float64"))
        step = EXECUTIONS[run](lambda r, number, blend=blend: blend(tf.zeros_like(r), r, step=number))
        values = [float(step(tf.constant(r), tf.constant(number))) for number, r in enumerate(batches)]
        states.append([values, *(variable.numpy() for variable in blend.gate.variables)])
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_updates_of_every_nth_step_alone_change_the_state():
    blend = bl.Blend(L.m_estimators(), bl.gates.ScoreMatching(every=4))
    random, changed = np.random.default_rng(0), []
    for step in range(20):
        before = float(blend.gate.sums.weight)
        blend(np.zeros([8, 1]), random.normal(size=(8, 1)), step=step)
        changed.append(float(blend.gate.sums.weight) != before)
    # The first batch gives the scale alone; the first ten calls count, then every fourth from 0.
    assert [step for step in range(20) if changed[step]] == [*range(1, 10), 12, 16]


@pytest.mark.parametrize("every", [1, 3])
def test_replicas_see_the_sums_of_all(every, replicas):
    batches = np.random.default_rng(0).standard_t(3, size=(15, 32, 1))

    def made():
        return bl.Blend(L.m_estimators(), bl.gates.ScoreMatching(every=every, dtype="float64"))

    single = made()
    for step, residuals in enumerate(batches):
        single(np.zeros([32, 1]), residuals, step=step)
    with replicas.scope():
        blend = made()

    @tf.function
    def train(residuals, step):
        replicas.run(lambda r: blend(tf.zeros_like(r), r, step=step), args=(residuals,))

    for step, residuals in enumerate(batches):
        halves = iter(np.split(residuals, 2))
        values = replicas.experimental_distribute_values_from_function(lambda _, halves=halves: next(halves))
        train(values, tf.constant(step))
    for mine, its in zip(single.gate.variables, blend.gate.variables, strict=True):
        for copy in replicas.experimental_local_results(its.value):
            np.testing.assert_allclose(copy, mine, rtol=1e-9, atol=1e-12, err_msg=mine.name)


# Evidence and standard errors


@pytest.mark.parametrize("memory", [1e6, 100.0])
def test_the_evidence_of_decayed_means_is_that_of_their_variance(memory):
    gate = bl.Blend({"squared": L.SquaredError()}, bl.gates.ScoreMatching(memory=memory, every=1)).gate
    for _ in range(301):
        gate.observe(np.array([1.0, -1.0]))
    weights = np.repeat((1 - 1 / memory) ** np.arange(300.0), 2)
    np.testing.assert_allclose(gate._evidence(), weights.sum() ** 2 / (weights**2).sum(), rtol=1e-4)


def test_the_number_of_different_residuals_bounds_the_evidence():
    residuals = np.random.default_rng(0).normal(size=100)
    endless, bounded = (shown(residuals, times=30, memory=300, examples=some).gate for some in (None, 100))
    assert endless._evidence() > 2000
    assert bounded._evidence() == 100
    np.testing.assert_array_equal(bounded.solution.shares, endless.solution.shares)
    one, other = (gate.efficiencies()["absolute"].standard_error for gate in (endless, bounded))
    np.testing.assert_allclose(other / one, math.sqrt(endless._evidence() / 100), rtol=1e-5)


def test_standard_errors_are_those_of_repeated_samples():
    random = np.random.default_rng(0)
    losses = {"squared": L.SquaredError(), "huber": L.Huber(1.0), "cauchy": L.Cauchy(1.0)}
    gate = bl.Blend(losses, bl.gates.ScoreMatching(prior=0.0, memory=1e6)).gate
    start, found = gate.get_weights(), []
    for _ in range(60):
        gate.set_weights(start)
        for _ in range(20):
            gate.observe(random.standard_t(5, size=200))
        found.append([(each.value, each.standard_error) for each in gate.efficiencies().values()])
    values, errors = np.moveaxis(np.array(found), -1, 0)
    spread = values.std(axis=0, ddof=1)
    # 60 samples tell a standard deviation to 9 %; efficiencies at their bound of 1 have less spread than either.
    np.testing.assert_allclose(np.median(errors, axis=0)[[0, 2]], spread[[0, 2]], rtol=0.4)


# The diagnosis


def test_the_diagnosis_names_the_best_loss_by_itself():
    blend = shown(np.random.default_rng(0).standard_t(3, size=5000), times=5)
    sentence = str(blend.diagnose())
    np.testing.assert_allclose([*blend.diagnose().shares.values()], blend.gate.solution.shares, atol=1e-6)
    assert sentence.startswith("The best loss by itself is 'tukey', with 9")
    assert "asymmetric" not in sentence


@pytest.mark.parametrize("sign", [1, -1])
def test_asymmetric_residuals_are_warned_of(sign):
    residuals = sign * (np.random.default_rng(0).exponential(size=4000) - 1)
    sentence = str(shown(residuals, times=4).diagnose())
    assert "The residuals are asymmetric: " in sentence
    # The median of the exponential law lies 1 - log 2 below its mean: predictions would be higher to meet it.
    assert ("higher" if sign > 0 else "lower") in sentence


# Held-out residuals


def test_held_out_residuals_train_the_gate_in_fit():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3)).astype("float32")
    y = (x.sum(axis=1, keepdims=True) + random.standard_t(2, size=(200, 1))).astype("float32")

    def model():
        blend = bl.Blend(L.m_estimators(), bl.gates.ScoreMatching(held_out=True))
        made = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
        made.compile("adam")
        return made

    with pytest.raises(ValueError, match="nothing shows it any"):
        model().fit(x, y, verbose=0)
    fitted = model()
    monitor = bl.keras.ResidualMonitor(fitted.blend.gate, x[150:], y[150:])
    fitted.fit(x[:150], y[:150], epochs=3, verbose=0, callbacks=[monitor])
    counted = list(itertools.accumulate([50.0] * 3, lambda total, new: total * 0.9**5 + new))[-1]
    np.testing.assert_allclose(fitted.blend.gate.sums.weight, counted, rtol=1e-5)


@pytest.mark.parametrize(
    ("mistake", "error", "match"),
    [
        (lambda: bl.gates.ScoreMatching(memory=0.5), ValueError, "`memory`"),
        (lambda: bl.gates.ScoreMatching(every=0), ValueError, "`every`"),
        (lambda: bl.gates.ScoreMatching(every=1.5), TypeError, "`every`"),
        (lambda: bl.gates.ScoreMatching(prior=-1.0), ValueError, "`prior`"),
        (lambda: bl.gates.ScoreMatching(examples=0), ValueError, "`examples`"),
        (lambda: bl.gates.ScoreMatching(held_out=1), TypeError, "`held_out`"),
        (lambda: bl.gates.ScoreMatching().observe([1.0]), ValueError, "belongs to no blend"),
        (lambda: shown([1.0, 2.0]).gate.observe([1.0, 2.0], [1.0]), ValueError, "shape of `residuals`"),
        (lambda: bl.Blend({"a": "mse", "b": L.Huber()}, bl.gates.ScoreMatching()), TypeError, "must be a penalty"),
        (lambda: bl.keras.ResidualMonitor(bl.gates.Fixed([1.0]), [1.0], [1.0]), TypeError, "must observe residuals"),
        (lambda: L.m_estimators(convex=1), TypeError, "`convex`"),
    ],
)
def test_mistakes(mistake, error, match):
    with pytest.raises(error, match=match):
        mistake()
