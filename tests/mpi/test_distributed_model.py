"""The MPI job of a split model on 1, 2 and 4 ranks: solutions, representatives, and errors that all ranks share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.mpi_environment import without_mpi
from romflow.fom.build import build_model, model_identity
from romflow.fom.distributed.folder import read_numbering
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.store.part_arrays import read_part_arrays, write_part_arrays
from romflow.store.snapshots import SnapshotStore

pytest.importorskip("mpi4py")

# Two ranks walk in the default tests with the studies on ranks, and here with the long ones.
RANKS = (1, pytest.param(2, marks=pytest.mark.long), 4)
SPACE = ParameterSpace([Parameter("k", Uniform(0.1, 10.0), size=4)])
MODELS = {
    "block": ("thermal-block", {"blocks": [2, 2], "cells": 20}, {"parts": 5, "subdomains": 10}),
    "beam": ("linear-elasticity", {"cells": [8, 4, 4], "element": "tet"}, {"parts": 4}),
}
GOOD, LATER = [[0.5, 1.0, 2.0, 9.0], [0.4, 2.0, 3.0, 1.0]], [0.7, 0.7, 8.0, 0.3]
OUTSIDE = [0.5, 1.0, 2.0, 11.0]

PROGRAM = """
import json, resource, sys
from pathlib import Path
from romflow.core.errors import RomflowError
from romflow.dd.communicator import world
from romflow.fom.distributed import job
from romflow.fom.distributed.terms import RankTerms

folder, comm = Path(sys.argv[1]), world()
last = comm.rank == comm.size - 1
outcome = {}

def attempt(name, **changes):
    told = {**json.loads((folder / "block.json").read_text()), **changes}
    try:
        job.run(comm, told)
        outcome[name] = ""
    except RomflowError as error:
        outcome[name] = f"{type(error).__name__}: {error}"

def refuse(self, coefficients, whole=RankTerms.matrix):
    if abs(coefficients[0] - RAISES) < 1e-12:
        raise ValueError("this rank has had enough")
    return whole(self, coefficients)

for name in ("block", "beam", "riesz"):
    job.main(str(folder / f"{name}.json"))

RAISES = 0.123
whole, RankTerms.matrix = RankTerms.matrix, refuse if last else RankTerms.matrix
attempt("raises", mu=[[RAISES, 1.0, 1.0, 1.0], LATER])
RankTerms.matrix = whole

soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
if last:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
attempt("full", mu=[[3.0, 3.0, 3.0, 3.0]])
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

attempt("columns", columns=["a"])
part = folder / "store-block" / "decomposition" / "part-0004.h5"
comm.Barrier()
if comm.rank == 0:
    part.rename(part.with_suffix(".away"))
comm.Barrier()
attempt("missing", mu=[[4.0, 3.0, 3.0, 3.0]])
comm.Barrier()
if comm.rank == 0:
    part.with_suffix(".away").rename(part)
try:
    (folder / f"size-{comm.rank}.json").write_text(json.dumps({"mode": "solve", "ranks": comm.size + 1}))
    job.main(str(folder / f"size-{comm.rank}.json"))
except RomflowError as error:
    outcome["size"] = f"{type(error).__name__}: {error}"
