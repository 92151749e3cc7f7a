"""Space-time modes of random histories on the cut of a zone, with all that varies inside beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, ShapeError

__all__ = ["Histories", "SpaceTimeModes", "space_time_modes"]

Array = NDArray[np.float64]
# Share of the norm of all histories that their shapes in space may miss.
_SHAPES = 1e-5
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Histories:
    """What N runs of the whole body did at a zone.

    Attributes
    ----------
    times : (K + 1,)
    fields : dict of str to (N, K + 1, n)
        "trace": displacements on the cut; "temperature": nodal temperatures, where they vary from run to run.
    numbers : dict of str to (N,)
        Parameters that something inside the zone reads.

    Raises
    ------
    ShapeError, InputError
        Shapes do not fit each other, there is one run only, or numbers are not finite.
    """

    times: Array
    fields: Mapping[str, Array]
    numbers: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.fields.items():
            if values.ndim != 3 or values.shape[:2] != (self.runs, self.times.size):
                raise ShapeError(f"the histories of {name} have shape {values.shape}; the rule is (runs, "
                                 f"{self.times.size}, n), the same runs for all")
        for name, values in self.numbers.items():
            if values.shape != (self.runs,):
                raise ShapeError(f"the values of {name} have shape {values.shape}; the rule is ({self.runs},)")
        if self.runs < 2:
            raise InputError(f"a submodel with random boundary conditions got {self.runs} run of the whole body; what "
                             "varies can be learnt from two at least, and well from many: raise [sampling] size there")
        for name, values in (*self.fields.items(), *self.numbers.items()):
            wrong = np.flatnonzero(~np.isfinite(values.reshape(self.runs, -1)).all(axis=1))
            if wrong.size:
                raise InputError(f"{name} is not finite in run {wrong[0]} ({wrong.size} of {self.runs} such runs)")

    @property
    def runs(self) -> int:
        """N."""
        return len(next(iter(self.fields.values())))


@dataclass(frozen=True, eq=False)
class SpaceTimeModes:
    """Histories as mean(t) + sum_k modes_k(t) c_k in D columns; a field is its shapes times its columns.

    Attributes
    ----------
    names : tuple of D str
        "trace_0" ..., "temperature_0" ..., then the parameters.
    mean : (K + 1, D)
    modes : (K + 1, D, m)
    samples : (N, m)
        Coefficients of the runs: mean 0, variance 1, uncorrelated.
    shapes : dict of str to (n, L)
        Orthonormal, of each field.
    shares : (N - 1,) or fewer
        Share of the variance that each mode has.
    captured : dict of str to float
        Share of the variance of each field and number that the m modes have.
    """

    names: tuple[str, ...]
    mean: Array
    modes: Array
    samples: Array
    shapes: Mapping[str, Array]
    shares: Array
    captured: Mapping[str, float]

    @property
    def missed(self) -> float:
        """Share of the variance that is missing, at worst over the fields and numbers."""
        return 1.0 - min(self.captured.values(), default=1.0)


def space_time_modes(histories: Histories, count: int) -> SpaceTimeModes:
    """The leading space-time modes of histories (Karhunen-Loeve expansion of all their fields and numbers together).

    y(x, t) ~ mean + sum_k sqrt(lambda_k) phi_k(x, t) c_k with (lambda_k, phi_k) the eigenpairs of the sample covariance
    in space and time at once (Ghanem and Spanos 1991, 2.3). One c drives the displacements on the cut, the temperatures
    and the parameters, so that they stay as correlated as they were. Each field counts with its own total variance, so
    that units do not matter.

    Parameters
    ----------
    histories : Histories
    count : int
        m < N.

    Raises
    ------
    InputError
        There are not more runs than modes, nothing varies, or what varies has fewer modes.

    Examples
    --------
    >>> ramps = np.array([[[0.0], [1.0]], [[0.0], [3.0]]])
    >>> found = space_time_modes(Histories(np.array([0.0, 1.0]), {"trace": ramps}), 1)
    >>> np.abs(found.samples[:, 0]).round(6), round(found.captured["trace"], 9)
    (array([0.707107, 0.707107]), 1.0)
    """
    runs = histories.runs
    if not 1 <= count < runs:
        raise InputError(f"{count} modes were asked of {runs} runs; the rule is 1 <= modes < runs: take fewer modes, "
                         "or run the whole body at more parameters")
    shapes, names, blocks = {}, [], {}
    for name, values in histories.fields.items():
        shapes[name], blocks[name] = _in_shapes(values)
        names += [f"{name}_{i}" for i in range(shapes[name].shape[1])]
    for name, values in histories.numbers.items():
        blocks[name] = np.broadcast_to(values[:, None, None], (runs, histories.times.size, 1))
        names.append(name)
    total = np.concatenate(list(blocks.values()), axis=2)
    mean = total.mean(axis=0)
    centred = {name: values - values.mean(axis=0) for name, values in blocks.items()}
    samples, shares = _coefficients(centred, count)
    # By the samples, so that what is zero in all runs is zero in the modes too.
    modes = np.einsum("ntd,nm->tdm", total - mean, samples) / (runs - 1)
    captured = {name: _captured(values, samples) for name, values in centred.items()}
    return SpaceTimeModes(tuple(names), mean, modes, samples, shapes, shares, captured)


def _in_shapes(values: Array) -> tuple[Array, Array]:
    """Orthonormal shapes (n, L) of a field (N, K + 1, n) in space, and its coordinates (N, K + 1, L)."""
    flat = values.reshape(-1, values.shape[2])
    left, sizes, right = np.linalg.svd(flat.T if flat.shape[0] > flat.shape[1] else flat, full_matrices=False)
    found = left if flat.shape[0] > flat.shape[1] else right.T
    tails = np.sqrt(np.cumsum(sizes[::-1] ** 2)[::-1])
    kept = max(1, int(np.count_nonzero(tails > _SHAPES * tails[0])))
    shapes = np.ascontiguousarray(_signed(found[:, :kept]))
    return shapes, (flat @ shapes).reshape(*values.shape[:2], -1)


def _coefficients(centred: Mapping[str, Array], count: int) -> tuple[Array, Array]:
    """Samples (N, m) of the leading coefficients, and the shares of the variance of all modes."""
    runs = len(next(iter(centred.values())))
    sizes = {name: float(np.linalg.norm(values)) for name, values in centred.items()}
    rows = [values.reshape(runs, -1) / sizes[name] for name, values in centred.items() if sizes[name] > 0.0]
    if not rows:
        raise InputError(f"all {runs} runs of the whole body do the same at the zone; there is nothing random to learn")
    left, values, _ = np.linalg.svd(np.concatenate(rows, axis=1), full_matrices=False)
    there = int(np.count_nonzero(values > _ROUNDING * values[0]))
    if count > there:
        raise InputError(f"{count} modes were asked for, and what varies at the zone in {runs} runs has {there}; take "
                         f"{there} at most")
    shares = values[:there] ** 2 / float(values @ values)
    return _signed(left[:, :count]) * np.sqrt(runs - 1.0), shares


def _captured(values: Array, samples: Array) -> float:
    """Share of the variance of centred values (N, ...) that the samples (N, m) explain."""
    rows = values.reshape(len(values), -1)
    whole = float(np.einsum("ij,ij->", rows, rows))
    if whole == 0.0:
        return 1.0
    known = samples.T @ rows / np.sqrt(len(rows) - 1.0)
    return min(1.0, float(np.einsum("ij,ij->", known, known)) / whole)


def _signed(columns: Array) -> Array:
    """The columns with the entry of largest size positive."""
    largest = np.abs(columns).argmax(axis=0)
    return columns * np.where(columns[largest, np.arange(columns.shape[1])] < 0.0, -1.0, 1.0)
