"""What a task of an empirical-cubature reduction does on one subdomain: answers are small, large arrays stay in files.

Every kernel is called as ``KERNELS[name](fom, store_folder, part, **shared)`` with `shared` from JSON; matrices among
it are names of work files. Answers are to be summed over the subdomains, unless they are lists of points.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import InputError
from romflow.fom.mechanics.between import inner_of
from romflow.fom.mechanics.replay import replay
from romflow.materials.protocol import PLASTIC
from romflow.reduction.mechanics.blocks import STRESS, Block, components_of, fields_of, replay_name
from romflow.reduction.mechanics.files import WorkFiles
from romflow.reduction.mechanics.integrands import Integrands
from romflow.store.snapshots import SnapshotStore

__all__ = ["KERNELS"]

Answer = dict[str, np.ndarray]


def replay_block(fom: Any, store_folder: str | Path, part: int, mu: Sequence[Sequence[float]],
                 subdomains: int) -> Answer:
    """Stress and accumulated plastic strain of subdomain d along trajectory j, part = j D + d, in files (K + 1, c G_d).

    They are recomputed by the law from the displacements alone. What is there already is not made again.

    Raises
    ------
    InputError
        The law gives numbers that are not finite.
    """
    problem, files = fom.mechanics, WorkFiles(store_folder)
    trajectory_number, number = divmod(part, subdomains)
    row = np.array(mu[trajectory_number], dtype=np.float64)
    store = SnapshotStore.open(store_folder)
    name, fields = replay_name(store, row, subdomains), fields_of(problem.law)
    if all(files.has(f"{name}-{field}", number) for field in fields):
        return {"made": np.array(0)}
    block, trajectory = Block(problem, files, number, subdomains), store.trajectory(row)
    K, G = len(trajectory), block.points.size
    with contextlib.ExitStack() as stack:
        arrays = {field: stack.enter_context(files.growing(f"{name}-{field}", number, (K, components_of(field), G)))
                  for field in fields}
        for k, stress, state in replay(problem, row, trajectory.times, _states(trajectory), cells=block.cells,
                                       inner=inner_of(trajectory)):
            values = {STRESS: stress, PLASTIC: state[block.plastic_rows()]} if PLASTIC in fields else {STRESS: stress}
            for field, value in values.items():
                if not np.isfinite(value).all():
                    raise InputError(f"the law gives a {field.replace('_', ' ')} that is not finite along the "
                                     f"displacements at mu = {row.tolist()}, t = {trajectory.times[k]:g}; check their "
                                     "unit, and that no time is missing")
                arrays[field][k] = value
    return {"made": np.array(1)}


def _states(trajectory: Any) -> Iterator[np.ndarray]:
    for _, U in trajectory.pieces():
        yield from np.ascontiguousarray(U.T)


def gram(fom: Any, store_folder: str | Path, part: int, subdomains: int, replays: Sequence[str], field: str,
         modes: str | None, Z: str | None) -> Answer:
    """S'^T X S' (k, k) of the remainder S' = S - V Z of a dual field, X its quadrature weights."""
    block = Block(fom.mechanics, WorkFiles(store_folder), part, subdomains)
    stored = block.stored(replays, field)
    C = np.zeros((stored.k, stored.k))
    for _, S, XS in stored.remainders(*_behind(block, modes, Z)):
        C += S.T @ XS
    return {"gram": C}


def extend(fom: Any, store_folder: str | Path, part: int, subdomains: int, replays: Sequence[str], field: str,
           modes: str | None, Z: str | None, M: str, out: str, coordinates: bool, fit: str | None) -> Answer:
    """Y = S' M in a file; Y^T X Y, V^T X Y, and where asked for Y^T X S' and ||S' - Y K||_X^2."""
    block = Block(fom.mechanics, WorkFiles(store_folder), part, subdomains)
    stored, files = block.stored(replays, field), block.files
    V, coefficients = _behind(block, modes, Z)
    turn = files.read(M)
    Y = np.empty((stored.n, turn.shape[1]))
    answer: Answer = {"gram": np.zeros((turn.shape[1],) * 2),
                      "cross": np.zeros((0 if V is None else V.shape[1], turn.shape[1]))}
    if coordinates:
        answer["coordinates"] = np.zeros((turn.shape[1], stored.k))
    if fit is not None:
        answer["left"] = np.array(0.0)
    for rows, S, XS in stored.remainders(V, coefficients):
        Y[rows] = y = S @ turn
        Xy = y * stored.weights[rows, None]
        answer["gram"] += y.T @ Xy
        if V is not None:
            answer["cross"] += V[rows].T @ Xy
        if coordinates:
            answer["coordinates"] += y.T @ XS
        if fit is not None:
            rest = S - y @ files.read(fit)
            answer["left"] = answer["left"] + np.einsum("ij,ij,i->", rest, rest, stored.weights[rows])
    files.write(out, part, Y)
    return answer


def coordinates(fom: Any, store_folder: str | Path, part: int, subdomains: int, replays: Sequence[str], field: str,
                modes: str) -> Answer:
    """V^T X S (r, k) and the squares ||s||_X^2 (k,)."""
    block = Block(fom.mechanics, WorkFiles(store_folder), part, subdomains)
    stored, V = block.stored(replays, field), block.files.read(modes, part)
    answer = {"coordinates": np.zeros((V.shape[1], stored.k)), "squares": np.zeros(stored.k)}
    for rows, S, XS in stored.remainders(None, None):
        answer["coordinates"] += V[rows].T @ XS
        answer["squares"] += np.einsum("ij,ij->j", S, XS)
    return answer


def _behind(block: Block, modes: str | None, Z: str | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    if modes is None or Z is None:
        return None, None
    return block.files.read(modes, block.number), block.files.read(Z)


def integrals(fom: Any, store_folder: str | Path, part: int, subdomains: int, basis: str, modes: str,
              values: str) -> Answer:
    """What :meth:`Integrands.sums` says of a subdomain, before the rows are combined."""
    return _integrands(fom, store_folder, part, subdomains, basis, modes, values, None).sums()


def select(fom: Any, store_folder: str | Path, part: int, subdomains: int, basis: str, modes: str, values: str,
           turn: str, tolerance: float, floor: float) -> Answer:
    """The subdomain's own rule: points (m_d,), weights, columns (M', m_d), integrals (M',), volume."""
    return _integrands(fom, store_folder, part, subdomains, basis, modes, values, turn).rule(tolerance, floor)


def _integrands(fom: Any, store_folder: str | Path, part: int, subdomains: int, basis: str, modes: str, values: str,
                turn: str | None) -> Integrands:
    files = WorkFiles(store_folder)
    block = Block(fom.mechanics, files, part, subdomains)
    strain = fom.mechanics.space.strain(np.asarray(files.read(basis)), block.cells)
    return Integrands(block.points, block.weights, strain, files.read(modes, part), files.read(values),
                      None if turn is None else files.read(turn))


#: Kernels of a reduction by name: ``KERNELS[name](fom, store_folder, part, **shared) -> dict of small arrays``.
KERNELS: dict[str, Callable[..., Answer]] = {
    "mechanics-replay": replay_block, "mechanics-gram": gram, "mechanics-extend": extend,
    "mechanics-coordinates": coordinates, "mechanics-integrals": integrals, "mechanics-select": select}
