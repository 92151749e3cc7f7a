"""Second-order elliptic operators on tensor grids: finite volumes and bilinear (trilinear) finite elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import nearest

__all__ = ["SCHEMES", "tensor_load", "tensor_operator"]

Coefficient = float | np.ndarray | Callable[[np.ndarray], np.ndarray]
#: Name -> what it is.
SCHEMES = {"finite-volume": "control volumes around grid points, central differences of the wind",
           "upwind": "control volumes, upwind differences of the wind (first order, no oscillations)",
           "bilinear": "bilinear (trilinear) finite elements"}


def tensor_operator(axes: Sequence[np.ndarray], *, diffusion: Coefficient = 1.0,
                    wind: Sequence[Coefficient] | None = None, reaction: Coefficient = 0.0,
                    scheme: str = "finite-volume") -> sp.csr_array:
    """Matrix (n, n) of -div(diffusion grad u) + wind . grad u + reaction u, u = 0 on the boundary, of second order.

    Rows are integrated over control volumes (or against shape functions), so that it is symmetric without wind. On
    uniform grids with constant coefficients "finite-volume" is the scheme of finite differences times the volume.

    Parameters
    ----------
    axes : sequence of (cells + 1,)
        Coordinates along 2 or 3 axes, boundary included.
    diffusion, reaction : float, (cells_x, cells_y, ..) or callable
        Per cell; a callable maps centres (E, d) of cells to values (E,). The diffusion is positive.
    wind : sequence of d such coefficients, optional
    scheme : {"finite-volume", "upwind", "bilinear"}

    Raises
    ------
    ConfigError, ShapeError, InputError
        Unknown scheme; a coefficient of another shape, not finite, or a diffusion that is not positive.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 4)
    >>> tensor_operator([x, x]).toarray()[0].round(12).tolist()
    [4.0, -1.0, -1.0, 0.0]
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"no scheme is called {scheme!r}{nearest(str(scheme), SCHEMES)}")
    steps = [np.diff(np.asarray(x, dtype=float)) for x in axes]
    d = len(steps)
    if wind is not None and len(wind) != d:
        raise ShapeError(f"the wind has {len(wind)} components in {d} dimensions; give one for each axis")
    k = _per_cell(diffusion, axes, "diffusion")
    if not (k > 0.0).all():
        raise InputError(f"the smallest diffusion is {k.min():g}; the rule is positive values")
    c = _per_cell(reaction, axes, "reaction")
    w = [_per_cell(part, axes, "wind") for part in wind or [0.0] * d]
    build = _elements if scheme == "bilinear" else _volumes
    A = build(steps, k, w, c, scheme == "upwind")
    inside = np.arange(A.shape[0]).reshape([h.size + 1 for h in steps])[(slice(1, -1),) * d].ravel()
    return sp.csr_array(A[inside][:, inside])


