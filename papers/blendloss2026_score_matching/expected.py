"""The study's own hypotheses, stated before the runs, and what is published of the convex case.

"Better": the mean difference of the logarithms of the errors, paired by seed, is below 0 with its 99 % interval.
"""

from __future__ import annotations

import numpy as np

from papers._claim import Claim, Ours, Runs, holds, number
from papers.blendloss2026_score_matching.config import EARLIER, LOCATION, POPULATION
from papers.blendloss2026_score_matching.location import ESTIMATES, KNOWN, OWN
from papers.blendloss2026_score_matching.study import (
    MAIN,
    fair_regret,
    found_in,
    large,
    least_regret,
    of_switching,
    overfitted,
    signed,
    skewed,
    symmetric,
    worst,
)
from papers.blendloss2026_switching.study import interval, percent

HYPOTHESIS = "hypothesis of this study (stated before the runs)"
LATER = "hypothesis stated later, before the runs of this arm"
CONVEX = ("MSE alone", "Huber alone", "MAE alone")


def _regret(runs: Runs, cells: str) -> Ours:
    """At most 0 in the mean over seeds, in hindsight."""
    found = found_in(runs, MAIN)
    values = found.regret(MAIN)[_CELLS[cells](found)].mean(0)
    return holds(values.mean() <= 0, signed(values))


_CELLS = {
    "switching": of_switching,
    "all": lambda found: found.where(),
    "symmetric": symmetric,
    "large": large,
}


def _fair(runs: Runs) -> Ours:
    found = found_in(runs, MAIN)
    values = fair_regret(found, MAIN).mean(0)
    of_them = fair_regret(found, MAIN)[symmetric(found)].mean(0)
    return holds(interval(values)[1] < 0, f"{signed(values)}; without skewed noise {signed(of_them)}")


def _rank(runs: Runs) -> Ours:
    found = found_in(runs, *EARLIER, MAIN)
    arms, ranks = found.arms, found.ranks(found.where())
    ours = arms.index(MAIN)
    low, high = interval(ranks)
    order = np.argsort(ranks.mean(-1))
    seen = [f"{arms[k]} {ranks[k].mean():.2f} ({low[k]:.2f} to {high[k]:.2f})" for k in order]
    return holds(order[0] == ours and high[ours] < np.delete(low, ours).min(), ", ".join(seen))


def _none_above(runs: Runs, cells: str, most: float) -> Ours:
    found = found_in(runs, MAIN)
    chosen = _CELLS[cells](found)
    means = percent(found.regret(MAIN)[chosen].mean(-1))
    above = int(np.sum(means > most))
    return holds(above == 0, f"above in {above} of {len(chosen)} cells; the worst: {worst(found, MAIN, chosen)}")


def _often(runs: Runs) -> Ours:
    found = found_in(runs, MAIN)
    low, high = interval(found.regret(MAIN))
    better, worse = int(np.sum(high < 0)), int(np.sum(low > 0))
    return holds(better > worse, f"better in {better}, worse in {worse} of {len(found.cells)} cells")


def _convex(runs: Runs) -> Ours:
    found = found_in(runs, MAIN, "convex")
    best = least_regret(found, CONVEX, found.where())
    to_best = (found.of("convex") - found.of(best)).mean(0)
    to_full = (found.of("convex") - found.of(MAIN)).mean(0)
    between = interval(to_best)[1] < 0 and interval(to_full)[0] > 0
    return holds(between, f"to {best}: {signed(to_best)}; to the full set: {signed(to_full)}")


def _close(runs: Runs, mode: str) -> Ours:
    found = found_in(runs, MAIN, mode)
    ratio = (found.of(mode) - found.of(MAIN)).mean(0)
    return holds(abs(percent(ratio.mean())) <= 2, signed(ratio))


