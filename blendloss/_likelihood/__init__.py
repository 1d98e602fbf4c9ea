"""The densities of penalties, exp(-rho) / Z: partition functions and laws."""
