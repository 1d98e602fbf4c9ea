"""The diagnosis of a gate that trains, in words: whether it has collapsed, why, and what to use instead."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from blendloss._blend.objective import Objective
from blendloss._blend.output import BlendOutput
from blendloss.losses import Penalty
from blendloss.losses._math.quadrature import tail
from blendloss.modes import softmax


class Diagnosis(NamedTuple):
    """What `Blend.diagnose` found; its `str()` is the sentence.

    Args:
        collapsed: whether the weights of a trained gate have moved to one loss for no better reason than its numbers.
        shares: what each loss has of the weight, by name, summing to 1; None where that depends on the batch or the
            step, and neither was given.
        sentence: what to tell a person.

    Returns:
        The record itself.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=bl.gates.Fixed([1.0, 3.0], name="fixed"))
        >>> diagnosis = blend.diagnose()
        >>> print(diagnosis)
        Nothing to diagnose: the gate 'fixed' (Fixed) does not train.
        >>> diagnosis.collapsed, diagnosis.shares
        (False, {'mse': 0.25, 'mae': 0.75})
    """

    collapsed: bool
    shares: dict[str, float] | None
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def diagnose(
    objective: Objective, output: BlendOutput | None, step: Any, held_out: bool, threshold: float
) -> Diagnosis:
    """What `Blend.diagnose` gives."""
    gate, names = objective.gate, objective.losses.names
    resting = gate.batch_independent_gating(step)
    found = _shares(objective, resting, output, step)
    shares = None if found is None else dict(zip(names, found.tolist(), strict=True))
    who = f"gate {gate.name!r} ({type(gate).__name__})"
    excuse = "the weights follow the loss on data that was held out" if held_out else gate.why_small_weights_are_fine
    if len(names) == 1:
        return Diagnosis(False, shares, "Nothing to diagnose: there is one loss.")
    report = gate.report()
    if report is not None:
        return Diagnosis(False, shares, report)
    if not gate.trainable_variables:
        return Diagnosis(False, shares, f"Nothing to diagnose: the {who} does not train.")
    if excuse is not None:
        return Diagnosis(False, shares, f"A small weight of the {who} is no sign of collapse: {excuse}.")
    if found is None:
        raise ValueError(
            f"The weights of the {who} depend on the batch or the step: pass `output=blend.compute(...)`, or `step=`. "
            "Received: output=None"
        )
    largest = int(np.argmax(found))
    how_much = f"{100 * found[largest]:.4g} % of the weight is on {names[largest]!r}"
    if not np.isfinite(found).all():
        return Diagnosis(False, shares, f"The {who} cannot be judged: its weights are {shares}.")
    if found[largest] < threshold:
        return Diagnosis(False, shares, f"The {who} has not collapsed: {how_much}.")
    because = _because(names, largest, None if output is None else _numbers(resting, output))
    return Diagnosis(True, shares, f"The {who} has collapsed: {how_much}, {because}. {_remedies(objective)}")


def _shares(objective: Objective, resting: Any, output: BlendOutput | None, step: Any) -> np.ndarray | None:
    """The share of each loss, `[K]`, float64, averaged over examples; None if it depends on a batch or a step."""
    if resting is not None and (step is not None or not objective.mode.needs_step):
        return _of_logits(objective.mode, tf.convert_to_tensor(resting.logits), step)
    if output is None:
        return None
    weights = np.asarray(output.weights, np.float64)
    if resting is not None:
        weights = weights / np.asarray(resting.total, np.float64)
    with np.errstate(invalid="ignore"):
        return weights / weights.sum()


def _of_logits(mode: Any, logits: tf.Tensor, step: Any) -> np.ndarray:
    """The shares of `logits` under `mode`, or under its relaxation alone, whichever are flatter.

    A mode that sharpens (a low temperature, a hard choice) is no collapse: the logits can still change.
    """
    relaxation = getattr(getattr(mode, "estimator", mode), "relaxation", softmax)
    both = [mode(logits, step, training=False), relaxation(logits)]
    k = logits.shape[-1]
    means = [np.asarray(tf.cast(shares, tf.float64)).reshape(-1, k).mean(axis=0) for shares in both]
    return means[0] if np.isnan(means[0]).any() else min(means, key=max)


def _numbers(resting: Any, output: BlendOutput) -> np.ndarray:
    """The losses in the gate's units, `[K]`: what each unit of share costs."""
    return np.asarray(output.losses, np.float64) * (1.0 if resting is None else np.asarray(resting.total, np.float64))


def _because(names: tuple[str, ...], largest: int, numbers: np.ndarray | None) -> str:
    generally = "and minimizing the blended loss over its weights moves them to the smallest numbers, whatever the data"
    if numbers is None or np.isnan(numbers).any():
        return generally
    rival = int(np.argmin(np.where(np.arange(len(names)) == largest, np.inf, numbers)))
    if numbers[largest] == numbers[rival]:
        return generally
    if numbers[largest] < numbers[rival]:
        return (
            f"whose numbers are the smallest ({numbers[largest]:.3g}; {names[rival]!r} {numbers[rival]:.3g}): "
            "minimizing the blended loss over its weights chooses those, whatever the data"
        )
    return (
        f"though {names[rival]!r} has smaller numbers now ({numbers[rival]:.3g}; {names[largest]!r} "
        f"{numbers[largest]:.3g}): it had the smallest before, or started there, and a small weight hardly learns"
    )


def _remedies(objective: Objective) -> str:
    given = objective.losses.functions.values()
    tails = [tail(loss) for loss in given if isinstance(loss, Penalty)]
    ways = []
    if len(tails) == len(objective.losses.names) and min(tails) > 1:  # each is a density by itself
        ways.append('`Learned(normalize="likelihood")`')
    if len(tails) == len(objective.losses.names) and max(tails) > 0:  # together they can be one
        ways.append("`gates.ExponentialFamily()`")
    if None not in given:
        ways.append("`BlendedModel(..., held_out=...)`")
    choosing = f"To choose by evidence, use {' or '.join(ways)}" if ways else "Choose the weights by hand (`Fixed`)"
    if hasattr(objective.gate, "regularizers"):
        return f"{choosing}; to keep the weights spread, a regularizer such as `gates.regularizers.Entropy(0.1)`."
    return f"{choosing}."
