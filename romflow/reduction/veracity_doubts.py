"""Doubts about snapshots, from a few numbers and a sketch of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Features", "doubts", "norms", "time_spike"]

_FEWEST = 6  # snapshots with which a family shows what is usual
_SIZE = np.log(4.0)  # tolerated change of size between neighbours, where the family shows none
_EXCESS = np.log(4.0)  # tolerated distance from the neighbours' span, against what is usual
_SPREADS = 4.0  # spreads of the family (1.48 MAD) that are tolerated beyond its median
_OUTSIDE = 0.25  # part of a state outside its neighbours' span below which there is no doubt
_NEGLIGIBLE = np.log(0.01)  # parts of a state outside its neighbours' span that are as good as none
_SPIKE = 3.0
_FLOOR = 1e-13


@dataclass(frozen=True)
class Features:
    """What is kept of one snapshot.

    Attributes
    ----------
    sketch : (s,) array
        A sketch of the state, of any scale.
    sizes : (2 + o,) array
        log ||u||, log (||u||_inf / ||u||), and the outputs as asinh of their value.
    spike : float
        Largest spike in time (0 for a single state), and `when` it is.
    when : float
    finite : bool
    """

    sketch: NDArray[np.float64]
    sizes: NDArray[np.float64]
    spike: float
    when: float
    finite: bool

    @classmethod
    def of(cls, sketch: NDArray[np.float64], state: NDArray[np.float64], largest: float,
           outputs: NDArray[np.float64] | None, spike: float, when: float) -> Features:
        """Features of a state (n,) whose norm, or largest norm over the times, is `largest`."""
        values = np.zeros(0) if outputs is None else outputs
        top = float(np.max(np.abs(state)))
        finite = bool(np.isfinite(largest) and np.isfinite(top) and np.isfinite(values).all() and np.isfinite(spike))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            peak = 1.0 / float(np.linalg.norm(state / top)) if top else 1.0
            sizes = np.concatenate([np.log([max(largest, 1e-300), peak]), values])
        return cls(sketch, sizes, spike, when, finite)


Doubt = tuple[NDArray[np.float64], Callable[[int], str]]


def doubts(mu: NDArray[np.float64], features: list[Features]) -> Iterator[Doubt]:
    """Doubts (k,) of each kind about the snapshots at mu (k, p), and what to say of one.

    With neighbours N(i) the m nearest in standardised parameters, and z_i = x_i - median + 4 * 1.48 MAD:

    * size: |l_i - median of l over N(i)| for each of the logarithms l of `sizes`, at most that from a fit in mu and
      log mu; d = exp(excess over max(log 4, usual)).
    * span: rho_i = |u_i - P_N(i) u_i| / |u_i| for m = 2 and 2 p + 2; log rho_i against a line in the logarithm of the
      distance of N(i), by the median of slopes (Theil and Sen), both from log 0.01 upwards; d = exp(excess), at most
      (rho_i / 0.25)^4.
    * spike: :func:`time_spike` / 3.
    """
    finite = np.array([one.finite for one in features], dtype=bool)
    yield np.where(finite, 0.0, np.inf), lambda index: "it has numbers that are not finite"
    spikes = np.array([one.spike if one.finite else 0.0 for one in features]) / _SPIKE
    yield spikes, lambda index: (f"its state at t = {features[index].when:.6g} stands {_SPIKE * spikes[index]:.3g} "
                                 "times farther off than those around it do from each other")
    good = np.flatnonzero(finite)
    if len(good) < _FEWEST:
        return
    distances = _distances(mu[good])
    order = np.argsort(distances, axis=1, kind="stable")
    sizes = np.stack([features[index].sizes for index in good])
    for column, name in enumerate(["norm", "largest entry", *["output"] * (sizes.shape[1] - 2)]):
        yield _spread_out(good, len(mu), *_size_doubt(sizes[:, column], mu[good], order, name, column))
    sketches = np.stack([features[index].sketch for index in good])
    for m in sorted({2, min(2 * mu.shape[1] + 2, len(good) - 2, 40)}):
        yield _spread_out(good, len(mu), *_span_doubt(sketches, distances, order[:, :m]))


def _spread_out(good: NDArray[np.intp], k: int, values: NDArray[np.float64], words: Callable[[int], str]) -> Doubt:
    """A doubt about some of k snapshots as one about all."""
    whole = np.zeros(k)
    whole[good] = values
    place = {int(index): number for number, index in enumerate(good)}
    return whole, lambda index: words(place[index])


def _distances(mu: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (k, k) in parameters of spread 1; infinite on the diagonal."""
    spread = mu.std(axis=0)
    scaled = mu / np.where(spread > 0.0, spread, 1.0)
    squares = np.sum(scaled**2, axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * scaled @ scaled.T, 0.0))
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances)


