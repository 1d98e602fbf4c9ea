"""`blendloss recover`: whether a likelihood gate finds the law of residuals, and how efficient score matching is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from blendloss._command.contaminated import Contaminated, normal_log_density
from blendloss.console.numbers import require_finite
from blendloss.console.screen import screen

_CONTAMINATED = Contaminated(share=0.1, width=10.0)
_LEVEL = 0.9
_OBSERVATIONS = 8  # after these, the scale of `ScoreMatching` has converged
# r = sinh(t) > 0 at evenly spaced t, because all laws here are even. Cauchy's law has 1e-10 of its mass beyond 10^10.
_PLACES, _STEP = np.linspace(0, 24, 1 << 17, endpoint=False, retstep=True)
_R, _CELLS = np.sinh(_PLACES + _STEP / 2), np.cosh(_PLACES + _STEP / 2) * _STEP


class NoiseLaw(NamedTuple):
    """A law of residuals: `draw(generator, n)`, `log_density(r)`, `score(r)` = -p'/p, and its entropy in nats."""

    name: str
    draw: Callable[[np.random.Generator, int], np.ndarray]
    log_density: Callable[[np.ndarray], np.ndarray]
    score: Callable[[np.ndarray], np.ndarray]
    entropy: float

    def expectation(self, values: np.ndarray) -> float:
        """The expectation of an even function with `values` at `_R`."""
        return float(2 * np.sum(np.exp(self.log_density(_R)) * values * _CELLS))

    def efficiency(self, slope: Callable[[np.ndarray], np.ndarray]) -> float:
        """1 / (V I) for an estimate with the odd slope psi: V = E psi^2 / (E psi')^2, Fisher's information I = E s^2.

        Integration by parts gives E psi' = E psi s with the score s. The efficiency is the squared correlation of both.
        """
        psi, score = slope(_R), self.score(_R)
        return self.expectation(psi * score) ** 2 / self.expectation(psi**2) / self.expectation(score**2)


def _entropy_of_contaminated() -> float:
    r = _CONTAMINATED.grid()
    return -_CONTAMINATED.mean(_CONTAMINATED.log_density(r), r)


def _student_entropy() -> float:
    """Entropy, 3 degrees: 2 (psi(2) - psi(3/2)) + log(sqrt 3 B(3/2, 1/2)), psi(2) - psi(3/2) = 2 log 2 - 1."""
    return 2 * (2 * math.log(2) - 1) + math.log(math.sqrt(3) * math.pi / 2)


LAWS = (
    NoiseLaw(
        "Gaussian",
        lambda g, n: g.normal(size=n),
        normal_log_density,
        lambda r: r,
        0.5 * math.log(2 * math.pi * math.e),
    ),
    NoiseLaw("Laplace", lambda g, n: g.laplace(size=n), lambda r: -np.abs(r) - math.log(2), np.sign, 1 + math.log(2)),
    NoiseLaw(
        "Student-t(3)",
        lambda g, n: g.standard_t(3, size=n),
        lambda r: -2 * np.log1p(r**2 / 3) - math.log(math.sqrt(3) * math.pi / 2),
        lambda r: 4 * r / (3 + r**2),
        _student_entropy(),
    ),
    NoiseLaw(
        "Cauchy",
        lambda g, n: g.standard_cauchy(size=n),
        lambda r: -np.log1p(r**2) - math.log(math.pi),
        lambda r: 2 * r / (1 + r**2),
        math.log(4 * math.pi),
    ),
    NoiseLaw(
        "contaminated",
        _CONTAMINATED.draw,
        _CONTAMINATED.log_density,
        _CONTAMINATED.score,
        _entropy_of_contaminated(),
    ),
)


def losses() -> dict[str, Any]:
    """The four losses. Thresholds have an efficiency of 95 %; squared is r^2 / 2."""
    from blendloss import losses as library

    return {
        "squared": library.SquaredError(math.sqrt(2)),
        "Huber": library.Huber.tuned(0.95),
        "absolute": library.AbsoluteError(),
        "Cauchy": library.Cauchy.tuned(0.95),
    }


class Fitter:
    """Fits g, and then g and c, of an `ExponentialFamily` over given losses. Traced once for all data."""

    def __init__(self, blended: dict[str, Any]) -> None:
        from blendloss import Blend, gates
        from blendloss._blend.minimizer import minimizer

        self.gate = gates.ExponentialFamily(learn_scale=True, dtype="float64")
        self.blend = Blend(blended, self.gate)
        self.start = np.array(self.gate.parameters)
        self.convex = minimizer(self.blend, [self.gate.parameters], 1e-7, 200)
        self.joint = minimizer(self.blend, self.blend.trainable_variables, 1e-7, 200)

    def fit(self, residuals: np.ndarray) -> float:
        """Fits, and returns the negative log-likelihood per residual."""
        import tensorflow as tf

        # If c is fixed at the robust standard deviation, there is one minimum. The joint fit starts from it.
        self.gate.log_scale.assign(math.log(np.median(np.abs(residuals)) / 0.6745))
        self.gate.parameters.assign(self.start)
        data = (tf.zeros([len(residuals), 1], tf.float64), tf.constant(residuals[:, np.newaxis]), None, None)
        self.convex(*data)
        return float(self.joint(*data)[0])


