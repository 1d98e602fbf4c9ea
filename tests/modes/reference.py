"""The relaxations and gradients in NumPy float64, written from the papers and without the library.

The thresholds of sparsemax and 1.5-entmax come from bisection, not from a sort.
"""

from __future__ import annotations

import numpy as np


def softmax(logits):
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _by_bisection(logits, power):
    logits = logits - np.max(logits, axis=-1, keepdims=True)
    low, high = -np.ones(logits.shape[:-1] + (1,)), np.zeros(logits.shape[:-1] + (1,))  # sum >= 1 at low, 0 at high
    for _ in range(70):
        middle = (low + high) / 2
        large = (np.maximum(logits - middle, 0) ** power).sum(-1, keepdims=True) >= 1
        low, high = np.where(large, middle, low), np.where(large, high, middle)
    return np.maximum(logits - low, 0) ** power


def sparsemax(logits):
    return _by_bisection(np.asarray(logits, np.float64), 1)


def entmax15(logits):
    return _by_bisection(np.asarray(logits, np.float64) / 2, 2)


VALUES = {"softmax": softmax, "sparsemax": sparsemax, "entmax15": entmax15}


def jacobian(name, logits):
    """dp_i / dz_j by the closed forms in the docstrings, `[..., K, K]`."""
    weights = VALUES[name](logits)
    slope = {"softmax": weights, "sparsemax": (weights > 0) * 1.0, "entmax15": np.sqrt(weights)}[name]
    outer = slope[..., :, None] * slope[..., None, :] / slope.sum(-1)[..., None, None]
    return slope[..., None] * np.eye(slope.shape[-1]) - outer


def derivative(function, at, h=2.0**-10):
    """d function / d at_j, on a new last axis, from a five-point stencil: error about h^4 / 30 x the fifth derivative.

    With h^4 = 1e-12 and rounding of 2e-16 / h = 2e-13, it is good for 1e-10 where fifth derivatives are below 1e3.
    """
    columns = []
    for j in range(at.shape[-1]):
        shift = h * np.eye(at.shape[-1])[j]
        near, far = function(at + shift) - function(at - shift), function(at + 2 * shift) - function(at - 2 * shift)
        columns.append((8 * near - far) / (12 * h))
    return np.stack(columns, -1)


def reinmax(logits, sample, upstream, temperature):
    """The gradient as the authors' code computes it."""
    p = softmax(logits)
    q = 0.5 * (softmax(logits / temperature) + sample)
    first = 2 * (upstream * q - q * (upstream * q).sum(-1, keepdims=True))
    zeroth = -0.5 * (upstream * p - p * (upstream * p).sum(-1, keepdims=True))
    gradient = zeroth + first
    return gradient - gradient.mean(-1, keepdims=True)
