"""Waiting for the other workers of a cluster, with a bound."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import tensorflow as tf

from blendloss._internal import checks

_JOBS = ("chief", "worker")
_PAUSE = 0.1  # seconds between two looks


def wait_for_workers(timeout: float = 300.0) -> None:
    """Waits until all workers of `TF_CONFIG` have started, and names those that have not.

    Call it in each worker before `tf.distribute.MultiWorkerMirroredStrategy()`, which may wait for a worker that never
    starts without saying for which. Without `TF_CONFIG` there is nobody to wait for. While a worker waits, it answers
    at its own address; TensorFlow's server does so later.

    Args:
        timeout: how long to wait, in seconds, positive.

    Returns:
        None, once every worker has answered.

    Raises:
        TypeError: if `timeout` is no number.
        ValueError: if `timeout` is not positive and finite.
        TimeoutError: if a worker does not answer in time; it names each, with its address.

    Example:
        >>> import blendloss as bl
        >>> bl.keras.wait_for_workers(timeout=60.0)  # at once: without TF_CONFIG, this is the only worker
    """
    end = time.monotonic() + checks.positive("timeout", timeout)
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    cluster = resolver.cluster_spec().as_dict()
    missing = {f"{job}:{i}": address for job in _JOBS for i, address in enumerate(cluster.get(job, ()))}
    own = missing.pop(f"{resolver.task_type}:{resolver.task_id}", None)
    if own is None:  # no cluster, or a task that does not train
        return
    with _answering(own):
        while missing := {name: address for name, address in missing.items() if not _answers(address)}:
            if time.monotonic() > end:
                absent = ", ".join(f"{name} at {address}" for name, address in missing.items())
                raise TimeoutError(
                    f"All workers must start within `timeout` of each other. Received: timeout={timeout!r}, and no "
                    f"answer from {absent}"
                )
            time.sleep(_PAUSE)


@contextlib.contextmanager
def _answering(address: str) -> Iterator[None]:
    """Takes connections at the worker's own address."""
    port = _host_and_port(address)[1]
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with socket.create_server(("", port), family=family, dualstack_ipv6=both):
        yield


def _answers(address: str) -> bool:
    try:
        with socket.create_connection(_host_and_port(address), timeout=1.0):
            return True
    except OSError:
        return False


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