(folder / f"outcome-{comm.rank}.json").write_text(json.dumps(outcome))
""".replace("LATER", repr(LATER))


def request(name, ranks=None):
    kind, options, solver = MODELS[name]
    wish = {"kind": kind, "options": options, "parameters": SPACE.to_spec(), "base": "."}
    return wish if ranks is None else {**wish, "ranks": ranks, "solver": {"method": "schwarz", **solver}}


def prepared(folder, ranks):
    """The files of the jobs, and of the functionals of which representatives are wanted."""
    for name in MODELS:
        wish = request(name, ranks)
        model = build_model(wish)
        store = SnapshotStore(folder / f"store-{name}", model_identity(wish, model), SPACE.columns)
        job = {"request": wish, "store": str(store.folder), "columns": list(SPACE.columns), "ranks": ranks}
        solve = {**job, "mode": "solve", "mu": [GOOD[0], OUTSIDE, GOOD[1]]}
        (folder / f"{name}.json").write_text(json.dumps(solve))
    index = model.decompose(store.folder)
    for i in range(index.parts):
        part = model.part_operators(store.folder, i)
        some = part.rhs[:, [0, 0]] * [1.0, 2.0] + np.outer(part.product @ np.sin(part.dofs), [0.0, 1.0])
        write_part_arrays(folder / "functionals", i, {"values": some})
    riesz = {**job, "mode": "riesz", "columns": str(folder / "functionals"), "out": str(folder / "representatives"),
             "tolerance": 1e-11}
    (folder / "riesz.json").write_text(json.dumps(riesz))


class Runs(dict):
    """Ranks -> folder of a run, its lines, and what each rank says at the end; run when it is first asked for."""

    def __init__(self, factory):
        super().__init__()
        self.factory = factory

    def __missing__(self, ranks):
        folder = self.factory.mktemp(f"ranks-{ranks}")
        prepared(folder, ranks)
        (folder / "program.py").write_text(PROGRAM)
        words = [Path(sys.executable).parent / "mpiexec", "-n", ranks, sys.executable, "-m", "mpi4py",
                 folder / "program.py", folder]
        environment = {**without_mpi(os.environ), "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1", "OMP_NUM_THREADS": "1",
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        answer = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=240, check=False,
                                env=environment)
        assert answer.returncode == 0, answer.stderr[-3000:]
        lines = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
        said = [json.loads((folder / f"outcome-{rank}.json").read_text()) for rank in range(ranks)]
        self[ranks] = folder, lines, said
        return self[ranks]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory)


@pytest.fixture(scope="module")
def wholes():
    return {name: build_model(request(name)) for name in MODELS}


def states(folder, name):
    store = SnapshotStore.open(folder / f"store-{name}")
    return store.matrix(GOOD), store.outputs(GOOD)


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("name", MODELS)
def test_ranks_solve_what_one_process_solves(runs, wholes, name, ranks, must_fail):
    U, outputs = states(runs[ranks][0], name)
    natural = read_numbering(runs[ranks][0] / f"store-{name}")
    exact = [wholes[name].solve(mu) for mu in GOOD]
    expected = np.column_stack([one.state[natural] for one in exact])

    def check(found):
        assert np.linalg.norm(found - expected) <= 1e-7 * np.linalg.norm(expected)

    check(U)
    must_fail(check, U * (1.0 + 1e-6), U[:, ::-1], np.column_stack([one.state for one in exact]) + 1e-6 * U)
    assert np.allclose(outputs, np.column_stack([one.outputs for one in exact]), rtol=1e-7)


@pytest.mark.parametrize("ranks", RANKS[1:])
@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_ranks_changes_rounding_alone(runs, name, ranks, must_fail):
    (U, s), (V, t) = states(runs[1][0], name), states(runs[ranks][0], name)

    def check(found):
        assert np.linalg.norm(found - U) <= 1e-10 * np.linalg.norm(U)

    check(V)
    must_fail(check, V * (1.0 + 1e-9), V * (1.0 - 1e-9))
    assert np.allclose(s, t, rtol=1e-10, atol=0)
    assert SnapshotStore.open(runs[ranks][0] / f"store-{name}").key(LATER) == SnapshotStore.open(
        runs[1][0] / f"store-{name}").key(LATER)


@pytest.mark.parametrize("ranks", RANKS)
def test_lines_and_facts_say_what_became_of_each_parameter(runs, ranks):
    folder, lines, _ = runs[ranks]
    block = lines[:next(i for i, line in enumerate(lines) if "end" in line)]
    assert [line["begin"] for line in block if "begin" in line] == [0, 1, 2]
    told = [line for line in block if "index" in line]
    assert [line["status"] for line in told] == ["solved", "failed", "solved"]
    assert "outside" in told[1]["message"] and told[1]["report"]["error"] == "ParameterError"
    store = SnapshotStore.open(folder / "store-block")
    assert [told[0]["key"], told[2]["key"]] == [store.key(mu) for mu in GOOD] and told[0]["seconds"] > 0.0
    assert store.facts(GOOD, "ranks") == [ranks, ranks] and (store.seconds(GOOD) > 0.0).all()
    assert max(store.facts(GOOD, "relative_residual")) <= 1e-9
    files = list(store.path(told[0]["key"]).with_suffix(".parts").iterdir())
    assert len(files) == ranks
    state = store.get(GOOD[0]).state
    model = build_model(request("block", ranks))
    for i in range(5):
        dofs = model.part_operators(store.folder, i).dofs
        assert np.array_equal(store.part_matrix(GOOD[:1], i)[:, 0], state[dofs])


@pytest.mark.parametrize("ranks", RANKS)
def test_representatives_solve_the_product_of_the_whole(runs, wholes, ranks, must_fail):
    folder, lines, _ = runs[ranks]
    whole, model = wholes["beam"], build_model(request("beam", ranks))
    natural = read_numbering(folder / "store-beam")
    X = sp.csr_array(whole.inner_product)[natural][:, natural]
    C = whole.rhs.vectors[natural] * [1.0, 2.0] + X @ np.outer(np.sin(np.arange(whole.n)), [0.0, 1.0])
    Z = np.full(C.shape, np.nan)
    for i in range(model.parts):
        dofs = model.part_operators(folder / "store-beam", i).dofs
        values = read_part_arrays(folder / "representatives", i)[0]["values"]
        assert np.array_equal(Z[dofs][~np.isnan(Z[dofs])], values[~np.isnan(Z[dofs])])
        Z[dofs] = values

    def check(found):
        assert (np.linalg.norm(C - X @ found, axis=0) <= 2e-11 * np.linalg.norm(C, axis=0)).all()

    check(Z)
    must_fail(check, Z * (1.0 + 1e-9), Z[:, ::-1])
    report = [line for line in lines if "end" in line][2]["report"]
    assert 0.0 < report["relative_residual"] <= 1e-11 and report["seconds"] > 0.0


@pytest.mark.parametrize("ranks", RANKS)
def test_all_ranks_raise_the_same_error_or_none(runs, ranks):
    folder, lines, said = runs[ranks]
    assert all(one == said[0] for one in said)
    outcome, last = said[0], f"rank {ranks - 1} of {ranks}"
    assert outcome["raises"] == ""
    failed = [line for line in lines if line.get("status") == "failed"][-1]
    assert last in failed["message"] and "this rank has had enough" in failed["message"]
    assert outcome["full"].startswith(f"StoreError: {last}, writing its parts: cannot write")
    assert f"StoreError: {last}, reading its parts" in outcome["missing"] and "part-0004" in outcome["missing"]
    assert "the job has the columns a and the store k_0" in outcome["columns"]
    assert outcome["size"].startswith(f"InputError: rank 0 of {ranks}, reading the job: the job has {ranks} rank(s)")
    store = SnapshotStore.open(folder / "store-block")
    assert store.missing([LATER, [3.0] * 4, *GOOD]).tolist() == [1] and store.damaged == []
    assert len(list(store.folder.glob("snapshots/??/*.parts"))) == len(store) == 3
