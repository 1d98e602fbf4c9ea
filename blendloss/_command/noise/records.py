"""The record of a study, and its picture."""

from __future__ import annotations

from blendloss.console.results import Results

RESULTS = Results("noise", format=1)
