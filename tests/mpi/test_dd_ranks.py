"""Layouts, exchanges, coarse operators and Schwarz solvers on 1, 2 and 4 ranks: equal to one process, also in scale."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from romflow.core.mpi_environment import without_mpi

pytest.importorskip("mpi4py")

# Two ranks walk in the default tests with the studies on ranks, and here with the long ones.
RANKS = (1, pytest.param(2, marks=pytest.mark.long), 4)
TIME_LIMIT = 120

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
import scipy.sparse as sp
import skfem
from romflow.core.errors import InputError, RomflowError
from romflow.dd import geneo
from romflow.dd.communicator import agreed, check_size, gathered, swapped, world
from romflow.dd.decomposition import decompose
from romflow.dd.layout import Layout, assemble, parts_of_rank
from romflow.dd.operator import SplitMatrix
from romflow.dd.solver import SchwarzSolver

comm, folder = world(), Path(sys.argv[1])
geneo._SCALAR = 40  # so that subdomains of this size are aggregated
line = np.linspace(0.0, 1.0, 7)
mesh = skfem.MeshTet.init_tensor(line, line, line)
free = mesh.p[0] > 1e-12
number = np.where(free, np.cumsum(free) - 1, -1)
centre = mesh.p[:, mesh.t].mean(axis=1)
found = decompose(number[mesh.t.T], mesh.t.T, centre.T, parts=5, subdomains=10, overlap=1)
layout = Layout(comm, [found.part(i) for i in parts_of_rank(5, comm.size, comm.rank)])
edges = np.linalg.inv((mesh.p[:, mesh.t][:, 1:] - mesh.p[:, mesh.t][:, :1]).transpose(2, 0, 1))
G = np.concatenate([-edges.sum(axis=1, keepdims=True), edges], axis=1)
k = np.where((np.floor(3 * centre[1]) % 2 == 1) & (np.floor(3 * centre[2]) % 2 == 1), 1e4, 1.0)
K = np.einsum("eai,ebi,e->eab", G, G, k / 6.0 * np.abs(np.linalg.det(np.linalg.inv(edges))))
K = K[layout.cells]
A = assemble(layout.cell_dofs, K, layout.local)

def neumann(i):
    one = layout.subdomains[i]
    place = np.full(layout.local + 1, -1)
    place[one.dofs] = np.arange(one.dofs.size)
    return assemble(place[layout.cell_dofs[one.cells]], K[one.cells], one.dofs.size)

def whole(local):
    answer = np.empty((found.n, *local.shape[1:]))
    answer[np.concatenate(gathered(comm, layout.dofs[:layout.owned]))] = \\
        np.concatenate(gathered(comm, np.ascontiguousarray(local[:layout.owned])))
    return answer

out = {"n": found.n}
field = np.stack([np.sin(layout.dofs + 0.5), 1.0 / (1.0 + layout.dofs)], axis=1)
own = field[:layout.owned]
out["forward"] = bool(np.array_equal(layout.exchange.forward(own), field))
out["wrong_forward"] = bool(np.array_equal(layout.exchange.forward(own[::-1]), field)) and layout.local > layout.owned
cut = layout.exchange.add(np.ones((layout.local, 1)))[:layout.owned]
out["copies"] = float(layout.dots((cut, np.ones_like(cut)))[0][0])
out["locals"] = float(sum(a.sum() for a in gathered(comm, np.array([float(layout.local)]))))
rng = np.random.default_rng(comm.rank)
Z = sp.random_array((layout.local, 7), density=0.2, rng=rng, format="csr")
dense = layout.exchange.add(Z.toarray())[:layout.owned]
summed = layout.exchange.add_rows(Z)
out["add_rows"] = bool(np.allclose(summed.toarray(), dense))
out["forward_rows"] = bool(np.allclose(layout.exchange.forward_rows(summed).toarray(), layout.exchange.forward(dense)))
out["swapped"] = [piece.tolist() for piece in swapped(comm, [np.full(r + 1, 10 * comm.rank + r)
                                                             for r in range(comm.size)])]
product = SplitMatrix(layout, A) @ own
arrays = {"natural": whole(layout.natural[:layout.owned, None].astype(float)), "product": whole(product),
          "field": whole(own), "multiplicity": whole(layout.multiplicity()[:layout.owned, None]),
          "dot": layout.dot(own, product), "norm": layout.norm(own)}
b = np.stack([np.ones(layout.owned), np.sin(layout.dofs[:layout.owned])], axis=1)
kinds = {"ras": {}, "asm": {"one_level": "asm"}, "oras": {"one_level": "oras", "eigensolver": "exact"},
         "nicolaides": {"coarse": "nicolaides"}, "loose": {"tolerance": 1e-2}}
for name, options in kinds.items():
    solver = SchwarzSolver(layout, symmetric=True, **{"tolerance": 1e-9, **options})
    solver.setup(A, neumann)
    arrays[name] = whole(solver.solve(b))
    out[name] = [solver.report["iterations"], solver.report["coarse_size"], solver.report["subdomains"]]
    if name == "ras":
        for scale in (1.5, 1.6):
            solver.update(A + sp.diags_array(scale * A.diagonal() * (layout.dofs % 3)), neumann)
            arrays[f"sweep-{scale}"] = whole(solver.solve(b))
        out["rebuilt"] = solver.report["rebuilt"]

def attempt(name, call):
    try:
        call()
        out[name] = ""
    except RomflowError as error:
        out[name] = f"{type(error).__name__}: {error}"

last = comm.rank == comm.size - 1

def breaks(i):
    if last:
        raise ValueError("no such cells")
    return neumann(i)

def singular():
    B = A.copy()
    if last:
        B.data[:] = 0.0
    SchwarzSolver(layout, symmetric=True).setup(B, neumann)

def late():
    solver = SchwarzSolver(layout, symmetric=True, coarse="none", max_iterations=2)
    solver.setup(A, neumann)
    solver.solve(b)

def infinite():
    solver = SchwarzSolver(layout, symmetric=True)
    solver.setup(A, neumann)
    solver.solve(np.where(last, np.nan, b))

def broken_factor():
    solver = SchwarzSolver(layout, symmetric=True, coarse="nicolaides")
    solver.setup(A, neumann)
    if last:
        solver._one.factors[0].solve = lambda B: B * np.nan
    solver.solve(b)

attempt("raises", lambda: SchwarzSolver(layout, symmetric=True).setup(A, breaks))
attempt("singular", singular)
attempt("late", late)
attempt("infinite", infinite)
attempt("broken", broken_factor)
attempt("parts", lambda: Layout(comm, [found.part(i) for i in range(4)] if last else
                                [found.part(i) for i in layout.parts]))
attempt("size", lambda: check_size(comm, 3))
(folder / f"said-{comm.rank}.json").write_text(json.dumps(out))
if comm.rank == 0:
    np.savez(folder / "arrays.npz", **arrays)
"""


