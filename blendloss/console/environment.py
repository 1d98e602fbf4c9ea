"""The versions and devices on which a run depends."""

from __future__ import annotations

import os
import platform
from importlib import metadata

_PACKAGES = ("blendloss", "tensorflow", "keras", "tensorflow-probability", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that compute."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def devices() -> list[str]:
    """Descriptions of the devices that TensorFlow sees."""
    import tensorflow as tf

    described = [f"CPU ({os.cpu_count()} cores, {platform.machine()})"]
    for number, device in enumerate(tf.config.list_physical_devices("GPU")):
        name = tf.config.experimental.get_device_details(device).get("device_name", "unknown")
        described.append(f"GPU {number} ({name})")
    return described


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
