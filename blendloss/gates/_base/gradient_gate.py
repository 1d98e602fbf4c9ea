"""The base of the gates that look at the gradient of each loss."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating, gating_from_signed_weights
from blendloss.gates._base.loss_gradients import LAST, SHARED, LossGradients
from blendloss.gates._base.needs import Needs

#: What moves a variable that one loss alone acts on: that loss times its weight, or that loss itself.
TASK_SPECIFIC = ("weighted", "unweighted")


class GradientGate(Gate):
    """A gate whose weights follow from the gradients of the K losses, G_k = dl_k/dw, one for each.

    A subclass implements `weigh(gradients, context) -> [K]`; the update's direction is then sum_k g_k G_k. The weights
    may be negative, and need not sum to anything: soft gating gives them as they are. `BlendedModel` computes the
    gradients; a loop of one's own calls `blend.gradients(tape, values, variables, step=...)`. Without training, as in
    `evaluate`, the weights are those of the last training step, which are kept and saved; before the first, 1.

    K losses need K backward passes. With `every` = n the weights are computed in every n-th step and kept in between,
    where one backward pass is enough (under `tf.distribute` they are computed in each step all the same).

    Args:
        variables: in which variables gradients are measured: "shared", those that at least two losses act on; "last",
            those of the last layer among them; or a list of patterns of paths, such as `["trunk/*"]`. What is trained
            does not depend on it.
        task_specific: "weighted" or "unweighted": whether a variable that one loss alone acts on, such as those of an
            output's own layers, follows that loss times its weight, or without it. None is the method's own choice.
        every: from how many steps to how many the weights are computed anew, at least 1.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives logits log |g_k| and the total sign(g_k) sum_j |g_j|, `[K]`. A step whose weights are
        not finite leaves the kept ones as they were and is counted in the variable `skipped`; the blend of that step
        is not finite either. Under a scaling of the loss the kept weights are used, and its optimizer sees gradients
        that are not finite. A loss that overflows half precision only because of that scale is measured with a
        smaller one; the optimizer skips a step where the blended loss overflows.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range. When a blend with it is called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> class UnitLength(bl.gates.GradientGate):
        ...     def weigh(self, gradients, context):
        ...         return 1 / gradients.norms()
        >>> blend = bl.Blend(["a", "b"], gate=UnitLength())
        >>> w = tf.Variable([1.0, 2.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 3 * w[0], "b": w[1] ** 2}  # gradients (3, 0) and (0, 4)
        >>> found = blend.gradients(tape, values, [w], step=0)
        >>> [round(float(g), 3) for g in found.output.weights], found.gradients[0].numpy().round(3).tolist()
        ([0.333, 0.25], [1.0, 1.0])
    """

    stateful = True
    #: What the method's authors do with a variable that one loss alone acts on.
    usual_task_specific: str = "unweighted"

    def __init__(
        self,
        *,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        # Keras's layers have a property `variables`.
        self.measured: Any = _checked_variables(variables)
        self.task_specific = (
            self.usual_task_specific
            if task_specific is None
            else checks.one_of("task_specific", task_specific, TASK_SPECIFIC)
        )
        self.every = checks.integer("every", every, minimum=1)
        self.needs |= Needs.GRADIENTS if self.every == 1 else Needs.GRADIENTS | Needs.STEP
        # Set once the losses are known.
        self.last: Any = None
        self.skipped: Any = None

    def create_state(self, k: int) -> None:
        self.last = self.add_state("last", (k,), 1)
        self.skipped = self.add_state("skipped", dtype="int64")

    @abc.abstractmethod
    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        """The weights g, `[K]`, any float dtype, of one training step."""

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        if context.gradients is None:
            return gating_from_signed_weights(tf.convert_to_tensor(self.last))
        return gating_from_signed_weights(tf.stop_gradient(self._updated(context.gradients, context)))

    def _updated(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        last = tf.convert_to_tensor(self.last)

        def anew(gradients: LossGradients) -> tf.Tensor:
            weights = tf.ensure_shape(tf.cast(self.weigh(gradients, context), last.dtype), last.shape)
            if not gradients.scaled:
                return weights
            # A weight of 1 / inf = 0 would hide from the optimizer that the scale is too large.
            return tf.where(gradients.finite(), weights, tf.constant(float("nan"), last.dtype))

        due = self.every == 1 or tf.convert_to_tensor(context.step) % self.every == 0
        if due is True:
            weights = anew(gradients)
        elif tf.distribute.get_strategy().num_replicas_in_sync > 1:  # which cannot meet in a branch
            weights = tf.where(due, anew(gradients), last)
        else:
            weights = tf.cond(due, lambda: anew(gradients.afresh()), lambda: last)
        finite = tf.reduce_all(tf.math.is_finite(weights))
        self.last.assign(tf.where(finite, weights, last))
        self.skipped.assign(tf.convert_to_tensor(self.skipped) + tf.cast(~finite, tf.int64))
        # A scale that overflows is an everyday event in half precision: the optimizer sees the gradients and skips.
        return tf.where(finite, weights, last) if gradients.scaled else weights

    def combined(self, weights: tf.Tensor, gradients: LossGradients, context: Context) -> list[tf.Tensor | None]:
        """The gradient of each variable: sum_k g_k G_k; variables of one loss alone may follow that loss itself."""
        return gradients.combined(weights, own=self.task_specific == "unweighted")

    def own_gradients(self, context: Context) -> list[tf.Tensor] | None:
        """The gradient of each of the gate's trainable variables, where it is not that of the blended loss."""
        return None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "variables": self.measured,
            "task_specific": self.task_specific,
            "every": self.every,
        }


def _checked_variables(variables: Any) -> str | list[str]:
    if isinstance(variables, str):
        return str(checks.one_of("variables", variables, (SHARED, LAST)))
    if isinstance(variables, (list, tuple)) and variables and all(isinstance(one, str) and one for one in variables):
        return list(variables)
    raise TypeError(
        f"`variables` must be {SHARED!r}, {LAST!r} or a list of patterns of variables' paths. "
        f"Received: variables={variables!r}"
    )
