"""What may differ between our runs and those of the published table, each as a change of our baseline."""

from __future__ import annotations

from dataclasses import dataclass

BASELINE, SCRIPT, PAPER, EQUAL = "baseline", "as the script", "as the paper", "equal weights"


@dataclass(frozen=True)
class Candidate:
    """How the weight lambda of the boundary is found, and how the network is trained; the defaults are the baseline.

    Args:
        annealed: whether lambda is found at all; otherwise it stays 1.
        after: whether lambda is found after a step, from the same points and the new network, and used from the next
            step on; otherwise before the step, and used in it.
        own_weight: whether the denominator is the gradient of the weighted boundary loss.
        biases: whether biases count in the maximum and in the mean.
        by_layer: whether the mean is that of the layers' means; otherwise of all elements.
        old: the part of the old lambda in the new one.
        every: the steps from one lambda to the next.
        fixed_points: whether all steps have the points of the first.
        measured_scale: whether the inputs are normalized by mean and deviation of 1e5 points; otherwise by the exact
            ones.
        truncated: whether the first kernels come from a normal law that is cut at twice its deviation.
        epsilon: Adam's.
        more_layers: hidden layers beyond those of the size.
        dtype: of everything but the draws.
        xla: whether the steps are compiled by XLA.
        points: a number that is added to the seeds of the points.
    """

    annealed: bool = True
    after: bool = False
    own_weight: bool = True
    biases: bool = False
    by_layer: bool = True
    old: float = 0.9
    every: int = 10
    fixed_points: bool = False
    measured_scale: bool = False
    truncated: bool = False
    epsilon: float = 1e-8
    more_layers: int = 0
    dtype: str = "float32"
    xla: bool = True
    points: int = 0


#: In the order in which they are run.
CANDIDATES: dict[str, Candidate] = {
    BASELINE: Candidate(),
    SCRIPT: Candidate(after=True, measured_scale=True),
    # But for the own weight, without which nothing is learned: run first, and by itself, below.
    PAPER: Candidate(old=0.1, biases=True, by_layer=False),
    "one more layer": Candidate(more_layers=1),
    "no own weight": Candidate(own_weight=False),
    "0.9 on the new": Candidate(old=0.1),
    "biases count": Candidate(biases=True),
    "one mean": Candidate(by_layer=False),
    "lambda after the step": Candidate(after=True),
    "lambda in each step": Candidate(every=1),
    "measured scale": Candidate(measured_scale=True),
    "fixed points": Candidate(fixed_points=True),
    "truncated normal": Candidate(truncated=True),
    "epsilon 1e-7": Candidate(epsilon=1e-7),
    "float64": Candidate(dtype="float64"),
    "without XLA": Candidate(xla=False),
    # Added after the others were run: without XLA the same first weights, with other points, ended elsewhere.
    "other points": Candidate(points=1000),
    EQUAL: Candidate(annealed=False),
}
