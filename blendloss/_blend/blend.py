"""The blend as a Keras layer and a Keras loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.diagnosis import Diagnosis, diagnose
from blendloss._blend.fresh import make_fresh
from blendloss._blend.gradients import compute_gradients
from blendloss._blend.keras_loss import KerasBlendLoss
from blendloss._blend.objective import Objective
from blendloss._blend.output import BlendedGradients, BlendOutput
from blendloss._internal import checks, conversion
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.dtypes import state_dtype
from blendloss._internal.seeds import SavesSeeds
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates import Gate
from blendloss.losses import Columns, OutputLoss
from blendloss.modes import Mode, Soft


@register
class Blend(SavesSeeds, keras.losses.Loss):
    """A differentiable blend of losses: L = sum_k g_k l_k(y_true, y_pred) + cost, g = total * mode(logits of the gate).

    It is a Keras layer, so that the gate's state is tracked, trained, saved and resumed, and a Keras loss, so that it
    can stand in `compile(loss=...)` where nothing in it trains or needs the step. A weight of exactly 0 keeps a loss
    out of value and gradient, infinite or not. Half-precision predictions are computed in float32. The cost is the
    gate's own: 0 for most gates; a normalizer, a divergence or a regularizer for those that learn.

    Args:
        losses: the losses by name: penalties, Keras losses (objects or names), or callables
            `(y_true, y_pred) -> [batch, ...]`; or a list of names alone, whose values are given to `combine`.
        gate: gives the logits.
        mode: makes the gating vector of the logits; None is `Soft()`.
        reduction: "sum_over_batch_size" (or "mean"), "sum", "mean_with_sample_weight", or "none", as in Keras.
        name: the layer's name.

    Returns:
        Calling it gives L, a scalar; float32, or float64 where the predictions are.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if there are no losses, a name is empty, or the gate does not fit them. When called: if no `step` is
            given, as in a plain `compile(loss=blend)`, and something in it trains, keeps a running state, depends on
            the step, or watches a metric that nothing shows it: it would silently stay as it is.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(
        ...     {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(delta=1.0)},
        ...     gate=bl.gates.Scheduled(bl.schedules.switch_at(10)),
        ... )
        >>> [float(blend([[0.0]], [[3.0]], step=step)) for step in (0, 10)]
        [9.0, 2.5]

    Deviations:
        A rank-1 pair of targets and predictions is a batch of scalars (in Keras, a single example). As in every Keras
        layer, `blend.weights` are variables and `blend.losses` regularization losses: the gating vector and the blended
        losses are in the output of `compute`.
    """

    def __init__(
        self,
        losses: Mapping[str, Any] | Sequence[str],
        gate: Gate,
        mode: Mode | None = None,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=state_dtype(None), autocast=False)
        for key, loss in losses.items() if isinstance(losses, Mapping) else ():
            if isinstance(loss, Blend):
                raise TypeError(f"`losses` must not contain a blend: blend its losses. Received: {key!r}")
        self.objective = Objective(losses, gate, Soft() if mode is None else mode, reduction)
        self.reduction = reduction
        # What has variables must be an attribute: Keras tracks, trains and saves those.
        self.gate = gate
        self.mode = self.objective.mode
        self._functions = self.objective.losses.functions
        evaluators = self.objective.losses.evaluators
        self._inner = [one.inner for one in evaluators if isinstance(self._functions[one.name], (OutputLoss, Columns))]
        self.loss_variables = [variable for evaluator in evaluators for variable in evaluator.held]
        self.built = True

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the losses, in their order."""
        return self.objective.losses.names

    @property
    def functions(self) -> dict[str, Any]:
        """The losses by name, as they were given; None for those that are names alone."""
        return self.objective.losses.functions

    @traced_as_written
    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        step: Any = None,
        training: bool = True,
        features: Any = None,
        added: Mapping[str, Any] | None = None,
    ) -> tf.Tensor:
        """The blended loss L.

        Args:
            y_true: targets, as the losses take them.
            y_pred: predictions, `[batch, ...]`; a Keras mask on it counts.
            sample_weight: `[batch]`, or a shape that broadcasts to the losses' values; or a dict of these by the names
                of losses, of which those that are not named have none. A mask of one loss is weights of 0 and 1. Where
                a weight is 0, or the Keras mask says so, a target may be missing (NaN): it counts for nothing.
            step: the training step: an integer, a scalar tensor, or `optimizer.iterations`.
            training: False neither samples nor updates state.
            features: what a gate that chooses by example looks at; passed on as it is.
            added: the value of each `losses.AddedLoss`, by the name of the loss; `BlendedModel` gives them itself.

        Returns:
            L, a scalar; `[batch, ...]` with reduction "none".
        """
        output, _ = self.objective.compute(y_true, y_pred, sample_weight, added, step, training, features)
        return output.value

    @traced_as_written
    def compute(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        step: Any = None,
        training: bool = True,
        features: Any = None,
        added: Mapping[str, Any] | None = None,
    ) -> BlendOutput:
        """The blended loss with every loss and weight.

        Args:
            y_true: targets, as the losses take them.
            y_pred: predictions, `[batch, ...]`.
            sample_weight: weights of the examples, or a dict of these by loss, as in a call of the blend.
            step: the training step.
            training: False neither samples nor updates state.
            features: what a gate that chooses by example looks at.
            added: the value of each `losses.AddedLoss`, by the name of the loss.

        Returns:
            A `BlendOutput`.
        """
        return self.objective.compute(y_true, y_pred, sample_weight, added, step, training, features)[0]

    @traced_as_written
    def combine(
        self, values: Mapping[str, Any], *, step: Any = None, training: bool = True, features: Any = None
    ) -> tf.Tensor:
        """The blend of losses whose values were computed elsewhere.

        Args:
            values: a value for each loss, scalar or `[batch, ...]`; reduced by the blend's rule.
            step: the training step.
            training: False neither samples nor updates state.
            features: what a gate that chooses by example looks at.

        Returns:
            L, a scalar; `[batch, ...]` with reduction "none".
        """
        return self.objective.compute_from_values(values, step, training, features)[0].value

    @traced_as_written
    def compute_from_values(
        self, values: Mapping[str, Any], *, step: Any = None, training: bool = True, features: Any = None
    ) -> BlendOutput:
        """The blend of values that were computed elsewhere, with every loss and weight.

        Args:
            values: a value for each loss, scalar or `[batch, ...]`; reduced by the blend's rule.
            step: the training step.
            training: False neither samples nor updates state.
            features: what a gate that chooses by example looks at.

        Returns:
            A `BlendOutput`.
        """
        return self.objective.compute_from_values(values, step, training, features)[0]

    @traced_as_written
    def values(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, added: Mapping[str, Any] | None = None
    ) -> dict[str, tf.Tensor]:
        """The reduced losses by themselves, by name, for `gradients` or `combine`; differentiable scalars.

        Args:
            y_true: targets, as the losses take them.
            y_pred: predictions, `[batch, ...]`.
            sample_weight: weights of the examples, or a dict of these by loss.
            added: the value of each `losses.AddedLoss`, by the name of the loss.

        Returns:
            A scalar for each loss; its mean where the blend itself does not reduce.
        """
        return self.objective.values(y_true, y_pred, sample_weight, added)

    @traced_as_written
    def residuals(self, y_true: Any, y_pred: Any) -> dict[str, tf.Tensor]:
        """The residual y_pred - y_true that each loss reads, by name, for gates that look at their gradients.

        Raises:
            TypeError: if a loss is no penalty, and so may be of something else than the residual.
        """
        return self.objective.residuals(y_true, y_pred)

    @traced_as_written
    def gradients(
        self,
        tape: tf.GradientTape,
        values: Mapping[str, Any],
        variables: Sequence[Any],
        *,
        step: Any = None,
        features: Any = None,
        residuals: Mapping[str, tf.Tensor] | None = None,
        scale: Any = None,
    ) -> BlendedGradients:
        """The gradient of the blend in each variable, by a gate that may look at the gradient of each loss.

        For a `GradientGate` that is the direction of its method; for every other gate, the gradient of `combine`.

        Args:
            tape: the persistent tape that recorded the values.
            values: a scalar for each loss, as `values` gives them.
            variables: those of the network that the losses train, and what trains in the blend.
            step: the training step.
            features: what a gate that chooses by example looks at.
            residuals: as `residuals` gives them, recorded by the tape, for a gate that needs them.
            scale: a factor of the gradients, which the optimizer divides by, where half precision needs one.

        Returns:
            `BlendedGradients`: the gradients, in the order of `variables`, and the output.

        Raises:
            ValueError: if a value is no scalar; the tape is not persistent, and the gate looks at each gradient; the
                gate trains and none of its variables are among `variables`; or `combine` would refuse the values.
        """
        in_order = self.objective.losses.in_order
        given = [conversion.real("values", value) for value in in_order("values", values)]
        named_residuals = None
        if residuals is not None:
            named_residuals = [conversion.floating("residuals", one) for one in in_order("residuals", residuals)]
        trained = conversion.variables("variables", variables)
        return compute_gradients(self.objective, tape, given, trained, step, features, named_residuals, scale)

    def as_keras_loss(self, step: Any) -> keras.losses.Loss:
        """This blend as a loss for plain `compile(loss=blend.as_keras_loss(optimizer.iterations))`.

        Args:
            step: a variable that the training advances.

        Returns:
            A Keras loss. Keras does not tell a loss whether it trains, so noise stays on in `evaluate`; and a model
            saved with it has to be compiled again after loading. `BlendedModel` has neither limit.

        Raises:
            ValueError: if something in the blend trains or keeps state in the step: use `BlendedModel` then.
        """
        return KerasBlendLoss(self, step)

    def diagnose(
        self, output: BlendOutput | None = None, *, step: Any = None, held_out: bool = False, threshold: float = 0.99
    ) -> Diagnosis:
        """Says, in words, whether a gate that trains has collapsed onto one loss; for people, outside of any graph.

        Minimizing the blended loss over its weights moves them to the loss with the smallest values. Where the gate
        does not train, or its weights are evidence (a likelihood, held-out data), a small weight is no collapse.

        Args:
            output: what `compute` gave. It tells the losses, and the weights where they depend on the batch. Where they
                do not, they are the gate's own, as it is now.
            step: the training step, where the weights depend on it.
            held_out: whether the gate is trained on data that the network is not trained on.
            threshold: the share, above 0.5, from which on one loss has all. A mode that sharpens, by temperature or by
                a hard choice, does not count: the flatter of the mode's shares and its relaxation's is judged.

        Returns:
            A `Diagnosis`; its `str()` is a sentence or two.

        Raises:
            ValueError: if the weights of a gate that trains depend on a batch or a step that is not given.
        """
        if output is not None and not isinstance(output, BlendOutput):
            raise TypeError(f"`output` must be a BlendOutput, such as blend.compute(...) gives. Received: {output!r}")
        if not tf.executing_eagerly():
            raise ValueError("`diagnose` must be called outside of any graph. Received: a call in a traced function")
        threshold = checks.between("threshold", threshold, 0.5, 1)
        return diagnose(self.objective, output, step, checks.boolean("held_out", held_out), threshold)

    def fresh(self) -> Blend:
        """A new blend of the same losses, gate and mode, in its initial state: for another fold, seed or network.

        Gate and losses that keep variables are made anew from their configuration; what keeps none is shared. A gate's
        network starts from its initializers, which draw other numbers unless they have a seed.

        Returns:
            The new blend, of the same name. Its `set_weights(blend.get_weights())` continues in this one's state.

        Raises:
            ValueError: if a part that keeps variables cannot be made from its configuration.
        """
        losses = {name: None if loss is None else make_fresh(name, loss) for name, loss in self.functions.items()}
        given = list(losses) if None in losses.values() else losses
        made = type(self)(given, make_fresh("gate", self.gate), self.mode, reduction=self.reduction, name=self.name)
        if not self.trainable:  # True would undo the gate's own
            made.trainable = False
        old = {id(variable) for variable in self.variables}
        shared = [variable.path for variable in made.variables if id(variable) in old]
        if shared:
            raise ValueError(
                "A blend with variables that no `get_config` tells of cannot be made afresh: make a new one yourself. "
                f"Received: the variables {shared}"
            )
        return made

    def get_config(self) -> dict[str, Any]:
        return {
            "losses": [[name, None if loss is None else serialize(loss)] for name, loss in self.functions.items()],
            "gate": serialize(self.gate),
            "mode": serialize(self.mode),
            "reduction": self.reduction,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Blend:
        losses = {name: deserialize(loss) for name, loss in config["losses"]}
        blend = cls(
            losses if None not in losses.values() else list(losses),
            deserialize(config["gate"]),
            deserialize(config["mode"]),
            reduction=config["reduction"],
            name=config["name"],
        )
        if not config["trainable"]:  # True would undo the gate's own
            blend.trainable = False
        return blend
