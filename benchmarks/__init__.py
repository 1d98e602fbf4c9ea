"""Timings of blendloss: `python -m benchmarks` lists them."""
