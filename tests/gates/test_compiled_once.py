"""XLA compiles the step of each gate once: what it takes for a constant must not follow from what training moves."""

import pathlib
import subprocess
import sys

import pytest

from tests.blend.instances import FROM_GRADIENTS, OF_VALUES

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """By gate, how many programs its first step compiled, and how many three later ones did."""
    dump = tmp_path_factory.mktemp("xla")
    command = [sys.executable, str(pathlib.Path(__file__).with_name("compiled_once.py")), str(dump)]
    flags = f"--xla_dump_to={dump} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=.*step.*"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "XLA_FLAGS": flags}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200)
    assert result.returncode == 0, result.stderr
    lines = (line.split() for line in result.stdout.splitlines())
    return {name: (int(first), int(later)) for name, first, later in lines}


@pytest.mark.parametrize("gate", [*OF_VALUES, *FROM_GRADIENTS])
def test_a_step_is_compiled_once(gate, compiled):
    first, later = compiled[gate]
    assert first >= 1  # else nothing was counted
    assert later == 0
