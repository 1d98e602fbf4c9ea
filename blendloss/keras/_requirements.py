"""What `BlendedModel` asks of a training step, so that nothing in the blend is silently left as it is."""

from __future__ import annotations

from blendloss._blend.blend import Blend
from blendloss._blend.loss_variables import captured_variables
from blendloss.gates import Gate, MetricGate
from blendloss.keras._step_count import follows_step
from blendloss.keras._trainable import Trainable
from blendloss.losses._columns import innermost


def require_progress(model: Trainable) -> None:
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


def _require_trained(model: Trainable) -> None:
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


def nothing_trains(argument: str, part: str, subject: Blend | Gate) -> str:
    """The message for an argument that would have no effect."""
    return (
        f"`{argument}` needs something that trains in the {part}, such as a gate blendloss.gates.Learned(). "
        f"Received: {subject.name!r} ({type(subject).__name__}) without trainable variables"
    )
