"""A Keras layer that keeps state for the losses of a blend: what gates and their normalizers are."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

from blendloss._internal.dtypes import initial, state_dtype
from blendloss._internal.seeds import SavesSeeds
from blendloss.losses import Penalty


class LossState(SavesSeeds, abc.ABC):
    """A layer whose variables are created once the losses are known, and are tracked, saved and resumed.

    Args:
        name: the layer's name.
        dtype: of the state; not touched by mixed precision. None is float64 where Keras's `floatx` is that, else
            float32.
    """

    def __init__(self, *, name: str | None, dtype: Any) -> None:
        super().__init__(name=name, dtype=state_dtype(dtype), autocast=False)
        self._names: tuple[str, ...] | None = None
        self._penalties: tuple[Penalty, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the losses, in their order."""
        self._require_blend()
        return self._names or ()

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """The losses, in their order, where they must be penalties; else empty."""
        return self._penalties

    @abc.abstractmethod
    def _require_blend(self) -> None:
        """Raises if the losses are not known yet."""

    def create_state(self, k: int) -> None:
        """Checks the arguments against the number of losses `k`, and creates the variables."""

    def _create_state_for(self, names: tuple[str, ...], penalties: tuple[Penalty, ...]) -> None:
        """Creates the state for these losses; after an error the layer may be given others."""
        self._names, self._penalties = names, penalties
        try:
            self.create_state(len(names))
        except Exception:
            self._names, self._penalties = None, ()
            raise
        self.built = True

    def add_state(
        self, name: str, shape: tuple[int, ...] = (), value: float | Sequence[float] = 0, dtype: str | None = None
    ) -> Any:
        """A variable that no optimizer trains, equal on all replicas, tracked and saved."""
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initial(value),
            dtype=dtype or self.variable_dtype,
            trainable=False,
            aggregation="only_first_replica",
        )
