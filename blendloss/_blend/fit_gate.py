"""Fitting a gate to given predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from blendloss._blend.blend import Blend
from blendloss._blend.minimizer import minimize
from blendloss._internal import checks, conversion
from blendloss.gates import Needs


class GateFit(NamedTuple):
    """How a fit of a gate ended.

    Args:
        value: the blend's value at the end, a scalar.
        converged: whether the gradient came below the tolerance, or the value stopped falling.
        iterations: how many there were.

    Returns:
        The record itself.

    Example:
        >>> import blendloss as bl
        >>> bl.GateFit(value=0.5, converged=True, iterations=3).converged
        True
    """

    value: Any
    converged: Any
    iterations: Any


def fit_gate(
    blend: Blend,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    *,
    features: Any = None,
    variables: Sequence[Any] | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
) -> GateFit:
    """Fits the trainable variables of a blend to given predictions by L-BFGS, in two runs; the second starts nearby.

        theta <- argmin_theta L(y_true, y_pred; theta)

    Use it for gates whose minimum means something (`ExponentialFamily`, `Mixture`, `Uncertainty`): for example the
    maximum-likelihood law of the residuals of a trained network, on examples that the network has not seen. Nothing is
    sampled, and no running state changes. Start with scales of about the size of the residuals. From far off the
    descent may stop early, above all in float32.

    The first fit of a kind is compiled, which takes seconds. Every later fit of a blend with the same configuration, to
    arrays of the same shapes and dtypes, uses that program. A blend with parts of your own has a program for each fit.

    Args:
        blend: the blend; its trainable variables are assigned. The descent starts from their values, so that a second
            fit continues the first; `blend.fresh()` starts anew. The fit is in float64 if these and `y_pred` are.
        y_true: targets, as the losses take them.
        y_pred: predictions, `[batch, ...]`, which stay fixed.
        sample_weight: weights of the examples, or a dict of these by loss; None is 1.
        features: what a gate that chooses by example looks at.
        variables: which of the blend's variables to fit; None is all trainable ones. A part may be convex where the
            whole is not: `ExponentialFamily` is convex in `gate.parameters` at a fixed scale.
        tolerance: the largest component of the gradient at which the fit has converged, > 0.
        max_iterations: at most so many in each of the two descents, at least 1.

    Returns:
        A `GateFit`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if nothing in the blend trains, or it does not reduce to a scalar, or a variable is not the blend's,
            or the gate is one of gradients.

    Example:
        >>> import numpy as np, blendloss as bl
        >>> gate = bl.gates.ExponentialFamily()
        >>> blend = bl.Blend({"squared": bl.losses.SquaredError()}, gate)
        >>> residuals = np.array([[-3.0], [-1.0], [1.0], [3.0]], "float32")
        >>> fit = bl.fit_gate(blend, np.zeros_like(residuals), residuals)
        >>> round(float(gate.weights_and_scale()[0][0]), 4)  # 1 / (2 variance) = 1 / 10
        0.1

    References:
        Nocedal and Wright, Numerical Optimization (2006), algorithm 7.5; TensorFlow Probability's implementation.
    """
    if not isinstance(blend, Blend):
        raise TypeError(f"`blend` must be a Blend. Received: blend={blend!r}")
    if variables is None:
        variables = blend.trainable_variables
    variables = conversion.variables("variables", variables)
    strangers = [
        getattr(variable, "name", "a tensor")
        for variable in variables
        if all(variable is not own for own in blend.variables)
    ]
    if strangers or not variables:
        raise ValueError(
            "`variables` must be variables of the blend, and there must be one that trains. "
            f"Received: {strangers or 'none'} of the gate {blend.gate.name!r}"
        )
    if blend.reduction in ("none", None):
        raise ValueError(f"`blend` must reduce to a scalar. Received: reduction={blend.reduction!r}")
    if Needs.GRADIENTS in blend.gate.needs:
        raise ValueError(
            f"The gate {blend.gate.name!r} trains by the gradients of the losses in a network's variables, which "
            "predictions do not have. Received: a gate of gradients"
        )
    tolerance = checks.positive("tolerance", tolerance)
    max_iterations = checks.integer("max_iterations", max_iterations, minimum=1)
    # Raises for wrong data before a graph is traced.
    blend.objective.bind_losses(y_true, y_pred, sample_weight, None)
    return GateFit(*minimize(blend, variables, (y_true, y_pred, sample_weight, features), tolerance, max_iterations))
