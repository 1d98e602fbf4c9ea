"""Prints how many programs XLA compiled for a training step of each gate, in its first and in later steps.

Run as a script, by `test_compiled_once.py`, with the folder into which XLA writes its programs.
"""

import sys
from pathlib import Path

import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.blend.instances import FROM_GRADIENTS, OF_VALUES


def programs(dump: Path) -> int:
    return len(list(dump.glob("*before_optimizations.txt")))


def steps_of(gate):
    """A compiled training step of three losses of a variable that moves."""
    blend = bl.Blend(["a", "b", "c"], gate)
    w, step = tf.Variable([1.0, -0.5, 2.0, 0.25]), tf.Variable(0, dtype=tf.int64)
    ways = tf.constant([[1.0, 2.0, 0.0, 1.0], [-1.0, 0.5, 1.0, 0.0], [0.5, -2.0, 1.0, 1.0]])

    @tf.function(jit_compile=True)
    def train_step():
        with tf.GradientTape(persistent=True) as tape:
            residuals = [tf.reshape(tf.tensordot(way, w, 1) - 3.0, [1]) for way in tf.unstack(ways)]
            values = {name: tf.reduce_sum(r**2) + 0.5 for name, r in zip(blend.names, residuals, strict=True)}
        given = dict(zip(blend.names, residuals, strict=True)) if Needs.RESIDUAL_GRADIENTS in gate.needs else None
        variables = [w, *blend.trainable_variables]
        found = blend.gradients(tape, values, variables, step=step, residuals=given)
        for variable, gradient in zip(variables, found.gradients, strict=True):
            variable.assign(tf.convert_to_tensor(variable) - 0.01 * tf.cast(gradient, variable.dtype))
        if Needs.PROGRESS in gate.needs:
            gate.observe_progress({name: value * 0.9 for name, value in values.items()})
        step.assign_add(1)

    return train_step


def main(dump: Path) -> None:
    for name, make in {**OF_VALUES, **FROM_GRADIENTS}.items():
        before = programs(dump)
        train_step = steps_of(make())
        train_step()
        first = programs(dump) - before
        for _ in range(3):
            train_step()
        print(name, first, programs(dump) - before - first, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
