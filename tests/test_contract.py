"""The public API keeps its promises: every name has its docstring, its golden row and its round trip."""

import importlib
import inspect
import pathlib
import re
import subprocess
import sys

import keras
import pytest

import blendloss as bl
from tests.losses import reference
from tests.losses.penalties import PENALTIES
from tests.losses.test_values import LIMITS
from tests.modes.instances import MODES, RELAXATIONS

ROOMS = {
    "losses": bl.losses,
    "modes": bl.modes,
    "gates": bl.gates,
    "gates.families": bl.gates.families,
    "gates.normalizers": bl.gates.normalizers,
    "gates.regularizers": bl.gates.regularizers,
    "gates.statistics": bl.gates.statistics,
    "schedules": bl.schedules,
    "keras": bl.keras,
    "": bl,
}
PUBLIC = {
    f"{room}.{name}".lstrip("."): getattr(module, name)
    for room, module in ROOMS.items()
    for name in module.__all__
    if not inspect.ismodule(getattr(module, name))
}
# What has no values of its own: bases to derive from, records, converters, and what is tested as a whole.
BASES = {
    "losses.Penalty",
    "modes.Mode",
    "modes.Estimator",
    "gates.Gate",
    "gates.GradientGate",
    "gates.MetricGate",
    "gates.families.Family",
    "gates.normalizers.Normalizer",
    "gates.regularizers.Regularizer",
    "gates.statistics.Statistic",
}
RECORDS = {
    "gates.Context",
    "gates.Efficiency",
    "gates.Gating",
    "BlendedGradients",
    "Diagnosis",
    "GateFit",
    "LossComparison",
    "BlendOutput",
}
WITHOUT_ROW = (
    BASES
    | RECORDS
    | {
        "gates.Needs",
        "schedules.Schedule",
        "schedules.as_schedule",
        "Blend",
        "BlendedModel",
        "compare_losses",
        "fit_gate",
        "keras.BlendedModel",
        "keras.MetricMonitor",
        "keras.CollapseMonitor",
        "keras.GateHistory",
        "keras.HeldOut",
        "keras.ResidualMonitor",
        "keras.wait_for_workers",
        "look_ahead_gradient",
        "losses.AddedLoss",
        "losses.m_estimators",
        "gates.LossGradients",
        "gates.least_variance_weights",
    }
)
ENUMERATIONS = {"gates.Needs"}
HEADINGS = ["Args", "Returns", "Raises", "Example", "References", "Deviations"]


def _golden_rows():
    for room in ("losses", "modes", "gates", "schedules"):
        golden = importlib.import_module(f"tests.{room}.golden")
        for row in [
            *golden.ROWS,
            *getattr(golden, "TRAINED", []),
            *getattr(golden, "OUTPUT_LOSSES", []),
            *getattr(golden, "COLUMNS", []),
        ]:
            yield room, row


GOLDEN = list(_golden_rows())


def made(row):
    """The object of a golden row: made by its factory, or held by it."""
    for field in row:
        if callable(field) and getattr(field, "__name__", "") == "<lambda>":
            return field()
    return next(field for field in row if hasattr(field, "get_config") or inspect.isfunction(field))


def sections_of(subject):
    """The text of each section of a docstring by its heading, in order; the claim has none."""
    parts = re.split(rf"^({'|'.join(HEADINGS)}):$", inspect.getdoc(subject) or "", flags=re.MULTILINE)
    assert len(parts[1::2]) == len(set(parts[1::2]))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_has_its_sections_in_order_and_none_that_is_empty(name):
    found = sections_of(PUBLIC[name])
    assert list(found) == [heading for heading in HEADINGS if heading in found]
    assert {"Returns", "Example"} <= set(found)
    assert ">>>" in found["Example"]
    for text in found.values():
        assert text.strip().lower() not in ("", "none", "none.", "nothing", "nothing.")
    assert (inspect.getdoc(PUBLIC[name]) or "").splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_names_every_argument(name):
    subject = PUBLIC[name]
    if name in RECORDS:
        parameters = list(subject._fields)
    elif name in ENUMERATIONS:
        assert all(f"| `{member}` |" in subject.__doc__ for member in subject.__members__ if member != "NOTHING")
        parameters = []
    else:
        signature = inspect.signature(subject.__init__ if inspect.isclass(subject) else subject)
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = [p.name for p in signature.parameters.values() if p.name != "self" and p.kind not in variadic]
    described = sections_of(subject).get("Args", "")
    missing = [
        parameter for parameter in parameters if not re.search(rf"^\s+{parameter}\b.*:", described, re.MULTILINE)
    ]
    assert not missing


def classes_of(room, base):
    """The exported classes that derive from `base` and can be made."""
    return {
        subject
        for name in room.__all__
        if inspect.isclass(subject := getattr(room, name))
        if issubclass(subject, base) and not inspect.isabstract(subject)
    }


def test_every_penalty_has_an_instance_a_reference_and_limits():
    penalties = classes_of(bl.losses, bl.losses.Penalty)
    assert penalties == {type(penalty) for _, penalty in PENALTIES} == set(LIMITS) == set(reference._OF)


def test_every_mode_and_relaxation_has_an_instance():
    made = [mode for _, mode in MODES]
    estimators = {type(mode.estimator) for mode in made if isinstance(mode, bl.modes.Hard)}
    assert classes_of(bl.modes, bl.modes.Mode) == {type(mode) for mode in made}
    assert classes_of(bl.modes, bl.modes.Estimator) == estimators
    functions = {name for name in bl.modes.__all__ if inspect.isfunction(getattr(bl.modes, name))}
    assert functions <= {name for name, _ in RELAXATIONS}


@pytest.mark.parametrize("name", sorted(gate.__name__ for gate in classes_of(bl.gates, bl.gates.Gate)))
def test_every_gate_stands_in_a_table_for_readers(name):
    page = pathlib.Path(__file__).parents[1] / "docs" / "guide" / "which-gate.md"
    assert f"`{name}" in page.read_text()


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - RECORDS - BASES))
def test_every_name_stands_in_the_changelog(name):
    text = (pathlib.Path(__file__).parents[1] / "CHANGELOG.md").read_text()
    assert re.search(rf"\b{name.split('.')[-1]}\b", text)


def method_of(subject):
    """The public name that an object comes from."""
    if isinstance(subject, bl.schedules.Schedule):
        return subject.name
    return subject.__name__ if inspect.isfunction(subject) else type(subject).__name__


def test_every_method_has_a_golden_row():
    with_row = {method_of(made(row)) for _, row in GOLDEN}
    assert {name for name in set(PUBLIC) - WITHOUT_ROW if name.split(".")[-1] not in with_row} == set()


@pytest.mark.parametrize(("room", "row"), GOLDEN, ids=lambda value: value if isinstance(value, str) else value[0])
def test_round_trip_through_keras_serialization(room, row):
    subject = made(row)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(subject))
    if inspect.isfunction(subject):
        assert copy is subject
    else:
        assert type(copy) is type(subject)
        assert copy.get_config() == subject.get_config()


@pytest.mark.parametrize("name", sorted(BASES))
def test_bases_cannot_be_instantiated(name):
    with pytest.raises(TypeError, match="abstract"):
        PUBLIC[name]()


def test_importing_the_library_imports_nothing_that_it_uses_later():
    heavy = ["tensorflow_probability", "matplotlib", "pandas", "rich", "scipy", "sklearn"]
    code = (
        "import sys, tensorflow; before = set(sys.modules); import blendloss; "
        f"print([name for name in {heavy} if name in set(sys.modules) - before])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
