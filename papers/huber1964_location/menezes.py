"""Tuning constants of Menezes et al. (2021), as statsmodels's test of its norms has them."""

from __future__ import annotations

EFFICIENCIES = (0.9, 0.95, 0.98, 0.99)
CONSTANTS = {
    "Huber": (0.9818, 1.345, 1.7459, 2.0102),
    "Tukey": (3.8827, 4.6851, 5.9207, 7.0414),
    "Cauchy": (1.7249, 2.3849, 3.3962, 4.2904),
    "Andrews": (1.1117, 1.338, 1.6930, 2.0170),
    "Hampel": (4.4208, 5.5275, 7.006, 8.0456),
    "trimmed mean": (2.5003, 2.7955, 3.1365, 3.3682),
    "Tukey quartic": (3.1576, 3.6175, 4.2103, 4.6664),
}
