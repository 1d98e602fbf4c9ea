"""The diagnosis of a gate: when it has collapsed, why, and what to use instead; and when there is nothing to say."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs

PENALTIES = {"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError(), "huber": bl.losses.Huber()}
ZERO, TWO = np.zeros((4, 1), "float32"), np.full((4, 1), 2.0, "float32")  # mse 4, mae 2, huber 1.5
HALF = np.full((4, 1), 0.5, "float32")  # mse 0.25, mae 0.5, huber 0.125
INTO = {name: [8.0 * (name == one) for one in PENALTIES] for name in PENALTIES}


def learned(initial=None, losses=PENALTIES, mode=None, **options):
    return bl.Blend(losses, bl.gates.Learned(initial, name="gate", **options), mode)


def trained(normalize, steps=400):
    blend, optimizer = learned(normalize=normalize), keras.optimizers.Adam(0.05)
    optimizer.build(blend.trainable_variables)
    residual = 0.3 * np.random.default_rng(0).laplace(size=(256, 1)).astype("float32")

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = blend(np.zeros_like(residual), residual, step=optimizer.iterations)
        gradients = tape.gradient(value, [variable.value for variable in blend.trainable_variables])
        optimizer.apply_gradients(zip(gradients, blend.trainable_variables, strict=True))

    for _ in range(steps):
        step()
    return blend, blend.compute(np.zeros_like(residual), residual, step=steps, training=False)


# A gate that has collapsed


def test_the_sentence_names_gate_share_loss_cause_and_remedy():
    blend = learned(INTO["huber"])
    diagnosis = blend.diagnose(blend.compute(ZERO, TWO, step=0))
    assert diagnosis.collapsed
    assert str(diagnosis) == (
        "The gate 'gate' (Learned) has collapsed: 99.93 % of the weight is on 'huber', whose numbers are the smallest "
        "(1.5; 'mae' 2): minimizing the blended loss over its weights chooses those, whatever the data. To choose by "
        'evidence, use `Learned(normalize="likelihood")` or `gates.ExponentialFamily()` or '
        "`BlendedModel(..., held_out=...)`; to keep the weights spread, a regularizer such as "
        "`gates.regularizers.Entropy(0.1)`."
    )
    shares = np.exp([0, 0, 8]) / np.exp([0, 0, 8]).sum()
    assert list(diagnosis.shares) == list(PENALTIES)
    np.testing.assert_allclose(list(diagnosis.shares.values()), shares, rtol=1e-6)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_collapse_names_the_loss_with_the_weight(name):
    diagnosis = learned(INTO[name]).diagnose()
    assert diagnosis.collapsed
    assert f"is on {name!r}, and minimizing" in str(diagnosis)


def test_the_diagnosis_says_where_another_loss_is_smaller():
    blend = learned(INTO["mae"])
    sentence = str(blend.diagnose(blend.compute(ZERO, HALF, step=0)))
    assert "is on 'mae', though 'huber' has smaller numbers now (0.125; 'mae' 0.5)" in sentence
    assert "are the smallest" not in sentence


@pytest.mark.parametrize("values", [{"mse": 1.0, "mae": 1.0, "huber": 1.0}, {"mse": 1.0, "mae": math.nan, "huber": 2}])
def test_equal_and_missing_numbers_explain_nothing(values):
    blend = learned(INTO["mse"])
    sentence = str(blend.diagnose(blend.compute_from_values(values, step=0)))
    assert "is on 'mse', and minimizing the blended loss over its weights moves them to the smallest" in sentence


@pytest.mark.parametrize("normalize", [None, "initial"])
def test_a_naive_gate_that_was_trained_has_collapsed_onto_the_smallest(normalize):
    blend, output = trained(normalize)
    if normalize is None:
        diagnosis = blend.diagnose(output)
        assert diagnosis.collapsed
        assert f"is on {list(PENALTIES)[int(np.argmin(output.losses))]!r}, whose numbers are the smallest" in str(
            diagnosis
        )
    else:  # losses that stand still, each divided by itself: nothing draws it anywhere
        assert not blend.diagnose(output).collapsed


def test_numbers_are_those_after_division():
    """After division 'mse' is the smaller, before it 'mae' is: the gate goes by the former."""
    blend = learned([8.0, 0.0], {name: PENALTIES[name] for name in ("mse", "mae")}, normalize="initial")
    blend.compute(ZERO, 2 * TWO, step=0)  # mse 16, mae 4
    output = blend.compute(ZERO, TWO, step=1)  # mse 4, mae 2
    diagnosis = blend.diagnose(output)
    np.testing.assert_allclose(list(diagnosis.shares.values()), [1 / (1 + math.exp(-8)), 1 / (1 + math.exp(8))], 1e-5)
    assert "whose numbers are the smallest (0.25; 'mae' 0.5)" in str(diagnosis)


@pytest.mark.parametrize(
    ("losses", "offered", "not_offered"),
    [
        (
            {"mse": bl.losses.SquaredError(), "welsch": bl.losses.Welsch()},
            ["ExponentialFamily", "held_out"],
            ["likelih"],
        ),
        ({"tukey": bl.losses.Tukey(4.0), "welsch": bl.losses.Welsch()}, ["held_out"], ["likelih", "ExponentialFamily"]),
        ({"mse": "mse", "mae": "mae"}, ["held_out"], ["likelihood", "ExponentialFamily"]),
        (["pde", "boundary"], ["Fixed"], ["likelihood", "ExponentialFamily", "held_out"]),
    ],
    ids=["one-bounded", "all-bounded", "keras", "names"],
)
def test_the_diagnosis_offers_only_what_the_losses_allow(losses, offered, not_offered):
    sentence = str(learned([9.0, 0.0], losses).diagnose())
    assert all(word in sentence for word in [*offered, "Entropy"])
    assert not any(word in sentence for word in not_offered)


@pytest.mark.parametrize("offer", ["likelihood", "family"])
def test_the_gates_that_the_diagnosis_offers_do_not_collapse(offer):
    gate = bl.gates.Learned(normalize="likelihood") if offer == "likelihood" else bl.gates.ExponentialFamily()
    diagnosis = bl.Blend(PENALTIES, gate).diagnose()
    assert not diagnosis.collapsed


# A gate that has not


@pytest.mark.parametrize("output", [False, True], ids=["alone", "output"])
def test_spread_weights_have_not_collapsed(output):
    blend = learned([0.0, 1.0, 0.0])
    diagnosis = blend.diagnose(blend.compute(ZERO, TWO, step=0) if output else None)
    assert not diagnosis.collapsed
    assert str(diagnosis) == "The gate 'gate' (Learned) has not collapsed: 57.61 % of the weight is on 'mae'."


def test_the_threshold_is_a_share():
    blend = learned([math.log(9.0), 0.0], ["a", "b"])
    assert [blend.diagnose(threshold=t).collapsed for t in (0.89, 0.91)] == [True, False]


@pytest.mark.parametrize(
    "mode",
    [
        bl.modes.Hard(),
        bl.modes.Hard(bl.modes.ReinMax(seed=1)),
        bl.modes.Annealed(1e-3),
        bl.modes.Annealed(bl.schedules.constant(1e-3), bl.modes.entmax15, seed=1),
    ],
    ids=["hard", "reinmax", "annealed", "concrete"],
)
def test_a_mode_that_sharpens_is_no_collapse(mode):
    blend = learned([0.5, 0.0, 0.0], mode=mode)
    output = blend.compute(ZERO, TWO, step=0, training=False)
    assert float(np.max(output.weights)) > 0.999
    for given in (None, output):
        assert not blend.diagnose(given, step=0).collapsed
    assert learned(INTO["mae"], mode=mode).diagnose(step=0).collapsed


def test_a_mode_that_flattens_keeps_a_gate_open():
    assert not learned(INTO["mae"], mode=bl.modes.Annealed(8.0)).diagnose().collapsed


def test_a_sparse_relaxation_is_shut_where_its_share_is_one():
    blend = learned([1.0, 0.0, 0.0], mode=bl.modes.Soft(bl.modes.sparsemax))
    assert blend.diagnose().shares == {"mse": 1.0, "mae": 0.0, "huber": 0.0}
    assert blend.diagnose().collapsed


@pytest.mark.parametrize("normalize", ["likelihood", bl.gates.normalizers.Likelihood(2.0)])
def test_weights_chosen_by_likelihood_are_evidence(normalize):
    diagnosis = learned(INTO["mae"], normalize=normalize).diagnose()
    assert not diagnosis.collapsed
    assert diagnosis.shares["mae"] > 0.99
    assert str(diagnosis).startswith(
        "A small weight of the gate 'gate' (Learned) is no sign of collapse: it was chosen"
    )


@pytest.mark.parametrize("make", [bl.gates.ExponentialFamily, lambda **n: bl.gates.Mixture([1.0, 2.0, 3.0], **n)])
def test_small_weights_of_likelihood_gates_are_no_sign_of_collapse(make):
    blend = bl.Blend(PENALTIES, make(name="gate"))
    for output in (None, blend.compute(ZERO, TWO, step=0)):
        diagnosis = blend.diagnose(output)
        assert not diagnosis.collapsed
        assert "is no sign of collapse: it " in str(diagnosis)


def test_held_out_training_is_no_sign_of_collapse():
    diagnosis = learned(INTO["mae"]).diagnose(held_out=True)
    assert not diagnosis.collapsed
    assert "no sign of collapse: the weights follow the loss on data that was held out" in str(diagnosis)


# Nothing to diagnose


@pytest.mark.parametrize(
    "make",
    [
        lambda: bl.gates.Fixed([1.0, 0.0, 0.0]),
        lambda: bl.gates.Scheduled(0.0),
        lambda: bl.gates.Plateau("val_mae"),
        lambda: bl.gates.ResidualState(bl.gates.statistics.MeanAbsolute(), [1.0, 2.0], width=0.01),
    ],
    ids=["fixed", "scheduled", "plateau", "residual-state"],
)
def test_gates_that_do_not_train(make):
    blend = bl.Blend(PENALTIES, make())
    if isinstance(blend.gate, bl.gates.MetricGate):
        blend.gate.observe(1.0)
    for output in (None, blend.compute(ZERO, HALF, step=0)):
        diagnosis = blend.diagnose(output)
        assert not diagnosis.collapsed
        assert str(diagnosis).startswith("Nothing to diagnose: the gate ")
    assert diagnosis.shares == pytest.approx({"mse": 1.0, "mae": 0.0, "huber": 0.0}, abs=1e-15)


def test_a_frozen_gate_does_not_train():
    blend = learned(INTO["mae"])
    blend.gate.trainable = False
    assert str(blend.diagnose()) == "Nothing to diagnose: the gate 'gate' (Learned) does not train."


def test_one_loss():
    diagnosis = learned(losses={"mse": "mse"}).diagnose()
    assert (diagnosis.collapsed, diagnosis.shares) == (False, {"mse": 1.0})
    assert str(diagnosis) == "Nothing to diagnose: there is one loss."


# Gates that depend on the batch


@keras.saving.register_keras_serializable(package="tests")
class ByFeature(bl.gates.Gate):
    """Logits theta * x for each example: trained, and different for each batch."""

    needs = Needs.FEATURES

    def create_state(self, k):
        self.theta = self.add_weight(name="theta", shape=(k,), initializer="ones")

    def gating(self, context):
        return context.features * tf.convert_to_tensor(self.theta)


FEATURES = {  # the first four of [4, 3] logits; the mean share is what counts
    "all-on-one": (np.tile([[9.0, 0, 0]], (4, 1)), True),
    "each-on-its-own": (9.0 * np.eye(3)[[0, 1, 2, 0]], False),
    "spread": (np.zeros((4, 3)), False),
}


@pytest.mark.parametrize("mode", [bl.modes.Soft(), bl.modes.Hard()], ids=["soft", "hard"])
@pytest.mark.parametrize("case", FEATURES)
def test_the_mean_share_of_a_gate_per_example_counts(case, mode):
    features, collapsed = FEATURES[case]
    blend = bl.Blend(PENALTIES, ByFeature(name="gate"), mode)
    output = blend.compute(ZERO, TWO, step=0, features=features.astype("float32"))
    if (case, type(mode)) != ("spread", bl.modes.Hard):  # which takes the first of equals, for every example
        assert blend.diagnose(output).collapsed == collapsed
    with pytest.raises(ValueError, match=r"depend on the batch or the step: pass `output=.*Received: output=None"):
        blend.diagnose()


def test_a_scheduled_temperature_needs_the_step_or_an_output():
    blend = learned([8.0, 0.0], ["a", "b"], bl.modes.Annealed(bl.schedules.linear(10.0, 0.1, steps=10)))
    with pytest.raises(ValueError, match="pass `output=.*or `step=`"):
        blend.diagnose()
    assert [blend.diagnose(step=step).collapsed for step in (0, 10)] == [False, True]
    outputs = [blend.compute_from_values({"a": 1.0, "b": 2.0}, step=step) for step in (0, 10)]
    assert [blend.diagnose(output).collapsed for output in outputs] == [False, True]


def test_shares_are_weights_times_the_divisors():
    mode = bl.modes.Annealed(bl.schedules.linear(1.0, 0.5, steps=10))
    blend = learned([1.0, 0.0], {name: PENALTIES[name] for name in ("mse", "mae")}, mode, normalize="initial")
    output = blend.compute(ZERO, 2 * TWO, step=0)
    np.testing.assert_allclose(list(blend.diagnose(output).shares.values()), tf.nn.softmax([1.0, 0.0]), rtol=1e-5)


def test_weights_that_are_not_numbers_are_not_called_a_collapse():
    blend = learned()
    blend.gate.logits.assign([math.nan, 0.0, 0.0])
    diagnosis = blend.diagnose()
    assert not diagnosis.collapsed
    assert "cannot be judged" in str(diagnosis)


# Mistakes


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"output": 3.0}, TypeError, "`output` must be a BlendOutput"),
        ({"threshold": 0.5}, ValueError, "`threshold` must lie strictly between 0.5 and 1"),
        ({"threshold": "all"}, TypeError, "`threshold` must be a real number"),
        ({"held_out": 1}, TypeError, "`held_out` must be True or False"),
    ],
)
def test_mistakes_are_named(named, error, message):
    with pytest.raises(error, match=f"{message}.*Received"):
        learned().diagnose(**named)


def test_diagnose_raises_in_a_graph():
    with pytest.raises(ValueError, match="`diagnose` must be called outside of any graph"):
        tf.function(lambda: learned().diagnose())()


def test_diagnose_changes_nothing():
    blend = learned(normalize="running")
    output = blend.compute(ZERO, TWO, step=0)
    before = [variable.numpy() for variable in blend.gate.variables]
    blend.diagnose(output)
    for variable, value in zip(blend.gate.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
