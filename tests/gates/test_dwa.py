"""`DWA`, dynamic weight average: by epochs, sliding, and with losses that are not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from blendloss import gates
from tests.gates.golden.rates import long_run
from tests.gates.values import in_training, precise


def test_dwa_by_epochs():
    """The weights that TorchJD 0.18.0 has in each epoch."""
    losses = [[1, 4, 0.25], [0.8, 3.9, 0.3], [0.5, 3.5, 0.28], [0.6, 3, 0.2], [1, 1, 1]]
    expected = [
        [1, 1, 1],
        [1, 1, 1],
        [0.905566055620284, 0.988373066348875, 1.10606087803084],
        [0.905628406601743, 1.03778822773599, 1.05658336566227],
        [1.14205487555077, 0.962136054807086, 0.895809069642148],
    ]
    np.testing.assert_allclose(in_training(precise(gates.DWA(1)), losses), expected, rtol=1e-12)
    tripled = in_training(precise(gates.DWA(3)), np.repeat(losses, 3, axis=0))
    np.testing.assert_allclose(tripled, np.repeat(expected, 3, axis=0), rtol=1e-12)


def test_dwa_sliding():
    """The weights of the code of Nash-MTL, commit cce18403, in float64."""
    weights = in_training(precise(gates.DWA(25, sliding=True)), long_run(60))
    np.testing.assert_array_equal(weights[:26], np.ones([26, 3]))
    for step, expected in {
        26: [0.703776599550606, 1.64816556620074, 0.648057834248655],
        27: [0.743426407674264, 1.56132582520297, 0.695247767122761],
        40: [0.914350493977679, 1.09483474485362, 0.990814761168703],
        48: [0.900561580778013, 0.936295263700624, 1.16314315552136],
        49: [0.891355087445701, 0.911296306792119, 1.19734860576218],
        50: [0.897868563537489, 0.911088122549603, 1.19104331391291],
        59: [0.934099564652089, 0.900426749397522, 1.16547368595039],
    }.items():
        np.testing.assert_allclose(weights[step], expected, rtol=1e-12)
    short = in_training(precise(gates.DWA(2, sliding=True)), [[1, 4], [2, 4], [1, 2], [0.5, 1], [0.5, 4], [0.25, 3]])
    last = [
        [1.03123983144603, 0.968760168553969],
        [0.875646998228404, 1.1243530017716],
        [0.571275141017888, 1.42872485898211],
    ]
    np.testing.assert_allclose(short[3:], last, rtol=1e-12)


def test_a_window_averages_what_was_finite():
    nan = math.nan
    broken = in_training(precise(gates.DWA(2)), [[1, 2], [nan, 2], [4, 1], [2, 3], [1, 1]])
    sound = in_training(precise(gates.DWA(2)), [[1, 2], [1, 2], [3, 2], [3, 2], [1, 1]])
    np.testing.assert_allclose(broken[-1], sound[-1], rtol=1e-14)
    nothing = in_training(precise(gates.DWA(2)), [[1, 2], [1, 2], [nan, 1], [1, nan], [3, 2], [3, 2], [1, 1]])
    np.testing.assert_allclose(nothing[-1], sound[-1], rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: gates.DWA(0), ValueError, "window"),
        (lambda: gates.DWA(1.5), TypeError, "window"),
        (lambda: gates.DWA(1, 0.0), ValueError, "temperature"),
        (lambda: gates.DWA(1, sliding=None), TypeError, "sliding"),
    ],
)
def test_a_bad_argument_is_named(make, error, name):
    with pytest.raises(error, match=f"`{name}` must"):
        make()
