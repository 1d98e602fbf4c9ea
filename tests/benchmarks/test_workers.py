"""What is counted of an exchange between workers, and the model of how a step grows with their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.gates import PLAIN
from benchmarks.harness.results import Results
from benchmarks.workers import scaling
from benchmarks.workers.exchange import exchanged
from benchmarks.workers.scaling import Costs, Link, Step


def reduced(value: Any) -> tf.Tensor:
    """A sum over two workers, which is traced here and never run."""
    (result,) = (
        tf.raw_ops.CollectiveReduceV2(
            input=value, group_size=2, group_key=1, instance_key=1, ordering_token=[], merge_op="Add", final_op="Id"
        ),
    )
    return result


def test_collectives_are_counted_through_the_functions_that_are_called() -> None:
    inner = tf.function(lambda x: reduced(x) + 1)

    @tf.function
    def outer(x: Any) -> Any:
        return inner(reduced(tf.cast(x, tf.float64)))

    assert exchanged(outer.get_concrete_function(tf.TensorSpec([3, 5]))) == {"collectives": 2, "bytes": 2 * 8 * 15}
    assert exchanged(tf.function(lambda: tf.ones([])).get_concrete_function()) == {"collectives": 0, "bytes": 0}


def test_a_collective_that_may_not_run_is_not_counted() -> None:
    branch = tf.function(lambda x: tf.cond(x[0] > 0, lambda: reduced(x), lambda: x))
    with pytest.raises(ValueError, match="branch"):
        exchanged(branch.get_concrete_function(tf.TensorSpec([3])))


def test_a_gather_is_not_counted_as_a_sum() -> None:
    @tf.function
    def gathered(x: Any) -> Any:
        return tf.raw_ops.CollectiveGatherV2(input=x, group_size=2, group_key=1, instance_key=1, ordering_token=[])

    with pytest.raises(ValueError, match="must be a sum.*CollectiveGatherV2"):
        exchanged(gathered.get_concrete_function(tf.TensorSpec([3])))


def steps(costs: dict[int, Costs], cores: int) -> tuple[list[Step], dict[tuple[str, tuple[Any, ...]], float]]:
    """Steps that follow the model exactly, and those of one worker."""
    exchanges = {PLAIN: (1, 4_000), "a": (3, 5_000), "b": (2, 90_000)}
    of_one = {(arm, (8,)): 1e-3 * (1 + place) for place, arm in enumerate(exchanges)}
    made = []
    for workers, cost in costs.items():
        for arm, exchange in exchanges.items():
            step = Step(arm, workers, (8,), np.nan, *exchange)
            made.append(step._replace(seconds=scaling.predict(step, of_one[arm, (8,)], cost, cores)))
    return made, of_one


def test_the_fit_finds_the_costs_that_the_steps_were_made_with() -> None:
    costs = {2: Costs(3e-4, 2e-9), 4: Costs(8e-4, 0.0)}
    made, of_one = steps(costs, cores=2)
    for workers, expected in costs.items():
        found = scaling.fit([step for step in made if step.workers == workers], of_one, cores=2)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-18)


def test_workers_that_share_cores_take_turns() -> None:
    step = Step(PLAIN, 4, (8,), np.nan, 0, 0)
    assert scaling.predict(step, 1e-3, Costs(0.0, 0.0), cores=2) == 2e-3
    assert scaling.predict(step, 1e-3, Costs(0.0, 0.0), cores=8) == 1e-3


def test_a_ring_on_a_link() -> None:
    link = Link("slow", 1e-4, 1e6)
    assert scaling.on_link(1e-3, 2, 4_000, 1, 5e-5, link) == 1e-3
    # Each of 2 (W - 1) hops takes a hop's time and the latency; a W-th of the bytes passes in each.
    expected = 1e-3 + 6 * (5e-5 + 1e-4) * 2 + 6 * 1_000 / 1e6
    assert scaling.on_link(1e-3, 2, 4_000, 4, 5e-5, link) == pytest.approx(expected)


def test_the_report_says_the_model_and_where_it_leads() -> None:
    made, of_one = steps({2: Costs(3e-4, 2e-9)}, cores=scaling.cores())
    made += [Step(arm, 1, size, seconds, 0, 0) for (arm, size), seconds in of_one.items()]
    times, facts = {}, {}
    for step in made:
        key = (("workers", step.workers), ("width", 8)), step.arm
        times[key] = {(0, 0): step.seconds * 16}
        facts[key] = {"steps": 16, "collectives": step.collectives, "bytes": step.bytes}
    lines = list(scaling.conclusions(Results([], [], times, facts, [])))
    assert "| 2 | 300 | 2 | 0% | 0% |" in lines
    (title,) = [line for line in lines if "Extrapolated, not measured" in line]
    assert title.endswith("8, 64, 1024 workers")
    assert sum(line.startswith(f"| {PLAIN} |") for line in lines) == 1


def test_without_one_worker_there_is_no_model() -> None:
    made, _ = steps({2: Costs(3e-4, 2e-9)}, cores=2)
    times: dict[Any, Any] = {((("workers", 2), ("width", 8)), step.arm): {(0, 0): 1.0} for step in made}
    facts = {key: {"steps": 16, "collectives": 1, "bytes": 4} for key in times}
    assert list(scaling.conclusions(Results([], [], times, facts, []))) == []
