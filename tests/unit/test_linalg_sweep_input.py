"""Sweeps refuse bad families and bad coefficients, one clear error each."""

import math

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, RomflowError, ShapeError, SolveFailed
from romflow.linalg.sweep.sweep import SweepSolver
from tests.sweep_families import assembled, block, exact

TERMS, F = BLOCK = block(12)
N = F.shape[0]
BAD = {
    "no terms": (([], F), {}, InputError, "no terms"),
    "one vector without columns": ((TERMS, F[:, 0]), {}, ShapeError, r"\(121,\)"),
    "no vectors": ((TERMS, F[:, :0]), {}, ShapeError, r"\(121, 0\)"),
    "shape of a term": (([TERMS[0], TERMS[1][:5]], F), {}, ShapeError, r"term 1 has shape \(5, 121\)"),
    "other n": ((TERMS, F[:-1]), {}, ShapeError, "term 0"),
    "NaN in a term": (([TERMS[0], TERMS[1] * np.nan], F), {}, InputError, "term 1.*not finite"),
    "NaN in the vectors": ((TERMS, F * np.nan), {}, InputError, "right-hand side vectors.*nan"),
    "infinity": ((TERMS, F + np.inf), {}, InputError, "right-hand side vectors.*inf"),
    "complex term": (([TERMS[0] * 1j], F), {}, InputError, "term 0 is complex"),
    "complex vectors": ((TERMS, F * 1j), {}, InputError, "complex"),
    "tolerance 0": ((TERMS, F), {"tolerance": 0.0}, InputError, "0 < tolerance < 1"),
    "tolerance NaN": ((TERMS, F), {"tolerance": math.nan}, InputError, "0 < tolerance < 1"),
    "tolerance as text": ((TERMS, F), {"tolerance": "a"}, InputError, "0 < tolerance < 1"),
    "broken guess size": ((TERMS, F), {"guess_size": 1.5}, InputError, "guess_size = 1.5"),
    "negative seed": ((TERMS, F), {"seed": -1}, InputError, "seed = -1"),
    "a list of one vector": ((TERMS, [F[:, 0]]), {}, ShapeError, "one column for each"),
    "iterations": ((TERMS, F), {"max_iterations": 0}, InputError, "max_iterations = 0"),
    "guess size": ((TERMS, F), {"guess_size": -1}, InputError, "guess_size = -1"),
    "deflated without a basis": ((TERMS, F), {"guess_size": 0, "strategy": "deflated"}, InputError, "guess_size = 0"),
    "directions without one": ((TERMS, F), {"guess_size": 0, "strategy": "directions"}, InputError, "guess_size = 0"),
    "strategy": ((TERMS, F), {"strategy": "multigird"}, ConfigError, "'multigird'.*'multigrid'"),
    "back end": ((TERMS, F), {"backend": "mump"}, ConfigError, "'mump'.*'mumps'"),
    "reference": ((TERMS, F), {"reference": np.ones(3)}, ShapeError, r"reference has shape \(3,\)"),
    "NaN reference": ((TERMS, F), {"reference": np.full(9, math.nan)}, InputError, "reference"),
    "modes": ((TERMS, F), {"near_nullspace": np.ones((7, 3))}, ShapeError, r"near_nullspace has shape \(7, 3\)"),
    "NaN modes": ((TERMS, F), {"near_nullspace": np.full((N, 1), math.nan)}, InputError, "near_nullspace"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_families_are_refused_with_one_clear_error(name):
    arguments, options, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        SweepSolver(*arguments, **options)


@pytest.mark.parametrize("theta, phi, kind, message", [
    (np.ones(8), None, ShapeError, r"theta has shape \(8,\); this family needs \(9,\)"),
    (np.ones((1, 9)), None, ShapeError, r"theta has shape \(1, 9\)"),
    (np.r_[np.nan, np.ones(8)], None, InputError, r"theta: the value at \[0\] is nan"),
    (np.r_[np.ones(8), np.inf], None, InputError, "theta"),
    (np.ones(9) * 1j, None, InputError, "theta.*complex"),
    (np.ones(9), np.ones(2), ShapeError, r"phi has shape \(2,\); this family needs \(1,\)"),
    (np.ones(9), np.array([np.nan]), InputError, "phi"),
])
def test_bad_coefficients_are_refused_and_leave_no_trace(theta, phi, kind, message):
    sweep = SweepSolver(*BLOCK)
    with pytest.raises(kind, match=message) as error:
        sweep.solve(theta, phi)
    assert isinstance(error.value, RomflowError) and sweep.reports == []
    assert np.allclose(sweep.solve(np.ones(9)), exact(TERMS, np.ones(9), F[:, 0]), rtol=1e-6)


def test_a_dof_that_no_term_touches_is_named():
    apart = sp.csr_array(sp.block_diag([assembled(TERMS, np.ones(9)), sp.csr_array((1, 1))]))
    with pytest.raises(SolveFailed, match=f"row {N} "):
        SweepSolver([apart], np.ones((N + 1, 1)), strategy="condensed").solve(np.ones(1))
