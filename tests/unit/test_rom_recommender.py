"""Recommenders and the input fields that they look at."""

from __future__ import annotations

import json

import numpy as np
import pytest

from romflow.core.errors import InputError, ShapeError, StoreError
from romflow.parameters.loading import Amplitude, Loading
from romflow.parameters.spatial_field import SpatialField
from romflow.rom.dictionary.classifiers import (
    LinearClassifier,
    NearestClassifier,
    NetworkClassifier,
    StackedClassifier,
    classifier_from_arrays,
    log_softmax,
)
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.recommender import Recommender, reach_of

RNG = np.random.default_rng(5)
Z = RNG.standard_normal((30, 4))
NETWORK = NetworkClassifier(((RNG.standard_normal((4, 5)), RNG.standard_normal(5)),
                             (RNG.standard_normal((5, 3)), RNG.standard_normal(3))))
CLASSIFIERS = {
    "logistic": LinearClassifier(RNG.standard_normal((4, 3)), RNG.standard_normal(3)),
    "nearest": NearestClassifier(Z, np.arange(30) % 3, np.ones(3), 4),
    "mlp": NETWORK,
    "stack": StackedClassifier((NETWORK, NETWORK), LinearClassifier(RNG.standard_normal((6, 3)), np.zeros(3)))}


def recommender(classifier, **more):
    return Recommender(3, 50, np.array([3, 7, 20, 41]), np.zeros(4), np.ones(4), classifier, Z, reach_of(Z), **more)


def heated():
    loading = Loading(("heat", "shift"), [Amplitude("a", [0.0, 1.0], [0.0, 2.0])])
    nodes = np.linspace(0.0, 1.0, 11)[:, None]
    terms = ["20 + a * heat * exp(-(x - shift)**2)", {"values": np.arange(11.0), "amplitude": "heat"}]
    return InputField.temperature(SpatialField(terms, loading.columns), loading, nodes, 0.5), loading, nodes


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_give_probabilities_and_come_back_from_arrays(kind):
    classifier = CLASSIFIERS[kind]
    p = np.exp(classifier.scores(Z))
    assert p.shape == (30, 3) and np.allclose(p.sum(axis=1), 1.0) and (p > 0).all()
    again = classifier_from_arrays(kind, classifier.to_arrays())
    assert np.array_equal(again.scores(Z), classifier.scores(Z))


def test_softmax_does_not_overflow_and_a_plain_one_would():
    scores = np.array([[2000.0, 0.0]])
    assert np.isfinite(log_softmax(scores)).all()
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(np.exp(scores) / np.exp(scores).sum()).all()


