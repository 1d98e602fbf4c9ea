"""Several outputs, as in Keras. The details are in tests/keras/test_outputs.py."""

import keras

import blendloss as bl
from tests.keras.contract.rows import Y, both, checks_of_rows, fitted, outputs
from tests.seeding import seed

row, test_row = checks_of_rows()


def several(structure, targets, keys):
    seed()
    plain = outputs(structure)
    seed()
    losses = {str(key): bl.losses.OutputLoss(key, "mse") for key in keys}
    blended = bl.BlendedModel(outputs(structure), bl.Blend(losses, bl.gates.Fixed([1.0] * len(keys))))
    plain.compile("sgd", loss="mse", metrics=keras.tree.map_structure(lambda _: "mae", structure))
    blended.compile("sgd", metrics=keras.tree.map_structure(lambda _: "mae", structure))

    def action(model):
        history = fitted(y=targets)(model)
        return {name: values for name, values in history.items() if not name.endswith("_loss")}

    both(action, models=(plain, blended))


@row("list-outputs")
def _():
    several(["depth", "normal"], {"depth": Y, "normal": 2 * Y}, ["depth", "normal"])


@row("dict-outputs")
def _():
    several({"depth": "d", "normal": "n"}, {"depth": Y, "normal": 2 * Y}, ["depth", "normal"])


@row("nested-outputs")
def _():
    several({"a": {"b": "one", "c": "two"}}, {"a": {"b": Y, "c": 2 * Y}}, ["a/b", "a/c"])


@row("one-output")
def _():
    both(fitted(), net=lambda: outputs({"out": "dense"}))
