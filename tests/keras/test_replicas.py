"""Two replicas are one device."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("gate", "mode"),
    [
        ("learned", "reinmax"),
        ("learned-running", "soft"),
        ("learned-likelihood", "soft"),
        ("quantile", "soft"),
        ("scheduled", "hard"),
        ("plateau", "soft"),
        ("grad-norm", "soft"),
        ("lr-annealing", "soft"),
        ("ntk", "soft"),
        ("grad-drop", "soft"),
    ],
)
def test_two_replicas_are_one_device(gate, mode):
    """In a process of its own, which says where it crashed.

    TensorFlow crashed twice, seldom and never when looked for, in processes that had run thousands of other tests
    before, and in none of 400 such fits in fresh ones.
    """
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.keras.replicas", gate, mode]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stderr}"
