"""A folder with the toy model, its store and what an executor is asked."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from romflow.fom.build import build_model, model_identity
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.store.snapshots import SnapshotStore

SPACE = ParameterSpace([Parameter("a", Uniform(-100.0, 1e6))])


class ToyStudy:
    """What is needed to solve the toy model in a folder, and what its log says."""

    def __init__(self, folder: Path, store: str = "store", **options: Any) -> None:
        self.folder = folder
        if not (folder / "toy_model.py").exists():
            shutil.copy(Path(__file__).with_name("toy_model.py"), folder)
        self.request = {"kind": "toy_model.py:Toy", "options": options, "parameters": SPACE.to_spec(),
                        "base": str(folder)}
        identity = model_identity(self.request, build_model(self.request))
        self.store = SnapshotStore(folder / store, identity, SPACE.columns)

    def solve(self, executor: Any, values: Any, on_done: Any = None) -> list[Any]:
        """Records of the solves at a = each of the values."""
        mu = np.asarray(values, dtype=float).reshape(-1, 1)
        return executor.solve(self.request, self.store.folder, SPACE.columns, mu, on_done)

    def log(self) -> Counter[float]:
        """How often each parameter was begun."""
        file = self.folder / "log.txt"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return Counter(float(line.split()[0].removeprefix("np.float64(").removesuffix(")")) for line in lines)

    def workers(self) -> set[int]:
        """Process numbers of those that solved."""
        return {int(line.split()[1]) for line in (self.folder / "log.txt").read_text(encoding="utf-8").splitlines()}
