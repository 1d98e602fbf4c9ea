"""blendloss against TorchJD, side by side in float64: `make conformance`. Skipped where TorchJD is not installed."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

# Triton, which comes with torch for CUDA, crashes as it is loaded beside TensorFlow. Nothing here needs it.
sys.modules.setdefault("triton", None)
torch = pytest.importorskip("torch")
aggregation = pytest.importorskip("torchjd.aggregation")
scalarization = pytest.importorskip("torchjd.scalarization")
linalg = pytest.importorskip("torchjd.linalg")

NOT_OURS = (
    "CUDA initialization",  # torch for CUDA on a machine without
    "You are solving a parameterized problem that is not DPP",  # CVXPY, of speed
    "Solution may be inaccurate",  # CVXPY; the tolerances below judge that
)
pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}:UserWarning") for message in NOT_OURS]

SEEDS = range(4)
SIZES = (1, 2, 3, 11)


def gate(name: str, *args: Any, **kwargs: Any) -> bl.gates.Gate:
    if not hasattr(bl.gates, name):  # to be taken out with the last gate of this list
        pytest.skip(f"bl.gates.{name} is not there yet")
    return getattr(bl.gates, name)(*args, **kwargs, dtype="float64")


def blend_of(gate: bl.gates.Gate, k: int) -> bl.Blend:
    return bl.Blend([str(i) for i in range(k)], gate=gate)


def by_name(values: Any) -> dict[str, Any]:
    return {str(i): value for i, value in enumerate(values)}


def preference(k: int, seed: int = 9) -> np.ndarray:
    return np.random.default_rng([seed, k]).dirichlet(np.ones(k))


def ideal(k: int) -> np.ndarray:
    return -np.random.default_rng([8, k]).random(k)


# Scalarizers: the value, and the gradient in the losses


@dataclasses.dataclass
class Scalarizer:
    name: str
    ours: Callable[..., bl.gates.Gate]
    theirs: Callable[..., Any]
    # Both compute in float64; what is left is the rounding of a handful of operations on up to 11 terms.
    rtol: float = 1e-12
    sizes: tuple[int, ...] = SIZES

    def __str__(self) -> str:
        return self.name


SCALARIZERS = [
    Scalarizer("sum", lambda k: gate("Fixed", [1] * k), lambda k: scalarization.Sum()),
    Scalarizer("mean", lambda k: gate("Fixed", [1 / k] * k), lambda k: scalarization.Mean()),
    Scalarizer("GeometricMean", lambda k: gate("GeometricMean"), lambda k: scalarization.GeometricMean()),
    *(
        Scalarizer(
            f"SmoothTchebycheff-{mu}",
            lambda k, mu=mu: gate("SmoothTchebycheff", mu, preference(k).tolist(), ideal(k).tolist()),
            lambda k, mu=mu: scalarization.STCH(mu, torch.tensor(preference(k)), torch.tensor(ideal(k))),
            # The exponents are differences of the losses divided by mu: their rounding grows with them.
            rtol=1e-12 / mu,
        )
        for mu in (0.01, 0.1, 1.0)
    ),
    Scalarizer("SmoothTchebycheff-alike", lambda k: gate("SmoothTchebycheff", 0.5), lambda k: scalarization.STCH(0.5)),
    *(
        Scalarizer(
            f"PBI-{theta}",
            lambda k, theta=theta: gate("PBI", preference(k).tolist(), theta, ideal(k).tolist()),
            lambda k, theta=theta: scalarization.PBI(theta, torch.tensor(preference(k)), torch.tensor(ideal(k))),
            # TorchJD adds 1e-12 to the distance squared, which is above 5e-4 here (asserted below).
            rtol=1e-9,
            sizes=(2, 3, 11),  # one loss has no distance from its direction: there TorchJD's is 1e-6
        )
        for theta in (0.0, 0.5, 5.0)
    ),
    *(
        Scalarizer(
            f"COSMOS-{penalty}",
            lambda k, penalty=penalty: gate("COSMOS", preference(k).tolist(), penalty),
            lambda k, penalty=penalty: scalarization.COSMOS(penalty, torch.tensor(preference(k))),
        )
        for penalty in (0.0, 0.5, 8.0)
    ),
]


def losses(k: int, seed: int) -> np.ndarray:
    return np.exp(np.random.default_rng([seed, k]).normal(size=k))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("case", "k"), [(case, k) for case in SCALARIZERS for k in case.sizes], ids=str)
def test_value_and_gradient_are_those_of_the_scalarizer(case: Scalarizer, k: int, seed: int) -> None:
    given = losses(k, seed)
    x = tf.Variable(given)
    with tf.GradientTape() as tape:
        value = blend_of(case.ours(k), k).combine(by_name(tf.unstack(x)), step=0)
    y = torch.tensor(given, requires_grad=True)
    expected = case.theirs(k)(y)
    expected.backward()
    np.testing.assert_allclose(float(value), expected.item(), rtol=case.rtol)
    slope, expected_slope = tape.gradient(value, x).numpy(), y.grad.numpy()
    np.testing.assert_allclose(slope, expected_slope, rtol=0, atol=case.rtol * np.abs(expected_slope).max())


def test_the_losses_do_not_lie_along_the_preferences() -> None:
    for k in (2, 3, 11):
        for seed in SEEDS:
            shifted, unit = losses(k, seed) - ideal(k), preference(k) / np.linalg.norm(preference(k))
            assert np.sum((shifted - shifted @ unit * unit) ** 2) > 5e-4


# What trains in the gate


@dataclasses.dataclass
class Trained:
    name: str
    ours: Callable[[list[float]], bl.gates.Gate]
    theirs: Callable[[int], Any]
    parameter: str

    def __str__(self) -> str:
        return self.name


TRAINED = [
    Trained("UW", lambda s: gate("Uncertainty", initial=s), lambda k: scalarization.UW(k), "log_var"),
    Trained("IMTLL", lambda s: gate("IMTLL", initial=s), lambda k: scalarization.IMTLL(k), "log_scale"),
]


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("case", TRAINED, ids=str)
def test_what_trains_has_the_same_value_and_gradients(case: Trained, k: int) -> None:
    given, start = losses(k, 0), np.random.default_rng([7, k]).normal(size=k)
    blend = blend_of(case.ours(start.tolist()), k)
    x = tf.Variable(given)
    with tf.GradientTape() as tape:
        value = blend.combine(by_name(tf.unstack(x)), step=0)
    [s] = blend.trainable_variables
    theirs = case.theirs(k).double()
    parameter = getattr(theirs, case.parameter)
    parameter.data = torch.tensor(start)
    y = torch.tensor(given, requires_grad=True)
    expected = theirs(y)
    expected.backward()
    slope, slope_s = tape.gradient(value, [x, s.value])
    np.testing.assert_allclose(float(value), expected.item(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slope.numpy(), y.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(slope_s.numpy(), parameter.grad.numpy(), rtol=1e-12, atol=1e-12)


# What looks back


@pytest.mark.parametrize("decay", [0.0, 1e-3, 1e-1])
@pytest.mark.parametrize("k", [1, 2, 3, 11])
def test_famo_over_steps(k: int, decay: float) -> None:
    bounds = (ideal(k) / 2).tolist()
    ours = gate("FAMO", bounds, learning_rate=0.025, weight_decay=decay)
    blend = blend_of(ours, k)
    theirs = scalarization.FAMO(k, torch.tensor(bounds, dtype=torch.float64), lr=0.025, weight_decay=decay).double()
    for step in range(20):
        before, after = losses(k, 1000 + step), losses(k, 1000 + step) * np.exp(-losses(k, 2000 + step) / 10)
        y = torch.tensor(before, requires_grad=True)
        theirs(y).backward()
        weights = blend.compute_from_values(by_name(before), step=step).weights
        # Rounding, and 20 steps of Adam's square root of a running mean.
        np.testing.assert_allclose(weights, y.grad.numpy(), rtol=1e-10)
        ours.observe_progress(by_name(after))
        theirs.update(torch.tensor(after))


# Aggregators: the direction, from the rows of G


@dataclasses.dataclass
class Aggregator:
    name: str
    ours: Callable[..., bl.gates.Gate]
    theirs: Callable[..., Any]
    rtol: float  # of the direction, in its largest entry: what the two solvers leave
    # Ours divided by TorchJD's, where the one adds up over the losses and the other takes the mean.
    factor: Callable[[int], float] = lambda k: 1.0
    fit: Callable[[np.ndarray], bool] = lambda rows: True

    def __str__(self) -> str:
        return self.name


def exact_projection() -> Any:
    """TorchJD adds 1e-4 of the trace to the Gram matrix's diagonal, unless told to add less."""
    return linalg.QuadprogProjector(norm_eps=0.0, reg_eps=1e-13)


