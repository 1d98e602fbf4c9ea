"""The record of a run of the demo, and its picture."""

from __future__ import annotations

from blendloss._cli._results import Results, replace

FORMAT = 1
RESULTS = Results("demo", format=FORMAT, resumable=True)
RECORD, PICTURE = RESULTS.record, RESULTS.picture
new_folder, load, save = RESULTS.new_folder, RESULTS.load, RESULTS.save

__all__ = ["FORMAT", "PICTURE", "RECORD", "RESULTS", "load", "new_folder", "replace", "save"]
