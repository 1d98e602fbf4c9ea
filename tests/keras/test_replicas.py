"""Two replicas are one device."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.keras.models import fit, model_of


@pytest.mark.parametrize(
    ("gate", "mode"),
    [
        ("learned", "reinmax"),
        ("learned-running", "soft"),
        ("learned-likelihood", "soft"),
        ("quantile", "soft"),
        ("scheduled", "hard"),
        ("plateau", "soft"),
        ("grad-norm", "soft"),
        ("lr-annealing", "soft"),
        ("ntk", "soft"),
        ("grad-drop", "soft"),
    ],
)
def test_two_replicas_are_one_device(gate, mode, replicas):
    one = model_of(gate, mode, optimizer=keras.optimizers.SGD(0.01))
    expected = fit(one)
    with replicas.scope():
        two = model_of(gate, mode, optimizer=keras.optimizers.SGD(0.01))
    found = fit(two)
    assert int(tf.convert_to_tensor(two.step)) == int(one.step) == 8
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)
