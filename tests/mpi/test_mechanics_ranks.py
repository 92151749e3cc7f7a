"""Histories of mechanics on 1, 2 and 4 ranks: those of one process, also after a kill; single steps; failures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError
from romflow.core.mpi_environment import without_mpi
from romflow.dd.communicator import Single
from romflow.fom.build import build_model, model_identity
from romflow.fom.mechanics.ranks.history import RankHistory
from romflow.fom.mechanics.ranks.job import run_history
from romflow.materials.reference import REFERENCE
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.distributed.runner import is_split
from romflow.reduction.mechanics.files import WorkFiles
from romflow.reduction.mechanics.full_step import full_order_step
from romflow.reduction.mechanics.rank_step import step_job
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.serial import SerialExecutor

RANKS = (1, 2, 4)
SPACE = ParameterSpace([Parameter("scale", Uniform(0.5, 9.0))])
MU, HOT, LATER = [1.5], [8.0], [1.2]
OUTPUTS = [
    {"name": "end", "type": "displacement", "on": "x = max", "component": "x"},
    {"name": "worst", "type": "field", "field": "accumulated_plastic_strain", "measure": "max"},
    {"name": "mean", "type": "field", "field": "mises", "measure": "mean"},
    {"name": "held", "type": "reaction", "on": "x = 0", "component": "x"},
]

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from romflow.core.errors import RomflowError
from romflow.dd.communicator import world
from romflow.fom.distributed import job
from romflow.fom.mechanics.ranks.history import RankHistory
from romflow.fom.mechanics.ranks.job import run_history
from romflow.materials.viscoplastic import Viscoplastic
from romflow.store.trajectory_writer import TrajectoryWriter

folder, comm = Path(sys.argv[1]), world()
last, outcome = comm.rank == comm.size - 1, {}
for name in ("solve", "step"):
    job.main(str(folder / f"{name}.json"))

told = json.loads((folder / "solve.json").read_text())
body = RankHistory(comm, told["request"]).body
ones = np.ones(body.dofs.size)
outcome["dofs"] = body.sums.dot(ones, ones)
outcome["nodes"] = body.sums.dot(ones[::3], ones[::3])
outcome["points"] = body.sums.points(np.ones(body.points.size))
outcome["overlapped"] = float(body.layout.sums(np.array([ones @ ones] * len(body.layout.parts))))
gathered = body.gather(body.dofs.astype(float))
outcome["order"] = gathered is None or bool(np.array_equal(gathered, np.arange(body.n)))

def attempt(name, cls, method, error):
    whole = getattr(cls, method)
    def refuse(self, *arguments, **options):
        # The look at the law's constants takes two points.
        if cls is Viscoplastic and arguments[0].shape[1] == 2:
            return whole(self, *arguments, **options)
        raise error
    if last if cls is Viscoplastic else comm.rank == 0:
        setattr(cls, method, refuse)
    try:
        job.run(comm, {**told, "mu": [LATER]})
        outcome[name] = ""
    except RomflowError as failure:
        outcome[name] = f"{type(failure).__name__}: {failure}"
    setattr(cls, method, whole)

from romflow.core.errors import StoreError
attempt("raises", Viscoplastic, "integrate", ValueError("this rank has had enough"))
attempt("full", TrajectoryWriter, "append", StoreError("no space left"))
(folder / f"outcome-{comm.rank}.json").write_text(json.dumps(outcome))
""".replace("LATER", repr(LATER))

KILLER = """
import os, signal
from pathlib import Path
from romflow.fom.mechanics.ranks import history
from romflow.materials.viscoplastic import Viscoplastic
from romflow.store import trajectory_writer

history._SECONDS = trajectory_writer.PIECE_SECONDS = 0.0
FLAG = Path(__file__).with_suffix(".flag")

class Killer(Viscoplastic):
    calls = 0

    def integrate(self, *arguments, **options):
        Killer.calls += 1
        if FLAG.exists() and Killer.calls > 14:
            FLAG.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().integrate(*arguments, **options)
"""


def request(ranks=None, law=REFERENCE, base=".", **solver):
    options = {
        "law": law, "mesh": {"shape": "box", "lengths": [4.0, 1.0, 1.0], "cells": [6, 2, 2]}, "element": "tet10",
        "supports": [{"on": "x = 0"}, {"on": "x = max", "components": ["z"], "value": "0.0005 * t * scale"}],
        "loads": [{"type": "traction", "on": "x = max", "value": [1, 0, 0], "amplitude": "30 * t * scale"}],
        "temperature": ["300 + 20 * x * t * scale"], "newton": {"tolerance": 1e-10}, "outputs": OUTPUTS}
    wish = {"kind": "mechanics", "options": options, "parameters": SPACE.to_spec(), "base": str(base),
            "time": {"end": 3.0, "steps": 4}}
    return wish if ranks is None else {**wish, "ranks": ranks, "solver": {"method": "auto", **solver}}


