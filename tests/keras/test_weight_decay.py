"""Weight decay of a single optimizer is for the network: what trains in the blend does not decay."""

import keras
import numpy as np
import pytest

import blendloss as bl
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = RNG.normal(size=(32, 1)).astype("float32")
optimizers = keras.optimizers
#: Gradients times this rate are nothing beside a decay of a hundredth in each of four steps.
RATE, DECAY, LEFT = 1e-7, 1e5, 0.99**4

PENALTIES = {"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}
BLENDS = {
    "learned": (PENALTIES, lambda: bl.gates.Learned([2.0, -1.0])),
    "uncertainty": (PENALTIES, lambda: bl.gates.Uncertainty(initial=2.0)),
    "likelihood": (PENALTIES, lambda: bl.gates.Learned([2.0, -1.0], normalize="likelihood")),
    "exponential-family": (PENALTIES, lambda: bl.gates.ExponentialFamily()),
    "mixture": (PENALTIES, lambda: bl.gates.Mixture()),
    "network": (PENALTIES, lambda: bl.gates.Network(keras.Sequential([keras.Input([4]), keras.layers.Dense(2)]))),
    "loss": ({"barron": bl.losses.AdaptiveBarron(), "mse": "mse"}, lambda: bl.gates.Fixed([1.0, 1.0])),
    "grad-norm": (PENALTIES, lambda: bl.gates.GradNorm()),
}


def network():
    seed()
    layers = [keras.Input([4]), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(1, name="output")]
    return keras.Sequential(layers)


def model_of(blend="learned", optimizer=None, **named):
    net = network()
    losses, gate = BLENDS[blend]
    model = bl.BlendedModel(net, bl.Blend(losses, gate()))
    if optimizer is None:
        optimizer = decaying()
    model.compile(optimizer(model) if callable(optimizer) else optimizer, **named)
    return model


def decaying(kind=optimizers.SGD, **named):
    return kind(learning_rate=RATE, weight_decay=DECAY, **named)


def ratios(model, steps=4):
    """For each variable that trains, what is left of it, of the blend and by layer of the network."""
    model.train_on_batch(X, Y)  # the first call may create some
    trained = model.blend.trainable_variables, [layer.kernel for layer in model.network.layers]
    for variable in trained[0]:
        variable.assign(np.ones(variable.shape))  # 0 cannot decay
    before = [[v.numpy() for v in part] for part in trained]
    for _ in range(steps):  # no `fit`, which ends with the average of weights that an optimizer keeps
        model.train_on_batch(X, Y)
    return [
        [float(np.mean(v.numpy() / old)) for v, old in zip(part, olds, strict=True)]
        for part, olds in zip(trained, before, strict=True)
    ]


def assert_blend_stays(model, kernels=(LEFT, LEFT)):
    blend, network = ratios(model)
    assert blend
    np.testing.assert_allclose(blend, 1.0, rtol=1e-4)
    np.testing.assert_allclose(network, kernels, rtol=1e-3)


@pytest.mark.parametrize("blend", BLENDS)
def test_nothing_of_the_blend_decays(blend):
    assert_blend_stays(model_of(blend))


def always(optimizer):
    return lambda variable: optimizer


def by_path(default, mapped):
    def make(model):
        return optimizers.MultiOptimizer(
            optimizers.OptimizerMap(default, {v.path: mapped for v in model.blend.trainable_variables})
        )

    return make


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda _: decaying(optimizers.AdamW),
        lambda _: decaying(optimizers.Lion),
        lambda _: decaying(optimizers.Adamax),
        lambda _: optimizers.LossScaleOptimizer(decaying()),
        lambda _: decaying(use_ema=True),
        lambda _: optimizers.MultiOptimizer(optimizers.OptimizerMap(decaying())),
        lambda _: optimizers.MultiOptimizer(always(decaying())),
        by_path(decaying(), optimizers.SGD(RATE)),
    ],
    ids=["adamw", "lion", "adamax", "scaled", "ema", "multi", "multi-callable", "multi-mapped"],
)
def test_no_optimizer_decays_the_blend(optimizer):
    assert_blend_stays(model_of(optimizer=optimizer))


def test_weight_decay_leaves_logits_without_gradient_alone():
    """Logits [2, -1] of one and the same loss, whose gradient is 0."""
    blend = bl.Blend({"a": "mse", "b": "mse"}, bl.gates.Learned([2.0, -1.0]))
    model = bl.BlendedModel(network(), blend)
    model.compile(optimizers.SGD(0.01, weight_decay=5.0))
    model.fit(X, Y, epochs=7, verbose=0)
    np.testing.assert_allclose(blend.gate.logits.numpy(), [2.0, -1.0], atol=1e-5)


@pytest.mark.parametrize(
    "asked",
    [
        lambda: model_of(optimizer=optimizers.SGD(RATE), gate_optimizer=decaying()),
        lambda: model_of(optimizer=by_path(optimizers.SGD(RATE), decaying())),
    ],
    ids=["gate-optimizer", "mapped"],
)
def test_decays_where_the_user_asks(asked):
    blend, network = ratios(asked())
    np.testing.assert_allclose(blend, LEFT, rtol=1e-3)
    np.testing.assert_allclose(network, 1.0, rtol=1e-3)


@pytest.mark.parametrize("when", ["before-compile", "before-build", "after-build", "by-name"])
def test_users_exclusions_are_kept(when):
    given = decaying()

    def optimizer(model):
        if when == "before-compile":
            given.exclude_from_weight_decay(var_list=[model.network.layers[0].kernel])
        return given

    model = model_of(optimizer=optimizer)
    if when == "after-build":
        given.build(model.trainable_variables)
    if when == "by-name":
        given.exclude_from_weight_decay(var_names=["kernel"])
    elif when != "before-compile":
        given.exclude_from_weight_decay(var_list=[model.network.layers[0].kernel])
    assert_blend_stays(model, (1.0, 1.0) if when == "by-name" else (1.0, LEFT))


def test_decay_that_is_set_later():
    model = model_of(optimizer=optimizers.SGD(RATE))
    model.optimizer.weight_decay = DECAY
    assert_blend_stays(model)


def test_loaded_model(tmp_path):
    model = model_of()
    assert_blend_stays(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.weight_decay == DECAY
    assert_blend_stays(loaded)


def test_replicas(replicas):
    with replicas.scope():
        model = model_of()
    model.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    np.testing.assert_allclose(model.blend.gate.logits.numpy(), [2.0, -1.0], atol=1e-4)
    np.testing.assert_allclose(
        model.network.layers[1].kernel.numpy() / network().layers[1].kernel.numpy(), LEFT, rtol=1e-3
    )
