"""Losses, gate and mode put together: the blend, and what is asked of it."""
