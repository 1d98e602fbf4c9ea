"""Cross-replica reductions. Outside `tf.distribute` each function is the identity."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def is_replicated() -> bool:
    """Whether there are other replicas."""
    return _replica() is not None


def sum_over_replicas(tensors: Any) -> Any:
    """Sums a tensor, or each of a list of tensors, over the replicas."""
    replica = _replica()
    if replica is None:
        return tensors
    if not isinstance(tensors, list):
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
    found = list(tensors)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):  # several workers send one vector, of one dtype
        places = [i for i, tensor in enumerate(tensors) if tensor.dtype == dtype]
        reduced = replica.all_reduce(tf.distribute.ReduceOp.SUM, [tensors[i] for i in places])
        for place, total in zip(places, reduced, strict=True):
            found[place] = total
    return found


def mean_over_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """Averages `tensor` over the replicas."""
    replica = _replica()
    return tensor if replica is None else replica.all_reduce(tf.distribute.ReduceOp.MEAN, tensor)


def rows_of_all_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """Concatenates the rows of `tensor` of all replicas, in their order."""
    replica = _replica()
    if replica is None:
        return tensor
    if tensor.dtype == tf.bool:  # collectives do not take bool
        return tf.cast(replica.all_gather(tf.cast(tensor, tf.int32), axis=0), tf.bool)
    return replica.all_gather(tensor, axis=0)


def first_row_of_replica(rows: Any) -> Any:
    """The number of rows of the replicas before this one, which has `rows`: an int64 scalar, 0 for a single replica."""
    replica = _replica()
    if replica is None:
        return 0
    number, place = replica.num_replicas_in_sync, replica.replica_id_in_sync_group
    own = tf.one_hot(place, number, dtype=tf.int64) * tf.cast(rows, tf.int64)
    of_each = replica.all_reduce(tf.distribute.ReduceOp.SUM, own)
    return tf.reduce_sum(tf.where(tf.range(number) < place, of_each, tf.zeros_like(of_each)))


def _replica() -> Any:
    """The replica context, or None if there is only one replica."""
    replica = tf.distribute.get_replica_context()
    return None if replica is None or replica.num_replicas_in_sync == 1 else replica
