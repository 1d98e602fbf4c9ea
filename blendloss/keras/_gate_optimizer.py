"""An optimizer of their own for what trains in a blend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from blendloss._serialization import deserialize, register, serialize


@register
class NetworkAndGate(keras.optimizers.Optimizer):
    """Two optimizers as one: the network's, and one for what trains in the blend.

    Keras's training step, loss scaling and saving see one optimizer. Everything that they ask it for (learning rate,
    iterations, loss scale) is the network's.
    """

    def __init__(self, network: Any, gate: Any, name: str | None = None) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.network = network
        self.gate = gate
        self._of_gate: frozenset[Any] = frozenset()
        self.gate_variables: Callable[[], list[Any]] = list

    def build(self, variables: list[Any]) -> None:
        """Builds each for its own part of `variables`."""
        super().build(variables)
        self._of_gate = frozenset(map(self._var_key, self.gate_variables()))
        for optimizer, part in zip(self._both, self._parted(variables), strict=True):
            optimizer.build([variables[i] for i in part])

    def apply(self, grads: list[Any], trainable_variables: Any = None) -> None:
        """Updates each part by its own optimizer."""
        variables = list(self._trainable_variables if trainable_variables is None else trainable_variables)
        if not self.built:
            self.build(variables)
        scale = self.loss_scale_factor
        for optimizer, part in zip(self._both, self._parted(variables), strict=True):
            of_part = [grads[i] for i in part]
            if scale is not None and optimizer is self.gate:  # the network's divides by it itself
                of_part = [None if grad is None else grad / scale for grad in of_part]
            optimizer.apply(of_part, [variables[i] for i in part])

    def finalize_variable_values(self, var_list: list[Any]) -> None:
        """Puts moving averages, where an optimizer keeps them, in the place of its variables."""
        for optimizer, part in zip(self._both, self._parted(var_list), strict=True):
            optimizer.finalize_variable_values([var_list[i] for i in part])

    @property
    def _both(self) -> tuple[Any, Any]:
        return self.network, self.gate

    def _parted(self, variables: list[Any]) -> tuple[list[int], list[int]]:
        gated = [self._var_key(variable) in self._of_gate for variable in variables]
        return [i for i, own in enumerate(gated) if not own], [i for i, own in enumerate(gated) if own]

    @property
    def variables(self) -> list[Any]:
        return self._variables + self.network.variables + self.gate.variables

    @property
    def iterations(self) -> Any:
        return self.network.iterations

    @property
    def learning_rate(self) -> Any:
        return self.network.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.network.learning_rate = value

    @property
    def loss_scale_factor(self) -> Any:
        return self.network.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: Any) -> None:
        if "network" in vars(self):  # the base class sets its own before there is one; `LossScaleOptimizer` sets None
            self.network.loss_scale_factor = value

    def save_own_variables(self, store: Any) -> None:
        """Saves nothing: Keras saves the two optimizers by themselves."""

    def load_own_variables(self, store: Any) -> None:
        """Loads nothing, as nothing was saved."""

    def get_config(self) -> dict[str, Any]:
        return {"network": serialize(self.network), "gate": serialize(self.gate), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> NetworkAndGate:
        return cls(deserialize(config["network"]), deserialize(config["gate"]), name=config["name"])


def pair_of(optimizer: Any) -> NetworkAndGate | None:
    """The two optimizers in `optimizer`, if it is made of two; a loss scale may be wrapped around them."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return inner if isinstance(inner, NetworkAndGate) else None


def paired(optimizer: Any, gate_optimizer: Any) -> Any:
    """`optimizer` with `gate_optimizer` beside it; a loss scale stays around both."""
    gate = keras.optimizers.get(gate_optimizer)
    if pair_of(optimizer) is not None:
        raise ValueError(f"`optimizer` has a gate's optimizer already. Received: gate_optimizer={gate_optimizer!r}")
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    network = optimizer.inner_optimizer if scaled else optimizer
    if gate is network:
        raise ValueError("`gate_optimizer` must be another object than `optimizer`. Received: the same one twice")
    if isinstance(gate, keras.optimizers.LossScaleOptimizer) or gate.loss_scale_factor is not None:
        raise ValueError(
            "`gate_optimizer` must not scale the loss: the scale of `optimizer` holds for both. "
            f"Received: gate_optimizer={gate_optimizer!r}"
        )
    pair = NetworkAndGate(network, gate)
    if not scaled:
        return pair
    return keras.optimizers.LossScaleOptimizer(
        pair, initial_scale=optimizer.initial_scale, dynamic_growth_steps=optimizer.dynamic_growth_steps
    )