def _default_set(runs: Runs) -> Ours:
    """Both differences are within their bounds, in the mean over cells."""
    found = found_in(runs, MAIN, "default set")
    ratio = found.of("default set") - found.of(MAIN)
    everywhere, usual = ratio.mean(0), ratio[symmetric(found)].mean(0)
    holding = abs(percent(everywhere.mean())) <= 1 and abs(percent(usual.mean())) <= 1
    return holds(holding, f"{signed(everywhere)}; without skewed noise {signed(usual)}")


def _regret_of_default_set(runs: Runs) -> Ours:
    found = found_in(runs, "default set")
    values = found.regret("default set")[of_switching(found)].mean(0)
    return holds(values.mean() <= 0, signed(values))


def _held_out(runs: Runs) -> Ours:
    found = found_in(runs, MAIN, "held-out")
    ratio = found.of("held-out") - found.of(MAIN)
    few = ratio[overfitted(found)].mean(0)
    return holds(interval(few)[1] < 0, f"{signed(few)}; over all cells {signed(ratio.mean(0))}")


def _memory(runs: Runs) -> Ours:
    found = found_in(runs, MAIN, "memory of 300")
    ratio = found.of(MAIN) - found.of("memory of 300")
    few, many = ratio[overfitted(found)].mean(0), ratio[large(found)].mean(0)
    holding = interval(few)[1] < 0 and abs(percent(many.mean())) <= 1
    return holds(holding, f"n = 50 and 100, ten features: {signed(few)}; from n = 1000: {signed(many)}")


def _gates(runs: Runs) -> Ours:
    found = found_in(runs, MAIN, *EARLIER)
    ratios = {gate: (found.of(MAIN) - found.of(gate)).mean(0) for gate in EARLIER}
    return holds(
        all(interval(ratio)[1] < 0 for ratio in ratios.values()),
        "; ".join(f"to {gate}: {signed(ratio)}" for gate, ratio in ratios.items()),
    )


def _skewed(runs: Runs) -> Ours:
    found = found_in(runs, MAIN)
    cells = [k for k in skewed(found) if found.cells[k][0].startswith("n=1000 ")]
    ratios = {found.cells[k]: (found.of(MAIN) - found.of("MSE alone"))[k] for k in cells}
    return holds(
        all(interval(ratio)[0] > 0 for ratio in ratios.values()),
        "; ".join(f"{', '.join(cell)}: {signed(ratio)}" for cell, ratio in ratios.items()),
    )


def _location(runs: Runs, n: int, most: float, rivals: tuple[str, ...]) -> Ours:
    laws = runs.of(LOCATION)[0]["squared errors"][f"n={n}"]
    ratios = {law: location_ratio(runs, f"n={n}", law, MAIN, rivals) for law in laws}
    seen = ", ".join(f"{law} {ratio:.2f} ({low:.2f} to {high:.2f})" for law, (ratio, low, high) in ratios.items())
    return holds(all(ratio <= most for ratio, _, _ in ratios.values()), seen)


def location_ratio(
    runs: Runs, size: str, law: str, estimate: str, rivals: tuple[str, ...]
) -> tuple[float, float, float]:
    """The mean squared error of `estimate` over that of the best of `rivals` in hindsight, with a 99 % interval."""
    table = [result["squared errors"][size][law] for result in runs.of(LOCATION)]
    errors = np.array([[row[name] for row in table] for name in ESTIMATES])
    of = {name: errors[k] for k, name in enumerate(ESTIMATES)}
    best = of[min(rivals, key=lambda name: of[name].mean())]
    draws = np.random.default_rng(0).integers(0, len(table), (2000, len(table)))
    ratios = of[estimate][draws].mean(1) / best[draws].mean(1)
    low, high = np.quantile(ratios, [0.005, 0.995])
    return float(of[estimate].mean() / best.mean()), float(low), float(high)


def _never_worse(runs: Runs) -> Ours:
    laws = runs.of(POPULATION)[0]
    ratios = {law: min(v["singles"].values()) / v["blend"] for law, v in laws.items()}
    seen = ", ".join(f"{law} {ratio:.3f}" for law, ratio in ratios.items())
    return holds(min(ratios.values()) > 1 - 1e-9, f"the best single loss's variance over the blend's: {seen}")


