"""Solvers of small optimization problems, inside the graph, in float64."""
