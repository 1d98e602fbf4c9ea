"""One sentence of advice, and code to paste."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import NamedTuple

from blendloss import losses as library
from blendloss._advice.bootstrap import Estimate
from blendloss._advice.traits import worth
from blendloss.losses import Penalty

_USUAL = "losses = bl.losses.m_estimators()"
_WORTH = 0.03  # a smaller gain in examples does not justify a blend or weights


class Verdict(NamedTuple):
    """The result on which the advice is based.

    Args:
        blend: the efficiency of the blend, with weights estimated from this many residuals.
        best: the name of the best single loss.
        single: the efficiency of the best single loss.
        share: the share of the resamples in which it is the best single loss.
        rivals: other losses that the data cannot tell from it.
        level: the level of the intervals.
    """

    blend: Estimate
    best: str
    single: Estimate
    share: float
    rivals: list[str]
    level: float

    @property
    def for_blend(self) -> bool:
        """Whether the blend is certainly better than every single loss, by enough to matter."""
        return self.single.high < 1 and self.blend.value / self.single.value - 1 >= _WORTH


def advice(verdict: Verdict, asymmetric: bool, weighting: float) -> str:
    """What to do, and how certain it is, in one sentence. `weighting` is the gain from sample weights."""
    said = _advise_blend(verdict) if verdict.for_blend else _advise_single(verdict)
    if asymmetric:
        said = (
            "First choose what to predict: the noise is asymmetric, and the losses estimate different things (squared "
            "the mean, absolute the median). If only their precision matters, "
            f"{said[0].lower()}{said[1:]}"
        )
    if weighting >= _WORTH:
        said += f"; weights of the examples, 1 / scale^2, are worth {worth(weighting)}"
    return f"{said}."


def _advise_blend(verdict: Verdict) -> str:
    low, high = (_more(end) for end in (verdict.single.high, verdict.single.low))
    return (
        f"Use the blend: the best single loss, {verdict.best}, needs {_more(verdict.single.value)} more examples to be "
        f"as precise ({100 * verdict.level:.4g}% interval {low} to {high})"
    )


def _advise_single(verdict: Verdict) -> str:
    single, level = verdict.single, f"{100 * verdict.level:.4g}%"
    said = (
        f"Use {verdict.best} alone: its efficiency is {single.value:.3f} of the best blend's ({level} interval "
        f"{single.low:.3f} to {single.high:.3f}), and it is the best single loss in {verdict.share:.0%} of the "
        "resamples"
    )
    if verdict.rivals:
        said += f"; the data cannot tell it from {_join_names(verdict.rivals)}"
    return said


def _more(efficiency: float) -> str:
    """How many more examples a loss with this efficiency needs."""
    return f"{1 / efficiency - 1:.0%}" if efficiency > 0.01 else "over 100 times"


def _join_names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def code(losses: Mapping[str, Penalty], given: bool, verdict: Verdict, scale: float) -> str:
    """Python code for what `advice` recommends. `given`: the losses are not the default ones."""
    best = losses[verdict.best]
    single = None if verdict.for_blend else _scaled_call(best, scale)
    if single is not None:
        comment = "" if best.tuned_argument is None else f"  # {verdict.best}, for residuals of scale {scale:.4g}"
        return f'import blendloss as bl\n\nloss = {single}{comment}\n# model.compile("adam", loss=loss)'
    names = list(losses) if verdict.for_blend else [verdict.best]
    made = _USUAL if verdict.for_blend and not given else _construct_losses(losses, names)
    return (
        f"import blendloss as bl\n\n{made}\n"
        "blend = bl.Blend(losses, bl.gates.ScoreMatching())  # learns weights and scale as the model trains\n"
        '# model = bl.BlendedModel(network, blend); model.compile("adam")'
    )


def _construct_losses(losses: Mapping[str, Penalty], names: list[str]) -> str:
    made = {name: _constructor_call(losses[name]) for name in names}
    if None in made.values():
        return f"losses = {{name: losses[name] for name in {names!r}}}  # of those that compare_losses was given"
    lines = "".join(f"    {name!r}: {text},\n" for name, text in made.items())
    return f"losses = {{\n{lines}}}"


def _constructor_call(penalty: Penalty) -> str | None:
    """The call that makes the penalty, without defaults; None if it is not from this library."""
    kind = type(penalty)
    if getattr(library, kind.__name__, None) is not kind:
        return None
    default = {name: one.default for name, one in inspect.signature(kind).parameters.items()}
    told = {name: value for name, value in penalty.get_config().items() if value != default[name]}
    return f"bl.losses.{kind.__name__}({', '.join(f'{name}={value!r}' for name, value in told.items())})"


def _scaled_call(penalty: Penalty, scale: float) -> str | None:
    """The call for a multiple of rho(r / scale), with a scaled threshold; None if it is not from this library."""
    if _constructor_call(penalty) is None:
        return None
    config = penalty.get_config()
    if penalty.tuned_argument is not None:
        config[penalty.tuned_argument] = float(f"{config[penalty.tuned_argument] * scale:.4g}")
    return _constructor_call(type(penalty)(**config))
