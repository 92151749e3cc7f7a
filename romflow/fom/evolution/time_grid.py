"""The times of an evolution model and how it steps from one to the next: what the table [time] of a study says."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.linalg.stepping.control import StepControl
from romflow.linalg.stepping.march import SCHEMES


class TimeGrid:
    """Times 0 = t_0 < ... < t_K at which a trajectory is stored, and the scheme between them.

    Parameters
    ----------
    end : float, optional
        T, the last time; with `steps` equal steps from 0.
    steps : int, optional
        K.
    times : sequence of float, optional
        The stored times themselves in place of `end` and `steps`; 0 is put before them where they begin later.
    scheme : str
        One of :data:`romflow.linalg.stepping.march.SCHEMES`.
    tolerance : float, optional
        Where given, the scheme takes steps of its own between the stored times, so that the local error of each stays
        below this share of the state.
    smallest : float
        Least step of that control, as a share of T.
    load : str
        Text in the parameters and t that multiplies the right-hand side.
    initial : str or sequence of str, optional
        Text in x, y, z and the parameters: the state at the first time by its nodal values; one for each component.
    newton_tolerance, newton_iterations
        When the Newton iteration of a nonlinear model's step ends, and where it gives up.

    Attributes
    ----------
    times : (K + 1,)

    Raises
    ------
    ConfigError
        Times that do not increase, neither end nor times, an unknown scheme.

    Examples
    --------
    >>> TimeGrid(1.0, 4).times
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    >>> TimeGrid(times=[1.0, 10.0], scheme="bdf2").times
    array([ 0.,  1., 10.])
    """

    def __init__(self, end: float | None = None, steps: int | None = None, times: Sequence[float] | None = None,
                 scheme: str = "implicit-euler", tolerance: float | None = None, smallest: float = 1e-10,
                 load: str = "1", initial: str | float | Sequence[str | float] | None = None,
                 newton_tolerance: float = 1e-10, newton_iterations: int = 50) -> None:
        if scheme not in SCHEMES:
            raise ConfigError(f"no time scheme is called {shown(scheme)}{nearest(str(scheme), SCHEMES)}")
        for name, value in {"tolerance": tolerance, "smallest": smallest, "newton_tolerance": newton_tolerance}.items():
            if value is not None and not 0.0 < value < 1.0:
                raise ConfigError(f"[time] {name} = {shown(value)}; the rule is a number between 0 and 1")
        self.times = _uniform(end, steps) if times is None else _given(times, end, steps)
        self.scheme, self.tolerance, self.smallest, self.load = scheme, tolerance, float(smallest), str(load)
        self.initial = None if initial is None else _texts(initial)
        self.newton_tolerance, self.newton_iterations = newton_tolerance, newton_iterations

    @property
    def halved(self) -> TimeGrid:
        """The same with a time in the middle of each step."""
        middles = 0.5 * (self.times[1:] + self.times[:-1])
        other = copy.copy(self)
        other.times = np.sort(np.concatenate([self.times, middles]))
        return other

    @property
    def steps(self) -> int:
        """K, the number of stored times after the first."""
        return len(self.times) - 1

    @property
    def control(self) -> StepControl | None:
        """Step control between the stored times, where a tolerance is given."""
        if self.tolerance is None:
            return None
        return StepControl(self.tolerance, self.smallest * float(self.times[-1] - self.times[0]))

    @property
    def spec(self) -> dict[str, Any]:
        """JSON identity: everything that changes a trajectory."""
        about = {"times": self.times.tolist(), "scheme": self.scheme, "tolerance": self.tolerance,
                 "smallest": self.smallest, "load": self.load, "newton_tolerance": self.newton_tolerance}
        return about if self.initial is None else {**about, "initial": list(self.initial)}


def _texts(initial: str | float | Sequence[str | float]) -> tuple[str, ...]:
    given = [initial] if isinstance(initial, str | int | float) else list(initial)
    if not given or any(isinstance(text, bool) or not isinstance(text, str | int | float) for text in given):
        raise ConfigError(f"[time] initial = {shown(initial)}; the rule is a text in x, y, z and the parameters, or a "
                          "list of one for each component")
    return tuple(str(text) for text in given)


def _uniform(end: float | None, steps: int | None) -> np.ndarray:
    if end is None or steps is None:
        raise ConfigError("[time] needs end and steps, or times; give them")
    if not np.isfinite(end) or end <= 0.0:
        raise ConfigError(f"[time] end = {shown(end)}; the rule is a finite number above 0")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ConfigError(f"[time] steps = {shown(steps)}; the rule is a whole number from 1")
    return np.linspace(0.0, float(end), int(steps) + 1)


def _given(times: Sequence[float], end: float | None, steps: int | None) -> np.ndarray:
    if end is not None or steps is not None:
        raise ConfigError("[time] has times and also end or steps; give one of the two")
    try:
        t = np.array(times, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError("[time] times are not a list of numbers; give one") from None
    if t.ndim == 1 and len(t) and t[0] > 0.0:
        t = np.append(0.0, t)
    if t.ndim != 1 or len(t) < 2 or not np.isfinite(t).all() or np.any(np.diff(t) <= 0.0):
        raise ConfigError("[time] times do not increase, are not finite, or are fewer than two; the rule is "
                          "t_0 < t_1 < ... < t_K with K from 1")
    return t
