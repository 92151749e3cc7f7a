"""Times beyond the training: the steps of a model's last period, again and again."""

from __future__ import annotations

import numpy as np

from romflow.core.errors import InputError, NotSupported
from romflow.parameters.loading import Loading

__all__ = ["checked_times", "common_period", "end_of_cycles", "times_to", "times_until"]

# Times this close, relative to a step, are one.
_SAME = 1e-6
_MOST = 10_000_000


def checked_times(times: np.ndarray, first: float) -> np.ndarray:
    """The times (K + 1,) as an array.

    Raises
    ------
    InputError
        They are not finite, do not rise, or do not begin with `first`.
    """
    when = np.asarray(times, dtype=float)
    if when.ndim != 1 or not when.size or not np.isfinite(when).all() or np.any(np.diff(when) <= 0.0) \
            or when[0] != first:
        raise InputError(f"times of shape {when.shape} were given to a reduced mechanics model; the rule is finite "
                         f"times that rise from {first:g}, where the body is undeformed")
    return when


def times_to(times: np.ndarray, loading: Loading, end: float | None, cycles: float | None) -> np.ndarray:
    """Times of a model (K + 1,) until an end or for a number of cycles of its loading; see `times_until`.

    Raises
    ------
    InputError
        Neither or both are given, or no number after the first time.
    NotSupported
        Cycles of amplitudes without a common period.
    """
    if cycles is not None and end is None:
        end = end_of_cycles(times, cycles, loading)
    elif end is None or cycles is not None:
        raise InputError("a reduced model was asked for other times; the rule is either their end or the number of "
                         "cycles")
    return times_until(times, end, common_period(loading))


def common_period(loading: Loading) -> float | None:
    """The longest period of the amplitudes where it holds each other a whole number of times; None without one.

    Amplitudes without a period do not count: they are constant beyond their ends.

    Examples
    --------
    >>> from romflow.parameters.loading import Amplitude
    >>> one, two, three = (Amplitude(f"a{n}", [0], [1], float(n)) for n in (20, 40, 50))
    >>> common_period(Loading((), (one, two))), common_period(Loading((), (two, three)))
    (40.0, None)
    """
    periods = [one.period for one in loading.amplitudes if one.period is not None]
    longest = max(periods, default=None)
    if longest is None or any(abs(longest / one - round(longest / one)) > _SAME for one in periods):
        return None
    return longest


def times_until(times: np.ndarray, end: float, period: float | None) -> np.ndarray:
    """Times (k,) from times[0] to `end`: the model's own, then those of its last period moved on by whole periods.

    Without a period, or one longer than the model's times, the last step goes on. The last step is shortened where it
    would pass `end`, which is always the last time.

    Parameters
    ----------
    times : (K + 1,)
        Of the model.
    end : float
    period : float or None

    Raises
    ------
    InputError
        `end` is not finite, not later than the first time, or more than ten million steps away.

    Examples
    --------
    >>> times_until(np.array([0.0, 1.0, 4.0]), 9.0, 4.0).tolist()
    [0.0, 1.0, 4.0, 5.0, 8.0, 9.0]
    >>> times_until(np.array([0.0, 1.0, 4.0]), 3.0, None).tolist()
    [0.0, 1.0, 3.0]
    """
    first, last = float(times[0]), float(times[-1])
    if not (np.isfinite(end) and end > first):
        raise InputError(f"a reduced model was asked to run until t = {end:g}; the rule is a number above its first "
                         f"time, {first:g}")
    gap = float(times[-1] - times[-2])
    length = period if period is not None and period <= (last - first) * (1.0 + _SAME) else gap
    pattern = times[times > last - length * (1.0 - _SAME)] - last
    repeats = int(np.ceil(max(0.0, end - last) / length))
    if repeats * pattern.size > _MOST:
        raise InputError(f"a reduced model was asked to run until t = {end:g}, which takes {repeats * pattern.size:,} "
                         f"steps; the rule is at most {_MOST:,}")
    later = last + (np.arange(1, repeats + 1) * length)[:, None] + pattern
    whole = np.concatenate([times, later.ravel()])
    return np.append(whole[whole < end - _SAME * gap], end)


def end_of_cycles(times: np.ndarray, cycles: float, loading: Loading) -> float:
    """The time at which so many cycles from the model's first time on are over.

    Raises
    ------
    InputError
        Not a number above 0.
    NotSupported
        The amplitudes have no period in common.
    """
    if not (np.isfinite(cycles) and cycles > 0.0):
        raise InputError(f"a reduced model was asked for {cycles:g} cycles; the rule is a number above 0")
    period = common_period(loading)
    if period is None:
        raise NotSupported("a number of cycles was asked of a model whose amplitudes have no common period; give the "
                           "time at which it shall end instead")
    return float(times[0] + cycles * period)
