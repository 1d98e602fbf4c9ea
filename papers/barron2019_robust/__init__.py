"""Barron's general and adaptive robust loss: special cases, partition function, and the published fits."""
