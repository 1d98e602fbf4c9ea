"""`blendloss advise`: what it prints and draws, and each mistake in one line."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

import blendloss as bl
from blendloss._command.main import main
from tests.commands import refused, write

ROWS = 60


def table() -> dict[str, list[str]]:
    random = np.random.default_rng(0)
    predicted, noise = random.uniform(size=ROWS), random.standard_t(3, size=ROWS)
    return {
        "price": [str(one) for one in predicted - noise],
        "predicted": [str(one) for one in predicted],
        "r": [str(one) for one in noise],
        "w": [str(1 + i % 3) for i in range(ROWS)],
        "day": [f"day {i // 4}" for i in range(ROWS)],
        "zeros": ["0"] * ROWS,
        "words": ["a"] * ROWS,
        "truth": ["True", "False"] * (ROWS // 2),
        "gap": ["", *["1.5"] * (ROWS - 1)],
        "huge": ["9" * 400, *["1"] * (ROWS - 1)],
        "one text": ["1"] * 7 + ["n/a?"] + ["1"] * (ROWS - 8),
    }


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good.csv", table())
    return tmp_path


def test_end_to_end(here: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ["good.csv", "--target", "price", "--prediction", "predicted"]
    assert main(["advise", *target, "--group", "day", "--weight", "w", "--seed", "3", "--out", "picture.png"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    shown = [line.strip() for line in out.splitlines()]
    for name in bl.losses.m_estimators():
        assert any(line.startswith(f"{name} ") for line in shown)
    for word in ("best blend", "- Rows: 60", "- Tails", "- Symmetry", "- Scale", "15 groups", "picture.png"):
        assert word in out
    assert (here / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in here.iterdir()) == ["good.csv", "picture.png"]
    code = "\n".join(line.removeprefix("    ") for line in out.splitlines() if line.startswith("    "))
    names: dict[str, object] = {}
    exec(code[code.index("import blendloss") :], names)
    assert "loss" in names or "blend" in names


def test_the_advice_is_that_of_compare_losses(here: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "good.csv", "--residuals", "r", "--block", "2"]) == 0
    r = np.array([float(one) for one in table()["r"]])
    assert " ".join(bl.compare_losses(r, block=2).advice.split()) in " ".join(capsys.readouterr().out.split())


def test_a_file_of_one_column(here: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "one.csv", {"r": table()["r"]})
    assert main(["advise", "one.csv", "--residuals", "r"]) == 0
    assert "60 residuals" in capsys.readouterr().out
    (here / "gap.csv").write_text((here / "one.csv").read_text().replace("\n", "\n\n", 2))
    assert "'r' is missing (empty or NaN) in 2 of 62 rows (first: row 1)" in refused(
        capsys, "advise", "gap.csv", "--residuals", "r"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["good.csv"], "needs --residuals COLUMN, or --target COLUMN and --prediction COLUMN"),
        (["good.csv", "--target", "price"], "needs --residuals COLUMN, or --target"),
        (["good.csv", "--residuals", "r", "--target", "price"], "leave out --target"),
        (["good.csv", "--residuals", "r", "--group", "day", "--block", "3"], "leave out one"),
        (["good.csv", "--residuals", "error"], "no column 'error'; the columns are: price, predicted"),
        (["good.csv", "--residuals", "r", "--weight", "v"], "no column 'v'"),
        (["good.csv", "--residuals", "words"], "'words' must be numbers; row 1 holds 'a'"),
        (["good.csv", "--residuals", "one text"], "'one text' must be numbers; row 8 holds 'n/a?'"),
        (["good.csv", "--residuals", "truth"], "'truth' must be numbers"),
        (["good.csv", "--residuals", "gap"], "'gap' is missing (empty or NaN) in 1 of 60 rows (first: row 1)"),
        (["good.csv", "--residuals", "huge"], "'huge' is infinite in 1 of 60 rows (first: row 1)"),
        (["good.csv", "--residuals", "zeros"], "must not be equal in half of the rows"),
        (["good.csv", "--residuals", "r", "--weight", "zeros"], "at least 20, of positive weight. Received: 0"),
        (["good.csv", "--residuals", "r", "--weight", "r"], "must not be negative"),
        (["good.csv", "--residuals", "r", "--group", "words"], "at least 10 groups to resample. Received: 1 groups"),
        (["good.csv", "--residuals", "r", "--group", "gap"], "'gap' is missing (empty or NaN) in 1 of 60 rows"),
        (["good.csv", "--residuals", "r", "--block", "9"], "Received: 7 groups"),
        (["good.csv", "--residuals", "r", "--out", "picture.txt"], "--out must end in .png, .pdf or .svg"),
        (["good.csv", "--residuals", "r", "--out", "no/picture.png"], "there is no folder no"),
        (["nothing.csv", "--residuals", "r"], "no such file"),
        ([".", "--residuals", "r"], "is not a file"),
    ],
)  # fmt: skip
def test_mistakes(here: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in refused(capsys, "advise", *arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04zip", "binary data"),
        (b"r\n\xff\xfe\n", "not text in UTF-8"),
        (b"r,r\n1,2\n", "'r' more than once"),
        (b"r,\n1,2\n", "column 2 has no name"),
        (b"r,s\n1,2\n1\n", "line 3 has 1 fields"),
        (b'r\n"1\n', "is not a CSV file"),
        (b"r\n", "has no rows"),
        (b"r\n" + 19 * b"1\n", "must be at least 20"),
        pytest.param(b"r\n" + 50 * b"1.5\n", "have no scale. Received: 1.5 in 100%", id="equal numbers"),
        pytest.param(b"r\n" + 30 * b"1e200\n-1e200\n", "at most 1e150", id="huge numbers"),
    ],
)
def test_files(here: pathlib.Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str) -> None:
    (here / "table.csv").write_bytes(content)
    assert message in refused(capsys, "advise", "table.csv", "--residuals", "r")


@pytest.mark.parametrize(
    "arguments",
    [
        ["advise"],
        *(["advise", "good.csv", "--block", text] for text in ("0", "1.5", "two", "")),
        *(["advise", "good.csv", "--seed", text] for text in ("-1", "9" * 30)),
        ["advise", ""],
        ["advise", "good.csv", "--out", ""],
    ],
)
def test_unknown_words_and_numbers(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["advise", "--help"])
    assert end.value.code == 0
    assert "--residuals COLUMN" in capsys.readouterr().out


def test_missing_packages_are_named(
    here: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = refused(capsys, "advise", "good.csv", "--residuals", "r", "--out", "a.png")
    assert "pandas and matplotlib" in message
