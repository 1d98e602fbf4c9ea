"""How the library's objects are named in a saved model."""

from __future__ import annotations

import inspect
from typing import Any

import keras

PACKAGE = "blendloss"
register = keras.saving.register_keras_serializable(package=PACKAGE)


class Configured:
    """Equality, `repr` and `from_config` for objects that their `get_config` determines."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-serializable."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The object whose `get_config` returned `config`."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        if self is other or type(self) is not type(other):
            return self is other
        try:
            return self.get_config() == other.get_config()
        except ValueError:  # a function that cannot be saved is equal only to itself
            return False

    def __hash__(self) -> int:
        return hash(type(self))  # TensorFlow also hashes objects that cannot be saved

    def __repr__(self) -> str:
        try:
            names = self.get_config()
        except ValueError:
            return object.__repr__(self)
        shown = (getattr(self, name) for name in names)
        values = (value.__name__ if inspect.isfunction(value) else repr(value) for value in shown)
        return f"{type(self).__name__}({', '.join(map('='.join, zip(names, values, strict=True)))})"


def serialize(value: Any) -> Any:
    """The JSON form of a library or Keras object, or of a registered function.

    Raises:
        ValueError: for a lambda or an unregistered function, which could not be loaded again.
    """
    if callable(value) and not hasattr(value, "get_config"):
        name = keras.saving.get_registered_name(value)
        if keras.saving.get_registered_object(name) is not value:
            raise ValueError(
                "Saving needs every function registered with `keras.saving.register_keras_serializable`. "
                f"Received: {value!r}"
            )
    serialized = keras.saving.serialize_keras_object(value)
    if isinstance(value, keras.losses.Loss):
        # Some of Keras's losses omit arguments from their config (3.15: Huber's delta), and are loaded without them.
        accepted = inspect.signature(type(value).__init__).parameters
        arguments = getattr(value, "_fn_kwargs", {})
        missing = {name: arguments[name] for name in arguments if name in accepted}
        serialized["config"] = {**missing, **serialized["config"]}
    return serialized


def deserialize(value: Any) -> Any:
    """The object that `serialize` turned into `value`."""
    return keras.saving.deserialize_keras_object(value)
