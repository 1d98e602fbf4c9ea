"""How a command ends: outputs that fail, signals, and numbers that are none."""

from __future__ import annotations

import errno
import math
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from blendloss._command.demo import problem
from blendloss.console import results
from blendloss.console.errors import UserError
from blendloss.console.guard import guarded
from blendloss.console.numbers import require_finite

ROOT = pathlib.Path(__file__).parents[2]


def raises(error: BaseException) -> Any:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("no\nsuch \x1b[31mthing"), 2, "command: no\\nsuch \\x1b[31mthing\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "command: cannot write the output: No space left"),
        (PermissionError(errno.EACCES, "Permission denied", "there"), 2, "command: there: Permission denied\n"),
        (MemoryError("9 GB"), 2, "command: there is not enough memory for this: 9 GB\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (KeyboardInterrupt(), 130, "command: interrupted\n"),
        (KeyboardInterrupt("2 are kept"), 130, "command: 2 are kept\n"),
    ],
    ids=["user", "full", "permission", "memory", "pipe", "interrupted", "interrupted with a message"],
)
def test_each_error_is_one_line_and_an_exit_status(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded("command", raises(error)) == status
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert told.count("\n") == bool(said)


def test_other_errors_are_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded("command", raises(ZeroDivisionError()))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_interrupts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    number = getattr(signal, name)
    usual = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    inherited = signal.signal(number, usual)  # under nohup, a process ignores some
    try:
        assert guarded("command", lambda: os.kill(os.getpid(), number)) == 128 + number
        assert capsys.readouterr().err == "command: interrupted\n"
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, inherited)


def started(shell: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a command that prints a line; without TensorFlow, which takes seconds."""
    program = (
        "import sys; sys.argv = ['blendloss']; from blendloss.console.guard import guarded; "
        "sys.exit(guarded('command', lambda: print('x' * 100_000)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PROGRAM": program, "PYTHON": sys.executable}
    given = ["bash", "-c", f'set -o pipefail; "$PYTHON" -c "$PROGRAM" {shell}']
    return subprocess.run(given, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("shell", "status", "said"),
    [
        (">/dev/full", 2, "command: cannot write the output: No space left on device\n"),
        (">&-", 2, "command: the output is closed: nothing can be written to it\n"),
        (">&- 2>&-", 2, ""),
        ("| true", 141, ""),
        (">/dev/null 2>&-", 0, ""),
    ],
)
def test_an_output_that_fails(shell: str, status: int, said: str) -> None:
    done = started(shell)
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.parametrize("arguments", ["--help", "info"])
def test_the_command_itself_says_that_its_output_is_full(arguments: str) -> None:
    given = f'"{sys.executable}" -m blendloss {arguments} >/dev/full'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(["bash", "-c", given], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("function", ["os.open", "os.replace"])
def test_a_folder_that_cannot_be_written_is_a_mistake(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int, function: str
) -> None:
    (tmp_path / "file").write_text("precious")

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(function, fails)
    with pytest.raises(UserError, match=f"cannot write .*file: {os.strerror(number)}"):
        results.replace(tmp_path / "file", lambda path: path.write_text("new"))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "precious"


# Numbers


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_results_that_are_not_finite_raise(value: float) -> None:
    require_finite("the fit", {"mae": 1.0})
    with pytest.raises(UserError, match="the fit: mae is"):
        require_finite("the fit", {"rmse": 1.0, "mae": value})


@pytest.mark.parametrize("size", [1.0, 3e-310, 1e-300, 1e150, 1.7e308])
def test_standardizing_does_not_depend_on_the_size_of_numbers(size: float) -> None:
    shape = np.array([-1.0, -0.5, 0.25, 1.0, 0.75])
    train = np.array([True, True, True, True, False])
    expected = (shape - shape[:4].mean()) / shape[:4].std()
    found = problem._standardized(shape * size, train)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_a_column_that_is_constant_in_training_becomes_zero() -> None:
    column = np.array([0.1] * 7 + [5.0])
    assert column[:7].std() > 0  # by rounding of the mean
    assert not problem._standardized(column, np.arange(8) < 7).any()
