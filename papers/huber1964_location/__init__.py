"""Location under contamination: Huber's minimax k, Tukey's mixtures, tuning constants, every penalty in one table."""
