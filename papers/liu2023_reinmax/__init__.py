"""ReinMax's polynomial programming: which estimators reach the optimum over binary latents, and which stop short."""
