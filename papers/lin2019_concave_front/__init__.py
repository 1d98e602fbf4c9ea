"""The concave front of Pareto multi-task learning: where fixed weights, MGDA and Tchebycheff's maximum end on it."""
