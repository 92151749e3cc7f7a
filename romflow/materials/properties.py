"""Material constants as texts in the temperature and the parameters, evaluated at all points at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, ShapeError
from romflow.core.names import shown
from romflow.materials.shared_programs import SharedPrograms
from romflow.parameters.expressions import Theta, check_text
from romflow.parameters.language import run

__all__ = ["Properties"]

Array = NDArray[np.float64]

_SAMPLES = 33


class Properties:
    """Values (Q, P) of Q texts in "T" and further columns, one row a text.

    Parameters
    ----------
    texts : mapping of str to str or number
        Name of each constant -> its text.
    columns : sequence of str
        Parameters, amplitudes and "t"; "T" is added.

    Examples
    --------
    >>> some = Properties({"young": "2e5 - E * T", "poisson": 0.3}, ["E"])
    >>> some.values({"T": np.array([0.0, 100.0]), "E": 10.0}, 2)
    array([[2.00e+05, 1.99e+05],
           [3.00e-01, 3.00e-01]])
    """

    def __init__(self, texts: Mapping[str, str | float], columns: Sequence[str]) -> None:
        self.names = tuple(texts)
        self.columns = ("T", *(name for name in columns if name != "T"))
        self.theta = _theta(texts, self.columns)
        self.used = tuple(self.columns[j] for j in self.theta.used)
        programs = self.theta.programs
        self._constant = np.array([program[0][1] if _is_number(program) else 0.0 for program in programs])[:, None]
        self._worked = [q for q, program in enumerate(programs) if not _is_number(program)]
        self._shared = SharedPrograms([programs[q] for q in self._worked])
        self._wanted = [(j, self.columns[j]) for j in self.theta.used]

    def values(self, data: Mapping[str, Any], points: int) -> Array:
        """Values (Q, points); `data` gives a number or (points,) values by name.

        Raises
        ------
        ShapeError
            A name that a text uses is not given.
        """
        result = np.empty((len(self.names), points))
        result[:] = self._constant
        try:
            columns = {j: data[name] for j, name in self._wanted}
        except KeyError as error:
            raise ShapeError(f"the law reads {error}, which is not given at the points; give all of "
                             f"{', '.join(self.used)}.") from error
        for q, found in zip(self._worked, self._shared(columns), strict=True):
            result[q] = found
        return result

    def check(self, positive: Sequence[str], temperatures: tuple[float, float] | None,
              least: Sequence[str] = ()) -> None:
        """Refuse constants that break a rule where their values are known: numbers, and texts in T over its range.

        Raises
        ------
        ConfigError
            One of the constants `positive` is not above zero, one of `least` is below, "poisson" is outside (-1, 0.5),
            or a text is not finite.
        """
        known = np.zeros(1) if temperatures is None else np.linspace(*temperatures, _SAMPLES)
        free = {0} if temperatures is not None else set()
        for q, name in enumerate(self.names):
            program = self.theta.programs[q]
            if any(kind == "column" and value not in free for kind, value in program):
                continue
            with np.errstate(all="ignore"):
                found = np.broadcast_to(run(program, {0: known}), known.shape)
            self._refuse(name, found, known, name in positive, name in least)

    def _refuse(self, name: str, found: Array, temperatures: Array, positive: bool, least: bool) -> None:
        fine = np.isfinite(found)
        rule = "finite"
        if positive:
            fine, rule = fine & (found > 0.0), "above zero"
        elif least:
            fine, rule = fine & (found >= 0.0), "zero or above"
        elif name == "poisson":
            fine, rule = fine & (found > -1.0) & (found < 0.5), "above -1 and under 0.5"
        if not fine.all():
            worst = int(np.argmin(fine))
            text = self.theta.expressions[self.names.index(name)]
            where = "" if temperatures.size == 1 else f" at T = {shown(float(temperatures[worst]))}"
            raise ConfigError(f"the law's {name} = {shown(text)} is {shown(float(found[worst]))}{where}; it must be "
                              f"{rule}.")


def _theta(texts: Mapping[str, str | float], columns: tuple[str, ...]) -> Theta:
    for name, text in texts.items():
        check_text(f"the law's {name}: ", text, columns)
    return Theta(list(texts.values()), columns)


def _is_number(program: Sequence[tuple[str, Any]]) -> bool:
    return len(program) == 1 and program[0][0] == "number"
