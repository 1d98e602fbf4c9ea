"""What the argument `normalize` accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from blendloss.gates.normalizers._initial_value import InitialValue
from blendloss.gates.normalizers._likelihood import Likelihood
from blendloss.gates.normalizers._normalizer import Normalizer
from blendloss.gates.normalizers._root_mean_square import RootMeanSquare
from blendloss.gates.normalizers._running_mean import RunningMean

_NAMED: Mapping[str, Callable[[], Normalizer]] = {
    "initial": InitialValue,
    "running": RunningMean,
    "rms": RootMeanSquare,
    "likelihood": Likelihood,
}


def as_normalizer(value: Any) -> Normalizer | None:
    """The normalizer that `value` is or names; None is none."""
    if value is None or isinstance(value, Normalizer):
        return value
    if not isinstance(value, str):
        raise TypeError(
            "`normalize` must be None, a name or a normalizer, such as blendloss.gates.normalizers.RunningMean(). "
            f"Received: normalize={value!r}"
        )
    if value not in _NAMED:
        raise ValueError(f"`normalize` must be one of {list(_NAMED)}. Received: normalize={value!r}")
    return _NAMED[value]()
