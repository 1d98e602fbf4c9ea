"""Fits a model on one device and on two replicas; raises where they differ.

Run as a module, by `test_replicas.py`, with the names of a gate and of a mode.
"""

import sys

import tests.conftest  # noqa: F401, two virtual CPUs  # isort: skip
import keras
import tensorflow as tf

from tests.keras.models import assert_two_replicas_are_one_device, fit, model_of


def main(gate: str, mode: str) -> None:
    def model():
        return model_of(gate, mode, optimizer=keras.optimizers.SGD(0.01))

    assert_two_replicas_are_one_device(model, fit, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
