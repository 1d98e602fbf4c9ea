"""Ways to reduce K penalties of one residual and to blend their slopes, beside the library's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from benchmarks import problems
from benchmarks.bandwidth import COPY, GIGABYTES, SHARE, copy
from benchmarks.harness import Axis, Benchmark, Part, Plot, Quantity, Subject
from benchmarks.harness.benchmark import MILLISECONDS
from benchmarks.hlo import Module
from benchmarks.peers.mathematics import TOLERANCES, named

OURS = "blendloss"

BENCHMARK = Benchmark(
    name="designs",
    about="ways to reduce several penalties and to blend their slopes",
    axes=(
        Axis("losses", (1, 2, 4, 8), "K, the number of losses", quick=(2,)),
        Axis("elements", (2**22,), "N, the number of residuals, a multiple of 2^16", quick=(2**16,)),
    ),
    base=OURS,
    quantities=(
        MILLISECONDS,
        Quantity("bytes over the least", lambda facts, _: facts["moved"] / facts["bytes"], "{:.2f}"),
        Quantity("buffers as long as the predictions", lambda facts, _: facts["buffers"], "{:.0f}"),
        GIGABYTES,
        SHARE,
    ),
    plots=(Plot("ms", "losses"), Plot("bytes over the least", "losses", log=False)),
    parts=(Part("benchmarks.designs"),),
)

device = problems.device

Penalties = list[Any]


def _added(parts: list[Any]) -> Any:
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _total(values: Any) -> Any:
    """The sum of `[..., N]` over the last axis, by 16 slices, in float64 from there."""
    import tensorflow as tf

    slices = tf.reshape(values, [*values.shape[:-1], 16, -1])
    return tf.reduce_sum(tf.cast(_added(tf.unstack(slices, axis=-2)), tf.float64), axis=-1)


def _by_parts(parts: int, penalties: Penalties, residual: Any) -> list[Any]:
    """Each penalty of `parts` slices of the residual, added element by element: `[N / parts]`."""
    import tensorflow as tf

    slices = tf.unstack(tf.reshape(residual, [parts, -1]))
    return [_added([penalty.value(part) for part in slices]) for penalty in penalties]


def _parts(parts: int, penalties: Penalties, residual: Any) -> Any:
    import tensorflow as tf

    return tf.stack([_total(part) for part in _by_parts(parts, penalties, residual)])


def _stacked(parts: int, penalties: Penalties, residual: Any) -> Any:
    """The sums by parts in one array, `[K, N / parts]`."""
    import tensorflow as tf

    return _total(tf.stack(_by_parts(parts, penalties, residual)))


def _major(penalties: Penalties, residual: Any) -> Any:
    """All penalties in one array, reduced over a major axis of length 16 first."""
    import tensorflow as tf

    folded = tf.reshape(residual, [16, -1])
    values = tf.stack([penalty.value(folded) for penalty in penalties], axis=1)  # [16, K, N / 16]
    return tf.reduce_sum(tf.cast(tf.reduce_sum(values, axis=0), tf.float64), axis=1)


def _rows(length: int, penalties: Penalties, residual: Any) -> Any:
    """All penalties in one array, reduced over rows of neighbours first."""
    import tensorflow as tf

    folded = tf.reshape(residual, [-1, length])
    values = tf.stack([penalty.value(folded) for penalty in penalties], axis=1)  # [N / length, K, length]
    return tf.reduce_sum(tf.cast(tf.reduce_sum(values, axis=2), tf.float64), axis=0)


def _neighbours(parts: int, size: int, penalties: Penalties, residual: Any) -> Any:
    """Stacks of `size` penalties, reduced over `parts` times 32 neighbours, the parts first: what the library does."""
    import tensorflow as tf

    count = residual.shape[0] // (parts * 32)
    folded = tf.reshape(residual[: count * parts * 32], [count, parts, 32])
    values = [tf.add_n(tf.unstack(penalty.value(folded), axis=1)) for penalty in penalties]
    stacks = [tf.stack(values[at : at + size], axis=1) for at in range(0, len(values), size)]
    sums = [tf.reduce_sum(tf.cast(tf.reduce_sum(stack, axis=2), tf.float64), axis=0) for stack in stacks]
    rest = [tf.reduce_sum(penalty.value(residual[count * parts * 32 :])) for penalty in penalties]
    return tf.concat(sums, 0) + tf.cast(tf.stack(rest), tf.float64)


def _none(penalties: Penalties, residual: Any) -> Any:
    import tensorflow as tf

    return tf.zeros([len(penalties)], tf.float64)


SUMS: dict[str, Callable[[Penalties, Any], Any]] = {
    "1 part": partial(_parts, 1),
    "2 parts": partial(_parts, 2),
    "4 parts": partial(_parts, 4),
    "8 parts": partial(_parts, 8),
    "4 parts, stacked": partial(_stacked, 4),
    "stacked, major axis": _major,
    "stacked, rows of 8": partial(_rows, 8),
    "stacked, rows of 32": partial(_rows, 32),
    "stacked, rows of 64": partial(_rows, 64),
    "stacked, 2 parts of 32": partial(_neighbours, 2, 8),
    "stacked, 3 parts of 32": partial(_neighbours, 3, 8),
    "stacked, 8 parts of 32": partial(_neighbours, 8, 8),
    "stacks of 4, 2 parts of 32": partial(_neighbours, 2, 4),
    "stacks of 4, 3 parts of 32": partial(_neighbours, 3, 4),
    "stacks of 4, 8 parts of 32": partial(_neighbours, 8, 4),
    "slopes alone": _none,
}
TOGETHER, LOOP = "value and slope together", "loop over 2^16"
CHUNK = 2**16


def _blend(sums: Any, slope: Any, y_pred: Any, weights: Any) -> tuple[Any, Any, Any]:
    """L, dL/dp and dL/dz of L = sum_k softmax(z)_k mean_k."""
    import tensorflow as tf

    means = tf.cast(sums, weights.dtype) / y_pred.shape.num_elements()
    value = tf.reduce_sum(weights * means)
    return value, tf.reshape(slope, y_pred.shape), weights * (means - value)


def _slope(penalties: Penalties, residual: Any, weights: Any) -> Any:
    import tensorflow as tf

    return tf.add_n([weights[k] * penalty.slope(residual) for k, penalty in enumerate(penalties)])


def _apart(sums: Any, penalties: Penalties, y_true: Any, y_pred: Any, logits: Any, step: Any) -> Any:
    """Sums, and the slope of the whole residual beside them."""
    import tensorflow as tf

    weights = tf.nn.softmax(logits)
    residual = tf.reshape(y_pred - y_true, [-1])
    slope = _slope(penalties, residual, weights / y_pred.shape.num_elements())
    return _blend(sums(penalties, residual), slope, y_pred, weights)


def _together(penalties: Penalties, y_true: Any, y_pred: Any, logits: Any, step: Any) -> Any:
    """Value and slope of the whole residual, from one another's intermediate results."""
    import tensorflow as tf

    weights = tf.nn.softmax(logits)
    pairs = [penalty.value_and_slope(tf.reshape(y_pred - y_true, [-1])) for penalty in penalties]
    slope = tf.add_n([weights[k] / y_pred.shape.num_elements() * pair[1] for k, pair in enumerate(pairs)])
    return _blend(tf.stack([_total(value) for value, _ in pairs]), slope, y_pred, weights)


