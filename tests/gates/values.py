"""Gates that look at the losses' values, under test: how they are made, and a training step of one."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.gates.instances import names

#: Logits of below 100 in float64, each rounded a few times, in an exponential.
FLOAT64_ROUNDING = 1e-12


def blend_of(gate, k, mode=None, **options):
    return bl.Blend(list(names(k)), gate, mode, **options)


def named(losses, dtype="float32"):
    losses = tf.convert_to_tensor(losses, dtype)
    return dict(zip(names(losses.shape[0]), tf.unstack(losses), strict=True))


def compute(blend, losses, step=0, training=False, dtype="float32"):
    return blend.compute_from_values(named(losses, dtype), step=step, training=training)


def train(blend, losses, after=None, step=0, dtype="float32"):
    """The output of a training step at `losses`, which the update brings to `after`."""
    output = compute(blend, losses, step, True, dtype)
    if Needs.PROGRESS in blend.gate.needs:
        blend.gate.observe_progress(tf.convert_to_tensor(losses if after is None else after, dtype))
    return output


def state_of(gate):
    return {variable.path.split("/")[-1]: variable.numpy() for variable in gate.variables}


def falling(k, steps, seed=0):
    """Losses `[steps + 1, k]` that fall, each at its own rate, with noise."""
    random = np.random.default_rng(seed)
    rates = np.linspace(0.02, 0.3, k)
    return np.exp(-rates * np.arange(steps + 1)[:, np.newaxis] + 0.1 * random.normal(size=(steps + 1, k)) + 0.5)


def precise(gate):
    """The same gate in float64."""
    return type(gate).from_config({**gate.get_config(), "dtype": "float64"})


def in_training(gate, losses):
    """The weights of each training step, `[steps, K]`."""
    losses = np.asarray(losses, np.float64)
    blend = blend_of(gate, losses.shape[1])
    return np.stack([train(blend, given, step=step, dtype="float64").weights for step, given in enumerate(losses)])
