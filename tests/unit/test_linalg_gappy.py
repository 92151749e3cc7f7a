"""Gappy bases: exact on their span, blind nowhere else but there, defined for any rank and for no modes at all."""

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.gappy import GappyBasis, gappy_rows


@pytest.fixture(scope="module")
def modes():
    return np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, 200), 6))[0]


def test_fields_of_the_span_come_back(modes, must_fail):
    gappy = GappyBasis(modes, gappy_rows(modes, known=np.arange(0, 200, 40)))
    z = np.random.default_rng(0).normal(size=(6, 4))
    values = (modes @ z)[gappy.rows]

    def check(values):
        assert np.allclose(gappy.coefficients(values), z, rtol=0, atol=1e-11)
        assert (gappy.residual(values) <= 1e-13).all()

    check(values)
    must_fail(check, values * (1.0 + 1e-9), values + 1e-9)
    assert np.allclose(gappy.pseudo_inverse @ values, z) and np.allclose(gappy.field(z, slice(3)), modes[:3] @ z)
    assert gappy.rank == 6 < gappy.rows.size


def test_error_is_bounded_by_the_stability(modes):
    rng = np.random.default_rng(1)
    field = np.exp(np.linspace(-1.0, 1.0, 200))[:, None] + 1e-3 * rng.normal(size=(200, 3))
    rows = gappy_rows(modes, oversampling=2.0)
    gappy = GappyBasis(modes, rows)
    distance = np.linalg.norm(field - modes @ (modes.T @ field), axis=0)
    error = np.linalg.norm(field - gappy.field(gappy.coefficients(field[rows])), axis=0)
    assert rows.size == 12 and (error <= np.sqrt(1.0 + gappy.stability**2) * distance).all()
    least = np.linalg.lstsq(modes[rows], field[rows], rcond=None)[0]
    assert np.allclose(gappy.coefficients(field[rows]), least, atol=1e-12)


def test_residual_needs_more_values_than_modes(modes):
    rows = gappy_rows(modes)
    values = np.random.default_rng(2).normal(size=(rows.size, 3))
    square = GappyBasis(modes, rows)
    assert square.rank == square.rows.size and (square.residual(values) <= 1e-12).all()
    more = GappyBasis(modes, np.union1d(rows, np.arange(0, 200, 10)))
    outside = np.random.default_rng(2).normal(size=(more.rows.size, 3))
    expected = [np.linalg.norm(v - more.sampled @ np.linalg.lstsq(more.sampled, v, rcond=None)[0]) / np.linalg.norm(v)
                for v in outside.T]
    assert np.allclose(more.residual(outside), expected) and (more.residual(outside) > 0.3).all()
    assert more.residual(np.zeros_like(outside)).tolist() == [0.0, 0.0, 0.0]


def test_modes_that_the_rows_do_not_see_get_the_shortest_solution():
    modes = np.zeros((8, 3))
    modes[[0, 1, 2], [0, 1, 2]] = 1.0
    gappy = GappyBasis(modes, np.array([0, 1, 5]))
    assert gappy.rank == 2 and gappy.stability == np.inf
    assert gappy.coefficients(np.array([[2.0], [3.0], [0.0]])).ravel().tolist() == [2.0, 3.0, 0.0]
    nothing = GappyBasis(modes, np.array([6, 7]))
    assert nothing.rank == 0 and not nothing.coefficients(np.ones((2, 1))).any()
    assert nothing.residual(np.ones((2, 1))).tolist() == [1.0]


def test_no_modes_and_no_rows():
    empty = GappyBasis(np.zeros((8, 0)), np.array([1, 2]))
    assert empty.coefficients(np.ones((2, 5))).shape == (0, 5) and empty.field(np.zeros((0, 5))).shape == (8, 5)
    assert empty.residual(np.ones((2, 5))).tolist() == [1.0] * 5 and empty.stability == 0.0
    rowless = GappyBasis(np.ones((8, 2)), np.empty(0, dtype=int))
    assert rowless.coefficients(np.zeros((0, 3))).tolist() == [[0.0] * 3] * 2
    assert rowless.residual(np.zeros((0, 3))).tolist() == [0.0] * 3
    assert gappy_rows(np.zeros((8, 0)), known=np.array([3, 3, 1])).tolist() == [1, 3]


def test_bad_input(modes):
    with pytest.raises(ShapeError, match="gappy basis"):
        GappyBasis(modes[:, 0], np.array([1]))
    with pytest.raises(ShapeError, match="whole numbers"):
        GappyBasis(modes, np.array([1.0]))
    for rows in ([200], [-1], [1, 1]):
        with pytest.raises(InputError, match="repeat or lie outside"):
            GappyBasis(modes, np.array(rows))
    with pytest.raises(InputError, match="not finite"):
        GappyBasis(np.full((5, 2), np.nan), np.array([1, 2, 3]))
    with pytest.raises(ShapeError, match="one value for each row"):
        GappyBasis(modes, np.arange(9)).coefficients(np.ones((8, 1)))
    with pytest.raises(InputError, match="1 or more"):
        gappy_rows(modes, oversampling=0.5)
