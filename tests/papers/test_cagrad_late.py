"""What is written out for the late starts of CAGrad's toy does what gates, Keras's Adam and SciPy do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar

from papers.liu2021_cagrad import late, problem
from papers.liu2021_cagrad.config import LATE_METHODS
from papers.liu2021_cagrad.run import Descent

STARTS = np.array([[9.0, -3.0], [9.0, 4.0]])


def ends(method: str, some: list[late.Candidate], steps: int, starts: np.ndarray = STARTS) -> np.ndarray:
    descents = late.Descents(method, some, xla=False)
    return descents.advance(descents.start(starts), tf.constant(steps)).x.numpy()


@pytest.mark.parametrize("method", LATE_METHODS)
@pytest.mark.parametrize(("start", "steps"), [((9.0, 9.0), 150), ((5.1, 2.5), 50)])
def test_the_paths_are_those_of_gates_and_keras(method, start, steps):
    """The second start is beside a trench, where the direction is longer than 1 at first."""
    descent = Descent(method, 0.1, 1e-3)
    descent.start(start)
    descent.advance(tf.constant(steps))
    as_there = late.Candidate(factor=2.0, clip=1.0)
    found = ends(method, [as_there, late.Candidate()], steps, np.array([start]).T)[:, :, 0]
    # Keras rounds beta_2 to float32, which moves its bias correction by 6e-6 of a step.
    np.testing.assert_allclose(found[:, 0] - start, descent.x.numpy() - start, rtol=1e-4)
    clipping_matters = np.abs(found[:, 0] - found[:, 1]).max() > 1e-4
    assert clipping_matters == (start != (9.0, 9.0))


@pytest.mark.parametrize("method", LATE_METHODS)
def test_every_number_of_a_candidate_has_an_effect(method):
    some = late.candidates(method)
    names = [name for name, one in some.items() if one.dtype == "float64" and not one.slsqp]
    found = ends(method, [some[name] for name in names], 60)
    same = [name for place, name in enumerate(names) if np.array_equal(found[:, place], found[:, 0])]
    # Neither the logarithms' floor nor a length of 1 is met so early.
    assert set(same) == {late.BASELINE, late.CLIPPED, "floor 1e-4", "floor 1e-8"}


def test_the_floor_bounds_the_logarithms():
    x = np.array([[-7.0 - 2 * np.tanh(-3.0), 3.0]])
    low, high = (problem.losses(tf.constant(x.T), 1.0, floor)[0].numpy() for floor in (1e-8, 1e-4))
    np.testing.assert_allclose(high - low, np.log(1e4) * np.tanh(1.5), rtol=1e-6)


def test_a_long_direction_is_cut_and_a_short_one_is_not():
    descents = late.Descents("PCGrad", [late.Candidate(), late.Candidate(clip=1.0)], xla=False)
    direction = tf.constant([[[3.0, 0.3], [3.0, 0.3]], [[4.0, 0.4], [4.0, 0.4]]], tf.float64)
    found = descents._clipped(direction).numpy()
    np.testing.assert_array_equal(found[:, 0], direction[:, 0])
    np.testing.assert_allclose(found[:, 1].T, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)


def test_epsilon_of_pytorch():
    """Against Keras's, whose epsilon is the larger by the root of the second correction."""
    first = late.Descents("PCGrad", [late.Candidate(torch=True, epsilon=1e-2)], xla=False)
    start = first.start(np.array([[0.0], [0.0]]))
    direction = tf.constant([[[1e-2]], [[3.0]]], tf.float64)
    by_hand = [-1e-3 * g / (abs(g) + 1e-2) for g in (1e-2, 3.0)]
    np.testing.assert_allclose(first._adam(start, direction).x[:, 0, 0], by_hand, rtol=1e-9)
    keras_own = keras.optimizers.Adam(1e-3, epsilon=1e-2)
    x = tf.Variable([0.0, 0.0], dtype=tf.float64)
    keras_own.apply([direction[:, 0, 0]], [x])
    second = late.Descents("PCGrad", [late.Candidate(epsilon=1e-2)], xla=False)
    np.testing.assert_allclose(second._adam(start, direction).x[:, 0, 0], x.numpy(), rtol=1e-5)  # it rounds beta_2


@pytest.mark.parametrize("added", [0.0, 1e-4])
def test_the_inner_problem_is_solved(added):
    rng = np.random.default_rng(0)
    for pair in rng.standard_normal([20, 2, 2]) * [[[1.0], [0.1]]]:
        first, second = pair
        descents = late.Descents("CAGrad 0.4", [late.Candidate(added=added)], xla=False)
        mean = (first + second) / 2
        radius = 0.4 * np.linalg.norm(mean)
        given = [*(tf.constant(one[:, None, None]) for one in (first, second, mean)), tf.constant([[radius]])]
        part = float(descents._closed(*given)[0, 0])

        def value(x, first=first, second=second, mean=mean, radius=radius):
            mixed = x * first + (1 - x) * second
            return mixed @ mean + radius * np.sqrt(mixed @ mixed + added)

        best = minimize_scalar(value, bounds=(0, 1), method="bounded", options={"xatol": 1e-10})
        assert value(part) <= best.fun + 1e-12
        assert abs(part - late._slsqp(pair @ pair.T, radius, added)) < 0.05


def test_the_solver_inside_the_loop_is_near_the_closed_form():
    some = late.candidates("CAGrad 0.4")
    near = ends("CAGrad 0.4", [some["SLSQP"]], 20) - ends("CAGrad 0.4", [some["1e-8 added"]], 20)
    assert np.abs(near).max() < 1e-3
