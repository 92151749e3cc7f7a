"""The a-priori criterion of dictionaries: errors of unseen samples, the choice, and what it refuses."""

import json

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.clustering.medoids import k_medoids
from romflow.linalg.dissimilarity.fields import euclidean, sine
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.dictionary.assessment import Costs
from romflow.reduction.dictionary.choice import share_out, starved
from romflow.reduction.dictionary.correlations import Correlations, correlations
from romflow.reduction.dictionary.criterion import assess
from romflow.reduction.dictionary.held_out import Recommended, held_out_errors, runs_of, splits


@pytest.fixture(scope="module")
def regimes():
    """Two regimes of 40 fields each in spaces of three dimensions, with amplitudes over two decades."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(50, 6)))[0]
    U = np.hstack([Q[:, :3] @ rng.normal(size=(3, 40)), Q[:, 3:] @ rng.normal(size=(3, 40))])
    U = (U + 1e-3 * rng.normal(size=U.shape)) * 10 ** rng.uniform(-1.0, 1.0, 80)
    return U, np.repeat([0, 1], 40), sine(U, U)


def of(U):
    return Correlations(U.T @ U, np.ones(U.shape[1], dtype=int))


def single(count=80):
    rng = np.random.default_rng(1)
    return np.linalg.qr(rng.normal(size=(50, 12)))[0] @ (rng.normal(size=(12, count)) * 0.6 ** np.arange(12)[:, None])


def test_errors_are_those_of_projections_on_the_modes_of_the_runs(regimes):
    rng = np.random.default_rng(2)
    X = InnerProduct(None)
    U, sizes = rng.normal(size=(30, 60)), np.full(20, 3)
    D = sine(U[:, ::3], U[:, ::3])
    labels = np.arange(20) % 2
    features = correlations(lambda samples: np.hstack([U[:, 3 * i:3 * i + 3] for i in samples]), sizes, X, block=7)
    folds = splits(20, 4, 0)
    E = held_out_errors(features, D, labels, 3, 5, folds)
    test = folds[1]
    members = np.setdiff1d(np.flatnonzero(labels == 1), test)
    runs = runs_of(D, members, 3)
    V = np.linalg.svd(np.hstack([U[:, 3 * i:3 * i + 3] for i in runs]))[0][:, :5]
    one = U[:, 3 * test[0]:3 * test[0] + 3]
    expected = np.linalg.norm(one - V @ (V.T @ one)) / np.linalg.norm(one)
    assert E[test[0], 1, 4] == pytest.approx(expected, rel=1e-6)
    assert E[test[0], 1, 3] > 1.001 * expected  # with a mode less it is another number
    assert E.shape == (20, 2, 5) and np.all(np.diff(E, axis=2) <= 1e-12)


def test_held_out_samples_are_never_among_the_runs(regimes):
    U, labels, D = regimes
    E = held_out_errors(of(U), D, labels, 40, 39, splits(80, 8, 0))
    assert E[np.arange(80), labels, -1].min() > 0.0  # noise of a seen sample would be spanned exactly


def test_blocks_change_the_gram_matrix_to_rounding_only():
    import scipy.sparse as sp

    rng = np.random.default_rng(3)
    U, X = rng.normal(size=(15, 11)), InnerProduct(sp.diags_array(np.linspace(1.0, 2.0, 15)))
    found = [correlations(lambda s: U[:, s], np.ones(11, int), X, block=b).gram for b in (1, 4, 64)]
    for G in found:
        np.testing.assert_allclose(G, U.T @ X.apply(U), rtol=1e-12, atol=1e-12)


def test_two_regimes_are_two_models_and_one_regime_is_one(regimes):
    U, _, D = regimes
    labels = {K: k_medoids(D, K).labels for K in (2, 4)}
    found = assess(of(U), D, labels, accuracy={2: 0.97, 4: 0.9}, budget=24, modes=3)
    row = found.row(2)
    assert found.clusters == 2 and row.right_error < 0.02 < 0.5 < row.global_error and row.gain_interval[0] > 1
    assert row.expected_error == pytest.approx(0.97 * row.right_error + 0.03 * row.wrong_error)
    assert row.break_even_accuracy == pytest.approx(
        (row.wrong_error - row.global_error) / (row.wrong_error - row.right_error))
    V = single()
    D = sine(V, V)
    labels = {K: k_medoids(D, K).labels for K in (2, 4, 8)}
    found = assess(of(V), D, labels, accuracy=lambda _: 1.0, budget=48, modes=5, folds=5)
    assert found.clusters == 1 and any("Do not cluster" in line for line in found.why)


def test_a_recommender_below_the_break_even_accuracy_ends_in_one_model(regimes):
    U, labels, D = regimes
    found = assess(of(U), D, {2: labels}, accuracy={2: 0.97}, budget=24, snapshots=12, modes=5)
    needed = found.row(2).break_even_accuracy
    assert 0.5 < needed < 0.97 and found.clusters == 2
    assert assess(of(U), D, {2: labels}, accuracy={2: needed - 0.05}, budget=24, snapshots=12, modes=5).clusters == 1


def test_answers_counts_and_accuracy_agree_where_they_say_the_same(regimes):
    _, labels, _ = regimes
    rng = np.random.default_rng(4)
    E, answers = rng.uniform(size=(80, 2, 3)), labels.copy()
    answers[:5] = 1
    shown = Recommended(labels, answers)
    assert shown.accuracy == pytest.approx(75 / 80) and shown.counts.tolist() == [[35, 5], [0, 40]]
    np.testing.assert_allclose(shown.expected(E)[0], E[0, 1])
    np.testing.assert_allclose(Recommended(labels, 1.0).expected(E), shown.right(E))
    mixed = Recommended(labels, 0.9).expected(E)
    np.testing.assert_allclose(mixed, 0.9 * shown.right(E) + 0.1 * E[np.arange(80), 1 - labels])


def test_the_tolerance_decides_modes_and_the_queries_whether_it_pays(regimes):
    U, labels, D = regimes
    costs = Costs(full_order=10.0, cheap=0.1, pair=1e-4, training=1.0, recommend=1e-6)
    asked = {"accuracy": {2: 1.0}, "budget": 24, "snapshots": 12, "tolerance": 0.02, "costs": costs}
    found = assess(of(U), D, {2: labels}, queries=10**9, **asked)
    assert (found.clusters, found.modes) == (2, 3) and found.row(1).modes_needed == 6
    row = found.row(2)
    more = 80 * 0.1 + 80 * 79 / 2 * 1e-4 + 1.0
    assert row.offline_seconds == pytest.approx(240.0 + more)
    assert row.break_even_queries == pytest.approx(more / (found.row(1).online_seconds - row.online_seconds))
    few = assess(of(U), D, {2: labels}, queries=100, **asked)
    assert few.clusters == 1 and any("planned queries" in line for line in few.why)


def test_the_angle_gains_where_amplitudes_differ_and_nothing_where_they_do_not():
    rng = np.random.default_rng(5)
    x, c = np.linspace(0.0, 1.0, 80)[:, None], rng.uniform(0.1, 0.9, 120)
    told = {}
    for name, amplitude in {"equal": np.ones(120), "decades": 10 ** rng.uniform(-1.0, 1.0, 120)}.items():
        U = amplitude * np.exp(-(x - c) ** 2 / (2 * 0.05**2))
        D, E = sine(U, U), euclidean(U, U)
        found = assess(of(U), D, {4: k_medoids(D, 4, 2).labels}, accuracy={4: 1.0}, budget=40, snapshots=10, modes=4,
                       folds=5, euclidean={4: k_medoids(E, 4, 2).labels})
        told[name] = (found.facts["angle"]["4"]["gains"], found.why[-1])
    assert told["equal"][0] is False and "gains nothing" in told["equal"][1]
    assert told["decades"][0] is True and "beat" in told["decades"][1]


def test_budgets_are_shared_out_and_starved_clusterings_refused():
    assert [share_out(np.array([30, 6, 5, 4]), budget) for budget in (45, 24, 4, 3)] == [30, 9, 1, 0]
    sizes = np.array([30, 20, 10])
    assert starved(sizes, 6, None) is None and starved(np.array([60]), 1, None) is None
    assert "need 12" in starved(sizes, 11, 4) and "at least 2" in starved(sizes, 5, None)
    assert "not a regime" in starved(np.array([58, 2]), 30, None)
    assert starved(sizes, 60, 60) is None  # whole clusters


def test_refused_rows_are_told_and_never_chosen(regimes):
    U, _, D = regimes
    lonely = np.zeros(80, dtype=int)
    lonely[7] = 1

    def never(_):
        raise AssertionError("asked for the accuracy of a clustering that is refused")

    found = assess(of(U), D, {2: lonely}, accuracy=never, budget=24)
    assert found.clusters == 1 and "1 of the 80 samples" in found.row(2).refused
    assert any("out of the question" in line for line in found.why)
    with pytest.raises(InputError, match="3 clusters were not tried; tried: 1, 2"):
        found.row(3)


def test_it_is_the_same_twice_and_plain_json(regimes):
    U, labels, D = regimes
    U = np.hstack([U, np.zeros((50, 1))])  # a field that is zero
    D = sine(U, U)
    labels = np.append(labels, 1)
    plain = [assess(of(U), D, {2: labels}, accuracy={2: 0.95}, budget=12).plain() for _ in range(2)]
    assert json.dumps(plain[0], allow_nan=False) == json.dumps(plain[1], allow_nan=False)
    assert plain[0]["rows"][0]["wrong_error"] is None and len(plain[0]["rows"][1]["expected_curve"]) == 40


@pytest.mark.parametrize(("change", "message"), [
    ({"clusterings": {3: np.repeat([0, 1], 40)}}, "labels"), ({"clusterings": {81: np.arange(80)}}, "K = 81"),
    ({"dissimilarities": np.zeros((4, 4))}, "80 samples"), ({"dissimilarities": np.full((80, 80), np.nan)}, "nan"),
    ({"budget": 0}, "budget = 0"), ({"folds": 1}, "folds = 1"), ({"modes": 0}, "modes = 0"),
    ({"tolerance": 2.0}, "tolerance = 2"), ({"snapshots": 0}, "snapshots = 0"), ({"queries": -1}, "queries = -1"),
    ({"accuracy": {2: 1.2}}, "1.2"), ({"accuracy": {}}, "no accuracy"), ({"accuracy": {2: np.nan}}, "nan"),
    ({"accuracy": {2: np.full(80, 2)}}, "80 labels"), ({"accuracy": {2: np.ones((3, 3))}}, "counts")])
def test_wrong_input_is_refused(regimes, change, message):
    U, labels, D = regimes
    asked = {"features": of(U), "dissimilarities": D, "clusterings": {2: labels}, "accuracy": {2: 0.9}, "budget": 24}
    with pytest.raises(InputError, match=message):
        assess(**{**asked, **change})


def test_wrong_features_and_costs_are_refused():
    U = np.ones((4, 3))
    G = U.T @ U
    with pytest.raises(ShapeError, match="4 columns"):
        Correlations(G, np.array([2, 2]))
    with pytest.raises(ShapeError, match="whole numbers"):
        Correlations(G, np.array([3, 0]))
    with pytest.raises(InputError, match="not symmetric"):
        Correlations(G + np.triu(G, 1), np.ones(3, int))
    with pytest.raises(InputError, match="at sample 1"):
        Correlations(np.where(np.eye(3) * [0, 1, 0], np.nan, G), np.ones(3, int))
    U[2, 1] = np.inf
    with pytest.raises(InputError, match="feature of sample 1 is not finite"):
        correlations(lambda s: U[:, s], [1, 1, 1])
    with pytest.raises(ShapeError, match="fields of one mesh"):
        correlations(lambda s: np.ones((4 + s[0], len(s))), [1, 1, 1], block=1)
    with pytest.raises(InputError, match="block = 0"):
        correlations(lambda s: np.ones((4, len(s))), [1], block=0)
    with pytest.raises(InputError, match="'cheap' is nan"):
        Costs(1.0, float("nan"))
