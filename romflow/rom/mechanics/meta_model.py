"""Coefficients of dual fields learnt from values at the reduced points: what a gappy fit of the values gets wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from romflow.core.errors import InputError, ShapeError
from romflow.rom.regression import matern

__all__ = ["MetaModel"]

_SHARES = (0.0, 0.03, 0.3)
_LENGTHS = (1.0, 3.0, 10.0)
_RIDGES = tuple(10.0**exponent for exponent in range(-12, 4))
_FOLDS = 5
# Distances, in spacings of the training, to which a guess is corrected in full and from which on not at all.
_NEAR, _FAR = 1.5, 3.0
_ARRAYS = ("guess", "points", "weights", "feature_mean", "feature_scale", "mean")
_NUMBERS = ("share", "length", "spacing", "error")


@dataclass(frozen=True, eq=False)
class MetaModel:
    """Kernel ridge regression z(v) = A v + mean + sum_i w_i k(v, v_i), A a first guess such as a gappy fit.

    Trained on the reduced model's own values at its points with the coefficients of the true fields, it corrects the
    reduced model's bias, which no fit of the same values can (Casenave, Akkari, Bordeu, Rey and Ryckelynck 2020,
    where the regression may be a Gaussian process: its mean is this). k is (1 - share) linear and share
    Matern-5/2; far from the training the Matern part fades, and what is left goes on growing: no return to a mean.

    Attributes
    ----------
    guess : (n_p, f)
        A; zero without a first guess.
    points : (f, k)
        Standardised values of the training.
    weights : (n_p, k)
    feature_mean, feature_scale : (f,)
        A value v enters the kernel as (v - mean) / scale.
    mean : (n_p,)
    share, length : float
        Of the Matern part; its length in standardised units.
    spacing : float
        Distance to the nearest sample of another group that 95 per cent of the training samples keep: as far as the
        cross-validation has looked.
    error : float
        Cross-validated ||z - z_true|| / ||z_true|| over all samples: for orthonormal modes, that of the fields.

    Examples
    --------
    >>> t = np.linspace(0.0, 1.0, 40)
    >>> values = np.stack([t, 1.1 * t**2])
    >>> meta = MetaModel.fit(values, np.stack([t**2 + 1.0, t**3]))
    >>> bool(meta.error < 0.01), np.round(meta.predict(np.array([[0.5], [0.275]])).ravel(), 2).tolist()
    (True, [1.25, 0.12])
    >>> meta.distance(np.array([[0.5, 5.0], [0.275, 0.0]])).round().astype(int).tolist()[0]
    0
    """

    guess: np.ndarray
    points: np.ndarray
    weights: np.ndarray
    feature_mean: np.ndarray
    feature_scale: np.ndarray
    mean: np.ndarray
    share: float
    length: float
    spacing: float
    error: float

    @classmethod
    def fit(cls, features: np.ndarray, coefficients: np.ndarray, groups: np.ndarray | None = None,
            guess: np.ndarray | None = None, max_samples: int = 600) -> MetaModel:
        """The model whose share, length and ridge have the smallest cross-validated error.

        With H = K (K + ridge)^{-1}, the error of group g by a model without it is (1 - H_gg)^{-1} (y - H y)_g: no model
        is fitted twice. Cost: 7 eigenvalue problems of k samples.

        Parameters
        ----------
        features : (f, k)
            Values at the reduced points, one column a sample (a time of a training run).
        coefficients : (n_p, k)
            Of the true fields.
        groups : (k,) int, optional
            Samples that are left out together; the number of the training run is a good one. Else every fifth sample.
        guess : (n_p, f), optional
            `GappyBasis.pseudo_inverse`: the regression then learns what that gets wrong. It is damped as far as it does
            not help, and left out far from the training, so that it is hardly ever worse than the gappy fit.
        max_samples : int
            Of more, those are kept that lie farthest apart.

        Raises
        ------
        ShapeError, InputError
            Shapes that do not fit, fewer than 3 samples, entries that are not finite, one group.
        """
        features, coefficients, groups = _checked(features, coefficients, groups)
        A = np.zeros((coefficients.shape[0], features.shape[0])) if guess is None else np.asarray(guess, dtype=float)
        if A.shape != (coefficients.shape[0], features.shape[0]):
            raise ShapeError(f"the first guess of a regression has shape {A.shape}; the rule is (n_p, f) = "
                             f"({coefficients.shape[0]}, {features.shape[0]})")
        mean, scale = features.mean(axis=1), features.std(axis=1)
        scale = np.where(scale > 1e-12 * np.abs(features).max(initial=0.0), scale, 1.0)
        points = (features - mean[:, None]) / scale[:, None]
        chosen = _spread_out(points, max_samples)
        if np.unique(groups[chosen]).size < 2:
            raise InputError("all samples of a regression are in one group; give samples of two runs, or no groups")
        size = float(np.linalg.norm(coefficients[:, chosen]))
        points, y, groups = points[:, chosen], (coefficients - A @ features)[:, chosen], groups[chosen]
        centre = y.mean(axis=1)
        blocks = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        gaps = cdist(points.T, points.T)
        best: tuple[Any, ...] = (np.inf,)
        for share, length in [(0.0, 1.0), *((share, length) for share in _SHARES[1:] for length in _LENGTHS)]:
            values, vectors = np.linalg.eigh(_kernel(points, points, gaps, share, length))
            values, turned = np.maximum(values, 0.0), vectors.T @ (y - centre[:, None]).T
            for ridge in _RIDGES:
                # Equal samples have no kernel at all; their weights are then zero.
                damped = values + ridge * values[-1] if values[-1] > 0.0 else np.full(values.shape, np.inf)
                error = _left_out(vectors, values / damped, turned, blocks)
                if error < best[0] * (1.0 - 1e-9):
                    best = (error, share, length, (vectors @ (turned / damped[:, None])).T)
        error, share, length, weights = best
        gaps[groups[:, None] == groups] = np.inf
        spacing = float(np.quantile(gaps.min(axis=1), 0.95))
        return cls(A, points, weights, mean, scale, centre, share, length, spacing or 1.0,
                   error / size if size else 0.0)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Coefficients (n_p, b) from values (f, b); a first guess is corrected within 1.5 spacings, less and less to 3.

        Cost: 2 k (f + n_p) b flops.

        Raises
        ------
        ShapeError
            Not f values a column.
        """
        z = self._standardised(features)
        gaps = cdist(self.points.T, z.T)
        learnt = self.mean[:, None] + self.weights @ _kernel(self.points, z, gaps, self.share, self.length)
        if self.guess.any():
            learnt = learnt * np.clip((_FAR - gaps.min(axis=0) / self.spacing) / (_FAR - _NEAR), 0.0, 1.0)
        return np.asarray(self.guess @ features + learnt)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Distance (b,) to the nearest training sample, in spacings of the training: far above 1 is extrapolation."""
        return np.asarray(cdist(self.points.T, self._standardised(features).T).min(axis=0) / self.spacing)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Arrays and JSON metadata: all that the model is."""
        return {name: getattr(self, name) for name in _ARRAYS}, {name: float(getattr(self, name)) for name in _NUMBERS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, float]) -> MetaModel:
        """The model that `to_arrays` described."""
        own: dict[str, Any] = {name: np.asarray(arrays[name]) for name in _ARRAYS}
        return cls(**own, **{name: float(metadata[name]) for name in _NUMBERS})

    def _standardised(self, features: np.ndarray) -> np.ndarray:
        features = np.asarray(features, dtype=float)
        if features.ndim != 2 or features.shape[0] != self.feature_mean.size:
            raise ShapeError(f"a regression on {self.feature_mean.size} values got features of shape {features.shape}; "
                             "the rule is (f, b)")
        return np.asarray((features - self.feature_mean[:, None]) / self.feature_scale[:, None])


