"""The files of `blendloss._command.main` that import nothing, under another name.

Importing `blendloss` imports TensorFlow, which only the worker processes do.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "blendloss" / "console")]
