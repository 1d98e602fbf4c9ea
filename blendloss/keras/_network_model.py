"""A Keras model of one network: what it has from the network, as any Keras model of that network would."""

from __future__ import annotations

from typing import Any

import keras

from blendloss._internal.signatures import takes
from blendloss.keras._build import build_by_call

_OWN_RULES = ("train_step", "test_step", "compute_loss", "compute_metrics")


class NetworkModel(keras.Model):
    """A model that builds, calls, predicts and exports as its `network` does.

    Symbolic inputs and outputs, shapes and names are the network's. They are missing where it has none, as in Keras.
    """

    def __init__(self, network: keras.Layer, name: str | None = None) -> None:
        super().__init__(name=name, autocast=False)  # the network casts its inputs itself
        _check_network(network)
        self.network = network
        if network.built:
            shape = _input_shape_of(network)
            if shape is not None:  # converters look it up; `build` would forbid a subclass state of its own
                self._build_shapes_dict = {"input_shape": shape}
            self.built = True

    def build(self, input_shape: Any) -> None:
        """Builds the network for `input_shape`."""
        if not self.network.built:
            if type(self.network).build is keras.Layer.build:  # which would only say that it is built
                build_by_call(self.network, input_shape)
            else:
                self.network.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The network's output."""
        return self.network(inputs, training=training)

    def predict_step(self, data: Any) -> Any:
        """The network's own, if it has one."""
        own = isinstance(self.network, keras.Model) and type(self.network).predict_step is not keras.Model.predict_step
        return self.network.predict_step(data) if own else super().predict_step(data)

    def export(self, *arguments: Any, **named: Any) -> Any:
        """As `keras.Model.export`: the network alone, which is what predicts."""
        if not isinstance(self.network, keras.Model):
            raise ValueError(f"Only a network that is a `keras.Model` can be exported. Received: {self.network!r}")
        return self.network.export(*arguments, **named)

    @property
    def metrics(self) -> list[Any]:
        """The model's metrics, and the network's own, which Keras leaves out for a model in a model."""
        metrics = super().metrics
        # `network.metrics` of a model holds those of its `compile`, too, which are never updated here.
        return metrics + [metric for metric in self.network._metrics if not any(metric is m for m in metrics)]

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


def _check_network(network: Any) -> None:
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


def _input_shape_of(network: Any) -> Any:
    """The shape that a built network takes, in the structure of its inputs; None if it does not say."""
    if isinstance(network, keras.Sequential):
        return getattr(network, "input_shape", None)
    if hasattr(network, "inputs"):
        return keras.tree.map_structure(lambda tensor: tensor.shape, network.input)
    return (network.get_build_config() or {}).get("input_shape")
