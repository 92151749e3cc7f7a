"""Unbiased estimates from several models on nested sets of draws, whatever the bias of the cheaper models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from romflow.uq.asked import Asked
from romflow.uq.estimate import Estimate
from romflow.uq.paired.joint_moments import JointMoments, union
from romflow.uq.paired.nested_sums import NestedSums

__all__ = ["Found", "influences", "nested_estimates"]

Array = NDArray[np.float64]

# Squares of normal numbers have the kurtosis 15: n of them tell their variance as well as 2 n / 14 normal ones would.
_SQUARES = 1.0 / 7.0


@dataclass(frozen=True)
class Found:
    """Estimates of one kind of statistic, for g outputs or thresholds.

    Attributes
    ----------
    value, half_width : (g,)
        The interval is value -+ half_width.
    variance : (k, g)
        Of the estimate, by the model whose number of draws it comes from.
    correlation : (k, g)
        With the first model.
    single : (g,)
        Variance of one draw of the first model, for plain Monte Carlo.
    """

    value: Array
    half_width: Array
    variance: Array
    correlation: Array
    single: Array

    def estimates(self, least: float = -np.inf, most: float = np.inf) -> list[Estimate]:
        """With intervals cut at the values that are possible; the value itself is not cut, for it to stay unbiased."""
        low = np.minimum(np.maximum(self.value - self.half_width, least), self.value)
        high = np.maximum(np.minimum(self.value + self.half_width, most), self.value)
        return [Estimate(float(v), float(a), float(b), 0.0, "bound")
                for v, a, b in zip(self.value, low, high, strict=True)]


def nested_estimates(wish: Asked, sums: NestedSums) -> dict[str, Found]:
    """Means, variances and exceedance probabilities of the first model.

    Each fold f of the draws gives T_f = s_1(m_1) + sum_i alpha_i (s_i(m_i) - s_i(m_{i-1})), with s the mean or the
    unbiased variance of a model over the fold's first draws (Peherstorfer, Willcox and Gunzburger 2016, eq. (3.2);
    variances: Qian, Peherstorfer, O'Malley, Vesselinov and Willcox 2018, eq. (2.9)) and alpha_i the regression
    coefficient of the *other* folds and of the pilot. alpha_i is independent of what it multiplies, whose mean is 0:
    E T_f is the statistic of the first model exactly. The answer is the mean of T_f by the folds' draws. For
    probabilities each cheaper model has a threshold of its own, by `romflow.uq.paired.matching` from the other folds
    too.

    The interval is Student's with the variance sum_b n_b kappa_b^T C_b kappa_b of independent blocks of draws, and
    Welch's degrees of freedom. To the variance of a probability comes (z / n_1)^2, as in Wilson's interval, so that no
    disagreement seen among n_1 draws is not taken for none.
    """
    powers, indicators = zip(*sums.training, strict=True)
    found = {"mean": _shifted(_found(wish, sums.powers, powers, "mean"), sums.centres[0]),
             "variance": _found(wish, sums.powers, powers, "variance")}
    if wish.thresholds:
        found["exceedance"] = _found(wish, sums.indicators, indicators, "exceedance")
    return found


def influences(moments: JointMoments, kind: str, centre: Array | None = None) -> Array:
    """Covariances (g, k, k) between the models' influence functions of a statistic.

    y for the mean, 1{y > t} for a probability, (y - E y)^2 = d^2 - 2 (E d) d + constant for the variance.
    """
    C = moments.covariance
    if kind == "exceedance":
        return C
    g, w = C.shape[:2]
    C = C.reshape(g, w // 2, 2, w // 2, 2)
    if kind == "mean":
        return C[:, :, 0, :, 0]
    mean = (moments.mean if centre is None else centre).reshape(g, w // 2, 2)[:, :, 0]
    factors = np.stack([-2.0 * mean, np.ones_like(mean)], axis=2)
    return np.einsum("gkalb,gka,glb->gkl", C, factors, factors, optimize=True)


def _found(wish: Asked, sums: list[list[JointMoments]], training: Sequence[JointMoments], kind: str) -> Found:
    k, per = len(sums[0]), 1 if kind == "exceedance" else 2
    alphas = [_alpha(others, kind) for others in training]
    parts = np.array([_of_fold(blocks, alpha, kind, per) for blocks, alpha in zip(sums, alphas, strict=True)])
    sizes = np.array([blocks[0].count for blocks in sums], dtype=float)
    value = (sizes @ parts) / sizes.sum()
    pooled = [union(blocks[b] for blocks in sums) for b in range(k)]
    variance = _variance(sums, alphas, kind, per)
    if kind == "variance":
        variance += _of_products(sums, alphas, influences(pooled[0], "mean"))
    first = influences(pooled[0], kind)
    spread = np.sqrt(np.einsum("gkk->kg", first))
    correlation = np.divide(first[:, 0].T, spread * spread[0], out=np.zeros_like(spread), where=spread * spread[0] > 0)
    half_width = _half_width(wish, pooled, variance, kind)
    return Found(value, half_width, variance, np.clip(correlation, -1.0, 1.0), first[:, 0, 0])


def _shifted(found: Found, shift: Array) -> Found:
    return Found(found.value + shift, found.half_width, found.variance, found.correlation, found.single)


def _alpha(moments: JointMoments, kind: str) -> Array:
    """(g, k) regression coefficients of the first model's influence on each one's; probabilities start from 1."""
    S = influences(moments, kind)
    extra = 1.0 / max(moments.count - 1, 1) if kind == "exceedance" else 0.0
    own, joint = np.einsum("gkk->gk", S) + extra, S[:, 0] + extra
    return np.divide(joint, own, out=np.zeros_like(own), where=own > 0.0)


def _of_fold(blocks: list[JointMoments], alpha: Array, kind: str, per: int) -> Array:
    k = len(blocks)
    value = _statistic(blocks[0], kind)
    for i in range(1, k):
        before = union(block.last(per * (k - i)) for block in blocks[:i])
        after = before + blocks[i]
        value = value + alpha[:, i] * (_statistic(after, kind) - _statistic(before, kind))
    return value


def _statistic(moments: JointMoments, kind: str) -> Array:
    """Of the first model in `moments`, for each group."""
    return moments.covariance[:, 0, 0] if kind == "variance" else moments.mean[:, 0]


def _variance(sums: list[list[JointMoments]], alphas: list[Array], kind: str, per: int) -> Array:
    """Variance (k, g) that each block of draws contributes.

    Each fold's covariances meet the coefficients of the other folds, as in the estimate, so that the noise of the
    coefficients counts.
    """
    k, g = len(sums[0]), alphas[0].shape[0]
    pooled = [union(blocks[b] for blocks in sums) for b in range(k)]
    totals = np.cumsum([block.count for block in pooled])
    variance = np.zeros((k, g))
    for b in range(k):
        centre = union(block.last(per * (k - b)) for block in pooled[:b + 1]).mean
        step = 1.0 / totals[b:] - np.append(0.0, 1.0 / totals[b:-1])
        for blocks, alpha in zip(sums, alphas, strict=True):
            if blocks[b].count < 2:
                continue
            kappa = alpha[:, b:] * step
            if b == 0:
                kappa[:, 0] = 1.0 / totals[0]
            S = influences(blocks[b], kind, centre)
            variance[b] += blocks[b].count * np.maximum(np.einsum("gk,gkl,gl->g", kappa, S, kappa), 0.0)
    return variance


def _of_products(sums: list[list[JointMoments]], alphas: list[Array], covariance: Array) -> Array:
    """Variance (k, g) from the products of deviations of two draws, of which few draws leave much.

    Of s^2 = sum (y - E y)^2 / n - sum_{j != l} (y_j - E y) (y_l - E y) / (n (n - 1)) the second part: its variance is
    2 sigma^4 / (n (n - 1)), the last term of the textbook's Var s^2. Here for each fold, with pairs of draws by the
    later of their blocks, and the models' covariance (g, k, k) instead of sigma^2.
    """
    k = len(sums[0])
    variance = np.zeros((k, covariance.shape[0]))
    whole = sum(blocks[0].count for blocks in sums)
    for blocks, alpha in zip(sums, alphas, strict=True):
        counts = np.cumsum([block.count for block in blocks]).astype(float)
        pairs = counts * (counts - 1.0)
        share = 2.0 * (blocks[0].count / whole) ** 2
        for b in range(k):
            kappa = alpha[:, b:] * (1.0 / pairs[b:] - np.append(0.0, 1.0 / pairs[b:-1]))
            if b == 0:
                kappa[:, 0] = 1.0 / pairs[0]
            square = np.einsum("gk,gkl,gl->g", kappa, covariance[:, b:, b:] ** 2, kappa)
            variance[b] += share * (pairs[b] - (pairs[b - 1] if b else 0.0)) * np.maximum(square, 0.0)
    return variance


def _half_width(wish: Asked, pooled: list[JointMoments], variance: Array, kind: str) -> Array:
    level, n = 0.5 + wish.confidence / 2, pooled[0].count
    freedom = np.maximum(np.array([block.count for block in pooled]) - 1.0, 1.0)
    freedom[0] = max(n - len(pooled), 1.0)
    total = variance.sum(axis=0)
    if kind == "variance":
        freedom = np.maximum(freedom * _SQUARES, 1.0)
    weights = (variance**2 / freedom[:, None]).sum(axis=0)
    welch = np.divide(total**2, weights, out=np.full_like(total, freedom[0]), where=weights > 0.0)
    if kind == "exceedance":
        z = stats.norm.ppf(level)
        total = total + (z / n)**2
    return np.asarray(stats.t.ppf(level, np.maximum(welch, 1.0)) * np.sqrt(total))
