"""The two-objective toy of CAGrad, Nash-MTL and FAMO: which methods come to the Pareto set, and where."""
