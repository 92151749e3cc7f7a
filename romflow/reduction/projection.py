"""Incremental projection of an affine model on a growing basis: V, V^T A_q V, V^T f_q and the residual's columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.fom.protocol import output_names
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.expressions import Theta
from romflow.reduction.residual_columns import OrthonormalColumns, ResidualColumns
from romflow.rom.affine import AffineReducedModel
from romflow.rom.stability import StabilityBound


class AffineProjection:
    """The reduced operators of one affine full-order model, extended by blocks of basis vectors.

    A step with j new vectors costs Q j sparse products, j Q forward substitutions with the part of the Cholesky factor
    of X that each term reaches, and what the residual's columns cost.

    Parameters
    ----------
    fom : SupportsAffine
    product : InnerProduct
        X of the model.
    stability : StabilityBound or None
    projection : {"auto", "galerkin", "least-squares"}
        "auto" is Galerkin for symmetric operators, minimal residual for the others.
    columns : ResidualColumns, optional
        What is kept of the residual: the orthonormal factor by default.
    """

    def __init__(self, fom: Any, product: InnerProduct, stability: StabilityBound | None, projection: str,
                 columns: ResidualColumns | None = None) -> None:
        self.fom, self.product, self.stability = fom, product, stability
        self.kind = kind_of(projection, fom)
        n, Q = fom.n, fom.operator.Q
        self.V = np.empty((n, 0))
        self._operator = np.empty((Q, 0, 0))
        F = np.asarray(fom.rhs.vectors)
        self._rhs = np.empty((F.shape[1], 0))
        outputs = fom.outputs
        self._functionals = np.empty((0, 0, n)) if outputs is None else np.asarray(outputs.functionals)
        self._output = np.empty((*self._functionals.shape[:2], 0))
        self._columns = OrthonormalColumns(fom, product) if columns is None else columns
        self._output_gram = dual_gram(self._functionals, product)
        self._compliance = compliances(fom)

    @property
    def size(self) -> int:
        """Number of basis vectors so far."""
        return self.V.shape[1]

    def extend(self, W: np.ndarray) -> None:
        """Append basis vectors W (n, j), X-orthonormal to each other and to V."""
        r, j = self.size, W.shape[1]
        if j == 0:
            return
        W = np.ascontiguousarray(W)
        AW = self.fom.operator.apply(W)
        V = np.hstack([self.V, W])
        grown = np.empty((AW.shape[0], r + j, r + j))
        grown[:, :r, :r] = self._operator
        grown[:, :, r:] = np.einsum("nr,qnj->qrj", V, AW, optimize=True)
        grown[:, r:, :r] = self._lower_rows(grown, W, r)
        self._operator = grown
        self._rhs = np.hstack([self._rhs, np.asarray(self.fom.rhs.vectors).T @ W])
        self._output = np.concatenate([self._output, self._functionals @ W], axis=2)
        self._columns.extend(AW)
        self.V = V

    def model(self) -> AffineReducedModel:
        """The reduced model on the present basis."""
        fom, residual = self.fom, self._columns.residual()
        outputs = fom.outputs
        theta = Theta([], fom.parameters.columns) if outputs is None else outputs.theta
        return AffineReducedModel(
            parameters=fom.parameters, basis=self.V, operator_theta=fom.operator.theta, operator=self._operator,
            rhs_theta=fom.rhs.theta, rhs=self._rhs, output_names=output_names(fom), output_theta=theta,
            output=self._output, output_gram=self._output_gram, compliance=self._compliance, factor=residual.T,
            residual=residual, stability=self.stability, projection=self.kind, symmetric=bool(fom.symmetric),
            norm_name=self.product.name, mesh=getattr(fom, "mesh", None),
            interpolation=getattr(fom, "interpolation", None))

    def _lower_rows(self, grown: np.ndarray, W: np.ndarray, r: int) -> np.ndarray:
        if self.fom.symmetric:
            return grown[:, :r, r:].transpose(0, 2, 1)
        return np.stack([(A.T @ W).T @ self.V for A in self.fom.operator.matrices])


def kind_of(projection: str, fom: Any) -> str:
    """"galerkin" or "least-squares"; "auto" is Galerkin for symmetric operators."""
    if projection != "auto":
        return projection
    return "galerkin" if fom.symmetric else "least-squares"


def dual_gram(functionals: np.ndarray, product: InnerProduct) -> np.ndarray:
    """Dual inner products (o, Ql, Ql) of the terms of each output, for functionals (Ql, o, n)."""
    Ql, o, n = functionals.shape
    Y = product.whiten(np.ascontiguousarray(functionals.reshape(Ql * o, n).T))
    gram = (Y.T @ Y).reshape(Ql, o, Ql, o)
    return np.ascontiguousarray(np.einsum("qoso->oqs", gram))


def compliances(fom: Any) -> np.ndarray:
    """c (o,) with output = c * right-hand side, 0 where there is no such c."""
    if fom.outputs is None:
        return np.zeros(0)
    functionals, F = np.asarray(fom.outputs.functionals), np.asarray(fom.rhs.vectors).T
    c = np.zeros(functionals.shape[1])
    if fom.outputs.theta.expressions != fom.rhs.theta.expressions:
        return c
    for i in range(c.size):
        L = functionals[:, i]
        scale = float(np.sum(L * F) / np.sum(F * F)) if F.any() else 0.0
        if np.abs(L - scale * F).max() <= 1e-14 * np.abs(L).max():
            c[i] = scale
    return c
