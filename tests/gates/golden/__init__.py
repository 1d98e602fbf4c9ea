"""What gates and their parts must give, worked out by hand: a file for each kind, a row for each case."""

from typing import Any

from tests.gates.golden.families import FAMILIES
from tests.gates.golden.gates import GATES, ROUNDING
from tests.gates.golden.gradients import FROM_GRADIENTS
from tests.gates.golden.normalizers import NORMALIZERS
from tests.gates.golden.rates import RATES
from tests.gates.golden.regularizers import REGULARIZERS
from tests.gates.golden.statistics import STATISTICS
from tests.gates.golden.values import PROGRESS, SCALARIZATIONS

ROWS: list[Any] = [
    *GATES,
    *STATISTICS,
    *REGULARIZERS,
    *NORMALIZERS,
    *FAMILIES,
    *SCALARIZATIONS,
    *PROGRESS,
    *RATES,
    *FROM_GRADIENTS,
]

__all__ = [
    "FAMILIES",
    "FROM_GRADIENTS",
    "GATES",
    "NORMALIZERS",
    "PROGRESS",
    "RATES",
    "REGULARIZERS",
    "ROUNDING",
    "ROWS",
    "SCALARIZATIONS",
    "STATISTICS",
]
