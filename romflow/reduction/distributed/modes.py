"""POD of snapshots in parts: the passes and modes of `romflow.linalg.compression`, as sums over the parts.

C = S^T X S = sum_d S_d^T X_d S_d with the part's share X_d of X, not assembled over the interfaces, and rows S_d of the
part's closure, so that entries on an interface are held by every part there; modes are S_d W / sigma, part by part. The
levels, the truncation and the second orthonormalisation are those of one process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import InputError, NotSupported
from romflow.linalg.compression.deflation import LEVELS, deflated
from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.result import Pod
from romflow.linalg.compression.routes import GRAM_LIMIT, check_route
from romflow.linalg.compression.sweeps import Check, Extension, Sweep
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.distributed.runner import Blocks, PartRunner

ROUTES = ("auto", "gram", "two-pass")


@dataclass(frozen=True)
class PartPod:
    """What a POD by parts answers: the blocks of its modes, and a :class:`Pod` whose basis is empty."""

    basis: Blocks
    pod: Pod


def pod_by_parts(runner: PartRunner, mu: np.ndarray, tolerance: float, max_size: int | None = None,
                 route: str = "auto") -> PartPod:
    """The smallest POD basis with (sum_j ||s_j - P s_j||_X^2 / sum_j ||s_j||_X^2)^{1/2} <= tolerance, left in parts.

    Equals `romflow.linalg.pod.pod` of the same snapshots to rounding, whoever works. Each of some six passes is a task
    a part: n k^2 flops for a Gram matrix and 2 n k r for r modes, divided by the number of parts; a task holds one part
    of the basis and 64 MiB of snapshots. The driver holds matrices of k x k.

    Parameters
    ----------
    runner : PartRunner
    mu : (k, p)
        Parameters whose snapshots are stored.
    tolerance : float
        Relative projection error, 0 <= tolerance < 1.
    max_size : int, optional
    route : {"auto", "gram", "two-pass"}
        "two-pass" repeats on the remainder behind the modes found, down to 1e-14; "auto" does so below 1e-7.

    Raises
    ------
    NotSupported
        A route that needs whole snapshots.
    InputError
        The tolerance is out of range, or too small for the route "gram".
    """
    chosen, why = _route(route, tolerance)
    if not len(mu) or max_size == 0:
        return PartPod((), Pod(np.zeros((0, 0)), np.zeros(0), float(len(mu) > 0), chosen, why))
    sweep = PartSweep(runner, mu)
    found, note = deflated(sweep, InnerProduct(None), tolerance, max_size, 1 if chosen == "gram" else LEVELS)
    if found.energy < np.finfo(float).tiny and sweep.largest() > 0.0:
        raise InputError("the snapshots are so small that their squares vanish; scale them")
    blocks = sweep.current.blocks
    sweep.current.keep()
    empty = Pod(np.zeros((0, 0)), found.singular_values, found.error, chosen, f"{why}; {note}", found.energy,
                found.count)
    return PartPod(blocks, empty)


def _route(route: str, tolerance: float) -> tuple[str, str]:
    check_route(route)
    if route not in ROUTES:
        raise NotSupported(f"compression = \"{route}\" needs whole snapshots, and those of a model on MPI ranks stay "
                           f"in parts; use one of {', '.join(ROUTES)}")
    if not 0.0 <= tolerance < 1.0:
        raise InputError(f"the POD tolerance is {tolerance}; the rule is 0 <= tolerance < 1")
    if route == "gram" and tolerance < GRAM_LIMIT:
        raise InputError(f"the POD tolerance {tolerance:g} is below {GRAM_LIMIT:g}, where the Gram matrix holds only "
                         "rounding noise; use compression = \"two-pass\" or a larger tolerance")
    if route != "auto":
        return route, "asked for, by parts"
    small = tolerance < GRAM_LIMIT
    return ("two-pass" if small else "gram"), f"by parts, tolerance {'below' if small else 'of'} {GRAM_LIMIT:g}" + (
        "" if small else " or more")


class PartModes(Modes):
    """Modes whose rows lie in part files; see :class:`Modes`. The driver knows their number and V^T X V."""

    def __init__(self, runner: PartRunner) -> None:
        self._runner, self._gram, self._largest = runner, np.zeros((0, 0)), np.zeros((runner.parts, 0))
        self.n, self.blocks = 0, Blocks()

    @property
    def r(self) -> int:
        """Number of modes."""
        return len(self._gram)

    @property
    def V(self) -> np.ndarray:
        """Nothing (0, r): the modes stay where they are."""
        return np.empty((0, self.r))

    def grown(self, blocks: Blocks, gram: np.ndarray) -> None:
        """Stand for other arrays, with their V^T X V; the former are removed."""
        former, self.blocks, self._gram = self.blocks, blocks, gram
        self._runner.remove(former)

    def transform(self, T: np.ndarray) -> None:
        """V <- V T for T (r, j) with j <= r."""
        found = self._runner.combine([(self.blocks, T)], word="modes")
        self._largest = found.largest
        self.grown(found.blocks, found.gram)

    def gram(self, product: InnerProduct) -> np.ndarray:
        """V^T X V (r, r), as the pass that made V found it."""
        return 0.5 * (self._gram + self._gram.T)

    def fix_signs(self) -> None:
        """Make the largest entry of each mode positive."""
        if not self.r:
            return
        peaks = self._largest[np.argmax(np.abs(self._largest), axis=0), np.arange(self.r)]
        if (peaks < 0.0).any():
            self.transform(np.diag(np.where(peaks < 0.0, -1.0, 1.0)))

    def keep(self) -> None:
        """Nothing removes the present arrays any more."""
        self.blocks = ()


class PartSweep(Sweep):
    """Each pass is a kernel on every part, see :class:`Sweep`."""

    def __init__(self, runner: PartRunner, mu: np.ndarray) -> None:
        self._runner, self._mu = runner, mu
        self.n, self.k = 0, len(mu)
        self.current = PartModes(runner)

    def modes(self) -> PartModes:
        """No modes yet."""
        return self.current

    def gram(self, modes: Modes, Z: np.ndarray) -> np.ndarray:
        C = self._runner.total("pod_gram", mu=self._mu, modes=self._name(), Z=Z)["gram"]
        return 0.5 * (C + C.T)

    def extend(self, modes: Modes, Z: np.ndarray, M: np.ndarray, coordinates: bool = False,
               check: Check | None = None) -> Extension:
        name, width = self._runner.fresh("modes"), M.shape[1]
        found = self._runner.total("pod_extend", mu=self._mu, modes=self._name(), Z=Z, M=M, out=name, width=width,
                                   coordinates=coordinates, fit=None if check is None else check.fit)
        former = self.current.gram(InnerProduct(None))
        gram = np.block([[former, found["cross"]], [found["cross"].T, found["gram"]]])
        self.current.grown(((name, len(gram)),), gram)
        left = found.get("left")
        return Extension(found["gram"], found["cross"], found.get("coordinates"), None if left is None else float(left))

    def coordinates(self, modes: Modes) -> tuple[np.ndarray, float]:
        found = self._runner.total("coordinates", mu=self._mu, basis=self.current.blocks)
        return found["coordinates"], float(found["squares"].sum())

    def sketch(self, kind: str, rows: int, seed: int) -> tuple[np.ndarray, float]:
        raise NotSupported("snapshots in parts are not sketched; use compression = \"gram\" or \"two-pass\"")

    def remainder(self, modes: Modes, Z: np.ndarray) -> float:
        return float(np.trace(self.gram(modes, Z)))

    def power(self, W: np.ndarray) -> np.ndarray:
        return self.gram(self.current, np.zeros((0, self.k))) @ W

    def largest(self) -> float:
        """The largest size of an entry of the snapshots."""
        name = self._runner.fresh("snapshots")
        found: Any = self._runner.total("take", mu=self._mu, out=name)["largest"]
        self._runner.remove(((name, self.k),))
        return float(np.abs(found).max(initial=0.0))

    def _name(self) -> str | None:
        return self.current.blocks[0][0] if self.current.blocks else None
