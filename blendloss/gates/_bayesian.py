"""A gate that keeps a posterior over gating vectors."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.assertions import require
from blendloss._internal.dtypes import initial
from blendloss._internal.random import POSTERIOR, checked_seed, uniform
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates.families import Family
from blendloss.schedules import as_schedule


@register
class Bayesian(Gate):
    """A variational posterior over the gating vector: logits sampled anew each step, pulled towards a prior by its KL.

    z ~ q(z; phi), reparameterized, so that gradients reach phi; the cost is c(step) KL(q || p) / N. With N training
    examples, a blend that is a mean over examples, and c = 1, the total is minus the evidence lower bound per example
    of the model with likelihood exp(-sum_k g_k l_k): Bayes' rule where that is a density of the targets for every g, a
    Gibbs posterior otherwise. The optimal q is the one closest to p(g) exp(-N sum_k g_k mean(l_k)).

    Under `Soft()` the sampled blend is linear in g: as N grows, q still moves to the loss with the smallest numbers,
    only N decides how far. The posterior says how sure that is, not which noise law holds.

    Args:
        family: one of `blendloss.gates.families`, with its prior; q starts at the prior.
        examples: N > 0. With reduction "sum", the number of batches in an epoch.
        seed: seeds the samples, which are a function of seed and step, equal on all replicas.
        coefficient: c >= 0: a schedule (annealing of the KL) or a number. Negative values are caught in the graph; XLA,
            which cannot raise, turns the cost into NaN.
        name: the layer's name.
        dtype: of the logits and the parameters; samples and KL are computed in float64.

    Returns:
        `gating(context)` gives z, `[K]`; the family's `point` where not training. `posterior()` is q and `prior()` p,
        as distributions of TensorFlow Probability.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or the prior has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Bayesian(bl.gates.families.Dirichlet(1.0), examples=1000, seed=0)
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate)
        >>> blend.compute([[0.0]], [[2.0]], step=0, training=False).weights.numpy().tolist()
        [0.5, 0.5]
        >>> float(blend.compute([[0.0]], [[2.0]], step=0).cost)  # q is the prior
        0.0
        >>> gate.posterior().concentration.numpy().tolist()
        [1.0, 1.0]

    References:
        Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, eq. 10; Bissiri, Holmes and Walker, "A General
        Framework for Updating Belief Distributions", JRSS B 78 (2016); the coefficient is that of Bowman et al.,
        "Generating Sentences from a Continuous Space", CoNLL 2016, section 3.1.

    Deviations:
        One sample a step for the whole batch.
    """

    needs = Needs.STEP

    def __init__(
        self,
        family: Family,
        *,
        examples: float,
        seed: int,
        coefficient: Any = 1.0,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not isinstance(family, Family):
            raise TypeError(f"`family` must be a Family, such as families.Dirichlet(). Received: family={family!r}")
        self.family = family
        self.examples = checks.positive("examples", examples)
        self.seed = checked_seed(seed)
        self.coefficient = as_schedule("coefficient", coefficient)
        if self.coefficient.name == "constant":
            checks.non_negative("coefficient", self.coefficient.arguments["value"])
        # Set once the losses are known.
        self._prior: dict[str, Any] = {}
        self._parameters: dict[str, Any] = {}

    def create_state(self, k: int) -> None:
        if self.coefficient(0).shape.rank != 0:
            raise ValueError(f"`coefficient` must be a scalar schedule. Received: {self.coefficient!r}")
        self._prior = self.family.prior(k)
        self._parameters = {
            name: self.add_weight(name=name, shape=(k,), initializer=initial(values))
            for name, values in self._prior.items()
        }

    def gating(self, context: Context) -> tf.Tensor:
        self._require_blend()
        if context.training:
            shape = [self.family.uniforms, len(self.names)]
            drawn = uniform(shape, self.seed, context.step, tf.float64, POSTERIOR)
            logits = self.family.sample(self._exact(), drawn)
        else:
            logits = self.family.point_estimate(self._exact())
        # Shifted, so that rounding to fewer digits cannot lose the largest.
        return tf.cast(logits - tf.stop_gradient(tf.reduce_max(logits, axis=-1, keepdims=True)), self.compute_dtype)

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor:
        coefficient = self.coefficient.at(context.step, tf.float64)
        coefficient = require(coefficient >= 0, "`coefficient` must not be negative.", coefficient)
        return coefficient * self.family.divergence(self._exact(), self._exact_prior()) / self.examples

    def posterior(self) -> Any:
        """The distribution q as it is now, one of TensorFlow Probability."""
        self._require_blend()
        return self.family.distribution(self._exact())

    def prior(self) -> Any:
        """The distribution p, one of TensorFlow Probability."""
        self._require_blend()
        return self.family.distribution(self._exact_prior())

    def _exact(self) -> dict[str, tf.Tensor]:
        return {name: tf.cast(tf.convert_to_tensor(value), tf.float64) for name, value in self._parameters.items()}

    def _exact_prior(self) -> dict[str, tf.Tensor]:
        return {name: tf.constant(values, tf.float64) for name, values in self._prior.items()}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "family": serialize(self.family),
            "examples": self.examples,
            "seed": self.seed,
            "coefficient": serialize(self.coefficient),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return super().from_config(
            {
                **config,
                "family": deserialize(config["family"]),
                "coefficient": deserialize(config["coefficient"]),
            }
        )
