"""What `BlendedModel` asks of a training step, so that nothing in the blend is silently left as it is."""

from __future__ import annotations

from typing import Any

from blendloss._blend.loss_variables import captured_variables
from blendloss.gates import MetricGate, Needs
from blendloss.keras._step_count import follows_step
from blendloss.losses._columns import innermost


def require_progress(model: Any) -> None:
    """Raises for a blend that training would leave as it is."""
    gate = model.blend.gate
    if isinstance(gate, MetricGate) and not gate.metric_observed:
        raise ValueError(
            f"The gate {gate.name!r} watches {gate.monitor!r}, which `fit` shows it after every epoch. In a loop "
            "of your own, call `gate.observe(value)`; until the first value, set `gate.metric_observed = True`. "
            "Received: a training step of a gate that nothing shows its metric"
        )
    if not model.compiled and follows_step(model.blend):
        raise ValueError(
            "The blend follows `model.step`, which counts the updates of `model.optimizer`: compile the model "
            "with the optimizer that trains it. Received: a training step of a model that is not compiled"
        )
    _require_trained(model)


def _require_trained(model: Any) -> None:
    """Raises for a function that reads a variable which nothing trains or saves; the network's own are trained."""
    of_network = {id(part) for variable in model.network.variables for part in (variable, variable.value)}
    twice = [v.name for v in model.blend.loss_variables if {id(v), id(v.value)} & of_network]
    if twice:
        raise ValueError(
            "A loss must not hold a variable of the network, which would be trained twice: let a function read it. "
            f"Received: losses that hold {twice}"
        )
    trained = {id(part) for variable in model.trainable_variables for part in (variable, variable.value)}
    for name, loss in model.blend.functions.items():
        for variable in captured_variables(innermost(loss)):
            if id(variable) not in trained:
                raise ValueError(
                    "A function must not read a variable that trains: nothing would train or save it. Let an attribute "
                    "of a `keras.losses.Loss` hold it, as a `keras.Variable`; if it is not to train, give it "
                    f"`trainable=False`. Received: the loss {name!r}, which reads {variable.name!r}"
                )


def require_own_step(model: Any) -> None:
    """Raises where a training step that only takes the loss would leave out the rule by which the gate trains."""
    gate = model.blend.gate
    if model.held_out is not None:
        raise ValueError(
            "The gate follows the held-out loss: let `train_step` call `super().train_step(data)`. By "
            "`compute_loss` it would follow the training loss. Received: held_out, and a call of `compute_loss`"
        )
    if Needs.GRADIENTS in gate.needs:
        raise ValueError(
            f"The gate {gate.name!r} weighs losses by their gradients: let `train_step` call "
            "`super().train_step(data)`, or apply `self.blend.gradients(tape, values, variables, step=self.step)`. "
            "Received: a call of `compute_loss`"
        )


def require_held_out_data(model: Any) -> None:
    """Raises where a held-out gate has nothing to train on, or nothing that trains."""
    if model.held_out is None:
        return
    if not model.blend.gate.trainable_variables:
        raise ValueError(nothing_trains("held_out", "gate", model.blend.gate))
    if model.held_out_data is None:
        raise ValueError(
            "The gate is trained on held-out data: pass `held_out_data=(x, y)` to `fit`, or call "
            "`set_held_out_data`. Received: none"
        )


def nothing_trains(argument: str, part: str, subject: Any) -> str:
    """The message for an argument that would have no effect."""
    return (
        f"`{argument}` needs something that trains in the {part}, such as a gate blendloss.gates.Learned(). "
        f"Received: {subject.name!r} ({type(subject).__name__}) without trainable variables"
    )
