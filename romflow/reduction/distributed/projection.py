"""Incremental projection of a split model on a basis in parts; the reduced model is that of one process."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.linalg.orthonormal import DEPENDENT
from romflow.reduction.distributed.representatives import (
    Representatives,
    completed,
    representatives,
    tolerance_for,
)
from romflow.reduction.distributed.residual_range import DELTA, PartRange, upper_factor
from romflow.reduction.distributed.runner import Blocks, PartRunner, width
from romflow.reduction.distributed.stability import stability_by_weights
from romflow.rom.affine import AffineReducedModel
from romflow.rom.residual import OrthonormalResidual
from romflow.store.split_array import SplitArray

_SWEEPS = 3


class DistributedProjection:
    """The reduced operators of a split model, extended by blocks of basis vectors; see `AffineProjection`.

    Basis, functionals and their Riesz representatives stay in part files. A step with j vectors costs a pass for the
    projections, an MPI job for j (Q - 1) representatives (X = sum_q w_q A_q gives one of the Q for nothing) and some
    twenty passes over the range of the residual.

    Parameters
    ----------
    fom : DistributedModel
    runner : PartRunner
    projection : {"auto", "galerkin", "least-squares"}
    tolerance : float
        Of the reduction: the representatives are solved to 1e-4 of it, within 1e-10 .. 1e-6.
    """

    def __init__(self, fom: Any, runner: PartRunner, projection: str, tolerance: float) -> None:
        problem = fom.problem
        self.fom, self.runner, self.problem = fom, runner, problem
        self.tolerance = tolerance_for(tolerance)
        self.stability = stability_by_weights(problem)
        self.kind = projection if projection != "auto" else "galerkin" if problem.symmetric else "least-squares"
        self.basis: Blocks = ()
        self.weights = np.array(problem.product, dtype=float)
        self._free = int(np.argmax(np.abs(self.weights)))
        Q, Qf, Ql, o = runner.layout.terms
        self._operator, self._rhs, self._output = np.empty((Q, 0, 0)), np.empty((Qf, 0)), np.empty((Ql, o, 0))
        self._compliance = self._compliances()
        self._range = PartRange(runner)
        self._output_gram: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of basis vectors so far."""
        return width(self.basis)

    def extend_by_snapshot(self, mu: np.ndarray) -> None:
        """Append the snapshot at mu (p,), X-orthonormalised against the basis, unless it adds nothing but rounding.

        Gram-Schmidt, repeated until the norm stops falling, as `romflow.linalg.orthonormal.extend_orthonormal`.
        """
        name = self.runner.fresh("basis")
        found = self.runner.total("take", mu=mu[None], out=name)
        norm, blocks = float(np.sqrt(max(found["gram"][0, 0], 0.0))), ((name, 1),)
        scale, before, cross = norm, 1.0, None
        for _ in range(_SWEEPS):
            if norm == 0.0:
                break
            if cross is None:
                cross = self.runner.total("inner", left=self.basis, right=blocks)["cross"] / scale
            w = self.runner.combine([(blocks, np.array([[1.0 / scale]])), (self.basis, -cross)], self.basis, "basis")
            self.runner.remove(blocks)
            blocks, cross, scale = w.blocks, w.cross, 1.0
            norm = float(np.sqrt(max(w.gram[0, 0], 0.0)))
            if norm < DEPENDENT:
                norm = 0.0
                break
            if norm > 0.5 * before:
                break
            before = norm
        if norm > 0.0:
            unit = self.runner.combine([(blocks, np.array([[1.0 / norm]]))], word="basis")
            self.extend(unit.blocks)
        self.runner.remove(blocks)

    def extend(self, grown: Blocks) -> None:
        """Append basis vectors W in parts, X-orthonormal to each other and to V."""
        r, j, Q = self.size, width(grown), len(self.weights)
        if not j:
            return
        name, solved = self.runner.fresh("columns"), [q for q in range(Q) if q != self._free]
        found = self.runner.total("project", basis=self.basis, grown=grown, terms=solved, out=name,
                                  functionals=self._missing(), symmetric=bool(self.problem.symmetric))
        operator = np.empty((Q, r + j, r + j))
        operator[:, :r, :r], operator[:, :, r:] = self._operator, found["operator"]
        operator[:, r:, :r] = found["lower"] if "lower" in found else found["operator"][:, :r].transpose(0, 2, 1)
        self._operator = operator
        self._rhs = np.hstack([self._rhs, found["rhs"]])
        if "output" in found:
            self._output = np.concatenate([self._output, found["output"]], axis=2)
        new = completed(self.runner, grown, self._represented(name, j * len(solved)), self.weights, self._free)
        self._range.extend(new)
        self.runner.remove(new.blocks)
        # Models that were made before may still read the former blocks.
        self.basis = self.runner.joined(self.basis + grown, keep=True)

    def model(self) -> AffineReducedModel:
        """The reduced model on the present basis."""
        if self._output_gram is None:
            name = self.runner.fresh("columns")
            self.runner.each("functionals", outputs=self._missing(), out=name)
            self.runner.remove(self._represented(name, 0).blocks)
        problem, factor = self.problem, upper_factor(self._range.T, self._range.eps)
        layout = self.runner.layout
        basis = SplitArray(tuple((self.runner.folder(name), columns) for name, columns in self.basis), layout.owned)
        return AffineReducedModel(
            parameters=self.fom.parameters, basis=basis, operator_theta=problem.theta, operator=self._operator,
            rhs_theta=problem.rhs_theta, rhs=self._rhs, output_names=tuple(problem.output_names),
            output_theta=problem.output_theta, output=self._output, output_gram=self._output_gram,
            compliance=self._compliance, factor=factor, residual=OrthonormalResidual(factor), stability=self.stability,
            projection=self.kind, symmetric=bool(problem.symmetric), norm_name=problem.norm, mesh=None)

    @property
    def facts(self) -> dict[str, Any]:
        """What the model keeps of how its residual was found, as JSON."""
        eps, T = self._range.eps, self._range.T
        sizes = np.linalg.norm(T, axis=0)
        relative = float(np.max(eps[sizes > 0.0] / sizes[sizes > 0.0], initial=0.0))
        return {"parts": self.runner.parts, "riesz_tolerance": self.tolerance, "riesz_error": relative,
                "riesz_delta": DELTA}

    def _compliances(self) -> np.ndarray:
        """c (o,) with output = c times the right-hand side, 0 where there is no such c."""
        _, _, Ql, o = self.runner.layout.terms
        problem, c = self.problem, np.zeros(o)
        if not Ql or problem.output_theta.expressions != problem.rhs_theta.expressions:
            return c
        found = self.runner.total("compliance")
        scale = found["cross"] / found["square"] if found["square"] > 0.0 else c
        left = self.runner.total("mismatch", scale=scale)["largest"].max(axis=0)
        return np.where(left <= 1e-14 * found["largest"].max(axis=0), scale, 0.0)

    def _missing(self) -> list[int] | None:
        """Outputs that the right-hand side does not stand for, with which it is to be represented; None once it is."""
        return None if self._output_gram is not None else [i for i, c in enumerate(self._compliance) if c == 0.0]

    def _represented(self, name: str, count: int) -> Representatives:
        """Representatives of the first columns of an array; what comes behind them starts the range of the residual."""
        others = self._missing()
        _, Qf, Ql, _ = self.runner.layout.terms
        more = 0 if others is None else Qf + len(others) * Ql
        columns = ((name, count + more),)
        solved = representatives(self.runner, columns, self.tolerance)
        self.runner.remove(columns)
        (out, _), = solved.blocks
        if more and others is not None:
            last = self.runner.combine([(solved.blocks, np.eye(count + more)[:, count:])], word="functionals")
            self._start(Representatives(last.blocks, solved.eps[count:]), last.gram, others)
            self.runner.remove(last.blocks)
        return Representatives(((out, count),), solved.eps[:count])

    def _start(self, functionals: Representatives, gram: np.ndarray, others: list[int]) -> None:
        """Start the range with the right-hand side; upper bounds (o, Ql, Ql) of the outputs' dual inner products."""
        _, Qf, Ql, o = self.runner.layout.terms
        self._range.extend(Representatives(((functionals.blocks[0][0], Qf),), functionals.eps[:Qf]))
        found = np.empty((o, Ql, Ql))
        for i in range(o):
            start = 0 if self._compliance[i] else Qf + Ql * others.index(i)
            part = slice(start, start + Ql)
            found[i] = _above(gram[part, part], functionals.eps[part]) * (self._compliance[i] ** 2 or 1.0)
        self._output_gram = found


def _above(gram: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """G' with (psi^T G' psi)^{1/2} >= (psi^T G psi)^{1/2} + sum_q eps_q |psi_q|, see `upper_factor`."""
    if not eps.any():
        return gram
    return (1.0 + DELTA) * gram + (1.0 + 1.0 / DELTA) * eps.size * np.diag(eps**2)
