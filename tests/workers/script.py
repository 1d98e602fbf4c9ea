"""The script of docs/workers.md."""

from __future__ import annotations

import pathlib
import re
from typing import Any

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "workers.md"
_STEP = "    train_step(next(batches))\n"
_SAID = f'{_STEP}    print("step", step, flush=True)\n'


def run(folder: pathlib.Path, steps: int, announce: bool = False) -> dict[str, Any]:
    """What the script leaves behind, by name, with checkpoints in `folder`."""
    (text,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[:1]
    changes = {"/tmp/blendloss-workers": str(folder / "checkpoints"), "steps = 12": f"steps = {steps}"}
    for old, new in {**changes, **({_STEP: _SAID} if announce else {})}.items():
        if old not in text:
            raise ValueError(f"The script must have {old!r}. Received: {text}")
        text = text.replace(old, new)
    left: dict[str, Any] = {"__name__": "script"}
    exec(compile(text, str(PAGE), "exec"), left)
    return left
