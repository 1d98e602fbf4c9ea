"""TensorFlow without its start-up notes."""

from __future__ import annotations

import os


def import_tensorflow() -> None:
    """Imports TensorFlow; what it writes to stderr as it starts, whatever its log level, is dropped."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # in place of a standard stream that is closed
    stderr = os.dup(2)
    os.dup2(nowhere, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
