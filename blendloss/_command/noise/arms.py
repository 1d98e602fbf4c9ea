"""The arms of the study: two single losses and six gates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from blendloss import Blend, gates, losses
from blendloss._command.contaminated import normal_log_density
from blendloss._command.recover import losses as four_losses
from blendloss.keras import HeldOut

Density = Callable[[np.ndarray], np.ndarray]
"""The logarithm of a density of residuals."""


class Arm(NamedTuple):
    """One way of training.

    `about` says in words how the weights are found. `law` computes the density of the noise that the arm implies, from
    the trained blend and its training residuals; None if it implies none. `held_out` makes the rule of a gate that
    follows held-out data, for a batch size.
    """

    name: str
    about: str
    blend: Callable[[], Blend]
    law: Callable[[Blend, np.ndarray], Density] | None = None
    held_out: Callable[[int], HeldOut] | None = None


def _squared(scale: float = 1.0) -> losses.SquaredError:
    return losses.SquaredError(scale * math.sqrt(2))  # r^2 / 2, whose law is the standard normal


def _its_normal(blend: Blend, residuals: np.ndarray) -> Density:
    """The normal law with the highest likelihood, which the squared error implies."""
    return lambda r: normal_log_density(r, float(np.sqrt(np.mean(residuals**2))))


def _its_law(blend: Blend, residuals: np.ndarray) -> Density:
    return lambda r: np.asarray(blend.gate.law().log_prob(r))


def _its_choice(blend: Blend, residuals: np.ndarray) -> Density:
    """log sum_k s_k p_k. If one loss has all the weight, it is the log of that density."""
    from blendloss._likelihood.partition import Partition
    from blendloss._likelihood.residual_law import ResidualLaw

    gate: Any = blend.gate
    resting = gate.batch_independent_gating()
    shares, scales = np.asarray(blend.mode(resting.logits, None)), np.asarray(resting.scale)
    laws = [
        ResidualLaw((penalty,), Partition([penalty]), np.ones(1), np.float64(scale))
        for penalty, scale in zip(gate.penalties, scales, strict=True)
    ]

    def density(r: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            parts = [np.log(share) + np.asarray(law.log_prob(r)) for share, law in zip(shares, laws, strict=True)]
        return np.logaddexp.reduce(parts)

    return density


SINGLES = ("squared alone", "Huber alone")
NAIVE, MIXTURE, MATCHED = "naive", "mixture", "score matching"

ARMS = (
    Arm(
        SINGLES[0],
        "squared error throughout",
        lambda: Blend({"squared": _squared()}, gates.Fixed([1.0])),
        law=_its_normal,
    ),
    Arm(
        SINGLES[1],
        "Huber throughout, tuned for noise of scale 1",
        lambda: Blend({"Huber": losses.Huber.tuned(0.95)}, gates.Fixed([1.0])),
    ),
    Arm(
        NAIVE,
        "trained on the blended loss itself",
        lambda: Blend(four_losses(), gates.Learned(name="naive")),
    ),
    Arm(
        "held-out",
        "trained on the absolute error of held-out data",
        lambda: Blend(four_losses(), gates.Learned(name="held_out")),
        held_out=lambda batch: HeldOut(losses.AbsoluteError(), batch_size=batch),
    ),
    Arm(
        "likelihood choice",
        "the law under which the residuals are likeliest",
        lambda: Blend(four_losses(), gates.Learned(normalize="likelihood", name="choice")),
        law=_its_choice,
    ),
    Arm(
        "exponential family",
        "natural parameters of one law, by likelihood",
        lambda: Blend(four_losses(), gates.ExponentialFamily(learn_scale=True, name="family")),
        law=_its_law,
    ),
    Arm(
        MIXTURE,
        "each residual chooses between two normal laws",
        lambda: Blend({"narrow": _squared(), "broad": _squared()}, gates.Mixture([1.0, 4.0], name="mixture")),
        law=_its_law,
    ),
    Arm(
        MATCHED,
        "six losses, weighed for the least variance",
        lambda: Blend(losses.m_estimators(), gates.ScoreMatching(name="matching")),
    ),
)
