"""Small problems on which the suites try samplers, reductors and exporters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from romflow.core.mesh import Mesh
from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.fom.protocol import SupportsTime, snapshot_of
from romflow.parameters.distributions import LogUniform, Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.marching import stored_march

__all__ = ["new_store", "small_affine_model", "small_space", "small_thermal_block", "solve_missing"]

_CELLS_A_PARAMETER = 8


def small_space() -> ParameterSpace:
    """Three columns: a uniform scalar and a log-uniform vector.

    Examples
    --------
    >>> small_space().columns
    ('speed', 'stiffness_0', 'stiffness_1')
    """
    stiffness = Parameter("stiffness", LogUniform(0.1, 10.0), size=2)
    return ParameterSpace([Parameter("speed", Uniform(-1.0, 2.0)), stiffness])


def small_thermal_block() -> ThermalBlock:
    """The 2 x 2 thermal block on 8 x 8 squares, 49 unknowns."""
    space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), size=4)])
    return ThermalBlock(space, blocks=[2, 2], cells=8)


def small_affine_model(space: ParameterSpace | None = None) -> AffineModel:
    """-u'' + sum_j theta_j(mu) 1_j u = 1 on (0, 1) with u = 0 at both ends, for any parameter space.

    Interval j of p equal ones belongs to column j; theta_j = 100 (2 + sin((mu_j - c_j) / s_j)) with the median c and
    the distance s of the quartiles is positive whatever mu is, so that 1 bounds the coercivity constant in the H1_0
    product. Linear elements of equal length.

    Parameters
    ----------
    space : ParameterSpace, optional
        Of p columns; `small_space` without.
    """
    space = small_space() if space is None else space
    cells = _CELLS_A_PARAMETER * space.size
    h, free = 1.0 / cells, slice(1, cells)
    nodes = np.arange(cells)
    stiffness = _assembled(nodes, np.array([[1.0, -1.0], [-1.0, 1.0]]) / h, cells, free)
    mass = np.array([[2.0, 1.0], [1.0, 2.0]]) * h / 6.0
    pieces = [_assembled(part, mass, cells, free) for part in np.split(nodes, space.size)]
    quarters = space.ppf(np.repeat([[0.25], [0.5], [0.75]], space.size, axis=1))
    texts = [f"100 * (2 + sin(({name} - ({centre!r})) / {width!r}))" for name, centre, width in
             zip(space.columns, quarters[1].tolist(), (quarters[2] - quarters[0]).tolist(), strict=True)]
    load, one = np.full((cells - 1, 1), h), Theta(["1"], space.columns)
    points = np.linspace(0.0, 1.0, cells + 1)[:, None]
    operator = AffineOperator(Theta(["1", *texts], space.columns), [stiffness, *pieces])
    return AffineModel(
        space, operator, AffineVector(one, load), stiffness, AffineOutputs(("mean",), one, load.T[None]),
        spec={"kind": "small", "parameters": space.to_spec()}, stability={"kind": "expression", "expression": "1"},
        mesh=Mesh(points, np.column_stack([nodes, nodes + 1]), "line", np.arange(1, cells)))


def _assembled(cells: NDArray[np.intp], element: NDArray[np.float64], total: int, free: slice) -> Any:
    """Sum of one element matrix (2, 2) over the cells given, on the free nodes."""
    ends = np.stack([cells, cells + 1])
    rows, columns = np.repeat(ends, 2, axis=0), np.tile(ends, (2, 1))
    values = np.repeat(element.reshape(4, 1), len(cells), axis=1)
    full = sp.coo_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=(total + 1, total + 1)).tocsr()
    return full[free, free]


def new_store(fom: Any, folder: str | Path) -> SnapshotStore:
    """A store for the model's snapshots in `folder`."""
    return SnapshotStore(folder, {"spec": fom.spec}, fom.parameters.columns)


def solve_missing(fom: Any, store: SnapshotStore, mu: NDArray[np.float64]) -> None:
    """Solve and store those of the parameters mu (k, p) that the store lacks."""
    for index in store.missing(mu):
        if isinstance(fom, SupportsTime):
            stored_march(fom, store, mu[index])
        else:
            store.put(mu[index], snapshot_of(fom, mu[index]))
