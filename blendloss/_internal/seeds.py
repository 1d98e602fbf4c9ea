"""Saves what Keras or `tf.train.Checkpoint` omit: seeds of random layers, and variables in lists and dicts."""

from __future__ import annotations

from typing import Any

import keras

_NAME = "seed_generator_state"  # the name of the variable of every `keras.random.SeedGenerator`
_KEY = "seed_"


class SavesSeeds(keras.Layer):
    """A layer whose weight files and checkpoints hold its whole state, so that a run continues."""

    def _seeds(self) -> dict[str, Any]:
        states = [variable for variable in self.variables if variable.name == _NAME]
        return {f"{_KEY}{i}": state for i, state in enumerate(states)}

    def save_own_variables(self, store: Any) -> None:
        """Saves the layer's own variables and the seeds."""
        super().save_own_variables(store)
        for key, state in self._seeds().items():
            store[key] = state

    def load_own_variables(self, store: Any) -> None:
        """Loads the layer's own variables and the seeds. A file without seeds leaves them unchanged."""
        super().load_own_variables({key: store[key] for key in store.keys() if not key.startswith(_KEY)})
        for key, state in self._seeds().items():
            if key in store.keys():
                state.assign(store[key])

    def _trackable_children(self, save_type: str = "checkpoint", **named: Any) -> dict[str, Any]:
        children: dict[str, Any] = super()._trackable_children(save_type, **named)
        if save_type != "checkpoint":
            return children
        # TensorFlow does not track variables in lists or dicts of attributes; Keras does.
        variables = {
            f"variable_{i}": v for i, v in enumerate(self._trainable_variables + self._non_trainable_variables)
        }
        layers = {f"layer_{i}": layer for i, layer in enumerate(self._layers)}
        return {**children, **variables, **layers, **self._seeds()}