@pytest.fixture(scope="module")
def alone():
    """The model in one process, its displacements and outputs."""
    fom = build_model(request())
    pieces = list(fom.march(np.array(MU)))
    return fom, np.hstack([p.states for p in pieces]), np.hstack([p.series for p in pieces])


def stepped(folder, fom, states):
    """Arguments of the step to the last time after the history of one process, whose modes are its displacements."""
    files = WorkFiles(folder)
    path = np.eye(states.shape[1])[:-1]
    return {"folder": str(folder), "mu": MU, "times": fom.times.tolist(), "basis": files.put(states),
            "coefficients": files.put(path), "start": "", "out": "step"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, alone):
    """Ranks -> folder of a run, its lines, and what each rank says at the end."""
    pytest.importorskip("mpi4py")
    found = {}
    for ranks in RANKS:
        folder, wish = tmp_path_factory.mktemp(f"ranks-{ranks}"), request(ranks)
        store = SnapshotStore(folder / "store", model_identity(wish, build_model(wish)), SPACE.columns)
        job = {"request": wish, "store": str(store.folder), "columns": list(SPACE.columns), "ranks": ranks}
        (folder / "solve.json").write_text(json.dumps({**job, "mode": "solve", "mu": [MU, HOT]}))
        (folder / "step.json").write_text(json.dumps({**job, **step_job(stepped(folder / "work", *alone[:2]))}))
        (folder / "program.py").write_text(PROGRAM)
        words = [Path(sys.executable).parent / "mpiexec", "-n", ranks, sys.executable, "-m", "mpi4py",
                 folder / "program.py", folder]
        environment = {**without_mpi(os.environ), "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1", "OMP_NUM_THREADS": "1",
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        answer = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=240, check=False,
                                env=environment)
        assert answer.returncode == 0, answer.stderr[-3000:]
        lines = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
        found[ranks] = folder, lines, [json.loads((folder / f"outcome-{rank}.json").read_text())
                                       for rank in range(ranks)]
    return found


def history(folder):
    trajectory = SnapshotStore.open(folder / "store").trajectory(MU)
    return np.hstack([states for _, states in trajectory.pieces()]), trajectory.series


@pytest.mark.long
@pytest.mark.parametrize("ranks", RANKS)
def test_ranks_march_what_one_process_marches(runs, alone, ranks, must_fail):
    _, U, series = alone
    found, outputs = history(runs[ranks][0])

    def check(states):
        assert np.abs(states - U).max() <= 1e-8 * np.abs(U).max()

    check(found)
    must_fail(check, found * (1.0 + 1e-7), np.roll(found, 3, axis=0), found[:, ::-1])
    assert np.abs(outputs - series).max(axis=1) == pytest.approx(0.0, abs=1e-7 * np.abs(series).max())
    assert series[1, -1] > 1e-3


