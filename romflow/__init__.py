"""romflow: certified reduced-order models from expensive parametrised simulations, on Dask.

    study = romflow.Study.from_file("study.toml")
    result = study.run("runs/a")
    rom = romflow.load("runs/a/model.h5")
    answer = rom.solve(mu)

Names are loaded when they are first used, so that importing romflow loads neither dask, mpi4py nor h5py.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Study": "romflow.study",
    "load": "romflow.rom.loading",
    "ParameterSpace": "romflow.parameters.space",
    "Parameter": "romflow.parameters.space",
    "Theta": "romflow.parameters.expressions",
    "AffineOperator": "romflow.fom.affine",
    "AffineVector": "romflow.fom.affine",
    "AffineOutputs": "romflow.fom.affine",
    "AffineModel": "romflow.fom.affine",
    "Mesh": "romflow.core.mesh",
    "Snapshot": "romflow.core.snapshot",
    "SnapshotStore": "romflow.store.snapshots",
    "InnerProduct": "romflow.linalg.inner_product",
    "pod": "romflow.linalg.pod",
    "embedding": "romflow.linalg.sketching.embeddings",
    "sketched_lstsq": "romflow.linalg.sketching.sketched_least_squares",
    "LinearSolver": "romflow.linalg.solvers.policy",
    "SweepSolver": "romflow.linalg.sweep.sweep",
    "Answer": "romflow.rom.model",
    "ReducedModel": "romflow.rom.model",
    "AffineReducedModel": "romflow.rom.affine",
    "RegressionReducedModel": "romflow.rom.regression",
    "RomflowError": "romflow.core.errors",
    "InputError": "romflow.core.errors",
    "NotSupported": "romflow.core.errors",
    "SolveFailed": "romflow.core.errors",
    "NotCertified": "romflow.core.errors",
    "StoreError": "romflow.core.errors",
    "verify": "romflow.testing",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'romflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
