"""Two workers are one process on the whole batch, and their states are equal bit for bit.

`make workers` compares many more cases, and kills workers.
"""

import json
import socket

import pytest
import tensorflow as tf

import blendloss as bl
from tests.workers.cases import BOUNDS, FLOAT32, SHORT, state_of, trained
from tests.workers.pair import Pair, compare, free_addresses
from tests.workers.script import run
from tests.workers.worker import SCRIPT


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Pair(tmp_path_factory.mktemp("workers"), [SCRIPT, *SHORT]) as made:
        yield made


@pytest.mark.parametrize("name", SHORT)
def test_two_workers_are_one_process(name, pair):
    case = SHORT[name]
    found = compare(case, trained(case, tf.distribute.get_strategy()), pair.found(name))
    assert found.differ == []
    assert found.deviation <= BOUNDS[case.policy], found.where


def test_the_script_of_the_documents_gives_what_one_process_gives(pair, tmp_path):
    expected = state_of(run(tmp_path, 12)["model"])
    found = compare(None, expected, pair.found(SCRIPT))
    assert found.differ == []
    assert found.deviation <= BOUNDS[FLOAT32], found.where
    assert (pair.folder / "checkpoints" / "checkpoint").exists()


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
