"""Bounds of the errors of representatives that are solved iteratively, against a factorised X."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.fom.distributed.certified import certified_solve, refinement
from romflow.fom.distributed.model import DistributedModel
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace


class Careless:
    """Solves exactly, then adds what the tolerance allows, in the direction that the norm of X feels most."""

    def __init__(self, X: sp.csr_array, fails_below: float = 0.0) -> None:
        self._X, self._fails_below = X.toarray(), fails_below
        self._smooth = np.linalg.eigh(self._X)[1][:, :1]
        self.tolerance, self.report = 1e-9, {}

    def solve(self, C: np.ndarray) -> np.ndarray:
        assert (C != 0.0).any(axis=0).all()
        if self.tolerance < self._fails_below:
            raise SolveFailed("too many iterations")
        self.report = {"relative_residual": self.tolerance}
        return np.linalg.solve(self._X, C + self._smooth * (self.tolerance * np.linalg.norm(C, axis=0)))


@cache
def _problem() -> tuple[Any, sp.csr_array, np.ndarray]:
    space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), size=4)])
    model = DistributedModel(ThermalBlock.cell_problem(space, [2, 2], 10), 1, {"parts": 3})
    rank = model._alone
    X = rank._terms.matrix(np.ones(4))
    C = np.random.default_rng(0).standard_normal((model.n, 3))
    C[:, 1] = 0.0
    return rank.layout, X, C


@pytest.mark.parametrize("tolerance", [1e-3, 1e-8])
def test_the_error_of_each_column_is_bounded(tolerance: float, must_fail: Callable[..., None]) -> None:
    layout, X, C = _problem()
    product = InnerProduct(X[:layout.owned, :layout.owned])
    Z, report = certified_solve(layout, X, Careless(product.X), C, tolerance)
    wrong = product.norm(Z - product.riesz(C))

    def above(eps: np.ndarray) -> None:
        assert (eps >= wrong).all()

    eps = np.array(report["eps"])
    above(eps)
    assert eps[1] == 0.0 and not Z[:, 1].any()
    assert 0.5 * tolerance <= (eps[[0, 2]] / product.norm(Z)[[0, 2]]).max() <= 100 * tolerance
    must_fail(above, 1e-9 * eps)


def test_a_solver_that_stalls_is_asked_for_less() -> None:
    layout, X, C = _problem()
    own = X[:layout.owned, :layout.owned]
    _, report = certified_solve(layout, X, Careless(own, fails_below=1e-9), C, 1e-10)
    assert report["relative_residual"] == pytest.approx(1e-8)
    with pytest.raises(SolveFailed, match="too many"):
        certified_solve(layout, X, Careless(own, fails_below=1e-2), C, 1e-10)


def test_refinement_follows_the_condition_and_has_ends() -> None:
    one = np.ones(1)
    assert refinement(one, one, 1.0) == 1e-6
    assert refinement(1e-14 * one, one, 1.0) == pytest.approx(0.5e-8)
    assert refinement(1e-30 * one, one, 1.0) == 1e-12
    assert refinement(0.0 * one, 0.0 * one, 1.0) == 1e-6
