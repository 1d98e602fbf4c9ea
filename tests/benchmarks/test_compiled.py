"""Counts of the compiled blend, which have no noise: what it reads and writes must not grow unseen."""

from __future__ import annotations

import pytest
import tensorflow as tf

from benchmarks import problems
from benchmarks.compile import counts
from benchmarks.hlo import Module

pytestmark = pytest.mark.skipif(
    not tf.__version__.startswith("2.21."), reason="the counts are those of TensorFlow 2.21's compiler"
)
SIZE = 2**20


@pytest.mark.parametrize("which", ["value", "slope"])
@pytest.mark.parametrize("name", problems.penalties(problems.MOST))
def test_a_penalty_is_one_pass(name: str, which: str) -> None:
    function = getattr(problems.penalties(problems.MOST)[name], which)
    run = tf.function(lambda y_true, y_pred: function(y_pred - y_true), jit_compile=True)
    given = [tf.zeros(SIZE)] * 2
    module = Module(run.experimental_get_compiler_ir(*given)(stage="optimized_hlo"))
    assert module.bytes() == 3 * 4 * SIZE  # two are read, one is written
    assert module.fusions == 1


@pytest.mark.parametrize(("losses", "most"), [(1, 1.77), (2, 1.71), (4, 1.73), (8, 2.46)])
def test_what_the_blend_reads_and_writes(losses: int, most: float) -> None:
    assert counts("soft", losses, elements=SIZE)["bytes over the least"] <= most


@pytest.mark.parametrize(("losses", "most"), [(2, 4.90), (4, 5.49), (8, 8.50)])
def test_what_weights_of_each_example_read_and_write(losses: int, most: float) -> None:
    assert counts("soft", losses, elements=SIZE, gate="example")["bytes over the least"] <= most


@pytest.mark.parametrize("width", [64, 256, 1000])
@pytest.mark.parametrize(("losses", "most"), [(2, 1.80), (4, 1.92), (8, 2.82)])
def test_weights_of_each_example_need_no_values_by_element(losses: int, most: float, width: int) -> None:
    found = counts("soft", losses, elements=1000 * width, gate="example", width=width)
    assert found["bytes over the least"] <= most
    assert found["peak"] < 8 * found["elements"]


@pytest.mark.parametrize("kind", ["sample weights", "mask"])
@pytest.mark.parametrize("gate", [problems.VECTOR, problems.EXAMPLE])
def test_sample_weights_and_a_mask_need_no_values_by_element(gate: str, kind: str) -> None:
    elements, width = 1000 * 64, 64
    given = problems.inputs(elements, 8, gate, width)
    blended = problems.blended(problems.modes()["soft"](), 8)

    def value(y_true: tf.Tensor, y_pred: tf.Tensor, logits: tf.Tensor, of_each: tf.Tensor) -> tf.Tensor:
        y_pred = tf.identity(y_pred)
        if kind == "mask":
            y_pred._keras_mask = of_each > 0
        return blended(y_true, y_pred, logits, 0, None if kind == "mask" else of_each)

    def value_and_gradients(*tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch(tensors[1:3])
            loss = value(*tensors)
        return loss, *tape.gradient(loss, tensors[1:3])

    tensors = [*map(tf.constant, given), tf.ones(elements // width)]
    run = tf.function(value_and_gradients, jit_compile=True, autograph=False)
    module = Module(run.experimental_get_compiler_ir(*tensors)(stage="optimized_hlo"))
    assert (
        module.peak() < 13 * elements
    )  # p - y, the weights, and what is of each example; one value a loss would be 32


def test_a_lazy_hard_mode_reads_no_more_for_more_losses() -> None:
    found = [counts("hard, lazy", losses, elements=SIZE)["bytes over the least"] for losses in (4, 8, 16)]
    assert max(found) <= 1.77
