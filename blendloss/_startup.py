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
    """Imports TensorFlow without its notes on oneDNN, CUDA and instruction sets; outside the command, does nothing.

    Set `TF_CPP_MIN_LOG_LEVEL` to less than 3 to see everything.
    """
    if not IS_COMMAND:
        return
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3":
        import tensorflow

        return
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # TensorFlow from 2.19 on writes some notes before it reads that variable (tensorflow/tensorflow#100442).
    with _without_stderr():
        import tensorflow  # noqa: F401
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Keeps back what is written to the file descriptor of stderr, and shows it only if the block raises."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            os.lseek(kept.fileno(), 0, os.SEEK_SET)
            os.write(stderr, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
