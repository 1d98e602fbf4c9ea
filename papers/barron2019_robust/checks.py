"""What the paper says of the loss and its density, checked at residuals drawn by the seed.

A deviation is the largest |ours - expected| / (1 + |expected|): that of the published tests, whose relative and
absolute tolerance are the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

import blendloss as bl
from papers.barron2019_robust.config import Config

INF = math.inf
Wide = np.longdouble

#: The formulas of the special cases, of u = x / c.
FORMULAS: dict[float, Callable[[Any], Any]] = {
    -INF: lambda u: -np.expm1(-(u**2) / 2),
    -2.0: lambda u: 2 * u**2 / (u**2 + 4),
    0.0: lambda u: np.log1p(u**2 / 2),
    1.0: lambda u: np.sqrt(u**2 + 1) - 1,
    2.0: lambda u: u**2 / 2,
    4.0: lambda u: u**4 / 8 + u**2 / 2,
    INF: lambda u: np.expm1(u**2 / 2),
}

#: The library's own loss that is a special case; its curvature at 0 is 1, and Barron's 1 / c^2, but for the last.
NAMED: dict[float, Callable[[float], tuple[bl.losses.Penalty, float]]] = {
    -INF: lambda c: (bl.losses.Welsch(math.sqrt(2) * c), c**2),
    -2.0: lambda c: (bl.losses.GemanMcClure(2 * c), c**2),
    0.0: lambda c: (bl.losses.Cauchy(math.sqrt(2) * c), c**2),
    1.0: lambda c: (bl.losses.PseudoHuber(c), c**2),
    2.0: lambda c: (bl.losses.SquaredError(math.sqrt(2) * c), 1.0),
}

#: The shapes at which the published tests compare the approximate form, which is poor at 0 itself.
APPROXIMATED = (-4.0, -2.0, -0.2, -0.01, 0.01, 0.2, 1.0, 1.99, 2.0, 2.01, 4.0)

#: Z(n / d) as the published tests have it, that of 1 first.
PARTITIONS = {
    (1, 1): 3.272306973,
    (1, 7): 4.080330073,
    (1, 5): 3.984791180,
    (1, 3): 3.808203509,
    (3, 7): 3.706553276,
    (3, 5): 3.553489270,
    (3, 4): 3.439385624,
    (5, 4): 3.119044506,
    (7, 5): 3.028084866,
    (8, 5): 2.901059987,
    (7, 4): 2.794052016,
    (5, 2): 2.218882601,
    (3, 1): 2.153202857,
    (7, 2): 2.121140098,
    (9, 2): 2.089161164,
    (7, 1): 2.059929623,
    (10, 3): 2.129863884,
    (13, 3): 2.092928254,
    (16, 3): 2.075212740,
    (17, 3): 2.071185791,
    (15, 2): 2.056990258,
}


def deviation(ours: Any, expected: Any) -> float:
    """The largest |ours - expected| / (1 + |expected|)."""
    expected = np.asarray(expected)
    return float(np.max(np.abs(np.asarray(ours) - expected) / (1 + np.abs(expected))))


def special_cases(config: Config, seed: int) -> dict[str, Any]:
    """Barron's loss against the formulas, the library's losses of these names, and the approximate form."""
    random = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for dtype in ("float32", "float64"):
        x = random.uniform(-20, 20, config.residuals).astype(dtype)
        scale = float(np.float32(random.uniform(1.5, 2.5)))  # no rounding of c in either dtype
        for alpha, formula in FORMULAS.items():
            value = bl.losses.Barron(alpha, scale).value(x).numpy()
            found[f"{alpha:g} {dtype}"] = deviation(value, formula(x.astype(Wide) / Wide(scale)))
            if alpha in NAMED:
                named, factor = NAMED[alpha](scale)
                found[f"{alpha:g} named {dtype}"] = deviation(value, named.value(x).numpy() / factor)
    pairs = [
        (bl.losses.Barron(alpha, scale).value(x / 2), _approximate(x / 2 / scale, alpha)) for alpha in APPROXIMATED
    ]
    # A relative tolerance of 1e-5 and an absolute one of 1e-4: at most 1 where both hold.
    found["approximate"] = max(float(np.max(abs(a - b) / (1e-4 + 1e-5 * abs(b)))) for a, b in pairs)
    return found


def _approximate(u: np.ndarray, alpha: float, epsilon: float = 1e-6) -> np.ndarray:
    """The paper's form without special cases: |alpha - 2| and alpha are moved away from 0."""
    b = abs(alpha - 2) + epsilon
    d = alpha + epsilon if alpha >= 0 else alpha - epsilon
    return b / d * ((u**2 / b + 1) ** (d / 2) - 1)


