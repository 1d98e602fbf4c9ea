"""What Keras's loops lack under `tf.distribute.MultiWorkerMirroredStrategy`.

Keras 3.15 fails in two places of its `trainer.py` (keras-team/keras#20585). `_maybe_symbolic_build` averages a batch
over the workers, as one value, though it is a tuple. `reduce_per_replica` averages logs along their axis 0, though they
are scalars.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def has_several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether `strategy` trains in several processes, each of which runs the program."""
    resolver = strategy.cluster_resolver
    is_of_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return is_of_workers and resolver is not None and bool(resolver.cluster_spec().as_dict())


def own_part(strategy: tf.distribute.Strategy, batch: Any) -> Any:
    """The part of a distributed `batch` of this worker's first replica: as good as the whole to build a model from."""
    return tf.nest.map_structure(lambda part: strategy.experimental_local_results(part)[0], batch)


def with_axis(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`step`, whose logs have an axis, `[1]`, along which Keras can average them over the workers."""

    @functools.wraps(step)
    def with_axis_of_logs(data: Any) -> Any:
        return {name: tf.reshape(log, [1, *log.shape]) for name, log in step(data).items()}

    return with_axis_of_logs
