"""What each adaptive weighting costs, in a whole training step."""
