"""Trained weights that bring the losses' gradients to sizes which follow their training rates."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.assertions import require
from blendloss._internal.dtypes import initial
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import LAST, LossGradients
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import checked_entries, one_each, shared_values
from blendloss.gates._from_gradients._grad_norm_forms import FORMS, REFERENCES


def training_rates(losses: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    """r_k: l_k / (its reference), over the mean of these ratios, `[K]`; 1 where all losses are 0."""
    ratios = losses / references
    mean = tf.reduce_mean(ratios)
    return tf.where(mean == 0, tf.ones_like(ratios), ratios / tf.where(mean == 0, tf.ones_like(mean), mean))


def slopes(weights: tf.Tensor, norms: tf.Tensor, rates: tf.Tensor, alpha: float) -> tf.Tensor:
    """d/dw_k of sum_k | |w_k| n_k - c_k |, where c_k = (mean of |w| n) r_k^alpha is a constant, `[K]`."""
    sizes = tf.abs(weights) * norms
    targets = tf.reduce_mean(sizes) * tf.pow(rates, tf.constant(alpha, rates.dtype))
    side = tf.where(weights < 0, -tf.ones_like(weights), tf.ones_like(weights))
    return tf.sign(sizes - targets) * side * norms


@register
class GradNorm(GradientGate):
    """GradNorm: trained weights bring each loss's gradient to a size that follows how slowly that loss falls.

        L_grad = sum_k | w_k |G_k| - c_k |,    c_k = (mean_j w_j |G_j|) r_k^alpha,    g = w
        r_k = (l_k / l_k(0)) / mean_j (l_j / l_j(0)),    sum_k w_k = K

    The c_k are constants. The optimizer moves w by the gradient of L_grad, not of the blend, and before the next step
    w is brought back to the sum K: `compile(gate_optimizer=Adam(0.025))` is the paper's. A loss that has fallen less
    than the others is given a larger gradient, the more so the larger alpha; alpha = 0 makes all gradients equal.

    Args:
        alpha: the strength of that force, at least 0; in the paper 1.5 for NYUv2 and 0.12 for its toy problem.
        form: how w follows from what is trained: "renormalized", w itself (the paper); "softmax", w = K softmax(s)
            (LibMTL, ReLoBRaLo's repository); "exponential", w = e^s, brought to the sum K (PhysicsNeMo-Sym).
        relative_to: what the losses are compared with: "initial", l(0); "previous", those of the step before
            (ReLoBRaLo's repository).
        initial_losses: l(0), one positive number for each loss, such as log C for a cross-entropy of C classes; None is
            the first finite, positive value of each.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`; the paper's
            W is the last shared layer.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; the paper weighs
            the losses everywhere.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights w, as in `GradientGate`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range. When a blend with it is called in training: it needs gradients.
        tf.errors.InvalidArgumentError: if a loss is negative, or steps on w were so long that they sum to no positive
            number; NaN under XLA.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.GradNorm(alpha=0.0))
        >>> w = tf.Variable([1.0, 2.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 3 * w[0], "b": w[1] ** 2}  # gradients of lengths 3 and 4, which have the mean 3.5
        >>> found = blend.gradients(tape, values, [w, *blend.trainable_variables], step=0)
        >>> found.gradients[1].numpy().tolist()
        [-3.0, 4.0]

    References:
        Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks", ICML
        2018, algorithm 1.

    Deviations:
        none. There is no official code. LibMTL has the form "softmax", measured in all shared variables, with equal
        weights in the first epoch and its mean losses as l(0), and leaves what one loss alone acts on unweighted.
        PhysicsNeMo-Sym has the form "exponential" with alpha = 1. Both train w by the network's optimizer.
        SamsungLabs/MTL weighs the losses by w before the renormalization.
    """

    needs = Needs.VALUES
    usual_task_specific = "weighted"
    why_small_weights_are_fine = "it brings its loss's gradient to the common size"

    def __init__(
        self,
        alpha: float = 1.5,
        *,
        form: str = "renormalized",
        relative_to: str = "initial",
        initial_losses: Any = None,
        variables: Any = LAST,
        task_specific: str | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, name=name, dtype=dtype)
        self.alpha = checks.non_negative("alpha", alpha, dtype=self.compute_dtype)
        self.form = checks.one_of("form", form, list(FORMS))
        self._parametrization = FORMS[self.form]
        self.relative_to = checks.one_of("relative_to", relative_to, list(REFERENCES))
        self._reference = REFERENCES[self.relative_to]
        self.initial_losses = checked_entries(
            "initial_losses", initial_losses, checks.positive, dtype=self.compute_dtype
        )
        if self.initial_losses is not None and not self._reference.of_the_start:
            raise ValueError(
                "`initial_losses` must be None where losses are compared with the previous ones. "
                f"Received: initial_losses={initial_losses!r}"
            )
        # Set once the losses are known.
        self.parameters: Any = None
        self.references: Any = None
        self.rates: Any = None

    def create_state(self, k: int) -> None:
        given = one_each("initial_losses", self.initial_losses, k, 0.0)  # 0 where there is none yet
        super().create_state(k)
        self.parameters = self.add_weight(
            name="parameters",
            shape=(k,),
            initializer=initial(self._parametrization.start),
            aggregation="only_first_replica",  # as it is assigned in the step, too
        )
        self.references = self.add_state("references", (k,))
        self.rates = self.add_state("rates", (k,), 1)
        self.references.assign(given)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        losses = tf.cast(shared_values(self, context), tf.float64)
        sound = self._follow(losses) & tf.reduce_all(tf.math.is_finite(gradients.norms()))
        parameters, weights = self._parameters_and_weights()
        renormalized = self._parametrization.renormalized(parameters, weights)
        if renormalized is not None:
            self.parameters.assign(tf.cast(renormalized, self.parameters.dtype))
        return tf.where(sound, weights, tf.constant(float("nan"), tf.float64))

    def _follow(self, losses: tf.Tensor) -> tf.Tensor:
        """Keeps the training rates and what they refer to; whether these could be known."""
        if self.alpha:
            rule = f"The losses of the gate {self.name!r} must not be negative: their ratios have no powers."
            losses = require(~tf.reduce_any(losses < 0), rule, losses)
        kept = tf.cast(tf.convert_to_tensor(self.references), tf.float64)
        usable = tf.math.is_finite(losses) & (losses > 0)
        found = tf.where((kept == 0) & usable, losses, kept)
        rates = training_rates(losses, tf.where(found == 0, tf.ones_like(found), found))
        sound = tf.reduce_all(tf.math.is_finite(rates))
        following = self._reference.following(found, losses, usable, kept)
        self.references.assign(tf.cast(following, self.references.dtype))
        self.rates.assign(tf.where(sound, tf.cast(rates, self.rates.dtype), tf.convert_to_tensor(self.rates)))
        return sound

    def _parameters_and_weights(self) -> tuple[tf.Tensor, tf.Tensor]:
        """What is trained, and w, both `[K]`, float64."""
        parameters = tf.cast(tf.convert_to_tensor(self.parameters), tf.float64)
        return parameters, self._parametrization.weights(parameters, self.name)

    def own_gradients(self, context: Context) -> list[tf.Tensor] | None:
        if context.gradients is None or not self.trainable_variables:
            return None
        weights = self._parameters_and_weights()[1]
        rates = tf.cast(tf.convert_to_tensor(self.rates), tf.float64)
        of_weights = slopes(weights, context.gradients.norms(), rates, self.alpha)
        found = tf.cast(self._parametrization.slopes(weights, of_weights), self.parameters.dtype)
        # What the blend shows, and an optimizer may step over, must not stay in the weights for ever.
        return [tf.where(tf.reduce_all(tf.math.is_finite(found)), found, tf.zeros_like(found))]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["every"]  # w is trained in each step
        return {
            **config,
            "alpha": self.alpha,
            "form": self.form,
            "relative_to": self.relative_to,
            "initial_losses": self.initial_losses,
        }
