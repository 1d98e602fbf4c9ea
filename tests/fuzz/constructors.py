"""The constructors of losses, modes, schedules, gates and their parts."""

from __future__ import annotations

import keras

import blendloss as bl
from tests.fuzz.subjects import LOGITS, New, P, made, subject, used_gate, used_loss, used_mode, used_schedule

for _name in ("AbsoluteError", "Cauchy", "Fair", "GemanMcClure", "LogCosh", "SquaredError", "Tukey", "Welsch"):
    made(bl.losses, _name, used_loss, scale=("number", 1.0))
for _name in ("Huber", "PseudoHuber"):
    made(bl.losses, _name, used_loss, delta=("number", 1.0))
made(bl.losses, "EpsilonInsensitive", used_loss, epsilon=("number", 1.0))
made(bl.losses, "Barron", used_loss, alpha=("real", 1.0), scale=("number", 1.0))
made(bl.losses, "Quantile", used_loss, quantile=("number", 0.3), scale=("number", 1.0))
made(
    bl.losses, "AdaptiveBarron", used_loss,
    channels=("integer?", 2), low=("number", 0.1), high=("number", 1.9), initial_alpha=("number?", 1.0),
    initial_scale=("number", 1.0), floor=("number", 0.1),
)  # fmt: skip
made(
    bl.losses, "OutputLoss", lambda loss: loss({"a": P}, {"a": P}),
    output=("index", "a"), loss=("loss", "mse"), target=("target?", None),
)  # fmt: skip
made(
    bl.losses, "Columns", lambda loss: loss(P, P),
    loss=("loss", "mse"), columns=("indices", [0, 1]), targets=("indices?", None),
)  # fmt: skip

made(bl.losses, "m_estimators", lambda found: found, convex=("boolean", True))
made(bl.losses, "AddedLoss", lambda loss: loss.layer, layer=("text", "layer"))

made(bl.modes, "Soft", used_mode, relaxation=("relaxation", bl.modes.softmax))
made(
    bl.modes, "Annealed", used_mode,
    temperature=("schedule", 1.0), relaxation=("relaxation", bl.modes.softmax), seed=("integer?", 1),
)  # fmt: skip
made(bl.modes, "Hard", used_mode, estimator=("object?", bl.modes.StraightThrough()), lazy=("boolean", True))
made(bl.modes, "StraightThrough", used_mode, relaxation=("relaxation", bl.modes.softmax), temperature=("number", 1.0))
made(bl.modes, "GumbelStraightThrough", used_mode, seed=("integer", 1), temperature=("schedule", 1.0))
made(bl.modes, "ReinMax", used_mode, seed=("integer", 1), temperature=("number", 2.0))
for _name in ("softmax", "sparsemax", "entmax15"):
    subject(f"modes.{_name}", getattr(bl.modes, _name), logits=("tensor", LOGITS))

_RAMP = {"start": ("number or numbers", 1.0), "end": ("number or numbers", 2.0), "steps": ("integer", 9)}
made(bl.schedules, "constant", used_schedule, value=("number or numbers", 1.0))
for _name in ("linear", "cosine", "exponential"):
    made(bl.schedules, _name, used_schedule, **_RAMP, begin=("integer", 0))
made(bl.schedules, "polynomial", used_schedule, **_RAMP, power=("number", 2.0), begin=("integer", 0))
made(
    bl.schedules, "sigmoid", used_schedule,
    start=_RAMP["start"], end=_RAMP["end"], center=("number", 5.0), width=("number", 2.0),
)  # fmt: skip
made(bl.schedules, "cyclic", used_schedule, schedule=("schedule", 1.0), period=("integer", 4))
made(bl.schedules, "join", used_schedule, schedules=("object", [1.0, 2.0]), boundaries=("indices", [2]))
made(bl.schedules, "piecewise", used_schedule, boundaries=("indices", [2]), values=("numbers", [1.0, 2.0]))
made(
    bl.schedules, "switch_at", used_schedule,
    step=("integer", 2), before=("number or numbers", 1.0), after=("number or numbers", 2.0),
)  # fmt: skip
made(bl.schedules, "wrap", used_schedule, function=("schedule", lambda step: step))
made(bl.schedules, "as_schedule", used_schedule, name=("anything", "x"), value=("schedule", 1.0))

for _name in ("Entropy", "LoadBalance", "SwitchLoadBalance"):
    made(bl.gates.regularizers, _name, lambda one: one([0.5, 0.5], step=3), coefficient=("schedule", 1.0))
