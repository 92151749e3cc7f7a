"""Sketched Newton steps for equality-constrained problems: optimal control of an elliptic problem, and small ones."""

import numpy as np
import pytest
import scipy.optimize as so
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.constrained.kkt import KktSystem, SchurPreconditioner, inner_solver
from romflow.linalg.constrained.newton import EqualityProblem, _evaluate, _slope, newton_sketch


class Control:
    """min 1/2 ||y - y_d||^2 + beta/2 ||u||^2 such that -Laplace y + cubic y^3 = u; five-point stencil, mass by rows."""

    def __init__(self, cells=12, beta=1e-3, cubic=0.0):
        h = 1.0 / cells
        self.m = (cells - 1) ** 2
        T = sp.diags_array([-np.ones(cells - 2), 2.0 * np.ones(cells - 1), -np.ones(cells - 2)], offsets=[-1, 0, 1])
        I = sp.eye_array(cells - 1)  # noqa: E741
        self.K, x = sp.csr_array(sp.kron(T, I) + sp.kron(I, T)), np.arange(1, cells) * h
        neighbours = sp.diags_array([np.ones(cells - 2), np.ones(cells - 2)], offsets=[-1, 1])
        self.M = sp.csr_array(h * h * (0.5 * sp.eye_array(self.m) + 0.125 * (sp.kron(neighbours, I)
                                                                          + sp.kron(I, neighbours))))
        self.D, self.beta, self.cubic = h * h, beta, cubic
        self.target = np.outer(np.sin(2 * np.pi * x), np.sin(np.pi * x)).ravel()

    def parts(self, z):
        return z[:self.m], z[self.m:]

    def objective(self, z):
        y, u = self.parts(z)
        return 0.5 * (y - self.target) @ (self.M @ (y - self.target)) + 0.5 * self.beta * u @ (self.M @ u)

    def gradient(self, z):
        y, u = self.parts(z)
        return np.concatenate([self.M @ (y - self.target), self.beta * (self.M @ u)])

    def hessian(self, z, multipliers):
        y, _ = self.parts(z)
        return sp.block_diag([self.M + sp.diags_array(6.0 * self.cubic * self.D * y * multipliers), self.beta * self.M])

    def constraint(self, z):
        y, u = self.parts(z)
        return self.K @ y + self.cubic * self.D * y**3 - self.M @ u

    def jacobian(self, z):
        y, _ = self.parts(z)
        return sp.hstack([self.K + sp.diags_array(3.0 * self.cubic * self.D * y**2), -self.M])

    @property
    def problem(self):
        return EqualityProblem(self.objective, self.gradient, self.hessian, self.constraint, self.jacobian)


def sphere(n=6, seed=0):
    """min 1/2 x^T A x on the unit sphere, A indefinite: the solution is an eigenvector."""
    R = np.random.default_rng(seed).standard_normal((n, n))
    A = sp.csr_array(R + R.T)
    return EqualityProblem(lambda x: 0.5 * x @ (A @ x), lambda x: A @ x, lambda x, m: A + m[0] * sp.eye_array(n),
                           lambda x: np.array([0.5 * (x @ x - 1.0)]), lambda x: sp.csr_array(x[None, :])), A


def hock_schittkowski_7():
    """min log(1 + x^2) - y such that (1 + x^2)^2 + y^2 = 4; solution (0, 3^.5)."""
    def hessian(z, m):
        x = z[0]
        f = (2 - 2 * x * x) / (1 + x * x) ** 2
        return sp.csr_array(np.diag([f + m[0] * (4 + 12 * x * x), 2 * m[0]]))
    return EqualityProblem(
        lambda z: np.log(1 + z[0] ** 2) - z[1], lambda z: np.array([2 * z[0] / (1 + z[0] ** 2), -1.0]), hessian,
        lambda z: np.array([(1 + z[0] ** 2) ** 2 + z[1] ** 2 - 4.0]),
        lambda z: sp.csr_array([[4 * z[0] * (1 + z[0] ** 2), 2 * z[1]]]))


def kkt_matrix(H, G):
    return sp.block_array([[H, G.T], [G, None]], format="csc")


