"""The ways in which a function of tensors is run."""

import functools

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


def compiled(function, *arguments):
    """The XLA program of the trace that a `tf.function` has at `arguments`: see `SharedTraces` for its limits."""
    trace = function.get_concrete_function(*arguments)
    return tf.function(lambda *given: trace(*given), autograph=False, jit_compile=True)


class SharedTraces:
    """`EXECUTIONS` of a function of tensors, in which a graph and XLA share one trace.

    Python takes as long to trace a function as XLA takes to compile it. TensorFlow traces the same for both, except for
    derivatives of control flow (`tf.cond`, `tf.switch_case`), which XLA cannot compile from a graph's trace: there use
    `EXECUTIONS`.
    """

    def __init__(self, function):
        self.function = function
        self.made = functools.cache(self._made)

    def _made(self, execution, *specs):
        """A graph or an XLA program for tensors of these shapes and dtypes."""
        if execution.startswith("graph"):
            return EXECUTIONS[execution](self.function).get_concrete_function(*specs)
        trace = self.made(execution.replace("xla", "graph"), *specs)
        return tf.function(lambda *given: trace(*given), autograph=False, jit_compile=True)

    def run(self, execution, *tensors):
        if execution == "eager":
            return self.function(*tensors)
        return self.made(execution, *map(tf.TensorSpec.from_tensor, tensors))(*tensors)