def _usual(values: NDArray[np.float64]) -> float:
    middle = float(np.median(values))
    return middle + _SPREADS * 1.4826 * float(np.median(np.abs(values - middle)))


def _size_doubt(values: NDArray[np.float64], mu: NDArray[np.float64], order: NDArray[np.intp], name: str,
                column: int) -> tuple[NDArray[np.float64], Callable[[int], str]]:
    if column > 1:
        scale = float(np.median(np.abs(values))) or float(np.max(np.abs(values))) or 1.0
        values = np.arcsinh(values / scale)
    near = np.median(values[order[:, :min(2 * mu.shape[1] + 3, len(mu) - 1)]], axis=1)
    gaps = np.minimum(np.abs(values - near), np.abs(values - _fitted(values, mu)))
    excess = gaps - max(_SIZE, _usual(gaps))

    def words(index: int) -> str:
        if column > 1:
            return f"its output {column - 2} is far from those of its neighbours"
        factor = float(np.exp(values[index] - near[index]))
        against = "that of its neighbours" if column == 0 else "what is usual for its norm"
        return f"its {name} is {factor:.2g} times {against}"

    return np.exp(np.minimum(excess, 700.0)), words


def _fitted(values: NDArray[np.float64], mu: NDArray[np.float64]) -> NDArray[np.float64]:
    """A fit in mu and, where it is positive, log mu that outliers do not bend (least absolute values by weights)."""
    columns = [np.ones(len(mu)), *mu.T, *np.log(mu[:, (mu > 0.0).all(axis=0)]).T]
    table = np.stack(columns, axis=1)
    if len(mu) < 3 * table.shape[1]:
        return np.full(len(mu), np.median(values))
    table = table / np.maximum(np.max(np.abs(table), axis=0), 1e-300)
    weights = np.ones(len(mu))
    for _ in range(20):
        found = np.linalg.lstsq(table * weights[:, None], values * weights, rcond=1e-10)[0]
        weights = 1.0 / np.sqrt(np.maximum(np.abs(values - table @ found), 1e-3))
    return np.asarray(table @ found)


def _span_doubt(sketches: NDArray[np.float64], distances: NDArray[np.float64], near: NDArray[np.intp]
                ) -> tuple[NDArray[np.float64], Callable[[int], str]]:
    """Doubts (k,) from the part of each state outside its neighbours' span, against how far away they are."""
    norms = np.linalg.norm(sketches, axis=1, keepdims=True)
    units = sketches / np.where(norms > 0.0, norms, 1.0)
    outside = np.array([_outside(units[index], units[nearest]) for index, nearest in enumerate(near)])
    logs = np.log(np.maximum(outside, _FLOOR))
    reach = np.take_along_axis(distances, near, axis=1).max(axis=1)
    away = np.log(np.maximum(reach, 1e-12))
    first, second = np.triu_indices(len(logs), 1)
    steps = away[second] - away[first]
    far = np.abs(steps) > 1e-3
    slope = float(np.clip(np.median((logs[second] - logs[first])[far] / steps[far]), 0.0, 4.0)) if far.any() else 0.0
    rests = logs - slope * away
    middle = float(np.median(rests))
    # What varies between 1e-6 and 1e-3 varies by little: only from _NEGLIGIBLE on does a family's spread count.
    gaps = np.maximum(logs, _NEGLIGIBLE) - np.maximum(middle + slope * away, _NEGLIGIBLE)
    excess = gaps - max(_EXCESS, _usual(gaps))
    values = np.minimum(np.exp(np.minimum(excess, 700.0)), (outside / _OUTSIDE) ** 4)
    return values, lambda index: (f"{outside[index]:.0%} of it are outside the span of its {near.shape[1]} neighbours, "
                                  f"where {np.exp(middle + slope * away[index]):.2g} of a snapshot are usual")


