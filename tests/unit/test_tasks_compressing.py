"""HAPOD by the executors: the same answer whoever works, though workers are killed; and a study that asks for it."""

import os
import textwrap
from dataclasses import replace

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, InputError, RomflowError, StoreError
from romflow.core.schema import ClusterConfig
from romflow.core.snapshot import Snapshot
from romflow.fom.build import build_model, model_identity
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import pod
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_galerkin import PodGalerkin
from romflow.reduction.pod_regression import PodRegression
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.executor import DaskExecutor, SerialExecutor
from tests.problems import MemoryStore, reaction_diffusion

SPACE = ParameterSpace([Parameter("a", Uniform(0.0, 10.0))])
MODEL = '''
import os
import signal
from pathlib import Path

import numpy as np
import scipy.sparse as sp


class Model:
    """Waves; a worker that asks for the inner product dies as often as there are marks in the folder."""

    def __init__(self, parameters, base):
        self.parameters, self.base, self.n = parameters, Path(base), 60
        self.spec = {"model": "waves"}

    @property
    def inner_product(self):
        if os.environ.get("ROMFLOW_WORKER"):
            for mark in sorted(self.base.glob("kill-*")):
                mark.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return sp.csr_array(sp.diags_array(np.linspace(1.0, 2.0, self.n)))

    def solve(self, mu):
        return np.sin(np.linspace(0.0, 1.0 + mu[0], self.n))
'''
TOLERANCE = 1e-5


class Case:
    """A store of waves, and what an executor is asked."""

    def __init__(self, folder):
        (folder / "waves.py").write_text(MODEL)
        self.folder = folder
        self.request = {"kind": "waves.py:Model", "options": {}, "parameters": SPACE.to_spec(), "base": str(folder)}
        self.model = build_model(self.request)
        self.store = SnapshotStore(folder / "store", model_identity(self.request, self.model), SPACE.columns)
        self.mu = np.linspace(0.1, 9.9, 30)[:, None]
        for row in self.mu:
            self.store.put(row, Snapshot(self.model.solve(row)))

    def compress(self, executor, **options):
        return executor.compress(self.request, self.store.folder, SPACE.columns, self.mu, TOLERANCE,
                                 **({"leaf_size": 4, "fan": 2} | options))


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def workers(count):
    return DaskExecutor(ClusterConfig(workers=count))


def test_the_executor_answers_what_the_pod_does(case):
    product = InnerProduct(case.model.inner_product)
    S = case.store.matrix(case.mu)
    found = case.compress(SerialExecutor())
    wanted = pod(S, product, TOLERANCE)
    V = found.basis
    error = np.linalg.norm(product.norm(S - V @ product.gram(V, S))) / np.linalg.norm(product.norm(S))
    assert found.error == pytest.approx(error, rel=1e-4) and error <= TOLERANCE
    assert wanted.basis.shape[1] <= V.shape[1] <= wanted.basis.shape[1] + 1
    assert found.route == "hapod" and "leaves: 8, levels: 4" in found.why
    plain = pod(S, InnerProduct(None), TOLERANCE).basis
    assert np.abs(product.gram(plain, plain) - np.eye(plain.shape[1])).max() > 0.1


@pytest.mark.parametrize("count", [1, 3])
def test_the_answer_does_not_depend_on_the_workers(case, count):
    wanted = case.compress(SerialExecutor())
    with workers(count) as executor:
        found = case.compress(executor)
        again = case.compress(executor)
    for answer in (found, again):
        assert np.abs(answer.basis - wanted.basis).max() < 1e-11
        assert np.abs(answer.singular_values - wanted.singular_values).max() < 1e-13 * wanted.singular_values[0]
        assert answer.error == pytest.approx(wanted.error, rel=1e-6)


def test_another_tree_is_another_answer_within_the_tolerance(case):
    one, other = case.compress(SerialExecutor()), case.compress(SerialExecutor(), leaf_size=15)
    assert np.abs(one.basis[:, 0] - other.basis[:, 0]).max() > 0.0
    assert max(one.error, other.error) <= TOLERANCE


def test_killed_workers_cost_their_nodes_only(case):
    wanted = case.compress(SerialExecutor())
    (case.folder / "kill-1").touch()
    with workers(2) as executor:
        found = case.compress(executor)
    assert not list(case.folder.glob("kill-*"))
    assert np.abs(found.basis - wanted.basis).max() < 1e-11


