"""Schedules that leave the range of what they schedule."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from tests.gates.instances import blend_of


@keras.saving.register_keras_serializable(package="tests")
def to_three(step):
    return tf.cast(step, tf.float32)


@keras.saving.register_keras_serializable(package="tests")
def below_zero(step):
    return 1.0 - tf.cast(step, tf.float32)


@keras.saving.register_keras_serializable(package="tests")
def nan_after_2(step):
    return tf.where(step > 2, float("nan"), 1.0)


@keras.saving.register_keras_serializable(package="tests")
def weights_negative(step):
    return tf.stack([1.0, 1.0, 1.5 - tf.cast(step, tf.float32)])


@keras.saving.register_keras_serializable(package="tests")
def weights_vanish(step):
    return tf.maximum(0.0, 2.5 - tf.cast(step, tf.float32)) * tf.ones([3])


@keras.saving.register_keras_serializable(package="tests")
def weights_overflow(step):
    return tf.stack([1.0, tf.where(step > 2, float("inf"), 1.0), 1.0])


OUT_OF_RANGE = [to_three, below_zero, nan_after_2, weights_negative, weights_vanish, weights_overflow]


@pytest.mark.parametrize("schedule", OUT_OF_RANGE)
def test_a_schedule_out_of_range_raises_when_it_gets_there(schedule):
    gate = gates.Scheduled(schedule)
    blend = blend_of(gate, 3)
    for regime in (lambda f: f, tf.function):
        run = regime(lambda step: blend.compute([[0.0]], [[2.0]], step=step).weights)
        assert np.isfinite(run(tf.constant(1))).all()
        with pytest.raises(tf.errors.InvalidArgumentError, match="[Ss]cheduled (position|weights) must"):
            run(tf.constant(3))


def test_a_schedule_out_of_range_gives_nan_under_xla():
    blends = [blend_of(gates.Scheduled(schedule), 3) for schedule in OUT_OF_RANGE]

    @tf.function(jit_compile=True)
    def every(step):
        return tf.stack([blend(tf.zeros([1, 1]), tf.ones([1, 1]), step=step) for blend in blends])

    assert np.isfinite(every(tf.constant(1))).all()
    assert np.isnan(every(tf.constant(3))).all()
