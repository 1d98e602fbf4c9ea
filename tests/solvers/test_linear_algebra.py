"""The linear algebra of the solvers: eigenvalues, pseudo-inverses, systems of equations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from blendloss._solvers.eigen import eigen, pseudo_inverse_applied
from blendloss._solvers.linear import solution
from tests.solvers.matrices import KINDS, ROUNDING, gradients_of, gram_of, over_sizes


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@over_sizes
def test_eigen(k, jit_compile):
    function = tf.function(eigen, jit_compile=jit_compile)
    for kind in KINDS:
        gram = gram_of(gradients_of(kind, k))
        values, vectors = (found.numpy() for found in function(tf.constant(gram)))
        largest = np.abs(gram).max()
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(k), atol=ROUNDING)
        np.testing.assert_allclose(vectors * values @ vectors.T, gram, atol=ROUNDING * largest)
        np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(gram), atol=ROUNDING * k * largest)


def test_eigen_of_diagonal_equal_and_zero_matrices():
    for matrix in (np.diag([3.0, 1.0, 2.0]), np.eye(4), np.ones((3, 3)), np.zeros((2, 2)), [[0.0, 1.0], [1.0, 0.0]]):
        matrix = np.asarray(matrix)
        values, vectors = (found.numpy() for found in eigen(tf.constant(matrix)))
        np.testing.assert_allclose(vectors * values @ vectors.T, matrix, atol=4e-16)
        np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(matrix), atol=2e-15)


@over_sizes
def test_pseudo_inverse(k):
    for kind in ("random", "dependent", "repeated"):
        gram, vector = gram_of(gradients_of(kind, k)), np.arange(1.0, k + 1)
        found = pseudo_inverse_applied(tf.constant(gram), tf.constant(vector), 1e-12)
        expected = np.linalg.pinv(gram, rcond=1e-12, hermitian=True) @ vector
        condition = np.linalg.cond(gram) if kind == "random" else 1e3
        np.testing.assert_allclose(found, expected, atol=ROUNDING * condition * np.abs(expected).max())


@over_sizes
def test_solution(k):
    gram = gram_of(gradients_of("scaled", k)) + np.diag(np.full(k, 1e-20))
    vector = np.linspace(1, 2, k)
    units = np.sqrt(np.diag(gram))
    found = solution(tf.constant(gram), tf.constant(vector)).numpy()
    left = (gram @ found - vector) / units
    assert np.abs(left).max() <= ROUNDING * (np.abs(gram / units[:, None]) @ np.abs(found) + vector / units).max()
