"""The weighted sum in JAX, and with optax's losses where it has them; runs in the peers' environment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks import problems
from benchmarks.harness import Subject
from benchmarks.peers.mathematics import FORMULAS, TOLERANCES, named

OPTAX = {
    "SquaredError": optax.losses.squared_error,
    "Huber": optax.losses.huber_loss,
    "LogCosh": optax.losses.log_cosh,
}
ARMS: dict[str, dict[str, Any]] = {"jax.jit": {}, "jax.jit, optax": OPTAX}


def device() -> str:
    return jax.devices()[0].device_kind


def arms(case: dict[str, Any]) -> Iterable[str]:
    return ARMS


def build(case: dict[str, Any], arm: str) -> Subject:
    jax.config.update("jax_enable_x64", case["dtype"] == "float64")
    given = problems.inputs(case["elements"], case["losses"])
    arguments = [jnp.asarray(array, case["dtype"]) for array in given]
    ready = ARMS[arm]
    pairs = [(ready.get(name), FORMULAS[name]) for name in problems.LOSSES[: case["losses"]]]
    penalties = [own or (lambda p, y, formula=formula: formula(jnp, p - y)) for own, formula in pairs]

    def value(y_true: Any, y_pred: Any, logits: Any) -> Any:
        means = jnp.stack([jnp.mean(penalty(y_pred, y_true)) for penalty in penalties])
        return jnp.sum(jax.nn.softmax(logits) * means)

    run = jax.jit(jax.value_and_grad(value, argnums=(1, 2)))
    latest: list[Any] = [None]

    def call() -> None:
        latest[0] = run(*arguments)

    def outputs() -> dict[str, Any]:
        loss, gradients = run(*arguments)
        return named([loss, *gradients])

    return Subject(
        call=call,
        wait=lambda: jax.block_until_ready(latest[0]),
        facts={"bytes": problems.bytes_moved(given, arguments[1].dtype.itemsize, gradients=True)},
        outputs=outputs,
        tolerance=TOLERANCES[case["dtype"]],
    )