class Runs(dict[int, tuple[dict[str, np.ndarray], list[dict]]]):
    """Ranks -> arrays of rank 0, and what each rank says; run when it is first asked for."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        super().__init__()
        self.factory = factory

    def __missing__(self, ranks: int) -> tuple[dict[str, np.ndarray], list[dict]]:
        folder = self.factory.mktemp(f"ranks-{ranks}")
        (folder / "program.py").write_text(PROGRAM)
        words = [Path(sys.executable).parent / "mpiexec", "-n", ranks, sys.executable, "-m", "mpi4py",
                 folder / "program.py", folder]
        environment = {**without_mpi(os.environ), "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1", "OMP_NUM_THREADS": "1",
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        answer = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=TIME_LIMIT, check=False,
                                env=environment)
        assert answer.returncode == 0, answer.stderr[-3000:]
        said = [json.loads((folder / f"said-{rank}.json").read_text()) for rank in range(ranks)]
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            self[ranks] = dict(file), said
        return self[ranks]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory)


@pytest.mark.parametrize("ranks", RANKS)
def test_exchanges_move_what_they_should(runs, ranks: int) -> None:
    for rank, said in enumerate(runs[ranks][1]):
        assert said["forward"]
        assert not said["wrong_forward"]
        assert said["add_rows"]
        assert said["forward_rows"]
        assert said["copies"] == said["locals"]
        assert said["swapped"] == [[10 * other + rank] * (rank + 1) for other in range(ranks)]
    assert runs[ranks][1][0]["copies"] >= runs[ranks][1][0]["n"]
    assert (runs[ranks][1][0]["copies"] > runs[ranks][1][0]["n"]) == (ranks > 1)


@pytest.mark.parametrize("ranks", RANKS[1:])
def test_ranks_agree_with_one_process(runs, ranks: int, must_fail: Callable[..., None]) -> None:
    one, many = runs[1][0], runs[ranks][0]
    assert np.array_equal(one["natural"], many["natural"])
    assert np.array_equal(one["multiplicity"], many["multiplicity"])
    assert one["multiplicity"].max() > 2
    # The loose solution stops long before it is unique: it tells whether all steps were the same.
    solutions = ("ras", "asm", "oras", "nicolaides", "sweep-1.5", "sweep-1.6", "loose")
    for name in ("product", "dot", "norm", *solutions):
        def check(found: np.ndarray, name: str = name) -> None:
            assert np.linalg.norm(found - one[name]) <= 1e-10 * np.linalg.norm(one[name])

        check(many[name])
        must_fail(check, many[name] * (1 + 1e-9), many[name] * (1 - 1e-9))
    for name in ("ras", "asm", "oras", "nicolaides", "loose"):
        assert all(said[name] == runs[1][1][0][name] for said in runs[ranks][1])
    assert not any(said["rebuilt"] for said in runs[ranks][1])


def test_one_process_is_right(runs) -> None:
    arrays, said = runs[1]
    assert np.allclose(arrays["dot"], arrays["field"].T @ arrays["product"], rtol=1e-12)
    assert np.allclose(arrays["norm"], np.linalg.norm(arrays["field"], axis=0), rtol=1e-12)
    for name in ("asm", "oras", "nicolaides"):
        assert np.allclose(arrays[name], arrays["ras"], rtol=1e-4, atol=1e-6 * np.abs(arrays["ras"]).max())
    assert np.linalg.norm(arrays["loose"] - arrays["ras"]) > 1e-6 * np.linalg.norm(arrays["ras"])
    assert said[0]["ras"][0] <= said[0]["nicolaides"][0]
    assert said[0]["ras"][1] >= 5
    assert said[0]["nicolaides"][1] == 10


@pytest.mark.parametrize("ranks", RANKS)
def test_all_ranks_raise_the_same_error(runs, ranks: int) -> None:
    last = f"rank {ranks - 1} of {ranks}"
    starts = {"raises": f"SolveFailed: {last}, building its coarse space failed with ValueError: no such cells",
              "singular": f"SolveFailed: {last}, factorising its subdomains: ", "late": "SolveFailed: GMRES over",
              "infinite": f"InputError: {last}, reading its right-hand sides: ", "broken": "SolveFailed: GMRES left",
              "parts": f"InputError: {last}, arranging its parts: ", "size": f"InputError: the job has {ranks} rank(s)"}
    for name, start in starts.items():
        texts = {said[name] for said in runs[ranks][1]}
        assert len(texts) == 1, texts
        assert texts.pop().startswith(start), (name, runs[ranks][1][0][name])


def test_a_dead_rank_ends_the_job(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "from romflow.dd.communicator import gathered, world\nimport numpy as np\ncomm = world()\n"
        "if comm.rank == 1:\n    raise SystemError('gone')\ngathered(comm, np.zeros(2))\n")
    words = [Path(sys.executable).parent / "mpiexec", "-n", 2, sys.executable, "-m", "mpi4py", tmp_path / "program.py"]
    environment = {**without_mpi(os.environ), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    answer = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, check=False,
                            env=environment)
    assert answer.returncode != 0
    assert "gone" in answer.stderr
