"""The weighted sum in torch; runs in the peers' environment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from benchmarks import problems
from benchmarks.harness import Subject
from benchmarks.peers.mathematics import FORMULAS, TOLERANCES, named

ARMS = {"torch.compile": torch.compile, "torch, eager": lambda function: function}
ON_GPU = torch.cuda.is_available()


def device() -> str:
    return torch.cuda.get_device_name() if ON_GPU else "CPU"


def arms(case: dict[str, Any]) -> Iterable[str]:
    return ARMS


def build(case: dict[str, Any], arm: str) -> Subject:
    given = problems.inputs(case["elements"], case["losses"])
    kind = getattr(torch, case["dtype"])
    where = "cuda" if ON_GPU else "cpu"
    y_true, y_pred, logits = (torch.tensor(array, dtype=kind, device=where) for array in given)
    y_pred.requires_grad_()
    logits.requires_grad_()
    penalties = [FORMULAS[name] for name in problems.LOSSES[: case["losses"]]]

    def value(y_true: Any, y_pred: Any, logits: Any) -> Any:
        residual = y_pred - y_true
        means = torch.stack([penalty(torch, residual).mean() for penalty in penalties])
        return torch.sum(torch.softmax(logits, 0) * means)

    run = ARMS[arm](value)

    def call() -> Any:
        loss = run(y_true, y_pred, logits)
        return loss, *torch.autograd.grad(loss, [y_pred, logits])

    return Subject(
        call=call,
        wait=torch.cuda.synchronize if ON_GPU else lambda: None,
        facts={"bytes": problems.bytes_moved(given, y_pred.element_size(), gradients=True)},
        outputs=lambda: named([one.detach().cpu().numpy() for one in call()]),
        tolerance=TOLERANCES[case["dtype"]],
    )