def test_workers_that_die_again_and_again_are_an_error(case):
    for number in range(40):
        (case.folder / f"kill-{number:02}").touch()
    with workers(2) as executor, pytest.raises(RomflowError, match=r"died|workers"):
        case.compress(executor)


def test_what_is_not_stored_is_an_error_here_and_there(case):
    case.mu = np.append(case.mu, [[5.5]], axis=0)
    with pytest.raises(StoreError, match="no snapshot"):
        case.compress(SerialExecutor())
    with workers(1) as executor, pytest.raises(StoreError, match="no snapshot"):
        case.compress(executor)
    case.mu = case.mu[:0]
    with pytest.raises(InputError, match="no parameters"):
        case.compress(SerialExecutor())


def test_nothing_of_it_is_left_on_the_disk(case):
    before = {path for path in case.folder.rglob("*") if "__pycache__" not in str(path)}
    with workers(2) as executor:
        case.compress(executor)
    assert {path for path in case.folder.rglob("*") if "__pycache__" not in str(path)} == before
    assert not [name for name in os.listdir(case.folder) if name.endswith((".pkl", ".pickle"))]


# -- reductors and studies -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("reductor", [PodGalerkin, PodRegression])
def test_unknown_routes_are_refused_with_the_nearest(reductor):
    with pytest.raises(ConfigError, match="Did you mean 'two-pass'"):
        reductor(compression="two-pas")


@pytest.mark.parametrize("route", ["auto", "two-pass", "sketched", "hapod"])
def test_reduced_models_say_how_their_snapshots_were_compressed(route):
    fom = reaction_diffusion()
    mu = fom.parameters.sample(12, np.random.default_rng(0))
    rom = PodGalerkin(1e-4, compression=route).reduce(fom, MemoryStore(fom), mu)
    about = rom.metadata["compression"]
    assert about["route"] == ("gram" if route == "auto" else route) and about["why"]
    assert about["error"] == rom.metadata["projection_error"] <= 1e-4


def test_a_compressor_is_asked_where_the_route_is_hapod():
    fom, calls = reaction_diffusion(), []
    mu = fom.parameters.sample(12, np.random.default_rng(0))

    def compressor(mu, tolerance, max_size):
        calls.append((len(mu), tolerance, max_size))
        found = pod(MemoryStore(fom).matrix(mu), InnerProduct(fom.inner_product), tolerance)
        return replace(found, why="asked elsewhere")

    for route in ("hapod", "two-pass"):
        reductor = PodGalerkin(1e-4, 30, compression=route)
        reductor.compression.compressor = compressor
        rom = reductor.reduce(fom, MemoryStore(fom), mu)
        assert (rom.metadata["compression"]["why"] == "asked elsewhere") == (route == "hapod")
    assert calls == [(12, 1e-4, 30)]


STUDY = """
[study]
name = "block"
[model]
kind = "thermal-block"
blocks = [2, 2]
cells = 8
[parameters.conductivity]
low = 0.1
high = 1.0
size = 4
[sampling]
method = "sobol"
size = 16
seed = 1
[reduction]
method = "{method}"
tolerance = 1e-3
compression = "{route}"
[validation]
size = 3
[cluster]
kind = "{cluster}"
workers = 2
"""


def study(folder, **words):
    path = folder / "study.toml"
    path.write_text(textwrap.dedent(STUDY.format(**({"method": "pod-galerkin", "cluster": "serial"} | words))))
    return romflow.Study.from_file(path)


@pytest.mark.long
def test_a_study_runs_the_tree_on_its_cluster_and_the_report_says_so(tmp_path):
    result = study(tmp_path, route="hapod", cluster="local").run(tmp_path / "run")
    about = result.rom.metadata["compression"]
    assert about["route"] == "hapod" and "hierarchical by tasks" in about["why"] and about["error"] <= 1e-3
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "route 'hapod'" in page.replace("&#39;", "'")


@pytest.mark.parametrize("method", ["pod-galerkin", "pod-regression"])
def test_a_study_with_an_unknown_route_is_refused_by_its_check(tmp_path, method):
    with pytest.raises(ConfigError, match="Did you mean 'hapod'"):
        study(tmp_path, route="hapodd", method=method).plan()
    assert study(tmp_path, route="sketched", method=method).plan().name == "block"
