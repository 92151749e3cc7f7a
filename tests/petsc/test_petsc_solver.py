"""PETSc on one rank: true residuals, options that cannot leak, updates, failures in words."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

pytest.importorskip("petsc4py")

from romflow.core.errors import ConfigError, InputError, ShapeError, SolveFailed  # noqa: E402
from romflow.dd.choice import choose  # noqa: E402
from romflow.dd.communicator import Single  # noqa: E402
from romflow.dd.petsc import PetscSolver  # noqa: E402
from romflow.dd.petsc_library import library  # noqa: E402
from romflow.dd.petsc_matrix import block_size, orthonormal_modes  # noqa: E402
from tests.petsc.split_problems import Split, split  # noqa: E402


def _solver(one: Split, **wishes: object) -> PetscSolver:
    return PetscSolver(one.layout, symmetric=one.symmetric, near_nullspace=one.modes, **wishes)


def _answer(one: Split, X: np.ndarray) -> np.ndarray:
    x = np.empty(one.b.size)
    x[one.natural] = X[:, 0]
    return x


@pytest.mark.parametrize("kind", ["diffusion", "advection", "elasticity"])
def test_answers_are_those_of_a_direct_solver(kind, must_fail):
    one = split(kind, Single())
    solver = _solver(one, tolerance=1e-12)
    solver.setup(one.local)
    exact = spsolve(one.A.tocsc(), one.b)

    def check(x):
        assert np.linalg.norm(x - exact) <= 1e-9 * np.linalg.norm(exact)

    x = _answer(one, solver.solve(one.rhs[:, None]))
    check(x)
    must_fail(check, (1 + 1e-8) * x, (1 - 1e-8) * x)
    assert solver.report["relative_residual"] <= 1e-12 and solver.report["iterations"] > 0
    assert np.linalg.norm(one.b - one.A @ x) <= 1.1e-12 * np.linalg.norm(one.b)
    solver.destroy()
    solver.destroy()


def test_cells_and_rows_give_one_matrix():
    one = split("elasticity", Single())
    answers = []
    for A in (one.local, one.cells):
        solver = _solver(one, tolerance=1e-12)
        solver.setup(A)
        answers.append(solver.solve(one.rhs[:, None]))
    np.testing.assert_allclose(answers[0], answers[1], rtol=0, atol=1e-9 * np.abs(answers[0]).max())


def test_blocks_zeros_and_guesses():
    one = split("diffusion", Single())
    solver = _solver(one)
    solver.setup(one.local)
    X = solver.solve(np.stack([one.rhs, 0.0 * one.rhs, 2.0 * one.rhs], axis=1))
    assert not X[:, 1].any()
    np.testing.assert_allclose(X[:, 2], 2.0 * X[:, 0], atol=1e-6 * np.abs(X[:, 0]).max())
    solver.solve(one.rhs[:, None], guess=X[:, :1])
    assert solver.report["iterations"] == 0


def test_update_keeps_what_depends_on_the_pattern_and_rebuilds_when_iterations_grow():
    one = split("diffusion", Single(), side=24, contrast=1.0)
    solver = _solver(one)
    solver.setup(one.local)
    solver.solve(one.rhs[:, None])
    rough = split("diffusion", Single(), side=24, contrast=1e6)
    solver.update(rough.local)
    X = solver.solve(one.rhs[:, None])
    assert not solver.report["rebuilt"]
    assert np.linalg.norm(one.b - rough.A @ _answer(one, X)) <= 1e-9 * np.linalg.norm(one.b) * 1.1
    solver._last = 10_000
    solver.update(rough.local)
    solver.solve(one.rhs[:, None], guess=0.0 * X)
    assert solver.report["rebuilt"] and "10000" in solver.report["why"]
    fresh = _solver(one)
    fresh.setup(rough.local)
    fresh.solve(one.rhs[:, None])
    assert solver.report["iterations"] == fresh.report["iterations"]


def test_update_with_another_pattern_is_a_setup():
    one = split("diffusion", Single())
    solver = _solver(one)
    solver.setup(one.local)
    solver.update(sp.csr_array(one.local + 1e-3 * sp.eye_array(one.layout.local, k=5)
                               + 1e-3 * sp.eye_array(one.layout.local, k=-5)))
    solver.solve(one.rhs[:, None])
    assert solver.report["rebuilt"] and "pattern" in solver.report["why"]


@pytest.mark.parametrize("options", [{"pc_gamg_treshold": 0.1}, {"ksp_typ": "cg", "pc_type": "jacobi"},
                                     {"pc_type": "jacobi", "pc_gamg_threshold": 0.02}])
def test_options_that_nothing_looks_at_are_named(options):
    one = split("diffusion", Single())
    solver = _solver(one, options=options)
    with pytest.raises(ConfigError, match="nothing in this solver looks at") as caught:
        solver.setup(one.local)
    assert any(repr(name) in str(caught.value) for name in options)
    with pytest.raises(InputError, match="before setup"):
        solver.solve(one.rhs[:, None])


@pytest.mark.parametrize(("options", "word"), [({"pc_type": "gmag"}, "gmag"), ({"ksp_type": "gc"}, "gc"),
                                               ({"pc_type": "hypre", "pc_hypre_type": "nothing"}, "PETSc")])
def test_unknown_types_are_refused_in_words(options, word):
    one = split("diffusion", Single())
    with pytest.raises(ConfigError, match=word) as caught:
        _solver(one, options=options).setup(one.local)
    assert "[solver] petsc" in str(caught.value) and "\n" not in str(caught.value)


def test_options_do_not_leak_between_solvers():
    one = split("diffusion", Single())
    first = _solver(one, options={"pc_type": "jacobi"})
    first.setup(one.local)
    second = _solver(one)
    second.setup(one.local)
    for solver in (first, second):
        solver.solve(one.rhs[:, None])
    assert first.report["method"] == "petsc cg + jacobi" and second.report["method"] == "petsc cg + gamg"
    first.destroy()
    second.destroy()
    assert not [name for name in library().Options().getAll() if name.startswith("romflow_")]


def test_later_solves_begin_with_earlier_ones():
    one = split("diffusion", Single())
    solver = _solver(one)
    solver.setup(one.local)
    X = solver.solve(one.rhs[:, None])
    np.testing.assert_allclose(solver.solve(-3.0 * one.rhs[:, None]), -3.0 * X, rtol=1e-9)
    assert solver.report["iterations"] == 0


def test_failures_say_why():
    one = split("diffusion", Single(), contrast=1e6)
    lazy = _solver(one, max_iterations=3, options={"pc_type": "jacobi"})
    lazy.setup(one.local)
    with pytest.raises(SolveFailed, match="limit of iterations") as caught:
        lazy.solve(one.rhs[:, None])
    assert caught.value.report["iterations"] == 3 and caught.value.report["relative_residual"] > 1e-9
    wrong = _solver(one, options={"pc_type": "none"})
    wrong.setup(sp.csr_array(split("diffusion", Single(), contrast=1.0).local - 2.0 * sp.eye_array(one.layout.local)))
    with pytest.raises(SolveFailed, match="not positive definite"):
        wrong.solve(one.rhs[:, None])


def test_the_true_residual_decides_not_the_one_of_the_method():
    one = split("diffusion", Single(), contrast=1e6)
    solver = _solver(one, tolerance=1e-10, options={"ksp_type": "minres", "pc_type": "jacobi"}, max_iterations=3000)
    solver.setup(one.local)
    x = _answer(one, solver.solve(one.rhs[:, None]))
    assert np.linalg.norm(one.b - one.A @ x) <= 1.1e-10 * np.linalg.norm(one.b)


def test_residuals_below_the_rounding_of_the_product_are_accepted_and_reported():
    one = split("elasticity", Single(), contrast=1e8, side=16)
    solver = _solver(one, tolerance=1e-15, max_iterations=5000)
    solver.setup(one.local)
    X = solver.solve(one.rhs[:, None])
    floor = solver.report["rounding"]
    x = _answer(one, X)
    size = np.linalg.norm(np.finfo(float).eps * (abs(one.A) @ abs(x))) / np.linalg.norm(one.b)
    assert floor == pytest.approx(size, rel=1e-10)
    assert 1e-15 < solver.report["relative_residual"] <= floor
    easy = _solver(one, tolerance=1e-4)
    easy.setup(one.local)
    easy.solve(one.rhs[:, None])
    assert easy.report["rounding"] is None


def test_odd_input_is_refused():
    one = split("diffusion", Single())
    solver = _solver(one)
    solver.setup(one.local)
    with pytest.raises(ShapeError, match="owned"):
        solver.solve(one.rhs)
    with pytest.raises(InputError, match="not finite"):
        solver.solve(np.full((one.layout.owned, 1), np.nan))
    with pytest.raises(ShapeError, match="local"):
        solver.setup(one.local[:5, :5])
    with pytest.raises(ShapeError, match="cells"):
        solver.setup(one.cells[:5])
    bad = one.local.copy()
    bad.data[3] = np.inf
    with pytest.raises(InputError, match="not finite"):
        solver.setup(bad)
    with pytest.raises(ConfigError, match="tolerance"):
        _solver(one, options={"ksp_rtol": 1e-3})


def test_modes_are_made_orthonormal_and_show_the_block_size():
    one = split("elasticity", Single())
    Q = orthonormal_modes(one.layout, one.modes)
    np.testing.assert_allclose(Q.T @ Q, np.eye(3), atol=1e-13)
    assert block_size(one.layout, one.modes) == 2
    assert block_size(one.layout, one.modes[:, ::-1]) == 1 and block_size(one.layout, None) == 1
    doubled = np.hstack([one.modes, one.modes])
    assert orthonormal_modes(one.layout, doubled).shape[1] == 3


def test_auto_prefers_petsc_on_scalar_symmetric_problems_and_says_so():
    chosen, why = choose("auto", Single(), components=1, symmetric=True)
    assert chosen is PetscSolver and "installed" in why
    assert choose("petsc", Single(), components=3, symmetric=True)[0] is PetscSolver
