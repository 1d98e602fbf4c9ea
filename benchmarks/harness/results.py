"""Samples by case and arm, and what is computed of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness.benchmark import AGAIN, Axis, Benchmark, Quantity
from benchmarks.harness.statistics import Ratio, paired

Case = tuple[tuple[str, Any], ...]


class Results(NamedTuple):
    """What the records of one run hold.

    Attributes:
        cases: the cases, in their order.
        arms: the arms, in their order, the base first and the base once more last.
        times: seconds of one call, by case and arm, by (process, block).
        facts: by case and arm; what was counted as calls went on is the mean for one call.
        failures: (case, process, arm, error).
    """

    cases: list[Case]
    arms: list[str]
    times: dict[tuple[Case, str], dict[tuple[int, int], float]]
    facts: dict[tuple[Case, str], dict[str, Any]]
    failures: list[tuple[Case, int, str, str]]

    def quantity(self, quantity: Quantity, case: Case, arm: str) -> float:
        """The quantity at the median time; NaN where the arm has none."""

        def of(arm: str) -> float:
            times = list(self.times.get((case, arm), {}).values())
            return quantity(self.facts.get((case, arm), {}), float(np.median(times)) if times else float("nan"))

        return quantity.by(of(arm), of(quantity.beside)) if quantity.beside else of(arm)

    def ratio(self, case: Case, arm: str, base: str) -> Ratio | None:
        """The arm's time over the base's, in the same blocks of the same processes."""
        times, of_base = self.times.get((case, arm), {}), self.times.get((case, base), {})
        shared = sorted(set(times) & set(of_base))
        if not shared:
            return None
        return paired(np.array([times[block] for block in shared]), np.array([of_base[block] for block in shared]))

    def label(self, case: Case, but: str = "") -> str:
        """What sets this case apart from the others, but for one axis."""
        told = ((name, value) for name, value in case if name in self.varying and name != but)
        return ", ".join(f"{name} {power(value)}" for name, value in told)

    @property
    def varying(self) -> list[str]:
        """The axes of which there is more than one value."""
        seen: dict[str, set[Any]] = defaultdict(set)
        for case in self.cases:
            for name, value in case:
                seen[name].add(value)
        return [name for name, found in seen.items() if len(found) > 1]


def gather(benchmark: Benchmark, records: list[dict[str, Any]]) -> Results:
    """Sorts the samples of the records."""
    times: dict[Any, dict[tuple[int, int], float]] = defaultdict(dict)
    facts: dict[Any, dict[str, Any]] = {}
    counts: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    failures = []
    seen: dict[str, None] = {}
    for record in records:
        case = tuple(record["case"].items())
        for sample in record["samples"]:
            key = case, sample["arm"]
            if sample["event"] == "failed":
                failures.append((case, record["process"], sample["arm"], sample["error"]))
                continue
            seen[sample["arm"]] = None
            if sample["event"] == "built":
                for name, value in sample["facts"].items():
                    counts[key][name].append(value)
                facts.setdefault(key, {})
            else:
                times[key][record["process"], sample["block"]] = sample["seconds"]
                for name in set(sample) - {"event", "arm", "block", "seconds", "calls"}:
                    counts[key][name].append(sample[name] / sample["calls"])
    for key, by_name in counts.items():
        facts[key] = {name: _middle(found) for name, found in by_name.items()}
    base = benchmark.base
    arms = [base, *(arm for arm in seen if arm not in (base, base + AGAIN)), base + AGAIN]
    unordered = {tuple(record["case"].items()) for record in records}
    cases = sorted(unordered, key=lambda case: _place(case, benchmark.axes))
    return Results(cases, [arm for arm in arms if arm in seen], dict(times), facts, failures)


def _middle(found: list[Any]) -> Any:
    return float(np.median(found)) if all(isinstance(value, (int, float)) for value in found) else found[0]


def _place(case: Case, axes: tuple[Axis, ...]) -> list[Any]:
    """Where the case stands among others: numbers by size, words in the order in which they were declared."""
    values = dict(case)
    declared = {axis.name: axis.choices or axis.values for axis in axes}
    return [declared[n].index(v) if isinstance(v, str) and v in declared[n] else v for n, v in values.items()]


def power(value: Any) -> str:
    """The value in words; long numbers that are powers of two as such."""
    if isinstance(value, int) and value >= 1024 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    return str(value)
