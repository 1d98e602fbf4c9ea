"""The end of a command. A mistake, a signal or an output that cannot be written gives one line and a status.

Like the other files of this folder that `benchmarks` uses, it does not import TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .errors import UserError

_MISTAKE = 2
# Conventions of shells: 128 + the signal's number.
_BROKEN_PIPE = 141
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def guarded(program: str, run: Callable[[], int | None]) -> int:
    """Calls `run`, which does the work of `program`, and returns the exit status.

    Status 2 is a mistake of the user, or an output that cannot be written. Status 128 + n is signal n, which `run`
    receives as a `KeyboardInterrupt`. Both print one line on stderr. A closed pipe (`| head -1`) prints nothing.
    """
    _fill_descriptors()
    if sys.stdout is None:
        return _failed(program, "the output is closed: nothing can be written to it")
    if hasattr(sys.stdout, "reconfigure"):
        # Names of files and columns may have characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    with _signals() as received:
        try:
            try:
                return run() or 0
            finally:
                sys.stdout.flush()
        except UserError as error:
            return _failed(program, str(error))
        except KeyboardInterrupt as interruption:
            _failed(program, str(interruption) or "interrupted")
            return 128 + (received or [signal.SIGINT])[0]
        except OSError as error:
            if error.filename is not None:
                return _failed(program, f"{error.filename}: {error.strerror}")
            _abandon_output()
            if isinstance(error, BrokenPipeError):
                return _BROKEN_PIPE
            return _failed(program, f"cannot write the output: {error.strerror or error}")
        except MemoryError as error:
            return _failed(program, f"there is not enough memory for this{error and f': {error}'}")


def _failed(program: str, text: str) -> int:
    # Escape line breaks and control characters of names and messages.
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in f"{program}: {text}")
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
    return _MISTAKE


def _fill_descriptors() -> None:
    """Opens /dev/null for closed standard streams. Otherwise the next opened files would get their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")


def _abandon_output() -> None:
    """Redirects stdout to /dev/null, because Python writes the rest of its buffer at exit and would fail again."""
    with contextlib.suppress(OSError):  # a replacement of stdout may have no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Makes SIGTERM and SIGHUP act like Ctrl-C, once, so that results are saved. Yields the received signals."""
    received: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        if not received:
            received.append(number)
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # other threads cannot handle signals
        yield received
        return
    # Ignored signals, such as SIGHUP under nohup, stay ignored.
    mine = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)
