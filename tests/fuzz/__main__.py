"""`python -m tests.fuzz --inputs 10000 --seed 1`: the counts of what became of hostile inputs, and what is wrong."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.fuzz.judge import BAD, GOOD
from tests.fuzz.run import cases, outcomes

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1, help="chooses the inputs")
    parser.add_argument("--only", default="", help="subjects whose name contains this")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    for case, outcome, detail in outcomes(cases(given.inputs, given.seed, given.only), given.seed):
        counts[outcome] += 1
        if outcome in BAD:
            print(f"{outcome}: {case}: {detail}", flush=True)
        if counts.total() % 1000 == 0:
            print(f"{counts.total()} inputs", file=sys.stderr, flush=True)
    for outcome in (*GOOD, *BAD):
        print(f"{counts[outcome]:7d}  {outcome}")
    print(f"{counts.total():7d}  inputs")
    sys.exit(any(counts[outcome] for outcome in BAD))