@pytest.mark.parametrize(("inner", "columns"), [("sketch", 1), ("sketch", 5), ("gaussian", 40), ("minres", 1),
                                                ("direct", 1)])
def test_linear_control_gives_the_exact_state_control_and_multipliers(inner, columns, must_fail):
    control = Control(cells=5)
    z = np.zeros(2 * control.m)
    K = kkt_matrix(control.hessian(z, z[:control.m]), control.jacobian(z))
    exact = spsolve(K, np.concatenate([-control.gradient(z), -control.constraint(z)]))
    found = newton_sketch(control.problem, z, inner=inner, columns=columns, tolerance=1e-9)

    def check(answer):
        assert np.linalg.norm(answer - exact) <= 1e-6 * np.linalg.norm(exact)

    answer = np.concatenate([found.x, found.multipliers])
    check(answer)
    must_fail(check, answer + 1e-5 * np.abs(answer).max(), answer * (1 + 1e-5))


def test_semilinear_control_is_the_minimum_of_the_reduced_objective(must_fail):
    control = Control(cells=5, beta=1e-3, cubic=60.0)
    found = newton_sketch(control.problem, np.zeros(2 * control.m), tolerance=1e-9)
    y, u = control.parts(found.x)

    def state(u):
        y = np.zeros(control.m)
        for _ in range(12):
            z = np.concatenate([y, u])
            y = y - spsolve(sp.csc_array(control.jacobian(z))[:, :control.m], control.constraint(z))
        return y

    def reduced(u):
        z = np.concatenate([state(u), u])
        A = sp.csc_array(sp.csc_array(control.jacobian(z))[:, :control.m])
        p = spsolve(sp.csc_array(A.T), control.gradient(z)[:control.m])
        return control.objective(z), control.gradient(z)[control.m:] + control.M.T @ p

    best = so.minimize(reduced, np.zeros(control.m), jac=True, method="BFGS", options={"gtol": 1e-11})

    def check(u):
        assert np.linalg.norm(u - best.x) <= 1e-4 * np.linalg.norm(best.x)

    assert np.linalg.norm(control.constraint(found.x)) < 1e-9
    check(u)
    linear = newton_sketch(Control(cells=5, beta=1e-3).problem, np.zeros(2 * control.m))
    must_fail(check, 1.001 * u, control.parts(linear.x)[1])


@pytest.mark.parametrize("inner", ["sketch", "minres", "direct"])
def test_curved_constraints_far_from_the_solution(inner):
    found = newton_sketch(hock_schittkowski_7(), np.array([2.0, 2.0]), inner=inner)
    assert np.allclose(found.x, [0.0, np.sqrt(3.0)], atol=1e-6)
    problem, A = sphere()
    start = np.random.default_rng(1).standard_normal(6)
    found = newton_sketch(problem, start, inner=inner, tolerance=1e-9)
    assert np.isclose(np.linalg.norm(found.x), 1.0)
    assert np.linalg.norm(A @ found.x + found.multipliers[0] * found.x) < 1e-6


@pytest.mark.parametrize("inner", ["sketch", "minres", "direct"])
def test_every_step_lowers_the_merit_and_the_report_adds_up(inner, must_fail):
    control = Control(cells=8, beta=1e-4, cubic=100.0)
    report = newton_sketch(control.problem, np.zeros(2 * control.m), inner=inner).report

    def check(merit):
        before, after = np.array(merit).T
        assert (after <= before + 1e-12 * np.abs(before)).all()

    check(report.merit)
    must_fail(check, [(a, b) for b, a in report.merit])
    assert report.iterations == len(report.merit) == len(report.step_lengths) == len(report.kkt) - 1
    assert len(report.inner_iterations) == len(report.applications) == len(report.residuals) == report.iterations
    assert max(report.residuals) <= 0.1
    assert report.kkt[-1] <= 1e-8 * 10 * max(report.kkt[0], 1.0)


