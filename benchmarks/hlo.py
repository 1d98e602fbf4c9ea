"""Counts from the text of an optimized HLO module: figures without noise.

    bytes      read and written by the operations that run: operands and results of each, those of a fusion once
               whatever it does inside; a loop times its trips, of a conditional the largest branch
    flops      elements of arithmetic results, one each, of reductions the elements reduced; transcendentals apart
    buffers    intermediate results of at least so many bytes
    peak       bytes of the intermediate results that live at one time, an operand and its result together

Inside a fusion only what its result needs counts: XLA's own cost analysis, which agrees otherwise, takes all of an
operand that passes through arithmetic before it is sliced. Text that is not understood raises: a count that leaves
something out would be worse than none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_ITEMSIZE = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8}
_ITEMSIZE |= {"f16": 2, "bf16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16, "token": 0}
_ALIAS = {"bitcast", "tuple", "get-tuple-element", "optimization-barrier", "opt-barrier"}
_FREE = {*_ALIAS, "parameter", "constant", "after-all", "partition-id", "replica-id"}
_SLICES = {"slice", "dynamic-slice", "gather"}
_ARITHMETIC = {"abs", "add", "and", "clamp", "compare", "divide", "maximum", "minimum", "multiply", "negate", "or"}
_ARITHMETIC |= {"remainder", "select", "sign", "subtract", "xor", "not", "floor", "ceil"}
_TRANSCENDENTAL = {"atan2", "cbrt", "cosine", "erf", "exponential", "exponential-minus-one", "log", "log-plus-one"}
_TRANSCENDENTAL |= {"logistic", "power", "rsqrt", "sine", "sqrt", "tan", "tanh"}
_REDUCTIONS = {"reduce", "reduce-window"}

_HEADER = re.compile(r"^(ENTRY )?%?(\S+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?(\S+) = (.*)$")
_OPCODE = re.compile(r"\s*([a-z][a-z0-9-]*)\(")
_ARRAY = re.compile(r"([a-z]+[0-9]*)\[([0-9,]*)\]|(token)\[\]")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([^\s,}]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_NAME = re.compile(r"%([^\s,()]+)")


class Instruction(NamedTuple):
    """One line."""

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    attributes: str
    root: bool

    @property
    def bytes(self) -> int:
        return sum(size * count for size, count in _arrays(self.shape))

    @property
    def elements(self) -> int:
        return sum(count for _, count in _arrays(self.shape))

    @property
    def called(self) -> list[str]:
        branches = _BRANCHES.search(self.attributes)
        named = [name.strip().removeprefix("%") for name in branches[1].split(",")] if branches else []
        return named + _CALLED.findall(self.attributes)


class Computation(NamedTuple):
    """Instructions by name, in the order in which they run."""

    instructions: dict[str, Instruction]

    def operands(self, instruction: Instruction) -> list[Instruction]:
        return [self.instructions[name] for name in instruction.operands]

    def needed(self) -> dict[str, int]:
        """How many elements of each result the root depends on, at most."""
        needed = dict.fromkeys(self.instructions, 0)
        needed[self.root.name] = self.root.elements
        for one in reversed(self.instructions.values()):
            for operand in self.operands(one):
                by_element = one.opcode in _SLICES or one.elements == operand.elements
                whole = operand.elements if needed[one.name] else 0
                more = needed[one.name] if by_element else whole
                needed[operand.name] = min(operand.elements, needed[operand.name] + more)
        return needed

    @property
    def root(self) -> Instruction:
        return next(one for one in self.instructions.values() if one.root)


class Module:
    """A module in text form."""

    def __init__(self, text: str) -> None:
        self.computations: dict[str, Computation] = {}
        self.entry = ""
        current: dict[str, Instruction] = {}
        for line in text.splitlines():
            if header := _HEADER.match(line):
                current = {}
                self.computations[header[2]] = Computation(current)
                self.entry = header[2] if header[1] else self.entry
            elif instruction := _INSTRUCTION.match(line):
                parsed = _parsed(bool(instruction[1]), instruction[2], instruction[3])
                current[parsed.name] = parsed
            elif line.strip() not in ("", "}") and not line.startswith(("HloModule", "//", "FileNames", "StackFrames")):
                raise ValueError(f"Not a line of HLO: {line[:200]}")
        if not self.entry:
            raise ValueError("The text has no ENTRY computation.")

    @property
    def instructions(self) -> int:
        return sum(len(one.instructions) for one in self.computations.values())

    @property
    def fusions(self) -> int:
        return sum(one.opcode == "fusion" for part in self.computations.values() for one in part.instructions.values())

    def bytes(self, name: str | None = None) -> int:
        """Read and written by one run of the computation; of the module where none is named."""
        part = self.computations[name or self.entry]
        return sum(self._bytes_of(part, one) for one in part.instructions.values())

    def _bytes_of(self, part: Computation, one: Instruction) -> int:
        if one.opcode in _FREE:
            return 0
        if one.opcode in ("call", "while", "conditional"):
            return self._run(one, self.bytes)
        if one.opcode in _SLICES:
            return 2 * one.bytes
        if one.opcode != "fusion":
            return one.bytes + sum(operand.bytes for operand in part.operands(one))
        fused = self.computations[one.called[0]]
        needed = fused.needed()
        operands = [inner for inner in fused.instructions.values() if inner.opcode == "parameter"]
        return one.bytes + sum(inner.bytes * needed[inner.name] // max(1, inner.elements) for inner in operands)

    def _run(self, one: Instruction, count: Callable[[str], int]) -> int:
        """What `count` gives of the computations that the instruction runs, as often as it runs them."""
        found = [count(name) for name in one.called]
        if one.opcode == "conditional":
            return max(found)
        if one.opcode != "while":
            return sum(found)
        trips = _TRIPS.search(one.attributes)
        if not trips:
            raise ValueError(f"The loop {one.name} does not tell how often it runs.")
        return int(trips[1]) * sum(found)

    def flops(self, kinds: frozenset[str] | set[str] = frozenset(_ARITHMETIC), name: str | None = None) -> int:
        """Elements computed by operations of these `kinds`, and, if those add, by reductions."""
        part = self.computations[name or self.entry]
        needed = part.needed()
        total = 0
        for one in part.instructions.values():
            if one.opcode in kinds:
                total += needed[one.name]
            elif one.opcode in _REDUCTIONS and "add" in kinds:
                total += part.operands(one)[0].elements
            elif one.opcode in ("fusion", "call", "while", "conditional"):
                total += self._run(one, lambda name: self.flops(kinds, name))
        return total

    def transcendentals(self) -> int:
        return self.flops(_TRANSCENDENTAL)

    def buffers(self, least: int) -> int:
        """How many intermediate results have at least so many bytes."""
        sizes = [one.bytes for part in self._run_by_themselves() for one in _intermediate(part)]
        return sum(size >= least for size in sizes)

    def _run_by_themselves(self) -> Iterator[Computation]:
        """The entry and what it calls, branches into and loops over, but not what is fused or applied to elements."""
        names = [self.entry]
        for name in names:
            part = self.computations[name]
            yield part
            for one in part.instructions.values():
                if one.opcode in ("call", "while", "conditional"):
                    names += [inner for inner in one.called if inner not in names]

    def peak(self, name: str | None = None) -> int:
        """The most bytes of intermediate results that live at one time."""
        part = self.computations[name or self.entry]
        order = list(part.instructions)
        holders = {one.name: _holders(part, one) for one in part.instructions.values()}
        last = {holder: order.index(user) for user in order for operand in part.instructions[user].operands
                for holder in holders[operand]}  # fmt: skip
        kept = {one.name for one in _intermediate(part)}
        most = 0
        for place, here in enumerate(order):
            live = sum(
                part.instructions[one].bytes
                for one in kept
                if order.index(one) <= place <= last.get(one, order.index(one))
            )
            one = part.instructions[here]
            inner = max(map(self.peak, one.called)) if one.opcode in ("call", "while", "conditional") else 0
            most = max(most, live + inner)
        return most


def _parsed(root: bool, name: str, rest: str) -> Instruction:
    shape, rest = _shape(rest)
    opcode = _OPCODE.match(rest)
    if not opcode:
        raise ValueError(f"Not an instruction of HLO: {name} = {rest[:200]}")
    end = _closing(rest, opcode.end() - 1)
    operands = rest[opcode.end() : end]
    named = tuple(_NAME.findall(operands)) if opcode[1] not in ("constant", "parameter") else ()
    return Instruction(name, shape, opcode[1], named, rest[end + 1 :], root)


def _shape(text: str) -> tuple[str, str]:
    """The shape that the text begins with, and what follows it."""
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    return text[:end], text[end:]


def _closing(text: str, start: int) -> int:
    """Where the parenthesis that opens at `start` is closed."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place
    raise ValueError(f"A parenthesis is not closed: {text[:200]}")


def _arrays(shape: str) -> Iterator[tuple[int, int]]:
    """(bytes of an element, elements) of each array of a shape."""
    for kind, sizes, token in _ARRAY.findall(shape):
        if (token or kind) not in _ITEMSIZE:
            raise ValueError(f"Not an element type that is known: {shape}")
        yield _ITEMSIZE[token or kind], math.prod(int(size) for size in sizes.split(",") if size)


def _intermediate(part: Computation) -> list[Instruction]:
    """What a computation writes and does not give back."""
    given = _holders(part, part.root)
    return [one for one in part.instructions.values() if one.opcode not in _FREE and one.name not in given]


def _holders(part: Computation, one: Instruction) -> set[str]:
    """The instructions whose memory holds this one's result."""
    if one.opcode not in _ALIAS:
        return {one.name}
    return set().union(*(_holders(part, operand) for operand in part.operands(one)))
