"""Checks of arguments: each returns the value, or raises with the rule and what was received."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def real(name: str, value: Any) -> float:
    """`value` as a float; any real number but NaN (infinities pass)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a real number. Received: {name}={value!r} of type {type(value).__name__}")
    number = float(value)
    if math.isnan(number):
        raise ValueError(f"`{name}` must not be NaN. Received: {name}={value!r}")
    return number


def finite(name: str, value: Any, minimum: float | None = None, maximum: float | None = None) -> float:
    """`value` as a finite float of at least `minimum` and at most `maximum`."""
    number = real(name, value)
    if math.isinf(number):
        raise ValueError(f"`{name}` must be finite. Received: {name}={value!r}")
    if minimum is not None and number < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value!r}")
    if maximum is not None and number > maximum:
        raise ValueError(f"`{name}` must be at most {maximum}. Received: {name}={value!r}")
    return number


def positive(name: str, value: Any, maximum: float | None = None) -> float:
    """`value` as a finite float above 0 and at most `maximum`."""
    number = finite(name, value, maximum=maximum)
    if number <= 0:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")
    return number


def non_negative(name: str, value: Any, maximum: float | None = None) -> float:
    """`value` as a finite float of at least 0 and at most `maximum`."""
    number = finite(name, value, maximum=maximum)
    if number < 0:
        raise ValueError(f"`{name}` must not be negative. Received: {name}={value!r}")
    return number


def momentum(name: str, value: Any) -> float:
    """`value`, the part of the old that a running mean keeps, as a float of at least 0 and below 1."""
    number = non_negative(name, value)
    if number >= 1:
        raise ValueError(f"`{name}` must be below 1. Received: {name}={value!r}")
    return number


def between(name: str, value: Any, low: float, high: float) -> float:
    """`value` as a float strictly between `low` and `high`."""
    number = real(name, value)
    if not low < number < high:
        raise ValueError(f"`{name}` must lie strictly between {low} and {high}. Received: {name}={value!r}")
    return number


def integer(name: str, value: Any, minimum: int | None = None) -> int:
    """`value` as an int of at least `minimum`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r} of type {type(value).__name__}")
    number = int(value)
    if minimum is not None and number < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value!r}")
    return number


def boolean(name: str, value: Any) -> bool:
    """`value` as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r} of type {type(value).__name__}")
    return bool(value)


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """`value`, which must be one of `allowed`."""
    if not any(value is option or (type(value) is type(option) and value == option) for option in allowed):
        raise ValueError(f"`{name}` must be one of {list(allowed)}. Received: {name}={value!r}")
    return value


def finites(name: str, values: Any, check: Callable[[str, Any], float] = finite) -> list[float]:
    """`values`, a non-empty sequence of finite numbers that each pass `check`, as a list of floats."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise TypeError(f"`{name}` must be a list of numbers. Received: {name}={values!r}")
    if len(values) == 0:
        raise ValueError(f"`{name}` must not be empty. Received: {name}={values!r}")
    return [check(f"{name}[{i}]", value) for i, value in enumerate(values)]


def number_or_numbers(name: str, value: Any, check: Callable[[str, Any], float] = finite) -> float | list[float]:
    """`value`, a finite number that passes `check` or a sequence of such, as a float or a list of floats."""
    if isinstance(value, np.ndarray):
        several = value.ndim > 0
    else:
        several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return finites(name, value, check) if several else check(name, value)


def for_each(name: str, value: float | list[float], k: int) -> list[float]:
    """`value`, one number for all of `k` losses or one for each, as a list of `k`."""
    values = value if isinstance(value, list) else [value] * k
    if len(values) != k:
        raise ValueError(f"`{name}` must have one number for each of the {k} losses. Received: {name}={value!r}")
    return values


def ordered(name: str, values: Any, direction: str = "rising") -> list[float]:
    """`values`, finite numbers that increase strictly (rising) or decrease strictly (falling), as a list of floats."""
    given = finites(name, values)
    sign = 1 if direction == "rising" else -1
    if any(sign * b <= sign * a for a, b in zip(given, given[1:], strict=False)):
        change = "increase" if direction == "rising" else "decrease"
        raise ValueError(f"`{name}` must {change} strictly. Received: {name}={values!r}")
    return given
