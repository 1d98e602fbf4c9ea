"""Which optimizer updates what trains in a blend: one of its own, or the network's.

The network's optimizer stays the object that the user gave, so that everything that is read from it or set on it is its
own. Four of its methods are replaced on this one object: they hand the blend's variables to the gate's optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

_DIVIDED = ("build", "apply", "apply_gradients", "finalize_variable_values")
# The public `exclude_from_weight_decay` is refused once an optimizer is built, and a second call undoes the first.
_DECAYS = "_use_weight_decay"


def assign_optimizers(optimizer: Any, gate_optimizer: Any, of_blend: Callable[[], list[Any]]) -> None:
    """Lets `gate_optimizer` train the variables `of_blend()`, and `optimizer` the others; or `optimizer` all, if None.

    Weight decay of a single optimizer leaves `of_blend()` out: it would pull weights of losses to be equal.
    """
    if optimizer is None:
        return
    network = optimizer.inner_optimizer if _scales(optimizer) else optimizer
    for name in (*_DIVIDED, _DECAYS):
        vars(network).pop(name, None)  # of an earlier `compile`
    if gate_optimizer is None:
        _spare_from_decay(network, of_blend)
        return
    if gate_optimizer is network:
        raise ValueError("`gate_optimizer` must be another object than `optimizer`. Received: the same one twice")
    blended = _among(network, of_blend())
    if network.built and network.use_ema and any(map(blended, network._trainable_variables)):
        raise ValueError(
            "`optimizer` must not keep averages of what `gate_optimizer` is to train, but was built for the whole "
            f"model. Received: optimizer={optimizer!r}, use_ema=True"
        )
    divided = _Divided(network, gate_optimizer, of_blend)
    if network.built and not gate_optimizer.built:
        gate_optimizer.build(of_blend())  # nobody else does, before the step is traced
    for name in _DIVIDED:
        setattr(network, name, getattr(divided, name))


def _scales(optimizer: Any) -> bool:
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


class _Divided:
    """The methods of the network's optimizer that are given the variables of the whole model."""

    def __init__(self, network: Any, gate: Any, of_blend: Callable[[], list[Any]]) -> None:
        self._network, self._gate, self._of_blend = network, gate, of_blend
        self._variables: list[Any] = []
        self._check_scale()

    def build(self, variables: Sequence[Any]) -> None:
        """Builds each optimizer for its own part of `variables`."""
        self._variables = list(variables)
        of_network, of_gate = self._parts(self._variables)
        self._own("build")([self._variables[i] for i in of_network])
        if of_gate:
            self._gate.build([self._variables[i] for i in of_gate])

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """Updates each part by its own optimizer."""
        if trainable_variables is None and len(grads) != len(self._variables):
            raise ValueError(
                "`grads` must be as many as the variables that the optimizers were built for. "
                f"Received: {len(grads)} gradients for {len(self._variables)} variables"
            )
        variables = self._variables if trainable_variables is None else list(trainable_variables)
        self._update("apply", list(grads), variables)

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        """As `apply`, of pairs; gives the network's count, as Keras does."""
        grads, variables = zip(*grads_and_vars, strict=True)
        self._update("apply_gradients", list(grads), list(variables))
        return self._network._iterations  # counts calls; the public `iterations` counts updates

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Puts moving averages, where an optimizer keeps them, in the place of its variables."""
        of_network, of_gate = self._parts(var_list)
        self._own("finalize_variable_values")([var_list[i] for i in of_network])
        if of_gate:
            self._gate.finalize_variable_values([var_list[i] for i in of_gate])

    def _update(self, method: str, grads: list[Any], variables: list[Any]) -> None:
        self._check_scale()
        if not self._network.built:
            self.build(variables)
        of_network, of_gate = self._parts(variables)
        scale = self._network.loss_scale_factor  # by which the network's optimizer divides its part itself
        if of_network:
            part = [grads[i] for i in of_network], [variables[i] for i in of_network]
            if method == "apply":
                self._own(method)(*part)
            else:
                self._own(method)(list(zip(*part, strict=True)))
        else:  # a network that is frozen: the step is counted all the same
            self._network._iterations.assign_add(1)
        if of_gate:
            unscaled = [grads[i] if scale is None or grads[i] is None else grads[i] / scale for i in of_gate]
            self._gate.apply(unscaled, [variables[i] for i in of_gate])

    def _own(self, method: str) -> Callable[..., Any]:
        """The method of the optimizer's class."""
        own: Callable[..., Any] = getattr(type(self._network), method).__get__(self._network)
        return own

    def _parts(self, variables: Sequence[Any]) -> tuple[list[int], list[int]]:
        blended = _among(self._network, self._of_blend())
        of_gate = [blended(variable) for variable in variables]
        return [i for i, own in enumerate(of_gate) if not own], [i for i, own in enumerate(of_gate) if own]

    def _check_scale(self) -> None:
        if _scales(self._gate) or self._gate.loss_scale_factor is not None:
            raise ValueError(
                "`gate_optimizer` must not scale the loss: the scale of `optimizer` holds for both. "
                f"Received: gate_optimizer={self._gate!r}"
            )


def _spare_from_decay(optimizer: Any, of_blend: Callable[[], list[Any]]) -> None:
    """Keeps weight decay off the blend's variables, whatever the user excludes besides, and whenever."""
    kind = type(optimizer)

    def decays(variable: Any) -> bool:
        return not _among(optimizer, of_blend())(variable) and kind._use_weight_decay(optimizer, variable)

    def build(variables: Sequence[Any]) -> None:
        kind.build(optimizer, variables)
        blended = _among(optimizer, of_blend())
        for part in optimizer.optimizers:
            # One that has the blend's variables alone was chosen for them.
            if not all(blended(variable) for variable in part._trainable_variables):
                _spare_from_decay(part, of_blend)

    if hasattr(optimizer, "optimizers"):  # Keras's `MultiOptimizer`, which makes some of them while it is built
        optimizer.build = build
    elif hasattr(kind, _DECAYS):
        setattr(optimizer, _DECAYS, decays)


def _among(optimizer: Any, variables: list[Any]) -> Callable[[Any], bool]:
    """Whether a variable is one of `variables`; that of a replica is: Keras's key is the same, its identity is not."""
    keys = frozenset(map(optimizer._var_key, variables))
    return lambda variable: optimizer._var_key(variable) in keys
