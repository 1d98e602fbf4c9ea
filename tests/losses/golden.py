"""One row per method: what its formula gives, to 17 digits, at a few residuals.

The numbers come from the published formulas in 40-digit arithmetic (mpmath), not from this library.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import keras
import tensorflow as tf

from blendloss import losses

RESIDUALS = [-6.0, -0.75, 0.0, 0.0078125, 0.5, 3.0]


@keras.saving.register_keras_serializable(package="tests")
def laplace_nll(y_true, outputs):
    """A likelihood whose location and scale are two outputs."""
    mean, log_scale = outputs
    return tf.reduce_mean(tf.abs(y_true - mean) * tf.exp(-log_scale) + log_scale, axis=-1)


# (id, instance, residuals, values, slopes)
ROWS: list[tuple[str, losses.Penalty, list[float], list[float], list[float]]] = [
    (
        "squared-error",
        losses.SquaredError(scale=2.0),
        RESIDUALS,
        [9.0, 0.140625, 0.0, 1.52587890625e-05, 0.0625, 2.25],
        [-3.0, -0.375, 0.0, 0.00390625, 0.25, 1.5],
    ),
    (
        "absolute-error",
        losses.AbsoluteError(scale=0.5),
        RESIDUALS,
        [12.0, 1.5, 0.0, 0.015625, 1.0, 6.0],
        [-2.0, -2.0, 0.0, 2.0, 2.0, 2.0],
    ),
    (
        "huber",
        losses.Huber(delta=1.5),
        RESIDUALS,
        [7.875, 0.28125, 0.0, 3.0517578125e-05, 0.125, 3.375],
        [-1.5, -0.75, 0.0, 0.0078125, 0.5, 1.5],
    ),
    (
        "pseudo-huber",
        losses.PseudoHuber(delta=0.5),
        RESIDUALS,
        [2.760398644698074, 0.20069390943299867, 0.0, 3.0515715707189757e-05, 0.10355339059327376, 1.2706906325745548],
        [-0.49827287912243984, -0.41602514716892186, 0.0, 0.007811546500271057, 0.3535533905932738, 0.4931969619160719],
    ),
    (
        "log-cosh",
        losses.LogCosh(scale=2.0),
        RESIDUALS,
        [9.23731401831114, 0.27489530221981856, 0.0, 3.0517500515101244e-05, 0.12371921448064549, 3.421760684055187],
        [-1.990109507373461, -0.7167147967015719, 0.0, 0.00781246026381268, 0.48983732480741826, 1.8102965072897328],
    ),
    (
        "cauchy",
        losses.Cauchy(scale=0.5),
        RESIDUALS,
        [0.6220917178025718, 0.14733187454270577, 0.0, 3.051385344092034e-05, 0.08664339756999316, 0.45136473908052804],
        [-0.041379310344827586, -0.23076923076923078, 0.0, 0.007810593116914816, 0.25, 0.08108108108108109],
    ),
    (
        "geman-mcclure",
        losses.GemanMcClure(scale=2.0),
        RESIDUALS,
        [1.8, 0.2465753424657534, 0.0, 3.051711247081801e-05, 0.11764705882352941, 1.3846153846153846],
        [-0.06, -0.5764683805592044, 0.0, 0.007812261586877756, 0.4429065743944637, 0.28402366863905326],
    ),
    (
        "welsch",
        losses.Welsch(scale=1.5),
        RESIDUALS,
        [1.1249998733979285, 0.24884911904466953, 0.0, 3.0517164207598476e-05, 0.118305768583834, 1.1043949062501741],
        [
            -6.752110483155547e-07,
            -0.5841005873035536,
            0.0,
            0.007812288075248558,
            0.4474196584071849,
            0.05494691666620254,
        ],
    ),
    (
        "tukey",
        losses.Tukey(scale=4.0),
        RESIDUALS,
        [2.6666666666666665, 0.27147817611694336, 0.0, 3.0517461709826204e-05, 0.12305704752604167, 2.443359375],
        [0.0, -0.6981925964355469, 0.0, 0.0078124403954689114, 0.4844970703125, 0.57421875],
    ),
    (
        "fair",
        losses.Fair(scale=0.5),
        RESIDUALS,
        [2.358762660634616, 0.14592731703146122, 0.0, 3.020336600868646e-05, 0.07671320486001368, 1.0135224627361716],
        [-0.46153846153846156, -0.3, 0.0, 0.007692307692307693, 0.25, 0.42857142857142855],
    ),
    (
        "quantile",
        losses.Quantile(quantile=0.75, scale=2.0),
        RESIDUALS,
        [2.25, 0.28125, 0.0, 0.0009765625, 0.0625, 0.375],
        [-0.375, -0.375, 0.0, 0.125, 0.125, 0.125],
    ),
    (
        "epsilon-insensitive",
        losses.EpsilonInsensitive(epsilon=0.25),
        RESIDUALS,
        [5.75, 0.5, 0.0, 0.0, 0.25, 2.75],
        [-1.0, -1.0, 0.0, 0.0, 1.0, 1.0],
    ),
    (
        "barron-minus-inf",
        losses.Barron(alpha=-inf, scale=1.5),
        RESIDUALS,
        [0.9996645373720975, 0.1175030974154046, 0.0, 1.3563276073494913e-05, 0.054040531093234534, 0.8646647167633873],
        [
            -0.0008945670077400316,
            -0.29416563419486513,
            0.0,
            0.003472175127513634,
            0.21021321531261455,
            0.18044704431548358,
        ],
    ),
    (
        "barron-minus-2",
        losses.Barron(alpha=-2.0, scale=0.5),
        RESIDUALS,
        [1.945945945945946, 0.72, 0.0, 0.00012206286237412267, 0.4, 1.8],
        [-0.017531044558071585, -1.2288, 0.0, 0.031246185651951922, 1.28, 0.12],
    ),
    (
        "barron-0",
        losses.Barron(alpha=0.0, scale=2.0),
        RESIDUALS,
        [
            1.7047480922384253,
            0.06795066190850775,
            0.0,
            7.6293654275675724e-06,
            0.030771658666753687,
            0.7537718023763802,
        ],
        [
            -0.2727272727272727,
            -0.17518248175182483,
            0.0,
            0.0019531100989524921,
            0.12121212121212122,
            0.35294117647058826,
        ],
    ),
    (
        "barron-1e-06",
        losses.Barron(alpha=1e-06, scale=1.0),
        RESIDUALS,
        [2.944440148061952, 0.24783616509828843, 0.0, 3.051711247318638e-05, 0.11778303578863211, 1.7047483754969108],
        [-0.3157897890113336, -0.5853658619484823, 0.0, 0.007812261588696636, 0.44444444592709503, 0.5454547872454467],
    ),
    (
        "barron-0.5",
        losses.Barron(alpha=0.5, scale=1.0),
        RESIDUALS,
        [3.708203932499369, 0.24860515600199043, 0.0, 3.051711247476527e-05, 0.11786963287623531, 1.8797296850933571],
        [-0.5366563145999496, -0.5906554829094528, 0.0, 0.007812261589909199, 0.4454099475537479, 0.6971042407276224],
    ),
    (
        "barron-1",
        losses.Barron(alpha=1.0, scale=2.0),
        RESIDUALS,
        [2.1622776601683795, 0.0680004681646914, 0.0, 7.629365427641586e-06, 0.030776406404415136, 0.8027756377319947],
        [
            -0.4743416490252569,
            -0.17556172079419585,
            0.0,
            0.0019531100990093342,
            0.12126781251816648,
            0.41602514716892186,
        ],
    ),
    (
        "barron-1.5",
        losses.Barron(alpha=1.5, scale=0.5),
        RESIDUALS,
        [23.030931878500077, 0.8638227104969525, 0.0, 0.00012206286343481137, 0.4265023523182592, 7.9914107295204895],
        [-5.820855000871991, -1.9589826171768314, 0.0, 0.031246186466461438, 1.519671371303185, 4.105353236475858],
    ),
    (
        "barron-2",
        losses.Barron(alpha=2.0, scale=2.0),
        RESIDUALS,
        [4.5, 0.0703125, 0.0, 7.62939453125e-06, 0.03125, 1.125],
        [-1.5, -0.1875, 0.0, 0.001953125, 0.125, 0.75],
    ),
    (
        "barron-4",
        losses.Barron(alpha=4.0, scale=1.5),
        RESIDUALS,
        [40.0, 0.1328125, 0.0, 1.3563460038032061e-05, 0.05709876543209876, 4.0],
        [-24.0, -0.375, 0.0, 0.0034722693172501927, 0.2345679012345679, 4.0],
    ),
    (
        "barron-inf",
        losses.Barron(alpha=inf, scale=2.0),
        RESIDUALS,
        [89.01713130052181, 0.07284339243487745, 0.0, 7.629423635154472e-06, 0.03174340749910267, 2.080216848918031],
        [-135.02569695078273, -0.2011581360815395, 0.0, 0.0019531399012180373, 0.12896792593738785, 2.3101626366885233],
    ),
]

# Losses that train, as they start: (id, factory, residuals, values). alpha = 1, of which Z = 2 e K_1(1) is a Bessel
# function: sqrt(1 + (r / 2)^2) - 1 + log 2 + log Z.
TRAINED: list[tuple[str, Callable[[], losses.AdaptiveBarron], list[float], list[float]]] = [
    (
        "adaptive-barron",
        lambda: losses.AdaptiveBarron(initial_alpha=1.0, initial_scale=2.0),
        RESIDUALS,
        [
            4.040920073077518,
            1.9466428810738297,
            1.8786424129091381,
            1.878650042274566,
            1.9094188193135535,
            2.681418050641133,
        ],
    ),
]

# Losses of one output of several: (id, loss, targets, outputs, values), by hand.
OUTPUT_LOSSES: list[tuple[str, losses.OutputLoss, Any, Any, list[float]]] = [
    (
        "output-of-a-dict",
        losses.OutputLoss("depth", losses.Huber(delta=1.0)),
        {"depth": [[0.0], [1.0]]},
        {"other": [[9.0]], "depth": [[3.0], [1.5]]},
        [2.5, 0.125],  # |r| - 1/2 beyond delta, r^2 / 2 within
    ),
    (
        "output-of-a-list",
        losses.OutputLoss(1, "mae"),
        [[[0.0]], [[1.0, 2.0]]],
        [[[5.0]], [[2.0, 5.0]]],
        [2.0],  # (1 + 3) / 2
    ),
    (
        "output-with-a-target-of-another-name",
        losses.OutputLoss("coarse", "mse", "depth"),
        {"depth": [[1.0]]},
        {"coarse": [[4.0]]},
        [9.0],
    ),
    (
        "output-with-a-constant-target",
        losses.OutputLoss("pde", losses.SquaredError(), 0.5),
        None,
        {"pde": [[2.0], [-0.5]]},
        [2.25, 1.0],
    ),
]

# Losses of several outputs at once, by hand, as OUTPUT_LOSSES.
OUTPUT_LOSSES += [
    (
        "output-of-two-outputs",
        losses.OutputLoss(("mean", "log_scale"), laplace_nll, target="y"),
        {"y": [[1.0], [2.0]]},
        {"mean": [[3.0], [2.0]], "log_scale": [[0.0], [0.5]]},
        [2.0, 0.5],  # |y - mean| exp(-log_scale) + log_scale
    ),
]

# Losses of some columns: (id, loss, targets, outputs, values), by hand.
COLUMNS: list[tuple[str, losses.Columns, Any, Any, list[float]]] = [
    (
        "columns-one-target",
        losses.Columns(losses.Quantile(0.25), 1),
        [[1.0], [3.0]],
        [[9.0, 0.0, 9.0], [9.0, 4.0, 9.0]],
        [0.25, 0.75],  # q (y - p) below y, (1 - q) (p - y) above
    ),
    (
        "columns-the-same-of-both",
        losses.Columns("mse", [-1, 0]),
        [[1.0, 9.0, 2.0]],
        [[2.0, 0.0, 5.0]],
        [5.0],  # (3^2 + 1^2) / 2
    ),
    (
        "columns-and-targets",
        losses.Columns(losses.AbsoluteError(), [0, 1], targets=[2, 2]),
        [[0.0, 0.0, 4.0]],
        [[1.0, 6.0]],
        [2.5],
    ),
]
