"""Saves the state of random layers, such as dropout, which Keras and `tf.train.Checkpoint` leave out."""

from __future__ import annotations

from typing import Any

import keras

_NAME = "seed_generator_state"  # of the variable of every `keras.random.SeedGenerator`
_KEY = "seed_"


class SavesSeeds(keras.Layer):
    """A layer whose files of weights and checkpoints hold the seeds of the layers inside, so that a run continues."""

    def _seeds(self) -> dict[str, Any]:
        states = [variable for variable in self.variables if variable.name == _NAME]
        return {f"{_KEY}{i}": state for i, state in enumerate(states)}

    def save_own_variables(self, store: Any) -> None:
        """Saves the layer's own variables, and the seeds."""
        super().save_own_variables(store)
        for key, state in self._seeds().items():
            store[key] = state

    def load_own_variables(self, store: Any) -> None:
        """Loads the layer's own variables, and the seeds; a file without seeds leaves them as they are."""
        super().load_own_variables({key: store[key] for key in store.keys() if not key.startswith(_KEY)})
        for key, state in self._seeds().items():
            if key in store.keys():
                state.assign(store[key])

    def _trackable_children(self, save_type: str = "checkpoint", **named: Any) -> dict[str, Any]:
        children: dict[str, Any] = super()._trackable_children(save_type, **named)
        return {**children, **self._seeds()} if save_type == "checkpoint" else children
