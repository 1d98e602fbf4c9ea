"""Trainable logits."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates.normalizers._as_normalizer import as_normalizer
from blendloss.gates.regularizers._regularizer import checked_regularizers


@register
class Learned(Gate):
    """Trainable logits, one for each loss.

    z = theta, trained with the network by whatever optimizer applies `blend.trainable_variables`; with shares
    s = mode(theta), L = sum_k s_k l_k / n_k + sum of the regularizers.

    Minimizing the blended loss over theta moves the weight to the loss with the smallest numbers (n = 1): read the
    weights as "what was easiest to fit", not as evidence for a noise law. What can be done about it: `normalize` brings
    the losses to one scale ("initial", "running", "rms"; the gate then follows how fast they fall) or makes densities
    of them ("likelihood"; the gate then chooses by evidence); `regularizers` keep the shares open; `blend.diagnose()`
    says when they have collapsed.

    Args:
        initial: the logits at the start, `[K]`, finite; None is all 0, equal weights.
        normalize: None; "initial", "running", "rms" or "likelihood"; or an object of `blendloss.gates.normalizers`,
            which this gate alone may hold.
        regularizers: objects of `blendloss.gates.regularizers`, added once to the blended loss.
        name: the layer's name.
        dtype: of the logits and the state.

    Returns:
        `gating(context)` gives theta, `[K]`, and what the normalizer adds: where it divides, the total 1 / n, `[K]`, so
        that the weights of a `BlendOutput` are the factors g_k = s_k / n_k, which need not sum to 1.

    Raises:
        TypeError: if an argument has the wrong type, or a likelihood is asked for and a loss is no penalty.
        ValueError: if `initial` is not finite, or has not one number for each loss, `normalize` is no known name, or
            normalizer or regularizers do not fit the losses. In the blend, if another gate holds the normalizer.

    Example:
        >>> import blendloss as bl
        >>> losses = {"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}
        >>> blend = bl.Blend(losses, gate=bl.gates.Learned())
        >>> [tuple(variable.shape) for variable in blend.trainable_variables]
        [(2,)]
        >>> gate = bl.gates.Learned(normalize="initial", regularizers=[bl.gates.regularizers.Entropy(0.1)])
        >>> output = bl.Blend(losses, gate=gate).compute([[0.0]], [[4.0]], step=0)
        >>> output.losses.numpy().tolist(), output.weights.numpy().tolist(), round(float(output.cost), 3)
        ([16.0, 4.0], [0.03125, 0.125], -0.069)
    """

    def __init__(
        self,
        initial: Any = None,
        *,
        normalize: Any = None,
        regularizers: Any = (),
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.initial = None if initial is None else checks.finites("initial", initial, dtype=self.compute_dtype)
        self.normalize: Any = as_normalizer(normalize)  # or None
        self.regularizers = checked_regularizers(regularizers)
        if any(regularizer.needs_step for regularizer in self.regularizers):
            self.needs |= Needs.STEP
        if self.normalize is not None:
            self.needs |= self.normalize.needs
            self.stateful = self.normalize.stateful
            self.why_small_weights_are_fine = self.normalize.why_small_weights_are_fine
        self.logits: Any = None  # set once the losses are known

    @property
    def has_cost(self) -> bool:
        return bool(self.regularizers) or (self.normalize is not None and self.normalize.has_cost)

    def create_state(self, k: int) -> None:
        if self.initial is not None and len(self.initial) != k:
            raise ValueError(f"`initial` must have one logit for each of the {k} losses. Received: {self.initial}")
        for regularizer in self.regularizers:
            regularizer.check(k)
        self.logits = self.add_weight(name="logits", shape=(k,), initializer=keras.initializers.Zeros())
        if self.initial is not None:
            self.logits.assign(self.initial)
        if self.normalize is not None:
            self.normalize.attach(self)

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        logits = tf.convert_to_tensor(self.logits)
        return Gating(logits) if self.normalize is None else self.normalize.gating(logits, context)

    def batch_independent_gating(self, step: Any = None) -> Gating:
        return self.gating(Context(step, training=False))  # which looks at no values

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tuple[tf.Tensor, ...]:
        costs = [regularizer(shares, context.step) for regularizer in self.regularizers]
        if self.normalize is not None and self.normalize.has_cost:
            costs.append(self.normalize.cost(shares, context))
        return tuple(costs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial": self.initial,
            "normalize": serialize(self.normalize),
            "regularizers": [serialize(regularizer) for regularizer in self.regularizers],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        made = {
            "normalize": deserialize(config["normalize"]),
            "regularizers": [deserialize(one) for one in config["regularizers"]],
        }
        return super().from_config({**config, **made})
