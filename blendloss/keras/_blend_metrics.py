"""The metric that carries what a blend computed into Keras's logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.output import BlendOutput


class BlendMetrics(keras.metrics.Metric):
    """Each loss's mean over the examples that it was evaluated on (NaN if there are none), and each latest weight.

    One metric for all, as a step pays for each variable that it moves.
    """

    def __init__(self, names: Sequence[str], has_cost: bool) -> None:
        super().__init__(name="blend_metrics")
        self._names = tuple(names)
        self._has_cost = has_cost
        means = len(self._names) + has_cost
        self.total = self.add_variable((means,), "zeros", name="total")
        self.count = self.add_variable((means,), "zeros", name="count")
        # Where replicas are summed, the number of them is summed, too.
        self.latest = self.add_variable((len(self._names) + 1,), "zeros", name="latest")

    def update_state(self, *given: Any, **named: Any) -> None:
        """Adds nothing: the loss has counted its output itself, and a loop over all metrics gives targets."""

    def count_output(self, output: BlendOutput, y_pred: Any) -> None:
        """Counts what the blend computed for a batch of predictions."""
        number = tf.shape(tf.nest.flatten(y_pred)[0])[0]
        unread = tf.math.is_nan(output.losses) & (output.weights == 0)
        # A value that does not count may be NaN, and 0 times NaN is NaN.
        values = tf.where(unread, tf.zeros_like(output.losses), output.losses)
        counts = tf.where(unread, tf.zeros_like(values), tf.cast(number, values.dtype))
        if self._has_cost:
            values = tf.concat([values, [tf.cast(output.cost, values.dtype)]], 0)
            counts = tf.concat([counts, [tf.cast(number, counts.dtype)]], 0)
        self.total.assign_add(tf.cast(values * counts, self.total.dtype))
        self.count.assign_add(tf.cast(counts, self.count.dtype))
        self.latest.assign(tf.cast(tf.concat([output.weights, [1]], 0), self.latest.dtype))

    def result(self) -> dict[str, Any]:
        count = tf.convert_to_tensor(self.count)
        # Never evaluated is not 0.
        nothing = tf.constant(float("nan"), count.dtype)
        means = tf.where(count == 0, nothing, tf.math.divide_no_nan(tf.convert_to_tensor(self.total), count))
        latest = tf.convert_to_tensor(self.latest)
        weights = tf.math.divide_no_nan(latest[:-1], latest[-1])
        return {
            **{f"loss/{name}": means[k] for k, name in enumerate(self._names)},
            **{f"gate/{name}": weights[k] for k, name in enumerate(self._names)},
            **({"cost": means[-1]} if self._has_cost else {}),
        }
