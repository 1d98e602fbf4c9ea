"""Helpers of every package, not for users: checks, conversions, TensorFlow numerics, serialization."""
