"""Where the parameters of a dictionary's design lie, and how far others are from all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from romflow.core.errors import ShapeError
from romflow.parameters.space import ParameterSpace
from romflow.rom.dictionary.recommender import Recommender

__all__ = ["SMALLEST", "Design"]

#: What logarithms are taken of in place of what is not positive.
SMALLEST = 1e-300
_LOGARITHMIC = ("log-normal", "log-uniform")


@dataclass(frozen=True, eq=False)
class Design:
    """The N parameters that a dictionary was clustered by, as a judge of what is new.

    A recommender looks at a few entries of its input field, which parameters that none of the solves had may leave as
    they are. The rule is that of `Recommendation.novelty` on the parameters themselves, on the logarithms of those that
    are log-normal or log-uniform. How many draws from the distribution of the design have a novelty above 1 by chance
    was counted for 40 to 200 members and 1 to 12 parameters, all uniform, normal, log-uniform or log-normal: for Latin
    hypercubes up to 0.25 per cent in the mean and 0.6 for the worst of 12 designs, for independent draws up to 0.6 and
    3.4 per cent; none of bounded parameters, and most of one to three normal ones with 40 members.

    Attributes
    ----------
    judge : Recommender
        Of one cluster.
    logarithmic : (p,) bool

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("place", Uniform(0.0, 2.0))])
    >>> Design.of(space, [[0.0], [1.0], [2.0]]).novelty([[0.5], [50.0], [np.nan]]).round(2).tolist()
    [0.25, 48.0, inf]
    """

    judge: Recommender
    logarithmic: np.ndarray

    @classmethod
    def of(cls, space: ParameterSpace, mu: ArrayLike) -> Design:
        """Of parameters mu (N, p) in a space of p columns.

        Raises
        ------
        ShapeError
            mu has other columns than the space.
        InputError
            A parameter is not finite.
        """
        found = np.atleast_2d(np.asarray(mu, dtype=np.float64))
        if found.ndim != 2 or not len(found) or found.shape[1] != space.size:
            raise ShapeError(f"the design of a dictionary has shape {np.shape(mu)}; the rule is (N, {space.size}), a "
                             "row for each of at least one cheap solve")
        flags = np.array([table.distribution.kind in _LOGARITHMIC for table in space.tables for _ in range(table.size)])
        return cls(Recommender.constant(_scaled(found, flags)), flags)

    @property
    def size(self) -> int:
        """p."""
        return int(self.logarithmic.size)

    def novelty(self, mu: ArrayLike) -> np.ndarray:
        """How far mu (b, p) are from the design (b,), above 1 far outside; infinite where a parameter is not finite."""
        x = _scaled(np.atleast_2d(np.asarray(mu, dtype=np.float64)), self.logarithmic)
        known = np.isfinite(x).all(axis=1)
        found = np.full(len(x), np.inf)
        if known.any():
            found[known] = self.judge.novelty((x[known] - self.judge.mean) / self.judge.scale)
        return found

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON metadata: all that it is."""
        arrays, about = self.judge.to_arrays()
        return {**arrays, "logarithmic": self.logarithmic}, about

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> Design:
        """The design whose `to_arrays` gave these."""
        return cls(Recommender.from_arrays(arrays, metadata), np.asarray(arrays["logarithmic"], dtype=bool))


def _scaled(mu: np.ndarray, logarithmic: np.ndarray) -> np.ndarray:
    """mu (b, p) with the logarithms of some columns."""
    return np.where(logarithmic, np.log(np.maximum(mu, SMALLEST)), mu)
