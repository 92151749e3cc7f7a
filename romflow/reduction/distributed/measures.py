"""True errors and coordinates of stored snapshots in a basis, as sums over parts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from romflow.core.errors import NotSupported
from romflow.reduction.distributed.runner import Blocks, PartRunner
from romflow.rom.affine import AffineReducedModel
from romflow.store.split_array import SplitArray

_BLOCK = 256
# The residual of a solve is known in the Euclidean norm, the error is wanted in that of X.
_TRUTH_MARGIN = 10.0


def true_errors(runner: PartRunner, basis: SplitArray, mu: np.ndarray,
                coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """||u - V x||_X and ||u||_X (k,) for the stored snapshots u at mu (k, p) and coefficients x (r, k)."""
    error, norm = np.empty(len(mu)), np.empty(len(mu))
    for rows in _blocks(len(mu)):
        found = runner.total("errors", mu=mu[rows], basis=part_blocks(basis), coefficients=coefficients[:, rows])
        error[rows], norm[rows] = _root(found["error"]), _root(found["norm"])
    return error, norm


def basis_coordinates(runner: PartRunner, basis: SplitArray, mu: np.ndarray) -> np.ndarray:
    """V^T X u (r, k) of the stored snapshots at mu (k, p)."""
    found = [runner.total("coordinates", mu=mu[rows], basis=part_blocks(basis))["coordinates"]
             for rows in _blocks(len(mu))]
    return np.hstack(found) if found else np.zeros((basis.shape[1], 0))


def truth_errors(rom: AffineReducedModel, mu: np.ndarray, residuals: list[float | None]) -> np.ndarray:
    """10 rho ||f||_{X'} / alpha (k,): what the solves themselves may be wrong by, from their relative residuals rho.

    An estimate: rho is a ratio of Euclidean norms, of which the factor stands for the change to the dual norm of X.
    """
    f = rom.rhs_theta(mu) @ rom.factor[:, :len(rom.rhs_theta)].T
    alpha = np.ones(len(mu)) if rom.stability is None else rom.stability(mu)
    rho = np.array([0.0 if value is None else float(value) for value in residuals])
    return _TRUTH_MARGIN * rho * np.linalg.norm(f, axis=1) / np.where(alpha > 0.0, alpha, 1.0)


def part_blocks(basis: SplitArray) -> Blocks:
    """The blocks of a basis as kernels name them."""
    return tuple((str(folder.absolute()), width) for folder, width in basis.blocks)


def runner_for(basis: SplitArray, runner: PartRunner | None) -> PartRunner:
    """The runner, which a basis in parts needs.

    Raises
    ------
    NotSupported
        There is none.
    """
    if runner is None:
        raise NotSupported(f"a basis of {basis.shape[0]} x {basis.shape[1]} numbers in part files is compared with "
                           "snapshots by the workers of a run; use romflow run")
    return runner


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def _root(squares: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(squares, 0.0))