def test_slope_is_the_derivative_of_the_merit(must_fail):
    stream = np.random.default_rng(0)
    problem, eta = hock_schittkowski_7(), (3.0, 0.7)
    x, multipliers, step = np.array([1.3, -0.4]), np.array([0.8]), stream.standard_normal(3)
    metric = SchurPreconditioner(np.array([2.0, 0.5]), problem.jacobian(x + 0.1))

    def at(t):
        return _evaluate(problem, x + t * step[:2], multipliers + t * step[2:], metric).merit(eta)

    expected = (at(1e-5) - at(-1e-5)) / 2e-5

    def check(hessian):
        wrong = EqualityProblem(problem.objective, problem.gradient, hessian, problem.constraint, problem.jacobian)
        H = sp.csr_array(hessian(x, multipliers))
        parts = _slope(wrong, _evaluate(problem, x, multipliers, metric), H, metric, step)
        assert np.isclose(parts[0] + eta[0] * parts[1] + eta[1] * parts[2], expected, rtol=1e-7)

    check(problem.hessian)
    must_fail(check, lambda x, m: problem.hessian(x, multipliers), lambda x, m: 1.001 * problem.hessian(x, m))


def test_ideal_preconditioner_leaves_three_eigenvalues(must_fail):
    stream = np.random.default_rng(2)
    H, G = sp.diags_array(stream.uniform(1.0, 3.0, 9)), sp.csr_array(stream.standard_normal((4, 9)))

    def check(weights):
        P = SchurPreconditioner(weights, G)
        values = np.linalg.eigvals(P.solve(kkt_matrix(H, G).toarray())).real
        known = np.array([1.0, (1 + 5**0.5) / 2, (1 - 5**0.5) / 2])
        assert np.abs(values[:, None] - known).min(axis=1).max() < 1e-8

    check(H.diagonal())
    must_fail(check, np.ones(9))


def test_sketches_have_the_covariance_of_the_inverse_preconditioner(must_fail):
    stream = np.random.default_rng(2)
    G, weights = sp.csr_array(stream.standard_normal((2, 4))), np.array([1.0, 2.0, 4.0, 0.5])
    P = SchurPreconditioner(weights, G)
    s = P.gaussian(200_000, np.random.default_rng(0))

    def check(factor):
        exact = P.solve(np.eye(6))
        assert np.abs(factor * s @ s.T / s.shape[1] - exact).max() < 0.02 * np.abs(exact).max()

    check(1.0)
    must_fail(check, 1.1, 0.9)


def test_error_of_the_sketched_solve_never_grows_and_minres_needs_less():
    control = Control(cells=12)
    z = np.zeros(2 * control.m)
    H, G = sp.csr_array(control.hessian(z, z[:control.m])), sp.csr_array(control.jacobian(z))
    P = SchurPreconditioner(H.diagonal(), G)
    system, b = KktSystem(H, G, P), np.random.default_rng(0).standard_normal(3 * control.m)
    exact = spsolve(kkt_matrix(H, G), b)
    root = np.concatenate([P.weights, np.zeros(control.m)])

    def norm(e):
        dual = e[2 * control.m:] @ (G @ ((G.T @ e[2 * control.m:]) / P.weights))
        return np.sqrt(e @ (root * e) + dual)

    errors, taken = [norm(exact)], {}
    for tolerance in (0.5, 0.1, 0.01, 1e-4):
        found = inner_solver("sketch", 500)(system, b, tolerance, np.random.default_rng(1))
        assert found.residual <= tolerance
        assert np.isclose(P.norm(b - system.apply(found.z)), found.residual * P.norm(b), rtol=1e-6)
        errors.append(norm(exact - found.z))
        taken[tolerance] = found.applications
    assert (np.diff(errors) <= 0.0).all()
    peer = inner_solver("minres", 500)(system, b, 0.01, np.random.default_rng(1))
    assert peer.applications < taken[0.01] <= 8 * peer.applications


