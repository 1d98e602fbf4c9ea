"""The command `blendloss`."""
