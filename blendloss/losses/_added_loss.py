"""A loss that a layer of the network adds."""

from __future__ import annotations

from typing import Any, NoReturn

from blendloss._internal.serialization import Configured, register


@register
class AddedLoss(Configured):
    """The loss that a layer adds with `add_loss`, such as the KL term of a variational autoencoder.

    l = the sum of all losses that the layer named `layer`, and the layers in it, added in this call of the network. An
    activity regularizer adds its loss in the same way and counts. Kernel regularizers belong to weights and do not
    count: they stay in `model.losses`. `BlendedModel` finds the layer, however deep it is nested, and takes the loss
    out of `model.losses`, so that it is counted once, with the gate's weight. In a loop of your own, pass the value:
    `blend(y_true, y_pred, added={"kl": value})`, or pass all values to `combine`.

    Args:
        layer: the layer's name.

    Returns:
        A loss for a `Blend`. It is one scalar for the batch, so a gate with weights for each example cannot take it. As
        in Keras, sample weights and masks do not apply to it.

    Raises:
        TypeError: if `layer` is not a string.
        ValueError: if `layer` is empty. From `fit` and `evaluate`, if not exactly one layer has this name, if it added
            nothing, or if another `AddedLoss` already has its loss. From the blend, if a value is missing.

    Example:
        >>> import blendloss as bl
        >>> losses = {"error": "mse", "kl": bl.losses.AddedLoss("sampling")}
        >>> blend = bl.Blend(losses, bl.gates.Fixed([1.0, 0.1]))
        >>> round(float(blend([[0.0]], [[2.0]], added={"kl": 30.0})), 4)  # 4 + 0.1 * 30
        7.0
    """

    def __init__(self, layer: str) -> None:
        if not isinstance(layer, str):
            raise TypeError(f"`layer` must be the name of a layer. Received: layer={layer!r}")
        if not layer:
            raise ValueError(f"`layer` must not be empty. Received: layer={layer!r}")
        self.layer = layer

    def __call__(self, y_true: Any, y_pred: Any) -> NoReturn:
        """Raises: the value comes from the network."""
        raise ValueError(
            "A loss that a layer adds does not follow from targets and predictions: give it to a `Blend`. "
            f"Received: a call of {self!r}"
        )

    def get_config(self) -> dict[str, Any]:
        return {"layer": self.layer}
