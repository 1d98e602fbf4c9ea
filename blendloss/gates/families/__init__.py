"""Families of distributions over gating vectors, for the gate `Bayesian`."""

from blendloss.gates.families._dirichlet import Dirichlet
from blendloss.gates.families._family import Family
from blendloss.gates.families._logistic_normal import LogisticNormal

__all__ = ["Dirichlet", "Family", "LogisticNormal"]
