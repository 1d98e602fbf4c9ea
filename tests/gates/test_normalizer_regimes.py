"""Normalizers in eager, graph and XLA execution, in every precision, and on replicas."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import regularizers
from tests.gates.normalized import EPS, LOGITS, NORMALIZERS, RESIDUALS, STEPS, blend_of, compute, every_normalizer


@every_normalizer
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_every_regime_gives_the_same_in_one_trace(name, jit_compile):
    def step_of(blend):
        def step(residual, index):
            with tf.GradientTape() as tape:
                tape.watch(residual)
                value = compute(blend, residual, step=index).value
            variables = [variable.value for variable in blend.trainable_variables]
            gradients = tape.gradient(value, [residual, *variables])
            for variable, gradient in zip(blend.trainable_variables, gradients[1:], strict=True):
                variable.assign_sub(0.05 * gradient)
            return value, gradients[0]

        return step

    coefficient = bl.schedules.linear(1.0, 0.0, steps=9)
    eager, compiled = (
        blend_of(NORMALIZERS[name](), LOGITS, regularize=[regularizers.Entropy(coefficient)]) for _ in range(2)
    )
    signature = [tf.TensorSpec([None, 1]), tf.TensorSpec([], tf.int64)]
    function = tf.function(step_of(compiled), input_signature=signature, jit_compile=jit_compile)
    for index, residual in enumerate(RESIDUALS):
        arguments = tf.constant(residual), tf.constant(index, tf.int64)
        for found, expected in zip(function(*arguments), step_of(eager)(*arguments), strict=True):
            # A dozen roundings a step, of numbers up to 20, carried on through the steps.
            np.testing.assert_allclose(found, expected, rtol=12 * STEPS * EPS, atol=12 * STEPS * EPS)
    assert function.experimental_get_tracing_count() == 1


@every_normalizer
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(name, dtype):
    blend = blend_of(NORMALIZERS[name](), dtype=dtype)
    for residual in RESIDUALS[:3]:
        output = compute(blend, tf.cast(residual, "float64" if dtype == "float64" else "float32"))
    assert all(variable.dtype in (dtype, "int64") for variable in blend.gate.variables)
    reference = blend_of(NORMALIZERS[name](), dtype="float64")
    for residual in RESIDUALS[:3]:
        expected = compute(reference, np.float64(residual))
    unit = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float64": 2.0**-52}[dtype]
    np.testing.assert_allclose(output.value, expected.value, rtol=16 * unit, atol=16 * unit)


@every_normalizer
def test_replicas_keep_the_state_of_one_device(name, replicas):
    with replicas.scope():
        blend = blend_of(NORMALIZERS[name](), LOGITS)
    alone = blend_of(NORMALIZERS[name](), LOGITS)

    @tf.function
    def step(residual):
        def run(part):
            with tf.GradientTape() as tape:
                value = compute(blend, part).value
            return value, tape.gradient(value, [variable.value for variable in blend.trainable_variables])

        return replicas.run(run, args=(residual,))

    for residual in RESIDUALS[:4]:
        parts = residual[:4], residual[4:]
        given = replicas.experimental_distribute_values_from_function(
            lambda context, parts=parts: tf.constant(parts[context.replica_id_in_sync_group])
        )
        values, gradients = step(given)
        with tf.GradientTape() as tape:
            expected = compute(alone, residual).value
        slopes = tape.gradient(expected, [variable.value for variable in alone.trainable_variables])
        # The blend divides a mean by the number of replicas; their gradients are summed.
        np.testing.assert_allclose(sum(replicas.experimental_local_results(values)), expected, rtol=16 * EPS)
        for gradient, slope in zip(gradients, slopes, strict=True):
            total = sum(np.float64(part) for part in replicas.experimental_local_results(gradient))
            np.testing.assert_allclose(total, slope, rtol=0, atol=40 * EPS)
    for variable, other in zip(blend.gate.variables, alone.gate.variables, strict=True):
        for copy in replicas.experimental_local_results(variable.value):
            np.testing.assert_allclose(copy, other, rtol=16 * EPS)
