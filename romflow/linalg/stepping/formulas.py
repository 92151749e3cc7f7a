"""Coefficients of the time schemes on arbitrary grids: all from the last steps, newest first."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["bdf2", "correction_weights", "error_share", "extrapolation", "snapped_steps"]

# Steps that differ by so many roundings of the largest time are the same.
_ROUNDINGS = 8.0


def snapped_steps(times: np.ndarray) -> np.ndarray:
    """Steps (K,) of a grid (K+1,) where steps that differ by rounding alone are bit-equal.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.linspace(0.0, 0.3, 31)
    >>> len(set(np.diff(times))) > 1, len(set(snapped_steps(times)))
    (True, 1)
    """
    steps = np.diff(times)
    if steps.size == 0:
        return steps
    order = np.argsort(steps, kind="stable")
    near = _ROUNDINGS * np.finfo(float).eps * float(np.abs(times).max())
    group = np.append(0, np.cumsum(np.diff(steps[order]) > near))
    first = np.searchsorted(group, np.arange(group[-1] + 1))
    last = np.append(first[1:], steps.size) - 1
    snapped = np.empty_like(steps)
    snapped[order] = steps[order][(first + last) // 2][group]
    return snapped


def bdf2(step: float, before: float) -> tuple[float, float, float]:
    """Coefficients a with a_0 u_{k+1} + a_1 u_k + a_2 u_{k-1} = u'(t_{k+1}) + O(step^2) on any two steps.

    Formula: with w = step / before, a = ((1 + 2 w) / (1 + w), -(1 + w), w^2 / (1 + w)) / step
    (Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, III.5).

    Examples
    --------
    >>> bdf2(1.0, 1.0)
    (1.5, -2.0, 0.5)
    """
    w = step / before
    return (1.0 + 2.0 * w) / (1.0 + w) / step, -(1.0 + w) / step, w * w / (1.0 + w) / step


def _nodes(steps: tuple[float, ...]) -> np.ndarray:
    """Times of the past states (len(steps),) relative to the new one, in units of the new step steps[0]."""
    return -np.cumsum(steps) / steps[0]


@lru_cache(maxsize=4096)
def correction_weights(steps: tuple[float, ...]) -> tuple[float, ...]:
    """Weights w with: BDF2 of the integral of P, minus P at the new time, is sum_j w_j g_j.

    P is the polynomial through the rates g_j at the new time and the len(steps) past ones. They vanish for rates that
    are linear in time, so what they add to BDF2 is a sum of divided differences of u' of order two and more.

    Parameters
    ----------
    steps : tuple
        Steps, the new one first; two at least.

    Returns
    -------
    w : tuple (len(steps) + 1,)
        Newest first.

    Examples
    --------
    >>> [round(w, 6) for w in correction_weights((1.0, 1.0))]
    [-0.333333, 0.666667, -0.333333]
    """
    past = _nodes(steps)
    nodes = np.append(0.0, past)
    powers = np.arange(nodes.size)
    # Column j holds the coefficients of the cardinal polynomial of node j.
    cardinal = np.linalg.inv(nodes[:, None] ** powers)
    integrals = (past[:2, None] ** (powers + 1) / (powers + 1)) @ cardinal
    _, a1, a2 = bdf2(steps[0], steps[1])
    w = steps[0] * (a1 * integrals[0] + a2 * integrals[1])
    w[0] -= 1.0
    return tuple(w.tolist())


@lru_cache(maxsize=4096)
def extrapolation(steps: tuple[float, ...]) -> tuple[float, ...]:
    """Weights (len(steps),) of the past states, newest first, in the polynomial through them at the new time.

    Examples
    --------
    >>> [round(w, 12) for w in extrapolation((1.0, 1.0, 1.0))]
    [3.0, -3.0, 1.0]
    """
    s = _nodes(steps)
    return tuple(float(np.prod([-other / (own - other) for other in np.delete(s, i)])) for i, own in enumerate(s))


@lru_cache(maxsize=4096)
def error_share(kind: str, steps: tuple[float, ...]) -> float:
    """Share of (new state - extrapolated state) that is the local error of the new state.

    The scheme and the extrapolation through m = len(steps) past states are both exact for powers below m; what each
    makes of the power m gives the share (Milne's device). `kind` is "implicit-euler" or "bdf2", which with m = 4 and
    5 stands for its corrections to the orders 3 and 4.

    Examples
    --------
    >>> round(error_share("implicit-euler", (1.0, 1.0)), 6)
    0.333333
    """
    s, m = _nodes(steps), len(steps)
    power, slope = s**m, m * s ** (m - 1)
    extrapolated = -np.prod(-s)
    if kind == "implicit-euler":
        corrected = power[0]
    else:
        a0, a1, a2 = bdf2(steps[0], steps[1])
        corrected = -steps[0] * (a1 * power[0] + a2 * power[1])
        if m > 3:
            corrected += float(np.dot(correction_weights(steps[:m - 2])[1:], slope[:m - 2]))
        corrected /= steps[0] * a0
    return float(corrected / (corrected - extrapolated))