def tensor_load(axes: Sequence[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Right-hand side (n,) or (n, j) of `tensor_operator` for a source with these values at the unknowns.

    Each value counts with the volume around its point, which is of second order for every scheme.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 4)
    >>> tensor_load([x, x], np.ones(4)).round(12).tolist()
    [0.111111111111, 0.111111111111, 0.111111111111, 0.111111111111]
    """
    volume = np.ones(1)
    for x in axes:
        h = np.diff(np.asarray(x, dtype=float))
        volume = np.multiply.outer(volume, 0.5 * (h[:-1] + h[1:])).ravel()
    F = np.asarray(values, dtype=float)
    if F.shape[:1] != volume.shape:
        raise ShapeError(f"the source has the shape {F.shape}; the grid has {volume.size} unknowns")
    return F * (volume if F.ndim == 1 else volume[:, None])


def _per_cell(value: Any, axes: Sequence[np.ndarray], name: str) -> np.ndarray:
    shape = tuple(np.asarray(x).size - 1 for x in axes)
    if callable(value):
        centres = np.meshgrid(*(0.5 * (np.asarray(x)[1:] + np.asarray(x)[:-1]) for x in axes), indexing="ij")
        value = np.reshape(value(np.stack([part.ravel() for part in centres], axis=1)), shape)
    values = np.asarray(value, dtype=float)
    if values.ndim and values.shape != shape:
        raise ShapeError(f"{name} has the shape {values.shape}; the rule is a number, a function, or one value a cell, "
                         f"{shape}")
    if not np.isfinite(values).all():
        raise InputError(f"{name} has values that are not finite")
    return np.broadcast_to(values, shape)


def _along(h: np.ndarray, axis: int, d: int) -> np.ndarray:
    return h.reshape([-1 if other == axis else 1 for other in range(d)])


def _to_points(values: np.ndarray, h: np.ndarray, axis: int) -> np.ndarray:
    """Integrals over the halves of the cells on both sides of each grid point along an axis."""
    halves = 0.5 * values * _along(h, axis, values.ndim)
    pads = [(0, 0)] * values.ndim
    low, high = list(pads), list(pads)
    low[axis], high[axis] = (1, 0), (0, 1)
    return np.asarray(np.pad(halves, low) + np.pad(halves, high))


def _volumes(steps: list[np.ndarray], k: np.ndarray, w: list[np.ndarray], c: np.ndarray, upwind: bool) -> sp.csr_array:
    d = len(steps)
    shape = [h.size + 1 for h in steps]
    number = np.arange(int(np.prod(shape))).reshape(shape)
    rows, columns, values = [], [], []
    for axis, h in enumerate(steps):
        conducted, carried = k / _along(h, axis, d), np.asarray(w[axis])
        for other in range(d):
            if other != axis:
                conducted, carried = (_to_points(part, steps[other], other) for part in (conducted, carried))
        low = np.take(number, range(h.size), axis).ravel()
        high = np.take(number, range(1, h.size + 1), axis).ravel()
        g, q = conducted.ravel(), carried.ravel()
        # Shares of u_high - u_low in the row of the low and of the high point.
        ahead, behind = (np.minimum(q, 0.0), np.maximum(q, 0.0)) if upwind else (0.5 * q, 0.5 * q)
        rows += [low, low, high, high]
        columns += [high, low, high, low]
        values += [ahead - g, g - ahead, behind + g, -behind - g]
    for axis, h in enumerate(steps):
        c = _to_points(c, h, axis)
    rows, columns, values = [*rows, number.ravel()], [*columns, number.ravel()], [*values, c.ravel()]
    return sp.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
                        shape=(number.size, number.size))


def _elements(steps: list[np.ndarray], k: np.ndarray, w: list[np.ndarray], c: np.ndarray, _: bool) -> sp.csr_array:
    d = len(steps)
    shape = [h.size + 1 for h in steps]
    number = np.arange(int(np.prod(shape))).reshape(shape)
    stiff = [np.array([[1.0, -1.0], [-1.0, 1.0]]) / h[:, None, None] for h in steps]
    mass = [np.array([[2.0, 1.0], [1.0, 2.0]]) * h[:, None, None] / 6.0 for h in steps]
    drift = [np.broadcast_to(np.array([[-0.5, 0.5], [-0.5, 0.5]]), (h.size, 2, 2)) for h in steps]
    local = c.reshape(-1, 1, 1) * _products(mass)
    for axis in range(d):
        local = local + k.reshape(-1, 1, 1) * _products([*mass[:axis], stiff[axis], *mass[axis + 1:]])
        local = local + w[axis].reshape(-1, 1, 1) * _products([*mass[:axis], drift[axis], *mass[axis + 1:]])
    corners = np.stack([number[tuple(slice(bit, h.size + bit) for bit, h in zip(bits, steps, strict=True))].ravel()
                        for bits in np.ndindex(*[2] * d)], axis=1)
    width = corners.shape[1]
    rows, columns = np.repeat(corners, width, axis=1).ravel(), np.tile(corners, (1, width)).ravel()
    return sp.csr_array((local.ravel(), (rows, columns)), shape=(number.size, number.size))


def _products(parts: list[np.ndarray]) -> np.ndarray:
    """Tensor products (cells of all axes, 2^d, 2^d) of matrices (cells of an axis, 2, 2)."""
    result = np.ones((1, 1, 1))
    for part in parts:
        both = np.einsum("eij,fkl->efikjl", result, part)
        size = both.shape[2] * both.shape[3]
        result = both.reshape(-1, size, size)
    return result
