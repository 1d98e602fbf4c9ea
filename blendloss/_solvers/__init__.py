"""Small problems that are solved inside the graph, in float64."""
