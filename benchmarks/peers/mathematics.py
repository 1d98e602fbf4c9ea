"""The penalties as their formulas stand in the books, for any library with NumPy's names; thresholds are 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Penalty = Callable[[Any, Any], Any]

FORMULAS: dict[str, Penalty] = {
    "SquaredError": lambda np, r: r * r,
    "Huber": lambda np, r: np.where(np.abs(r) <= 1.0, 0.5 * r * r, np.abs(r) - 0.5),
    "AbsoluteError": lambda np, r: np.abs(r),
    "LogCosh": lambda np, r: np.abs(r) + np.log1p(np.exp(-2.0 * np.abs(r))) - math.log(2.0),
    "Cauchy": lambda np, r: 0.5 * np.log1p(r * r),
    "PseudoHuber": lambda np, r: np.sqrt(1.0 + r * r) - 1.0,
    "Welsch": lambda np, r: 0.5 * (1.0 - np.exp(-r * r)),
    "GemanMcClure": lambda np, r: 0.5 * r * r / (1.0 + r * r),
}

VALUE, TO_PREDICTIONS, TO_LOGITS = "L", "dL/dy_pred", "dL/dlogits"
#: Of sums XLA's CPU reductions are off by up to 5e-4 in float32 at 2^24 terms, and so are Keras's losses; dL/dlogits is
#: the difference of such means, which enlarges it several times. Elementwise results are off by some roundings.
TOLERANCES = {
    "float32": {VALUE: 1e-3, TO_PREDICTIONS: 1e-5, TO_LOGITS: 5e-3},
    "float64": {VALUE: 1e-10, TO_PREDICTIONS: 1e-13, TO_LOGITS: 1e-10},
}


def named(results: Any) -> dict[str, Any]:
    """Value and gradients by name."""
    return dict(zip((VALUE, TO_PREDICTIONS, TO_LOGITS), results, strict=True))
