"""The package `blendloss.console` under another name, for files of it that import the standard library alone.

Importing `blendloss` imports TensorFlow, which only the worker processes do.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "blendloss" / "console")]
