"""Symmetric tensors in Voigt order xx yy zz xy yz xz, points along the last axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHEAR", "deviator", "mises", "rotation", "trace"]

Array = NDArray[np.float64]

#: The three rows of shear components.
SHEAR = slice(3, 6)


def trace(tensor: Array) -> Array:
    """Sum (...,) of the three normal components of tensors (6, ...).

    Examples
    --------
    >>> float(trace(np.array([1.0, 2.0, 3.0, 9.0, 9.0, 9.0])))
    6.0
    """
    return np.asarray(tensor[0] + tensor[1] + tensor[2])


def deviator(tensor: Array) -> Array:
    """Tensors (6, ...) less a third of their trace; the trace of the result is zero."""
    result = np.array(tensor, dtype=np.float64)
    result[:3] -= trace(result) / 3.0
    return result


def mises(stress: Array) -> Array:
    """Von Mises equivalent sqrt(3/2 s : s) (...,) of stresses (6, ...), s the deviator.

    Examples
    --------
    >>> float(mises(np.array([250.0, 0.0, 0.0, 0.0, 0.0, 0.0])))
    250.0
    >>> round(float(mises(np.array([0.0, 0.0, 0.0, 10.0, 0.0, 0.0]))), 9)
    17.320508076
    """
    xx, yy, zz, xy, yz, xz = stress
    normal = (xx - yy) ** 2 + (yy - zz) ** 2 + (zz - xx) ** 2
    return np.asarray(np.sqrt(0.5 * normal + 3.0 * (xy**2 + yz**2 + xz**2)))


def rotation(matrix: Array, engineering: bool = False) -> Array:
    """The (6, 6) matrix that turns Voigt columns as Q A Q^T turns the tensor A.

    Parameters
    ----------
    matrix : (3, 3) array
        Orthogonal Q.
    engineering : bool
        Whether the shear components are twice those of the tensor (strains), or not (stresses).

    Examples
    --------
    >>> quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> rotation(quarter) @ [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    array([ 2.,  1.,  3., -4.,  6., -5.])
    """
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)]
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    turned = matrix[first][:, first] * matrix[second][:, second]
    crossed = matrix[first][:, second] * matrix[second][:, first]
    result = turned + crossed
    result[:, :3] *= 0.5
    if engineering:
        result[SHEAR] *= 2.0
        result[:, SHEAR] *= 0.5
    return np.asarray(result)
