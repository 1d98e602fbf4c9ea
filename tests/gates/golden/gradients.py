"""Gates from gradients: what each gives in the last of some training steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, sqrt
from typing import Any, NamedTuple

from blendloss import gates


class GradientsRow(NamedTuple):
    """What a gate from gradients gives in the last of some training steps, one for each of `gradients`.

    Each is `[K, D]`, the gradients of the losses in one variable of D elements. Where the method looks at them,
    `losses` are the losses' values in each step, and `jacobians` those of their residuals, `[N_k, D]` for each loss;
    what trains in the gate moves by gradient descent with `rate` after each step. `direction` is the combined gradient,
    where it is not sum_k weights_k G_k.
    """

    id: str
    make: Callable[..., gates.Gate]
    gradients: Sequence[Sequence[Sequence[float]]]
    weights: Sequence[float]
    losses: Sequence[Sequence[float]] = ()
    jacobians: Sequence[Sequence[Sequence[Sequence[float]]]] = ()
    rate: float = 0.0
    direction: Sequence[float] | None = None


_CONFLICT = [[1, 0.2, 0.1], [-0.8, 1, 0.3], [-0.3, -0.9, 1.2]]
_LENGTHS = [[3, 0], [0, 4]]
_JACOBIANS: list[Any] = [_CONFLICT, [[0.01, -0.02, 0.03], [-1, 2, 0.5]], [[1, 0, 1], [0, 1, -1], [1, 1, 0]]]
_TRACES = [5.12, 5.2514, 6]
_MEAN_TRACE = (5.12 / 3 + 5.2514 / 2 + 6 / 3) / 3
FROM_GRADIENTS: list[GradientsRow] = [
    GradientsRow("grad-norm-start", lambda: gates.GradNorm(), [_LENGTHS], [1, 1]),
    GradientsRow(  # slopes -3 and 4, as 3 < 3.5 < 4: (1.3, 0.6) brought to the sum 2
        "grad-norm", lambda: gates.GradNorm(alpha=0), [_LENGTHS, _LENGTHS], [26 / 19, 12 / 19], rate=0.1
    ),
    GradientsRow(  # lengths 1.025, 1.315, 1.530 around 0.838, 2.023, 1.101
        "grad-norm-rates",
        lambda: gates.GradNorm(1.5, initial_losses=[2, 4, 0.5]),
        [_CONFLICT, _CONFLICT],
        [0.984548963168438, 1.04365907039056, 0.971791966441003],
        losses=[[1, 3.6, 0.3]] * 2,
        rate=0.025,
    ),
    GradientsRow(  # ratios to the losses before: (1, 1), (1/2, 1), (1, 3/4); slopes (-3, 4), (3, -4), (-3, 4)
        "grad-norm-previous",
        lambda: gates.GradNorm(1, relative_to="previous"),
        [_LENGTHS] * 4,
        [105.14 / 75.81, 46.48 / 75.81],
        losses=[[2, 4], [1, 4], [1, 3], [1, 1]],
        rate=0.1,
    ),
    GradientsRow(  # slopes in s: -3.5 and 3.5 at w = (1, 1); 1.5 (3 - 1.25) and 0.5 (-4 - 1.25) at w = (1.5, 0.5)
        "grad-norm-softmax",
        lambda: gates.GradNorm(0, form="softmax"),
        [_LENGTHS] * 3,
        [2 * 3**0.25 / (1 + 3**0.25), 2 / (1 + 3**0.25)],
        rate=log(3) / 7,
    ),
    GradientsRow(  # slopes in s: -3 and 4; 1.5 * 3 and -0.5 * 4
        "grad-norm-exponential",
        lambda: gates.GradNorm(0, form="exponential"),
        [_LENGTHS] * 3,
        [2 * 3 ** (1 / 14) / (1 + 3 ** (1 / 14)), 2 / (1 + 3 ** (1 / 14))],
        rate=log(3) / 7,
    ),
    GradientsRow(  # largest of the first 1, means of the others 0.7 and 0.8: 0.9 + 0.1 / 0.7, then again
        "lr-annealing",
        lambda: gates.LRAnnealing(every=1),
        [_CONFLICT, _CONFLICT],
        [1, 0.81 + 0.19 / 0.7, 0.81 + 0.19 / 0.8],
    ),
    GradientsRow(
        "lr-annealing-literal",
        lambda: gates.LRAnnealing(momentum=0.1, every=1),
        [_CONFLICT],
        [1, 0.1 + 0.9 / 0.7, 0.1 + 0.9 / 0.8],
    ),
    GradientsRow(  # the third is 1.2 at most
        "lr-annealing-reference",
        lambda: gates.LRAnnealing(reference="c", momentum=0, every=1),
        [_CONFLICT],
        [1.2 / (1.3 / 3), 1.2 / 0.7, 1],
    ),
    GradientsRow(  # kept in between
        "lr-annealing-every",
        lambda: gates.LRAnnealing(every=2),
        [_CONFLICT, [[5, 0, 0], [0, 6, 0], [0, 0, 7]]],
        [1, 0.9 + 0.1 / 0.7, 0.9 + 0.1 / 0.8],
    ),
    GradientsRow(  # the second time over 1.043 and 1.025 times the means
        "lr-annealing-code",
        lambda: gates.LRAnnealing("code", every=1),
        [_CONFLICT, _CONFLICT],
        [1, 1.07555772994129, 1.0444512195122],
    ),
    GradientsRow(
        "lr-annealing-mean",
        lambda: gates.LRAnnealing("mean", momentum=0.99, every=1),
        [_CONFLICT],
        [1, 0.99 + 0.01 * 1.3 / 2.1, 0.99 + 0.01 * 1.3 / 2.4],
    ),
    GradientsRow(
        "lr-annealing-norm-sum",
        lambda: gates.LRAnnealing("norm_sum", every=1),
        [_CONFLICT],
        [1.27764361934143, 1.19420750648695, 1.15296991340882],
    ),
    GradientsRow(
        "lr-annealing-norm-mean",
        lambda: gates.LRAnnealing("norm_mean", momentum=0, every=1),
        [_LENGTHS],
        [3.5 / (3 + 3.5e-5), 3.5 / (4 + 3.5e-5)],
    ),
    GradientsRow(
        "ntk",
        lambda: gates.NTK(),
        [_CONFLICT],
        [sum(_TRACES) / trace for trace in _TRACES],
        jacobians=[_JACOBIANS],
    ),
    GradientsRow(
        "ntk-momentum",
        lambda: gates.NTK(momentum=0.75, every=1),
        [_CONFLICT],
        [0.75 + 0.25 * sum(_TRACES) / trace for trace in _TRACES],
        jacobians=[_JACOBIANS],
    ),
    GradientsRow(
        "ntk-mean",
        lambda: gates.NTK("mean"),
        [_CONFLICT],
        [_MEAN_TRACE / (trace / n + 1e-5 * _MEAN_TRACE) for trace, n in zip(_TRACES, [3, 2, 3], strict=True)],
        jacobians=[_JACOBIANS],
    ),
    GradientsRow(  # |J^T v|^2 is the trace for any signs, as these J have orthogonal rows
        "ntk-probes",
        lambda: gates.NTK(probes=2, seed=0),
        [_LENGTHS],
        [15 / 10, 15 / 5],
        jacobians=[[[[3, 0], [0, 1]], [[1, 2], [0, 0]]]],
    ),
    GradientsRow(  # lengths over twice the roots of the losses: 0.512, 0.329, 1.530
        "ntk-root",
        lambda: gates.NTK("root"),
        [_CONFLICT],
        [4.62747817858367, 7.2101777788175, 1.54989081528633],
        losses=[[1, 4, 0.25]],
    ),
    GradientsRow(  # P = (0.476, 0.571, 1), and seed 1 draws 0.010, 0.640, 0.080: signs +, -, +
        "grad-drop", lambda: gates.GradDrop(seed=1), [_CONFLICT], [1, 1, 1], direction=[1, -0.9, 1.6]
    ),
    GradientsRow(  # and 0.3 of -1.1, 1.2 and 0
        "grad-drop-leak", lambda: gates.GradDrop(0.3, seed=1), [_CONFLICT], [1, 1, 1], direction=[0.67, -0.54, 1.6]
    ),
    GradientsRow(  # all of the second, 0.5 of the third
        "grad-drop-leaks",
        lambda: gates.GradDrop([0, 1, 0.5], seed=1),
        [_CONFLICT],
        [1, 1, 1],
        direction=[1 - 0.8 - 0.15, -0.9 + 1, 1.6],
    ),
    GradientsRow(  # all three positive: proportional to M^-1 1
        "mgda", lambda: gates.MGDA(), [_CONFLICT], [0.466091746433087, 0.322783095539101, 0.211125158027813]
    ),
    GradientsRow(  # the first gradient lies behind the hull of the others
        "mgda-scales",
        lambda: gates.MGDA(),
        [[[100, 1, 0], [0.01, -0.02, 0.03], [-1, 2, 0.5]]],
        [0, 0.993159694817153, 0.00684030518284662],
    ),
    GradientsRow(  # of the products divided by the lengths: C^-1 1
        "mgda-l2",
        lambda: gates.MGDA("l2"),
        [_CONFLICT],
        [0.364607062368502, 0.348355466159287, 0.287037471472211],
    ),
    GradientsRow(
        "mgda-loss",
        lambda: gates.MGDA("loss"),
        [_CONFLICT],
        [0.182889257167026, 0.802148483663148, 0.0149622591698261],
        losses=[[1, 4, 0.25]],
    ),
    GradientsRow(
        "mgda-loss-l2",
        lambda: gates.MGDA("loss+"),
        [_CONFLICT],
        [0.140596879606888, 0.841301801571916, 0.0181013188211957],
        losses=[[1, 4, 0.25]],
    ),
    # CAGrad: w by a cone program, then Newton's method on its support
    GradientsRow("cagrad-mean", lambda: gates.CAGrad(0), [_CONFLICT], [1 / 3, 1 / 3, 1 / 3]),
    GradientsRow("cagrad-vertex", lambda: gates.CAGrad(0.2), [_CONFLICT], [0.439442990100563, 1 / 3, 1 / 3]),
    GradientsRow("cagrad", lambda: gates.CAGrad(0.4), [_CONFLICT], [0.565789489519753, 0.389816944792174, 1 / 3]),
    GradientsRow(
        "cagrad-inside",
        lambda: gates.CAGrad(1.0),
        [_CONFLICT],
        [0.932183492866173, 0.645566191078201, 0.422250316055626],
    ),
    GradientsRow(
        "cagrad-rescale-1",
        lambda: gates.CAGrad(0.4, rescale=1),
        [_CONFLICT],
        [0.565789489519753 / 1.16, 0.389816944792174 / 1.16, 1 / 3.48],
    ),
    GradientsRow(
        "cagrad-rescale-2",
        lambda: gates.CAGrad(0.4, rescale=2),
        [_CONFLICT],
        [0.565789489519753 / 1.4, 0.389816944792174 / 1.4, 1 / 4.2],
    ),
    GradientsRow(  # |d| = sqrt(3) without the bound; TorchJD 0.18 and the official code agree here to 1e-8
        "nash-mtl",
        lambda: gates.NashMTL(max_norm=None),
        [_CONFLICT],
        [1.545590336066, 1.1594840377545, 0.874894378704048],
    ),
    GradientsRow(
        "nash-mtl-bounded",
        lambda: gates.NashMTL(),
        [_CONFLICT],
        [0.892346996584589, 0.669428421318636, 0.505120505057273],
    ),
    GradientsRow(
        "fair-grad", lambda: gates.FairGrad(), [_CONFLICT], [1.545590336066, 1.1594840377545, 0.874894378704048]
    ),
    GradientsRow(  # TorchJD 0.18 agrees to 1e-11
        "fair-grad-2",
        lambda: gates.FairGrad(2.0),
        [_CONFLICT],
        [1.69999924095765, 1.23267642071517, 0.876134675353457],
    ),
    GradientsRow(
        "fair-grad-half-bounded",
        lambda: gates.FairGrad(0.5, max_norm=100.0),
        [_CONFLICT],
        [1.39188856673033, 1.09518105431386, 0.891838355747699],
    ),
    GradientsRow(  # TorchJD 0.18 and the rules of LibMTL and nash-mtl agree
        "imtl-g", lambda: gates.IMTLG(), [_CONFLICT], [0.440201337301795, 0.327657798182348, 0.232140864515857]
    ),
    GradientsRow("imtl-g-parallel", lambda: gates.IMTLG(), [[[1, 2], [2, 4]]], [2 / 3, 1 / 3]),
    # Aligned-MTL: the official rule
    GradientsRow(
        "aligned-mtl", lambda: gates.AlignedMTL(), [_CONFLICT], [1.14756255492084, 0.904834578748229, 0.703560683805731]
    ),
    GradientsRow(
        "aligned-mtl-median",
        lambda: gates.AlignedMTL("median"),
        [_CONFLICT],
        [2.10927287937304, 1.66312766923998, 1.29317697146972],
    ),
    GradientsRow(
        "aligned-mtl-rmse",
        lambda: gates.AlignedMTL("rmse"),
        [_CONFLICT],
        [1.92983444190995, 1.52164335339425, 1.18316481638396],
    ),
    GradientsRow(  # TorchJD 0.18
        "aligned-mtl-mean",
        lambda: gates.AlignedMTL(preference=[1 / 3] * 3),
        [_CONFLICT],
        [0.382520851640278, 0.30161152624941, 0.234520227935244],
    ),
    GradientsRow(  # the exact projections; TorchJD 0.18 with reg_eps=1e-12 agrees to 1e-11
        "upgrad", lambda: gates.UPGrad(), [_CONFLICT], [0.717223256112031, 0.571003165704297, 0.474685638940853]
    ),
    # ConFIG: TorchJD 0.18 and the official code agree
    GradientsRow(
        "config", lambda: gates.ConFIG(), [_CONFLICT], [1.37691530670286, 1.02488793069824, 0.726118443034124]
    ),
    *[
        GradientsRow(
            f"config-{length}",
            lambda length=length: gates.ConFIG(length),
            [_CONFLICT],
            [g * first / 0.339169429234037 for g in (1.37691530670286, 1.02488793069824, 0.726118443034124)],
        )
        for length, first in [  # the first element of the official d
            ("min", 0.269436112670603),
            ("max", 0.40222502114618),
            ("harmonic", 0.330066546239484),
            ("geometric", 0.334659402309041),
        ]
    ],
    GradientsRow(  # d = sqrt(2) 3.5 (1, 1) / sqrt(2)
        "config-mean", lambda: gates.ConFIG("mean"), [_LENGTHS], [3.5 / 3, 3.5 / 4]
    ),
    GradientsRow(  # seed 3 draws the orders (1, 2), (2, 0), (0, 1)
        "pcgrad",
        lambda: gates.PCGrad(seed=3),
        [_CONFLICT],
        [1.92967032967033, 1.61585466556565, 1.3242922780495],
    ),
    GradientsRow(
        "pcgrad-code", lambda: gates.PCGrad("code"), [_CONFLICT], [1.88571428571429, 1.61585466556565, 1.40780876156599]
    ),
    GradientsRow(
        "pcgrad-mean",
        lambda: gates.PCGrad("code", reduction="mean"),
        [_CONFLICT],
        [1.88571428571429 / 3, 1.61585466556565 / 3, 1.40780876156599 / 3],
    ),
    GradientsRow(  # the rule step by step, in the orders that seed 3 draws: (1, 2), (2, 0), (0, 1) in both steps
        "grad-vac",
        lambda: gates.GradVac(0.5, seed=3),
        [_CONFLICT, _CONFLICT],
        [1.46893523918631, 1.26549034211708, 1.1436927827485],
    ),
    GradientsRow(  # no conflict: phi stays 0, where with "all" it rises to 0.4 and the second step turns (3, 0)
        "grad-vac-below",
        lambda: gates.GradVac(0.5, seed=0, follow="below"),
        [[[1, 2], [2, 1]], _LENGTHS],
        [1, 1],
    ),
    GradientsRow(  # phi = 0.4 turns (3, 0) by 3 * 0.4 / (4 sqrt(1 - 0.16)) of (0, 4), and the other way round
        "grad-vac-all",
        lambda: gates.GradVac(0.5, seed=0),
        [[[1, 2], [2, 1]], _LENGTHS],
        [1 + 1.6 / (3 * sqrt(0.84)), 1 + 1.2 / (4 * sqrt(0.84))],
    ),
]