def _outside(unit: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Distance of a unit vector (s,) from the span of the rows of others (m, s)."""
    directions, values, _ = np.linalg.svd(others.T, full_matrices=False)
    kept = directions[:, values > 1e-10 * max(values[0], 1e-300)]
    return float(np.linalg.norm(unit - kept @ (kept.T @ unit)))


def norms(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """Norms (c,) of columns (n, c), of whatever size: huge numbers do not overflow.

    Examples
    --------
    >>> norms(np.array([[3e200], [4e200]]))
    array([5.e+200])
    """
    scale = float(np.max(np.abs(states), initial=0.0))
    if not 0.0 < scale < np.inf:
        return np.full(states.shape[1], scale)
    return np.asarray(np.linalg.norm(states / scale, axis=0) * scale)


def time_spike(times: NDArray[np.float64], blocks: Iterable[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Largest spike of a trajectory, its time, and the largest norm; from blocks of columns, two of them kept.

    spike_k = |u_k - I_k u| / max(|u_{k+1} - u_{k-1}|, |u_{k-1} - u_{k-2}|, |u_{k+2} - u_{k+1}|), with the line I_k
    through u_{k-1} and u_{k+1}: at most about 1 for steps, turning points and fronts, and large where one state differs
    from calm ones on both sides. Differences below 1e-8 of the largest norm are round-off.

    Parameters
    ----------
    times : (K + 1,) array
    blocks : iterable of (n, c) arrays
        The states in order.

    Examples
    --------
    >>> t = np.linspace(0.0, 1.0, 11)
    >>> U = np.outer([1.0, 2.0], t)
    >>> U[:, 6] = -9.0
    >>> spike, when, largest = time_spike(t, [U[:, :4], U[:, 4:]])
    >>> bool(spike > 30.0), round(when, 6)
    (True, 0.6)
    """
    sizes, ones, twos = [], [], []
    tail: NDArray[np.float64] | None = None
    for block in blocks:
        columns = block if tail is None else np.concatenate([tail, block], axis=1)
        old = 0 if tail is None else tail.shape[1]
        sizes.append(norms(block))
        ones.append(norms(columns[:, max(old, 1):] - columns[:, max(old, 1) - 1:-1]))
        twos.append(norms(columns[:, max(old, 2):] - columns[:, max(old, 2) - 2:-2]))
        tail = columns[:, -2:].copy()
    size, one, two = np.concatenate(sizes), np.concatenate(ones), np.concatenate(twos)
    largest = float(size.max())
    if not np.isfinite(largest) or len(size) < 5 or largest == 0.0:
        return (0.0 if np.isfinite(largest) else np.inf), float(times[-1]), largest
    one, two = one / largest, two / largest
    share = (times[1:-1] - times[:-2]) / (times[2:] - times[:-2])
    bend = (1.0 - share) * one[:-1] ** 2 + share * one[1:] ** 2 - share * (1.0 - share) * two**2
    around = np.maximum(two, np.maximum(np.append(0.0, one[:-2]), np.append(one[2:], 0.0)))
    spikes = np.sqrt(np.maximum(bend, 0.0)) / (around + 1e-8)
    worst = int(np.argmax(spikes[1:-1])) + 1
    return float(spikes[worst]), float(times[worst + 1]), largest
