"""Training, evaluation and optimizers, as in Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.contract.rows import RNG, W, X, Y, both, checks_of_rows, fitted, network, pair

row, test_row = checks_of_rows()


@row("history")
def _():
    both(fitted())


@row("evaluate")
def _():
    plain, blended = both(lambda model: model.evaluate(X, Y, verbose=0, return_dict=True))
    listed = blended.evaluate(X, Y, verbose=0)
    np.testing.assert_allclose(listed[:2], plain.evaluate(X, Y, verbose=0), rtol=1e-5)
    assert len(listed) == 4  # then the blend's: gate/loss, loss/loss


@row("predict")
def _():
    both(lambda model: [model.predict(X, verbose=0), model.predict_on_batch(X), model(X)])


@row("on-batch")
def _():
    both(lambda model: [model.train_on_batch(X, Y, sample_weight=W)[:2], model.test_on_batch(X, Y)[:2]])


@row("weights")
def _():
    weighted = {"weighted_metrics": ["mae"]}
    both(fitted(sample_weight=W, validation_data=(X, Y, W[::-1])), **weighted)
    with pytest.raises(ValueError, match="cardinality"):
        pair()[1].fit(X, Y, sample_weight=W[1:], verbose=0)


@row("class-weight")
def _():
    both(fitted(y=(Y > 0).astype("int64"), class_weight={0: 1.0, 1: 3.0}), loss="binary_crossentropy")


@row("validation")
def _():
    both(fitted(validation_split=0.25, validation_freq=2, validation_batch_size=3))


@row("data")
def _():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            part = slice(8 * index, 8 * index + 8)
            return X[part], Y[part], W[part]

    def generator():
        while True:
            yield from dataset.as_numpy_iterator()

    dataset = tf.data.Dataset.from_tensor_slices((X, Y, W)).batch(8)
    for data in (lambda: dataset, Batches, generator):
        both(lambda model, data=data: model.fit(data(), epochs=2, steps_per_epoch=4, shuffle=False, verbose=0).history)


@row("ways-of-running")
def _():
    for way in ({"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 2}):
        both(fitted(validation_data=(X, Y)), **way)


@row("masks")
def _():
    def masking():
        return keras.Sequential([keras.Input([4, 3]), keras.layers.Masking(), keras.layers.Dense(1)])

    x = RNG.normal(size=(8, 4, 3)).astype("float32")
    x[:, 2:] = 0
    y = RNG.normal(size=(8, 4, 1)).astype("float32")
    both(fitted(x, y, sample_weight=W.reshape(8, 4)), net=masking, weighted_metrics=["mae"])


@row("added-losses")
def _():
    class Activity(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(tf.reduce_sum(inputs**2))
            return inputs

    def net():
        return keras.Sequential([keras.Input([3]), keras.layers.Dense(1, kernel_regularizer="l2"), Activity()])

    both(fitted(), net=net)


@row("metrics")
def _():
    class Counting(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.seen = keras.layers.Dense(1), keras.metrics.Mean("seen")

        def call(self, inputs):
            self.seen.update_state(tf.reduce_mean(inputs))
            return self.dense(inputs)

    plain, blended = both(fitted(), net=Counting, metrics=["mae", keras.metrics.RootMeanSquaredError(name="rmse")])
    assert [name for name in blended.metrics_names if name != "blend_metrics"] == plain.metrics_names
    blended.reset_metrics()
    assert float(blended.network.seen.total) == 0


@row("input-dtype")
def _():
    keras.config.set_dtype_policy("mixed_float16")

    def net():
        return keras.Sequential([keras.Input([3]), keras.layers.Rescaling(1.0, -2048.0, dtype="float32")])

    both(lambda model: model.predict(2048 + X, verbose=0), net=net)


@row("regularized-optimizer")
def _():
    for optimizer in (
        lambda: keras.optimizers.AdamW(weight_decay=0.1, clipnorm=1.0, use_ema=True),
        lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 8), gradient_accumulation_steps=2),
    ):
        (plain, _), (_, blended) = pair(optimizer=optimizer()), pair(optimizer=optimizer())
        both(fitted(), models=(plain, blended))
        assert int(blended.optimizer.iterations) == int(plain.optimizer.iterations)


@row("optimizer-object")
def _():
    given = keras.optimizers.SGD(0.1)
    blend = bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.Learned())
    model = bl.BlendedModel(network(), blend)
    model.compile(given, gate_optimizer="adam")
    assert model.optimizer is given
    model.optimizer.learning_rate = 0.0
    before = model.network.get_weights()
    fitted()(model)
    for ours, earlier in zip(model.network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, earlier)
    assert np.any(blend.gate.logits.numpy() != 0)