def independent(rows: np.ndarray) -> bool:
    return np.linalg.matrix_rank(rows) == len(rows)


def a_pair(rows: np.ndarray) -> bool:
    return len(rows) <= 2


AGGREGATORS = [
    # TorchJD hands CAGrad's cone program to Clarabel, whose gap of 1e-8 is 1e-4 in the argument. It does not rescale.
    *(
        Aggregator(
            f"CAGrad-{c}", lambda k, c=c: gate("CAGrad", c, rescale=0), lambda k, c=c: aggregation.CAGrad(c, 0.0), 3e-4
        )
        for c in (0.2, 0.4, 0.5, 0.9)
    ),
    # Its FairGrad calls SciPy's least squares, of tolerance 1e-8; alpha = 1 is Nash's bargaining solution.
    *(
        Aggregator(
            f"FairGrad-{alpha}",
            lambda k, alpha=alpha: gate("FairGrad", alpha),
            lambda k, alpha=alpha: aggregation.FairGrad(alpha),
            1e-7,
        )
        for alpha in (0.5, 1.0, 2.0)
    ),
    # Its NashMTL fails for one loss, and gives up without a word on some matrices, mostly where sizes differ. Its
    # FairGrad has the same solution; its own is compared for few rows of one size, which Nash's direction ignores.
    Aggregator("NashMTL", lambda k: gate("NashMTL", max_norm=None), lambda k: aggregation.FairGrad(1.0), 1e-7),
    Aggregator(
        "NashMTL-unit",
        lambda k: gate("NashMTL", max_norm=1.0),
        lambda k: lambda rows: aggregation.NashMTL(k)(rows / rows.norm(dim=1, keepdim=True)),
        1e-7,
        fit=lambda rows: len(rows) in (2, 3),
    ),
    # A pseudo-inverse there: where the rows depend on each other no direction projects alike on all.
    Aggregator("IMTLG", lambda k: gate("IMTLG"), lambda k: aggregation.IMTLG(), 1e-9, fit=independent),
    *(
        Aggregator(
            f"AlignedMTL-{mode}",
            lambda k, mode=mode: gate("AlignedMTL", mode),
            lambda k, mode=mode: aggregation.AlignedMTL(scale_mode=mode),
            1e-9,
            factor=float,  # a sum over the losses by the authors' code, their mean by TorchJD
        )
        for mode in ("min", "median", "rmse")
    ),
    # The orders of projections are drawn: only up to two losses have one alone.
    Aggregator("PCGrad", lambda k: gate("PCGrad", seed=0), lambda k: aggregation.PCGrad(), 1e-12, fit=a_pair),
    Aggregator("GradVac", lambda k: gate("GradVac", seed=0), lambda k: aggregation.GradVac(), 1e-7, fit=a_pair),
    Aggregator("ConFIG", lambda k: gate("ConFIG"), lambda k: aggregation.ConFIG(), 1e-9),
    Aggregator("UPGrad", lambda k: gate("UPGrad"), lambda k: aggregation.UPGrad(projector=exact_projection()), 1e-8),
]

