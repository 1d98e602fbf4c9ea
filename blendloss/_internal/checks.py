"""Checks of arguments. Each returns the value, or raises an error with the rule and what was received."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

#: The largest number whose reciprocal is a normal number of float32.
_RECIPROCAL = 1 / float(np.finfo(np.float32).tiny)

_SHOWN = 200  # characters of a value in a message


def shown(value: Any) -> str:
    """`repr(value)`, shortened. If `repr` fails, as for an integer of 5,000 digits, only the type."""
    try:
        text = repr(value)
    except Exception:  # a message must never fail
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def received(name: str, value: Any, tensor: Any = None) -> str:
    """The end of a message: the value received as `name`, or the dtype and shape of a tensor."""
    if tensor is None and not (hasattr(value, "dtype") and hasattr(value, "shape")):
        return f"Received: {name}={shown(value)} of type {type(value).__name__}"
    array = value if tensor is None else tensor
    dtype = getattr(array.dtype, "name", array.dtype)
    return f"Received: {name} of dtype {dtype} and shape {array.shape}, a {type(value).__name__}"


def real(name: str, value: Any) -> float:
    """`value` as a float. Any real number except NaN; infinities are allowed."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a real number. {received(name, value)}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"`{name}` must be at most 1.8e308 in size. Received: {name}={shown(value)}") from None
    if math.isnan(number):
        raise ValueError(f"`{name}` must not be NaN. Received: {name}={shown(value)}")
    return number


def finite(
    name: str, value: Any, minimum: float | None = None, maximum: float | None = None, dtype: str = "float32"
) -> float:
    """`value` as a finite float from `minimum` to `maximum`, which `dtype` holds."""
    number = real(name, value)
    if math.isinf(number):
        raise ValueError(f"`{name}` must be finite. Received: {name}={shown(value)}")
    if minimum is not None and number < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={shown(value)}")
    if maximum is not None and number > maximum:
        raise ValueError(f"`{name}` must be at most {maximum}. Received: {name}={shown(value)}")
    return held(name, value, number, dtype)


def held(name: str, value: Any, number: float, dtype: str = "float32") -> float:
    """Checks that `dtype` holds `number`, which is the float of `value`. Otherwise it would become 0 or infinity.

    Dtypes with fewer digits than float32 count as float32, because the library computes in float32 then.
    """
    dtype = "float64" if dtype == "float64" else "float32"
    ends = np.finfo(dtype)
    if number and not float(ends.tiny) <= abs(number) <= float(ends.max):
        low, high = (f"{float(end):.2g}".replace("+", "") for end in (ends.tiny, ends.max))
        raise ValueError(
            f"`{name}` must be between {low} and {high} in size, the numbers that {dtype} holds, or 0. "
            f"Received: {name}={shown(value)}"
        )
    return number


def positive(name: str, value: Any, maximum: float | None = None, dtype: str = "float32") -> float:
    """`value` as a finite float above 0 and at most `maximum`."""
    number = finite(name, value, maximum=maximum, dtype=dtype)
    if number <= 0:
        raise ValueError(f"`{name}` must be positive. Received: {name}={shown(value)}")
    return number


def non_negative(name: str, value: Any, maximum: float | None = None, dtype: str = "float32") -> float:
    """`value` as a finite float of at least 0 and at most `maximum`."""
    number = finite(name, value, maximum=maximum, dtype=dtype)
    if number < 0:
        raise ValueError(f"`{name}` must not be negative. Received: {name}={shown(value)}")
    return number


def divisor(name: str, value: Any) -> float:
    """`value` as a positive float whose reciprocal float32 also holds, because XLA multiplies by the reciprocal."""
    return positive(name, value, maximum=_RECIPROCAL)


def squared_divisor(name: str, value: Any) -> float:
    """`value` as a positive float. Float32 also holds its square and the reciprocal of its square."""
    number = positive(name, value)
    if not 1 / _RECIPROCAL <= number * number <= _RECIPROCAL:
        raise ValueError(
            f"`{name}` must be between 1.1e-19 and 9.2e18, because float32 must hold quotients by its square. "
            f"Received: {name}={shown(value)}"
        )
    return number


def momentum(name: str, value: Any, dtype: str = "float32") -> float:
    """`value`, the part of the old value that a running mean keeps, as a float in [0, 1)."""
    number = non_negative(name, value, dtype=dtype)
    if number >= 1:
        raise ValueError(f"`{name}` must be below 1. Received: {name}={shown(value)}")
    return number


def between(name: str, value: Any, low: float, high: float) -> float:
    """`value` as a float strictly between `low` and `high`."""
    number = real(name, value)
    if not low < number < high:
        raise ValueError(f"`{name}` must lie strictly between {low} and {high}. Received: {name}={shown(value)}")
    return held(name, value, number)


def integer(name: str, value: Any, minimum: int | None = None, maximum: int = 2**63 - 1) -> int:
    """`value` as an int of 64 bits from `minimum` to `maximum`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer. {received(name, value)}")
    number = int(value)
    if not -(2**63) <= number <= maximum:
        raise ValueError(f"`{name}` must fit in 64 bits. Received: {name}={shown(value)}")
    if minimum is not None and number < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={shown(value)}")
    return number


def boolean(name: str, value: Any) -> bool:
    """`value` as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False. {received(name, value)}")
    return bool(value)


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """`value`, which must be one of `allowed`."""
    if not any(value is option or (type(value) is type(option) and value == option) for option in allowed):
        raise ValueError(f"`{name}` must be one of {list(allowed)}. Received: {name}={shown(value)}")
    return value


def finites(name: str, values: Any, check: Callable[..., float] = finite, dtype: str = "float32") -> list[float]:
    """`values` as a list of floats: a non-empty sequence of finite numbers of `dtype` that pass `check`."""
    listed = isinstance(values, Sequence) and not isinstance(values, (str, bytes))
    if not listed and not (
        isinstance(values, np.ndarray) and values.ndim and not isinstance(values, np.ma.MaskedArray)
    ):
        raise TypeError(f"`{name}` must be a list of numbers. {received(name, values)}")
    if len(values) == 0:
        raise ValueError(f"`{name}` must not be empty. Received: {name}={shown(values)}")
    return [check(f"{name}[{i}]", value, dtype=dtype) for i, value in enumerate(values)]


def number_or_numbers(
    name: str, value: Any, check: Callable[..., float] = finite, dtype: str = "float32"
) -> float | list[float]:
    """`value` as a float or a list of floats: a finite number, or a sequence of numbers, that pass `check`."""
    if isinstance(value, np.ndarray):
        several = value.ndim > 0
    else:
        several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return finites(name, value, check, dtype) if several else check(name, value, dtype=dtype)


def for_each(name: str, value: float | list[float], k: int) -> list[float]:
    """`value`, one number for all losses or one for each, as a list of `k` numbers."""
    values = value if isinstance(value, list) else [value] * k
    if len(values) != k:
        raise ValueError(f"`{name}` must have one number for each of the {k} losses. Received: {name}={shown(value)}")
    return values


def ordered(name: str, values: Any, direction: str = "rising", dtype: str = "float32") -> list[float]:
    """`values` as a list of finite floats that increase strictly (rising) or decrease strictly (falling)."""
    given = finites(name, values, dtype=dtype)
    sign = 1 if direction == "rising" else -1
    if any(sign * b <= sign * a for a, b in zip(given, given[1:], strict=False)):
        change = "increase" if direction == "rising" else "decrease"
        raise ValueError(f"`{name}` must {change} strictly. Received: {name}={shown(values)}")
    return given
