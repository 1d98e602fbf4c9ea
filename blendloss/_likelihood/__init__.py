"""Densities that penalties stand for: their partition functions and laws."""
