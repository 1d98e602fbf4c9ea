"""Packaging: one owner per setting, and the same versions wherever versions stand."""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = pathlib.Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
SETUP = configparser.ConfigParser(strict=True)
SETUP.read_string((ROOT / "setup.cfg").read_text())

OWNERS = {
    "pyproject.toml": {"setuptools", "ruff", "mypy", "importlinter"},
    "setup.cfg": {"tool:pytest", "coverage:run", "coverage:report"},
}

every_extra = pytest.mark.parametrize("extra", EXTRAS)


def requirements(*extras: str) -> list[Requirement]:
    """The core's requirements and those of `extras`, references to other extras left out."""
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]
    return [one for one in map(Requirement, texts) if one.name != "blendloss"]


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = (Version(one.version) for one in requirement.specifier if one.operator in (">=", "=="))
    return bound


# One owner per setting


def test_each_tool_is_set_up_in_one_file() -> None:
    assert set(PYPROJECT["tool"]) == OWNERS["pyproject.toml"]
    assert set(SETUP.sections()) == OWNERS["setup.cfg"]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "setup.py",
            "MANIFEST.in",
            "requirements.txt",
            "pytest.ini",
            ".pytest.ini",
            "pytest.toml",
            "tox.ini",
            ".importlinter",
        ),
        *(".coveragerc", "mypy.ini", ".mypy.ini", "pyrightconfig.json", "ruff.toml", ".ruff.toml", ".flake8"),
    ],
)
def test_no_other_file_sets_anything(name: str) -> None:
    assert not (ROOT / name).exists()


def test_warnings_are_errors() -> None:
    first, *exceptions = SETUP["tool:pytest"]["filterwarnings"].split("\n")[1:]
    assert first == "error"
    assert all(re.fullmatch(r"ignore:.+:\w+(:[\w.]+)?", one) for one in exceptions), "an exception names its message"


# Versions


def test_the_version_stands_in_pyproject_only() -> None:
    import blendloss

    assert blendloss.__version__ == importlib.metadata.version("blendloss") == PROJECT["version"]
    source = (ROOT / "blendloss" / "__init__.py").read_text()
    assert PROJECT["version"] not in source


def test_supported_pythons_agree_everywhere() -> None:
    supported = [
        f"3.{minor}" for minor in range(7, 30) if Version(f"3.{minor}") in SpecifierSet(PROJECT["requires-python"])
    ]
    prefix = "Programming Language :: Python :: "
    assert [one.removeprefix(prefix) for one in PROJECT["classifiers"] if one.startswith(prefix)] == supported
    script = (ROOT / ".ci" / "venv").read_text()
    assert re.findall(r"^oldest=(\d+)$", script, re.M) == [supported[0].removeprefix("3.")]
    assert re.findall(r"^    newest=(\d+)$", script, re.M) == [supported[-1].removeprefix("3.")]
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + supported[0].replace(".", "")
    assert f"Python {supported[0]} to {supported[-1]}" in (ROOT / "Makefile").read_text()


def test_the_lowest_pins_are_the_lower_bounds() -> None:
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    bounds = requirements("demo", "bench", "papers", "cluster", "test")
    assert {pin.name: lower_bound(pin) for pin in pins} == {bound.name: lower_bound(bound) for bound in bounds}
    assert len(pins) == len({pin.name for pin in pins})


def test_a_requirement_reads_the_same_in_every_extra() -> None:
    seen: dict[str, SpecifierSet] = {}
    for one in requirements(*EXTRAS):
        assert seen.setdefault(one.name, one.specifier) == one.specifier, one.name


@every_extra
def test_an_extra_refers_to_extras_that_exist(extra: str) -> None:
    for one in map(Requirement, EXTRAS[extra]):
        assert one.name != "blendloss" or one.extras <= set(EXTRAS) - {extra}


def test_installed_versions_meet_the_requirements() -> None:
    for one in requirements("test"):
        assert importlib.metadata.version(one.name) in one.specifier, one.name


# What is installed


@pytest.mark.parametrize("script", PROJECT["scripts"])
def test_console_scripts_resolve(script: str) -> None:
    module, _, function = PROJECT["scripts"][script].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_package_is_typed_and_whole() -> None:
    package = ROOT / "blendloss"
    assert (package / "py.typed").is_file()
    assert PYPROJECT["tool"]["setuptools"]["package-data"] == {"blendloss": ["py.typed"]}
    assert PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == ["blendloss", "blendloss.*"]
    for file in package.rglob("*.py"):
        assert (file.parent / "__init__.py").is_file(), f"{file.parent} would not be installed"


def test_the_licence_is_the_one_that_is_named() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()


# The way from a clone to a test run


@pytest.mark.parametrize("script", [".ci/run", ".ci/venv"])
def test_scripts_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    shell = (ROOT / script).read_text().splitlines()[0].removeprefix("#!").split()
    subprocess.run([*shell, "-n", str(ROOT / script)], check=True)


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", text, re.M)
    assert set(phony.split()) == set(re.findall(r"^([a-z-]+):.* ## .+$", text, re.M))


def _venv(directory: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / ".ci" / "venv"), str(directory)], env=environment, capture_output=True, text=True, timeout=60
    )


def _fake_python(folder: pathlib.Path, body: str) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("exit 127", "found: python3 does not run;"),  # a shim with no Python behind it
        ("exit 0", "found: python3 does not run;"),
        ("echo is Python 3.9.18", "found: python3 is Python 3.9.18;"),
    ],
)
def test_without_a_python_one_line_says_what_to_do(tmp_path: pathlib.Path, body: str, message: str) -> None:
    _fake_python(tmp_path / "bin", body)
    result = _venv(tmp_path / "venv", PATH=str(tmp_path / "bin"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert "make PYTHON=" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_is_passed_over(tmp_path: pathlib.Path) -> None:
    program = f"exec '{sys.executable}' -c \"import sys; sys.modules['ensurepip'] = None; exec(sys.argv[1])\" \"$2\""
    _fake_python(tmp_path / "bin", program)
    result = _venv(tmp_path / "venv", PATH=str(tmp_path / "bin"))
    assert result.returncode == 1
    assert "without venv or ensurepip" in result.stderr


def test_a_python_that_was_asked_for_is_not_replaced(tmp_path: pathlib.Path) -> None:
    result = _venv(tmp_path / "venv", PATH=os.environ["PATH"], PYTHON="/nowhere/python")
    assert result.returncode == 1
    assert "/nowhere/python does not run" in result.stderr


def test_a_folder_in_the_way_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "precious").write_text("data")
    result = _venv(tmp_path, PATH=os.environ["PATH"], PYTHON=sys.executable)
    if "is Python" in result.stderr:
        pytest.skip(result.stderr)
    assert result.returncode == 1
    assert "is not a virtual environment" in result.stderr
    assert (tmp_path / "precious").read_text() == "data"