def _kernel(a: np.ndarray, b: np.ndarray, gaps: np.ndarray, share: float, length: float) -> np.ndarray:
    """(k, b) of columns with distances `gaps`: (1 - share) a . b / f + share Matern(|a - b| / (length f^{1/2}))."""
    f = max(a.shape[0], 1)
    linear = (1.0 - share) / f * (a.T @ b)
    return np.asarray(linear + share * matern(gaps / (length * np.sqrt(f))) if share else linear)


def _left_out(vectors: np.ndarray, filtered: np.ndarray, turned: np.ndarray, blocks: list[np.ndarray]) -> float:
    """Norm of all errors, each of a model without the sample's group (H y in the eigenvectors' coordinates)."""
    rest = vectors @ ((1.0 - filtered)[:, None] * turned)
    total = 0.0
    for block in blocks:
        own = vectors[block]
        gap = np.eye(block.size) - (own * filtered) @ own.T
        try:
            total += float(np.sum(np.linalg.solve(gap, rest[block])**2))
        except np.linalg.LinAlgError:
            return np.inf
    return float(np.sqrt(total)) if np.isfinite(total) else np.inf


def _spread_out(points: np.ndarray, count: int) -> np.ndarray:
    """`count` of the columns, rising: each the farthest from those before, from the first column on."""
    if points.shape[1] <= count:
        return np.arange(points.shape[1])
    chosen = [0]
    gap = np.sum((points - points[:, :1])**2, axis=0)
    while len(chosen) < count:
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.sum((points - points[:, chosen[-1:]])**2, axis=0))
    return np.unique(chosen)


def _checked(features: np.ndarray, coefficients: np.ndarray,
             groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    features, coefficients = np.asarray(features, dtype=float), np.asarray(coefficients, dtype=float)
    if features.ndim != 2 or coefficients.ndim != 2 or features.shape[1] != coefficients.shape[1]:
        raise ShapeError(f"a regression got features of shape {features.shape} and coefficients of shape "
                         f"{coefficients.shape}; the rule is (f, k) and (n_p, k)")
    k = features.shape[1]
    if k < 3 or not (np.isfinite(features).all() and np.isfinite(coefficients).all()):
        raise InputError(f"a regression got {k} samples, or some that are not finite; give three or more, all finite")
    groups = np.arange(k) % _FOLDS if groups is None else np.asarray(groups)
    if groups.shape != (k,):
        raise ShapeError(f"the groups of a regression have shape {groups.shape}; the rule is ({k},): one a sample")
    return features, coefficients, groups
