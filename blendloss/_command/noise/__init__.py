"""One network, contaminated data, and what each gate takes the noise for. Only the command imports it."""
