"""What blending costs in a whole training step of Keras's `fit`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks import problems
from benchmarks.harness import Axis, Benchmark, Part, Plot, Quantity, Subject

PLAIN, BY_HAND = "plain MSE", "weighted sum by hand"
#: Examples of one `fit`, in steps of the batch: enough that what `fit` does once does not count.
EXAMPLES = 1 << 15
MOST_STEPS = 64

BENCHMARK = Benchmark(
    name="step",
    about="a whole Keras `fit` step, blended, against plain MSE and a sum by hand",
    axes=(
        Axis("network", ("mlp", "convolutional"), "what is trained", choices=("mlp", "convolutional")),
        Axis("batch", (32, 256, 4096), "examples of a step", quick=(256,)),
        Axis("execution", ("xla", "graph"), "how it is compiled", choices=("xla", "graph"), quick=("graph",)),
    ),
    base=PLAIN,
    quantities=(Quantity("ms a step", lambda facts, seconds: 1e3 * seconds / facts["steps"]),),
    plots=(Plot("ms a step", "batch"),),
    parts=(Part("benchmarks.step"),),
    quick_arms=(BY_HAND, "fixed, soft"),
)

device = problems.device


def _blends() -> dict[str, Callable[[], Any]]:
    """Gates and modes, of two losses; and of six and eight."""
    import blendloss as bl

    crossfade: dict[str, Any] = {"schedule": bl.schedules.linear(0.0, 1.0, steps=10_000)}
    cooling = bl.schedules.exponential(5.0, 0.1, steps=10_000)

    def blend(gate: Any, mode: Any = None, losses: int = 2) -> Any:
        return bl.Blend(problems.penalties(losses), gate, mode)

    return {
        "fixed, soft": lambda: blend(bl.gates.Fixed([0.5, 0.5])),
        "scheduled, soft": lambda: blend(bl.gates.Scheduled(**crossfade)),
        "scheduled, annealed": lambda: blend(bl.gates.Scheduled(**crossfade), bl.modes.Annealed(cooling)),
        "scheduled, hard, lazy": lambda: blend(bl.gates.Scheduled(**crossfade), bl.modes.Hard()),
        "learned, soft": lambda: blend(bl.gates.Learned()),
        "learned, annealed, Gumbel": lambda: blend(bl.gates.Learned(), bl.modes.Annealed(cooling, seed=0)),
        "learned, hard, straight-through": lambda: blend(bl.gates.Learned(), bl.modes.Hard()),
        "fixed, soft, K = 6": lambda: blend(bl.gates.Fixed([1 / 6] * 6), losses=6),
        "score matching, soft, K = 6": lambda: blend(bl.gates.ScoreMatching(), losses=6),
        "learned, soft, K = 8": lambda: blend(bl.gates.Learned(), losses=8),
    }


def arms(case: dict[str, Any]) -> Iterable[str]:
    return [PLAIN, BY_HAND, *_blends()]


def _mlp() -> Any:
    import keras

    layers = [keras.layers.Dense(256, "relu") for _ in range(2)]
    return keras.Sequential([keras.Input([32]), *layers, keras.layers.Dense(1)])


def _convolutional() -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input([16, 16, 1]),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


NETWORKS: dict[str, Callable[[], Any]] = {"mlp": _mlp, "convolutional": _convolutional}


def _by_hand(y_true: Any, y_pred: Any) -> Any:
    import keras

    return 0.5 * keras.losses.mean_squared_error(y_true, y_pred) + 0.5 * keras.losses.huber(y_true, y_pred)


def build(case: dict[str, Any], arm: str) -> Subject:
    import keras

    import blendloss as bl

    keras.utils.set_random_seed(0)
    network = NETWORKS[case["network"]]()
    losses = {PLAIN: "mse", BY_HAND: _by_hand}
    if arm in losses:
        model, given = network, {"loss": losses[arm]}
    else:
        model, given = bl.BlendedModel(network, _blends()[arm]()), {}
    model.compile("adam", jit_compile=case["execution"] == "xla", **given)
    steps = max(2, min(MOST_STEPS, EXAMPLES // case["batch"]))
    random = np.random.default_rng(0)
    x = random.standard_normal((steps * case["batch"], *network.input_shape[1:]), np.float32)
    y = x.reshape(len(x), -1).sum(axis=1, keepdims=True) + random.standard_t(3, size=(len(x), 1)).astype("float32")
    return Subject(lambda: model.fit(x, y, batch_size=case["batch"], verbose=0), facts={"steps": steps})
