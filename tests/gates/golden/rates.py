"""Gates that follow how the losses change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, sqrt

from blendloss import gates
from blendloss.gates import normalizers
from tests.gates.golden.values import ValuesRow

_OFFICIAL: list[list[float]] = [[1, 150, 1500], [2, 100, 1000], [3, 50, 500], [4, 10, 100], [5, 0.1, 1]]
_SLOW: list[list[float]] = [[1, 4, 0.25], [0.9, 3, 0.26], [0.85, 3.5, 0.2], [0.7, 3.2, 0.22], [0.72, 2.9, 0.21]]
SLOWER = [*_SLOW, [0.6, 2, 0.2]]
_EPOCHS: list[list[float]] = [[1, 4, 0.25], [0.8, 3.9, 0.3], [0.5, 3.5, 0.28], [0.6, 3, 0.2]]


def long_run(steps: int) -> list[list[float]]:
    return [[1 / (1 + 0.1 * t), 4 * 0.97**t, 0.25 + 0.01 * (t % 7)] for t in range(steps)]


def _rates(
    name: str, make: Callable[[], gates.Gate], losses: Sequence[Sequence[float]], weights: Sequence[float]
) -> ValuesRow:
    """Weights after a training step at each of `losses`, at losses of 1."""
    return ValuesRow(name, make, [*losses, [1] * len(weights)], weights, sum(weights))


#: "official" is SoftAdapt's package, commit 66e7bd6e, run in float64; its first three rows are also in its README.
#: "code" is the repository of ReLoBRaLo, commit b3c76d2b. Where none is named, TorchJD 0.18.0 or the formula.
RATES = [
    _rates(
        "softadapt-official",
        lambda: gates.SoftAdapt(),
        _OFFICIAL,
        [0.99343336297617, 0.00656662708949617, 3.890809e-22],
    ),
    _rates(
        "softadapt-normalized-official",
        lambda: gates.SoftAdapt(normalize="sum"),
        _OFFICIAL,
        [0.322072308625421, 0.325079240669334, 0.35284844717676],
    ),
    _rates(
        "softadapt-loss-weighted-official",
        lambda: gates.SoftAdapt(loss_weighted=True),
        _OFFICIAL,
        [0.87977720045101, 0.1202227966164, 7.1233516e-20],
    ),
    _rates(
        "softadapt-negative-official",
        lambda: gates.SoftAdapt(-0.1, loss_weighted=True),
        _OFFICIAL,
        [1.8944827e-24, 5.9251254e-21, 1],
    ),
    _rates("softadapt-early", lambda: gates.SoftAdapt(), _OFFICIAL[:4], [1, 1, 1]),
    _rates(
        "softadapt-order-1-official",
        lambda: gates.SoftAdapt(2.0, order=1, every=1),
        _SLOW,
        [0.405012931297805, 0.2135602503128, 0.381426814339266],
    ),
    _rates(
        "softadapt-order-3-official",
        lambda: gates.SoftAdapt(2.0, order=3, every=5),
        _SLOW,
        [0.0975702215775517, 0.840423283133568, 0.0620064868846477],
    ),
    _rates(
        "softadapt-order-2-loss-weighted-official",
        lambda: gates.SoftAdapt(2.0, order=2, every=5, loss_weighted=True),
        _SLOW,
        [0.201423643295102, 0.70408364366432, 0.0944927088961612],
    ),
    _rates(  # slopes 1, -9.9, -99 over 109.9, and the means 3, 62.02, 620.2
        "softadapt-normalized-loss-weighted",
        lambda: gates.SoftAdapt(10.99, order=1, every=5, normalize="absolute", loss_weighted=True),
        _OFFICIAL,
        [weight / (3 + 62.02 * exp(-1.09) + 620.2 * exp(-10)) for weight in (3, 62.02 * exp(-1.09), 620.2 * exp(-10))],
    ),
    _rates(  # PhysicsNeMo-Sym's rule
        "softadapt-ratio",
        lambda: gates.SoftAdapt(1.0, rate="ratio", total=None),
        _SLOW,
        [1.0662831956268, 0.943515520574861, 0.990201273135509],
    ),
    _rates(  # slopes 0 and 1: a half of (1, 1), a half of 2 (1/4, 3/4)
        "softadapt-momentum",
        lambda: gates.SoftAdapt(log(3), order=1, every=1, total=None, momentum=0.5),
        [[1, 1], [1, 2]],
        [3 / 4, 5 / 4],
    ),
    # Seed 2 draws 1, 1, 1, 0, 1, 0.
    _rates(
        "relobralo",
        lambda: gates.ReLoBRaLo(0.95, 1.0, 0.5, seed=2),
        SLOWER,
        [0.961762015928873, 0.868299924156903, 1.16993805991422],
    ),
    _rates(
        "relobralo-cold",
        lambda: gates.ReLoBRaLo(0.5, 0.1, 0.5, seed=2),
        SLOWER,
        [0.502686494795595, 0.14178456820755, 2.35552893699685],
    ),
    _rates("relobralo-first", lambda: gates.ReLoBRaLo(0.95, 1.0, 0.0, seed=2), SLOWER[:1], [1, 1, 1]),
    _rates(
        "relobralo-code",
        lambda: gates.ReLoBRaLo(0.95, 1.0, 0.5, seed=2, form="code"),
        SLOWER,
        [0.967109765908872, 0.960401520070779, 1.07248871402035],
    ),
    _rates(
        "relobralo-code-second",
        lambda: gates.ReLoBRaLo(0.5, 0.1, 0.5, seed=2, form="code"),
        SLOWER[:2],
        [0.568361570527862, 0.126818608263131, 2.30481982120901],
    ),
    _rates(
        "relobralo-code-first",
        lambda: gates.ReLoBRaLo(0.95, 1.0, 0.0, seed=2, form="code"),
        SLOWER[:1],
        [0.139160099838006, 2.79510532352237, 0.0657345766396237],
    ),
    _rates("dwa-early", lambda: gates.DWA(2), [[1, 2], [3, 4], [1, 1]], [1, 1]),
    _rates("dwa", lambda: gates.DWA(1), _EPOCHS, [1.14205487555077, 0.962136054807086, 0.895809069642148]),
    _rates(
        "dwa-cold", lambda: gates.DWA(1, 0.5), _EPOCHS[:2], [0.645910202076357, 0.916590207071871, 1.43749959085177]
    ),
    _rates(  # means (2, 3), (2, 2): r = (1, 2/3)
        "dwa-window", lambda: gates.DWA(2), [[1, 2], [3, 4], [1, 1], [3, 3], [9, 1]], [1.0831409664336, 0.9168590335664]
    ),
    # The code of Nash-MTL, commit cce18403.
    _rates("dwa-sliding-early", lambda: gates.DWA(25, sliding=True), long_run(26), [1, 1, 1]),
    _rates(
        "dwa-sliding-with-ones",
        lambda: gates.DWA(25, sliding=True),
        long_run(27),
        [0.703776599550606, 1.64816556620074, 0.648057834248655],
    ),
    _rates(
        "dwa-sliding",
        lambda: gates.DWA(25, sliding=True),
        long_run(60),
        [0.934099564652089, 0.900426749397522, 1.16547368595039],
    ),
    _rates("random", lambda: gates.Random(seed=0), [[1, 2, 4]], [1 / 3, 1 / 3, 1 / 3]),
    _rates("random-bernoulli", lambda: gates.Random("bernoulli", seed=0), [], [4 / 7, 4 / 7, 4 / 7]),
    _rates("random-bernoulli-two", lambda: gates.Random("bernoulli", seed=0, ones=2), [], [2 / 3, 2 / 3, 2 / 3]),
    _rates("normalized", lambda: gates.Normalized(), [[4, 100], [2, 25]], [1 / 4, 1 / 100]),
    _rates("normalized-unseen", lambda: gates.Normalized("rms", [2, 1]), [], [2, 1]),
    _rates(  # means (4/4 + 2/2) / (3/4), (100/4 + 25/2) / (3/4)
        "normalized-running",
        lambda: gates.Normalized(normalizers.RunningMean(memory=2)),
        [[4, 100], [2, 25]],
        [3 / 8, 1 / 50],
    ),
    _rates(  # means of squares (49/4 + 1/2) / (3/4), (1/4 + 49/2) / (3/4)
        "normalized-rms",
        lambda: gates.Normalized(normalizers.RootMeanSquare(memory=2), [3, 0]),
        [[7, 1], [1, 7]],
        [3 / sqrt(17), 0],
    ),
]
