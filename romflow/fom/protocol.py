"""What a full-order model must answer, the further powers it may have, and the checked solve."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, RomflowError, ShapeError, SolveFailed
from romflow.core.mesh import Mesh
from romflow.core.names import one_line
from romflow.core.snapshot import Snapshot
from romflow.fom.affine_terms import AffineOperator, AffineOutputs, AffineVector
from romflow.parameters.space import ParameterSpace

_TRACE = 4000
#: What goes on with a march: the index of the next stored time, and the checkpoint of the piece before it.
Resume = tuple[int, Mapping[str, np.ndarray]]


@runtime_checkable
class FullOrderModel(Protocol):
    """A parametrised model that answers ``solve(mu)`` with a state of n numbers.

    Attributes
    ----------
    parameters : ParameterSpace
    n : int or None
        Length of a state; None where it is known only after a solve.
    spec : dict
        JSON identity: two models with equal `spec` give equal states. It never holds the number of ranks.
    """

    parameters: ParameterSpace
    n: int | None
    spec: dict[str, Any]

    def solve(self, mu: np.ndarray) -> Snapshot | np.ndarray:
        """State at mu (p,): a `Snapshot`, or a vector (n,)."""
        ...


@runtime_checkable
class SupportsAffine(Protocol):
    """Operators in affine form: A(mu) u = f(mu), and the inner product X in which errors are measured.

    Attributes
    ----------
    operator : AffineOperator
    rhs : AffineVector
    inner_product : sparse (n, n)
        Symmetric positive definite.
    outputs : AffineOutputs or None
    symmetric : bool
        A(mu) is symmetric for every mu.
    norm : str
        Name of the norm of X, for reports.
    stability : dict or None
        How a lower bound of the stability constant is found: {"kind": "min-theta", "reference": [p numbers]},
        {"kind": "scm"}, {"kind": "inf-sup"} or {"kind": "expression", "expression": "min(a, b)"}.
    """

    operator: AffineOperator
    rhs: AffineVector
    inner_product: sp.sparray
    outputs: AffineOutputs | None
    symmetric: bool
    norm: str
    stability: dict[str, Any] | None


@runtime_checkable
class SupportsMesh(Protocol):
    """A mesh on which states can be shown.

    Attributes
    ----------
    mesh : Mesh
    """

    mesh: Mesh


@runtime_checkable
class SupportsParts(Protocol):
    """A model on MPI ranks, whose matrices exist part by part alone.

    Attributes
    ----------
    ranks : int
    """

    ranks: int

    def decompose(self, folder: str | Path) -> Any:
        """Write the decomposition of the mesh into a folder, once."""
        ...

    def part_operators(self, folder: str | Path, i: int) -> Any:
        """Operators of part i, not assembled over the interfaces."""
        ...


@dataclass(frozen=True)
class Piece:
    """Consecutive stored times of a trajectory, and what the march goes on from behind them.

    Attributes
    ----------
    start : int
        Index of the first of its times among the model's.
    times : (c,)
        c >= 1 of them.
    states : (n, c)
        A state a time; about 32 MB at most (:data:`romflow.store.trajectory_writer.PIECE_BYTES`).
    series : (o, c) or None
        Outputs at these times that the model gives itself.
    checkpoint : mapping of str to array
        Numbers, of any shapes: with them the march goes on bit by bit as if it had not been interrupted. Empty: it
        cannot go on from here.
    seconds : float
        Processor seconds that these times took in other programs; :func:`romflow.fom.marching.checked_march` adds those
        of this process.
    """

    start: int
    times: np.ndarray
    states: np.ndarray
    series: np.ndarray | None
    checkpoint: Mapping[str, np.ndarray]
    seconds: float = 0.0


@runtime_checkable
class SupportsTime(Protocol):
    """A model whose solution is a trajectory, which it gives piece by piece.

    Its `solve(mu)` gives the final state (n,) and the final outputs.

    Attributes
    ----------
    times : (K + 1,)
        Stored times, strictly increasing; the first is that of the initial state.
    """

    times: np.ndarray

    def march(self, mu: np.ndarray, resume: Resume | None = None) -> Iterator[Piece]:
        """Pieces of the trajectory at mu (p,), in order and without gaps, from time 0 or from `resume` on.

        `resume` is (index of the next time, checkpoint of the piece before); with index K + 1 there is nothing to give.
        """
        ...


def snapshot_of(fom: FullOrderModel, mu: np.ndarray) -> Snapshot:
    """Solve once and check the answer: (n,) finite real numbers, with processor seconds in ``info["seconds"]``.

    Parameters
    ----------
    fom : FullOrderModel
    mu : (p,)
        One parameter.

    Returns
    -------
    Snapshot
        `info["seconds"]` is the model's own figure if it gives one (an external program's processor time), else the
        processor seconds of this process during the solve.

    Raises
    ------
    SolveFailed
        The solve raised an error of its own, or its answer has the wrong shape or type or is not finite; `report` says
        which. Errors of romflow (a parameter outside the space ...) pass through.
    """
    mu = np.array(mu, dtype=np.float64)
    name = type(fom).__name__
    start = time.process_time()
    try:
        answer = fom.solve(mu)
    except RomflowError:
        raise
    except (Exception, SystemExit) as error:
        raise crashed(name, mu, error) from error
    seconds = time.process_time() - start
    try:
        snapshot = answer if isinstance(answer, Snapshot) else Snapshot(answer)
    except ShapeError as error:
        raise SolveFailed(f"{name} gave no state for mu = {short(mu)}: {error}", {"mu": mu.tolist()}) from error
    _check(name, snapshot, fom.n, mu)
    snapshot.info.setdefault("seconds", seconds)
    return snapshot


def output_names(fom: Any) -> tuple[str, ...]:
    """Names of the outputs of a full-order model; none where it has no outputs or does not name them.

    Examples
    --------
    >>> output_names(object())
    ()
    """
    functionals = getattr(fom, "outputs", None)
    return tuple(getattr(functionals, "names", ()) or getattr(fom, "output_names", None) or ())


def short(mu: np.ndarray, shown: int = 6) -> str:
    """One parameter as text for messages, at most `shown` of its values.

    Examples
    --------
    >>> short(np.array([0.5, 2.0])), short(np.arange(9.0), 2)
    ('[0.5, 2]', '[0, 1, ... 9 values]')
    """
    values = ", ".join(f"{value:.6g}" for value in mu[:shown])
    return f"[{values}]" if len(mu) <= shown else f"[{values}, ... {len(mu)} values]"


def _check(name: str, snapshot: Snapshot, n: int | None, mu: np.ndarray) -> None:
    if n is not None and snapshot.state.shape != (n,):
        raise SolveFailed(f"{name} gave a state of shape {snapshot.state.shape} for mu = {short(mu)}; "
                          f"the rule is ({n},), its n", {"mu": mu.tolist(), "shape": list(snapshot.state.shape)})
    for what, values in (("state", snapshot.state), ("outputs", snapshot.outputs)):
        bad = 0 if values is None else int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise SolveFailed(f"{name} gave {what} with {bad} values that are not finite for mu = {short(mu)}; "
                              "the solve did not converge, or the parameter is outside the model's validity",
                              {"mu": mu.tolist(), "not_finite": bad})


def crashed(name: str, mu: np.ndarray, error: BaseException) -> SolveFailed:
    """The failed solve that an error of a model's own code is; its report holds the end of the traceback."""
    trace = "".join(traceback.format_exception(error))[-_TRACE:]
    last = one_line("".join(traceback.format_exception_only(error)))
    return SolveFailed(f"{name} raised an error for mu = {short(mu)}: {last}",
                       {"mu": mu.tolist(), "exception": last, "traceback": trace})


def check_model(fom: Any, kind: str) -> None:
    """Raise unless `fom` has what every full-order model needs.

    Raises
    ------
    InputError
        An attribute is missing, or n is not a positive number.
    """
    missing = [word for word in ("parameters", "n", "spec", "solve") if not hasattr(fom, word)]
    if missing:
        raise InputError(f"model {kind!r} has no {missing[0]!r}; a full-order model needs parameters, n, spec and "
                         "solve(mu)")
    if fom.n is not None and (isinstance(fom.n, bool) or not isinstance(fom.n, int | np.integer) or fom.n < 1):
        raise InputError(f"model {kind!r} has n = {fom.n!r}; n is the length of a state, a whole number from 1")