def properties(config: Config, seed: int) -> dict[str, Any]:
    """How far the loss is from being monotone, bounded and so on: at most 0, or a deviation, where it is."""
    random = np.random.default_rng(seed)
    # As published: shapes in (-16, 3), in steps of 0.1, their ends at infinity; x / c over many decades.
    alphas = np.round(np.linspace(-16, 3, config.drawn_shapes), 1)
    alphas[[0, -1]] = -INF, INF
    u = np.sort(np.abs(random.normal(size=config.residuals)) * np.exp(4 * random.normal(size=config.residuals)))
    losses = [bl.losses.Barron(float(alpha)) for alpha in alphas]
    rho, psi = np.swapaxes([[part.numpy() for part in loss.value_and_slope(u)] for loss in losses], 1, 0)
    with np.errstate(invalid="ignore"):  # infinity less infinity, at alpha = infinity far out
        in_u, in_alpha = np.diff(rho, axis=1) / (1 + rho[:, 1:]), np.diff(rho, axis=0) / (1 + rho[1:])
    bounded, below_2, below_1 = alphas < 0, alphas <= 2, alphas <= 1
    bounds = np.array([1.0 if math.isinf(alpha) else (alpha - 2) / alpha for alpha in alphas[bounded]])
    near = u < 0.5
    factor, scale = np.exp(random.normal(size=2))
    scaled = [
        deviation(bl.losses.Barron(loss.alpha, factor * scale).value(factor * u[near]), loss.value(u[near] / scale))
        for loss in losses
    ]
    return {
        "falls with |x|": float(np.nanmax(-in_u)),
        "falls with alpha": float(np.nanmax(-in_alpha)),
        "above (alpha - 2) / alpha": float(np.max(rho[bounded] - bounds[:, np.newaxis])),
        "slope above |x| / c^2": float(np.max(psi[below_2] / u - 1)),
        "slope above 1 / c": float(np.max(psi[below_1] - 1)),
        "from quadratic": float(np.max(np.abs(rho[:, near] - u[near] ** 2 / 2))) if near.any() else 0.0,
        "from scale invariance": max(scaled) if near.any() else 0.0,
    }


def partition_function(config: Config, seed: int) -> dict[str, Any]:
    """Z, by the gate that makes densities of losses and by the adaptive loss; and the densities at both ends."""
    random = np.random.default_rng(seed)
    x, scale = random.normal(size=config.residuals) * 6, float(np.exp(random.normal()))
    laws = {0.0: stats.cauchy(0, math.sqrt(2) * scale), 2.0: stats.norm(0, scale)}
    found: dict[str, Any] = dict(_partitions(config.partitions))
    for alpha, law in laws.items():
        fixed = bl.losses.Barron(alpha, scale).value(x) + math.log(scale) + math.log(found[f"Z({alpha:g})"])
        inside = min(max(alpha, 1e-9), 2 - 1e-9)  # the adaptive loss's shape never reaches its ends
        adaptive = bl.losses.AdaptiveBarron(
            low=0.0, high=2.0, initial_alpha=inside, initial_scale=scale, dtype="float64"
        )(np.zeros_like(x), x)
        found[f"from {law.dist.name}"] = max(deviation(one, -law.logpdf(x)) for one in (fixed, adaptive))
    return found


@functools.lru_cache(maxsize=1)
def _partitions(number: int) -> dict[str, float]:
    """Z(0), Z(1), Z(2), log Z(inf); the largest |Z - published| of the table, by the gate and by the adaptive loss."""
    shapes = {n / d: z for (n, d), z in list(PARTITIONS.items())[:number]}
    gate = bl.gates.Learned(normalize="likelihood")
    losses = {f"{alpha:g}": bl.losses.Barron(alpha) for alpha in (0.0, 2.0, INF, *shapes)}
    bl.Blend(losses, gate)
    logs = dict(zip(losses, gate.normalize.log_partitions, strict=True))
    adaptive = {alpha: z for alpha, z in shapes.items() if alpha < 2}
    return {
        **{f"Z({name})": math.exp(logs[name]) for name in ("0", "1", "2")},
        "log Z(inf)": float(logs["inf"]),
        "from the table": max(abs(math.exp(logs[f"{alpha:g}"]) - z) for alpha, z in shapes.items()),
        "adaptive from the table": max(abs(_adaptive_partition(alpha) - z) for alpha, z in adaptive.items()),
    }


def _adaptive_partition(alpha: float) -> float:
    """Z(alpha) of the adaptive loss: at a residual of 0 and a scale of 1, the loss is log Z."""
    loss = bl.losses.AdaptiveBarron(low=0.0, high=2.0, initial_alpha=alpha, dtype="float64")
    zero = np.zeros(1)
    return math.exp(loss(zero, zero)[0])
