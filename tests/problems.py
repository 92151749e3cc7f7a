"""Small exactly defined problems that several tests share."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import scipy.sparse as sp

from romflow.core.snapshot import Snapshot
from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.stability import stability_bound
from romflow.rom.stability import StabilityBound


def reaction_diffusion(cells: int = 200) -> AffineModel:
    """-u'' + mu u = 1 on (0, 1), u = 0 at both ends, P1, H1_0 norm, mu in [1, 10]."""
    n, h = cells - 1, 1.0 / cells
    K = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]) / h
    M = sp.diags_array([np.ones(n - 1), 4 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]) * (h / 6)
    space = ParameterSpace([Parameter("mu", Uniform(1.0, 10.0))])
    f = np.full((n, 1), h)
    operator, rhs = AffineOperator(Theta(["1", "mu"], ["mu"]), [K, M]), AffineVector(Theta(["1"], ["mu"]), f)
    return AffineModel(space, operator, rhs, K,
                       AffineOutputs(["mean", "middle"], Theta(["1"], ["mu"]),
                                     np.stack([f[:, 0], np.eye(n)[n // 2]])[None]),
                       spec={"kind": "reaction-diffusion", "cells": cells}, norm="H1_0",
                       stability={"kind": "expression", "expression": "1"})


def advection(n: int = 60, stability: dict | None = None) -> AffineModel:
    """A non-symmetric tridiagonal family: diffusion, advection in two directions of wind, reaction."""
    h = 1.0 / (n + 1)
    K = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]) / h
    B = sp.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]) / 2
    M = sp.eye_array(n) * h
    space = ParameterSpace([Parameter("e", Uniform(0.1, 1.0)), Parameter("w", Uniform(-3.0, 3.0)),
                            Parameter("c", Uniform(-0.5, 5.0))])
    theta = Theta(["e", "w", "c"], space.columns)
    F = np.stack([np.full(n, h), h * np.linspace(0, 1, n)], axis=1)
    outputs = AffineOutputs(["flux", "mixed"], Theta(["1", "e"], space.columns),
                            np.stack([np.stack([np.eye(n)[0], np.full(n, h)]), np.stack([np.zeros(n), np.eye(n)[3]])]))
    rhs = AffineVector(Theta(["1", "sin(w)"], space.columns), F)
    fom = AffineModel(space, AffineOperator(theta, [K, B, M]), rhs, K, outputs,
                      spec={"kind": "advection", "n": n}, norm="H1_0", stability=stability)
    if stability == {"kind": "inf-sup"}:
        fom.stability, fom.pointwise = {"kind": "pointwise"}, partial(_inf_sup, n)
    return fom


@cache
def _inf_sup(n: int) -> StabilityBound | None:
    """The inf-sup bound of `advection`: many eigenproblems, and the same ones for each model of that size."""
    fom = advection(n)
    fom.stability = {"kind": "inf-sup"}
    return stability_bound(fom)


class MemoryStore:
    """Snapshots solved on demand, kept in memory: what a reductor reads of a store."""

    def __init__(self, fom: AffineModel) -> None:
        self._fom, self._kept = fom, {}

    def get(self, mu: np.ndarray) -> Snapshot:
        key = np.asarray(mu).tobytes()
        if key not in self._kept:
            self._kept[key] = self._fom.solve(np.asarray(mu))
        return self._kept[key]

    def matrix(self, mu: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        return np.stack([self.get(row).state[rows] for row in mu], axis=1)

    def outputs(self, mu: np.ndarray) -> np.ndarray | None:
        values = [self.get(row).outputs for row in mu]
        return None if any(value is None for value in values) else np.stack(values, axis=1)