@pytest.mark.long
@pytest.mark.parametrize("ranks", RANKS[1:])
def test_the_number_of_ranks_changes_rounding_alone(runs, ranks, must_fail):
    (U, s), (V, t) = history(runs[1][0]), history(runs[ranks][0])

    def check(states):
        assert np.abs(states - U).max() <= 1e-11 * np.abs(U).max()

    check(V)
    must_fail(check, V * (1.0 + 1e-10))
    assert np.allclose(s, t, rtol=1e-9, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("ranks", RANKS)
def test_a_step_on_ranks_is_that_of_the_kernel(runs, alone, ranks, tmp_path):
    fom, U, _ = alone
    told = stepped(tmp_path, fom, U)
    full_order_step(fom, tmp_path, 0, **told)
    one, many = WorkFiles(tmp_path), WorkFiles(runs[ranks][0] / "work")
    for name in ("displacement", "stress", "state"):
        known, found = one.read(f"step-{name}"), many.read(f"step-{name}")
        assert found.shape == known.shape
        assert np.abs(found - known).max() <= 1e-8 * np.abs(known).max()
    assert step_job({**told, "folder": str(runs[ranks][0] / "work")}) is None


@pytest.mark.long
@pytest.mark.parametrize("ranks", RANKS)
def test_sums_count_each_dof_and_point_once(runs, alone, ranks):
    fom = alone[0]
    for said in runs[ranks][2]:
        assert (said["dofs"], said["nodes"], said["points"]) == (fom.n, fom.n / 3, fom.mechanics.space.G)
        assert said["overlapped"] > fom.n and said["order"]


@pytest.mark.long
@pytest.mark.parametrize("ranks", RANKS)
def test_what_fails_on_one_rank_fails_on_all(runs, ranks):
    _, lines, outcomes = runs[ranks]
    records = [line for line in lines if "index" in line]
    assert [record["status"] for record in records[:3]] == ["solved", "failed", "failed"]
    assert "temperature_range" in records[1]["message"] and records[1]["report"]["error"] == "ParameterError"
    assert f"rank {ranks - 1} of {ranks}, integrating the law" in records[2]["message"]
    for said in outcomes:
        assert said["raises"] == "" and said["full"].startswith("StoreError: rank 0 of")


@pytest.mark.long
def test_a_killed_rank_is_a_failed_record_and_the_history_goes_on(tmp_path, alone):
    pytest.importorskip("mpi4py")
    (tmp_path / "law.py").write_text(KILLER)
    (tmp_path / "law.flag").touch()
    wish = request(2, {**REFERENCE, "kind": "law.py:Killer"}, tmp_path)
    store = SnapshotStore(tmp_path / "store", model_identity(wish, build_model(wish)), SPACE.columns)
    record = SerialExecutor().solve(wish, store.folder, SPACE.columns, [MU])[0]
    assert record.status == "failed" and record.report["exit_code"] == -9 and store.failure(MU) is not None
    start, checkpoint = store.writer(MU).resume()
    fom = alone[0]
    assert 0 < start < 5 and checkpoint["state"].shape[1] == fom.mechanics.space.G
    # One process goes on from the checkpoint of two.
    rest = np.hstack([piece.states for piece in fom.march(np.array(MU), (start, checkpoint))])
    assert np.abs(rest - alone[1][:, start:]).max() <= 1e-8 * np.abs(alone[1]).max()
    record = SerialExecutor().solve(wish, store.folder, SPACE.columns, [MU])[0]
    U = np.hstack([states for _, states in store.trajectory(MU).pieces()])
    assert record.status == "solved" and np.abs(U - alone[1]).max() <= 1e-8 * np.abs(alone[1]).max()


def test_one_rank_without_mpi_goes_on_from_a_checkpoint_to_the_same_bits(monkeypatch, alone, must_fail):
    monkeypatch.setattr("romflow.fom.mechanics.ranks.history._SECONDS", 0.0)
    wish = request(1, subdomains=2)
    pieces = list(RankHistory(Single(), wish).march(np.array(MU)))
    assert [piece.start for piece in pieces] == [0, 2, 3, 4]
    U = np.hstack([piece.states for piece in pieces])

    def check(states):
        assert np.abs(states - alone[1]).max() <= 1e-8 * np.abs(alone[1]).max()

    check(U)
    must_fail(check, U * (1.0 + 1e-7), np.roll(U, 3, axis=0))
    resumed = list(RankHistory(Single(), wish).march(np.array(MU), (3, pieces[1].checkpoint)))
    assert np.array_equal(np.hstack([piece.states for piece in resumed]), U[:, 3:])
    without = {name: values for name, values in pieces[1].checkpoint.items() if not name.startswith("factor")}
    other = np.hstack([piece.states for piece in RankHistory(Single(), wish).march(np.array(MU), (3, without))])
    check(np.hstack([U[:, :3], other]))
    assert not np.array_equal(other, U[:, 3:])


def test_identity_and_reduction_know_nothing_of_ranks():
    split, whole = build_model(request(2)), build_model(request())
    assert not is_split(split) and model_identity(request(2), split) == model_identity(request(), whole)


@pytest.mark.parametrize(("changes", "words"), [
    ({"ranks": 0}, "whole number from 1"),
    ({"solver": {"method": "petsc"}}, "changing tangents"),
    ({"kind": "calculix"}, "only kind = \"mechanics\" marches on MPI ranks"),
    ({"kind": "imported"}, "only kind = \"mechanics\" marches on MPI ranks"),
    ({"kind": "thermal-block"}, "stationary"),
])
def test_wrong_wishes_are_refused_before_the_run(changes, words):
    with pytest.raises(ConfigError, match=words):
        build_model({**request(2), **changes})


@pytest.mark.long
def test_more_ranks_than_parts_is_an_error(tmp_path):
    pytest.importorskip("mpi4py")
    wish = request(2, parts=1)
    store = SnapshotStore(tmp_path, model_identity(wish, build_model(wish)), SPACE.columns)
    with pytest.raises(InputError, match="at most one rank a part"):
        SerialExecutor().solve(wish, store.folder, SPACE.columns, [MU])


def test_a_full_order_step_of_an_adaptive_run_is_a_job_where_there_are_ranks(tmp_path, alone, monkeypatch):
    asked = []

    def mpi(self, wish, store_folder, job):
        asked.append(job["mode"])
        run_history(Single(), {**job, "request": wish})

    monkeypatch.setattr(SerialExecutor, "mpi", mpi)
    told, one = stepped(tmp_path / "ranks", *alone[:2]), stepped(tmp_path / "one", *alone[:2])
    for _ in range(2):
        assert SerialExecutor().parts("mechanics-step", request(2), tmp_path, told, [0])[0]["made"] == 0
    assert SerialExecutor().parts("mechanics-step", request(), tmp_path, one, [0])[0]["made"] == 1
    assert asked == ["step"]
    known, found = (WorkFiles(tmp_path / name).read("step-state") for name in ("one", "ranks"))
    assert np.abs(found - known).max() <= 1e-8 * np.abs(known).max()
