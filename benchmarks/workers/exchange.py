"""What a traced program gives to sums over the workers: its collectives, counted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any


def exchanged(function: Any) -> dict[str, int]:
    """The collectives of a concrete function and of what it calls, and the bytes that one worker hands over to them.

    Raises:
        ValueError: if a collective is no sum; if its size is not known when it is traced; or if it stands in a branch
            or a loop, so that it is not known how often it runs.
    """
    sizes = list(_sizes(function.graph.as_graph_def(add_shapes=True)))
    return {"collectives": len(sizes), "bytes": sum(sizes)}


def _sizes(graph: Any) -> Iterator[int]:
    import tensorflow as tf

    library = {called.signature.name: called for called in graph.library.function}

    def visit(nodes: Any, times_known: bool) -> Iterator[int]:
        for node in nodes:
            if node.op.startswith("Collective"):
                shape = tf.TensorShape(node.attr["_output_shapes"].list.shape[0])
                if node.op != "CollectiveReduceV2" or not (times_known and shape.is_fully_defined()):
                    raise ValueError(
                        "A collective must be a sum of a known size, outside of branches and loops. "
                        f"Received: {node.op} {node.name!r} of shape {shape}"
                    )
                yield math.prod(shape.as_list()) * tf.dtypes.as_dtype(node.attr["T"].type).size
            branches = node.op not in ("PartitionedCall", "StatefulPartitionedCall")
            for attribute in node.attr.values():
                if attribute.func.name in library:
                    yield from visit(library[attribute.func.name].node_def, times_known and not branches)

    yield from visit(graph.node, True)
