"""A small model split into parts, and workers in this process: what the reduction by parts needs, without MPI."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.distributed.part import PartOperators
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.distributed.kernels import KERNELS
from romflow.reduction.distributed.runner import PartRunner
from romflow.store.part_arrays import read_part_arrays, write_part_arrays
from romflow.store.snapshots import SnapshotStore

STIFFNESS = np.array([[4, -1, -2, -1], [-1, 4, -1, -2], [-2, -1, 4, -1], [-1, -2, -1, 4]]) / 6.0
WIND = np.array([[-2, 2, 1, -1], [-2, 2, 1, -1], [-1, 1, 2, -2], [-1, 1, 2, -2]]) / 12.0


class SplitToy:
    """Bilinear squares on (0, 1)^2, u = 0 on the boundary, in strips of cells; its parts and its global model.

    "block": two conductivities left and right, output = right-hand side; "wind": diffusion and a wind along x and y.
    """

    def __init__(self, kind: str = "block", cells: int = 9, parts: int = 3, second_output: bool = True) -> None:
        h = 1.0 / cells
        i, j = (index.ravel() for index in np.meshgrid(np.arange(cells), np.arange(cells)))
        corner = j * (cells + 1) + i
        points = np.stack([corner, corner + 1, corner + cells + 2, corner + cells + 1], axis=1)
        self.part_of = (i * 3 + j) * parts // (4 * cells - 3)
        nodes = np.arange((cells + 1) ** 2)
        x, y = nodes % (cells + 1), nodes // (cells + 1)
        free = (x > 0) & (x < cells) & (y > 0) & (y < cells)
        owner = np.full(nodes.size, parts)
        np.minimum.at(owner, points.ravel(), np.repeat(self.part_of, 4))
        order = np.argsort(np.where(free, owner, parts + 1), kind="stable")[:int(free.sum())]
        number = np.full(nodes.size, -1)
        number[order] = np.arange(order.size)
        self.n, self.parts = order.size, parts
        self._dofs, self._owner = number[points], owner[order]
        skew = 0.5 * h * (WIND - WIND.T)
        turned = skew[np.ix_([0, 3, 2, 1], [0, 3, 2, 1])]
        left = (i < cells // 2)[:, None, None]
        if kind == "block":
            locals_ = [left * STIFFNESS, ~left * STIFFNESS]
            columns, theta, weights, signs = ("a", "b"), ["a", "b"], (1.0, 1.0), (1, 1)
        else:
            one = np.ones((i.size, 1, 1))
            locals_ = [one * STIFFNESS, one * skew, one * turned]
            columns, theta = ("a", "b"), ["a", "10 * cos(b)", "10 * sin(b)"]
            weights, signs = (1.0, 0.0, 0.0), (1, -1, -1)
        self._locals = locals_
        space = ParameterSpace([Parameter(name, Uniform(0.1, 1.0)) for name in columns])
        load = np.bincount(np.maximum(self._dofs, 0).ravel(), np.where(self._dofs >= 0, h * h / 4, 0.0).ravel(), self.n)
        functionals = load[None, None]
        names = ("average", "corner")[:1 + second_output]
        if second_output:
            functionals = np.stack([load, load * (x[order] > cells // 2)])[None]
        self._load, self._functionals = load, functionals
        one = Theta(["1"], columns)
        terms = [self._assembled(values, np.arange(i.size), self._dofs, self.n) for values in locals_]
        X = sum(weight * A for weight, A in zip(weights, terms, strict=True))
        stability = {"kind": "min-theta", "reference": [1.0, 0.0] if kind == "wind" else [1.0, 1.0]}
        operator = AffineOperator(Theta(theta, columns), terms)
        self.model = AffineModel(space, operator, AffineVector(one, load[:, None]), X,
                                 AffineOutputs(names, one, functionals), spec={"kind": "toy", "of": kind}, norm="H1_0",
                                 stability=stability)
        self.parameters, self.spec, self.norm = space, self.model.spec, "H1_0"
        self.problem = SimpleNamespace(
            parameters=space, theta=operator.theta, product=weights, rhs_theta=one, output_theta=one,
            output_names=names, norm="H1_0", stability=stability, symmetric=kind == "block",
            terms=[SimpleNamespace(form=SimpleNamespace(symmetry=sign)) for sign in signs])

    @staticmethod
    def _assembled(local: np.ndarray, cells: np.ndarray, dofs: np.ndarray, n: int) -> sp.csr_array:
        rows, columns = np.repeat(dofs[cells], 4, axis=1).ravel(), np.tile(dofs[cells], (1, 4)).ravel()
        kept = (rows >= 0) & (columns >= 0)
        return sp.csr_array(sp.coo_array((local[cells].ravel()[kept], (rows[kept], columns[kept])), shape=(n, n)))

    def dofs(self, part: int) -> np.ndarray:
        """Global numbers of the closure, owned ones first."""
        touched = np.unique(self._dofs[self.part_of == part])
        touched = touched[touched >= 0]
        own = self._owner[touched] == part
        return np.concatenate([touched[own], touched[~own]])

    def part_operators(self, folder: Any, part: int) -> PartOperators:
        dofs = self.dofs(part)
        cells = np.flatnonzero(self.part_of == part)
        local = np.full(self.n + 1, -1)
        local[dofs] = np.arange(dofs.size)
        own = self._owner[dofs] == part
        terms = [self._assembled(values, cells, local[self._dofs], dofs.size) for values in self._locals]
        X = sum(weight * A for weight, A in zip(self.problem.product, terms, strict=True))
        return PartOperators(part, int(dofs[0]) if own.any() else 0, int(own.sum()), dofs, terms, sp.csr_array(X),
                             (self._load[dofs] * own)[:, None], self._functionals[:, :, dofs] * own)


class ToyWorkers:
    """Kernels one after the other in this process; representatives solved as badly as the tolerance allows."""

    def __init__(self, toy: SplitToy, order: str = "forward") -> None:
        self.toy, self.order = toy, order
        self.solves = 0
        self._factor = splu(sp.csc_array(toy.model.inner_product))

    def parts(self, kernel: str, request: Any, store_folder: Any, shared: dict[str, Any], parts: Any) -> list[Any]:
        told = json.loads(json.dumps(shared))
        numbers = list(parts)
        found = {part: KERNELS[kernel](self.toy, str(store_folder), part, **told)
                 for part in (numbers if self.order == "forward" else numbers[::-1])}
        return [found[part] for part in numbers]

    def mpi(self, request: Any, store_folder: Any, job: dict[str, Any]) -> dict[str, Any]:
        numbers, total = range(self.toy.parts), None
        for part in numbers:
            values = read_part_arrays(job["columns"], part, [job["array"]])[0][job["array"]]
            total = np.zeros((self.toy.n, values.shape[1])) if total is None else total
            np.add.at(total, self.toy.dofs(part), values)
        Z = self._solve(total, job["tolerance"])
        E = self._solve(total - self.toy.model.inner_product @ Z, 1e-6)
        Z = Z + E
        for part in numbers:
            write_part_arrays(job["out"], part, {job["array"]: Z[self.toy.dofs(part)]})
        self.solves += total.shape[1]
        eps = np.sqrt(np.einsum("ij,ij->j", E, self.toy.model.inner_product @ E))
        return {"end": True, "report": {"eps": eps.tolist()}}

    def _solve(self, C: np.ndarray, tolerance: float) -> np.ndarray:
        noise = np.random.default_rng(0).standard_normal(C.shape)
        noise *= tolerance * np.linalg.norm(C, axis=0) / np.linalg.norm(noise, axis=0)
        return self._factor.solve(C + noise)


def toy_study(folder: Path, mu: np.ndarray, ranks: int = 2,
              **options: Any) -> tuple[SplitToy, SnapshotStore, PartRunner]:
    """A split toy, its snapshots at mu (k, p) stored as so many ranks store them, and a runner on it."""
    toy = SplitToy(**options)
    store = SnapshotStore(folder, {"spec": toy.spec}, toy.parameters.columns)
    starts = [0, *np.cumsum([toy.part_operators(None, part).owned for part in range(toy.parts)])]
    for row in mu:
        state = toy.model.solve(row).state
        receipts = [store.put_part(row, rank, {int(part): state[toy.dofs(part)] for part in parts}, "0a")
                    for rank, parts in enumerate(np.array_split(np.arange(toy.parts), ranks))]
        store.put_split(row, receipts, starts)
    return toy, store, PartRunner(ToyWorkers(toy), {}, folder, toy.parts)
