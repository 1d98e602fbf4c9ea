"""One worker of several: builds an arm under the strategy, as all others do at the same time."""

from __future__ import annotations

import functools
from typing import Any

from benchmarks.gates import problem
from benchmarks.harness import Subject
from benchmarks.workers import scaling
from benchmarks.workers.exchange import exchanged


@functools.cache
def _strategy() -> Any:
    """The strategy, on one thread for computing: the workers of one machine share its cores."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    return tf.distribute.MultiWorkerMirroredStrategy()


def build(case: dict[str, Any], arm: str) -> Subject:
    import tensorflow as tf

    strategy = _strategy()
    if (elements := scaling.elements(arm)) is not None:
        given = tf.ones([elements])

        def once() -> Any:
            replica = tf.distribute.get_replica_context()
            return tf.reshape(replica.all_reduce("sum", given), [-1])[0]
    else:
        with strategy.scope():
            model, data = problem(arm, case["losses"], case["batch"], case["width"])
            model.optimizer.build(model.trainable_variables)

        def once() -> Any:
            return model.train_step(data)["loss"]

    step = tf.function(lambda: strategy.run(once), autograph=False)
    facts = exchanged(step.get_concrete_function())
    return Subject(step, facts=facts)  # on a processor a step has been made when its call returns