class ScoreMatched(NamedTuple):
    """The result of score matching: the slope of its blend, and the best single loss with its slope."""

    blend: Callable[[np.ndarray], np.ndarray]
    best: str
    best_slope: Callable[[np.ndarray], np.ndarray]


def match_scores(residuals: np.ndarray) -> ScoreMatched:
    """The blend of `m_estimators` that `ScoreMatching` finds for these residuals."""
    import tensorflow as tf

    from blendloss import Blend, gates
    from blendloss import losses as library

    penalties = library.m_estimators()
    gate = gates.ScoreMatching(memory=1, every=1, dtype="float64")  # its sums are those of the last residuals
    Blend(penalties, gate)
    for _ in range(_OBSERVATIONS):
        gate.observe(residuals)
    logits, totals, scale = (np.asarray(part) for part in gate.batch_independent_gating())
    weights = dict(zip(penalties, np.exp(logits) * totals, strict=True))
    found = gate.efficiencies()
    best = max(found, key=lambda name: found[name].value)

    def slope(name: str, r: np.ndarray) -> np.ndarray:
        return np.asarray(penalties[name].slope(tf.constant(r / scale)))

    return ScoreMatched(
        lambda r: np.asarray(sum(weight * slope(name, r) for name, weight in weights.items())),
        best,
        lambda r: slope(best, r),
    )


class Recovery(NamedTuple):
    """The fits to residuals of one law. Likelihoods are in nats per residual; efficiencies are under the true law."""

    law: NoiseLaw
    fitted: float
    true: float
    single: str
    single_fitted: float
    weights: dict[str, float]
    scale: float
    coverage: float
    efficiency: float
    best: str
    best_efficiency: float


def recover(n: int, seed: int, progress: Callable[[str], None] = lambda done: None) -> list[Recovery]:
    """Fits the blend, and each single loss, to `n` residuals of every law.

    Args:
        n: the number of residuals of each law.
        seed: the seed of the residuals.
        progress: a function that is called with the name of each finished law.
    """
    blended = losses()
    blend, singles = Fitter(blended), {name: Fitter({name: loss}) for name, loss in blended.items()}
    found = []
    for number, law in enumerate(LAWS):
        residuals, fresh = (law.draw(np.random.default_rng([seed, number, part]), n) for part in range(2))
        alone = {name: fitter.fit(residuals) for name, fitter in singles.items()}
        fitted = blend.fit(residuals)
        weights, scale = (np.array(value) for value in blend.gate.weights_and_scale())
        named = dict(zip(blended, weights.tolist(), strict=True))
        require_finite(f"the fit to the {law.name} residuals", {"NLL": fitted, "c": float(scale), **named, **alone})
        low, high = (float(end) for end in blend.gate.interval(np.float64(0), _LEVEL))
        best = min(alone, key=alone.__getitem__)
        by_score = match_scores(residuals)
        found.append(
            Recovery(
                law=law,
                fitted=fitted,
                true=float(-law.log_density(residuals).mean()),
                single=best,
                single_fitted=alone[best],
                weights=named,
                scale=float(scale),
                coverage=float(((low <= fresh) & (fresh <= high)).mean()),
                efficiency=law.efficiency(by_score.blend),
                best=by_score.best,
                best_efficiency=law.efficiency(by_score.best_slope),
            )
        )
        progress(law.name)
    return found


def run(n: int, seed: int) -> None:
    """Prints the recovery table."""
    console = screen()
    console.print("[bold]Which law do these residuals have?[/bold]")
    console.print(
        f"A likelihood gate over four losses is fitted to {n:,} residuals of each law (seed {seed}); 'contaminated' is "
        f"normal, {_CONTAMINATED.share:.0%} of it {_CONTAMINATED.width:g} times as wide. NLL: mean negative "
        "log-likelihood, in nats."
    )
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("fitting", total=len(LAWS))
        found = recover(n, seed, lambda name: bar.update(task, advance=1, description=name))
    console.print(_table(found))
    console.print(
        "squared is r^2 / 2; the thresholds of Huber and Cauchy have an efficiency of 95 %, in units of c. Alone: the "
        f"best of the four, with its own weight and scale. Interval: the share of {n:,} new residuals inside. "
        "Efficiency: 1 / (the law's Fisher information times the variance of an estimate), for the six losses of "
        "m_estimators() with the weights that ScoreMatching finds, and for the best single loss that it finds."
    )


def _table(found: list[Recovery]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for row in found:
        table.add_column(row.law.name, justify="right", no_wrap=True)

    def add(label: str, form: str, value: Callable[[Recovery], Any]) -> None:
        table.add_row(label, *(format(value(row), form) for row in found))

    add("entropy of the law", ".4f", lambda row: row.law.entropy)
    add("NLL of the fit", ".4f", lambda row: row.fitted)
    add("  over the true law's", "+.4f", lambda row: row.fitted - row.true)
    for name in losses():
        add(f"g of {name}", ".3f", lambda row: row.weights[name])  # noqa: B023, called at once
    add("c", ".3f", lambda row: row.scale)
    add("best loss alone", "", lambda row: row.single)
    add("  its NLL", ".4f", lambda row: row.single_fitted)
    add(f"{_LEVEL:.0%} interval", ".1%", lambda row: row.coverage)
    add("efficiency of blend", ".3f", lambda row: row.efficiency)
    add("best loss of the six", "", lambda row: row.best)
    add("  its efficiency", ".3f", lambda row: row.best_efficiency)
    return table
