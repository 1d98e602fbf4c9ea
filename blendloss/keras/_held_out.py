"""The rule by which a gate follows a held-out loss."""

from __future__ import annotations

from typing import Any

from blendloss._blend.blend import Blend
from blendloss._blend.look_ahead import ORDERS
from blendloss._blend.loss_set import LossSet
from blendloss._blend.loss_variables import captured_variables
from blendloss._internal import checks
from blendloss._internal.random import checked_seed
from blendloss._internal.serialization import Configured, deserialize, register, serialize
from blendloss.losses._columns import innermost


@register
class HeldOut(Configured):
    """Trains a gate on data that the network is not trained on: one look-ahead step, then the held-out loss there.

    In each training step, with the network's weights w, the gate's a, the blended training loss L (with the network's
    regularization losses) on the training batch and the target T on the step's held-out batch,

        w' = w - rate dL/dw(w, a),    gradient in a:  dT(w')/da = -rate (d/da dL/dw(w, a))^T dT/dw(w'),

    exact (`look_ahead_gradient`). The network itself follows dL/dw(w, a), through its optimizer, as always. So the gate
    gives weight to the losses that lower the target, and not to those with the smallest numbers.

    The target is computed as in `evaluate` (no dropout; batch normalization by its running means). What the gate adds
    to the blend once (regularizers, a divergence) is added to its objective: dT(w')/da is proportional to the rate, and
    they are not. What normalizes losses does not act on the gate. Losses with variables of their own train on the
    training loss, with the network. The held-out batch is a function of seed and step: each turn takes every row once,
    in an order of its own. Under `tf.distribute` every replica computes the whole held-out batch. A killed run resumes
    bit for bit with `jit_compile=True`; without it, up to rounding: TensorFlow's own executor may add up the gradients
    of a gradient in another order.

    Args:
        target: T, any loss that a blend takes, averaged over the held-out batch: the quantity that matters in the end.
        rate: of the look-ahead step, positive; None is the learning rate of the network's optimizer at that step.
        order: 2, as above; or 1, which takes dT/dw at w. Both cost the same; the direction of order 1 does not depend
            on the rate.
        batch_size: rows of a held-out batch, at least 1.
        seed: of the order of the rows, an integer of 64 bits.

    Returns:
        A rule for `BlendedModel(network, blend, held_out=rule)`, saved with the model. The data are given to
        `fit(..., held_out_data=(x, y))`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range.

    Example:
        >>> import numpy as np, keras, blendloss as bl
        >>> keras.utils.set_random_seed(0)
        >>> noise = np.random.default_rng(0)
        >>> x = noise.normal(size=(512, 1)).astype("float32")
        >>> y = 3 * x + noise.standard_t(1.5, size=(512, 1)).astype("float32")
        >>> losses = {"mse": bl.losses.SquaredError(), "cauchy": bl.losses.Cauchy(100.0)}
        >>> rule = bl.keras.HeldOut("mae", batch_size=128)
        >>> model = bl.BlendedModel(
        ...     keras.Sequential([keras.layers.Dense(1)]), bl.Blend(losses, bl.gates.Learned()), held_out=rule
        ... )
        >>> model.compile(keras.optimizers.SGD(0.01), gate_optimizer=keras.optimizers.Adam(0.1))
        >>> history = model.fit(x[:384], y[:384], held_out_data=(x[384:], y[384:]), epochs=5, verbose=0)
        >>> model.held_out.rate is None
        True

    References:
        Liu, Simonyan and Yang, "DARTS: Differentiable architecture search", ICLR 2019, arXiv:1806.09055. Ren, Zeng,
        Yang and Urtasun, "Learning to reweight examples for robust deep learning", ICML 2018, arXiv:1803.09050.

    Deviations:
        The look-ahead step is plain gradient descent, whatever the network's optimizer is, as in both papers. Gate and
        network are updated together, from the same weights; DARTS updates the gate first, and the network with the gate
        that it has then.
    """

    def __init__(
        self, target: Any, *, rate: float | None = None, order: int = 2, batch_size: int = 32, seed: int = 0
    ) -> None:
        if target is None:
            raise TypeError("`target` must be a loss. Received: target=None")
        if isinstance(target, Blend):
            raise TypeError(f"`target` must be a loss, not a blend. Received: target={target!r}")
        self.target = target
        self.losses = LossSet({"target": target}, elementwise=False, reduction="mean")
        inner = innermost(target)
        held = [*self.losses.evaluators[0].held, *getattr(inner, "trainable_variables", ()), *captured_variables(inner)]
        trained = [variable.name for variable in held if variable.trainable]
        if trained:
            raise ValueError(
                "`target` must not train: nothing would train its variables. "
                f"Received: target={target!r}, which holds {trained}"
            )
        self.rate = None if rate is None else checks.positive("rate", rate)
        self.order = checks.one_of("order", order, ORDERS)
        self.batch_size = checks.integer("batch_size", batch_size, minimum=1)
        self.seed = checked_seed(seed)

    def get_config(self) -> dict[str, Any]:
        return {
            "target": serialize(self.target),
            "rate": self.rate,
            "order": self.order,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HeldOut:
        return cls(**{**config, "target": deserialize(config["target"])})
