"""Fits models on one device and on two replicas; says where they differ.

Run as a module, by `test_replicas.py`. Each line of input is the names of a gate and of a mode; the answer to each is a
line of output, in JSON: null, or the traceback of what differs or was raised otherwise. More than ten minutes end it.
"""

import faulthandler
import json
import sys
import traceback

import tests.conftest  # noqa: F401, two virtual CPUs  # isort: skip
import keras
import tensorflow as tf

from tests.keras.models import assert_two_replicas_are_one_device, fit, model_of


def compare(gate: str, mode: str, strategy: tf.distribute.Strategy) -> str | None:
    def model():
        return model_of(gate, mode, optimizer=keras.optimizers.SGD(0.01))

    faulthandler.dump_traceback_later(600, exit=True)
    try:
        assert_two_replicas_are_one_device(model, fit, strategy)
    except Exception:
        return traceback.format_exc()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return None


def main() -> None:
    # One strategy for all: each numbers its collectives from the start.
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for line in sys.stdin:
        gate, mode = line.split()
        print(json.dumps(compare(gate, mode, strategy)), flush=True)


if __name__ == "__main__":
    main()
