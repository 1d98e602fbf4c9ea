"""Numerics that penalties share."""
