"""The gradient of a held-out loss in the gate, through one step of training."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.assertions import require
from blendloss._internal.signatures import takes

ORDERS = (1, 2)


def look_ahead_gradient(
    loss: Callable[[list[tf.Tensor]], tf.Tensor],
    target: Callable[[list[tf.Tensor]], tf.Tensor],
    parameters: Sequence[Any],
    gate_variables: Sequence[Any],
    *,
    rate: Any,
    order: int = 2,
) -> list[tf.Tensor | None]:
    """The gradient of a held-out target in the gate a, through one step of gradient descent of the parameters w.

    With the look-ahead step w' = w - rate dL/dw(w, a) of the training loss L and the target T(u, a),

        h = dT/da(u, a) - rate (d/da dL/dw(w, a))^T dT/du(u, a),    u = w' for order 2, u = w for order 1.

    Order 2 is exact: dT(w', a)/da. Order 1 takes the target's slopes where the parameters are. It aligns gradients: a
    loss gains weight as far as its gradient points where the target's does, and the direction of h does not depend on
    the rate. It is the limit of small rates, O(rate^2) from order 2 where T does not depend on a directly.

    With rate 0 there is no look-ahead: h = dT/da(w, a). If the target does not depend on the gate directly, that is 0
    for any data, and the gate would never train. Then the number 0 is refused; a tensor may be 0, as a schedule may.

    Args:
        loss: L, a function of a list of tensors, the parameters, that gives a scalar. It may read the gate's variables.
        target: T, a function of such a list that gives a scalar.
        parameters: w, variables or tensors, at least one of which L depends on.
        gate_variables: a, variables (or tensors); at least one.
        rate: the learning rate of the look-ahead step, a number or scalar tensor of at least 0.
        order: 1 or 2.

    Returns:
        A tensor for each of `gate_variables`; None for one that h does not depend on, as `tf.GradientTape` gives it.

    Raises:
        ValueError: if `order` is neither 1 nor 2, `rate` is negative, there is nothing to differentiate, or h depends
            on none of the gate's variables.
        tf.errors.InvalidArgumentError: in the graph, if a `rate` that is a tensor is negative.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> w, a = tf.Variable(1.0), tf.Variable(0.5)
        >>> [h] = bl.look_ahead_gradient(
        ...     lambda w: a * w[0] ** 2, lambda w: w[0] ** 2, parameters=[w], gate_variables=[a], rate=0.25
        ... )
        >>> float(h)  # w' = (1 - 2 rate a) w = 0.75; h = -rate 2 w 2 w'
        -0.75

    References:
        Liu, Simonyan and Yang, "DARTS: Differentiable architecture search", ICLR 2019, arXiv:1806.09055, equation 7:
        order 2. Ren, Zeng, Yang and Urtasun, "Learning to reweight examples for robust deep learning", ICML 2018,
        arXiv:1803.09050: order 1, for weights of examples.

    Deviations:
        DARTS approximates the mixed second derivative by finite differences; here it is exact. DARTS's "first-order
        approximation" is rate 0 here. It is useless if the target does not depend on the gate directly.
    """
    checks.one_of("order", order, ORDERS)
    for name, function in (("loss", loss), ("target", target)):
        if not takes(function, 1):
            raise TypeError(f"`{name}` must be a function of a list of tensors. {checks.received(name, function)}")
    parameters = conversion.variables("parameters", parameters, empty=False)
    gate_variables = conversion.variables("gate_variables", gate_variables, empty=False)
    still = isinstance(rate, numbers.Real) and checks.non_negative("rate", rate) == 0
    if not isinstance(rate, numbers.Real):
        rate = conversion.real("rate", rate)
        if rate.shape.rank not in (None, 0):
            raise ValueError(f"`rate` must be a scalar. Received: shape {rate.shape}")
    gate_variables = [v.value if isinstance(v, keras.Variable) else v for v in gate_variables]
    now = [tf.convert_to_tensor(parameter) for parameter in parameters]
    with tf.GradientTape() as outer:
        outer.watch(gate_variables)
        with tf.GradientTape() as inner:
            inner.watch(now)
            value = loss(now)
        slopes = [dense(slope) for slope in inner.gradient(value, now)]
    ahead = now
    if order == 2 and not still:
        ahead = [step_along(w, slope, rate) for w, slope in zip(now, slopes, strict=True)]
    with tf.GradientTape() as probe:
        probe.watch((ahead, gate_variables))
        aim = target(ahead)
    towards, direct = probe.gradient(aim, (ahead, gate_variables))
    through = None
    if not still:
        through = pulled_back(outer, slopes, [dense(slope) for slope in towards], gate_variables)
    if all(part is None for part in direct) and (through is None or all(part is None for part in through)):
        raise ValueError(
            "The held-out target does not depend on the gate, directly or through the step: its gradient is 0 whatever "
            f"the data, and the gate would never train. Received: rate={rate!r}"
        )
    if through is None:
        return list(direct)
    return [_added(part, moved, rate) for part, moved in zip(direct, through, strict=True)]


def dense(slope: Any) -> tf.Tensor | None:
    """A gradient as a tensor; of embeddings, TensorFlow gives slices."""
    return None if slope is None else tf.convert_to_tensor(slope)


def step_along(parameter: tf.Tensor, slope: tf.Tensor | None, rate: Any) -> tf.Tensor:
    """w - rate slope; no derivative is taken of the step itself."""
    if slope is None:
        return parameter
    return tf.stop_gradient(parameter - _of_dtype(rate, parameter.dtype) * slope)


def pulled_back(
    tape: tf.GradientTape, slopes: Sequence[Any], directions: Sequence[Any], gate_variables: Sequence[Any]
) -> list[tf.Tensor | None]:
    """(d slopes / d a)^T directions, over those parameters that both depend on."""
    both = [(s, v) for s, v in zip(slopes, directions, strict=True) if s is not None and v is not None]
    if not both:
        return [None] * len(gate_variables)
    along, against = zip(*both, strict=True)
    return tape.gradient(list(along), list(gate_variables), output_gradients=list(against))


def _added(direct: tf.Tensor | None, moved: tf.Tensor | None, rate: Any) -> tf.Tensor | None:
    if moved is None:
        return dense(direct)
    step = -_of_dtype(rate, moved.dtype) * moved
    return step if direct is None else direct + step


def _of_dtype(rate: Any, dtype: tf.DType) -> tf.Tensor:
    number = isinstance(rate, numbers.Real)  # TensorFlow would round it to float32
    rate = tf.constant(float(rate), dtype) if number else tf.cast(tf.convert_to_tensor(rate), dtype)
    return require(rate >= 0, "`rate` must not be negative.", rate)
