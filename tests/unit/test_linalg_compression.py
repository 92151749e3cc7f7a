"""POD by its routes: tolerance, optimality, every source, odd sets, one reading, and what must be refused."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, NotSupported, ShapeError, StoreError
from romflow.linalg.compression.blocks import MEMORY
from romflow.linalg.compression.deflation import Sketch, deflated
from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.routes import ROUTES, choose
from romflow.linalg.compression.source import (
    ArraySource,
    ColumnSource,
    FileSource,
    SnapshotSource,
    StoreSource,
    as_source,
)
from romflow.linalg.compression.streaming import StreamingPod
from romflow.linalg.compression.sweeps import ByColumns, ByRows, sweep_over
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import pod
from romflow.store.snapshots import SnapshotStore
from tests import toy_store

N, K = 900, 40
EUCLID = InnerProduct(None)
PRODUCTS = {
    "identity": EUCLID,
    "diagonal": InnerProduct(sp.csr_array(sp.diags_array(np.linspace(0.5, 3.0, N)))),
    "coupled": InnerProduct(sp.csr_array(sp.diags_array([-np.ones(N - 1), 2.5 * np.ones(N), -np.ones(N - 1)],
                                                        offsets=[-1, 0, 1])))}


def snapshots(n=N, k=K, digits=16.0, seed=0):
    """Singular values that fall exponentially by so many digits."""
    random = np.random.default_rng(seed)
    U, V = (np.linalg.qr(random.standard_normal((m, k)))[0] for m in (n, k))
    return (U * 10.0 ** (-digits * np.arange(k) / k)) @ V.T


def true_error(V, S, product=EUCLID):
    E = S - V @ product.gram(V, S)
    E -= V @ product.gram(V, E)
    return np.linalg.norm(product.norm(E)) / np.linalg.norm(product.norm(S))


def optimum(S, product=EUCLID):
    """Relative errors of the best 0, 1, 2 ... modes."""
    R = S if product.X is None else np.linalg.cholesky(product.X.toarray()).T @ S
    sigma = np.linalg.svd(R, compute_uv=False)
    return np.sqrt(np.append(np.cumsum(sigma[::-1] ** 2)[::-1], 0.0) / np.sum(sigma**2))


# -- the routes ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("route", ["gram", "two-pass", "sketched", "randomised", "hapod"])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-6, 1e-9, 1e-12])
def test_a_route_keeps_the_tolerance_with_the_fewest_modes_and_knows_its_error(name, route, tolerance):
    if route == "gram" and tolerance < 1e-7:
        pytest.skip("refused, see below")
    S, product = snapshots(), PRODUCTS[name]
    found = pod(S, product, tolerance, route=route)
    V, best = found.basis, optimum(S, product)
    error = true_error(V, S, product)
    assert error <= tolerance * 1.01
    assert found.error == pytest.approx(error, rel=1e-2)
    assert error <= 1.02 * best[V.shape[1]]
    assert V.shape[1] <= np.argmax(best <= tolerance) + 1
    assert np.abs(product.gram(V, V) - np.eye(V.shape[1])).max() < 1e-13
    assert found.route == route and "asked for" in found.why


@pytest.mark.parametrize("route", ["two-pass", "sketched"])
def test_all_digits_of_the_deflated_routes_are_optimal(route):
    S = snapshots(k=60, digits=18.0)
    best = optimum(S)
    for r in (10, 20, 35):
        found = pod(S, EUCLID, 0.0, max_size=r, route=route)
        assert true_error(found.basis, S) <= 1.01 * best[r]
        assert np.allclose(found.singular_values[:r], 10.0 ** (-18.0 * np.arange(r) / 60), rtol=2e-2)


def test_one_gram_matrix_does_not_reach_what_the_deflation_does():
    S = snapshots()
    one, _ = deflated(sweep_over(ArraySource(S), EUCLID), EUCLID, 1e-11, None, levels=1)
    assert true_error(one.basis, S) > 100 * 1e-11
    assert one.error == pytest.approx(true_error(one.basis, S), rel=1e-2)


@pytest.mark.parametrize("digits", [1.0, 16.0])
@pytest.mark.parametrize("name", PRODUCTS)
def test_one_pass_is_within_twice_the_optimum_and_estimates_its_error(name, digits):
    S, product = snapshots(digits=digits), PRODUCTS[name]
    found = pod(S, product, 0.0, max_size=15, route="streaming", block=50)
    error = true_error(found.basis, S, product)
    assert error <= 2.0 * optimum(S, product)[15]
    assert found.error == pytest.approx(error, rel=0.25)
    assert np.abs(product.gram(found.basis, found.basis) - np.eye(15)).max() < 1e-13


def test_one_pass_over_more_snapshots_than_its_core_needs_the_co_range():
    random = np.random.default_rng(1)
    S = snapshots(n=300, k=30, digits=9.0) @ random.standard_normal((30, 1500))
    found = pod(S, EUCLID, 0.0, max_size=10, route="streaming")
    assert true_error(found.basis, S) <= 2.0 * optimum(S)[10]


def test_power_iterations_help_where_singular_values_fall_slowly():
    S = snapshots(digits=0.6)
    errors = [true_error(pod(S, EUCLID, 0.0, max_size=8, route="randomised", power=q).basis, S) for q in (0, 2)]
    assert optimum(S)[8] <= errors[1] < errors[0]
    assert errors[1] <= 1.01 * optimum(S)[8]


# -- what is read ----------------------------------------------------------------------------------------------------

class Counting(SnapshotSource):
    """Counts how often each row and snapshot is read."""

    def __init__(self, S, by_rows=True):
        self.S, (self.n, self.k), self.by_rows = S, S.shape, by_rows
        self.times = np.zeros(S.shape, dtype=int)

    def rows(self, part):
        self.times[part] += 1
        return self.S[part].copy()

    def columns(self, part):
        self.times[:, part] += 1
        return self.S[:, part].copy()


@pytest.mark.parametrize(("route", "times"), [("streaming", 1), ("sketched", 2), ("gram", 2)])
def test_passes_are_counted(route, times):
    source = Counting(snapshots())
    pod(source, EUCLID, 1e-5, route=route, block=100, memory=1000)
    assert set(source.times.ravel()) == {times}


def test_whole_snapshots_are_streamed_once_too():
    source = Counting(snapshots(), by_rows=False)
    pod(source, PRODUCTS["coupled"], 1e-5, route="streaming", block=7)
    assert set(source.times.ravel()) == {1}


def files(S, folder):
    """The same snapshots as every kind of source."""
    S.tofile(folder / "c.bin")
    np.asfortranarray(S).T.tofile(folder / "f.bin")
    mapped = np.memmap(folder / "c.bin", dtype=float, mode="r", shape=S.shape)
    held = np.memmap(folder / "f.bin", dtype=float, mode="r", shape=S.shape, order="F")
    return {"C file": FileSource(folder / "c.bin", *S.shape), "F file": FileSource(folder / "f.bin", *S.shape, "F"),
            "C map": mapped, "F map": held, "a part of a map": mapped[:], "array": np.asfortranarray(S),
            "columns": ColumnSource(lambda part: S[:, part], S.shape[1])}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize(("route", "tolerance"), [("two-pass", 3e-10), ("sketched", 3e-8)])
def test_sources_and_blocks_give_the_same_answer(tmp_path, name, route, tolerance):
    S, product = snapshots(), PRODUCTS[name]
    wanted = pod(S, product, tolerance, route=route)
    P = wanted.basis @ product.gram(wanted.basis, S)
    for kind, source in files(S, tmp_path).items():
        for block in (None, 1, 17, 10_000):
            if route == "sketched" and name == "coupled" and kind.startswith("C"):
                continue
            if block == 1 and kind != "C file":
                continue
            found = pod(source, product, tolerance, route=route, block=block, memory=100_000)
            assert found.basis.shape == wanted.basis.shape, (kind, block)
            same = np.linalg.norm(found.basis @ product.gram(found.basis, S) - P) / np.linalg.norm(S)
            assert same < 1e-13, (kind, block)
            assert np.abs(found.singular_values - wanted.singular_values).max() < 1e-14, (kind, block)


def test_another_seed_of_the_sketch_is_another_answer():
    S = snapshots(digits=3.0)
    one, other = (pod(S, EUCLID, 1e-1, route="sketched", seed=seed) for seed in (0, 1))
    gap = np.linalg.norm(one.basis @ (one.basis.T @ S) - other.basis @ (other.basis.T @ S)) / np.linalg.norm(S)
    assert gap > 1e-13
    again = pod(S, EUCLID, 1e-1, route="sketched", seed=0)
    assert again.basis.tobytes() == one.basis.tobytes()


def test_rows_of_a_file_are_read_where_a_coupling_product_touches_them(tmp_path):
    source, product = files(snapshots(), tmp_path)["C file"], PRODUCTS["coupled"]
    assert isinstance(sweep_over(source, product), ByRows)
    assert isinstance(sweep_over(ArraySource(snapshots()), product), ByColumns)
    with pytest.raises(NotSupported, match="order F"):
        pod(source, product, 1e-3, route="sketched", memory=1000)


def test_a_store_is_a_source(tmp_path):
    store = SnapshotStore(tmp_path, toy_store.SPEC, ["a", "b"])
    values = (1.0, 2.0, 5.0)
    for value in values:
        toy_store.put(store, value)
    mu = toy_store.rows(*values)
    found = pod(StoreSource(store, mu), EUCLID, 1e-10, memory=10)
    assert found.basis.shape == (40, 2)
    assert true_error(found.basis, store.matrix(mu)) < 1e-10
    assert np.array_equal(StoreSource(store, mu).rows(slice(3, 9)), store.matrix(mu)[3:9])


def test_memory_maps_are_read_through_a_buffer(tmp_path):
    S = snapshots(60, 4)
    S.tofile(tmp_path / "s.bin")
    mapped = np.memmap(tmp_path / "s.bin", dtype=float, mode="r+", shape=S.shape)
    assert isinstance(as_source(mapped), FileSource)
    mapped[3] = 0.0
    assert np.array_equal(as_source(mapped).rows(slice(0, 60)), mapped)
    private = np.memmap(tmp_path / "s.bin", dtype=float, mode="c", shape=S.shape)
    private[5] = 7.0
    assert np.array_equal(as_source(private).rows(slice(0, 60)), private)


# -- odd sets --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("route", ROUTES)
def test_rank_deficient_zero_and_wide_sets(route):
    tolerance = 1e-6
    flat = snapshots(200, 3, digits=2.0) @ np.random.default_rng(0).standard_normal((3, 50))
    assert pod(flat, EUCLID, tolerance, route=route).basis.shape == (200, 3)
    with_zero = np.hstack([flat, np.zeros((200, 2))])
    assert pod(with_zero, EUCLID, tolerance, route=route).basis.shape == (200, 3)
    nothing = pod(np.zeros((20, 7)), EUCLID, tolerance, route=route)
    assert nothing.basis.shape == (20, 0) and nothing.error == 0.0
    wide = np.random.default_rng(1).standard_normal((6, 90))
    assert pod(wide, EUCLID, tolerance, route=route).basis.shape == (6, 6)
    assert pod(np.zeros((5, 0)), EUCLID, tolerance, route=route).basis.shape == (5, 0)
    one = pod(np.ones((9, 1)), EUCLID, tolerance, route=route)
    assert np.allclose(one.basis, 1.0 / 3.0) and one.count == 1


@pytest.mark.parametrize("route", ["auto", "two-pass", "sketched", "randomised", "hapod"])
def test_tolerance_zero_takes_all_modes_but_no_noise(route):
    S = snapshots(200, 5, digits=4.0) @ np.random.default_rng(0).standard_normal((5, 30))
    found = pod(S, EUCLID, 0.0, route=route)
    assert found.basis.shape == (200, 5)
    assert true_error(found.basis, S) < 1e-14


@pytest.mark.parametrize("route", ["gram", "two-pass", "sketched", "randomised", "hapod"])
def test_the_order_of_the_snapshots_does_not_matter(route):
    S = snapshots(digits=8.0)
    order = np.random.default_rng(2).permutation(K)
    one, other = (pod(T, EUCLID, 1e-4, route=route) for T in (S, S[:, order]))
    assert one.basis.shape == other.basis.shape
    gap = np.linalg.norm(one.basis @ (one.basis.T @ S) - other.basis @ (other.basis.T @ S)) / np.linalg.norm(S)
    assert gap < (1e-4 if route in ("hapod", "randomised", "sketched") else 1e-10)


def test_a_sketch_that_loses_directions_is_found_out_and_mended():
    # With 40 bins, spikes collide: the sketch of these 30 snapshots has less than rank 30.
    S = np.zeros((5000, 30))
    S[np.random.default_rng(3).permutation(5000)[:30], np.arange(30)] = 1.0
    sweep = sweep_over(ArraySource(S), EUCLID)
    found, _ = deflated(sweep, EUCLID, 1e-6, None, sketch=Sketch("countsketch", 40, 0))
    assert np.linalg.matrix_rank(sweep.sketch("countsketch", 40, 0)[0]) < 30
    assert found.basis.shape == (5000, 30) and true_error(found.basis, S) < 1e-12
    alone, _ = deflated(sweep, EUCLID, 1e-6, None, levels=1, sketch=Sketch("countsketch", 40, 0))
    assert true_error(alone.basis, S) > 0.1
    assert alone.error == pytest.approx(true_error(alone.basis, S), rel=1e-2)


def test_max_size_cuts_and_the_error_says_so():
    S = snapshots()
    for route in ROUTES:
        found = pod(S, EUCLID, 1e-6, max_size=4, route=route)
        assert found.basis.shape == (N, 4)
        assert found.error == pytest.approx(true_error(found.basis, S), rel=0.1) and found.error > 1e-6
    assert pod(S, EUCLID, 1e-6, max_size=0).basis.shape == (N, 0)


# -- the choice ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("n", "k", "tolerance", "size", "name", "route"), [
    (50, 10, 1e-3, None, "identity", "gram"), (50, 10, 1e-8, None, "identity", "two-pass"),
    (40_000, 100, 1e-8, None, "identity", "sketched"), (40_000, 100, 1e-13, None, "identity", "two-pass"),
    (40_000, 100, 0.0, 20, "identity", "sketched"), (40_000, 30, 1e-8, None, "identity", "two-pass"),
    (40_000, 100, 1e-3, None, "coupled", "gram"), (40_000, 3000, 1e-3, None, "identity", "hapod")])
def test_the_rule_of_auto(n, k, tolerance, size, name, route):
    source = SnapshotSource()
    source.n, source.k = n, k
    choice = choose("auto", source, PRODUCTS[name], tolerance, size, MEMORY)
    assert choice.route == route and choice.why


def test_auto_says_what_it_chose():
    found = pod(snapshots(), EUCLID, 1e-3)
    assert found.route == "gram" and "Gram matrix" in found.why and "exact" in found.why
    assert found.facts["compression"] == {"route": "gram", "why": found.why, "error": found.error}


def test_wrong_calls_are_refused():
    S = snapshots(50, 5)
    with pytest.raises(ConfigError, match="Did you mean 'sketched'"):
        pod(S, EUCLID, 1e-3, route="sketch")
    with pytest.raises(InputError, match="two-pass"):
        pod(S, EUCLID, 1e-8, route="gram")
    for tolerance in (-1.0, 1.0, np.nan):
        with pytest.raises(InputError, match="tolerance"):
            pod(S, EUCLID, tolerance)
    with pytest.raises(InputError, match="block"):
        pod(S, EUCLID, 1e-3, block=0)
    with pytest.raises(InputError, match="max_size"):
        pod(S, EUCLID, 1e-3, max_size=-1)
    with pytest.raises(InputError, match="size"):
        pod(lambda part: S[:, part], EUCLID, 1e-3)
    with pytest.raises(ShapeError, match="900 entries"):
        pod(S, PRODUCTS["coupled"], 1e-3)
    with pytest.raises(ShapeError, match="shape"):
        pod(S[:, 0], EUCLID, 1e-3)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("by_rows", [True, False])
def test_a_number_that_is_not_finite_is_refused_with_its_block(route, by_rows):
    S = snapshots()
    S[123, 31] = np.inf
    where = "snapshots 24 to 35" if route == "hapod" or not by_rows else "rows 120 to 131"
    with pytest.raises(InputError, match=where):
        pod(Counting(S, by_rows), EUCLID, 1e-3, route=route, block=12, memory=20_000)
    with pytest.raises(InputError, match="not finite"):
        pod(S, EUCLID, 1e-3, route=route)


@pytest.mark.parametrize(("scale", "words"), [(1e200, "overflow"), (1e-200, "vanish")])
def test_snapshots_whose_squares_are_no_numbers_are_refused(scale, words):
    for route in ROUTES:
        with pytest.raises(InputError, match=words):
            pod(scale * snapshots(100, 5, 1.0), EUCLID, 1e-3, route=route)


def test_files_that_do_not_hold_the_snapshots(tmp_path):
    np.zeros(10).tofile(tmp_path / "s.bin")
    with pytest.raises(StoreError, match="80 bytes"):
        FileSource(tmp_path / "s.bin", 4, 3)
    with pytest.raises(StoreError, match="cannot read"):
        FileSource(tmp_path / "none.bin", 4, 3)
    with pytest.raises(InputError, match="order"):
        FileSource(tmp_path / "s.bin", 2, 3, "A")
    source = FileSource(tmp_path / "s.bin", 2, 3)
    (tmp_path / "s.bin").write_bytes(b"")
    with pytest.raises(StoreError, match="shorter"):
        source.rows(slice(0, 2))


def test_the_streaming_sketch_refuses_what_it_cannot_use():
    S = snapshots(60, 6)
    sketch = StreamingPod(60, 6, EUCLID, rank=3)
    with pytest.raises(ShapeError, match="rows 0 to 9"):
        sketch.add_rows(slice(0, 10), S[:9])
    with pytest.raises(ShapeError, match="snapshots 0 to 1"):
        sketch.add_snapshots(slice(0, 2), S[:, :1])
    sketch.add_rows(slice(0, 30), S[:30])
    with pytest.raises(InputError, match="180 of 360"):
        sketch.finish()
    with pytest.raises(NotSupported, match="whole snapshots"):
        StreamingPod(N, 6, PRODUCTS["coupled"]).add_rows(slice(0, 1), np.ones((1, 6)))


# -- bases in place --------------------------------------------------------------------------------------------------

def test_orthonormalisation_bears_any_condition_where_one_cholesky_factor_does_not():
    V = snapshots(2000, 20, digits=13.0)
    modes = Modes.of(V)
    modes.orthonormalise(EUCLID)
    assert modes.r == 20
    assert np.abs(modes.V.T @ modes.V - np.eye(20)).max() < 1e-13
    assert np.linalg.norm(V - modes.V @ (modes.V.T @ V)) < 1e-14
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(V.T @ V)


def test_transforming_in_place_is_a_product():
    V, T = np.random.default_rng(0).standard_normal((300, 6)), np.random.default_rng(1).standard_normal((6, 4))
    modes = Modes.of(V)
    modes.transform(T)
    assert np.allclose(modes.V, V @ T, atol=1e-14) and modes.r == 4
