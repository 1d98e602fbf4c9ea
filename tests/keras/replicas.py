"""Fits a model on one device and on two replicas; raises where they differ.

Run as a module, by `test_replicas.py`, with the names of a gate and of a mode.
"""

import sys

import tests.conftest  # noqa: F401, two virtual CPUs  # isort: skip
import keras
import numpy as np
import tensorflow as tf

from tests.keras.models import fit, model_of


def main(gate: str, mode: str) -> None:
    one = model_of(gate, mode, optimizer=keras.optimizers.SGD(0.01))
    expected = fit(one)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        two = model_of(gate, mode, optimizer=keras.optimizers.SGD(0.01))
    found = fit(two)
    assert int(tf.convert_to_tensor(two.step)) == int(one.step) == 8
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)


if __name__ == "__main__":
    main(*sys.argv[1:])
