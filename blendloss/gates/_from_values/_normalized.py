"""Fixed weights of losses brought to one scale."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import checked_preference, one_each
from blendloss.gates.normalizers._as_normalizer import as_normalizer


@register
class Normalized(Gate):
    """Each loss divided by its own size, so that losses in unequal units count alike: L = sum_k w_k l_k / n_k.

    n_k is the loss's first value ("initial"), its running mean ("running"), or the root of its running mean square
    ("rms"). It is what `Learned(normalize=...)` divides by, with the same normalizers, but nothing trains here: w is
    what is given, and the relative sizes of the losses are all that adapts.

    Args:
        normalize: "initial", "running" or "rms"; or an object of `blendloss.gates.normalizers` that divides, which this
            gate alone may hold.
        weights: w, `[K]`, non-negative, not all 0; None is 1 each, a sum of K relative losses.
        name: the layer's name.
        dtype: of the logits and the state.

    Returns:
        `gating(context)` gives log w, `[K]`, and the total sum(w) / n, `[K]`, so that a mode that chooses does so by w,
        whatever the units.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `normalize` is no known name or does not divide, or `weights` has not one number for each loss.
            In the blend, if another gate holds the normalizer.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.Normalized("initial"))
        >>> for a, b in ((4.0, 100.0), (2.0, 25.0)):
        ...     output = blend.compute_from_values({"a": a, "b": b}, step=0)
        >>> output.weights.numpy().tolist(), float(output.value)  # 2/4 + 25/100
        ([0.25, 0.009999999776482582], 0.75)

    References:
        none; the ratio to the first value is GradNorm's loss ratio, Chen et al., ICML 2018, section 3.
    """

    needs = Needs.VALUES
    stateful = True

    def __init__(
        self, normalize: Any = "initial", weights: Any = None, *, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        normalizer = as_normalizer(normalize)
        if normalizer is None:
            raise TypeError("`normalize` must be a name or a normalizer. Received: normalize=None")
        if Needs.PENALTIES in normalizer.needs or normalizer.has_cost:
            raise ValueError(f"`normalize` must be a normalizer that divides. Received: normalize={normalize!r}")
        self.normalize = normalizer
        self.given = checked_preference("weights", weights)
        self.needs = normalizer.needs
        self.stateful = normalizer.stateful
        self.factors: list[float] = []  # w, once the losses are known

    def create_state(self, k: int) -> None:
        self.factors = one_each("weights", self.given, k)
        self.normalize.attach(self)

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        weights = tf.constant(self.factors, self.compute_dtype)
        gating = self.normalize.gating(tf.math.log(weights), context)
        return gating._replace(total=gating.total * tf.reduce_sum(weights))

    def batch_independent_gating(self, step: Any = None) -> Gating:
        return self.gating(Context(step, training=False))  # which looks at no values

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "normalize": serialize(self.normalize), "weights": self.given}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return super().from_config({**config, "normalize": deserialize(config["normalize"])})
