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


class SharedTraces:
    """`EXECUTIONS` of a function of tensors of the same shapes and dtypes, in which a graph and XLA share one trace.

    Python takes as long to trace a function as XLA takes to compile it; what is traced does not depend on XLA.
    """

    def __init__(self, function):
        self.function = function
        self.graph = functools.cache(self._graph)

    def _graph(self, execution, *specs):
        return EXECUTIONS[execution](self.function).get_concrete_function(*specs)

    def run(self, execution, *tensors):
        if execution == "eager":
            return self.function(*tensors)
        graph = self.graph(execution.replace("xla", "graph"), *map(tf.TensorSpec.from_tensor, tensors))
        if execution.startswith("xla"):
            return tf.function(lambda *given: graph(*given), autograph=False, jit_compile=True)(*tensors)
        return graph(*tensors)
