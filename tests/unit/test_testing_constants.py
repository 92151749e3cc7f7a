"""True stability constants: closed forms, and dense against sparse solvers."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.testing import constants
from romflow.testing.constants import stability_constant

N = 60


def _laplace(n: int) -> sp.csc_array:
    return sp.csc_array(sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]))


def _laplace_constant(n: int) -> float:
    return 4.0 * np.sin(np.pi / (2 * (n + 1))) ** 2


def _convection(n: int) -> sp.csc_array:
    return _laplace(n) + sp.csc_array(sp.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]))


@pytest.mark.parametrize("dense", [1500, 0], ids=["dense", "sparse"])
@pytest.mark.parametrize("kind", ["coercivity", "inf-sup"])
def test_laplace(monkeypatch: pytest.MonkeyPatch, must_fail: Callable[..., None], dense: int, kind: str) -> None:
    monkeypatch.setattr(constants, "DENSE", dense)
    exact = _laplace_constant(N)

    def check(value: float) -> None:
        assert abs(value - exact) <= 1e-9 * exact

    found = stability_constant(_laplace(N), sp.eye_array(N), kind)
    check(found)
    must_fail(check, found * (1 + 1e-8), found * (1 - 1e-8))


@pytest.mark.parametrize("dense", [1500, 0], ids=["dense", "sparse"])
def test_skew_part_leaves_coercivity(monkeypatch: pytest.MonkeyPatch, dense: int) -> None:
    monkeypatch.setattr(constants, "DENSE", dense)
    X = _laplace(N)
    assert stability_constant(_convection(N), X, "coercivity") == pytest.approx(1.0, rel=1e-9)
    assert stability_constant(_convection(N), X, "inf-sup") > 1.0 + 1e-6


def test_inf_sup_of_indefinite_matrix_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    A, X = sp.csc_array(_convection(N) - 0.013 * sp.eye_array(N)), _laplace(N)
    dense = stability_constant(A, X, "inf-sup")
    monkeypatch.setattr(constants, "DENSE", 0)
    assert stability_constant(A, X, "inf-sup") == pytest.approx(dense, rel=1e-7)


@pytest.mark.parametrize("dense", [1500, 0], ids=["dense", "sparse"])
def test_indefinite_matrix_is_not_coercive(monkeypatch: pytest.MonkeyPatch, dense: int) -> None:
    monkeypatch.setattr(constants, "DENSE", dense)
    assert stability_constant(_laplace(N) - 0.01 * sp.eye_array(N), sp.eye_array(N), "coercivity") < 0.0
