"""What a multi-step scheme knows of the past; it is never written to, so a checkpoint is a view of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.core.errors import InputError

__all__ = ["Memory"]


@dataclass(frozen=True)
class Memory:
    """Last steps, states and rates, newest first.

    Attributes
    ----------
    steps : tuple of float
        steps[0] led to the newest state.
    states : tuple of tuples of arrays
        states[level][age].
    rates : tuple of tuples of arrays
        rates[level][age] = G at the states of the levels below the last, at times after the initial one.

    Examples
    --------
    >>> import numpy as np
    >>> memory = Memory((0.1,), ((np.ones(2), np.zeros(2)),), ())
    >>> again = Memory.from_arrays(memory.to_arrays())
    >>> again.steps, again.states[0][0]
    ((0.1,), array([1., 1.]))
    """

    steps: tuple[float, ...]
    states: tuple[tuple[np.ndarray, ...], ...]
    rates: tuple[tuple[np.ndarray, ...], ...]

    @property
    def newest(self) -> np.ndarray:
        """The newest state of the last level: the answer."""
        return self.states[-1][0]

    def pushed(self, step: float, states: list[np.ndarray], rates: list[np.ndarray], past: int,
               ages: int) -> Memory:
        """The memory after a step, with `past` steps, `ages` states of the last level and what the others need."""
        last = len(states) - 1
        kept = tuple((new, *old)[:ages if level == last else 2]
                     for level, (new, old) in enumerate(zip(states, self.states, strict=True)))
        slopes = tuple((new, *old)[:level + 2] for level, (new, old) in enumerate(zip(rates, self.rates, strict=True)))
        return Memory((step, *self.steps)[:past], kept, slopes)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays under the names `steps`, `state_<level>_<age>` and `rate_<level>_<age>`; no copies."""
        arrays = {"steps": np.array(self.steps, dtype=float)}
        for name, levels in (("state", self.states), ("rate", self.rates)):
            for i, ages in enumerate(levels):
                arrays.update({f"{name}_{i}_{j}": u for j, u in enumerate(ages)})
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], levels: int = 1) -> Memory:
        """The memory of a scheme with so many levels from `to_arrays`.

        Raises
        ------
        InputError
            An array is missing.
        """
        states = tuple(_ages(arrays, "state", i) for i in range(levels))
        if "steps" not in arrays or not all(states):
            raise InputError(f"a checkpoint of {levels} levels needs steps and state_0_0 to state_{levels - 1}_0; "
                             f"it holds {sorted(arrays)}; resume with the scheme that made it")
        rates = tuple(_ages(arrays, "rate", i) for i in range(levels - 1))
        return cls(tuple(np.asarray(arrays["steps"]).tolist()), states, rates)


def _ages(arrays: dict[str, np.ndarray], name: str, level: int) -> tuple[np.ndarray, ...]:
    found: list[np.ndarray] = []
    while f"{name}_{level}_{len(found)}" in arrays:
        found.append(np.asarray(arrays[f"{name}_{level}_{len(found)}"]))
    return tuple(found)