def _sharp(runs: Runs) -> Ours:
    laws = {law: values for law, values in runs.of(POPULATION)[0].items() if law != "40 % outliers"}
    efficiencies = {law: values["bound"] / values["blend"] for law, values in laws.items()}
    return holds(
        min(efficiencies.values()) >= 0.95, ", ".join(f"{law} {value:.3f}" for law, value in efficiencies.items())
    )


CLAIMS = (
    *(
        Claim(name, hypothesis, HYPOTHESIS, measure)
        for name, hypothesis, measure in (
            (
                "regret, cells of the switching study",
                "the mean regret to the best of five single losses, known in hindsight, is at most 0",
                lambda runs: _regret(runs, "switching"),
            ),
            ("regret, all cells", "the same over all cells", lambda runs: _regret(runs, "all")),
            ("regret, without skewed noise", "the same without skewed noise", lambda runs: _regret(runs, "symmetric")),
            (
                "regret, chosen on other seeds",
                "better than the single loss that was the best on the other half of the seeds, over all cells",
                _fair,
            ),
            ("rank", "the lowest mean rank of the eight arms, its 99 % interval below all others'", _rank),
            (
                "worst cell",
                "without skewed noise, in no cell more than 10 % above the best single loss",
                lambda runs: _none_above(runs, "symmetric", 10),
            ),
            (
                "worst cell from n = 1000",
                "without skewed noise, in none with 1000 examples or more by more than 5 %",
                lambda runs: _none_above(runs, "large", 5),
            ),
            ("more often better", "in more cells better than the best single loss than worse", _often),
            ("convex", "convex losses alone: between the best single convex loss and the full set", _convex),
            ("hard", "the hard mode is within 2 % of the soft one", lambda runs: _close(runs, "hard")),
            ("annealed", "the annealed mode is within 2 % of the soft one", lambda runs: _close(runs, "annealed")),
            ("held-out", "better than the residuals of training with ten features and n = 50 or 100", _held_out),
            (
                "memory",
                "10 steps better than 300 with ten features and n = 50 or 100, and within 1 % from n = 1000",
                _memory,
            ),
            ("earlier gates", "better than the state and the likelihood gate, over all cells", _gates),
            ("skewed noise", "worse than MSE alone at n = 1000, for MSE alone estimates the mean", _skewed),
            *(
                (
                    f"location, n = {n}, {scale}",
                    f"at most {most} times the squared error of the best of five single losses, for six laws",
                    lambda runs, n=n, most=most, rivals=rivals: _location(runs, n, most, rivals),
                )
                for scale, rivals in (("scale known to these", KNOWN), ("scale estimated", OWN))
                for n, most in ((50, 1.1), (200, 1.1), (1000, 1.05))
            ),
            ("population", "no loss of the blend has a lower asymptotic variance, for seven laws", _never_worse),
            ("Fisher information", "an efficiency of 0.95 or more for six of these, 40 % outliers apart", _sharp),
        )
    ),
    Claim(
        "default set",
        "`m_estimators()` is within 1 % of the seven losses in the mean, over all cells and without skewed noise",
        LATER,
        _default_set,
    ),
    Claim(
        "regret of the default set, cells of the switching study",
        "its mean regret to the best of five single losses, known in hindsight, is at most 0",
        LATER,
        _regret_of_default_set,
    ),
    Claim(
        "convex loss at Cauchy noise",
        0.878,
        "Feng, Kao, Xu and Samworth (2024), arXiv 2403.16688: greater than 0.87 (abstract); its digits "
        "by their projection, the concave majorant of p(F^-1), in closed form",
        lambda runs: number(2 / runs.of(POPULATION)[0]["Cauchy"]["convex"]),
        digits=0.005,
        tolerance=0.01,
        why="six convex losses are not all of them",
    ),
)