def _loop(penalties: Penalties, y_true: Any, y_pred: Any, logits: Any, step: Any) -> Any:
    """Chunks that stay in the cache, one after the other."""
    import tensorflow as tf

    weights = tf.nn.softmax(logits)
    count = y_pred.shape.num_elements()
    y_true, flat = tf.reshape(y_true, [-1, CHUNK]), tf.reshape(y_pred, [-1, CHUNK])

    def body(place: Any, sums: Any, slopes: Any) -> Any:
        pairs = [penalty.value_and_slope(flat[place] - y_true[place]) for penalty in penalties]
        slope = tf.add_n([weights[k] / count * pair[1] for k, pair in enumerate(pairs)])
        return place + 1, sums + tf.stack([_total(value) for value, _ in pairs]), slopes.write(place, slope)

    chunks = count // CHUNK
    slopes = tf.TensorArray(y_pred.dtype, chunks, element_shape=[CHUNK])
    start = (0, tf.zeros([len(penalties)], tf.float64), slopes)
    _, sums, slopes = tf.while_loop(lambda place, *_: place < chunks, body, start, maximum_iterations=chunks)
    return _blend(sums, slopes.stack(), y_pred, weights)


def _ours(penalties: Penalties, y_true: Any, y_pred: Any, logits: Any, step: Any) -> Any:
    import blendloss as bl

    blended = problems.blended(bl.modes.Soft(), len(penalties))
    return problems.with_gradients(blended, lazy=False)(y_true, y_pred, logits, step)


def arms(case: dict[str, Any]) -> Iterable[str]:
    return [OURS, TOGETHER, *SUMS, LOOP, COPY]


def build(case: dict[str, Any], arm: str) -> Subject:
    import tensorflow as tf

    if arm == COPY:
        return copy("cpu")
    penalties = list(problems.penalties(case["losses"]).values())
    others = {OURS: _ours, TOGETHER: _together, LOOP: _loop}
    chosen = others[arm] if arm in others else partial(_apart, SUMS[arm])
    given = problems.inputs(case["elements"], case["losses"])
    arguments = problems.tensors(given, "float32")
    run = tf.function(partial(chosen, penalties), jit_compile=True, autograph=False)
    facts = {"bytes": problems.bytes_moved(given, 4, gradients=True)}
    if arm != LOOP:  # whose chunks stay in the cache, whatever it reads and writes
        module = Module(run.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo"))
        facts |= {"moved": module.bytes(), "buffers": module.buffers(4 * case["elements"])}
    return Subject(
        call=lambda: run(*arguments),
        wait=tf.test.experimental.sync_devices,
        facts=facts,
        outputs=None if arm == "slopes alone" else lambda: named(run(*arguments)),
        tolerance=TOLERANCES["float32"],
    )
