"""What a training step sends to the other workers: counted in the traced program, and by a formula for each gate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

import blendloss as bl

STATISTICS = bl.gates.statistics


class Traffic(NamedTuple):
    """What a worker gives to the collectives of a step, in bytes.

    Args:
        reduced: to sums over the workers. A ring of W workers sends 2 (W - 1) / W times as much from each.
        by_row: to gathers, for each example of its part. Each is sent to all other workers.
        sizes: to gathers of the sizes of parts.
    """

    reduced: int = 0
    by_row: int = 0
    sizes: int = 0


def traffic(graph: tf.Graph) -> Traffic:
    """Counts the collectives of a traced step, on its first replica."""
    reduced = by_row = sizes = 0
    for op in graph.get_operations():
        if not op.type.startswith("Collective") or op.device.endswith("CPU:1"):
            continue
        shape, size = op.inputs[0].shape.as_list(), op.inputs[0].dtype.size
        if op.type == "CollectiveReduceV2" and None not in shape:
            reduced += int(np.prod(shape)) * size
        elif op.type == "CollectiveGatherV2" and shape == [None]:
            by_row += size
        elif op.type == "CollectiveGatherV2" and shape == [1, 1]:
            sizes += size
        else:
            raise ValueError(f"A collective must be counted. Received: {op.type} of shape {shape}")
    inner = [node.op for function in graph.as_graph_def().library.function for node in function.node_def]
    if any(name.startswith("Collective") for name in inner):
        raise ValueError(f"Collectives must stand in the step itself. Received: {sorted(set(inner))}")
    return Traffic(reduced, by_row, sizes)


class Sizes(NamedTuple):
    """What a formula is made of: losses, variables of the network, and of its last layer; all float32."""

    k: int
    p: int
    last: int


class Row(NamedTuple):
    """Gates that send the same.

    Args:
        gates: by name, for a number of losses.
        formula: the bytes of sums, as text; beside 4 bytes for each variable that trains.
        sums: the same, computed.
        by_row: of gathers.
    """

    gates: dict[str, Callable[[int], Any]]
    formula: str
    sums: Callable[[Sizes], int]
    by_row: int = 0


def _thresholds(k: int) -> list[float]:
    return [float(i + 1) for i in range(k - 1)]


def _preference(k: int) -> list[float]:
    return [1.0] * k


NOTHING = Row(
    {
        "Fixed": lambda k: bl.gates.Fixed(_preference(k)),
        "Manual": lambda k: bl.gates.Manual(_preference(k)),
        "Scheduled": lambda k: bl.gates.Scheduled(bl.schedules.linear(_preference(k), [2.0] * k, steps=9)),
        "Plateau": lambda k: bl.gates.Plateau("mae", patience=3),
        "Threshold": lambda k: bl.gates.Threshold("mae", [9.0 - i for i in range(k - 1)]),
        "Learned": lambda k: bl.gates.Learned(),
        "Network": lambda k: bl.gates.Network(_gate_network(k)),
        "ByResidual": lambda k: bl.gates.ByResidual(_thresholds(k)),
        "Mixture": lambda k: bl.gates.Mixture(),
        "ExponentialFamily": lambda k: bl.gates.ExponentialFamily(),
        "Uncertainty": lambda k: bl.gates.Uncertainty(),
        "Bayesian": lambda k: bl.gates.Bayesian(bl.gates.families.LogisticNormal(), examples=48, seed=0),
        "Random": lambda k: bl.gates.Random(seed=0),
        "IMTLL": lambda k: bl.gates.IMTLL(),
    },
    "0",
    lambda sizes: 0,
)
UNIT = Row({"Learned(normalize='likelihood')": lambda k: bl.gates.Learned(normalize="likelihood")}, "8", lambda s: 8)
LOSSES = Row(
    {
        "Learned(normalize='initial')": lambda k: bl.gates.Learned(normalize="initial"),
        "Learned(normalize='running')": lambda k: bl.gates.Learned(normalize="running"),
        "Normalized": lambda k: bl.gates.Normalized(),
        "SoftAdapt": lambda k: bl.gates.SoftAdapt(),
        "ReLoBRaLo": lambda k: bl.gates.ReLoBRaLo(seed=0),
        "DWA": lambda k: bl.gates.DWA(4),
        "Tchebycheff": lambda k: bl.gates.Tchebycheff(),
        "FAMO(same_batch=False)": lambda k: bl.gates.FAMO(same_batch=False),
        "Exp3(same_batch=False)": lambda k: bl.gates.Exp3(0.2, seed=0, same_batch=False),
    },
    "4 K",
    lambda sizes: 4 * sizes.k,
)
LOSSES_TWICE = Row(
    {
        "Logarithm": lambda k: bl.gates.Logarithm(),
        "GeometricMean": lambda k: bl.gates.GeometricMean(),
        "SmoothTchebycheff": lambda k: bl.gates.SmoothTchebycheff(0.5),
        "PBI": lambda k: bl.gates.PBI(_preference(k)),
        "COSMOS": lambda k: bl.gates.COSMOS(_preference(k), 1.0),
        "FAMO": lambda k: bl.gates.FAMO(),
        "Exp3": lambda k: bl.gates.Exp3(0.2, seed=0),
        "Exp3S": lambda k: bl.gates.Exp3S(seed=0, rate=0.1),
    },
    "8 K",
    lambda sizes: 8 * sizes.k,
)
MOMENTS = Row(
    {"ScoreMatching": lambda k: bl.gates.ScoreMatching()},
    "2 K² + 14 K + 20",
    lambda sizes: 2 * sizes.k**2 + 14 * sizes.k + 20,
)
RESIDUALS = Row(
    {
        "ResidualState": lambda k: bl.gates.ResidualState(STATISTICS.MeanAbsolute(), _thresholds(k), width=1.0),
        "ResidualState, quantile": lambda k: bl.gates.ResidualState(
            STATISTICS.QuantileAbsolute(0.9), _thresholds(k), width=1.0
        ),
    },
    "0",
    lambda sizes: 0,
    by_row=4,
)
GRADIENTS = Row(
    {
        "MGDA": lambda k: bl.gates.MGDA(),
        "CAGrad": lambda k: bl.gates.CAGrad(0.5),
        "NashMTL": lambda k: bl.gates.NashMTL(),
        "FairGrad": lambda k: bl.gates.FairGrad(2.0),
        "IMTLG": lambda k: bl.gates.IMTLG(),
        "AlignedMTL": lambda k: bl.gates.AlignedMTL(),
        "ConFIG": lambda k: bl.gates.ConFIG(),
        "PCGrad": lambda k: bl.gates.PCGrad(seed=0),
        "GradVac": lambda k: bl.gates.GradVac(0.1, seed=0),
        "GradDrop": lambda k: bl.gates.GradDrop(0.1, seed=0),
        "UPGrad": lambda k: bl.gates.UPGrad(),
        "LRAnnealing": lambda k: bl.gates.LRAnnealing(),
    },
    "4 K P",
    lambda sizes: 4 * sizes.k * sizes.p,
)
GRADIENTS_AND_LOSSES = Row(
    {"MGDA('loss')": lambda k: bl.gates.MGDA("loss"), "NTK('root')": lambda k: bl.gates.NTK("root")},
    "4 K P + 4 K",
    lambda sizes: 4 * sizes.k * (sizes.p + 1),
)
LAST = Row({"GradNorm": lambda k: bl.gates.GradNorm()}, "4 K L + 4 K", lambda sizes: 4 * sizes.k * (sizes.last + 1))
TRACES = Row({"NTK": lambda k: bl.gates.NTK()}, "16 K", lambda sizes: 16 * sizes.k)
PROBES = Row(
    {"NTK(probes=2)": lambda k: bl.gates.NTK(probes=2, seed=0)},
    "4 n K P + 8 K (W + 1)",
    lambda sizes: 4 * 2 * sizes.k * sizes.p + 8 * sizes.k * (2 + 1),  # two probes, two workers
)
ROWS = [
    NOTHING, UNIT, LOSSES, LOSSES_TWICE, MOMENTS, RESIDUALS, GRADIENTS, GRADIENTS_AND_LOSSES, LAST, TRACES, PROBES,
]  # fmt: skip


def _gate_network(k: int) -> Any:
    import keras

    return keras.Sequential([keras.Input([4]), keras.layers.Dense(k)])


@functools.cache
def local_workers() -> tf.distribute.Strategy:
    """The strategy of several workers, with two devices of this process in their place: the same collectives.

    For tracing alone: each strategy numbers its collectives from the start, and two that run in one process collide.
    """
    # Not public; TensorFlow's own tests use it.
    return tf.distribute.MultiWorkerMirroredStrategy._from_local_devices(["CPU:0", "CPU:1"])


def sent_and_expected(row: Row, name: str, losses: int, width: int, strategy: Any) -> tuple[Traffic, Traffic]:
    """What a traced step of a gate sends, and what the formula says."""
    from tests.workers.cases import FLOAT32, Case

    case = Case(lambda: row.gates[name](losses), losses=losses, width=width, policy=FLOAT32, reduction="sum")
    with strategy.scope():
        model = case.model()

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([None, 1])])
    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        strategy.run(model.train_step, ((x, y),))

    sizes = Sizes(losses, 6 * width + 1, width + 1)
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    expected = Traffic(4 * trained + row.sums(sizes), row.by_row, 4 if row.by_row else 0)
    return traffic(step.get_concrete_function().graph), expected
