"""Timings of blendloss: `python -m benchmarks` lists them."""

SUITE = ("throughput", "step", "switch", "compile", "peers", "designs", "gates", "workers", "replay")
