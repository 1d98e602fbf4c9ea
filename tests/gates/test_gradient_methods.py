"""`GradNorm`, `LRAnnealing`, `NTK` and `GradDrop` in compiled models and in mixed precision."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from blendloss import gates
from tests.gates.two_outputs import X, Y, model_of

METHODS = {
    "grad-norm": lambda: gates.GradNorm(),
    "lr-annealing": lambda: gates.LRAnnealing(every=2),
    "ntk": lambda: gates.NTK(every=2),
    "ntk-probes": lambda: gates.NTK(probes=2, seed=0, every=1),
    "grad-drop": lambda: gates.GradDrop(seed=0),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_model_trains_as_an_uncompiled_one(method):
    plain, compiled = (model_of(METHODS[method](), jit_compile=jit) for jit in (False, True))
    for model in (plain, compiled):
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(plain.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)  # eight steps of rounding


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("method", METHODS)
def test_mixed_precision(method, policy):
    keras.config.set_dtype_policy(policy)
    model = model_of(METHODS[method]())
    history = model.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(variable.dtype in ("float32", "int64") for variable in model.blend.gate.variables)
    assert all(np.isfinite(variable.numpy()).all() for variable in model.blend.gate.variables)
    assert int(model.step) > 0