def test_seed_decides_the_bits():
    control = Control(cells=6)
    first, again, other = (newton_sketch(control.problem, np.zeros(2 * control.m), seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)
    assert np.allclose(first.x, other.x, atol=1e-4)


def test_a_solution_is_left_as_it_is():
    control = Control(cells=6)
    first = newton_sketch(control.problem, np.zeros(2 * control.m), inner="direct", tolerance=1e-10)
    again = newton_sketch(control.problem, first.x, first.multipliers)
    assert again.report.iterations == 0
    assert np.array_equal(again.x, first.x)


def plain(**changes):
    parts = {"objective": lambda x: x @ x, "gradient": lambda x: 2 * x,
             "hessian": lambda x, m: 2 * sp.eye_array(x.size), "constraint": lambda x: x[:1] - 1.0,
             "jacobian": lambda x: sp.csr_array(np.eye(1, x.size))}
    return EqualityProblem(**(parts | changes))


@pytest.mark.parametrize(("changes", "error", "match"), [
    ({"gradient": lambda x: np.full(3, np.nan)}, InputError, "gradient has entries"),
    ({"objective": lambda x: np.inf}, InputError, "objective is inf"),
    ({"hessian": lambda x, m: sp.csr_array(np.full((3, 3), np.nan))}, InputError, "Hessian has entries"),
    ({"jacobian": lambda x: sp.csr_array((2, 3))}, ShapeError, "Jacobian has shape"),
    ({"gradient": lambda x: x[:2]}, ShapeError, "gradient has shape"),
    ({"jacobian": lambda x: sp.csr_array((1, 3))}, SolveFailed, "rank-deficient"),
    ({"constraint": lambda x: np.array([x[0] - 1.0] * 2), "jacobian": lambda x: sp.csr_array([[1.0, 0, 0]] * 2)},
     SolveFailed, "rank-deficient.*remove"),
    ({"constraint": lambda x: np.ones(4)}, InputError, "4 constraints and 3 unknowns"),
    ({"weights": lambda x, m: np.array([1.0, 0.0, 1.0])}, InputError, "weights > 0"),
    ({"objective": lambda x: -(x @ x)}, SolveFailed, "derivative"),
])
def test_wrong_problems_are_refused(changes, error, match):
    with pytest.raises(error, match=match):
        newton_sketch(plain(**changes), np.array([0.0, 1.0, 2.0]))


@pytest.mark.parametrize(("options", "match"), [
    ({"inner": "minress"}, "Did you mean 'minres'"), ({"tolerance": 0.0}, "tolerance"), ({"accuracy": 1.0}, "accuracy"),
    ({"max_iterations": 0}, "max_iterations"), ({"penalties": (1.0, -1.0)}, "penalties"), ({"columns": 0}, "columns"),
    ({"multipliers": [np.nan]}, "multipliers"),
])
def test_wrong_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        newton_sketch(plain(), np.zeros(3), **options)
    with pytest.raises(InputError, match="start"):
        newton_sketch(plain(), np.array([np.nan, 0.0]))


@pytest.mark.parametrize("inner", ["sketch", "minres"])
def test_not_converged_names_the_remedy(inner):
    control = Control(cells=10, cubic=50.0)
    with pytest.raises(SolveFailed, match="max_inner.*direct") as caught:
        newton_sketch(control.problem, np.zeros(2 * control.m), inner=inner, max_inner=2)
    assert caught.value.report["residual"] > 0.0
    with pytest.raises(SolveFailed, match="raise max_iterations"):
        newton_sketch(control.problem, np.zeros(2 * control.m), inner=inner, max_iterations=1)


def test_singular_newton_systems_are_refused():
    P = SchurPreconditioner(np.ones(3), sp.csr_array(np.eye(1, 3)))
    system = KktSystem(sp.csr_array((3, 3)), P.jacobian, P)
    for inner, match in (("direct", "singular.*curvature"), ("minres", "reached"), ("sketch", "reached")):
        with pytest.raises(SolveFailed, match=match):
            inner_solver(inner, 20)(system, np.array([0.0, 1.0, 0.0, 1.0]), 1e-6, np.random.default_rng(0))


def test_unbounded_problems_do_not_converge():
    problem = plain(objective=lambda x: x[2], gradient=lambda x: np.eye(3)[2],
                    hessian=lambda x, m: sp.csr_array((3, 3)))
    with pytest.raises(SolveFailed, match="raise max_iterations"):
        newton_sketch(problem, np.zeros(3), inner="direct", max_iterations=10)
