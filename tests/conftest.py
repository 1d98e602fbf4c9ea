"""Before TensorFlow starts: no start-up notes, and two virtual CPUs, so that replicas can be tested on one machine."""

import contextlib
import gc
import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def quiet():
    """Without what TensorFlow writes before it reads that level; it would follow pytest's summary."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


with quiet():
    import keras
    import tensorflow as tf
    from tensorflow.python.framework import ops

    from tests.naming import id_of
    from tests.seeding import seed

# What is alive now stays so: the collector need not look at TensorFlow's million objects, nor so often at new ones.
gc.freeze()
gc.set_threshold(50_000, 20, 100)

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


#: Folders whose tests train models, start processes or compile large programs.
SLOW_FOLDERS = {
    "advice",
    "benchmarks",
    "conformance",
    "contract",
    "demo",
    "fuzz",
    "keras",
    "noise",
    "papers",
    "solvers",
    "workers",
}
#: Files of other folders that do.
SLOW_FILES = {
    "test_adaptive_barron.py",
    "test_adaptive_barron_fit.py",
    "test_bandits.py",
    "test_bayesian.py",
    "test_by_example.py",
    "test_columns.py",
    "test_compiled_once.py",
    "test_custom_gradient.py",
    "test_exponential_family.py",
    "test_famo.py",
    "test_fit_gate.py",
    "test_gamma.py",
    "test_grad_drop.py",
    "test_grad_norm.py",
    "test_gradient_methods.py",
    "test_least_variance.py",
    "test_loss_of_several_outputs.py",
    "test_loss_variables.py",
    "test_loss_variables_in_a_step.py",
    "test_lr_annealing.py",
    "test_missing_targets.py",
    "test_mixture.py",
    "test_ntk.py",
    "test_penalty_means.py",
    "test_persistent_tape.py",
    "test_progress.py",
    "test_readme.py",
    "test_recover.py",
    "test_score_matching.py",
    "test_seeds.py",
}


def pytest_collection_modifyitems(items):
    """Marks as slow what `make test-fast` leaves out."""
    for item in items:
        row = getattr(getattr(item, "callspec", None), "id", "")
        compiled = any(word in row + item.name for word in ("xla", "gpu", "regime"))
        folder = item.path.parent.name in SLOW_FOLDERS or item.path.name in SLOW_FILES
        if compiled or folder or "replicas" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def pytest_make_parametrize_id(val):
    return id_of(val)


@pytest.fixture(scope="session")
def replicas():
    """Two replicas on the virtual CPUs; one strategy for all tests, as each numbers its collectives from the start."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """TensorFlow registers for ever the gradients that plain Keras models trace, and with them their graphs."""
    yield
    registry = ops.gradient_registry._registry
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        registry.pop(name, None)
    gc.collect()


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same seeds, and leaves no global Keras state behind."""
    seed()
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
