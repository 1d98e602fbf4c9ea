"""Every row of the table in docs/keras.md has one check."""

from tests.keras.contract import test_callbacks, test_losses, test_outputs, test_own_rules, test_saving, test_training
from tests.keras.contract.rows import ROWS


def test_every_row_has_a_check_and_every_check_a_row():
    files = [test_callbacks, test_losses, test_outputs, test_own_rules, test_saving, test_training]
    assert sorted(ROWS) == sorted(name for file in files for name in file.test_row.checks)
