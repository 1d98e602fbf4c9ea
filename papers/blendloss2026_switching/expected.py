"""The study's own hypotheses, stated before the runs: nobody published the answers.

"Better": the mean difference of the logarithms of the errors, paired by seed, is below 0 with its 99 % interval.
"""

from __future__ import annotations

import numpy as np

from papers._claim import Claim, Ours, Runs, holds
from papers.blendloss2026_switching.config import PAPER
from papers.blendloss2026_switching.study import Study, interval, percent, study

HYPOTHESIS = "hypothesis of this study (stated before the runs)"
HEAVY = ("10 % outliers", "20 % outliers", "40 % outliers")


def _all(runs: Runs) -> Study:
    for arm in PAPER.blends:
        runs.of(arm)  # raises Missing
    return study(runs, PAPER.blends)


def _signed(log_ratios: np.ndarray) -> str:
    """The mean over seeds with its interval."""
    low, high = interval(log_ratios)
    return f"{percent(log_ratios.mean()):+.1f} % ({percent(low):+.1f} to {percent(high):+.1f})"


def _best(found: Study, cell: int) -> str:
    """The switching arm with the lowest mean logarithm in a cell."""
    return min(found.switching, key=lambda arm: found.of(arm)[cell].mean())


def _gaussian(runs: Runs) -> Ours:
    found = _all(runs)
    better = []
    for cell in found.where(["Gaussian"]):
        for arm in found.switching:
            ratio = found.of(arm)[cell] - found.of("MSE alone")[cell]
            if interval(ratio)[1] < 0:
                better.append(f"{arm} at {found.cells[cell][0]}: {_signed(ratio)}")
    return holds(not better, "better: " + "; ".join(better) if better else "none is better")


def _outliers(runs: Runs) -> Ours:
    found = _all(runs)
    cells = found.where(HEAVY)
    ratios = {cell: found.of(_best(found, cell))[cell] - found.of("Huber alone")[cell] for cell in cells}
    better = [cell for cell, ratio in ratios.items() if interval(ratio)[1] < 0]
    where = ", ".join(f"{found.cells[cell][1]} at {found.cells[cell][0]} ({_best(found, cell)})" for cell in better)
    return holds(len(better) == len(cells), f"in {len(better)} of {len(cells)} cells: {where or 'none'}")


def _mean_regrets(found: Study, cells: list[int]) -> dict[str, np.ndarray]:
    """By arm, a number a seed."""
    return {arm: found.regret(arm)[cells].mean(0) for arm in found.arms}


def _likelihood(runs: Runs) -> Ours:
    found = _all(runs)
    regrets = {arm: values.mean() for arm, values in _mean_regrets(found, found.where()).items()}
    least = sorted(found.switching, key=lambda arm: regrets[arm])
    return holds(least[0] == "likelihood", ", ".join(f"{arm} {percent(regrets[arm]):+.1f} %" for arm in least))


def _forgotten(runs: Runs) -> Ours:
    found = _all(runs)
    ratio = (found.of("hard switch") - found.of("Huber alone"))[found.where(HEAVY)].mean(0)
    return holds(abs(percent(ratio.mean())) < 2, _signed(ratio))


def _softness(runs: Runs) -> Ours:
    found = _all(runs)
    ratio = (found.of("crossfade") - found.of("hard switch"))[found.where(PAPER.laws)].mean(0)
    return holds(abs(percent(ratio.mean())) < 2, _signed(ratio))


def _state(runs: Runs) -> Ours:
    found = _all(runs)
    regrets = {}
    for name, laws in (("Gaussian", ["Gaussian"]), ("10 to 40 % outliers", HEAVY)):
        regrets[name] = found.regret("state")[found.where(laws)].mean(0)
    seen = "; ".join(f"{name}: {_signed(values)}" for name, values in regrets.items())
    return holds(all(percent(values.mean()) <= 5 for values in regrets.values()), seen)


def _plateau(runs: Runs) -> Ours:
    found = _all(runs)
    ratio = (found.of("plateau") - found.of("hard switch")).mean(0)
    return holds(interval(ratio)[1] < 0, _signed(ratio))


def _small(runs: Runs) -> Ours:
    found = _all(runs)
    gains = {}
    for n in (100, 1000):
        cells = found.where(PAPER.laws, f"n={n} ")
        gains[n] = np.mean([found.regret(_best(found, cell))[cell] for cell in cells], axis=0)
    seen = "; ".join(f"n = {n}: {_signed(values)}" for n, values in gains.items())
    return holds(interval(gains[100] - gains[1000])[1] < 0, seen)


def _flights(runs: Runs) -> Ours:
    found = _all(runs)
    mae, rmse = found.where(problem="flights")
    means = {arm: found.regret(arm)[[mae, rmse]].mean(-1) for arm in found.switching}
    both = [arm for arm, values in means.items() if max(values) < 0]
    one = {name: min(means, key=lambda arm: means[arm][k]) for k, name in enumerate(("MAE", "RMSE"))}
    best = "; ".join(
        f"{name}: {arm} {_signed(found.regret(arm)[mae + k])}" for k, (name, arm) in enumerate(one.items())
    )
    return holds(bool(both), f"{', '.join(both) or 'none'}; best in {best}")


def _rarely(runs: Runs) -> Ours:
    found = _all(runs)
    beaten = [k for k in found.where() if interval(found.regret(_best(found, k))[k])[1] < 0]
    return holds(
        2 * len(beaten) < len(found.cells), f"some switching arm is better in {len(beaten)} of {len(found.cells)}"
    )


def _insurance(runs: Runs) -> Ours:
    found = _all(runs)
    ranks = dict(zip(found.arms, found.ranks(found.where()).mean(-1), strict=True))
    order = sorted(ranks, key=lambda arm: ranks[arm])
    return holds(order[0] in found.switching, ", ".join(f"{arm} {ranks[arm]:.2f}" for arm in order))


CLAIMS = tuple(
    Claim(name, hypothesis, HYPOTHESIS, measure)
    for name, hypothesis, measure in (
        ("Gaussian noise", "no switching arm is better than MSE alone, at any size", _gaussian),
        ("outliers", "from 10 % on, the best switching arm is better than Huber alone, at every size", _outliers),
        ("likelihood", "of the switching arms, the likelihood gate has the least mean regret", _likelihood),
        ("a hard switch forgets", "with 10 to 40 % outliers it ends within 2 % of Huber alone", _forgotten),
        ("hard or soft", "crossfade and hard switch differ by less than 2 % over the laws and sizes", _softness),
        ("state", "its mean regret is at most 5 % with Gaussian noise, and with 10 to 40 % outliers", _state),
        ("plateau or clock", "a switch on the plateau is better than one at half-time, over all cells", _plateau),
        ("small samples", "the best switching arm gains more on the best single loss at n = 100 than at 1000", _small),
        ("flights", "some switching arm is below the best single loss in MAE, and in RMSE", _flights),
        ("rarely", "in fewer than half of the cells a switching arm is better than the best single loss", _rarely),
        ("not knowing the noise", "the lowest mean rank over all cells is a switching arm's", _insurance),
    )
)
