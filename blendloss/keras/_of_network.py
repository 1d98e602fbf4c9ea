"""What a `BlendedModel` has from its network, as any Keras model of that network would."""

from __future__ import annotations

from typing import Any

import keras

from blendloss._internal.signatures import takes

_OWN_RULES = ("train_step", "test_step", "compute_loss", "compute_metrics")


class OfNetwork:
    """Attributes of a model that are those of its `network`; missing where the network has none, as in Keras."""

    network: Any

    @property
    def inputs(self) -> Any:
        """The network's symbolic inputs, in a flat list."""
        return self.network.inputs

    @property
    def outputs(self) -> Any:
        """The network's symbolic outputs, in a flat list."""
        return self.network.outputs

    @property
    def input(self) -> Any:
        """The network's symbolic inputs, in their structure."""
        return self.network.input

    @property
    def output(self) -> Any:
        """The network's symbolic outputs, in their structure."""
        return self.network.output

    @property
    def input_shape(self) -> Any:
        """The shape of the network's inputs."""
        return self.network.input_shape

    @property
    def output_shape(self) -> Any:
        """The shape of the network's outputs."""
        return self.network.output_shape

    @property
    def output_names(self) -> Any:
        """The names of the network's outputs, by which metrics of several outputs are given and logged."""
        return self.network.output_names


def check_network(network: Any) -> None:
    """Raises for a network whose own way to train or evaluate would be ignored."""
    if not isinstance(network, keras.Layer):
        raise TypeError(f"`network` must be a Keras model or layer. Received: network={network!r}")
    if not takes(network, 1):
        raise TypeError(f"`network` must have a `call` that takes the inputs. Received: network={network!r}")
    if not isinstance(network, keras.Model):
        return
    own = [name for name in _OWN_RULES if getattr(type(network), name) is not getattr(keras.Model, name)]
    if own:
        raise TypeError(
            f"`network` must leave training and evaluation to BlendedModel, which never calls its {own[0]!r}: define "
            "it in a subclass of BlendedModel, and wrap a network without it, such as "
            f"`keras.Model(network.inputs, network.outputs)`. Received: {type(network).__name__} with its own {own}"
        )


def input_shape_of(network: Any) -> Any:
    """The shape that a built network takes, in the structure of its inputs; None if it does not say."""
    if isinstance(network, keras.Sequential):
        return getattr(network, "input_shape", None)
    if hasattr(network, "inputs"):
        return keras.tree.map_structure(lambda tensor: tensor.shape, network.input)
    return (network.get_build_config() or {}).get("input_shape")
