"""The blend: the one place where losses, gate and mode meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from blendloss import _checks
from blendloss._at import _At
from blendloss._batch import NOTHING, Batch, batch_of, computable, named
from blendloss._combine import switched, weighted_sum
from blendloss._diagnosis import Diagnosis, diagnosis_of
from blendloss._reduction import REDUCTIONS, accurate_mean, per_replica, reduce, weights_of_elements
from blendloss._serialization import deserialize, register, serialize
from blendloss._step import as_step
from blendloss.gates import Context, Gate, Gating
from blendloss.losses._adapter import as_loss
from blendloss.losses._penalty import aligned
from blendloss.modes import Mode, Soft


class Reading(NamedTuple):
    """What a blend computed: its value, and every loss and weight for logging.

    Args:
        value: the blended loss L, a scalar (`[batch, ...]` with reduction "none"); differentiable.
        losses: the reduced losses l_k, `[K]`; NaN where a lazy hard mode did not evaluate one. No gradient.
        weights: the gating vector g, `[K]`; its mean over the batch for a per-example gate. No gradient.
        cost: what the gate added to the blend, a scalar; 0 for most gates. No gradient.

    Returns:
        The record itself.

    Raises:
        Nothing.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=bl.gates.Fixed([0.5, 0.5]))
        >>> reading = blend.read([[0.0]], [[2.0]])
        >>> float(reading.value), reading.losses.numpy().tolist(), reading.weights.numpy().tolist()
        (3.0, [4.0, 2.0], [0.5, 0.5])
        >>> float(reading.cost)
        0.0

    References:
        none.

    Deviations:
        none.
    """

    value: tf.Tensor
    losses: tf.Tensor
    weights: tf.Tensor
    cost: tf.Tensor


@register
class Blend(keras.Layer, keras.losses.Loss):
    """A differentiable blend of losses: L = sum_k g_k l_k(y_true, y_pred) + cost, g = total * mode(logits of the gate).

    It is a Keras layer, so that the gate's state is tracked, trained, saved and resumed, and a Keras loss, so that it
    can stand in `compile(loss=...)` where nothing in it trains or needs the step. A weight of exactly 0 keeps a loss
    out of value and gradient, infinite or not. Half-precision predictions are computed in float32. The cost is the
    gate's own: 0 for most gates; a normaliser, a divergence or a regulariser for those that learn.

    Args:
        losses: the losses by name: penalties, Keras losses (objects or names), or callables
            `(y_true, y_pred) -> [batch, ...]`; or a list of names alone, whose values are given to `combine`.
        gate: where the logits come from.
        mode: how logits become the gating vector; None is `Soft()`.
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

    References:
        none.

    Deviations:
        A rank-1 pair of targets and predictions is a batch of scalars (in Keras, a single example). As in every Keras
        layer, `blend.weights` are variables and `blend.losses` regularisation losses: the blend's own are in readings.
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
        super().__init__(name=name, dtype="float32", autocast=False)
        given = named(losses)
        for loss_name, loss in given.items():
            if isinstance(loss, Blend):
                raise TypeError(f"`losses` must not contain a blend: blend its losses. Received: {loss_name!r}")
        mode = Soft() if mode is None else mode
        if not isinstance(gate, Gate):
            raise TypeError(f"`gate` must be a Gate, such as blendloss.gates.Fixed([...]). Received: gate={gate!r}")
        if not isinstance(mode, Mode):
            raise TypeError(f"`mode` must be a Mode, such as blendloss.modes.Soft(). Received: mode={mode!r}")
        self.reduction = _checks.one_of("reduction", reduction, REDUCTIONS)
        self.names = tuple(given)
        self.gate = gate
        self.mode = mode
        self._given = given
        self._evaluate = {name: as_loss(name, loss) for name, loss in given.items() if loss is not None}
        if gate.needs_residual and not self._evaluate:
            raise ValueError(
                f"The gate {gate.name!r} needs residuals, which losses that are names alone have not. "
                f"Received: losses={losses!r}"
            )
        gate.attach(self.names, tuple(given.values()))
        self.built = True

    # Calling it

    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        step: Any = None,
        training: bool = True,
        features: Any = None,
    ) -> tf.Tensor:
        """The blended loss L.

        Args:
            y_true: targets, as the losses take them.
            y_pred: predictions, `[batch, ...]`; a Keras mask on it counts.
            sample_weight: `[batch]`, or a shape that broadcasts to the losses' values.
            step: the training step: an integer, a scalar tensor, or `optimizer.iterations`.
            training: False neither samples nor updates state.
            features: what a gate that chooses by example looks at; passed on as it is.

        Returns:
            L, a scalar; `[batch, ...]` with reduction "none".
        """
        return self.read(y_true, y_pred, sample_weight, step=step, training=training, features=features).value

    def read(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        step: Any = None,
        training: bool = True,
        features: Any = None,
    ) -> Reading:
        """The blended loss with every loss and weight; arguments as of a call."""
        return self._read(y_true, y_pred, sample_weight, step, training, features)[0]

    def _read(
        self, y_true: Any, y_pred: Any, sample_weight: Any, step: Any, training: bool, features: Any
    ) -> tuple[Reading, tf.Tensor]:
        """The reading, and what of its cost is added once (regularisers of the gate), differentiable."""
        if not self._evaluate:
            raise ValueError(f"The losses {list(self.names)} have names alone: give their values to `combine`.")
        batch = batch_of(y_true, y_pred, sample_weight)
        context = self._context(step, training, batch, features)
        if self.gate.needs_values:
            values = [self._evaluated(index, *batch[:2], None) for index in range(len(self.names))]
            context = context._replace(values=tf.stop_gradient(self._means(values, batch)))
        gating, shares, weights = self._gated(context, batch.y_pred.dtype)
        cost = self.gate.cost(shares, gating, context)
        if self._lazy and weights.shape.rank == 1:
            return self._read_chosen(batch, gating, weights, cost)
        values = [self._value(index, batch, gating, weights) for index in range(len(self.names))]
        return self._blended(values, weights, cost, batch)

    def combine(
        self, values: Mapping[str, Any], *, step: Any = None, training: bool = True, features: Any = None
    ) -> tf.Tensor:
        """The blend of losses whose values were computed elsewhere.

        Args:
            values: a value for each loss, scalar or `[batch, ...]`; reduced by the blend's rule.
            step: as of a call.
            training: as of a call.
            features: as of a call.

        Returns:
            L, a scalar; `[batch, ...]` with reduction "none".
        """
        return self.read_values(values, step=step, training=training, features=features).value

    def read_values(
        self, values: Mapping[str, Any], *, step: Any = None, training: bool = True, features: Any = None
    ) -> Reading:
        """The blend of given values with every loss and weight; arguments as of `combine`."""
        if set(values) != set(self.names):
            raise ValueError(f"`values` must have exactly the names {list(self.names)}. Received: {list(values)}")
        if self.gate.needs_penalties:
            raise ValueError(f"The gate {self.gate.name!r} needs residuals, which `combine` has not: call the blend.")
        given = [computable(values[name]) for name in self.names]
        dtype = tf.float64 if any(value.dtype == tf.float64 for value in given) else tf.float32
        given = [tf.cast(value, dtype) for value in given]
        context = self._context(step, training, NOTHING, features)
        if self.gate.needs_values:
            context = context._replace(values=tf.stop_gradient(self._means(given, NOTHING)))
        gating, shares, weights = self._gated(context, dtype)
        return self._blended(given, weights, self.gate.cost(shares, gating, context), NOTHING)[0]

    def at(self, step: Any) -> keras.losses.Loss:
        """This blend as a loss for plain `compile(loss=blend.at(optimizer.iterations))`.

        Args:
            step: a variable that the training advances.

        Returns:
            A Keras loss. Keras does not tell a loss whether it trains, so noise stays on in `evaluate`; and a model
            saved with it has to be compiled again after loading. `BlendedModel` has neither limit.

        Raises:
            ValueError: if something in the blend trains or keeps state in the step; `BlendedModel` is the way then.
        """
        return _At(self, step)

    def diagnose(
        self, reading: Reading | None = None, *, step: Any = None, held_out: bool = False, threshold: float = 0.99
    ) -> Diagnosis:
        """Says, in words, whether a gate that trains has collapsed onto one loss; for people, outside of any graph.

        Minimising the blended loss over its weights moves them to the loss with the smallest numbers. Where the gate
        does not train, or its weights are evidence (a likelihood, held-out data), a small weight is no collapse.

        Args:
            reading: what `read` gave; tells the losses, and the weights where they depend on the batch. Where they do
                not, they are the gate's own, as it is now.
            step: the training step, where the weights depend on it.
            held_out: whether the gate is trained on data that the network is not trained on.
            threshold: the share, above 0.5, from which on one loss has all. A mode that sharpens, by temperature or by
                a hard choice, does not count: the flatter of the mode's shares and its relaxation's is judged.

        Returns:
            A `Diagnosis`; its `str()` is a sentence or two.

        Raises:
            ValueError: if the weights of a gate that trains depend on a batch or a step that is not given.
        """
        if reading is not None and not isinstance(reading, Reading):
            raise TypeError(f"`reading` must be a Reading, such as blend.read(...) gives. Received: {reading!r}")
        if not tf.executing_eagerly():
            raise ValueError("`diagnose` must be called outside of any graph. Received: a call in a traced function")
        threshold = _checks.between("threshold", threshold, 0.5, 1)
        return diagnosis_of(self, reading, step, _checks.boolean("held_out", held_out), threshold)

    # The parts of a call

    def _context(self, step: Any, training: bool, batch: Batch, features: Any) -> Context:
        reasons = self._reasons_for_step
        if step is None and reasons:
            raise ValueError(
                f"This blend needs the step: {'; '.join(reasons)}. Pass `step=optimizer.iterations` in a loop of your "
                "own, and apply gradients to `blend.trainable_variables` there; or use `BlendedModel(network, blend)`. "
                "A plain `compile(loss=blend)` does neither. Received: step=None"
            )
        context = Context(None if step is None else as_step(step), _checks.boolean("training", training))
        if self.gate.needs_features:
            if features is None:
                raise ValueError(f"The gate {self.gate.name!r} chooses by features: pass `features=`. Received: None")
            context = context._replace(features=tf.nest.map_structure(tf.stop_gradient, features))
        if not self.gate.needs_residual:
            return context
        if batch is NOTHING:
            raise ValueError(f"The gate {self.gate.name!r} needs residuals, which `combine` has not: call the blend.")
        y_true, y_pred = aligned(tf.cast(batch.y_true, batch.y_pred.dtype), batch.y_pred)
        residual = y_pred - y_true if self.gate.through_residual else tf.stop_gradient(y_pred - y_true)
        weights = weights_of_elements(residual, batch.sample_weight, batch.mask, "sum")
        counted = None
        if weights is not None:
            weights = tf.reshape(tf.broadcast_to(weights, tf.shape(residual)), [-1])
            counted = weights != 0
        if not self.gate.elementwise:
            residual = tf.reshape(residual, [-1])
        return context._replace(residual=residual, counted=counted, weighed=weights)

    @property
    def _reasons_for_step(self) -> list[str]:
        return [
            reason
            for applies, reason in (
                (bool(self.gate.trainable_variables), f"the gate {self.gate.name!r} trains"),
                (len(self.trainable_variables) > len(self.gate.trainable_variables), "a loss trains"),
                (not self.gate.observed, f"the gate {self.gate.name!r} watches a metric that nothing shows it"),
                (self.gate.updates, f"the gate {self.gate.name!r} keeps a running state"),
                (self.gate.needs_step, f"the gate {self.gate.name!r} follows the step"),
                (self.mode.needs_step, f"the mode {type(self.mode).__name__} follows the step"),
            )
            if applies
        ]

    def _gated(self, context: Context, dtype: Any) -> tuple[Gating, tf.Tensor, tf.Tensor]:
        """What the gate gave, what the mode made of its logits, and the gating vector."""
        given = self.gate.gating(context)
        gating = given if isinstance(given, Gating) else Gating(given)
        logits = tf.convert_to_tensor(gating.logits)
        residual: Any = context.residual
        ranks = (residual.shape.rank + 1,) if self.gate.elementwise else (1, 2)
        if logits.shape.rank not in ranks or logits.shape[-1] not in (None, len(self.names)):
            raise ValueError(
                f"The gate {self.gate.name!r} must give logits of shape [K] or [batch, K] with K = {len(self.names)}, "
                f"or, if it is elementwise, of the predictions' shape and K. Received: shape {logits.shape}"
            )
        if gating.scale is not None:
            gating = gating._replace(scale=tf.cast(gating.scale, dtype))
        shares = self.mode(logits, context.step, context.training)
        return gating, shares, tf.cast(shares * tf.cast(gating.total, shares.dtype), dtype)

    @property
    def _lazy(self) -> bool:
        # What trains, gate or loss, gets a gradient from every loss: eagerly, one not evaluated would give None.
        if not self.mode.lazy or self.reduction in ("none", None) or self.trainable_variables:
            return False
        # XLA cannot differentiate the chosen branch when the choice itself was computed from a batch whose size it
        # learns only at run time (TensorFlow 2.21: an error, or a hang).
        return not self.gate.needs_residual

    def _evaluated(self, index: int, y_true: tf.Tensor, y_pred: tf.Tensor, scale: tf.Tensor | None) -> tf.Tensor:
        """The values of loss `index`, of residuals in units of `scale`; by element for an elementwise gate."""
        loss: Any = self._evaluate[self.names[index]]
        if scale is None and not self.gate.elementwise:
            return computable(loss(y_true, y_pred))
        y_true, y_pred = aligned(y_true, y_pred)
        residual = y_pred - y_true
        if scale is not None:
            residual = residual / (scale[index] if scale.shape.rank else scale)
        return loss.value(residual) if self.gate.elementwise else loss(tf.zeros_like(residual), residual)

    def _value(self, index: int, batch: Batch, gating: Gating, weights: tf.Tensor) -> tf.Tensor:
        def gated(tensor: tf.Tensor) -> tf.Tensor:
            if not tensor.dtype.is_floating:
                return tensor
            if 0 < off.shape.rank < tensor.shape.rank:
                return switched(tensor, tf.reshape(off, [-1] + [1] * (tensor.shape.rank - 1)))
            return switched(tensor, off)

        off = weights[..., index] == 0
        return self._evaluated(index, gated(batch.y_true), gated(batch.y_pred), gating.scale)

    def _reduced(self, values: tf.Tensor, batch: Batch, reduction: str | None = None) -> tf.Tensor:
        reduction = reduction or self.reduction
        return reduce(values, weights_of_elements(values, batch.sample_weight, batch.mask, reduction), reduction)

    def _means(self, values: list[tf.Tensor], batch: Batch) -> tf.Tensor:
        """The reduced losses, `[K]`; their means where the blend itself does not reduce."""
        reduction = "mean" if self.reduction in ("none", None) else self.reduction
        return tf.stack([self._reduced(self._of_examples(value), batch, reduction) for value in values])

    def _of_examples(self, values: tf.Tensor) -> tf.Tensor:
        """`values` by element, of an elementwise gate, averaged over the last axis as penalties are by themselves."""
        return accurate_mean(values) if self.gate.elementwise and values.shape.rank > 1 else values

    def _blended(
        self, values: list[tf.Tensor], weights: tf.Tensor, cost: Any, batch: Batch
    ) -> tuple[Reading, tf.Tensor]:
        losses = tf.cast(self._means(values, batch), weights.dtype)
        if weights.shape.rank == 1 and self.reduction not in ("none", None):
            value = weighted_sum(losses, weights)
        else:
            value = self._reduced(self._of_examples(_by_example(values, weights)), batch)
        mean_weights = accurate_mean(tf.transpose(tf.reshape(weights, [-1, len(self.names)])))
        return self._reading(value, losses, mean_weights if weights.shape.rank > 1 else weights, cost, batch)

    def _read_chosen(self, batch: Batch, gating: Gating, weights: tf.Tensor, cost: Any) -> tuple[Reading, tf.Tensor]:
        def branch(index: int) -> Callable[[], tf.Tensor]:
            return lambda: tf.cast(
                self._reduced(self._evaluated(index, *batch[:2], gating.scale), batch), weights.dtype
            )

        chosen = tf.argmax(weights, output_type=tf.int32)
        loss = tf.switch_case(chosen, [branch(index) for index in range(len(self.names))])
        # The chosen weight is all there is: one-hot shares times the total. NaN weights stay NaN.
        value = loss * tf.reduce_sum(weights)
        unread = tf.constant(float("nan"), weights.dtype)
        losses = tf.where(tf.range(len(self.names)) == chosen, tf.stop_gradient(loss), unread)
        return self._reading(value, losses, weights, cost, batch)

    def _reading(
        self, value: tf.Tensor, losses: tf.Tensor, weights: tf.Tensor, cost: Any, batch: Batch
    ) -> tuple[Reading, tf.Tensor]:
        """The record of a call, with the gate's cost added to the blended losses; and what of it is added once."""
        value = per_replica(value, self.reduction)
        given = () if cost is None else cost if isinstance(cost, tuple) else (cost,)
        reduced = [self._cost(part, value, batch) for part in given]
        means = [accurate_mean(tf.reshape(part, [-1])) for part, _ in reduced]  # of this replica, as the losses are
        costs = [per_replica(part, reduction) for part, reduction in reduced]
        nothing = tf.zeros([], value.dtype)
        mean_cost = sum(means, nothing)
        once = sum(
            (cost for part, cost in zip(given, costs, strict=True) if not tf.convert_to_tensor(part).shape.rank),
            nothing,
        )
        return Reading(sum(costs, value), *map(tf.stop_gradient, (losses, weights, mean_cost))), once

    def _cost(self, cost: tf.Tensor, value: tf.Tensor, batch: Batch) -> tuple[tf.Tensor, str | None]:
        """A cost of the gate, reduced as the blended `value` was, and the reduction that was."""
        cost = tf.cast(cost, value.dtype)
        if not cost.shape.rank:  # the gate's alone, not of the examples
            return cost, "mean" if value.shape.rank == 0 else "none"
        if batch is NOTHING:
            return tf.reduce_mean(cost), "mean"
        by_example = cost if cost.shape.rank == 1 else self._of_examples(cost)
        shape = tf.shape(batch.by_example)
        return self._reduced(tf.broadcast_to(by_example, shape), batch), self.reduction

    # Saving it

    def get_config(self) -> dict[str, Any]:
        return {
            "losses": [[name, None if loss is None else serialize(loss)] for name, loss in self._given.items()],
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


def _by_example(values: list[tf.Tensor], weights: tf.Tensor) -> tf.Tensor:
    """sum_k g_k l_k for each example: `values` K times `[batch, ...]`, `weights` `[K]` or `[batch, K]`."""
    shapes = {tuple(value.shape) for value in values}
    if len({len(shape) for shape in shapes}) > 1 or not values[0].shape.rank:
        raise ValueError(f"Losses blended by example must have values of one shape [batch, ...]. Received: {shapes}")
    if weights.shape.rank == 2:
        batch = tf.shape(weights)[0]
        weights = tf.reshape(weights, tf.stack([batch] + [1] * (values[0].shape.rank - 1) + [len(values)]))
    return weighted_sum(tf.stack([tf.cast(value, weights.dtype) for value in values], axis=-1), weights)
