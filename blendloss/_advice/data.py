"""Checks and converts the columns that `compare_losses` receives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from blendloss._internal import checks, conversion

FEWEST_ROWS = 20
FEWEST_GROUPS = 10
_MOST_GROUPS = 1000  # more groups do not improve an interval, but slow down the resampled sums
_LARGEST = 1e150  # float64 holds its square


class Data(NamedTuple):
    """The checked columns, without rows of weight 0.

    Args:
        residual: r = y_pred - y_true, `[N]`, float64.
        weight: the sample weights, `[N]`, positive.
        prediction: the predictions, `[N]`, or None.
        group: the index of the group with which each row is resampled, `[N]`.
        groups: the number of groups.
    """

    residual: np.ndarray
    weight: np.ndarray
    prediction: np.ndarray | None
    group: np.ndarray
    groups: int


def validate_data(
    residuals: Any,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    groups: Any,
    block: int | None,
    random: np.random.Generator,
) -> Data:
    """The checked data. The arguments are those of `compare_losses`."""
    if (residuals is None) == (y_true is None) or (residuals is None and y_pred is None):
        raise ValueError(
            "`residuals`, or `y_true` and `y_pred`, must be given. "
            f"Received: {', '.join(_given(residuals=residuals, y_true=y_true, y_pred=y_pred)) or 'none of them'}"
        )
    prediction = None if y_pred is None else column("y_pred", y_pred)
    if residuals is not None:
        residual = column("residuals", residuals)
    else:
        target = column("y_true", y_true)
        _require_length("y_true", target, "y_pred", prediction)
        residual = prediction - target
    rows = len(residual)
    if prediction is not None:
        _require_length("y_pred", prediction, "residuals", residual)
    weight = np.ones(rows) if sample_weight is None else column("sample_weight", sample_weight)
    _require_length("sample_weight", weight, "residuals", residual)
    if (weight < 0).any():
        raise ValueError(f"`sample_weight` must not be negative. Received: a weight of {weight.min():g}")
    group = _groups(rows, groups, block, random)
    kept = weight > 0
    if kept.sum() < FEWEST_ROWS:
        raise ValueError(
            f"`residuals` must be at least {FEWEST_ROWS}, of positive weight. Received: {kept.sum()} of them"
        )
    group, count = _join_groups(np.unique(group[kept], return_inverse=True)[1], random)
    if count < FEWEST_GROUPS:
        name = "block" if groups is None else "groups"
        raise ValueError(f"`{name}` must give at least {FEWEST_GROUPS} groups to resample. Received: {count} groups")
    # The largest weight becomes 1, so that no weight overflows.
    weight = weight[kept] / weight.max()
    return Data(residual[kept], weight, None if prediction is None else prediction[kept], group, count)


def column(name: str, value: Any) -> np.ndarray:
    """`value` as finite float64 `[N]`; a last axis of length 1 is dropped."""
    if not (tf.is_tensor(value) or isinstance(value, np.ma.MaskedArray)) and (
        hasattr(value, "__array__") or isinstance(value, (list, tuple))
    ):
        value = _as_array(name, value)
    found = tf.cast(conversion.real(name, value), tf.float64).numpy() if _is_eager(value) else None
    if found is None:
        raise TypeError(f"`{name}` must be an array. {checks.received(name, value)}")
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise ValueError(
            f"`{name}` must be one column, [N] or [N, 1]: compare several outputs one by one. "
            f"Received: shape {list(found.shape)}"
        )
    bad = ~np.isfinite(found)
    if bad.any():
        raise ValueError(
            f"`{name}` must be finite. Received: NaN or infinity in {bad.sum():,} of {len(found):,} rows "
            f"(first: row {int(np.argmax(bad)) + 1})"
        )
    if len(found) and np.abs(found).max() > _LARGEST:
        raise ValueError(f"`{name}` must be at most 1e150 in size. Received: {np.abs(found).max():.3g}")
    return found


def _as_array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except Exception as error:  # arrays of other libraries raise any error, such as a tensor on a GPU
        raise ValueError(f"`{name}` must be numbers that NumPy can read ({error}). Received: {type(value)}") from error
    if array.dtype.kind in "OSUMm":
        example = next((one for one in array.flat if not _is_number(one)), "objects")
        example = example.item() if isinstance(example, np.generic) else example
        raise ValueError(f"`{name}` must be real numbers. Received: {checks.shown(example)} among them")
    return array


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.timedelta64))


def _is_eager(value: Any) -> bool:
    return not tf.is_symbolic_tensor(value) if tf.is_tensor(value) else True


def _given(**named: Any) -> list[str]:
    return [f"`{name}`" for name, value in named.items() if value is not None]


def _require_length(name: str, value: np.ndarray, other: str, like: np.ndarray | None) -> None:
    if like is not None and len(value) != len(like):
        raise ValueError(f"`{name}` must be as long as `{other}`. Received: {len(value):,} and {len(like):,} rows")


def _groups(rows: int, groups: Any, block: int | None, random: np.random.Generator) -> np.ndarray:
    """The group of each row as an integer, `[N]`."""
    if groups is not None and block is not None:
        raise ValueError("`groups` and `block` must not both be given. Received: both")
    if block is not None:
        return np.arange(rows) // checks.integer("block", block, minimum=1)
    if groups is None:
        return np.arange(rows)
    labels = _labels(groups)
    if labels is None:
        raise TypeError(f"`groups` must be a column of integers or strings. {checks.received('groups', groups)}")
    _require_length("groups", labels, "residuals", np.empty(rows))
    return np.unique(labels, return_inverse=True)[1]


def _labels(groups: Any) -> np.ndarray | None:
    """`groups` as an array of integers or strings; None if they are anything else."""
    if not (hasattr(groups, "__array__") or isinstance(groups, (list, tuple))) or isinstance(groups, np.ma.MaskedArray):
        return None
    try:
        labels = np.asarray(groups)
    except Exception:  # arrays of other libraries raise any error
        return None
    if labels.dtype.kind == "O" and all(isinstance(label, (str, int)) for label in labels.flat):
        labels = labels.astype(str)
    return labels if labels.ndim == 1 and labels.dtype.kind in "biuSU" else None


def _join_groups(group: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, int]:
    """Joins groups at random into at most 1000 groups, which are still independent."""
    count = int(group.max()) + 1
    if count <= _MOST_GROUPS:
        return group, count
    return (random.permutation(count) % _MOST_GROUPS)[group], _MOST_GROUPS
