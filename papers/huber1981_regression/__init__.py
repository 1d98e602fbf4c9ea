"""Classical robust regression: the stack-loss and Engel data and scikit-learn's Huber example, by M-estimates."""
