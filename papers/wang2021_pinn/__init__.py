"""The Helmholtz problem of learning-rate annealing: how far the boundary's weight brings a physics-informed network."""
