"""What TensorFlow's optimizer of graphs makes of a training step, and whether reads and updates kept their order."""

from tensorflow.python.eager import context  # the only way to an optimized graph


def optimized_graphs(run):
    """The graphs of the functions that `run()` executes, each as its nodes by name."""
    context.enable_graph_collection()
    run()
    graphs = [each.post_optimization_graph for each in context.export_run_metadata().function_graphs]
    context.disable_graph_collection()
    return [{node.name: node for node in graph.node} for graph in graphs]


def sources(node):
    return [name.lstrip("^").split(":")[0] for name in node.input]


def before(nodes, name):
    """The nodes that an iteration runs before the named one."""
    seen, stack = set(), [name]
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += sources(nodes[name]) if nodes[name].op != "NextIteration" else []
    return seen


def resource(nodes, name):
    """The variable that a read or an update is of."""
    while nodes[name].op in ("ReadVariableOp", "Enter", "Identity", "Switch") or nodes[name].op.startswith("Assign"):
        name = sources(nodes[name])[0]
    return name


def assert_reads_and_updates_are_ordered(nodes):
    """Of each variable; gives the number of pairs.

    The optimizer of graphs drops a control dependency that it takes for implied, such as by a later iteration.
    """
    reads = [name for name, node in nodes.items() if node.op == "ReadVariableOp"]
    pairs = 0
    for update in (name for name, node in nodes.items() if node.op.startswith("Assign")):
        earlier = before(nodes, update)
        for read in reads:
            if resource(nodes, read) == resource(nodes, update):
                assert read in earlier or update in before(nodes, read), (read, update)
                pairs += 1
    return pairs
