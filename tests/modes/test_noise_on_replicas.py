"""Replicas together draw the noise of one device, whatever each one's share of the batch."""

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

MODES = [
    pytest.param(bl.modes.Annealed(1.0, seed=1), id="annealed"),
    pytest.param(bl.modes.Hard(bl.modes.ReinMax(2)), id="reinmax"),
    pytest.param(bl.modes.Hard(bl.modes.GumbelStraightThrough(3)), id="gumbel-straight-through"),
]


def on_replicas(replicas, mode, logits, cut, compiled):
    """The gating vectors, where the first replica has the first `cut` rows, and the second the others."""

    def compute(part):
        return mode(part, step=5)

    def run(given):
        return replicas.run(compute, [given])

    parts = [logits[:cut], logits[cut:]]
    given = replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )
    found = (tf.function(run) if compiled else run)(given)
    return np.concatenate([part.numpy() for part in replicas.experimental_local_results(found)])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(7, 3), (7, 2, 3)], ids=["by-example", "by-element"])
@pytest.mark.parametrize("cut", [4, 1, 7])
def test_noise_is_that_of_the_place_in_the_whole_batch(replicas, mode, shape, cut):
    logits = np.random.default_rng(0).normal(size=shape).astype("float32")
    found = on_replicas(replicas, mode, logits, cut, compiled=cut == 4)
    np.testing.assert_allclose(found, mode(logits, step=5), rtol=1e-6)


def test_one_vector_for_all_is_the_same_on_every_replica(replicas):
    mode = bl.modes.Annealed(1.0, seed=1)
    first, second = np.split(on_replicas(replicas, mode, np.zeros(6, "float32"), 3, compiled=True), 2)
    np.testing.assert_array_equal(first, second)
