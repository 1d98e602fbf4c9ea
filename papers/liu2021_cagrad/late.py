"""PCGrad and CAGrad at scale 0.1 from (9, 9): when the path comes to the Pareto set, with one thing changed at a time.

Written out here, as neither gates nor Keras have most of the options. All candidates and starts are columns of one
program, but for those that need other code: single precision, and the solver of the official code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize

from papers.liu2021_cagrad.config import Config
from papers.liu2021_cagrad.problem import FLOOR, losses, reached, stationarity

START = (9.0, 9.0)
#: How many starts beside it, and how far.
BESIDE, APART = 31, 1e-4
#: When the places are recorded, in parts of the paper's number of steps.
MARKS = (0.7, 1, 2, 4)
BASELINE, CLIPPED, CODE = "as run", "clipped to length 1", "as the code"
#: Steps from one look at the places to the next.
LOOK = 500
#: Of how many looks one is kept.
COURSE = 4


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A change of what `run.py` did before this was looked at: the defaults, of which clipping alone was wrong.

    Args:
        scale: of the first loss.
        rate: of Adam.
        epsilon: of Adam.
        torch: whether epsilon is added after the correction of the second moment, as PyTorch does, not before.
        corrected: whether Adam's moments are corrected for their start at 0.
        factor: of the direction.
        clip: the length that a direction is cut to.
        floor: what the logarithms' arguments are not below.
        added: CAGrad's numbers under the roots and beside the lengths.
        slsqp: whether CAGrad's inner problem is given to SciPy's SLSQP, as in the official code.
        dtype: of everything.
    """

    scale: float = 0.1
    rate: float = 1e-3
    epsilon: float = 1e-8
    torch: bool = False
    corrected: bool = True
    factor: float = 1.0
    clip: float = np.inf
    floor: float = FLOOR
    added: float = 0.0
    slsqp: bool = False
    dtype: str = "float64"


_OF_BOTH = {
    BASELINE: Candidate(),
    CODE: Candidate(torch=True, factor=2.0, clip=1.0, added=1e-8, slsqp=True, dtype="float32"),
    CLIPPED: Candidate(clip=1.0),
    "twice the direction": Candidate(factor=2.0),
    "float32": Candidate(dtype="float32"),
    "epsilon 1e-7": Candidate(epsilon=1e-7),
    "PyTorch's epsilon": Candidate(torch=True),
    "no bias correction": Candidate(corrected=False),
    "floor 1e-4": Candidate(floor=1e-4),
    "floor 1e-8": Candidate(floor=1e-8),
    "rate 5e-4": Candidate(rate=5e-4),
    "rate 2e-3": Candidate(rate=2e-3),
    "scale 1": Candidate(scale=1.0),
}
_OF_CAGRAD = {
    "1e-8 added": Candidate(added=1e-8),
    "1e-4 added": Candidate(added=1e-4),
    "SLSQP": Candidate(added=1e-8, slsqp=True),
}


def candidates(method: str) -> dict[str, Candidate]:
    """Of `method`, by name."""
    if method.startswith("CAGrad"):
        return {**_OF_BOTH, **_OF_CAGRAD}
    return {name: dataclasses.replace(one, slsqp=False, added=0.0) for name, one in _OF_BOTH.items()}


class State(NamedTuple):
    """Places `[2, candidates, starts]` with Adam's moments, and the number of the step."""

    x: tf.Tensor
    mean: tf.Tensor
    square: tf.Tensor
    step: tf.Tensor


