"""What figures depend on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.harness.remote import ROOT


def processor() -> str:
    """The processor in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def commit() -> str | None:
    """The commit that is checked out, with a plus sign where files were changed since."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"], cwd=ROOT, capture_output=True, text=True
    )
    return found.stdout.strip() or None


def conditions() -> dict[str, Any]:
    """What must be the same in all samples that one report is made of."""
    flags = {name: os.environ.get(name) for name in ("XLA_FLAGS", "TF_XLA_FLAGS", "OMP_NUM_THREADS")}
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "usable cores": affinity,
        "platform": platform.platform(),
        "commit": commit(),
        "flags": flags,
    }