made(
    bl.gates.regularizers, "KL", lambda one: one([0.5, 0.5], step=3),
    prior=("numbers", [0.5, 0.5]), coefficient=("schedule", 1.0),
)  # fmt: skip
made(bl.gates.statistics, "MeanAbsolute", lambda one: one(P))
made(bl.gates.statistics, "Kurtosis", lambda one: one(P))
made(bl.gates.statistics, "OutlierShare", lambda one: one(P), cutoff=("number", 3.0))
made(bl.gates.statistics, "QuantileAbsolute", lambda one: one(P), level=("number", 0.5))
made(
    bl.gates.statistics, "Stagnation", lambda one: one(P),
    statistic=("object?", bl.gates.statistics.MeanAbsolute()), ratio=("number", 3.0),
)  # fmt: skip


def _normalized(normalizer):
    return used_gate(bl.gates.Learned(normalize=normalizer))


made(bl.gates.normalizers, "InitialValue", _normalized)
made(bl.gates.normalizers, "RunningMean", _normalized, memory=("number", 3.0))
made(bl.gates.normalizers, "RootMeanSquare", _normalized, memory=("number", 3.0))
made(bl.gates.normalizers, "Likelihood", lambda one: used_gate_of(one), scale=("number or numbers?", 1.0))


def used_gate_of(normalizer):
    """`Likelihood`, made and checked; its integral takes too long for each input."""
    return normalizer.scale


def _posterior(family):
    return used_gate(bl.gates.Bayesian(family, examples=9, seed=1))


made(bl.gates.families, "Dirichlet", _posterior, concentration=("number or numbers", 1.0))
made(bl.gates.families, "LogisticNormal", _posterior, mean=("number or numbers", 0.0), scale=("number or numbers", 1.0))


def gate(name, use=used_gate, /, **arguments):
    """Adds a gate."""
    made(bl.gates, name, use, **arguments)


_SEED, _EVERY, _BATCH = ("integer", 1), ("integer", 1), ("boolean", False)
_MEASURED = {"variables": ("patterns", "shared"), "task_specific": ("choice?", "unweighted")}
_EACH = {**_MEASURED, "every": _EVERY}
_PREFERENCE = ("numbers?", [1.0, 2.0])
gate("Fixed", weights=("numbers", [1.0, 2.0]))
gate("Manual", initial=("numbers?", [1.0, 2.0]))
gate("Scheduled", schedule=("schedule", 0.5))
gate("Learned", initial=("numbers?", [1.0, 2.0]), normalize=("choice?", "initial"), regularizers=("list", []))
gate("Uncertainty", form=("choice", "regression"), initial=("number or numbers", 0.0))
gate(
    "Network",
    network=("layer", New(lambda: keras.Sequential([keras.Input([2]), keras.layers.Dense(2)]))),
    regularizers=("list", []),
)
gate("Bayesian", family=("object", bl.gates.families.LogisticNormal()), examples=("number", 9.0), seed=_SEED,
     coefficient=("schedule", 1.0))  # fmt: skip
gate("ByResidual", thresholds=("numbers", [1.0]), width=("number?", 1.0), continuous=("boolean", True))
gate("ResidualState", statistic=("object", bl.gates.statistics.MeanAbsolute()), thresholds=("numbers", [1.0]),
     width=("number", 1.0), direction=("choice", "rising"), memory=("number", 9.0))  # fmt: skip
gate("ScoreMatching", memory=("number", 9.0), every=("integer", 2), prior=("number", 1.0), examples=("integer?", 9),
     held_out=("boolean", False))  # fmt: skip
gate("ExponentialFamily", lambda one: one.scale, initial=("numbers?", [1.0, 2.0]), scale=("number", 1.0),
     learn_scale=("boolean", True))  # fmt: skip
gate("Mixture", lambda one: one.scales, scales=("numbers?", [1.0, 2.0]), learn_scales=("boolean", True))
gate("Plateau", monitor=("text", "m"), patience=("integer", 1), min_delta=("number", 0.0), cooldown=("integer", 0),
     direction=("choice", "min"), cyclic=("boolean", True))  # fmt: skip
gate("Threshold", monitor=("text", "m"), thresholds=("numbers", [1.0]), direction=("choice", "falling"),
     hysteresis=("number", 0.0), patience=("integer", 1), cooldown=("integer", 0),
     returns=("boolean", True))  # fmt: skip

gate("COSMOS", preference=("numbers", [1.0, 2.0]), penalty=("number", 1.0))
gate("DWA", window=("integer", 2), temperature=("number", 2.0), sliding=("boolean", True))
gate("Exp3", exploration=("number", 0.1), seed=_SEED, gain=("choice", "relative"), history=("integer", 9),
     same_batch=_BATCH)  # fmt: skip
