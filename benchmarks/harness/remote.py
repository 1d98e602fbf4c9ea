"""The parent's end of a worker process."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: What a worker is told of the surroundings: no start-up notes, and a GPU that several processes share.
SURROUNDINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "PYTHONPATH": str(ROOT),
}


class WorkerError(Exception):
    """What a worker could not do, in its words."""


class WorkerGone(WorkerError):
    """The process has ended, or was ended because it did not answer."""


class Remote:
    """A fresh worker process, with `environment` beside the surroundings; a context."""

    def __init__(self, python: Path | str, timeout: float, environment: Mapping[str, str] | None = None) -> None:
        self._timeout = timeout
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.harness.worker"],
            cwd=ROOT,
            env={**os.environ, **SURROUNDINGS, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # an interruption at the keyboard is for the parent
        )

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The worker's answer.

        Raises:
            WorkerError: if it could not do it.
            WorkerGone: if it does not answer.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise WorkerGone(self._obituary()) from None
        if not select.select([stdout], [], [], self._timeout)[0]:
            self._process.kill()
            raise WorkerGone(f"no answer in {self._timeout:.0f} s")
        line = stdout.readline()
        if not line:
            raise WorkerGone(self._obituary())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _obituary(self) -> str:
        """How the process ended, and its last words."""
        code = self._process.wait()
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").strip().splitlines()
        return f"the process ended with {code}" + (f": {words[-1]}" if words else "")
