"""What is fuzzed: every exported name, and the calls of what it makes, each with arguments that are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs


class Subject(NamedTuple):
    """One thing to call.

    Args:
        call: takes arguments by name; gives what was computed.
        valid: arguments that are right, made anew.
        kinds: of each argument, its kind (see `hostile.EITHER`), whether it may be None, and whether only what must be
            refused is given, because computing takes long.
    """

    call: Callable[[dict[str, Any]], Any]
    valid: Callable[[], dict[str, Any]]
    kinds: dict[str, tuple[str, bool, bool]]


class New(NamedTuple):
    """A value that is made anew for each call."""

    make: Callable[[], Any]


SUBJECTS: dict[str, Subject] = {}


def subject(name: str, call: Callable[..., Any], /, **arguments: tuple[str, Any]) -> None:
    """Adds a subject; each argument is its kind and a value that is right.

    A `?` after the kind: it may be None. A `!`: only what must be refused is given.
    """
    SUBJECTS[name] = Subject(
        lambda given: call(**given),
        lambda: {key: value.make() if isinstance(value, New) else value for key, (_, value) in arguments.items()},
        {key: (kind.rstrip("?!"), "?" in kind, "!" in kind) for key, (kind, _) in arguments.items()},
    )


Y, P = tf.zeros([6, 2]), tf.reshape(tf.range(12.0), [6, 2]) / 4
LOSSES = {"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}
LOGITS = tf.constant([0.5, 1.5])


def used_loss(loss: Any) -> Any:
    """Value and slope of a loss."""
    values = loss(Y, P)
    return (values, loss.slope(P)) if isinstance(loss, bl.losses.Penalty) else values


def used_gate(gate: Any) -> Any:
    """A step of a blend with the gate, and what a metric or the progress makes of it."""
    blend = bl.Blend(LOSSES, gate)
    if Needs.GRADIENTS in gate.needs:
        variable = tf.Variable([1.0, 2.0])
        with tf.GradientTape(persistent=True) as tape:
            prediction = P * variable
            values, residuals = blend.values(Y, prediction), blend.residuals(Y, prediction)
        return tuple(blend.gradients(tape, values, [variable, *blend.trainable_variables], step=0, residuals=residuals))
    if isinstance(gate, bl.gates.MetricGate):
        gate.observe(1.0)
    result = tuple(blend.compute(Y, P, step=3, features=P))
    if Needs.PROGRESS in gate.needs:
        gate.observe_progress([1.0, 2.0])
    return result


def used_mode(mode: Any) -> Any:
    """Weights of a mode, or of the mode with an estimator."""
    return mode(LOGITS, step=3)


def used_schedule(schedule: Any) -> Any:
    return schedule(3)


def made(room: Any, name: str, use: Callable[[Any], Any], /, **arguments: tuple[str, Any]) -> None:
    """Adds a class or factory of a room; `use` computes with what it makes."""
    prefix = room.__name__.removeprefix("blendloss").lstrip(".")
    factory = getattr(room, name)
    subject(f"{prefix}.{name}", lambda **given: use(factory(**given)), **arguments)
