"""Training of recommenders: chosen entries, synthetic samples, classifiers, and how they are judged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.parameters.loading import Loading
from romflow.parameters.spatial_field import SpatialField
from romflow.reduction.dictionary.augmentation import augment, in_hull, pure_sets
from romflow.reduction.dictionary.classifiers import CLASSIFIERS, fit, folds_of, settings_of
from romflow.reduction.dictionary.selection import distance_model, relevance_of, select
from romflow.reduction.dictionary.training import train
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.recommender import Recommender

SIDE = 20
LINE = np.linspace(0.0, 1.0, SIDE)
POINTS = np.stack(np.meshgrid(LINE, LINE, indexing="ij"), axis=-1).reshape(-1, 2)
SPOTS = np.array([[0.2, 0.2], [0.8, 0.3], [0.5, 0.8]])
COLUMNS = ("a", "b", "c")
LOADING = Loading(COLUMNS)
TEXTS = [f"{name} * exp(-((x - {x})**2 + (y - {y})**2) / 0.05)" for name, (x, y) in zip(COLUMNS, SPOTS, strict=True)]
FIELD = InputField.temperature(SpatialField(TEXTS, LOADING.columns), LOADING, POINTS, 0.0)


def drawn(N, seed=0):
    """Heats of three spots, of which the hottest is the label, and their fields."""
    mu = np.random.default_rng(seed).dirichlet(np.full(3, 0.7), N)
    return mu, FIELD.values(mu), mu.argmax(axis=1)


@pytest.mark.parametrize("points", [POINTS, None])
def test_entries_tell_most_and_lie_apart(points):
    _, values, labels = drawn(80)
    found = select(values, labels, 6, points)
    apart = np.sqrt(((POINTS[found.numbers][:, None] - SPOTS) ** 2).sum(axis=2))
    assert set(apart.argmin(axis=1)) == {0, 1, 2}
    assert found.relevance[found.numbers].mean() > found.relevance.mean()
    assert found.numbers[0] == found.relevance.argmax() and values[:, found.numbers].std(axis=0).min() > 1e-3


def test_redundancy_falls_with_distance_and_is_that_of_the_field(must_fail):
    rng = np.random.default_rng(1)
    length = 0.2
    root = np.linalg.cholesky(np.exp(-((LINE[:, None] - LINE) ** 2) / 2 / length**2) + 1e-9 * np.eye(SIDE))
    fields = np.einsum("ij,njk,lk->nil", root, rng.standard_normal((400, SIDE, SIDE)), root).reshape(400, -1)
    model = distance_model(fields, POINTS)
    assert (np.diff(model.information) <= 0.0).all()

    def check(scale):
        apart = 0.3
        rho = np.exp(-(apart**2) / 2 / length**2)
        at = scale * np.interp(apart, model.distance, model.information)
        assert abs(at + 0.5 * np.log(1 - rho**2)) < 0.02

    check(1.0)
    must_fail(check, 2.0)


def test_relevance_is_nothing_by_chance_and_much_where_means_differ():
    rng = np.random.default_rng(2)
    labels = np.arange(90) % 3
    values = np.stack([rng.standard_normal(90), labels + 0.1 * rng.standard_normal(90), np.full(90, 7.0)], axis=1)
    found = relevance_of(values, labels)
    assert found[0] < 0.05 and found[1] > 1.5 and found[2] == 0.0


def test_hulls():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    inside = in_hull(np.array([[0.5, 0.5], [0.9, 0.9], [1.2, 0.5], [0.5, -0.3], [2.0, 2.0]]), square)
    assert inside.tolist() == [True, True, False, False, False]
    assert in_hull(np.array([[1.0], [1.1]]), np.array([[1.0]])).tolist() == [True, False]


def test_pure_sets_do_not_reach_around_others():
    angle = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    ring = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    Z = np.concatenate([ring, 0.2 * ring[:8]])
    labels = np.repeat([0, 1], [24, 8])
    sets = pure_sets(Z, labels)
    assert all(not in_hull(Z[24:], Z[row]).any() for row in sets[:24])
    assert sets[24:, 24:].all() and sets[:24].sum(axis=1).min() > 2
    made = augment(Z, labels, 300, seed=1)
    x = made.weights @ Z
    np.testing.assert_allclose(made.weights.sum(axis=1), 1.0)
    assert (made.weights >= 0).all() and (np.hypot(*x.T)[made.labels == 0] > 1.0).all()


def test_nothing_is_made_of_lone_samples():
    made = augment(np.array([[0.0], [5.0], [6.0]]), np.array([0, 1, 1]), 10)
    assert set(made.labels.tolist()) == {1}
    assert len(augment(np.array([[0.0], [5.0]]), np.array([0, 1]), 10).labels) == 0


@pytest.mark.parametrize("kind", [*CLASSIFIERS[:-1], pytest.param("stack", marks=pytest.mark.long)])
@pytest.mark.parametrize("clusters", [2, 3])
def test_classifiers_learn_what_is_apart(kind, clusters):
    rng = np.random.default_rng(3)
    labels = np.arange(24) % clusters
    Z = 3.0 * np.eye(3)[labels] + 0.3 * rng.standard_normal((24, 3))
    trained = fit(settings_of(kind)[-1], Z, labels, clusters)
    assert (trained.scores(Z).argmax(axis=1) == labels).all()
    assert (trained.scores(Z[:, ::-1]).argmax(axis=1) != labels).any()


@pytest.mark.parametrize("kind", ["logistic", "mlp"])
def test_a_cluster_without_members_is_never_recommended(kind):
    labels = np.array([0, 0, 0, 2, 2, 2])
    scores = fit(settings_of(kind)[0], np.eye(6)[:, :3] + labels[:, None], labels, 4).scores(np.zeros((1, 3)))
    assert scores.shape == (1, 4) and np.isin(scores.argmax(axis=1), [0, 2]).all() and scores[0, [1, 3]].max() < -10


def test_folds_hold_all_clusters():
    labels = np.repeat([0, 1, 2], [20, 5, 1])
    fold = folds_of(labels, 5, 0)
    assert np.bincount(fold[:20]).tolist() == [4] * 5 and sorted(fold[20:25]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["logistic", "nearest"])
def test_trained_recommender_is_as_good_as_it_says(kind):
    mu, values, labels = drawn(60)
    trained = train(FIELD, values, labels, classifier=kind, share=0.02, seed=0)
    new, _, right = drawn(400, seed=1)
    found = trained.recommender.recommend(trained.field.values(new))
    hit = (found.label == right).mean()
    assert hit > 0.9 and abs(hit - trained.accuracy) < 0.1
    sure = ~found.abstained
    assert (found.label == right)[sure].mean() >= hit
    # Calibrated: the mean probability is the share that is right.
    assert abs(found.probability.max(axis=1).mean() - hit) < 0.08
    assert trained.recommender.numbers.size <= 0.02 * FIELD.size
    assert np.array_equal(trained.field.numbers, trained.recommender.numbers)
    told = json.loads(json.dumps(trained.plain()))
    assert np.sum(told["confusion"]) == 60 and told["entries"] == 8
    if kind == "logistic":
        return
    again = train(FIELD, values, labels, classifier=kind, share=0.02, seed=0)
    assert np.array_equal(again.recommender.recommend_fields(values).probability,
                          trained.recommender.recommend_fields(values).probability)


def test_labels_without_a_rule_are_told_to_be_without():
    _, values, _ = drawn(40)
    labels = np.random.default_rng(9).integers(0, 3, 40)
    assert train(FIELD, values, labels, classifier="nearest").accuracy < 0.6


def test_simulation_throws_out_wrong_synthetic_labels():
    _, values, labels = drawn(40)
    asked = []

    def verify(fields):
        asked.append(fields)
        peaks = fields[:, [np.argmin(((POINTS - spot) ** 2).sum(axis=1)) for spot in SPOTS]]
        return peaks.argmax(axis=1)

    trained = train(FIELD, values, labels, classifier="nearest", verify=verify)
    assert len(asked) == 1 and asked[0].shape[1] == FIELD.size
    assert trained.facts["synthetic_right"] > 0.95
    assert trained.facts["synthetic"] == round(trained.facts["synthetic_right"] * len(asked[0]))
    with pytest.raises(ShapeError, match="verify"):
        train(FIELD, values, labels, classifier="nearest", verify=lambda fields: np.zeros(1))


def test_one_cluster_and_rare_ones():
    mu, values, labels = drawn(30)
    one = train(FIELD, values, np.zeros(30, dtype=int))
    assert isinstance(one.recommender, Recommender) and one.accuracy == 1.0
    assert one.recommender.recommend(one.field.values(mu * 50)).abstained.all()
    assert values[:, one.recommender.numbers].std(axis=0).min() > 1e-3
    assert (one.recommender.recommend(one.field.values(drawn(200, seed=3)[0])).novelty <= 1).mean() > 0.97
    labels = np.where(np.arange(30) == 4, 3, labels)
    rare = train(FIELD, values, labels, classifier="nearest")
    assert rare.per_class[3] == 0.0 and rare.recommender.clusters == 4


def test_wrong_samples_are_refused():
    _, values, labels = drawn(12)
    broken = np.where(np.arange(12)[:, None] == 7, np.nan, values)
    with pytest.raises(InputError, match="sample 7 is not finite"):
        train(FIELD, broken, labels)
    with pytest.raises(ShapeError, match="another mesh"):
        train(FIELD, values[:, :-1], labels)
    with pytest.raises(ShapeError):
        train(FIELD, values, labels[:-1])
    with pytest.raises(ShapeError):
        train(FIELD, values, labels.astype(float))
    with pytest.raises(InputError, match="has one sample"):
        train(FIELD, values, np.arange(12))
    with pytest.raises(InputError, match="no member"):
        train(FIELD, values, np.where(labels == 1, 0, labels))
    with pytest.raises(InputError, match="are the same"):
        train(FIELD, np.ones_like(values), labels)
    with pytest.raises(InputError):
        train(FIELD, values, labels - 1)
    with pytest.raises(ConfigError, match="known: logistic"):
        train(FIELD, values, labels, classifier="forest")
    with pytest.raises(ConfigError, match="share"):
        train(FIELD, values, labels, share=0.0)
    with pytest.raises(ConfigError, match="abstain"):
        train(FIELD, values, labels, abstain=1.0)
    with pytest.raises(InputError, match="selection of 0"):
        select(values, labels, 0)
    with pytest.raises(ShapeError, match="points"):
        select(values, labels, 2, POINTS[:-1])
