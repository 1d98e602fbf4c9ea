"""A blend's state belongs to one model: folds, seeds and sweeps each start afresh."""

import gc

import keras
import numpy as np
import pytest

import blendloss as bl
from tests.keras.models import GATES, assert_same_weights, blend_of, fit, network
from tests.seeding import seed


def model_of(blend):
    seed()
    model = bl.BlendedModel(network(), blend)
    model.compile("adam", metrics=["mae"])
    return model


STATEFUL = ["learned", "learned-running", "plateau", "softadapt", "network", "grad-norm", "mean-absolute", "exp3"]
STATELESS = ["fixed", "scheduled", "random", "geometric-mean"]


@pytest.mark.parametrize("gate", STATEFUL)
def test_every_fold_of_the_same_data_is_the_same(gate):
    seed()
    blend = blend_of(gate)
    first = model_of(blend)
    named = {"epochs": 3} if gate == "plateau" else {"epochs": 3, "validation_data": None}
    expected = fit(first, **named)
    seed()  # a gate's network draws its first weights
    second = model_of(blend.fresh())  # of a blend that was trained
    assert fit(second, **named) == expected
    assert_same_weights(first, second)


@pytest.mark.parametrize("gate", STATELESS)
def test_a_blend_without_state_is_shared(gate):
    blend = blend_of(gate)
    histories = [fit(model_of(blend), epochs=1, validation_data=None) for _ in range(2)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("gate", GATES)
def test_a_second_model_of_a_blend_with_state_is_refused(gate):
    blend = blend_of(gate)
    bl.BlendedModel(network(), blend)
    gc.collect()  # a model that is deleted has trained its blend all the same
    if not blend.variables:
        bl.BlendedModel(network(), blend)
        return
    with pytest.raises(
        ValueError, match=r"belongs to one BlendedModel.*`blend\.fresh\(\)`.*Received: a blend that shares"
    ):
        bl.BlendedModel(network(), blend)


def test_a_gate_or_loss_with_state_is_refused_in_another_blend():
    losses = {"mse": "mse", "mae": "mae"}
    gate, loss = bl.gates.Learned(), bl.losses.AdaptiveBarron()
    bl.BlendedModel(network(), bl.Blend(losses, gate))
    bl.BlendedModel(network(), bl.Blend({"a": loss, "b": "mse"}, bl.gates.Fixed([1.0, 1.0])))
    hard = bl.Blend(losses, gate, bl.modes.Hard())
    shared = bl.Blend({"a": bl.losses.OutputLoss(0, loss)}, bl.gates.Learned())
    for blend in (hard, shared):
        with pytest.raises(ValueError, match="belongs to one BlendedModel"):
            bl.BlendedModel(network(), blend)
        bl.BlendedModel(network(), blend.fresh())


class Late(bl.gates.Gate):
    """A gate whose variable is created by its first call."""

    def gating(self, context):
        if not self.variables:
            self.kept = self.add_state("kept", (len(self.names),), 1.0)
        return self.kept + 0.0


def test_state_that_is_created_later_is_seen():
    blend = bl.Blend({"mse": "mse", "mae": "mae"}, Late())
    fit(model_of(blend), epochs=1, validation_data=None)
    with pytest.raises(ValueError, match="belongs to one BlendedModel"):
        bl.BlendedModel(network(), blend)


def test_a_refused_model_does_not_claim_the_blend():
    blend = blend_of("learned")
    with pytest.raises(TypeError, match="`held_out` must be"):
        bl.BlendedModel(network(), blend, held_out="mae")
    bl.BlendedModel(network(), blend)


def test_a_fitted_gate_may_be_given_to_a_model():
    blend = bl.Blend({"squared": bl.losses.SquaredError()}, bl.gates.ExponentialFamily())
    residuals = np.array([[-3.0], [-1.0], [1.0], [3.0]], "float32")
    bl.fit_gate(blend, np.zeros_like(residuals), residuals)
    model = bl.BlendedModel(network(), blend)
    np.testing.assert_allclose(model.blend.gate.weights_and_scale()[0], [0.1], rtol=1e-4)


def test_weights_continue_in_a_fresh_blend():
    blend = blend_of("plateau")
    fit(model_of(blend), epochs=3)
    assert int(blend.gate.stage)
    following = blend.fresh()
    following.set_weights(blend.get_weights())
    assert int(model_of(following).blend.gate.stage) == int(blend.gate.stage)


def test_copies_that_keras_makes_have_a_blend_of_their_own(tmp_path):
    model = model_of(blend_of("learned"))
    fit(model, epochs=1, validation_data=None)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same_weights(loaded, model)
    clone = keras.models.clone_model(model)
    assert clone.blend is not model.blend
    np.testing.assert_array_equal(clone.blend.gate.logits, [0, 0, 0])
