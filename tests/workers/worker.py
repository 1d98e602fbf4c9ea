"""A worker of two: runs the script of docs/workers.md, or trains cases, and writes what each left behind.

Run as a module, by `pair.py`: the addresses of the workers, the number of this one, a folder, and names. It ends
when its standard input is closed, so that it never outlives the process that started it.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import threading
import traceback
from typing import Any

#: The name that stands for the script of docs/workers.md.
SCRIPT = "script"


def end_with_parent() -> None:
    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(addresses: str, index: str, place: str, *names: str) -> None:
    cluster = {"worker": addresses.split(",")}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": int(index)}})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np
    import tensorflow as tf

    folder = pathlib.Path(place)
    strategy: Any = None
    for name in names:
        if name.startswith(SCRIPT):
            strategy, found = script(folder, *name.split("-")[1:])
        else:
            strategy = strategy or tf.distribute.MultiWorkerMirroredStrategy()
            found = case(name, strategy, folder, int(index))
        whole = folder / f"{name}-{index}.npz"
        part = whole.with_suffix(".part.npz")
        np.savez(part, **{key.replace("/", "|"): value for key, value in found.items()})
        part.rename(whole)


def script(folder: pathlib.Path, steps: str = "12") -> tuple[Any, dict[str, Any]]:
    """The strategy of docs/workers.md's script, and what it left behind; it says each step that it made."""
    from tests.workers.cases import state_of
    from tests.workers.script import run

    made = run(folder, int(steps), announce=True)
    return made["strategy"], state_of(made["model"])


def case(name: str, strategy: Any, folder: pathlib.Path, index: int) -> dict[str, Any]:
    import numpy as np

    from tests.workers.cases import LONG, trained
    from tests.workers.fits import FITS

    try:
        return FITS[name](strategy, folder, index) if name in FITS else trained(LONG[name], strategy)
    except Exception:
        return {"error": np.array(traceback.format_exc())}


if __name__ == "__main__":
    end_with_parent()
    main(*sys.argv[1:])
