"""The ways in which a function of tensors is run."""

import tensorflow as tf


def placed(function):
    """What is computed on a GPU; where there is none, a processor runs it."""

    def on_gpu(*arguments):
        with tf.device("/gpu:0"):
            return function(*arguments)

    return on_gpu


EXECUTIONS = {
    "eager": lambda function: function,
    "graph": lambda function: tf.function(function, autograph=False),
    "xla": lambda function: tf.function(function, autograph=False, jit_compile=True),
    "graph, gpu": lambda function: tf.function(placed(function), autograph=False),
    "xla, gpu": lambda function: tf.function(placed(function), autograph=False, jit_compile=True),
}
