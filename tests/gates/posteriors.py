"""A posterior of each family, and its parameters."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from blendloss.gates import families

FAMILIES = {
    "dirichlet": (families.Dirichlet([0.5, 1.0, 3.0]), {"log_concentration": np.log([0.3, 2.0, 7.0])}),
    "logistic-normal": (
        families.LogisticNormal([0.0, 1.0, -1.0], [1.0, 2.0, 0.5]),
        {"mean": np.array([0.3, -0.5, 0.1]), "log_scale": np.log([0.2, 1.5, 0.7])},
    ),
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def parameters(family):
    return {name: tf.constant(values, tf.float64) for name, values in FAMILIES[family][1].items()}
