"""The reader of HLO: counts by hand."""

from __future__ import annotations

import pytest
import tensorflow as tf

from benchmarks.compile import counts
from benchmarks.hlo import Module

ADD = """
%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %z = f32[] add(%x, %y)
}
"""

FUSED = f"""HloModule test, is_scheduled=true
{ADD}
%fused (p: f32[16,64], q: f32[1024]) -> f32[64] {{
  %p = f32[16,64]{{1,0}} parameter(0)
  %q = f32[1024]{{0}} parameter(1)
  %e = f32[16,64]{{1,0}} exponential(%p)
  %s = f32[1,64]{{1,0}} slice(%e), slice={{[3:4], [0:64]}}
  %b = f32[64]{{0}} bitcast(%s)
  %t = f32[64]{{0}} slice(%q), slice={{[0:64]}}
  ROOT %r = f32[64]{{0}} multiply(%b, %t)
}}

ENTRY %main (a: f32[16,64], c: f32[1024]) -> (f32[], f32[1024]) {{
  %a = f32[16,64]{{1,0}} parameter(0)
  %c = f32[1024]{{0}} parameter(1)
  %zero = f32[] constant(0), metadata={{op_name="(a (name"}}
  %n = f32[1024]{{0}} negate(%c)
  %f = f32[64]{{0}} fusion(%a, %n), kind=kLoop, calls=%fused
  %o = f32[1024]{{0}} abs(%n)
  %m = f32[] reduce(%f, %zero), dimensions={{0}}, to_apply=%add
  ROOT %out = (f32[], /*index=1*/f32[1024]{{0}}) tuple(%m, %o)
}}
"""


def test_a_fusion_counts_operands_once_and_slices_by_their_size() -> None:
    module = Module(FUSED)
    negate = absolute = 2 * 4 * 1024
    fusion = 4 * 64 + 4 * 64 + 4 * 64  # a row of a, a slice of n, the result
    reduction = 4 * 64 + 4 + 4  # what is reduced, where from, the result
    assert module.bytes() == negate + fusion + absolute + reduction
    assert module.fusions == 1
    assert module.instructions == 3 + 7 + 8
    assert module.flops() == 1024 + 64 + 1024 + 64  # negate, multiply, abs, and what is reduced
    assert module.transcendentals() == 64


def test_intermediates_are_what_is_written_and_not_given_back() -> None:
    module = Module(FUSED)
    assert module.buffers(4 * 1024) == 1  # n; o is a result
    assert module.buffers(4 * 64) == 2
    assert module.peak() == 4 * 1024 + 4 * 64  # n and f, until o


LOOP = f"""HloModule test
{ADD}
%body (s: (s32[], f32[8])) -> (s32[], f32[8]) {{
  %s = (s32[], f32[8]{{0}}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %v = f32[8]{{0}} get-tuple-element(%s), index=1
  %w = f32[8]{{0}} add(%v, %v)
  ROOT %t = (s32[], f32[8]{{0}}) tuple(%i, %w)
}}

%condition (s.1: (s32[], f32[8])) -> pred[] {{
  %s.1 = (s32[], f32[8]{{0}}) parameter(0)
  %i.1 = s32[] get-tuple-element(%s.1), index=0
  ROOT %less = pred[] compare(%i.1, %i.1), direction=LT
}}

ENTRY %main (a: (s32[], f32[8])) -> (s32[], f32[8]) {{
  %a = (s32[], f32[8]{{0}}) parameter(0)
  ROOT %while = (s32[], f32[8]{{0}}) while(%a), condition=%condition, body=%body, backend_config={{TRIPS}}
}}
"""


def test_a_loop_counts_as_often_as_it_runs() -> None:
    module = Module(LOOP.replace("{TRIPS}", '{"known_trip_count":{"n":"10"}}'))
    assert module.bytes() == 10 * (3 * 4 * 8 + (4 + 4 + 1))
    assert module.flops() == 10 * (8 + 1)


def test_a_loop_of_unknown_length_raises() -> None:
    with pytest.raises(ValueError, match="how often"):
        Module(LOOP.replace("{TRIPS}", "{}")).bytes()


def test_the_largest_branch_of_a_conditional_counts() -> None:
    branches = "".join(
        f"%b{n} (p{n}: f32[{n}]) -> f32[{n}] {{\n  %p{n} = f32[{n}]{{0}} parameter(0)\n"
        f"  ROOT %r{n} = f32[{n}]{{0}} negate(%p{n})\n}}\n\n"
        for n in (8, 32)
    )
    module = Module(
        f"HloModule test\n\n{branches}ENTRY %main (i: s32[], a: f32[8], c: f32[32]) -> f32[32] {{\n"
        "  %i = s32[] parameter(0)\n  %a = f32[8]{0} parameter(1)\n  %c = f32[32]{0} parameter(2)\n"
        "  ROOT %d = f32[32]{0} conditional(%i, %a, %c), branch_computations={%b8, %b32}\n}\n"
    )
    assert module.bytes() == 2 * 4 * 32
    assert module.flops() == 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HloModule nothing\n", "no ENTRY"),
        (FUSED.replace("f32[64]{0} multiply", "f3[64]{0} multiply"), "element type"),
        (FUSED.replace("%n = f32[1024]{0} negate(%c)", "%n = f32[1024]{0} ?(%c)"), "instruction"),
        (FUSED.replace("  %n =", "  n as"), "line of HLO"),
    ],
    ids=["no entry", "element type", "instruction", "line"],
)
def test_unknown_hlo_raises(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Module(text).bytes()


def test_a_program_of_xla() -> None:
    function = tf.function(lambda a, b: tf.exp(a + b), jit_compile=True)
    text = function.experimental_get_compiler_ir(tf.zeros([1000]), tf.zeros([1000]))(stage="optimized_hlo")
    module = Module(text)
    assert module.bytes() == 3 * 4 * 1000
    assert module.flops() >= 1000
    assert module.buffers(4000) == 0


@pytest.mark.parametrize("mode", ["soft", "hard, lazy"])
def test_the_counts_of_a_blend_have_no_noise(mode: str) -> None:
    found = counts(mode, 2, elements=2**14)
    assert found == counts(mode, 2, elements=2**14)
    assert found["bytes over the least"] >= 1
    assert found["flops"] >= 2**14 * 2
