"""Barron's penalty as a negative log-likelihood with a trained shape and scale."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.custom_gradient import custom_gradient
from blendloss._internal.dtypes import initial, state_dtype
from blendloss._internal.reductions import accurate_mean, accurate_sum
from blendloss._internal.serialization import register
from blendloss.losses._barron_of_tensors import Shape, log_partition, values
from blendloss.losses._penalty import align, as_floating

_HALF = (tf.float16, tf.bfloat16)
_SOFTPLUS_IS_1 = math.log(math.e - 1.0)


@register
class AdaptiveBarron(keras.Layer, keras.losses.Loss):
    """Barron's adaptive loss: a negative log-likelihood whose shape and scale are trained with the network.

        l = mean over the last axis of rho(r, alpha, c) + log c + log Z(alpha),    r = y_pred - y_true
        Z(alpha) = integral of exp(-rho(u, alpha, 1)) du
        alpha = low + (high - low) sigmoid(a),    c = floor + (c_0 - floor) softplus(s + log(e - 1)),    a, s trained

    rho is the penalty of `Barron`, between Cauchy (alpha = 0) and least squares (alpha = 2). Z makes a density of it.
    Without Z, alpha would fall to the value at which outliers cost least; with Z, it follows the tails of the
    residuals. rho and its derivatives in r, alpha and c are closed forms, accurate in float32 for |r / c| from 1e-30 to
    1e30. log Z is a quadrature in float64 with an error of 1e-11, computed once a step and not for each example.

    Give the loss to a `Blend` (a blend of one loss will do), which tracks, trains, saves and resumes it. In a loop of
    your own, apply gradients to its `trainable_variables`. A plain `compile(loss=...)` never trains a loss, so calling
    the loss there raises an error.

    Args:
        channels: D. Each of the D elements of the last axis has its own alpha and c. None is one pair for all.
        low: the lower end of alpha's range, at least 0.
        high: the upper end of alpha's range, above `low`, at most 2.
        initial_alpha: alpha at the start, strictly inside the range; None is the middle.
        initial_scale: c_0, c at the start, positive, in units of the residual.
        floor: c's lower bound, positive, below `initial_scale`.
        name: the layer's name.
        dtype: the dtype of a and s. None is float64 if Keras's `floatx` is float64, else float32.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns values `[batch, ...]` in the dtype of `y_pred`. A rank-1
        input is a batch of scalars and keeps its shape. Values may be negative.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range. When called, if the shapes differ, the last axis does not have
            `channels` elements, or Keras calls it as a compiled loss.

    Example:
        >>> import math, blendloss as bl
        >>> loss = bl.losses.AdaptiveBarron(low=0.0, high=2.0, initial_alpha=1.0)
        >>> value = loss([[0.0]], [[1.0]])  # sqrt(2) - 1, and log of 2 e K_1(1) = 3.2723
        >>> round(float(value[0]) - (math.sqrt(2) - 1), 4) == round(math.log(3.272306973), 4)
        True
        >>> [variable.name for variable in loss.trainable_variables]
        ['latent_alpha', 'latent_scale']

    References:
        Barron, A general and adaptive robust loss function, CVPR 2019, arXiv:1701.03077.

    Deviations:
        Z is integrated here; the paper's code interpolates it by a spline with an error of 5e-7. The special cases are
        exact, see `Barron`.
    """

    reduction = None  # a Keras loss that does not reduce

    def __init__(
        self,
        channels: int | None = None,
        *,
        low: float = 0.001,
        high: float = 1.999,
        initial_alpha: float | None = None,
        initial_scale: float = 1.0,
        floor: float = 1e-5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=state_dtype(dtype), autocast=False)
        self.channels = None if channels is None else checks.integer("channels", channels, 1)
        self.low, self.high = checks.non_negative("low", low), checks.finite("high", high)
        if not self.low < self.high <= 2.0:
            raise ValueError(f"`high` must be above `low` and at most 2. Received: high={high!r}, low={low!r}")
        self.initial_alpha = initial_alpha
        if initial_alpha is not None:
            self.initial_alpha = checks.between("initial_alpha", initial_alpha, self.low, self.high)
        self.initial_scale = checks.squared_divisor("initial_scale", initial_scale)
        self.floor = checks.squared_divisor("floor", floor)
        if not self.floor < self.initial_scale:
            raise ValueError(
                f"`floor` must be below `initial_scale`. Received: floor={floor!r}, initial_scale={initial_scale!r}"
            )
        start = (self.low + self.high) / 2 if self.initial_alpha is None else self.initial_alpha
        self._latent_alpha = self._latent("latent_alpha", math.log((start - self.low) / (self.high - start)))
        self._latent_scale = self._latent("latent_scale", 0.0)
        self.built = True

    def _latent(self, name: str, value: float) -> Any:
        shape = () if self.channels is None else (self.channels,)
        return self.add_weight(name=name, shape=shape, initializer=initial(value))

    @traced_as_written
    def __call__(self, y_true: Any, y_pred: Any, *of_compile: Any) -> tf.Tensor:
        """The values, `[batch, ...]`, in the dtype of `y_pred`. Both arguments are `[batch, ..., D]` or `[batch]`."""
        if of_compile:  # Keras passes sample weights, or None, to a compiled loss
            raise ValueError(
                f"The loss {self.name!r} trains, but with a plain `compile(loss=...)` no optimizer sees its variables. "
                f'Use `BlendedModel(network, Blend({{"{self.name}": loss}}, Fixed([1.0])))`, or apply gradients to '
                "`loss.trainable_variables` in a loop of your own. Received: a call by Keras, with sample weights"
            )
        return self.call(y_true, y_pred)

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The values, `[batch, ...]`."""
        y_pred = as_floating("y_pred", y_pred)
        y_true, y_pred = align(tf.cast(conversion.numbers("y_true", y_true), y_pred.dtype), y_pred)
        width = y_pred.shape[-1] if y_pred.shape.rank > 1 else 1
        if self.channels is not None and width not in (None, self.channels):
            raise ValueError(
                f"`y_pred` must have {self.channels} channels in its last axis. Received: shape {y_pred.shape}"
            )
        residual = y_pred - y_true
        dtype = residual.dtype
        if dtype in _HALF:
            residual = tf.cast(residual, tf.float32)
        elements = self._elements(residual)
        if elements.shape.rank > 1:
            elements = accurate_mean(elements)
        return tf.cast(elements, dtype)

    def _elements(self, residual: tf.Tensor) -> tf.Tensor:
        """The negative log-likelihood of each element of `residual`."""
        shape, scale = self._shape(residual.dtype), self._scale(residual.dtype)
        alpha, b, scale = (_broadcast(one, residual) for one in (shape.alpha, shape.b, scale))
        return values(residual, Shape(alpha, b), scale) + _broadcast(self._log_normalizer(residual.dtype), residual)

    def _log_normalizer(self, dtype: Any) -> tf.Tensor:
        log_scale = tf.math.log(self._scale(tf.float64))
        return tf.cast(log_scale + log_partition(self._shape(tf.float64)), dtype)

    def _shape(self, dtype: Any) -> Shape:
        latent = tf.cast(tf.convert_to_tensor(self._latent_alpha), dtype)
        width = self.high - self.low
        # 2 - alpha is computed separately: near 2 the difference would lose all digits.
        return Shape(self.low + width * tf.sigmoid(latent), (2.0 - self.high) + width * tf.sigmoid(-latent))

    def _scale(self, dtype: Any) -> tf.Tensor:
        latent = tf.cast(tf.convert_to_tensor(self._latent_scale), dtype)
        return self.floor + (self.initial_scale - self.floor) * tf.math.softplus(latent + _SOFTPLUS_IS_1)

    def alpha_and_scale(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The current alpha and c, scalars or `[channels]`."""
        return self._shape(self.variable_dtype).alpha, self._scale(self.variable_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "channels": self.channels,
            "low": self.low,
            "high": self.high,
            "initial_alpha": self.initial_alpha,
            "initial_scale": self.initial_scale,
            "floor": self.floor,
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AdaptiveBarron:
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.saving.deserialize_keras_object(config["dtype"])
        trainable = config.pop("trainable")
        loss = cls(**config)
        loss.trainable = trainable
        return loss


def _broadcast(parameter: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Broadcasts `parameter`, `[]` or `[D]`, to the shape of `like`, and sums its gradient accurately."""

    @custom_gradient
    def spread(given: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            columns = tf.reshape(upstream, [-1, tf.size(given)])
            return tf.reshape(accurate_sum(tf.transpose(columns)), tf.shape(given))

        return tf.ensure_shape(tf.broadcast_to(given, tf.shape(like)), like.shape), gradient

    return spread(parameter)