class Descents:
    """Candidates that differ in numbers alone, all starts of each, side by side."""

    def __init__(self, method: str, some: Iterable[Candidate], xla: bool) -> None:
        some = list(some)
        [self.dtype] = {one.dtype for one in some}
        [self.slsqp] = {one.slsqp for one in some}
        name, _, number = method.partition(" ")
        self.radius = float(number or 0)
        self.direction = {"PCGrad": self._pcgrad, "CAGrad": self._cagrad}[name]
        fields = ("scale", "rate", "epsilon", "torch", "corrected", "factor", "clip", "floor", "added")
        self.of = {
            field: tf.constant(np.array([[getattr(one, field)] for one in some], self.dtype)) for field in fields
        }
        self.advance = tf.function(self._advance, jit_compile=xla, autograph=False)

    def start(self, places: np.ndarray) -> State:
        """At `places` `[2, starts]`, the same for each candidate."""
        count = self.of["scale"].shape[0]
        x = tf.constant(np.repeat(places[:, None], count, axis=1), self.dtype)
        return State(x, tf.zeros_like(x), tf.zeros_like(x), tf.constant(0.0, self.dtype))

    def _advance(self, state: State, count: tf.Tensor) -> State:
        def step(left: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            return left - 1, self._adam(state, self._clipped(self.direction(*self._gradients(state.x))))

        return tf.while_loop(lambda left, _: left > 0, step, (count, state))[1]

    def _gradients(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            first, second = losses(x, self.of["scale"], self.of["floor"])
        return tape.gradient(first, x), tape.gradient(second, x)

    def _pcgrad(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """The mean of the two, each without its part along the other where they conflict."""
        conflict = tf.minimum(_dot(first, second), 0.0)
        parts = (tf.math.divide_no_nan(conflict, _dot(one, one)) for one in (first, second))
        return sum((1 - part) * one for part, one in zip(parts, (first, second), strict=True)) / 2

    def _cagrad(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        mean = (first + second) / 2
        radius = self.radius * tf.sqrt(_dot(mean, mean) + self.of["added"]) + self.of["added"]
        part = self._searched(first, second, radius) if self.slsqp else self._closed(first, second, mean, radius)
        mixed = part * first + (1 - part) * second
        found = mean + tf.math.divide_no_nan(radius, tf.sqrt(_dot(mixed, mixed)) + self.of["added"]) * mixed
        return found / (1 + self.radius**2)

    def _closed(self, first: tf.Tensor, second: tf.Tensor, mean: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
        """The x in [0, 1] that minimizes x first . mean + (1 - x) second . mean + radius |x first + (1 - x) second|.

        With b = first - second the length is sqrt(b'b (x - x0)^2 + h^2), h the distance of 0 from the line through the
        two; the slope is 0 where (x - x0) / length = p = -b . mean / (radius b'b).
        """
        b = first - second
        square = _dot(b, b)
        off = tf.abs(first[0] * second[1] - first[1] * second[0])
        height = tf.sqrt(tf.math.divide_no_nan(off**2, square) + self.of["added"])
        aim = -tf.math.divide_no_nan(_dot(b, mean), radius * square)
        inside = 1 - aim**2 * square
        far = tf.sign(aim) * tf.constant(2.0, b.dtype)
        reach = aim * height / tf.sqrt(tf.where(inside > 0, inside, tf.ones_like(inside)))
        part = tf.where(inside > 0, reach - tf.math.divide_no_nan(_dot(second, b), square), far)
        return tf.clip_by_value(part, 0.0, 1.0)

    def _searched(self, first: tf.Tensor, second: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
        """The same by SLSQP from equal parts, to its default tolerance."""

        def solve(first: np.ndarray, second: np.ndarray, radius: np.ndarray, added: np.ndarray) -> np.ndarray:
            found = np.empty_like(radius)
            for place in np.ndindex(radius.shape):
                column = (slice(None), *place)
                both = np.stack([one[column] for one in (first, second)], axis=1)
                products = (both.T @ both).astype(float)
                found[place] = _slsqp(products, float(radius[place]), float(added[place[0], 0]))
            return found

        given = [first, second, radius, self.of["added"]]
        found = tf.numpy_function(solve, given, first.dtype, stateful=False)
        return tf.ensure_shape(found, radius.shape)

    def _clipped(self, direction: tf.Tensor) -> tf.Tensor:
        direction *= self.of["factor"]
        length = tf.sqrt(_dot(direction, direction))
        return direction * tf.minimum(self.of["clip"] / (length + 1e-6), 1.0)

    def _adam(self, state: State, direction: tf.Tensor) -> State:
        step = state.step + 1
        mean = 0.9 * state.mean + 0.1 * direction
        square = 0.999 * state.square + 0.001 * direction**2
        corrected = self.of["corrected"] > 0
        of_mean = tf.where(corrected, 1 - 0.9**step, 1.0)
        of_square = tf.where(corrected, tf.sqrt(1 - 0.999**step), 1.0)
        epsilon = self.of["epsilon"] * tf.where(self.of["torch"] > 0, of_square, 1.0)
        moved = self.of["rate"] * of_square / of_mean * mean / (tf.sqrt(square) + epsilon)
        return State(state.x - moved, mean, square, step)


def _dot(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(one * other, axis=0)


def _slsqp(products: np.ndarray, radius: float, added: float) -> float:
    equal = np.full(2, 0.5)

    def value(parts: np.ndarray) -> float:
        return parts @ products @ equal + radius * np.sqrt(parts @ products @ parts + added)

    bounds = [(0, 1), (0, 1)]
    found = minimize(value, equal, bounds=bounds, constraints={"type": "eq", "fun": lambda parts: 1 - parts.sum()})
    return float(found.x[0])


def run(config: Config, method: str, progress: Callable[[float], None]) -> dict[str, Any]:
    """For each candidate: where the path from (9, 9) is after some steps, and when it and those beside it arrive."""
    places = np.array([START]).T + APART * np.random.default_rng(0).uniform(-1, 1, [2, BESIDE + 1])
    places[:, 0] = START
    marks = [round(part * config.short) for part in MARKS]
    found = {}
    every = candidates(method)
    groups: dict[tuple[str, bool], list[str]] = {}
    for name, one in every.items():
        groups.setdefault((one.dtype, one.slsqp), []).append(name)
    for number, ((_, slsqp), names) in enumerate(groups.items()):
        descents = Descents(method, (every[name] for name in names), xla=not slsqp)
        # The solver is no compiled code: no starts beside it, and no more steps than the paper has.
        paths = _followed(descents, *((places[:, :1], marks[:2]) if slsqp else (places, marks)))
        found.update({name: paths(row) for row, name in enumerate(names)})
        progress((number + 1) / len(groups))
    return {"starts": len(places[0]), "candidates": {name: found[name] for name in every}}


def _followed(descents: Descents, places: np.ndarray, marks: list[int]) -> Callable[[int], dict[str, Any]]:
    """A function of a candidate's row that gives what is known of its paths."""
    state = descents.start(places)
    arrived = np.full(state.x.shape[1:], np.inf)
    at: dict[int, np.ndarray] = {}
    course = [state.x.numpy()[1, :, 0]]
    look = min(LOOK, marks[0])
    for done in range(look, marks[-1] + 1, look):
        state = descents.advance(state, tf.constant(look))
        x = tf.cast(state.x, tf.float64)
        short = stationarity(x).numpy()
        there = np.vectorize(reached, signature="(n),()->()")(np.moveaxis(x.numpy(), 0, -1), short)
        arrived[there & np.isinf(arrived)] = done
        course.append(x.numpy()[1, :, 0])
        if done in marks:
            at[done] = x.numpy()

    def of(row: int) -> dict[str, Any]:
        heights = {done: x[1, row] for done, x in at.items()}
        return {
            "at": {str(done): np.round(x[:, row, 0], 4).tolist() for done, x in at.items()},
            "lowest": {str(done): round(float(x2.min()), 4) for done, x2 in heights.items()},
            "highest": {str(done): round(float(x2.max()), 4) for done, x2 in heights.items()},
            "arrived": [None if np.isinf(one) else int(one) for one in arrived[row]],
            "course": np.round(np.array(course)[::COURSE, row], 2).tolist(),
        }

    return of
