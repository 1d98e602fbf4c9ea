"""Why is the error of learning-rate annealing above the published one? Candidates, one changed at a time."""
