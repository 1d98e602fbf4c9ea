"""What a result depends on beside its settings: the sources and the versions."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import benchmarks
import blendloss
import papers
from blendloss.console.environment import versions

SOURCES = "source files"


@functools.cache
def fingerprint() -> dict[str, str]:
    """The versions of what computes, and a digest of the Python files of blendloss, papers and benchmarks."""
    folders = [Path(folder) for package in (blendloss, papers, benchmarks) for folder in package.__path__]
    return {**versions(), SOURCES: digest(*folders)}


def digest(*folders: Path) -> str:
    """Of the Python files in `folders`, with their names."""
    found = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            found.update(f"{folder.name}/{file.relative_to(folder).as_posix()}\0".encode())
            found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:16]


def differences(here: dict[str, str], there: dict[str, str]) -> list[str]:
    """What of two fingerprints differs, in words."""
    names = dict.fromkeys([*here, *there])
    return [
        f"{name}: {here.get(name)} here, {there.get(name)} there" for name in names if here.get(name) != there.get(name)
    ]
