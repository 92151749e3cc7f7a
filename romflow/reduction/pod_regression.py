"""POD of snapshots and regression of the coefficients over the parameters: for models without operators."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest
from romflow.fom.protocol import output_names
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.compression import SnapshotCompression
from romflow.reduction.distributed.runner import is_split
from romflow.reduction.polynomial_fit import PolynomialChoice, fit_polynomials
from romflow.rom.polynomial_regression import PolynomialRegression
from romflow.rom.regression import (
    REGRESSORS,
    GaussianProcess,
    RadialBasis,
    RegressionReducedModel,
    Regressor,
    cubic,
    matern,
)
from romflow.store.snapshots import SnapshotStore

# Share of the leave-one-out predictions that the indicator must cover.
_COVER = 0.95
_JITTER = 1e-10


class PodRegression:
    """POD with regression of the coefficients: Gaussian processes (Guo and Hesthaven 2018), radial basis, polynomials.

    Parameters
    ----------
    tolerance : float
        Relative projection error of the POD.
    max_size : int
    regressor : {"gaussian-process", "rbf", "polynomial"}
    seed : int
        Seed of the restarts of the hyperparameter search.
    compression : {"auto", "gram", "two-pass", "sketched", "randomised", "streaming", "hapod"}
        See :func:`romflow.linalg.pod.pod`; "hapod" uses the workers of the run.
    degree : int, optional
        Of the polynomials; by leave-one-out where not given.
    index_set : {"total", "hyperbolic"}, optional
        Which products of polynomials there are; where not given, both are tried, and "total" with a degree.
    weights : {"auto", "equal", "optimal"}
        Of the snapshots for polynomials: "optimal" with [sampling] method = "optimal-design"; "auto" finds out.
    """

    method = "pod-regression"
    certifies = False
    fixed_designs_only = True

    def __init__(self, tolerance: float = 1e-3, max_size: int = 100, regressor: str = "gaussian-process",
                 seed: int = 0, compression: str = "auto", degree: int | None = None, index_set: str | None = None,
                 weights: str = "auto") -> None:
        if regressor not in REGRESSORS:
            raise ConfigError(f"no regressor is called '{regressor}'{nearest(regressor, REGRESSORS)}")
        self.polynomials = PolynomialChoice(degree, index_set, weights)
        if regressor != "polynomial" and self.polynomials != PolynomialChoice():
            raise ConfigError("[reduction] degree, index_set and weights are for regressor = \"polynomial\" alone; "
                              f"leave them out with '{regressor}'")
        self.tolerance, self.max_size, self.regressor, self.seed = tolerance, max_size, regressor, seed
        self.compression = SnapshotCompression(compression, seed)

    def accepts(self, fom: Any) -> str | None:
        """None for any full-order model in one piece, else the reason and what to use."""
        if not is_split(fom):
            return None
        return (f"{self.method} needs whole snapshots, and those of a model on MPI ranks stay in parts. Use method = "
                "\"reduced-basis\" or \"pod-galerkin\", or leave out [cluster] ranks")

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> RegressionReducedModel:
        """The reduced model from the snapshots at mu (k, p).

        Raises
        ------
        InputError
            Fewer snapshots than p + 2, which no regression can learn from.
        """
        k, p = mu.shape
        if k < p + 2:
            raise InputError(f"{self.method} got {k} snapshots for {p} parameters; the rule is at least {p + 2}: "
                             "raise [sampling] size")
        product = InnerProduct(getattr(fom, "inner_product", None), getattr(fom, "norm", "Euclidean"))
        modes = self.compression.of(store, mu, product, self.tolerance, self.max_size)
        V = modes.basis
        coefficients, left = _coordinates(store, mu, V, product)
        names, outputs = _outputs(fom, store, mu)
        low, span = self._scaling(mu)
        r = V.shape[1]
        regressor, missed, std = self._fit(fom, (mu - low) / span, np.vstack([coefficients, outputs]), r)
        truncation = float(np.sqrt(np.mean(left**2)))
        error = np.sqrt(np.sum(missed[:r] ** 2, axis=0) + left**2)
        spread = np.sqrt(np.sum(std[:r] ** 2, axis=0) + truncation**2)
        about = {"method": self.method, "snapshots": k, **modes.facts,
                 "leave_one_out_error": _relative(error, coefficients, left)}
        if isinstance(regressor, PolynomialRegression):
            about |= {"polynomials": len(regressor.degrees), "degree": int(regressor.degrees.sum(axis=1).max())}
        return RegressionReducedModel(
            parameters=fom.parameters, basis=V, output_names=names, regressor=regressor, low=low, span=span,
            safety=_safety(error, spread), output_safety=np.array([_safety(np.abs(e), s) for e, s in
                                                                   zip(missed[r:], std[r:], strict=True)]),
            truncation=truncation, energy=np.sqrt(np.mean(coefficients**2, axis=1)), norm_name=product.name,
            mesh=getattr(fom, "mesh", None), metadata=about)


    def _scaling(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """low, span (p,) of the box of the parameters; polynomials scale by their distributions."""
        if self.regressor == "polynomial":
            return np.zeros(mu.shape[1]), np.ones(mu.shape[1])
        return mu.min(axis=0), np.where(np.ptp(mu, axis=0) > 0.0, np.ptp(mu, axis=0), 1.0)

    def _fit(self, fom: Any, z: np.ndarray, targets: np.ndarray,
             r: int) -> tuple[Regressor, np.ndarray, np.ndarray]:
        """The regressor of all targets (t, k), its leave-one-out errors and spreads (t, k)."""
        if self.regressor == "gaussian-process":
            return _fit_gaussian_process(z, targets, self.seed)
        if self.regressor == "rbf":
            return _fit_radial_basis(z, targets, self.seed)
        return fit_polynomials(fom.parameters, z, targets, _importance(targets, r), self.polynomials)


def _importance(targets: np.ndarray, r: int) -> np.ndarray:
    """1 / variance: the state as a whole and each output count alike."""
    variance = np.var(targets, axis=1)
    variance[:r] = variance[:r].sum()
    return np.where(variance > 0.0, 1.0 / np.where(variance > 0.0, variance, 1.0), 0.0)


def _coordinates(store: SnapshotStore, mu: np.ndarray, V: np.ndarray,
                 product: InnerProduct) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients V^T X s_j (r, k) and the norms ||s_j - V V^T X s_j|| (k,), a block of snapshots at a time."""
    x, left = np.empty((V.shape[1], len(mu))), np.empty(len(mu))
    for start in range(0, len(mu), 64):
        part = slice(start, start + 64)
        S = store.matrix(mu[part])
        x[:, part] = product.gram(V, S)
        left[part] = product.norm(S - V @ x[:, part])
    return x, left


