"""Angles between fields and between subspaces: small ones keep their digits, zero and empty ones are defined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg as sl
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.dissimilarity.fields import euclidean, sine
from romflow.linalg.dissimilarity.subspaces import chordal, grassmann, largest_sine, principal_sines
from romflow.linalg.dissimilarity.table import DISSIMILARITIES
from romflow.linalg.inner_product import InnerProduct

RNG = np.random.default_rng(3)
N = 40
PRODUCTS = [None, InnerProduct(sp.diags_array(np.linspace(0.5, 3.0, N))),
            InnerProduct(sp.diags_array([-np.ones(N - 1), 3 * np.ones(N), -np.ones(N - 1)], offsets=[-1, 0, 1]))]


def orthonormal(U: np.ndarray, product: InnerProduct | None) -> np.ndarray:
    X = np.eye(len(U)) if product is None else product.X.toarray()
    L = np.linalg.cholesky(X)
    return sl.solve_triangular(L.T, np.linalg.qr(L.T @ U)[0])


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("angle", [1e-13, 1e-9, 1e-4, 0.3, 1.5])
def test_sines_of_all_sizes_keep_their_digits(angle: float, product: InnerProduct | None,
                                              must_fail: Callable[..., None]) -> None:
    V = orthonormal(RNG.normal(size=(N, 2)), product)
    u, v = -1e120 * V[:, :1], 1e-90 * (np.cos(angle) * V[:, :1] + np.sin(angle) * V[:, 1:])

    def check(found: float) -> None:
        assert abs(found - np.sin(angle)) < 4e-15 + 1e-12 * angle

    found = float(sine(u, v, product)[0, 0])
    check(found)
    must_fail(check, found + 4e-14 + 1e-11 * angle, found - 4e-14 - 1e-11 * angle)


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_sine_is_the_error_of_a_projection(product: InnerProduct | None) -> None:
    U, V = RNG.normal(size=(N, 5)), RNG.normal(size=(N, 7))
    X = product or InnerProduct(None)
    for i, u in enumerate(U.T):
        rest = V - u[:, None] * (X.gram(u[:, None], V) / X.norm(u[:, None])**2)
        np.testing.assert_allclose(sine(U, V, product)[i], X.norm(rest) / X.norm(V), rtol=1e-12)
    np.testing.assert_allclose(sine(U, V, product), sine(V, U, product).T, rtol=1e-12)


def test_few_entries_and_many_fields_work() -> None:
    U = RNG.normal(size=(2, 9))
    theta = np.arctan2(U[1], U[0])
    np.testing.assert_allclose(sine(U, U), np.abs(np.sin(theta[:, None] - theta)), atol=1e-14)


def test_zero_fields_are_alike_and_far_from_all_others() -> None:
    U = np.column_stack([np.zeros(N), RNG.normal(size=N), np.zeros(N)])
    D = sine(U, U)
    assert D.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert sine(U, U[:, :1].copy()).tolist() == [[0], [1], [0]]
    lines = [np.empty((N, 0)) if not u.any() else u[:, None] / np.linalg.norm(u) for u in U.T]
    assert chordal(lines, lines).tolist() == D.tolist()


@pytest.mark.parametrize("name", ["sine", "euclidean"])
def test_fields_with_themselves_give_an_exactly_symmetric_matrix(name: str) -> None:
    U = RNG.normal(size=(N, 1)) + 1e-3 * RNG.normal(size=(N, 6))
    D = DISSIMILARITIES[name].function(U, U, PRODUCTS[1])
    assert np.array_equal(D, D.T) and not D.diagonal().any()
    np.testing.assert_allclose(D + np.eye(6), DISSIMILARITIES[name].function(U, U.copy(), PRODUCTS[1]) + np.eye(6),
                               rtol=1e-11)
    assert sine(U, 3.0 * U).diagonal().max() == 0.0


@pytest.mark.parametrize("product", PRODUCTS)
def test_distances_of_close_fields_keep_their_digits(product: InnerProduct | None) -> None:
    u, e = RNG.normal(size=(N, 1)), RNG.normal(size=(N, 1))
    V = u + e * np.array([1e-12, 1e-6, 1.0, 1e6])
    truth = (product or InnerProduct(None)).norm(V - u)
    np.testing.assert_allclose(euclidean(u, V, product)[0], truth, rtol=1e-3)
    np.testing.assert_allclose(euclidean(u, V[:, 1:], product)[0], truth[1:], rtol=1e-8)
    np.testing.assert_allclose(euclidean(1e150 * u, 1e150 * V, product)[0, 2:], 1e150 * truth[2:], rtol=1e-12)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-11])
def test_subspaces_give_what_their_principal_angles_say(product: InnerProduct | None, scale: float,
                                                        must_fail: Callable[..., None]) -> None:
    B = orthonormal(RNG.normal(size=(N, 6)), product)
    theta = scale * np.array([0.1, 0.5, 1.2])
    U, V = B[:, :3], B[:, :3] * np.cos(theta) + B[:, 3:] * np.sin(theta)
    turn = [np.linalg.qr(RNG.normal(size=(3, 3)))[0] for _ in range(2)]
    pair = ([U @ turn[0]], [V @ turn[1]], product)
    truth = [np.linalg.norm(np.sin(theta)), np.linalg.norm(theta), np.sin(theta[-1])]

    def check(found: list[float]) -> None:
        np.testing.assert_allclose(found, truth, rtol=1e-9, atol=2e-15)

    found = [float(one(*pair)[0, 0]) for one in (chordal, grassmann, largest_sine)]
    check(found)
    for i in range(3):
        must_fail(check, [(1 + 1e-3 * (i == j)) * value for j, value in enumerate(found)])
    np.testing.assert_allclose(principal_sines(pair[0][0], pair[1][0], product)[-1], truth[2], rtol=1e-9, atol=2e-15)


def test_angles_that_a_smaller_space_lacks_are_right_ones() -> None:
    B = np.eye(7)
    U, V, none = B[:, :2], np.column_stack([np.cos(0.3) * B[:, 0] + np.sin(0.3) * B[:, 5], B[:, 1], B[:, 3]]), B[:, :0]
    for left, right in ((U, V), (V, U)):
        assert chordal([left], [right])[0, 0] == pytest.approx(np.sqrt(np.sin(0.3)**2 + 1))
        assert grassmann([left], [right])[0, 0] == pytest.approx(np.hypot(0.3, np.pi / 2))
        assert largest_sine([left], [right])[0, 0] == 1.0
    assert chordal([none], [none, U])[0].tolist() == [0.0, pytest.approx(np.sqrt(2))]
    assert grassmann([none], [V])[0, 0] == pytest.approx(np.sqrt(3) * np.pi / 2)
    assert largest_sine([none], [none, U])[0].tolist() == [0.0, 1.0]
    assert principal_sines(U, none).size == 0


@pytest.mark.parametrize("name", ["chordal", "grassmann", "largest-sine"])
def test_many_subspaces_at_once_are_pairs_one_by_one(name: str) -> None:
    function, rows = DISSIMILARITIES[name].function, 60
    product = InnerProduct(sp.diags_array(np.linspace(1.0, 2.0, rows)))
    middle = RNG.normal(size=(rows, 3))
    spaces = [orthonormal(np.hstack([middle + 10.0**-i * RNG.normal(size=(rows, 3)), RNG.normal(size=(rows, i % 2))]),
                          product) for i in range(6)]
    D = function(spaces, spaces, product)
    assert np.array_equal(D, D.T) and not D.diagonal().any()
    single = [[function([U], [V], product)[0, 0] for V in spaces] for U in spaces]
    np.testing.assert_allclose(D, single - np.diag(np.diag(single)), rtol=1e-9)
    assert np.max(np.diag(single)) < 1e-14
    i, j, k = np.ix_(range(6), range(6), range(6))
    assert np.all(D[i, k] <= D[i, j] + D[j, k] + 1e-12)


@pytest.mark.parametrize("name", list(DISSIMILARITIES))
def test_wrong_input_is_refused(name: str) -> None:
    kind, function = DISSIMILARITIES[name]
    wrap = (lambda U: U) if kind == "field" else (lambda U: [U])
    good, nan, long = np.eye(N)[:, :2], np.eye(N)[:, :2], np.eye(N + 1)[:, :2]
    nan[0, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        function(wrap(nan), wrap(good))
    with pytest.raises(ShapeError, match="one mesh"):
        function(wrap(good), wrap(long))
    with pytest.raises(ShapeError, match="mesh that the product"):
        function(wrap(long), wrap(long), PRODUCTS[1])
    with pytest.raises(ShapeError, match="the rule is"):
        function(wrap(good[:, 0]), wrap(good))
    if kind == "subspace":
        with pytest.raises(InputError, match="not orthonormal"):
            function(wrap(good), wrap(2.0 * good))
