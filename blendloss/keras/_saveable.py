"""Whether the callbacks that save a model can save its blend, asked before the first epoch."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.blend import Blend
from blendloss._internal.serialization import serialize


def require_saveable(blend: Blend, callbacks: Any) -> None:
    """Raises if one of `callbacks` saves the whole model, and something in `blend`, such as a lambda, has no name.

    Raises:
        ValueError: what saving would raise, with what to do.
    """
    listed = getattr(callbacks, "callbacks", callbacks)
    savers = [
        callback
        for callback in tf.nest.flatten([] if listed is None else listed)
        if isinstance(callback, keras.callbacks.ModelCheckpoint) and not callback.save_weights_only
    ]
    if not savers:
        return
    try:
        serialize(blend)
    except ValueError as error:
        raise ValueError(
            "`callbacks` must not save the whole model where something in the blend cannot be saved: pass "
            f"`save_weights_only=True` to {type(savers[0]).__name__}, or register the function. {error}"
        ) from error