def test_nearest_counts_neighbours():
    lone = NearestClassifier(np.array([[0.0], [1.0], [10.0]]), np.array([0, 0, 1]), np.ones(2), 1)
    assert np.exp(lone.scores(np.array([[0.2], [9.0]]))).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_recommender_comes_back_from_arrays(kind):
    made = recommender(CLASSIFIERS[kind], abstain=0.6, sharpness=2.0, metadata={"a": 1})
    arrays, about = made.to_arrays()
    again = Recommender.from_arrays(arrays, json.loads(json.dumps(about)))
    x = RNG.standard_normal((9, 50)) * 2
    first, second = made.recommend_fields(x), again.recommend_fields(x)
    for name in ("label", "second", "probability", "abstained", "novelty"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert again.metadata == {"a": 1}
    assert (first.label != first.second).all()
    assert np.array_equal(first.label, first.probability.argmax(axis=1))


def test_a_batch_is_its_rows():
    made = recommender(CLASSIFIERS["logistic"])
    together = made.recommend(Z)
    for i in (0, 11, 29):
        alone = made.recommend(Z[i:i + 1])
        assert alone.label[0] == together.label[i]
        np.testing.assert_allclose(alone.probability[0], together.probability[i], rtol=1e-13)


def test_abstains_in_doubt_and_far_away():
    even = LinearClassifier(np.zeros((4, 3)), np.array([0.0, 0.01, -1.0]))
    made = recommender(even, abstain=0.5)
    assert made.recommend(Z).abstained.all()
    sure = recommender(LinearClassifier(np.zeros((4, 3)), np.array([9.0, 0.0, 0.0])))
    near, far = sure.recommend(Z), sure.recommend(Z + 30.0)
    assert not near.abstained.any() and (near.novelty == 0).all()
    assert far.abstained.all() and (far.novelty > 1).all()


def test_sharpness_moves_probabilities_and_not_labels():
    flat, sharp = (recommender(CLASSIFIERS["logistic"], sharpness=s).recommend(Z) for s in (0.2, 5.0))
    assert np.array_equal(flat.label, sharp.label)
    assert (sharp.probability.max(axis=1) >= flat.probability.max(axis=1)).all()


def test_one_cluster_says_what_is_new():
    lone = Recommender.constant(np.random.default_rng(0).uniform(size=(40, 2)))
    found = lone.recommend([[0.5, 0.5], [4.0, 0.5]])
    assert found.label.tolist() == [0, 0] and found.second.tolist() == [-1, -1]
    assert found.abstained.tolist() == [False, True]


def test_identical_training_knows_only_itself():
    lone = Recommender.constant(np.full((5, 2), 3.0))
    assert lone.recommend([[3.0, 3.0], [3.1, 3.0]]).abstained.tolist() == [False, True]


def test_wrong_features_are_refused():
    made = recommender(CLASSIFIERS["logistic"])
    with pytest.raises(InputError, match=r"\[1, 2\] = nan is not finite"):
        made.recommend(np.where(np.arange(8).reshape(2, 4) == 6, np.nan, 0.0))
    with pytest.raises(InputError, match="not finite"):
        made.recommend(np.full((1, 4), np.inf))
    with pytest.raises(ShapeError, match="it reads 4"):
        made.recommend(np.zeros((2, 5)))
    with pytest.raises(ShapeError, match="another mesh"):
        made.recommend_fields(np.zeros((2, 51)))
    with pytest.raises(ShapeError):
        made.recommend(np.zeros((0, 4)))
    with pytest.raises(StoreError, match="known"):
        classifier_from_arrays("forest", {})
    with pytest.raises(StoreError, match="lacks"):
        classifier_from_arrays("logistic", {"weights": Z})


def test_field_at_chosen_nodes_is_the_whole_one_there():
    whole, loading, nodes = heated()
    mu = np.array([[3.0, 0.2], [5.0, 0.9]])
    values = whole.values(mu)
    expected = 20 + 1.0 * mu[:, :1] * np.exp(-(nodes.T - mu[:, 1:])**2) + np.arange(11.0) * mu[:, :1]
    np.testing.assert_allclose(values, expected, rtol=1e-14)
    few = whole.restrict([9, 2, 4])
    assert few.size == 11 and len(few.nodes) == 3
    np.testing.assert_array_equal(few.values(mu), values[:, [9, 2, 4]])
    np.testing.assert_array_equal(few.restrict([4]).values(mu), values[:, [4]])
    arrays, about = few.to_arrays()
    again = InputField.from_arrays(arrays, json.loads(json.dumps(about)))
    np.testing.assert_array_equal(again.values(mu), few.values(mu))


def test_parameters_are_their_own_field():
    field = InputField.parameters(3)
    mu = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(field.values(mu), mu)
    arrays, about = field.restrict([2, 0]).to_arrays()
    assert np.array_equal(InputField.from_arrays(arrays, about).values(mu), mu[:, [2, 0]])


def test_wrong_input_fields_are_refused():
    whole, loading, nodes = heated()
    with pytest.raises(InputError, match="not among"):
        whole.restrict([11])
    with pytest.raises(InputError, match="not among"):
        whole.restrict([3]).restrict([4])
    with pytest.raises(InputError):
        whole.restrict([])
    with pytest.raises(InputError):
        InputField.parameters(0)
    with pytest.raises(ShapeError):
        InputField.parameters(2).values(np.zeros((1, 3)))
    with pytest.raises(ShapeError):
        InputField.temperature(whole.field, loading, np.zeros(3), 0.0)
    with pytest.raises(InputError):
        InputField.temperature(whole.field, loading, nodes, np.nan)


def test_one_feature_far_off_among_many_is_new_and_tails_are_not():
    rng = np.random.default_rng(1)
    lone = Recommender.constant(rng.standard_normal((80, 12)))
    off = np.zeros((1, 12))
    off[0, 7] = 8.0
    assert lone.recommend(off).novelty[0] > 1 > lone.recommend(off / 4).novelty[0]
    assert (lone.recommend(rng.standard_normal((3000, 12))).novelty > 1).mean() < 0.005
    near = Recommender.constant(rng.standard_normal((200, 1)))
    assert (near.recommend(rng.standard_normal((3000, 1))).novelty > 1).mean() < 0.005
