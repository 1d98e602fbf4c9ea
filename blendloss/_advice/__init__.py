"""Which loss suits given residuals: `compare_losses`, and the report of `blendloss advise`."""
