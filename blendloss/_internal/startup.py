"""How the command `blendloss` starts: at once, and without TensorFlow's notes."""

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
    if program == "-m":  # what `argv[0]` is while Python imports the package of the module that it will run
        # `python [options] -m blendloss [arguments]`: argv is "-m" and the arguments.
        return sys.orig_argv[-len(sys.argv)].removeprefix("-m") == "blendloss"
    return Path(program).stem in ("blendloss", "blendloss-script")


IS_COMMAND = _is_command()
"""Whether this process is `blendloss ...` or `python -m blendloss ...`; asked now, as `argv` changes under `-m`."""


def import_tensorflow() -> None:
    """Imports TensorFlow without its notes on oneDNN, CUDA and instruction sets; only in the command's process.

    Set `TF_CPP_MIN_LOG_LEVEL` to less than 3 to see everything.
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
    """Keeps back what is written to the file descriptor of stderr, and shows it only if the block fails.

    TensorFlow writes some notes whatever `TF_CPP_MIN_LOG_LEVEL` says (tensorflow/tensorflow#100442): as it is imported,
    and, up to 2.18, when XLA first compiles.
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
