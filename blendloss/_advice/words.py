"""One sentence of advice, and code to paste."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import NamedTuple

from blendloss import losses as room
from blendloss._advice.bootstrap import Estimate
from blendloss._advice.traits import worth
from blendloss.losses import Penalty

_USUAL = "losses = bl.losses.m_estimators()"
_WORTH = 0.03  # more examples, below which a blend or weights are not worth the trouble


class Verdict(NamedTuple):
    """What the numbers say.

    Args:
        blend: the efficiency of the blend, with weights estimated from as many residuals.
        best: the name of the best single loss.
        single: its efficiency.
        share: of the resamples in which it is the best single loss.
        rivals: other losses that the data do not tell from it.
        level: of the intervals.
    """

    blend: Estimate
    best: str
    single: Estimate
    share: float
    rivals: list[str]
    level: float

    @property
    def for_blend(self) -> bool:
        """Whether the blend is certainly better than every loss alone, and worth it."""
        return self.single.high < 1 and self.blend.value / self.single.value - 1 >= _WORTH


def advice(verdict: Verdict, asymmetric: bool, weighting: float) -> str:
    """What to do, and how certain it is, in one sentence; `weighting` is what weights of the examples are worth."""
    said = _on_blend(verdict) if verdict.for_blend else _on_single(verdict)
    if asymmetric:
        said = (
            "First choose what to predict, for the noise is asymmetric and the losses estimate different things (as "
            "squared the mean, absolute the median); where only their precision matters, "
            f"{said[0].lower()}{said[1:]}"
        )
    if weighting >= _WORTH:
        said += f"; weights of the examples, 1 / scale^2, are worth {worth(weighting)}"
    return f"{said}."


def _on_blend(verdict: Verdict) -> str:
    low, high = (_more(end) for end in (verdict.single.high, verdict.single.low))
    return (
        f"Use the blend: the best single loss, {verdict.best}, needs {_more(verdict.single.value)} more examples to be "
        f"as precise ({100 * verdict.level:.4g}% interval {low} to {high})"
    )


def _on_single(verdict: Verdict) -> str:
    single, level = verdict.single, f"{100 * verdict.level:.4g}%"
    said = (
        f"Use {verdict.best} alone: its efficiency is {single.value:.3f} of the best blend's ({level} interval "
        f"{single.low:.3f} to {single.high:.3f}), and it is the best single loss in {verdict.share:.0%} of the "
        "resamples"
    )
    if verdict.rivals:
        said += f"; the data do not tell it from {_listed(verdict.rivals)}"
    return said


def _more(efficiency: float) -> str:
    """How many more examples a loss of this efficiency needs."""
    return f"{1 / efficiency - 1:.0%}" if efficiency > 0.01 else "over 100 times"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def code(losses: Mapping[str, Penalty], given: bool, verdict: Verdict, scale: float) -> str:
    """Python that makes what `advice` advises; `given` says that the losses are not the usual ones."""
    best = losses[verdict.best]
    single = None if verdict.for_blend else _scaled(best, scale)
    if single is not None:
        comment = "" if best.tuning is None else f"  # {verdict.best}, for residuals of scale {scale:.4g}"
        return f'import blendloss as bl\n\nloss = {single}{comment}\n# model.compile("adam", loss=loss)'
    names = list(losses) if verdict.for_blend else [verdict.best]
    made = _USUAL if verdict.for_blend and not given else _constructed(losses, names)
    return (
        f"import blendloss as bl\n\n{made}\n"
        "blend = bl.Blend(losses, bl.gates.ScoreMatching())  # learns weights and scale as the model trains\n"
        '# model = bl.BlendedModel(network, blend); model.compile("adam")'
    )


def _constructed(losses: Mapping[str, Penalty], names: list[str]) -> str:
    made = {name: _constructor(losses[name]) for name in names}
    if None in made.values():
        return f"losses = {{name: losses[name] for name in {names!r}}}  # of those that compare_losses was given"
    lines = "".join(f"    {name!r}: {text},\n" for name, text in made.items())
    return f"losses = {{\n{lines}}}"


def _constructor(penalty: Penalty) -> str | None:
    """What makes the penalty, defaults left out; None if it is not of this library."""
    kind = type(penalty)
    if getattr(room, kind.__name__, None) is not kind:
        return None
    default = {name: one.default for name, one in inspect.signature(kind).parameters.items()}
    told = {name: value for name, value in penalty.get_config().items() if value != default[name]}
    return f"bl.losses.{kind.__name__}({', '.join(f'{name}={value!r}' for name, value in told.items())})"


def _scaled(penalty: Penalty, scale: float) -> str | None:
    """What makes a multiple of rho(r / scale): a threshold is multiplied; None if it is not of this library."""
    if _constructor(penalty) is None:
        return None
    config = penalty.get_config()
    if penalty.tuning is not None:
        config[penalty.tuning] = float(f"{config[penalty.tuning] * scale:.4g}")
    return _constructor(type(penalty)(**config))
