"""The gradient of each loss by itself, and what gates ask of it."""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._internal import conversion
from blendloss._internal.checks import received
from blendloss._internal.half_precision import finite, within_range
from blendloss._internal.replicas import sum_over_replicas

#: Which variables the gradients are measured in, where they are not named.
SHARED, LAST = "shared", "last"


class _Passes(NamedTuple):
    """What K backward passes gave.

    Args:
        gradients: of each loss in each variable, K lists.
        overflows: whether a loss alone overflowed at the given scale, so that its pass was repeated, K scalars.
    """

    gradients: list[list[tf.Tensor | None]]
    overflows: list[Any]


class LossGradients:
    """The gradients G_k = dl_k/dw of K losses, one for each, in the variables that a gate measures.

    Nothing is computed before it is asked for: a gate that keeps its weights for some steps pays for one backward pass
    in these. What is measured is of the whole batch: under `tf.distribute` the replicas' gradients are averaged.

    Args:
        tape: a persistent `tf.GradientTape` that recorded the losses.
        losses: K scalars.
        variables: w, all variables that are to be trained by these losses.
        measured: "shared", those that at least two losses act on (all, for one loss); "last", those of the last layer
            among them; or a list of patterns for paths or names, as `fnmatch` has them: `["trunk/*"]`.
        share: a factor of the losses: 1 / replicas where the optimizer adds up the replicas' gradients of means.
        scale: a factor of the backward pass, where half precision needs one; measures are without it.
        residuals: y_pred - y_true of each loss, K tensors recorded by the tape, for gates that look at these; or None.

    Returns:
        The object; `gram()`, `norms()`, `largest()` and `mean_sizes()` measure, `combined(weights)` gives the sums.

    Raises:
        ValueError: if no loss, or no measured variable, is acted on by the losses.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> w = tf.Variable([1.0, 2.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     losses = [w[0] ** 2, w[0] * w[1]]
        >>> gradients = bl.gates.LossGradients(tape, losses, [w])  # (2, 0) and (2, 1)
        >>> gradients.gram().numpy().tolist()
        [[4.0, 4.0], [4.0, 5.0]]
        >>> gradients.combined([1.0, 0.5])[0].numpy().tolist()
        [3.0, 0.5]
    """

    def __init__(
        self,
        tape: tf.GradientTape,
        losses: Sequence[tf.Tensor],
        variables: Sequence[Any],
        measured: str | Sequence[str] = SHARED,
        *,
        share: Any = 1.0,
        scale: tf.Tensor | None = None,
        residuals: Sequence[tf.Tensor] | None = None,
    ) -> None:
        if not isinstance(tape, tf.GradientTape):
            raise TypeError(f"`tape` must be a tf.GradientTape that recorded the losses. {received('tape', tape)}")
        if not isinstance(losses, (list, tuple)):
            raise TypeError(f"`losses` must be a list of scalars. {received('losses', losses)}")
        self.residuals = residuals
        self._tape, self._variables = tape, conversion.variables("variables", variables)
        self._losses = [conversion.real(f"losses[{k}]", loss) for k, loss in enumerate(losses)]
        if not isinstance(measured, str) and not (
            isinstance(measured, (list, tuple)) and all(isinstance(one, str) for one in measured)
        ):
            raise TypeError(f"`measured` must be a name or a list of patterns. {received('measured', measured)}")
        if isinstance(measured, str) and measured not in (SHARED, LAST):
            raise ValueError(f"`measured` must be {SHARED!r}, {LAST!r} or a list of patterns. Received: {measured!r}")
        self._measured, self._share, self._scale = measured, share, scale
        self._passes: _Passes | None = None  # built by `_of_each`
        self._matrices: list[tf.Tensor] | None = None

    def __len__(self) -> int:
        return len(self._losses)

    @property
    def scaled(self) -> bool:
        """Whether the backward pass has a scale, which may overflow."""
        return self._scale is not None

    def afresh(self) -> LossGradients:
        """The same gradients, computed anew: for a branch of `tf.cond`, whose tensors live in it alone."""
        again = copy.copy(self)
        again._passes = again._matrices = None
        return again

    def of(self, targets: Sequence[tf.Tensor], seeds: Sequence[tf.Tensor]) -> list[tf.Tensor | None]:
        """sum_j (d targets_j / dw)^T seeds_j in every variable, on this replica; None where nothing acts on one."""
        found = self._tape.gradient(list(targets), self._variables, output_gradients=list(seeds))
        return [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in found]

    @property
    def each(self) -> list[list[tf.Tensor | None]]:
        """The gradient of each loss in each variable, K lists, on this replica and times the scale.

        Weights may be small, and gradients cancel in their sum. So a scale that fits the blended loss may be too large
        for one loss alone: then its pass is repeated with a smaller one, and the result scaled up.
        """
        return self._of_each().gradients

    def _of_each(self) -> _Passes:
        """The backward pass of each loss, run where it is first asked for."""
        if self._passes is None:
            found = [self._of_one(loss) for loss in self._losses]
            if not any(gradient is not None for gradients, _ in found for gradient in gradients):
                raise ValueError("The losses must act on at least one of the variables. Received: gradients all None")
            self._passes = _Passes([gradients for gradients, _ in found], [overflow for _, overflow in found])
        return self._passes

    def _of_one(self, loss: tf.Tensor) -> tuple[list[tf.Tensor | None], Any]:
        """A loss's gradients, and whether they overflowed at the given scale."""
        if self._scale is None:
            return self.of([loss], [self._seed(1.0, loss)]), False
        found, overflow = within_range(
            lambda factor: self.of([loss], [self._seed(1.0, loss, factor)]), tf.math.is_finite(loss)
        )
        return found, overflow

    def _seed(self, weight: Any, loss: tf.Tensor, factor: Any = 1.0) -> tf.Tensor:
        weight = tf.cast(weight, loss.dtype) * tf.cast(self._share, loss.dtype)
        return weight if self._scale is None else weight * tf.cast(self._scale * factor, loss.dtype)

    @property
    def shared(self) -> list[bool]:
        """For each variable, whether at least two losses act on it, or the only one there is."""
        several = min(2, len(self))
        return [sum(one is not None for one in of_variable) >= several for of_variable in zip(*self.each, strict=True)]

    def places(self) -> list[int]:
        """Which of the variables are measured, their places among all."""
        if isinstance(self._measured, str):
            shared = [i for i, shared in enumerate(self.shared) if shared]
            if not shared:
                raise ValueError(
                    "At least two losses must act on one variable that trains (is what they share frozen?), or the "
                    "gate be told by name which `variables` to measure. Received: no shared variable"
                )
            if self._measured == SHARED:
                return shared
            layer = _layer(self._variables[shared[-1]])
            return [i for i in shared if _layer(self._variables[i]) == layer]
        names = [_path(variable) for variable in self._variables]
        places = [i for i, name in enumerate(names) if any(fnmatch.fnmatchcase(name, p) for p in self._measured)]
        if not places:
            raise ValueError(f"`variables` must match some of {names}. Received: variables={list(self._measured)}")
        return places

    def matrices(self) -> list[tf.Tensor]:
        """The measured gradients of the whole batch: for each measured variable K rows, `[K, size]`, in its dtype."""
        if self._matrices is None:
            self._matrices = self._measure()
        return self._matrices

    def _measure(self) -> list[tf.Tensor]:
        found = []
        for place in self.places():
            rows = [gradients[place] for gradients in self.each]
            if all(row is None for row in rows):
                continue
            zeros = tf.zeros_like(next(row for row in rows if row is not None))
            stacked = tf.stack([tf.reshape(zeros if row is None else row, [-1]) for row in rows])
            # Weights are constants; a tape around the step would differentiate the loops of solvers, which XLA refuses.
            found.append(tf.stop_gradient(self._unscaled(stacked)))
        if not found:
            raise ValueError("The losses must act on at least one measured variable. Received: gradients all None")
        return list(sum_over_replicas(found))  # as the optimizer will add them up

    def _unscaled(self, gradients: tf.Tensor) -> tf.Tensor:
        if gradients.dtype not in (tf.float32, tf.float64):
            gradients = tf.cast(gradients, tf.float32)
        return gradients if self._scale is None else gradients / tf.cast(self._scale, gradients.dtype)

    def finite(self) -> tf.Tensor:
        """Whether every measured gradient is finite, a bool scalar."""
        return finite(self.matrices())

    def gram(self) -> tf.Tensor:
        """G G^T, `[K, K]`, float64 throughout: float32's squares overflow at 1e19, and GPUs may round its products."""
        wide = [tf.cast(rows, tf.float64) for rows in self.matrices()]
        return tf.add_n([tf.matmul(rows, rows, transpose_b=True) for rows in wide])

    def norms(self) -> tf.Tensor:
        """|G_k|, `[K]`, float64."""
        return tf.sqrt(tf.add_n([tf.reduce_sum(tf.cast(rows, tf.float64) ** 2, axis=1) for rows in self.matrices()]))

    def largest(self) -> tf.Tensor:
        """The largest |element| of each G_k, `[K]`, float64."""
        return _largest(self.matrices())

    def mean_sizes(self) -> tf.Tensor:
        """The mean |element| of each G_k, `[K]`, float64."""
        matrices = self.matrices()
        number = sum(tf.cast(tf.shape(rows)[1], tf.float64) for rows in matrices)
        return sum(tf.reduce_sum(tf.cast(tf.abs(rows), tf.float64), axis=1) for rows in matrices) / number

    def combined(self, weights: Any, own: bool = False) -> list[tf.Tensor | None]:
        """sum_k weights_k G_k in each variable, on this replica and times the scale.

        Where the gradients of each loss are known already they are added up; else it is one more backward pass.

        Args:
            weights: `[K]`, constants. One of 0 keeps even an infinite gradient out of a sum of known gradients; in
                one backward pass it cannot.
            own: whether a variable that one loss alone acts on follows that loss with weight 1.
        """
        weights = tf.stop_gradient(tf.convert_to_tensor(weights))
        known = self._passes is not None
        blended = self._added_up(weights) if known else self._in_one_pass(weights)
        if not own:
            return blended
        # With `own` after one pass, a graph computes only the part of `each` for variables of one loss alone.
        of_variables = zip(blended, self.shared, zip(*self.each, strict=True), strict=True)
        return [found if shared else _weighed(of_losses, None) for found, shared, of_losses in of_variables]

    def _in_one_pass(self, weights: tf.Tensor) -> list[tf.Tensor | None]:
        parts = tf.unstack(weights, len(self))
        return self.of(self._losses, [self._seed(part, loss) for part, loss in zip(parts, self._losses, strict=True)])

    def _added_up(self, weights: tf.Tensor) -> list[tf.Tensor | None]:
        """The sums of known gradients; one pass where a loss alone overflows, so that the blended loss decides.

        Else a scale could grow for ever: its optimizer would never be told that it is too large.
        """
        sums: list[Any] = [_weighed(of_losses, weights) for of_losses in zip(*self.each, strict=True)]
        if self._scale is None:
            return sums
        places = [i for i, found in enumerate(sums) if found is not None]

        def in_one_pass() -> list[tf.Tensor]:
            found = self._in_one_pass(weights)
            return [tf.ensure_shape(found[i], sums[i].shape) for i in places]

        chosen = tf.cond(tf.reduce_any(self._of_each().overflows), in_one_pass, lambda: [sums[i] for i in places])
        for place, found in zip(places, chosen, strict=True):
            sums[place] = found
        return sums


def _weighed(gradients: Sequence[tf.Tensor | None], weights: tf.Tensor | None) -> tf.Tensor | None:
    total = None
    for k, gradient in enumerate(gradients):
        if gradient is None:
            continue
        term = gradient
        if weights is not None:
            weight = tf.cast(weights[k], gradient.dtype)
            term = tf.where(weight == 0, tf.zeros_like(gradient), weight * gradient)
        total = term if total is None else total + term
    return total


def _largest(matrices: list[tf.Tensor]) -> tf.Tensor:
    parts = [tf.cast(tf.reduce_max(tf.abs(rows), axis=1), tf.float64) for rows in matrices]
    return tf.reduce_max(tf.stack(parts), axis=0)


def _path(variable: Any) -> str:
    return getattr(variable, "path", variable.name)


def _layer(variable: Any) -> Any:
    """Its layer's path; a variable of no layer stands for itself."""
    return _path(variable).rpartition("/")[0] or id(variable)
