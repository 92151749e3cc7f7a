"""What the sampler of a calibration does: blocks of steps from a state that is arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from romflow.uq.bayes.posterior_target import Judged

__all__ = ["Block", "ChainSampler", "State"]

Array = NDArray[np.float64]

#: All that a sampler knows between two blocks; written to a file and read back bit for bit.
State = dict[str, Array]


@dataclass(frozen=True)
class Block:
    """Steps of c chains after the burn-in: coordinates (n, c, p), log-likelihoods and their open differences (n, c)."""

    z: Array
    judged: Judged


class ChainSampler(Protocol):
    """A sampler; the chains do not depend on how the steps are cut into blocks of the given length."""

    chains: int

    def start(self) -> State:
        """Where the chains begin."""

    def advance(self, state: State, first: int, stop: int) -> tuple[State, Block]:
        """The state after the steps first .. stop - 1, and those of them that belong to the answer."""

    def facts(self, state: State) -> dict[str, float]:
        """Shares of draws that moved, of accepted proposals and the like."""
