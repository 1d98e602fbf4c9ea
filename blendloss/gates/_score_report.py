"""What the moments of the residuals say of each loss, in numbers and in words; outside of any graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from blendloss._solvers.least_variance import least_variance

_SEEN, _MATTERS = 4.0, 0.05  # standard errors, and scales, from which on two places are apart


class Efficiency(NamedTuple):
    """How much of the blend's precision a loss reaches by itself.

    Args:
        value: V(g) / V_k: the share of the examples that the blend would need to estimate as well; at most about 1.
        standard_error: of `value`.

    Returns:
        The record itself.

    Example:
        >>> import blendloss as bl
        >>> bl.gates.Efficiency(value=0.64, standard_error=0.01).value
        0.64
    """

    value: float
    standard_error: float


def efficiencies(second: Any, curvature: Any, influence: np.ndarray, number: float) -> list[Efficiency]:
    """The efficiency of each loss by itself.

    Args:
        second: A, `[K, K]`, float64.
        curvature: b, `[K]`, float64.
        influence: the mean square of each residual's influence on log V_k - log V(g), `[K]`.
        number: of residuals; with 0, the standard errors are NaN.
    """
    found = least_variance(second[tf.newaxis], curvature[tf.newaxis])
    values = np.asarray(found.variance[0] / found.variances[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = values * np.sqrt(np.float64(influence) / number)
    return [Efficiency(float(value), float(error)) for value, error in zip(values, errors, strict=True)]


def shifts(second: Any, curvature: Any, slope: np.ndarray, number: float) -> tuple[np.ndarray, np.ndarray]:
    """How far the estimate of each loss is from the blend's, in units of c, and the standard errors, `[K]`.

    The estimate of a loss with the mean slope m_k is -m_k / b_k away, to first order, and the blend's -g'm.

    Args:
        second: A, `[K, K]`, float64.
        curvature: b, `[K]`, float64.
        slope: m, `[K]`.
        number: of residuals.
    """
    weights = np.asarray(least_variance(second[tf.newaxis], curvature[tf.newaxis]).weights[0])
    curvature = np.asarray(curvature)[:, np.newaxis]
    usable = curvature > 0
    rows = np.where(usable, np.eye(len(slope)) / np.where(usable, curvature, 1) - weights, 0)
    return -(rows @ np.float64(slope)), np.sqrt(np.einsum("kj,jl,kl->k", rows, np.asarray(second), rows) / number)


def best_by_itself(found: dict[str, Efficiency]) -> str:
    """The sentence that names the best single loss."""
    best = max(found, key=lambda name: found[name].value)
    value, error = found[best]
    return (
        f"The best loss by itself is {best!r}, with {100 * value:.1f} % (standard error {100 * error:.1g}) of the "
        "blend's efficiency."
    )


def asymmetry(names: tuple[str, ...], moved: np.ndarray, errors: np.ndarray) -> list[str]:
    """The warning of asymmetric residuals, where the losses estimate different things."""
    apart = np.abs(moved) > np.maximum(_SEEN * errors, _MATTERS)
    if not apart.any():
        return []
    most = int(np.argmax(np.where(apart, np.abs(moved), 0)))
    return [
        f"The residuals are asymmetric: {names[most]!r} alone would predict {abs(moved[most]):.2f} scales "
        f"{'higher' if moved[most] > 0 else 'lower'} than the blend ({abs(moved[most] / errors[most]):.0f} standard "
        "errors). The losses estimate different things then, and no weights are efficient for all."
    ]