gate("Exp3S", exploration=("number", 0.1), seed=_SEED, form=("choice", "graves"), rate=("number?", 0.1),
     share=("number?", 0.1), bonus=("number", 0.0), gain=("choice", "relative"), history=("integer", 9),
     same_batch=_BATCH)  # fmt: skip
gate("FAMO", lower_bounds=("numbers?", [0.0, 0.0]), learning_rate=("number", 0.1), weight_decay=("number", 0.1),
     epsilon=("number", 0.1), same_batch=_BATCH)  # fmt: skip
gate("GeometricMean", exponents=_PREFERENCE)
gate("IMTLL", initial=("number or numbers", 0.0))
gate("Logarithm", weights=_PREFERENCE, epsilon=("number", 0.1))
gate("Normalized", normalize=("choice", "initial"), weights=_PREFERENCE)
gate("PBI", preference=("numbers", [1.0, 2.0]), penalty=("number", 5.0), ideal=_PREFERENCE)
gate("Random", distribution=("choice", "normal"), seed=_SEED, ones=("integer?", None))
gate("ReLoBRaLo", alpha=("number", 0.9), temperature=("number", 0.1), expected_rho=("number", 0.9), seed=_SEED,
     form=("choice", "paper"), epsilon=("number", 0.1))  # fmt: skip
gate("SmoothTchebycheff", smoothness=("number", 1.0), preference=_PREFERENCE, ideal=_PREFERENCE,
     warmup=("integer", 0), averaging=("integer?", None))  # fmt: skip
gate("SoftAdapt", beta=("number", 0.1), order=("integer?", 1), every=("integer?", None), rate=("choice", "slope"),
     normalize=("choice?", None), loss_weighted=("boolean", True), total=("number?", 1.0),
     momentum=("number", 0.1))  # fmt: skip
gate("Tchebycheff", preference=_PREFERENCE, ideal=_PREFERENCE)

gate("AlignedMTL", scale=("choice", "min"), preference=_PREFERENCE, tolerance=("number?", 0.1), **_EACH)
gate("CAGrad", c=("number", 0.4), rescale=("integer", 0), **_EACH)
gate("ConFIG", length=("choice", "projection"), preference=_PREFERENCE, **_EACH)
gate("FairGrad", alpha=("number", 1.0), max_norm=("number?", 1.0), **_EACH)
gate("GradDrop", leak=("number or numbers", 0.1), seed=_SEED, **_MEASURED)
gate("GradNorm", alpha=("number", 1.5), form=("choice", "renormalized"), relative_to=("choice", "initial"),
     initial_losses=_PREFERENCE, **_MEASURED)  # fmt: skip
gate("GradVac", beta=("number", 0.5), seed=_SEED, follow=("choice", "all"), **_EACH)
gate("IMTLG", **_EACH)
gate("LRAnnealing", form=("choice", "paper"), reference=("index?", 0), momentum=("number", 0.9), **_EACH)
gate("MGDA", normalize=("choice?", "l2"), **_EACH)
gate("NTK", form=("choice", "paper"), probes=("integer?", 2), seed=("integer?", 1), momentum=("number", 0.1), **_EACH)
gate("NashMTL", max_norm=("number?", 1.0), **_EACH)
gate("PCGrad", form=("choice", "paper"), reduction=("choice", "sum"), seed=("integer?", 1), **_EACH)
gate("UPGrad", preference=_PREFERENCE, **_EACH)

made(bl.keras, "CollapseMonitor", lambda one: one.threshold, threshold=("number", 0.9))
made(bl.keras, "GateHistory", lambda one: one.every, every=("integer", 1))
made(bl.keras, "MetricMonitor", lambda one: None, gate=("object", New(lambda: bl.gates.Plateau("m"))))
subject(
    "keras.ResidualMonitor", lambda gate, **named: bl.keras.ResidualMonitor(gate, P, **named).batch_size,
    gate=("object", New(lambda: bl.gates.ScoreMatching(held_out=True))), y=("tensor", P), batch_size=("integer?", 4),
)  # fmt: skip
subject("keras.wait_for_workers", bl.keras.wait_for_workers, timeout=("number", 1.0))
made(bl.keras, "HeldOut", lambda one: one.rate, target=("loss", "mse"), rate=("number?", 0.1), order=("choice", 2),
     batch_size=("integer", 4), seed=_SEED)  # fmt: skip
