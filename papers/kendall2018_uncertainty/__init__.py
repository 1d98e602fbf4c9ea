"""Kendall, Gal and Cipolla's two noisy tasks: the standard deviations that uncertainty weighting finds."""
