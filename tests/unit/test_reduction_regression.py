"""POD with regression: accuracy, the indicator, truncation, files; and the greedy sampler."""

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, InputError
from romflow.core.snapshot import Snapshot
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.sampling.greedy import Greedy
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_regression import PodRegression
from romflow.reduction.reduced_basis import ReducedBasisReductor
from tests.problems import MemoryStore, reaction_diffusion

SPACE = ParameterSpace([Parameter("a", Uniform(0.5, 2.0)), Parameter("b", Uniform(-1.0, 1.0))])
X = np.linspace(0.0, 1.0, 120)


class Box:
    """A black box with two outputs."""

    parameters, n, spec, output_names = SPACE, 120, {"model": "box"}, ("peak", "mean")

    def solve(self, mu):
        u = np.exp(-((X - 0.5 - 0.1 * mu[1]) ** 2) / (0.1 * mu[0])) * (1.0 + mu[1])
        return Snapshot(u, np.array([u.max(), u.mean()]))


@pytest.fixture(scope="module", params=["gaussian-process", "rbf", "polynomial"])
def built(request):
    fom = Box()
    mu = SPACE.sample(60, np.random.default_rng(0))
    return fom, PodRegression(tolerance=1e-4, regressor=request.param).reduce(fom, MemoryStore(fom), mu)


def compare(fom, rom):
    mu = SPACE.ppf(0.1 + 0.8 * np.random.default_rng(1).random((40, 2)))
    truth = [fom.solve(row) for row in mu]
    U = np.stack([snapshot.state for snapshot in truth], axis=1)
    outputs = np.stack([snapshot.outputs for snapshot in truth], axis=1)
    answer = rom.solve(mu)
    return answer, U, np.linalg.norm(U - rom.lift(answer.coefficients), axis=0), np.abs(outputs - answer.output)


def test_new_parameters_are_predicted_and_the_indicator_follows(built):
    answer, U, error, gaps = compare(*built)
    assert answer.kind == "indicator"
    assert error.max() <= 0.03 * np.linalg.norm(U, axis=0).max()
    assert np.mean(answer.error >= error) > 0.7
    assert np.median(answer.error / error) < 100
    assert answer.output.shape == answer.output_error.shape == (2, 40)
    assert gaps.max() < 0.05


def test_truncation_gives_up_accuracy_and_says_so(built):
    fom, rom = built
    small = rom.truncate(2)
    answer, _, error, _ = compare(fom, small)
    assert small.size == 2
    assert error.max() > compare(fom, rom)[2].max()
    assert np.median(answer.error) > np.median(rom.solve(SPACE.centre()).error)
    assert answer.output.shape == (2, 40)


def test_saved_model_answers_the_same_to_the_bit(built, tmp_path):
    _, rom = built
    loaded = romflow.load(rom.save(tmp_path / "model.h5"))
    mu = SPACE.sample(30, np.random.default_rng(2))
    a, b = rom.solve(mu), loaded.solve(mu)
    assert np.array_equal(a.output, b.output)
    assert np.array_equal(a.error, b.error)
    assert loaded.output_names == ("peak", "mean")


def test_a_batch_answers_like_its_rows(built):
    _, rom = built
    mu = SPACE.sample(5, np.random.default_rng(3))
    together, alone = rom.solve(mu), [rom.solve(row) for row in mu]
    assert np.allclose(together.coefficients, np.hstack([one.coefficients for one in alone]), rtol=1e-6, atol=1e-8)


def test_outputs_of_an_affine_model_keep_their_names():
    space = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=4)])
    fom, mu = ThermalBlock(space, blocks=[2, 2], cells=4), space.sample(8, np.random.default_rng(0))
    assert PodRegression(regressor="rbf").reduce(fom, MemoryStore(fom), mu).output_names == ("average",)


def test_too_few_snapshots_and_unknown_regressors_are_refused():
    with pytest.raises(InputError, match="3 snapshots for 2 parameters"):
        PodRegression().reduce(Box(), MemoryStore(Box()), SPACE.sample(3, np.random.default_rng(0)))
    with pytest.raises(ConfigError, match="Did you mean 'rbf'"):
        PodRegression(regressor="rfb")


def walk(sampler, fom):
    reductor, store, mu = ReducedBasisReductor(), MemoryStore(fom), np.empty((0, 1))
    rom = reductor.reduce(fom, store, mu)
    sampler.tell(rom)
    while len(batch := sampler.ask()):
        mu = np.concatenate([mu, batch])
        rom = reductor.reduce(fom, store, mu)
        sampler.tell(rom)
    return rom, mu


@pytest.mark.parametrize("options", [{}, {"adaptive": True}, {"batch": 2}, {"criterion": "relative"}])
def test_greedy_reaches_its_tolerance_on_its_pool(options):
    fom = reaction_diffusion()
    sampler = Greedy(fom.parameters, seed=1, pool=60, tolerance=1e-5, max_size=10, **options)
    rom, mu = walk(sampler, fom)
    fresh = fom.parameters.sample(200, np.random.default_rng(9))
    assert sampler.history[-1]["max_relative_estimate"] <= 1e-5
    assert rom.solve(fresh).relative_error.max() <= 3e-5
    assert 3 <= len(mu) <= 5


def test_greedy_stops_at_rounding_and_at_its_size():
    fom = reaction_diffusion()
    _, mu = walk(Greedy(fom.parameters, pool=40, tolerance=0.0, max_size=30), fom)
    assert 5 <= len(mu) < 15
    _, mu = walk(Greedy(fom.parameters, pool=40, tolerance=0.0, max_size=2), fom)
    assert len(mu) == 2


def test_greedy_continues_from_its_state_and_avoids_failed_parameters():
    fom = reaction_diffusion()
    first = Greedy(fom.parameters, pool=30, tolerance=1e-9, max_size=6, adaptive=True)
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), np.array([[1.0]]))
    first.tell(rom)
    second = Greedy(fom.parameters, pool=30, tolerance=1e-9, max_size=6, adaptive=True)
    second.restore(first.state())
    asked = first.ask()
    assert np.array_equal(asked, second.ask())
    fixed = Greedy(fom.parameters, pool=3, max_size=3)
    fixed.reject(fixed._pool[:1])
    assert not any(np.array_equal(fixed.ask(), fixed._pool[:1]) for _ in range(2))
    assert len(fixed.ask()) == 0
