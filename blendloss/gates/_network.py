"""A gate that is a network of features."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates.regularizers._regularizer import checked_regularizers


@register
class Network(Gate):
    """A gate network: features of each example to its own logits, trained with the blend.

    z(x) = network(x), so that g(x) = mode(z(x)) weighs the losses of each example. x is what the caller gives as
    `features=`; `BlendedModel` gives the network's inputs. Gradients do not flow back into the features.

    Minimizing sum_k g_k(x) l_k(r) over g(x) moves the weight, at each x, to the loss with the smallest expected value
    there. For losses of arbitrary scale that says which is smallest, not which is right: r^2 < |r| wherever |r| < 1.
    With negative log-likelihoods, their normalizers included, it says what it should: sum_k g_k nll_k is an upper bound
    on -log sum_k g_k p_k, tight where g is one-hot, and the chosen loss is the noise law that fits best at x.

    Args:
        network: a Keras model or layer, `[batch, ...]` (or any structure of inputs) -> `[batch, K]`, built: give it a
            `keras.Input`. It computes in its own dtype policy; dropout and normalization follow `training`.
        regularizers: objects of `blendloss.gates.regularizers`, added once to the blended loss.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives z, `[batch, K]`. Its regularization losses are among `blend.losses`.

    Raises:
        TypeError: if `network` is no Keras layer, or `regularizers` no list of regularizers.
        ValueError: if it is not built, as its variables must exist before a step is traced; or does not give K logits.

    Example:
        >>> import keras, tensorflow as tf, blendloss as bl
        >>> chooses = keras.Sequential([keras.Input([1]), keras.layers.Dense(2, kernel_initializer="zeros")])
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=bl.gates.Network(chooses))
        >>> float(blend([[0.0], [0.0]], [[2.0], [4.0]], step=0, features=tf.constant([[1.0], [2.0]])))
        6.5
        >>> [tuple(variable.shape) for variable in blend.trainable_variables]
        [(1, 2), (2,)]

    References:
        Jacobs, Jordan, Nowlan and Hinton, "Adaptive mixtures of local experts", Neural Computation 3 (1991), eq. 1.1.
    """

    needs = Needs.FEATURES

    def __init__(
        self, network: keras.Layer, *, regularizers: Any = (), name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not isinstance(network, keras.Layer):
            raise TypeError(f"`network` must be a Keras model or layer. Received: network={network!r}")
        self.network = network
        self.regularizers = checked_regularizers(regularizers)
        if any(regularizer.needs_step for regularizer in self.regularizers):
            self.needs |= Needs.STEP

    @property
    def has_cost(self) -> bool:
        return bool(self.regularizers)

    def create_state(self, k: int) -> None:
        for regularizer in self.regularizers:
            regularizer.check(k)
        if not self.network.built:
            raise ValueError(
                "`network` must be built, so that its variables exist before a step is traced: give it a "
                f"`keras.Input`, as in keras.Sequential([keras.Input([4]), keras.layers.Dense({k})]). "
                f"Received: {self.network!r}"
            )
        try:
            shape = self.network.output_shape
        except AttributeError:  # a layer of one's own does not know it; the blend checks what comes out
            return
        if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] not in (None, k):
            raise ValueError(
                f"`network` must end in [batch, {k}] logits, one for each of the {k} losses. Received: output {shape}"
            )

    def gating(self, context: Context) -> tf.Tensor:
        logits = tf.convert_to_tensor(self.network(context.features, training=context.training))
        if logits.shape.rank != 2:
            raise ValueError(f"`network` must give logits of shape [batch, K]. Received: shape {logits.shape}")
        return tf.cast(logits, self.compute_dtype)

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tuple[tf.Tensor, ...]:
        return tuple(regularizer(shares, context.step) for regularizer in self.regularizers)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "network": serialize(self.network),
            "regularizers": [serialize(regularizer) for regularizer in self.regularizers],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        made = {
            "network": deserialize(config["network"]),
            "regularizers": [deserialize(one) for one in config["regularizers"]],
        }
        return super().from_config({**config, **made})