def _outputs(fom: Any, store: SnapshotStore, mu: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    values = store.outputs(mu)
    if values is None:
        return (), np.empty((0, len(mu)))
    return output_names(fom) or tuple(f"output_{i}" for i in range(len(values))), values


def _safety(error: np.ndarray, spread: np.ndarray) -> float:
    """Factor by which the predicted spread covers 95 % of the errors that were seen."""
    seen = error > 0.0
    if not seen.any():
        return 1.0
    floor = np.finfo(float).eps * max(float(error.max()), float(spread.max()))
    return float(np.quantile(error[seen] / np.maximum(spread[seen], floor), _COVER, method="higher"))


def _relative(error: np.ndarray, coefficients: np.ndarray, left: np.ndarray) -> float:
    """Root of the squared leave-one-out errors over the squared norms of the snapshots."""
    total = float(np.sum(coefficients**2) + np.sum(left**2))
    return float(np.sqrt(np.sum(error**2) / total)) if total else 0.0


def _fit_gaussian_process(z: np.ndarray, targets: np.ndarray,
                          seed: int) -> tuple[GaussianProcess, np.ndarray, np.ndarray]:
    """Processes for all targets (t, k), their leave-one-out errors and spreads (t, k)."""
    mean = targets.mean(axis=1)
    scale = np.where(np.ptp(targets, axis=1) > 0.0, targets.std(axis=1), 1.0)
    fitted = [_hyperparameters(z, (y - m) / s, seed) for y, m, s in zip(targets, mean, scale, strict=True)]
    lengths = np.array([f[1] for f in fitted]).reshape(len(fitted), z.shape[1])
    amplitude = np.array([f[0] for f in fitted])
    weights, factors, missed, std = [], [], [], []
    for y, m, s, (a, length, noise) in zip(targets, mean, scale, fitted, strict=True):
        d = np.sqrt(np.maximum((((z[:, None] - z[None]) / length) ** 2).sum(2), 0.0))
        K = a * matern(d) + (noise + _JITTER * a) * np.eye(len(z))
        inverse = sl.solve_triangular(sl.cholesky(K, lower=True), np.eye(len(z)), lower=True)
        precision = np.sum(inverse**2, axis=0)
        w = inverse.T @ (inverse @ ((y - m) / s))
        weights.append(w)
        factors.append(inverse)
        # Leave-one-out in closed form (Rasmussen and Williams 2006, 5.12).
        missed.append(np.abs(w / precision) * s)
        std.append(np.sqrt(1.0 / precision) * s)
    k = len(z)
    process = GaussianProcess(z, lengths, amplitude, np.reshape(weights, (-1, k)), np.reshape(factors, (-1, k, k)),
                              mean, scale)
    return process, np.reshape(missed, (-1, k)), np.reshape(std, (-1, k))


def _hyperparameters(z: np.ndarray, y: np.ndarray, seed: int) -> tuple[float, np.ndarray, float]:
    """Amplitude, lengths (p,) and noise that maximise the marginal likelihood."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    if not y.any():
        return 1.0, np.ones(z.shape[1]), 0.0
    kernel = (ConstantKernel(1.0, (1e-3, 1e6)) * Matern(np.ones(z.shape[1]), (1e-2, 1e3), nu=2.5)
              + WhiteKernel(1e-6, (1e-12, 1e-1)))
    model = GaussianProcessRegressor(kernel, alpha=_JITTER, n_restarts_optimizer=1, random_state=seed)
    with warnings.catch_warnings():
        # A length at its bound means an inactive parameter, which is an answer.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(z, y)
    product, noise = model.kernel_.k1, model.kernel_.k2
    return float(product.k1.constant_value), np.atleast_1d(product.k2.length_scale), float(noise.noise_level)


def _fit_radial_basis(z: np.ndarray, targets: np.ndarray, seed: int) -> tuple[RadialBasis, np.ndarray, np.ndarray]:
    """Interpolants of all targets (t, k), their leave-one-out errors and spreads (t, k)."""
    k, p = z.shape
    P = np.hstack([np.ones((k, 1)), z])
    if np.linalg.matrix_rank(P) < 1 + p:
        raise InputError(f"regressor = \"rbf\" needs parameters in general position; the {k} given lie on a plane: "
                         "use another design, or regressor = \"gaussian-process\"")
    system = np.block([[cubic(z, z), P], [P.T, np.zeros((1 + p, 1 + p))]])
    inverse = np.linalg.inv(system)
    solution = inverse[:, :k] @ targets.T
    # Leave-one-out in closed form (Rippa 1999): w_i / (A^{-1})_ii.
    missed = np.abs(solution[:k] / np.diag(inverse)[:k, None]).T
    spread = np.sqrt(np.mean(missed**2, axis=1))
    model = RadialBasis(z, solution[:k].T.copy(), solution[k:].T.copy(), spread)
    return model, missed, np.repeat(spread[:, None], k, axis=1)
