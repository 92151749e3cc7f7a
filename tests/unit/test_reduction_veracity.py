"""Doubtful snapshots are found and set aside with the reason; good families, greedy ones above all, are left alone."""

import numpy as np
import pytest

import romflow
from romflow.core.errors import InputError, StoreError
from romflow.core.snapshot import Snapshot
from romflow.reduction.veracity import VeracityCheck
from romflow.reduction.veracity_doubts import time_spike
from romflow.store.snapshots import SnapshotStore

pytestmark = pytest.mark.usefixtures("without_report")

X = np.linspace(0.0, 1.0, 700)[:, None]
LIMIT = 0.2


def pole(k, seed):
    mu = np.random.default_rng(seed).uniform(0.05, 5.0, (k, 1))
    return mu, 1.0 / (mu[:, 0] + X)


def bump(k, seed):
    mu = np.random.default_rng(seed).uniform(0.1, 0.9, (k, 1))
    return mu, np.exp(-(((X - mu[:, 0]) / 0.05) ** 2))


def layers(k, seed):
    """Conduction through a wall of four layers, four parameters over a factor of ten."""
    mu = np.random.default_rng(seed).uniform(0.1, 1.0, (k, 4))
    heat = np.cumsum(np.repeat(1.0 / mu, len(X) // 4, axis=1), axis=1).T / len(X)
    return mu, heat


FAMILIES = {"pole": pole, "bump": bump, "layers": layers}


def greedy(U, size):
    """Indices of the snapshots that a strong greedy would take, in its order."""
    chosen, V = [], np.zeros((len(U), 0))
    for _ in range(size):
        chosen.append(int(np.argmax(np.linalg.norm(U - V @ (V.T @ U), axis=0) / np.linalg.norm(U, axis=0))))
        V = np.linalg.qr(U[:, chosen])[0]
    return chosen


def stored(folder, mu, U):
    store = SnapshotStore(folder, {"kind": "family"}, [f"a_{i}" for i in range(mu.shape[1])])
    for row, state in zip(mu, U.T, strict=True):
        store.put(row, Snapshot(state, [state.mean()]))
    return store


def noise(u):
    e = np.random.default_rng(5).standard_normal(len(u))
    return u + np.linalg.norm(u) * e / np.linalg.norm(e)


WRONG = {
    "units": lambda u: 1000.0 * u, "diverged": lambda u: 1e200 * noise(u), "zero": lambda u: 0.0 * u,
    "entry": lambda u: np.where(np.arange(len(u)) == 9, 500.0 * np.max(np.abs(u)), u)}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("k", [3, 7, 30])
def test_good_families_are_left_alone(tmp_path, family, k):
    for seed in range(3):
        mu, U = FAMILIES[family](k, seed)
        assert VeracityCheck(stored(tmp_path / f"{seed}", mu, U)).scores(mu).scores.min() > 2 * LIMIT


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_snapshots_are_left_alone(tmp_path, family):
    mu, U = FAMILIES[family](150, 1)
    check = VeracityCheck(stored(tmp_path, mu, U))
    for size in (4, 6, 9, 14) if family != "layers" else (4,):
        chosen = mu[greedy(U, size)]
        assert not check.set_aside(chosen[:-1], chosen[-1:]).any()
        assert check.scores(chosen).scores.min() > 2 * LIMIT


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_snapshots_are_found_and_no_others(tmp_path, family, wrong):
    mu, U = FAMILIES[family](30, 2)
    U[:, 11] = WRONG[wrong](U[:, 11])
    found = VeracityCheck(stored(tmp_path, mu, U)).scores(mu)
    assert np.flatnonzero(found.scores < LIMIT).tolist() == [11], found
    assert found.reasons[11]


def test_noise_as_large_as_the_state_is_found(tmp_path):
    mu, U = pole(30, 2)
    U[:, 4] = noise(U[:, 4])
    found = VeracityCheck(stored(tmp_path, mu, U)).scores(mu)
    assert np.flatnonzero(found.scores < LIMIT).tolist() == [4] and "outside the span" in found.reasons[4]


def test_an_output_far_off_is_found(tmp_path):
    mu, U = pole(30, 2)
    store = stored(tmp_path, mu, U)
    store.put(mu[7], Snapshot(U[:, 7], [1e5]))
    found = VeracityCheck(store).scores(mu)
    assert np.flatnonzero(found.scores < LIMIT).tolist() == [7]
    assert found.reasons[7] == "its output 0 is far from those of its neighbours"


def test_what_is_doubtful_is_set_aside_as_a_failure(tmp_path):
    mu, U = pole(20, 3)
    U[:, 18] *= -500.0
    store = stored(tmp_path, mu, U)
    aside = VeracityCheck(store, LIMIT).set_aside(mu[:15], mu[15:])
    assert np.flatnonzero(aside).tolist() == [3] and store.missing(mu).tolist() == [18]
    record, = store.failures()
    assert record["mu"] == mu[18].tolist() and 0.0 < record["veracity"] < LIMIT
    assert f"below 0.2: {record['reason']}; look" in record["message"] and store.damaged[0][0].exists()
    store.put(mu[18], Snapshot(U[:, 18] / -500.0, [1.0]))
    assert not VeracityCheck(store, LIMIT).set_aside(mu[:15], mu[15:]).any()


def test_what_is_in_use_is_not_judged_again(tmp_path):
    mu, U = pole(20, 3)
    U[:, 2] *= 1e4
    check = VeracityCheck(stored(tmp_path, mu, U), LIMIT)
    assert not check.set_aside(mu[:15], mu[15:]).any()
    assert check.set_aside(mu[:0], mu).tolist() == [index == 2 for index in range(20)]


def test_what_a_sketch_has_replaced_is_left_alone(tmp_path):
    mu, U = pole(20, 3)
    U[:, 17] *= 1e4
    store = stored(tmp_path / "store", mu, U)
    store.stand_in = SnapshotStore(tmp_path / "sketches", {"kind": "sketch"}, ["a_0"])
    for index in (0, 1, 19):
        store.stand_in.put(mu[index], Snapshot([1.0]))
        store.discard(mu[index])
    assert np.flatnonzero(VeracityCheck(store).set_aside(mu[:10], mu[10:])).tolist() == [7]


def test_off_reads_nothing(tmp_path):
    store = SnapshotStore(tmp_path, {"kind": "none"}, ["a"])
    assert VeracityCheck(store, 0.0).set_aside(np.empty((0, 1)), np.ones((2, 1))).tolist() == [False, False]
    with pytest.raises(StoreError):
        VeracityCheck(store).scores(np.ones((1, 1)))
    with pytest.raises(InputError, match="veracity = 1.5"):
        VeracityCheck(store, 1.5)


# -- trajectories -----------------------------------------------------------------------------------------------------

TIMES = np.linspace(0.0, 1.0, 41)


def moving(store, a, change=None):
    U = np.exp(-(((X - 0.2 - 0.5 * a * TIMES) / 0.1) ** 2)) * np.exp(-a * TIMES)
    if change is not None:
        change(U)
    writer = store.writer([a])
    writer.append(0, TIMES[:17], U[:, :17])
    writer.append(17, TIMES[17:], U[:, 17:])
    writer.finish()


def at_20(U):
    U[:, 20] += 2.0 * np.sin(40.0 * X[:, 0])


def grows(U):
    U *= np.exp(30.0 * TIMES)


@pytest.mark.parametrize(("change", "words"), [(at_20, "state at t = 0.5 stands"), (grows, "norm is")])
def test_a_trajectory_that_is_wrong_is_found_and_moved_with_its_pieces(tmp_path, change, words):
    store = SnapshotStore(tmp_path, {"kind": "moving"}, ["a"])
    mu = np.linspace(0.5, 1.5, 9)[:, None]
    for index, a in enumerate(mu[:, 0]):
        moving(store, a, change if index == 5 else None)
    found = VeracityCheck(store).scores(mu)
    assert np.flatnonzero(found.scores < LIMIT).tolist() == [5] and words in found.reasons[5], found
    assert VeracityCheck(store).set_aside(mu[:0], mu).sum() == 1 and store.writer(mu[5]).resume() is None
    assert len(list((tmp_path / "damaged").glob("*.pieces/*"))) == 1
    moving(store, mu[5, 0])
    assert VeracityCheck(store).scores(mu).scores.min() > 2 * LIMIT


SIGNALS = {
    "front": lambda t: np.tanh(200.0 * (t - 0.5)), "step": lambda t: (t > 0.52) * 1.0,
    "wave": lambda t: np.sin(60.0 * t), "still": lambda t: 0.0 * t + 1.0, "decay": lambda t: np.exp(-40.0 * t),
    "pulse": lambda t: np.where(t < 0.5, 0.0, np.exp(-30.0 * (t - 0.5))),
    "unstable": lambda t: (-1.3) ** np.arange(len(t))}


@pytest.mark.parametrize("signal", SIGNALS)
def test_steps_pulses_and_waves_are_no_spikes(signal, must_fail):
    uneven = np.cumsum(np.random.default_rng(1).uniform(0.5, 2.0, 60))

    def check(times, U):
        for block in (1, 7, 100):
            spike, _, largest = time_spike(times, [U[:, i:i + block] for i in range(0, U.shape[1], block)])
            assert spike < 3.0 and largest == pytest.approx(np.linalg.norm(U, axis=0).max())

    for times in (TIMES, uneven / uneven[-1]):
        U = np.outer([1.0, -2.0, 0.5], SIGNALS[signal](times))
        check(times, U)
        wrong = U.copy()
        wrong[:, 9] += 10.0 * np.max(np.abs(U))
        if signal != "unstable":
            must_fail(lambda states, times=times: check(times, states), wrong)


def test_noise_is_found_where_the_family_is_smooth(tmp_path):
    """Neighbours that tell a snapshot to 1e-6 or to 1e-3 tell it alike: their spread is no excuse for noise."""
    mu = np.linspace(0.1, 1.0, 24)[:, None]
    U = np.sin(3.0 * X * mu[:, 0]) / mu[:, 0]
    U[:, 7] = noise(U[:, 7])
    found = VeracityCheck(stored(tmp_path, mu, U)).scores(mu)
    assert np.flatnonzero(found.scores < LIMIT).tolist() == [7] and "outside the span" in found.reasons[7]


DOUBTFUL = '''\
import numpy as np


class Line:
    """1 / (a + x) with a thousandfold answer where a is in (1.45, 1.455)."""

    n = 40

    def __init__(self, parameters):
        self.parameters, self.spec = parameters, {}

    def solve(self, mu):
        return (1000.0 if 1.45 < mu[0] < 1.455 else 1.0) / (mu[0] + np.linspace(0.0, 1.0, self.n))
'''


def test_doubtful_validation_snapshots_are_no_truth(tmp_path):
    (tmp_path / "line.py").write_text(DOUBTFUL)
    (tmp_path / "mu.csv").write_text("a\n" + "\n".join(f"{a:.3f}" for a in np.linspace(1.0, 1.4, 12)) + "\n2.0\n1.6\n")
    study = romflow.Study.from_dict({
        "study": {"name": "line"}, "model": {"kind": "line.py:Line"}, "parameters": {"a": {"low": 1.0, "high": 2.0}},
        "sampling": {"method": "file", "path": "mu.csv"}, "reduction": {"method": "pod-regression"},
        "validation": {"size": 30}, "failures": {"veracity": 0.2, "max_failed_share": 0.5},
        "cluster": {"kind": "serial"}}, tmp_path)
    validation = study.validation_parameters()[:, 0]
    wrong = int(np.sum((validation > 1.45) & (validation < 1.455)))
    summary = study.run(tmp_path / "run").summary
    assert wrong == 1 and summary["offline"]["snapshots_failed"] == wrong
    assert summary["validation"]["size"] == 30 - wrong and summary["validation"]["max_relative_error"] < 0.1
