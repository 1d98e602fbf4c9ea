"""The command: what it prints and how it ends, each mistake in one line; and how it starts."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import types

import pytest

import blendloss as bl
from blendloss._command import csv_file
from blendloss._command.demo import extras, table
from blendloss._command.main import main
from tests.commands import refused, write

ROWS = 240
GOOD = {
    "x": [f"{i % 17}.5" for i in range(ROWS)],
    "kind": ["ab"[i % 2] for i in range(ROWS)],
    "y": [*map(str, range(ROWS))],
}


def with_cells(column: str, cells: dict[int, str]) -> dict[str, list[str]]:
    return {**GOOD, column: [cells.get(i, cell) for i, cell in enumerate(GOOD[column])]}


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good.csv", GOOD)
    return tmp_path


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["demo", "--help"], ["noise", "--help"], ["info", "--help"]]
)
def test_help_and_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        *(["demo", "--seeds", text] for text in ("0", "two", "1.0", "1_0", "\u0663", "1001", "9" * 20, "9" * 5000, "")),
        ["demo", "--epochs", "-1"],
        ["demo", "--epochs", "1000001"],
        ["noise", "--seeds", "9" * 20],
        *(["noise", "--width", text] for text in ("nan", "inf", "1e400", "1_0", "\u0663", "ten", "")),
        *(["recover", "--seed", text] for text in ("-1", "0.5", "9" * 400)),
        ["recover", "--residuals", "0"],
        ["recover", "--residuals", "99999999999"],
        *(["demo", option, text] for option in ("--data", "--output", "--resume") for text in ("", "a\0b")),
    ],
)
def test_unknown_words_and_numbers(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "error" in err


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for word in ("blendloss", "python", "tensorflow", "keras", "numpy", "device", "XLA"):
        assert word in out
    assert "compiles and agrees" in out


# Options that contradict each other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "good.csv"], "--data needs --target COLUMN"),
        (["--target", "y"], "go with --data"),
        (["--drop", "x"], "go with --data"),
        (["--resume", "run", "--epochs", "3"], "--resume takes everything but --seeds"),
        (["--resume", "nowhere"], "holds no demo.json"),
    ],
)
def test_wrong_options_are_refused(
    here: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refused(capsys, "demo", *arguments)


# The file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"\x7fELF\0\0\0", "binary data"),
        (b"PK\x03\x04zip", "binary data"),
        (b"x,y\n\xff\xfe1,2\n", "not text in UTF-8"),
        (b"x;y\n1;2\n", "has 1 column, "),
        (b"x,x,y\n1,2,3\n", "'x' more than once"),
        (b"x,,y\n1,2,3\n", "column 2 has no name"),
        (b"x,y\n1,2\n1,2,3\n", "line 3 has 3 fields, and the header has 2"),
        (b"x,y\n1,2,\n3,4,\n", "line 2 has 3 fields"),
        (b"x,y\n1,2\n3\n", "line 3 has 1 fields"),
        (b'x,y\n"1,2\n3,4\n', "is not a CSV file: line 3"),
        (b"x,y\n", "has 0 rows: at least 200"),
        (b"x,y\n" + 20 * b"1,2\n", "has 20 rows: at least 200"),
    ],
)
def test_wrong_files_are_refused(
    here: pathlib.Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    if content is not None:
        (here / "table.csv").write_bytes(content)
    assert message in refused(capsys, "demo", "--data", "table.csv", "--target", "y")


def test_a_folder_is_no_table(here: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a file" in refused(capsys, "demo", "--data", str(here), "--target", "y")


@pytest.mark.parametrize(
    ("module", "limit", "value", "message"),
    [
        (csv_file, "MOST_BYTES", 100, "GiB"),
        (csv_file, "MOST_ROWS", 100, "more than 100 rows"),
        (csv_file, "MOST_COLUMNS", 2, "at most 2"),
        (table, "_MAX_CATEGORIES", 1, "--drop kind"),
    ],
)
def test_limits(
    here: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: types.ModuleType,
    limit: str,
    value: int,
    message: str,
) -> None:
    monkeypatch.setattr(module, limit, value)
    assert message in refused(capsys, "demo", "--data", "good.csv", "--target", "y")


# The columns


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (with_cells("x", {3: ""}), "'x' is missing (empty or NaN) in 1 of 240 rows (first: row 4)"),
        (with_cells("x", {3: "inf", 7: "-inf"}), "'x' is infinite in 2 of 240 rows (first: row 4)"),
        (with_cells("kind", {9: ""}), "'kind' is missing (empty or NaN) in 1 of 240 rows (first: row 10)"),
        (with_cells("y", {0: "NaN"}), "'y' is missing (empty or NaN) in 1 of 240 rows (first: row 1)"),
        (with_cells("y", {0: "inf"}), "'y' is infinite"),
        (with_cells("y", {5: "cheap"}), "row 6 holds 'cheap'"),
        (with_cells("y", dict.fromkeys(range(ROWS), "4")), "is 4 in every training row"),
        pytest.param(
            with_cells("y", {5: "9" * 400}), "'y' is infinite in 1 of 240 rows (first: row 6)", id="400 digits"
        ),
        pytest.param(
            with_cells("y", {5: "9" * 5000}), "'y' is infinite in 1 of 240 rows (first: row 6)", id="5000 digits"
        ),
        (with_cells("y", {5: "9" * 40}), "'y' goes up to 1e+40: scale it"),
        (with_cells("y", dict.fromkeys(range(ROWS), "1_0")), "must be numbers; row 1 holds '1_0'"),
        (with_cells("y", dict.fromkeys(range(ROWS), "\u0663")), "must be numbers; row 1 holds '\u0663'"),
        (with_cells("y", {i: f"{i}e-20" for i in range(0, ROWS, 2)} | {7: "1e29"}), "'y' is "),
        (with_cells("x", {1: "1e40"}), "'x' is 2.1e+39 standard deviations of the training rows"),
        (with_cells("x", {1: "-1e308"}), "'x' is 2.1e+307 standard deviations of the training rows"),
    ],
)
def test_columns(
    here: pathlib.Path, capsys: pytest.CaptureFixture[str], columns: dict[str, list[str]], message: str
) -> None:
    write(here / "table.csv", columns)
    assert message in refused(capsys, "demo", "--data", "table.csv", "--target", "y")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "z"], "no column 'z'; the columns are: x, kind, y"),
        (["--target", "y", "--drop", "z"], "no column 'z'"),
        (["--target", "y", "--drop", "y"], "cannot be dropped"),
        (["--target", "y", "--drop", "x", "--drop", "kind"], "no columns are left"),
    ],
)
def test_wrong_names_of_columns_are_refused(
    here: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refused(capsys, "demo", "--data", "good.csv", *arguments)


# Where the results go


def test_results_are_never_replaced_unasked(here: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "demo.json").write_text("precious")
    message = refused(capsys, "demo", "--data", "good.csv", "--target", "y", "--output", ".")
    assert "already holds demo.json" in message
    assert "--overwrite" in message
    assert (here / "demo.json").read_text() == "precious"


def test_output_that_is_a_file(here: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot write to" in refused(capsys, "demo", "--data", "good.csv", "--target", "y", "--output", "good.csv")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}'])
def test_resuming_what_is_no_record(here: pathlib.Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (here / "demo.json").write_text(text)
    assert "is not a record of this" in refused(capsys, "demo", "--resume", ".")


def test_missing_packages_are_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_NEEDED", ("no_such_package",))
    assert 'pip install "blendloss[demo]"' in refused(capsys, "demo")


# How it starts


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "PYTHONWARN"))}
    environment["PYTHONPATH"] = str(pathlib.Path(bl.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_help_does_not_wait_for_tensorflow() -> None:
    result = started("-X", "importtime", "-m", "blendloss", "--help")
    assert result.returncode == 0
    assert "tensorflow" not in result.stderr
    assert "keras" not in result.stderr.replace("blendloss", "")


def test_nothing_but_the_answer_is_printed() -> None:
    result = started("-m", "blendloss", "info")
    assert (result.returncode, result.stderr) == (0, "")
    assert "XLA" in result.stdout


def test_importing_the_library_registers_its_classes() -> None:
    code = "import blendloss, keras; print(keras.saving.get_registered_object('blendloss>Blend').__name__)"
    assert started("-c", code).stdout == "Blend\n"


def test_every_public_name_is_there_in_the_command() -> None:
    code = "import sys; sys.argv[0] = 'blendloss'; import blendloss as bl; print([hasattr(bl, n) for n in bl.__all__])"
    assert started("-c", code).stdout == f"{[True] * len(bl.__all__)}\n"
