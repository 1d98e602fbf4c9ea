"""Keras callbacks do what they do with a plain model."""

import keras
import pytest

from tests.keras.contract.rows import X, Y, both, checks_of_rows, fitted, of_keras

row, test_row = checks_of_rows()


@row("callbacks")
def _():
    def action(model):
        rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / (1 + epoch))
        plateau = keras.callbacks.ReduceLROnPlateau("val_mae", patience=1, min_delta=10.0)
        seen: list[list[str]] = []
        names = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(sorted(of_keras(logs)))
        )
        history = fitted(epochs=3, validation_data=(X, Y), callbacks=[rates, plateau, names])(model)
        assert seen == [["loss", "mae"]] * 12
        return [of_keras(history), float(model.optimizer.learning_rate)]

    both(action)


@row("early-stopping")
def _():
    def action(model):
        stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0, restore_best_weights=True)
        return [of_keras(fitted(epochs=5, callbacks=[stop])(model)), stop.stopped_epoch]

    _, blended = both(action)
    assert int(blended.step) == 4  # of the best epoch, the first
    assert int(blended.optimizer.iterations) == 8  # as in Keras: the optimizer is not restored


@row("checkpoints")
def _():
    def action(model):
        path = f"{type(model).__name__}.keras"
        fitted(callbacks=[keras.callbacks.ModelCheckpoint(path)])(model)
        loaded = keras.models.load_model(path)
        return of_keras(fitted()(loaded))

    both(action)


@row("backup")
def _():
    class Killed(Exception):
        pass

    def action(model):
        def kill(epoch, logs):
            if epoch == 1:
                raise Killed

        backup = keras.callbacks.BackupAndRestore(f"backup-{type(model).__name__}")
        stop = keras.callbacks.LambdaCallback(on_epoch_begin=kill)
        with pytest.raises(Killed):
            fitted(epochs=3, callbacks=[backup, stop])(model)
        return fitted(epochs=3, callbacks=[backup])(model)

    _, blended = both(action)
    assert int(blended.step) == int(blended.optimizer.iterations) == 12
