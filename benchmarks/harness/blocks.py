"""Timing several things side by side: block by block, in random order.

Needs nothing but Python: `replay` takes this file along to machines that have no TensorFlow.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

#: Makes so many calls, waits for them, and gives {"seconds": ..., anything else that was counted}.
Run = Callable[[int], "dict[str, Any]"]
#: The most calls of a block.
MOST = 1 << 16


def calls_to_fill(run: Run, seconds: float) -> int:
    """How many calls take about `seconds`."""
    calls = 1
    while (elapsed := run(calls)["seconds"]) < seconds / 8 and calls < MOST:
        calls *= 8
    return max(1, min(MOST, round(calls * seconds / elapsed)))


def interleaved(arms: dict[str, Run], blocks: int, seconds: float, seed: int) -> Iterator[dict[str, Any]]:
    """Gives a sample for each arm and block: {"event": "time", "arm", "block", "calls", "seconds" of one call, ...}.

    An arm that raises gives {"event": "failed", "arm", "error"} and is left out from then on.
    """
    left, calls = dict(arms), dict.fromkeys(arms, 0)
    shuffled = random.Random(seed)
    for block in range(blocks):
        order = list(left)
        shuffled.shuffle(order)
        for arm in order:
            try:
                calls[arm] = calls[arm] or calls_to_fill(left[arm], seconds)
                # One call that is not counted: caches and threads are those of the arm that ran before.
                left[arm](1)
                ran = left[arm](calls[arm])
            except Exception as error:
                del left[arm]
                yield {"event": "failed", "arm": arm, "error": f"{type(error).__name__}: {error}"}
                continue
            one = {**ran, "seconds": ran["seconds"] / calls[arm]}
            yield {"event": "time", "arm": arm, "block": block, "calls": calls[arm], **one}
