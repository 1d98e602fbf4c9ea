"""`blendloss advise`: which loss fits the residuals of a file."""
