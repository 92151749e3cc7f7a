"""Measured outputs with which parameters are calibrated, and the Gaussian likelihood of their noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.core.names import nearest, shown
from romflow.uq.bayes.data_files import read_measurements

__all__ = ["Data"]

Array = NDArray[np.float64]


class Data:
    """d measured outputs with normal noise of known standard deviation or covariance.

    Parameters
    ----------
    values : (d,)
    std : (d,) or float, optional
        Standard deviations of independent noise; either this or `covariance`.
    covariance : (d, d), optional
        Of the noise.
    outputs : sequence of str or int, optional
        Which output of the model each value is, by name or index; 0 .. d-1 by default. One may be there several times.
    times : (d,), optional
        When each was measured, for models in time.

    Raises
    ------
    ShapeError, ParameterError
        Numbers of the wrong shape, not finite, a standard deviation that is not positive, a covariance that is not
        symmetric positive definite.

    Examples
    --------
    >>> data = Data([1.0, 3.0], std=0.5, outputs=["a", "b"])
    >>> data.log_likelihood(np.array([[1.0], [3.0]]))
    array([-0.45158271])
    """

    def __init__(
        self,
        values: ArrayLike,
        std: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        outputs: Sequence[str | int] | None = None,
        times: ArrayLike | None = None,
    ) -> None:
        self.values = _numbers(values, "values")
        d = len(self.values)
        if not d:
            raise ParameterError("data: there are no values; give at least one measured output.")
        if (std is None) == (covariance is None):
            raise ParameterError("data: give std (of independent noise) or covariance, one of the two.")
        self.std = None if std is None else _deviations(std, d)
        self.covariance = None if covariance is None else _covariance(covariance, d)
        self.outputs = tuple(range(d)) if outputs is None else tuple(outputs)
        if len(self.outputs) != d:
            raise ShapeError(f"data: outputs names {len(self.outputs)} and there are {d} values; name one a value.")
        self.times = None if times is None else _numbers(times, "times")
        if self.times is not None and len(self.times) != d:
            raise ShapeError(f"data: there are {len(self.times)} times and {d} values; give one time a value.")

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def from_csv(cls, path: str | Path) -> Data:
        """The data of a CSV with the columns output, value, std and, for models in time, time.

        Raises
        ------
        InputError
            The file is missing, or its content breaks a rule.
        """
        content = read_measurements(path)
        try:
            return cls(content["value"], content["std"], outputs=content["output"], times=content.get("time"))
        except InputError as error:
            raise type(error)(f"{path}: {error}") from error

    def rows(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Index of each value's output among `names`: (d,).

        Raises
        ------
        ParameterError
            An output is not among them.
        """
        return np.array([_row(output, list(names)) for output in self.outputs], dtype=np.intp)

    def in_time(self, series: Array, times: ArrayLike, names: Sequence[str]) -> Array:
        """Outputs (d, b) at the measured times, between the times of the model by linear interpolation.

        Errors may be read in the same way: an infinite one stays so at its time and on both sides of it.

        Parameters
        ----------
        series : (o, K + 1, b)
        times : (K + 1,)
            Of the series, increasing.
        names : sequence of o str

        Raises
        ------
        ParameterError
            The data have no times, or one outside those of the series.
        """
        grid = _numbers(times, "times")
        if self.times is None:
            raise ParameterError("data: they have no times; give one a value to compare them with a series.")
        wrong = (self.times < grid[0]) | (self.times > grid[-1])
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            raise ParameterError(f"data: times[{index}] = {shown(float(self.times[index]))} is outside "
                                 f"[{shown(float(grid[0]))}, {shown(float(grid[-1]))}], the times of the model; leave "
                                 "it out or let the model run longer.")
        after = np.clip(np.searchsorted(grid, self.times), 1, len(grid) - 1)
        share = ((self.times - grid[after - 1]) / (grid[after] - grid[after - 1]))[:, np.newaxis]
        rows = self.rows(names)
        left, right = series[rows, after - 1], series[rows, after]
        with np.errstate(invalid="ignore"):
            between = (1.0 - share) * left + share * right
        return np.where(np.isinf(left) | np.isinf(right), np.inf, between)

    def log_likelihood(self, outputs: Array) -> Array:
        """``log L = -|w|^2 / 2 - log det C / 2 - d log(2 pi) / 2``, w = C^-1/2 (values - outputs), (b,) of (d, b)."""
        white = self.white(self.values[:, np.newaxis] - outputs)
        return np.asarray(-0.5 * (white * white).sum(axis=0) - self._constant)

    def widened(self, outputs: Array, errors: Array) -> Array:
        """Log-likelihood (b,) with the covariance ``C + diag(errors^2)``, for outputs and errors (d, b).

        A column with an infinite error is left with the noise alone in those entries that are known.
        """
        residual = self.values[:, np.newaxis] - outputs
        extra = np.where(np.isfinite(errors), errors, 0.0) ** 2
        residual = np.where(np.isfinite(errors), residual, 0.0)
        if self.std is not None:
            variance = self.std[:, np.newaxis] ** 2 + extra
            terms = residual**2 / variance + np.log(2.0 * np.pi * variance)
            return np.asarray(-0.5 * terms.sum(axis=0))
        matrices = self.covariance + extra.T[:, :, np.newaxis] * np.eye(len(self))
        squares = (residual.T * np.linalg.solve(matrices, residual.T[:, :, np.newaxis])[:, :, 0]).sum(axis=1)
        logs = np.linalg.slogdet(matrices)[1] + len(self) * np.log(2.0 * np.pi)
        return np.asarray(-0.5 * (squares + logs))

    def change(self, outputs: Array, errors: Array) -> tuple[Array, Array]:
        """Between which numbers log L (b,) changes if the outputs (d, b) are off by at most `errors` (d, b).

        Independent noise, w and s in standard deviations: from ``-sum(|w| s + s^2 / 2)`` to
        ``sum(w^2 - max(|w| - s, 0)^2) / 2``, both attained. With a covariance C, g = C^-1 (values - outputs): within
        ``+-(|g|^T e + e^T |C^-1| e / 2)``. Infinite where an error is.
        """
        residual = self.values[:, np.newaxis] - outputs
        with np.errstate(invalid="ignore", over="ignore"):
            if self.std is not None:
                w, s = np.abs(residual) / self.std[:, np.newaxis], errors / self.std[:, np.newaxis]
                low, high = -(w * s + 0.5 * s * s), 0.5 * (w * w - np.maximum(w - s, 0.0) ** 2)
                low, high = low.sum(axis=0), high.sum(axis=0)
            else:
                inverse = self._inverse
                high = (np.abs(inverse @ residual) * errors).sum(axis=0)
                high = high + 0.5 * (errors * (np.abs(inverse) @ errors)).sum(axis=0)
                low = -high
        known = np.isfinite(errors).all(axis=0)
        return np.where(known, low, -np.inf), np.where(known, high, np.inf)

    def white(self, residual: Array) -> Array:
        """``C^-1/2 residual`` (d, b), the Cholesky factor's inverse for a covariance."""
        if self.std is not None:
            return np.asarray(residual / self.std[:, np.newaxis])
        return np.asarray(self._whitener @ residual)

    def spec(self) -> dict[str, Any]:
        """JSON form of all that they are."""
        return {
            "values": self.values.tolist(),
            "std": None if self.std is None else self.std.tolist(),
            "covariance": None if self.covariance is None else self.covariance.tolist(),
            "outputs": list(self.outputs),
            "times": None if self.times is None else self.times.tolist(),
        }

    @property
    def deviations(self) -> Array:
        """Standard deviation of each value's noise (d,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)) if self.std is None else self.std)

    @cached_property
    def _whitener(self) -> Array:
        return np.asarray(np.linalg.solve(np.linalg.cholesky(self.covariance), np.eye(len(self))))

    @cached_property
    def _inverse(self) -> Array:
        return np.asarray(self._whitener.T @ self._whitener)

    @cached_property
    def _constant(self) -> float:
        scales = self.std if self.std is not None else np.diag(np.linalg.cholesky(self.covariance))
        return float(np.log(scales).sum() + 0.5 * len(self) * np.log(2.0 * np.pi))


def _numbers(values: ArrayLike, name: str) -> Array:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"data: {name} = {shown(values)} are no numbers; give a list of numbers.") from error
    if array.ndim != 1:
        raise ShapeError(f"data: {name} has shape {array.shape}; it must be (d,).")
    if not np.isfinite(array).all():
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ParameterError(f"data: {name}[{index}] = {shown(float(array[index]))} is not finite; leave it out.")
    array.flags.writeable = False
    return array


def _deviations(std: ArrayLike, d: int) -> Array:
    array = _numbers(np.full(d, std) if np.ndim(std) == 0 else std, "std")
    if len(array) != d:
        raise ShapeError(f"data: std has {len(array)} numbers and there are {d} values; give one, or one a value.")
    if array.min() <= 0.0:
        index = int(np.argmin(array))
        raise ParameterError(f"data: std[{index}] = {shown(float(array[index]))} is not positive; the likelihood needs "
                             "noise, write its standard deviation.")
    return array


def _covariance(covariance: ArrayLike, d: int) -> Array:
    try:
        C = np.array(covariance, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError("data: the covariance is no table of numbers; give (d, d) numbers.") from error
    if C.shape != (d, d):
        raise ShapeError(f"data: the covariance has shape {C.shape}; it must be ({d}, {d}).")
    if not np.isfinite(C).all():
        raise ParameterError("data: the covariance has an entry that is not finite; write finite numbers.")
    if np.abs(C - C.T).max() > 1e-12 * np.abs(C).max():
        raise ParameterError("data: the covariance is not symmetric; give C = C^T.")
    smallest, largest = np.linalg.eigvalsh(C)[[0, -1]]
    if smallest <= 1e-14 * largest:
        raise ParameterError(f"data: the covariance is not positive definite (smallest eigenvalue {smallest:.3g}); "
                             "the variances must be positive and the correlations valid.")
    return C


def _row(output: str | int, names: list[str]) -> int:
    if isinstance(output, int | np.integer) and not isinstance(output, bool):
        if not 0 <= output < len(names):
            raise ParameterError(f"data: output {output} is there and the model has {len(names)}; count from 0.")
        return int(output)
    if output not in names:
        raise ParameterError(f"data: no output is called {shown(output)}{nearest(str(output), names)}")
    return names.index(str(output))
