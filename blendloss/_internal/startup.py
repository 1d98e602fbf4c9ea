"""Starts the command `blendloss` quickly, without TensorFlow's log messages."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _is_command() -> bool:
    program = getattr(sys, "argv", [""])[0]
    if program == "-m":  # `argv[0]` while Python imports the package of the module to run
        # `python [options] -m blendloss [arguments]`: argv is "-m" and the arguments.
        return sys.orig_argv[-len(sys.argv)].removeprefix("-m") == "blendloss"
    return Path(program).stem in ("blendloss", "blendloss-script")


IS_COMMAND = _is_command()
"""Whether this process is `blendloss ...` or `python -m blendloss ...`. Checked at import: `-m` changes `argv`."""


def import_tensorflow() -> None:
    """Imports TensorFlow without its messages on oneDNN, CUDA and instruction sets; only in the command's process.

    Set `TF_CPP_MIN_LOG_LEVEL` to less than 3 to see all messages.
    """
    if not IS_COMMAND:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if _is_quiet() and not sys.warnoptions:
        warnings.simplefilter("ignore")
    with without_notes():
        import tensorflow  # noqa: F401
    if _is_quiet():
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _is_quiet() -> bool:
    return IS_COMMAND and os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3"


@contextmanager
def without_notes() -> Iterator[None]:
    """Hides what is written to the file descriptor of stderr, and shows it only if the block fails.

    TensorFlow ignores `TF_CPP_MIN_LOG_LEVEL` for some messages (tensorflow/tensorflow#100442): on import and, up to
    2.18, when XLA first compiles.
    """
    if not _is_quiet():
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            os.lseek(kept.fileno(), 0, os.SEEK_SET)
            os.write(stderr, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
