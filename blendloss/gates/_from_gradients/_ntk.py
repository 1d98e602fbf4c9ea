"""Weights from the neural tangent kernels of the losses' residuals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss._internal import checks, random
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import shared_values
from blendloss.gates._from_gradients._kernel_traces import Estimated, Exact, Trace, kernel_traces
from blendloss.gates._from_gradients._weights_of_sizes import mean_over_sizes, smoothed, sum_over_sizes


def _traces(gate: NTK, gradients: LossGradients, context: Context) -> tf.Tensor:
    """tr K_k."""
    return gate._kernel_traces(gradients, context)[0]


def _mean_traces(gate: NTK, gradients: LossGradients, context: Context) -> tf.Tensor:
    """tr K_k / (number of residuals)."""
    return tf.math.divide_no_nan(*gate._kernel_traces(gradients, context))


def _root_norms(gate: NTK, gradients: LossGradients, context: Context) -> tf.Tensor:
    """|d sqrt|l_k| / dw| = |d l_k / dw| / (2 sqrt|l_k|)."""
    losses = tf.cast(shared_values(gate, context), tf.float64)
    return tf.math.divide_no_nan(gradients.norms(), 2 * tf.sqrt(tf.abs(losses)))


@dataclasses.dataclass(frozen=True)
class Form:
    """A published variant.

    Args:
        sizes: (gate, gradients, context) -> what the weights equalize, `[K]`, float64.
        weights: (sizes, the last weights) -> `[K]`; a loss of size 0 keeps its last weight.
        needs: what the gate needs for the sizes.
    """

    sizes: Callable[[NTK, LossGradients, Context], tf.Tensor]
    weights: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    needs: Needs

    @property
    def has_traces(self) -> bool:
        """Whether it looks at the kernels of the residuals."""
        return Needs.RESIDUAL_GRADIENTS in self.needs


FORMS = {
    "paper": Form(_traces, sum_over_sizes, Needs.RESIDUAL_GRADIENTS),
    "mean": Form(_mean_traces, mean_over_sizes, Needs.RESIDUAL_GRADIENTS),
    "root": Form(_root_norms, sum_over_sizes, Needs.VALUES),
}


@register
class NTK(GradientGate):
    """Weights that give each loss the same part in the neural tangent kernel, so that they converge at one rate.

        g_k = sum_j tr K_j / tr K_k,    tr K_k = sum_i |d r_ki / dw|^2    over the residuals r_ki of loss k

    Made for losses that are mean squares of as many residuals each: then tr K_k is the mean rate at which loss k falls
    under gradient flow, times their number.

    Args:
        form: "paper", as above. "mean", m / (t_k + 1e-5 m), where t_k = tr K_k / (number of residuals) and m is their
            mean (jaxpi, of Wang et al. 2023). "root", sum_j n_j / n_k with n_k = |d sqrt|l_k| / dw| of the reduced loss
            (PhysicsNeMo-Sym): no trace, but a norm, which costs one pass for each loss; it needs no residuals.
        probes: None computes each trace exactly, by a backward pass for each residual, one after the other in the
            memory of one. An integer estimates it by as many passes for each loss, without bias: |J^T v|^2 for vectors
            v of random signs, of a relative standard deviation of at most sqrt(2 / probes). Replicas add up J^T v, so
            that they give the estimate of one device.
        seed: an integer of 64 bits, for `probes`.
        momentum: the part of the old weight in the new one, from 0 to below 1: g <- m g + (1 - m) g_new; 0 in the paper
            and its code, 0.9 in jaxpi.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`.
        every: from how many steps to how many the weights are computed anew; 100 in the paper's code, 1000 in
            PhysicsNeMo-Sym and jaxpi.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, 1 at first, as in `GradientGate`. A loss whose trace is 0 keeps its weight.

    Raises:
        TypeError: if an argument has the wrong type; in `BlendedModel`, if a loss is no penalty.
        ValueError: if an argument is out of its range. When a blend with it is called in training: it needs gradients,
            and residuals.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["equation", "boundary"], gate=bl.gates.NTK())
        >>> w = tf.Variable([1.0, 2.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     residuals = {"equation": 3 * w, "boundary": w[:1] - w[1:]}  # traces 9 + 9 and 2
        ...     values = {name: tf.reduce_mean(r**2) for name, r in residuals.items()}
        >>> found = blend.gradients(tape, values, [w], step=0, residuals=residuals)
        >>> found.output.weights.numpy().round(3).tolist()
        [1.111, 10.0]

    References:
        Wang, Yu and Perdikaris, "When and Why PINNs Fail to Train: A Neural Tangent Kernel Perspective", Journal of
        Computational Physics 449, 2022, algorithm 1. Hutchinson, "A Stochastic Estimator of the Trace of the Influence
        Matrix for Laplacian Smoothing Splines", Communications in Statistics 18, 1989.

    Deviations:
        The residuals are those of the batch that is trained on, unweighted, as many as each loss has; the code draws
        batches of their own, of one size. The new weights hold in the step that computes them; the code uses them from
        the next step on.
    """

    usual_task_specific = "weighted"
    why_small_weights_are_fine = "it gives its loss the common rate of convergence"

    def __init__(
        self,
        form: str = "paper",
        *,
        probes: int | None = None,
        seed: int | None = None,
        momentum: float = 0.0,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 100,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.form = checks.one_of("form", form, list(FORMS))
        self._variant = FORMS[self.form]
        self.needs |= self._variant.needs
        self.probes = None if probes is None else checks.integer("probes", probes, minimum=1)
        if probes is not None and not self._variant.has_traces:
            raise ValueError(f"`probes` must be None for the form {form!r}, which has no trace. Received: {probes!r}")
        if (seed is None) != (probes is None):
            raise ValueError(f"`seed` must be given with `probes`, and only then. Received: seed={seed!r}")
        self.seed = None if seed is None else random.checked_seed(seed)
        self._trace: Trace = Exact()
        if self.probes is not None and self.seed is not None:
            self._trace = Estimated(self.probes, self.seed)
            self.needs |= Needs.STEP
        self.momentum = checks.momentum("momentum", momentum, dtype=self.compute_dtype)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        last = tf.cast(tf.convert_to_tensor(self.last), tf.float64)
        sizes = self._variant.sizes(self, gradients, context)
        return smoothed(last, self._variant.weights(sizes, last), self.momentum)

    def _kernel_traces(self, gradients: LossGradients, context: Context) -> tuple[tf.Tensor, tf.Tensor]:
        """tr K_k of the whole batch and the number of its residuals, both `[K]`, float64."""
        if gradients.residuals is None:
            raise ValueError(
                f"The gate {self.name!r} looks at the residuals' gradients: pass `residuals=blend.residuals(y_true, "
                "y_pred)`, recorded by the tape, to `gradients`. Received: residuals=None"
            )
        return kernel_traces(gradients, gradients.residuals, self._trace, context.step)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "form": self.form,
            "probes": self.probes,
            "seed": self.seed,
            "momentum": self.momentum,
        }