# K rows of 16 numbers, of sizes that differ; and 5 rows in 3 dimensions, with a common direction of descent.
MATRICES = {
    f"{k}x16-{seed}": np.random.default_rng([seed, k]).normal(size=(k, 16))
    * np.exp(np.random.default_rng([seed, k, 1]).normal(size=(k, 1)))
    for k in (1, 2, 3, 7)
    for seed in SEEDS
} | {
    f"rank3-{seed}": (np.random.default_rng([seed, 3]).normal(size=(5, 3)) + [2, 0, 0])
    @ np.random.default_rng([seed, 3, 1]).normal(size=(3, 16))
    for seed in SEEDS
}


def direction(gate: bl.gates.Gate, rows: np.ndarray) -> np.ndarray:
    """The update of losses whose gradients are `rows`."""
    w = tf.Variable(np.zeros(rows.shape[1]))
    with tf.GradientTape(persistent=True) as tape:
        values = by_name(tf.unstack(tf.linalg.matvec(tf.constant(rows), w) + 1.0))
    [found] = blend_of(gate, len(rows)).gradients(tape, values, [w], step=0).gradients
    return np.array(found)


@pytest.mark.parametrize(
    ("case", "matrix"), [(case, name) for case in AGGREGATORS for name in MATRICES if case.fit(MATRICES[name])], ids=str
)
def test_direction_is_that_of_the_aggregator(case: Aggregator, matrix: str) -> None:
    rows = MATRICES[matrix]
    expected = case.theirs(len(rows))(torch.tensor(rows)).numpy() * case.factor(len(rows))
    found = direction(case.ours(len(rows)), rows)
    np.testing.assert_allclose(found, expected, rtol=0, atol=case.rtol * np.abs(expected).max())


@pytest.mark.parametrize("matrix", MATRICES)
def test_mgda_is_as_near_to_torchjds_as_that_is_to_the_minimum(matrix: str) -> None:
    # Frank and Wolfe's steps end far from the minimum (an error of 1e-2 after 10,000). Their duality gap bounds
    # |d - d*|^2, as |d|^2 is strongly convex in d; and nothing in the hull is shorter than d*.
    rows = MATRICES[matrix]
    d = direction(gate("MGDA"), rows)
    theirs = aggregation.MGDA(epsilon=1e-9, max_iters=1000)(torch.tensor(rows)).numpy()
    gap = theirs @ theirs - np.min(rows @ theirs)
    rounding = 1e-12 * np.max(rows**2)
    assert np.sum((d - theirs) ** 2) <= gap + rounding
    assert d @ d <= theirs @ theirs + rounding
