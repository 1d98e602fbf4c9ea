"""What all benchmarks share: fresh processes, interleaved blocks, kept samples, statistics, report."""

from benchmarks.harness.benchmark import Axis, Benchmark, Part, Plot, Quantity
from benchmarks.harness.subject import Subject

__all__ = ["Axis", "Benchmark", "Part", "Plot", "Quantity", "Subject"]
