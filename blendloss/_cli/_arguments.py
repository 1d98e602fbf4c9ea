"""Types of arguments of the command line."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number


positive.__name__ = "whole number"  # argparse: "invalid whole number value: 'x'"
