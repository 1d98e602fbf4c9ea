"""Which loss residuals ask for: `compare_losses`, and the command `blendloss advise`."""
