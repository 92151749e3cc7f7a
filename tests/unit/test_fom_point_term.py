"""Pointwise nonlinear terms: values, Jacobians on one pattern, restrictions that evaluate their own points alone."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.parameters.point_function import PointFunction

N, P = 13, 21
FUNCTION = PointFunction(["a * u**2 + x * v", "exp(-b * u) * v", "x * a"], ["u", "v"], ["x"], ["a", "b"])
MU = np.array([[0.7, 1.3], [1.1, 0.2]])


def term(seed=0, function=FUNCTION, cells=None):
    """Random sparse matrices; cells of one to four points."""
    rng = np.random.default_rng(seed)
    c, a = len(function), len(function.inputs)
    test = sp.random_array((N, c * P), density=0.2, rng=rng, format="csr")
    gather = sp.random_array((a * P, N), density=0.2, rng=rng, format="csr")
    return PointTerm(test, gather, function, rng.random((len(function.data), P)),
                     rng.permutation(np.repeat(np.arange(9), [1, 2, 3, 4, 1, 2, 3, 4, 1])) if cells is None else cells)


def states(b=2):
    return np.random.default_rng(5).standard_normal((N, b))


def differences(call, u, h=1e-6):
    return np.stack([(call(u + h * e) - call(u - h * e)) / (2.0 * h) for e in np.eye(u.size)], axis=1)


def test_values_are_those_of_the_formula(must_fail):
    N1, U = term(), states()
    u, v = (N1.gather @ U).reshape(2, P, 2)
    a, b, x = MU[:, 0], MU[:, 1], N1.data[0][:, None]
    g = np.concatenate([a * u**2 + x * v, np.exp(-b * u) * v, x * a * np.ones_like(u)])

    def check(values):
        assert np.abs(values - N1.test @ g).max() < 1e-13

    values = N1.evaluate(U, MU)
    check(values)
    must_fail(check, values + 1e-12, values - 1e-12)
    assert np.array_equal(N1.evaluate(U[:, 0], MU[0]), N1.evaluate(U[:, :1], MU[:1])[:, 0])


@pytest.mark.parametrize("cells", [None, np.arange(P), np.zeros(P, dtype=int), np.arange(P) // 3])
def test_jacobian_equals_differences(cells, must_fail):
    N1, u = term(cells=cells), states()[:, 0]
    exact = differences(lambda w: N1.evaluate(w, MU[0]), u)

    def check(J):
        assert np.abs(J - exact).max() < 1e-8

    J = N1.jacobian(u, MU[0]).toarray()
    check(J)
    must_fail(check, J + 1e-7, J - 1e-7)
    directions = states(3)
    assert np.allclose(N1.derivative(u, directions, MU[0]), J @ directions, rtol=0.0, atol=1e-13)


def test_jacobians_share_a_pattern_that_holds_zeros():
    cube = PointTerm(sp.eye_array(3), sp.eye_array(3), PointFunction(["u**3"], ["u"], [], ["a"]))
    first, second = (cube.jacobian(np.array(u), np.ones(1)) for u in ([1.0, 2.0, 3.0], [0.0, 0.0, 1.0]))
    assert np.shares_memory(first.indices, second.indices) and np.shares_memory(first.indptr, second.indptr)
    assert second.nnz == 3 and second.data.tolist() == [0.0, 0.0, 3.0]
    with pytest.raises(ValueError, match="read-only"):
        first.indices[0] = 1


def test_terms_without_slopes_have_a_zero_jacobian():
    load = PointTerm(sp.eye_array(2), sp.eye_array(2), PointFunction(["a"], ["u"], [], ["a"]))
    assert load.jacobian(np.ones(2), np.ones(1)).nnz == 0
    assert load.evaluate(np.ones(2), np.array([3.0])).tolist() == [3.0, 3.0]


@pytest.mark.parametrize(("j", "name"), [(0, "a"), (1, "b")])
def test_parameter_derivative_equals_differences(j, name):
    N1, u, h = term(), states()[:, 0], 1e-6
    e = h * np.eye(2)[j]
    exact = (N1.evaluate(u, MU[0] + e) - N1.evaluate(u, MU[0] - e)) / (2.0 * h)
    assert np.abs(N1.parameter_derivative(name, u, MU[0]) - exact).max() < 1e-8
    with pytest.raises(ConfigError):
        N1.parameter_derivative("c", u, MU[0])


def test_restriction_gives_the_rows_from_its_own_points_alone():
    N1, U, rows = term(), states(), np.array([7, 2, 11])
    part = N1.restrict(rows)
    before = N1.evaluated
    assert np.abs(part.evaluate(U[part.dofs], MU) - N1.evaluate(U, MU)[rows]).max() < 1e-14
    assert N1.evaluated == before + 2 * P and part.evaluated == 2 * part.P
    needed = {int(q) % P for q in N1.test[rows].indices}
    assert set(part.points.tolist()) == needed and part.P == len(needed) < P
    assert np.array_equal(part.cells, N1.cells[part.points])
    changed = U.copy()
    changed[np.setdiff1d(np.arange(N), part.dofs)] = np.nan
    assert np.isfinite(part.evaluate(changed[part.dofs], MU)).all()


def test_time_reaches_the_function():
    moving = PointTerm(sp.eye_array(2), sp.eye_array(2), PointFunction(["t * u"], ["u"], [], ["a", "t"]))
    assert moving.evaluate(np.ones(2), np.ones(1), 3.0).tolist() == [3.0, 3.0]
    with pytest.raises(ShapeError, match="time"):
        moving.evaluate(np.ones(2), np.ones(1))


def test_overflow_is_given_back_and_not_raised():
    hot = PointTerm(sp.eye_array(1), sp.eye_array(1), PointFunction(["exp(u)"], ["u"], [], ["a"]))
    assert np.isinf(hot.evaluate(np.array([1e4]), np.ones(1))).all()


def test_wrong_input_is_refused():
    one, g = sp.eye_array(2), PointFunction(["u"], ["u"], [], ["a"])
    with pytest.raises(ShapeError, match="test has shape"):
        PointTerm(sp.eye_array(2, 3), one, g)
    with pytest.raises(ShapeError, match="data of points"):
        PointTerm(one, one, g, np.ones((1, 2)))
    with pytest.raises(InputError, match="'test'"):
        PointTerm(sp.diags_array([1.0, np.nan]), one, g)
    with pytest.raises(ShapeError, match="states have shape"):
        PointTerm(one, one, g).evaluate(np.ones((3, 1)), np.ones((1, 1)))
