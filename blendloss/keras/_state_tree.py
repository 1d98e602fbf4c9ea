"""The state of the gate's optimizer in a model's state tree, beside that of Keras's one optimizer."""

from __future__ import annotations

from typing import Any

import keras

_KEY = "gate_optimizer_variables"

# Keras has no public way to write variables as a nested dict by their paths, or to read them from one.


def add_optimizer_state(
    tree: dict[str, Any], model: keras.Model, optimizer: keras.optimizers.Optimizer | None, value_format: str
) -> dict[str, Any]:
    """`tree` with the variables of `optimizer`, if there is one."""
    if optimizer is None:
        return tree
    return {**tree, _KEY: model._create_nested_dict(optimizer.variables, value_format)}


def take_optimizer_state(
    tree: dict[str, Any], model: keras.Model, optimizer: keras.optimizers.Optimizer | None
) -> dict[str, Any]:
    """Assigns to `optimizer` what `tree` has of it; gives the rest of the tree."""
    if optimizer is None or _KEY not in tree:
        return tree
    model._assign_variable_values(optimizer.variables, model._flatten_nested_dict(tree[_KEY]))
    return {name: part for name, part in tree.items() if name != _KEY}
