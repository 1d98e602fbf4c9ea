"""Row sums of penalty values: few passes over memory on a CPU, usually one on a GPU."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence

import tensorflow as tf

# On a processor so many neighbouring values, as parts of a row, are added first, and only their sums are written to
# memory. XLA:CPU fuses sums of up to 32, and stacks; with fewer parts or larger stacks it computes simple penalties
# without vector instructions. Of a single penalty it writes the sums of parts: the more parts, the less.
_PARTS, _PARTS_OF_ONE, _PART = 3, 8, 32
_STACK = 4
# What is left of a row is written, in float64, before it is added. Of a row that is not longer, that counts.
_SHORT = 4096
# On a GPU rows may be long: their sums hardly count then. In float32 so many still add up accurately on any device.
_GPU_ROW = 1024
# XLA:GPU reduces rows that are shorter number by number, and then pairs are more to read.
_GPU_WARP = 32

_Function = Callable[..., list[tf.Tensor]]


def row_reducer_for(array: tf.Tensor, by_row: bool) -> RowReducer:
    """The reducer for arrays like `array`, on the device where `array` is computed."""
    return GpuRowReducer(by_row) if _on_gpu(array) else CpuRowReducer(by_row)


class RowReducer(abc.ABC):
    """Sums the rows of arrays that a function computes element by element.

    Args:
        by_row: whether arrays are `[rows, M]`; else the whole of each array, of any shape, is one row.
    """

    def __init__(self, by_row: bool) -> None:
        self.by_row = by_row

    @abc.abstractmethod
    def sum(self, count: int, function: _Function, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        """The sums of each row, `[rows, K]`, of `function(*arrays)`: `count` = K arrays."""

    def sum_values(self, values: Sequence[tf.Tensor]) -> tf.Tensor:
        """The sums `[rows, K]` of K arrays that are computed already."""
        return _sum_in_parts(lambda *rows: list(rows), [self.rows(array) for array in values], 1)

    def rows(self, array: tf.Tensor) -> tf.Tensor:
        """`array` as rows, `[rows, M]`."""
        return array if self.by_row else one_row(array)

    def columns(self, values: tf.Tensor, count: int) -> list[tf.Tensor]:
        """The `count` = K columns of `values` `[rows, K]`, each of a shape that multiplies an array."""
        # Scalars, of one row: XLA:GPU's kernel of values and slopes ends where the slopes are reshaped.
        return tf.split(values, count, axis=1) if self.by_row else tf.unstack(values[0])


class CpuRowReducer(RowReducer):
    """Adds neighbouring values first and writes only their sums, for XLA:CPU."""

    def sum(self, count: int, function: _Function, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        parts = _PARTS if count > 1 else _PARTS_OF_ONE
        return _sum_in_parts(function, [self.rows(array) for array in arrays], parts)


class GpuRowReducer(RowReducer):
    """Sums two arrays as the parts of one complex array: XLA:GPU makes one kernel of all values and slopes."""

    def sum(self, count: int, function: _Function, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        length = self.rows(arrays[0]).shape[1]
        values = function(*arrays)
        if length is not None and length < _GPU_WARP:
            return tf.stack([tf.reduce_sum(self.rows(one), axis=1) for one in values], axis=1)
        even = [*values, *[tf.zeros_like(values[0])] * (len(values) % 2)]
        pairs = [self.rows(tf.complex(*pair)) for pair in zip(even[::2], even[1::2], strict=True)]
        length = pairs[0].shape[1]
        size = _GPU_ROW if length is None else min(_GPU_ROW, length)
        sums = _parts(tf.stack([tf.reduce_sum(_pieces(pair, size), axis=-1) for pair in pairs]))
        total = _total(_by_row(tf.transpose(sums), pairs[0], size), 1)
        if length is None or length % size:
            total += tf.transpose(_total(_parts(tf.stack([_rest(pair, size) for pair in pairs])), -1))
        return tf.cast(total, arrays[0].dtype)[:, : len(values)]


def one_row(array: tf.Tensor) -> tf.Tensor:
    """All of `array` in one row, `[1, M]`."""
    return tf.reshape(array, [1, -1])


def _on_gpu(tensor: tf.Tensor) -> bool:
    """Whether a tensor of a graph is computed on a GPU, as far as can be known while it is traced."""
    kind = tf.DeviceSpec.from_string(tensor.device).device_type
    return kind == "GPU" if kind else bool(tf.config.get_visible_devices("GPU"))


def _sum_in_parts(function: _Function, arrays: Sequence[tf.Tensor], parts: int) -> tf.Tensor:
    """The sums `[rows, K]` of the K arrays `function(*arrays)`, `[rows, M]` each; in stacks, for XLA:CPU."""
    length = arrays[0].shape[1]
    parts = parts if length is None else _parts_of(length, parts)
    size = parts * _PART
    added, rest = [], []
    if size:
        pieces = function(*[tf.reshape(_pieces(array, size), [-1, parts, _PART]) for array in arrays])
        added = [tf.add_n(tf.unstack(piece, parts, axis=1)) for piece in pieces]
    if length is None or not size or length % size:
        rest = function(*[_rest(array, size) for array in arrays])
    count = max(len(added), len(rest))
    stack = math.ceil(count / math.ceil(count / _STACK))
    totals = []
    for at in range(0, count, stack):
        total = []
        if added:
            sums = tf.reduce_sum(tf.stack(added[at : at + stack], axis=1), axis=-1)
            total.append(_total(_by_row(sums, arrays[0], size), 1))
        if rest:
            total.append(_total(tf.stack(rest[at : at + stack], axis=1), -1))
        totals.append(tf.cast(tf.add_n(total), arrays[0].dtype))
    return totals[0] if len(totals) == 1 else tf.concat(totals, 1)


def _parts_of(length: int, most: int) -> int:
    """Into how many parts of a piece a row is cut: so many that nothing is left of a short row, where that can be."""
    most = min(most, length // _PART)
    if length > _SHORT:
        return most
    return next((parts for parts in range(most, 1, -1) if length % (parts * _PART) == 0), most)


def _parts(pairs: tf.Tensor) -> tf.Tensor:
    """Real and imaginary parts, of `[P, ...]` pairs: `[2 P, ...]`."""
    parts = tf.stack([tf.math.real(pairs), tf.math.imag(pairs)], axis=1)
    return tf.reshape(parts, tf.concat([[2 * pairs.shape[0]], tf.shape(pairs)[1:]], 0))


def _pieces(array: tf.Tensor, size: int) -> tf.Tensor:
    """The pieces of `size` that rows are cut into, `[pieces, size]`, without what is left of each row."""
    return tf.reshape(array[:, : tf.shape(array)[1] // size * size], [-1, size])


def _rest(array: tf.Tensor, size: int) -> tf.Tensor:
    """What is left of each row, `[rows, < size]`; all of it, if there are no pieces."""
    return array[:, tf.shape(array)[1] // size * size :] if size else array


def _by_row(sums: tf.Tensor, array: tf.Tensor, size: int) -> tf.Tensor:
    """`sums` of pieces of `array`, `[pieces, K]`, by row: `[rows, pieces of a row, K]`."""
    shape = tf.shape(array)
    return tf.reshape(sums, [shape[0], shape[1] // size, tf.shape(sums)[1]])


def _total(values: tf.Tensor, axis: int) -> tf.Tensor:
    """The sum over an axis, added in float64 and left so."""
    return tf.reduce_sum(tf.cast(values, tf.float64), axis)
