"""PETSc on 1, 2 and 4 ranks: one answer, and errors that all ranks raise together."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

pytest.importorskip("petsc4py")
pytest.importorskip("mpi4py")

from romflow.core.mpi_environment import without_mpi  # noqa: E402
from romflow.dd.communicator import Single  # noqa: E402
from tests.petsc.split_problems import split  # noqa: E402

_BESIDE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(_BESIDE) if _BESIDE.exists() else shutil.which("mpiexec")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="no mpiexec")


def _run(folder: Path, kind: str, ranks: int, repository: Path) -> tuple[np.ndarray, dict]:
    environment = {**without_mpi(dict(os.environ)), "PYTHONPATH": str(repository), "PYTHONHASHSEED": "0",
                   "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"}
    done = subprocess.run([str(MPIEXEC), "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m",
                           "tests.petsc.ranks_program", str(folder), kind], cwd=repository, env=environment,
                          timeout=100, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(folder / "answer.npy"), json.loads((folder / "facts.json").read_text())


@pytest.mark.parametrize("kind", ["diffusion", "elasticity"])
def test_ranks_agree(kind, tmp_path, repository, must_fail):
    one = split(kind, Single(), side=16)
    exact = spsolve(one.A.tocsc(), one.b)

    def check(x):
        assert np.linalg.norm(x - exact) <= 1e-10 * np.linalg.norm(exact) * (10 if kind == "elasticity" else 1)

    for ranks in (1, 2, 4):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        answer, facts = _run(folder, kind, ranks, repository)
        check(answer[:, 1])
        check(2.0 * answer[:, 2])
        must_fail(check, answer[:, 1] * (1 + 1e-8))
        assert facts["same"]
        assert facts["told"][0].startswith("InputError") and f"rank {ranks - 1} of {ranks}" in facts["told"][0]
        assert facts["told"][1].startswith("ConfigError") and "'pc_gamg_treshold'" in facts["told"][1]
        assert facts["report"]["subdomains"] == ranks
