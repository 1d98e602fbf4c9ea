"""Two workers are one process on the whole batch, and their states are equal bit for bit.

`make workers` compares many more cases, and kills workers.
"""

import json
import pathlib
import re
import socket
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._internal.replicas import sum_over_replicas
from tests.keras.models import assert_same
from tests.workers.cases import BOUNDS, FLOAT32, LONG, SENT, SHORT, state_of, trained
from tests.workers.fits import fitted
from tests.workers.pair import ROOT, Pair, compare, free_addresses
from tests.workers.script import PAGE, run
from tests.workers.traffic import ROWS, Traffic
from tests.workers.worker import SCRIPT


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Pair(tmp_path_factory.mktemp("workers"), [SCRIPT, *SHORT, "fit"]) as made:
        yield made


@pytest.mark.parametrize("name", SHORT)
def test_two_workers_are_one_process(name, pair):
    case, left = SHORT[name], pair.found(name)
    found = compare(case, trained(case, tf.distribute.get_strategy()), left)
    assert found.differ == []
    assert found.deviation <= BOUNDS[case.policy], found.where
    assert tuple(left[0][SENT]) == SENT_IN_A_STEP[name]


#: 8 bytes for each of 19 variables of the network, and what the gate adds.
SENT_IN_A_STEP = {
    "residual-state": Traffic(8 * 19, by_row=8 + 4, sizes=4 + 4),
    "gradients": Traffic(8 * 19 + 8 * 3 * 19),
    "noise-by-example": Traffic(8 * (19 + 15) + 8 * 2),
    "held-out": Traffic(8 * (19 + 3) + 8 * 19),
}


def test_the_documents_have_the_formula_of_every_gate():
    text = PAGE.read_text()
    for row in ROWS:
        lines = [line for line in text.splitlines() if line.startswith("| `") and f"| {row.formula}" in line]
        for gate in row.gates:
            assert any(f"`{gate.split('(')[0].split(',')[0]}" in line for line in lines), gate


def test_the_results_have_every_case():
    results = pathlib.Path(__file__).with_name("results.md").read_text()
    listed = re.findall(r"^\| (.+) \| (?:float64|float32|mixed_bfloat16|mixed_float16) \| \d", results, re.MULTILINE)
    assert set(LONG) <= set(listed)


def test_the_script_of_the_documents_gives_what_one_process_gives(pair, tmp_path):
    expected = state_of(run(tmp_path, 12)["model"])
    found = compare(None, expected, pair.found(SCRIPT))
    assert found.differ == []
    assert found.deviation <= BOUNDS[FLOAT32], found.where
    assert (pair.folder / "checkpoints" / "checkpoint").exists()


def test_fit_evaluate_and_predict_are_those_of_one_process(pair, tmp_path):
    found = compare(None, fitted(tf.distribute.get_strategy(), tmp_path, 0), pair.found("fit"))
    assert found.differ == []
    assert found.deviation <= BOUNDS[FLOAT32], found.where


def test_several_steps_in_an_execution_are_refused(monkeypatch):
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0])))
    model.compile("sgd", steps_per_execution=2)
    monkeypatch.setattr("blendloss.keras._blended_model.has_several_workers", lambda strategy: True)
    with pytest.raises(ValueError, match="`steps_per_execution` must be 1 .*Received: steps_per_execution=2"):
        model.make_train_function()


def test_sums_over_replicas_take_several_dtypes(replicas):
    def given():
        place = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float64)
        return sum_over_replicas([tf.ones([2]), place + 3, tf.ones([], tf.int64), tf.fill([1], 2.0)])

    found = replicas.experimental_local_results(tf.function(lambda: replicas.run(given), autograph=False)())[0]
    assert [part.numpy().tolist() for part in found] == [[2.0, 2.0], 7.0, 2, [4.0]]


def test_an_overflow_on_one_replica_skips_the_step_on_all(replicas):
    """Keras looks at the first replica alone, and the weights became infinite."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with replicas.scope():
            network = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
            model = bl.BlendedModel(network, bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0])))
            model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3), initial_scale=1024.0))
            model.optimizer.build(model.trainable_variables)
    finally:
        keras.config.set_dtype_policy(policy)

    @tf.function(autograph=False)
    def step(size):
        def of_replica():
            place = tf.distribute.get_replica_context().replica_id_in_sync_group
            model.train_step((tf.ones([2, 1]), tf.where(place == 1, size, 1.0) * tf.ones([2, 1])))

        replicas.run(of_replica)

    before = model.get_weights()
    step(tf.constant(1e6))
    assert_same(before, model.get_weights())
    assert float(tf.convert_to_tensor(model.optimizer.dynamic_scale)) == 512.0
    step(tf.constant(2.0))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert int(tf.convert_to_tensor(model.step)) == 1


def test_a_worker_ends_with_the_process_that_started_it():
    lines = (
        "import time, tests.workers.worker as worker",
        "worker.end_with_parent()",
        "print(1, flush=True)",
        "time.sleep(600)",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    process: Any = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"1\n"
    process.stdin.close()
    assert process.wait(timeout=60) == 1
    process.stdout.close()


def set_cluster(monkeypatch, addresses, index=0):
    cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))


def test_a_worker_that_does_not_start_is_named(monkeypatch):
    own, there, missing = free_addresses(3)
    set_cluster(monkeypatch, [own, there, missing])
    port = int(there.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(TimeoutError) as raised:
        bl.keras.wait_for_workers(timeout=0.3)
    assert f"worker:2 at {missing}" in str(raised.value)
    assert there not in str(raised.value)
    assert own not in str(raised.value)


def test_a_worker_answers_while_it_waits(monkeypatch):
    own, other = free_addresses(2)
    set_cluster(monkeypatch, [other, own], index=1)
    port = int(other.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        bl.keras.wait_for_workers(timeout=5.0)
    # Its own address is free again, for TensorFlow's server.
    socket.create_server(("127.0.0.1", int(own.rpartition(":")[2]))).close()


def test_without_a_cluster_there_is_nobody_to_wait_for(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    bl.keras.wait_for_workers(timeout=1e-3)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf")])
def test_the_bound_of_a_wait_must_be_positive(timeout):
    with pytest.raises(ValueError, match="`timeout` must .*Received"):
        bl.keras.wait_for_workers(timeout=timeout)
