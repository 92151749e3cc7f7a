"""A mechanics problem as an input file of CalculiX: same mesh, law, temperatures, loads and supports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, NotSupported
from romflow.core.names import shown
from romflow.fom.mechanics.calculix.cards import finite_strains, law_cards, rate_dependent
from romflow.fom.mechanics.calculix.inp import number_text

if TYPE_CHECKING:
    from romflow.fom.mechanics.problem import MechanicsProblem

__all__ = ["ELEMENTS", "write_input"]

#: Element of this package -> CalculiX's with the same strains and points.
ELEMENTS = {"tri3": "CPE3", "tri6": "CPE6", "quad4": "CPE4", "tet4": "C3D4", "tet10": "C3D10", "hex8": "C3D8"}
_PLANE = ("CPE3", "CPE4", "CPE6")
_INCREMENTS = 1000


def write_input(problem: MechanicsProblem, mu: np.ndarray, times: Sequence[float] | np.ndarray, path: str | Path,
                tolerance: float = 1e-5, printed: bool = False) -> None:
    """Write the problem at mu over these times as `path`: one step of CalculiX for each time after the first.

    Loads are the very nodal forces f_ext(mu, t), temperatures the nodal ones, both at the end of a step and linear
    within it, where CalculiX cuts the increment by itself. Its results are in the binary form at the end of each step:
    displacements, temperatures, stresses and plastic strains at the nodes. Node j of the problem has the number j + 1.

    Parameters
    ----------
    problem : MechanicsProblem
    mu : (p,)
    times : (K + 1,)
        The body is undeformed and free of stress at the first.
    path : path
    tolerance : float
        Of the residual against the mean force, where CalculiX takes 5e-3.
    printed : bool
        Also print stress, plastic strain and place at each Gauss point to the .dat file.

    Raises
    ------
    NotSupported
        CalculiX has no such element or law; the message says which part.
    InputError
        The folder is not there.

    Notes
    -----
    The first step begins at the reference temperature of the law, since CalculiX subtracts the thermal strain of the
    initial temperature. Cost O((N + n) K) lines; entries that do not change are not repeated.
    """
    name = problem.space.element.name
    if name not in ELEMENTS:
        raise NotSupported(f"CalculiX has no element like {name!r} (its C3D8 and CPE4 are not B-bar); take one of "
                           f"{', '.join(ELEMENTS)}")
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist; make it, or write the input elsewhere")
    grid = np.asarray(times, dtype=np.float64)
    temperatures = _temperatures(problem, mu, grid)
    material, reference = law_cards(problem.law, _data(problem, mu, grid), temperatures)
    with open(path, "w", encoding="ascii") as file:
        _write_mesh(file, problem, ELEMENTS[name])
        file.write(material)
        file.write(f"*SOLID SECTION, ELSET=EALL, MATERIAL=LAW\n{'1.' if ELEMENTS[name] in _PLANE else ''}\n")
        file.write(f"*INITIAL CONDITIONS, TYPE=TEMPERATURE\nNALL, {number_text(reference)}\n")
        _Steps(file, problem, mu, tolerance, printed, reference).write(grid)


class _Steps:
    """Writes one step after another, and only what changes."""

    def __init__(self, file: TextIO, problem: MechanicsProblem, mu: np.ndarray, tolerance: float, printed: bool,
                 reference: float) -> None:
        self.file, self.problem, self.mu, self.tolerance, self.printed = file, problem, mu, tolerance, printed
        N, d = problem.space.nodes.shape
        self.d = d
        self.plane = ELEMENTS[problem.space.element.name] in _PLANE
        self.kind = "*VISCO, CETOL=1.E10" if rate_dependent(problem.law) else "*STATIC"
        self.geometry = "NLGEOM" if finite_strains(problem.law) else "NLGEOM=NO"
        self.force, self.placed = np.zeros(N * d), np.full(N * d, np.nan)
        self.temperature = np.full(N, reference)
        self.fixed = np.flatnonzero(~problem.supports.free)

    def write(self, times: np.ndarray) -> None:
        """All steps."""
        for start, end in zip(times[:-1], times[1:], strict=True):
            self._step(float(end - start), self.problem.rows(self.mu, float(end)))

    def _step(self, dt: float, rows: np.ndarray) -> None:
        problem, write = self.problem, self.file.write
        # Within a step of rate dependent laws an increment is as long as the step: shorter ones only where it is cut.
        write(f"*STEP, INC={_INCREMENTS}, {self.geometry}\n{self.kind}\n{number_text(dt)}, {number_text(dt)}, "
              f"{number_text(1e-6 * dt)}, {number_text(dt)}\n")
        t = number_text(self.tolerance)
        write(f"*CONTROLS, PARAMETERS=FIELD\n{t}, {number_text(min(1e-2, 1e3 * self.tolerance))},,, {t}\n")
        temperature = problem.nodal_temperature(rows)
        self._nodal("*TEMPERATURE", temperature, self.temperature)
        force, placed = problem.external(rows), problem.prescribed(rows)
        self._dofs("*CLOAD", force, np.flatnonzero(force != self.force), False)
        self._dofs("*BOUNDARY", placed, self.fixed[placed[self.fixed] != self.placed[self.fixed]], True)
        self.force, self.placed, self.temperature = force, placed, temperature
        where = ", OUTPUT=2D" if self.plane else ""
        write(f"*NODE OUTPUT, FREQUENCY={_INCREMENTS}{where}\nU, NT\n*ELEMENT OUTPUT, FREQUENCY={_INCREMENTS}{where}\n"
              "S, PEEQ\n")
        if self.printed:
            write(f"*EL PRINT, ELSET=EALL, FREQUENCY={_INCREMENTS}\nS, PEEQ, COORD\n")
        write("*END STEP\n")

    def _nodal(self, card: str, values: np.ndarray, before: np.ndarray) -> None:
        changed = np.flatnonzero(values != before)
        if changed.size:
            self.file.write(card + "\n")
            np.savetxt(self.file, np.column_stack([changed + 1, values[changed]]), "%d, %.12e")

    def _dofs(self, card: str, values: np.ndarray, changed: np.ndarray, ends: bool) -> None:
        if not changed.size:
            return
        self.file.write(card + "\n")
        component = changed % self.d + 1
        columns = [changed // self.d + 1, component, *([component] if ends else []), values[changed]]
        np.savetxt(self.file, np.column_stack(columns), "%d, " * (len(columns) - 1) + "%.12e")


def _write_mesh(file: TextIO, problem: MechanicsProblem, kind: str) -> None:
    nodes, cells = problem.space.nodes, problem.space.cells
    file.write("*NODE, NSET=NALL\n")
    number = np.arange(1, len(nodes) + 1)
    np.savetxt(file, np.column_stack([number, nodes]), "%d" + ", %.12e" * nodes.shape[1])
    file.write(f"*ELEMENT, TYPE={kind}, ELSET=EALL\n")
    np.savetxt(file, np.column_stack([np.arange(1, len(cells) + 1), cells + 1]), "%d", delimiter=", ")


def _temperatures(problem: MechanicsProblem, mu: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    """Least and greatest nodal temperature over the times after the first."""
    ends = [(found.min(), found.max())
            for found in (problem.nodal_temperature(problem.rows(mu, float(t))) for t in times[1:])]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _data(problem: MechanicsProblem, mu: np.ndarray, times: np.ndarray) -> dict[str, float]:
    """Columns that the law reads; they must not change in time, for CalculiX has one table of constants."""
    table = np.concatenate([problem.rows(mu, float(t)) for t in times[1:]])
    data: dict[str, float] = {}
    for name in problem.law.reads:
        values: NDArray[np.float64] = table[:, problem.loading.columns.index(name)]
        if np.ptp(values) > 0.0:
            raise NotSupported(f"the law reads {shown(name)}, which changes in time; CalculiX has constants that "
                               "depend on the temperature alone")
        data[name] = float(values[0])
    return data
