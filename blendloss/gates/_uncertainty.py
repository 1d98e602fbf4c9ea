"""Weights from the noise of each loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating


class Form(NamedTuple):
    """What a published form multiplies its loss by, over exp(-s), and what it adds for s."""

    factor: float
    regularizer: Callable[[tf.Tensor], tf.Tensor]


FORMS = {
    # Kendall, Gal & Cipolla (2018), equation 7: l / (2 sigma^2) + log sigma.
    "regression": Form(0.5, lambda s: s / 2),
    # The same, equation 10, the classifying head: l / sigma^2 + log sigma.
    "classification": Form(1.0, lambda s: s / 2),
    # Kendall & Cipolla (2017): l exp(-s) + s; also the code published with the paper of 2018.
    "geometric": Form(1.0, lambda s: s),
    # Liebel & Koerner (2018): l / (2 sigma^2) + ln(1 + sigma^2), a regularizer that stays positive.
    "auxiliary": Form(0.5, tf.math.softplus),
}


@register
class Uncertainty(Gate):
    """Uncertainty weighting: each loss is weighted by the precision of its noise, which is trained by likelihood.

        g_k = a_k exp(-s_k),    cost = sum_k R_k(s_k),    s_k = log sigma_k^2 trained

    The cost is that of each example, so that with the squared error of one output L is its Gaussian negative
    log-likelihood (less a constant). At fixed losses l_k the minimum over s is closed: that in the last column.

    ================  =====  ==============  ===========================  ==================================
    form              a      R(s)            by                           sigma^2 at the minimum
    ================  =====  ==============  ===========================  ==================================
    "regression"      1/2    s / 2           Kendall et al. 2018, (7)     l
    "classification"  1      s / 2           Kendall et al. 2018, (10)    2 l
    "geometric"       1      s               Kendall & Cipolla 2017       l
    "auxiliary"       1/2    ln(1 + e^s)     Liebel & Koerner 2018        (l + sqrt(l^2 + 8 l)) / 4
    ================  =====  ==============  ===========================  ==================================

    Args:
        form: one for all losses, or a list with one for each, such as for outputs that classify.
        initial: s at the start, a number or `[K]`; 0 is sigma = 1.
        name: the layer's name.
        dtype: of s.

    Returns:
        `gating(context)` gives log g and the total of g, so that `Soft()` weighs by g itself; `cost` gives `[1]`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `form` is unknown, `initial` not finite, or either has not one entry for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["depth", "labels"], bl.gates.Uncertainty(["regression", "classification"]))
        >>> blend.compute_from_values({"depth": 4.0, "labels": 2.0}, step=0).weights.numpy().tolist()
        [0.5, 1.0]

    References:
        Kendall, Gal & Cipolla, Multi-task learning using uncertainty to weigh losses for scene geometry and semantics,
        CVPR 2018, arXiv:1705.07115; Kendall & Cipolla, Geometric loss functions for camera pose regression with deep
        learning, CVPR 2017, arXiv:1704.00390; Liebel & Koerner, Auxiliary tasks in multi-task learning,
        arXiv:1805.06334.

    Deviations:
        The paper of 2018 states (7), its published code computes "geometric": twice that, with the same minimum.
        LibMTL 1.1 and TorchJD 0.18 compute "regression", LibMTL from s = -1/2. Liebel & Koerner train c = sigma
        itself, here it is s. Where the paper sums squared errors over outputs, `SquaredError` takes their mean.
    """

    why_small_weights_are_fine = "it is the precision of its loss's noise, fitted by likelihood"

    def __init__(
        self, form: Any = "regression", initial: Any = 0.0, *, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if isinstance(form, str):
            self.form: Any = checks.one_of("form", form, list(FORMS))
        elif isinstance(form, (list, tuple)):
            self.form = [checks.one_of(f"form[{k}]", one, list(FORMS)) for k, one in enumerate(form)]
        else:
            raise TypeError(f"`form` must be one of {list(FORMS)}, or a list of them. Received: form={form!r}")
        self.initial = checks.number_or_numbers("initial", initial, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.forms: list[Form] = []
        self.log_variances: Any = None

    def create_state(self, k: int) -> None:
        if isinstance(self.form, list) and len(self.form) != k:
            raise ValueError(f"`form` must have one entry for each of the {k} losses. Received: form={self.form}")
        start = checks.for_each("initial", self.initial, k)
        self.forms = [FORMS[form] for form in ([self.form] * k if isinstance(self.form, str) else self.form)]
        self.log_variances = self.add_weight(name="log_variances", shape=(k,), initializer=keras.initializers.Zeros())
        self.log_variances.assign(start)

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        s = tf.convert_to_tensor(self.log_variances)
        logits = tf.math.log(tf.constant([form.factor for form in self.forms], s.dtype)) - s
        return Gating(logits, tf.reduce_sum(tf.exp(logits)))

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor:
        s = tf.unstack(tf.convert_to_tensor(self.log_variances), len(self.forms))
        costs = [form.regularizer(one) for form, one in zip(self.forms, s, strict=True)]
        return tf.reduce_sum(tf.stack(costs), keepdims=True)

    def sigmas(self) -> tf.Tensor:
        """sigma_k = exp(s_k / 2), `[K]`, as they are now."""
        self._require_blend()
        return tf.exp(tf.convert_to_tensor(self.log_variances) / 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "form": self.form, "initial": self.initial}
