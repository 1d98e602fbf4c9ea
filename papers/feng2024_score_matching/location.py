"""What more losses cost in small samples: the squared error of a location estimate by the best blend of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from papers.feng2024_score_matching.laws import Law, law
from papers.feng2024_score_matching.penalties import slopes
from papers.feng2024_score_matching.program import moments, weights

#: The gate's own: b's bandwidth over n^(-1/5), and of how many residuals of normal noise A and b are shrunk to.
BANDWIDTH, PRIOR = 1.25, 20.0
#: The estimate is searched within 5 / sqrt(n) of the median, in units of the residuals' scale, at so many places.
_REACH, _PLACES = 5.0, 25
_ROUNDS = 2


def squared_errors(noise: Law, sets: Mapping[str, Sequence[str]], n: int, samples: int, seed: int) -> dict[str, float]:
    """n I E (estimate - truth)^2 for each set of losses: 1 is the bound for large n. All sets see the same samples.

    Weights follow from the residuals as `ScoreMatching`'s do, from those of the median first, then from those of the
    estimate that the weights give.
    """
    r = noise.drawn(np.random.default_rng(seed), (samples, n))
    median = np.median(r, axis=1)
    scale = 1.4826022185056018 * np.median(np.abs(r - median[:, np.newaxis]), axis=1)
    u = (r - median[:, np.newaxis]) / scale[:, np.newaxis]
    names = list(dict.fromkeys(name for some in sets.values() for name in some))
    places = np.linspace(-_REACH, _REACH, _PLACES) / np.sqrt(n)
    sums = np.stack([slopes(names, u - place).sum(axis=1) for place in places], axis=1)  # [samples, places, K]
    normal = law("normal", len(noise.r))
    found = {}
    for title, some in sets.items():
        of_set = sums[:, :, [names.index(name) for name in some]]
        estimate = np.zeros(samples)
        of_normal = moments(normal, some)
        for _ in range(_ROUNDS):
            g = weights(*_estimated(some, u - estimate[:, np.newaxis], of_normal))
            estimate = _least(places, np.einsum("spk,sk->sp", of_set, g))
        found[title] = float(n * noise.information * np.mean((median + scale * estimate) ** 2))
    return found


def _estimated(
    names: Sequence[str], u: np.ndarray, of_normal: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """A `[S, K, K]` and b `[S, K]` of samples `u` `[S, n]`, shrunk to those of normal noise."""
    n = u.shape[1]
    width = BANDWIDTH * n**-0.2
    psi = slopes(names, u)
    second = np.swapaxes(psi, 1, 2) @ psi / n
    curvature = (slopes(names, u + width) - slopes(names, u - width)).mean(axis=1) / (2 * width)
    share = n / (n + PRIOR)
    return tuple(share * part + (1 - share) * other for part, other in zip((second, curvature), of_normal, strict=True))


def _least(places: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Where the blended loss is least, `[S]`, from minus its derivative `slope` at `places`, linear in between."""
    rows, step = np.arange(len(slope)), places[1] - places[0]
    fallen = np.cumsum((slope[:, 1:] + slope[:, :-1]) / 2, axis=1)
    at = np.argmax(np.concatenate([np.zeros((len(slope), 1)), fallen], axis=1), axis=1)
    left = np.clip(np.where(slope[rows, at] > 0, at, at - 1), 0, len(places) - 2)
    before, after = slope[rows, left], slope[rows, left + 1]
    part = np.divide(before, before - after, out=np.full(len(slope), 0.5), where=before != after)
    return places[left] + step * np.clip(part, 0.0, 1.0)
