"""Heat conduction on a mesh from a file, with one conductivity a region."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.cell_model import CellModel
from romflow.fom.cells import CellProblem, CellTerm
from romflow.fom.gallery.elements import nodal_load
from romflow.fom.gallery.forms import Diffusion
from romflow.fom.gallery.mesh_files import MeshFile
from romflow.fom.gallery.rules import check_positive
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace


class DiffusionOnMesh(CellModel):
    """-div(d grad u) = 1 on a mesh, u = 0 on `fixed`, no flux elsewhere, d = mu_q on the region with the q-th tag.

    A(mu) = sum_q mu_q A_q; X is A at mu = 1, so that min_q mu_q bounds the coercivity constant from below (min-theta).
    Output "average" = integral of u.

    Parameters
    ----------
    parameters : ParameterSpace
        One positive conductivity a region, in the rising order of their tags.
    mesh : str
        File of a mesh (see `romflow.fom.gallery.mesh_files.MeshFile`).
    fixed : list of str or int
        Boundaries with u = 0: "boundary" (all of it), names or numbers of groups of facets, planes such as "x = 0".
    base : path
        Folder that `mesh` is relative to.

    Raises
    ------
    ConfigError
        An option is wrong, the number of parameters is not the number of regions, or a conductivity can be zero or
        negative.
    InputError
        The file is missing or cannot be read.
    """

    def __init__(self, parameters: ParameterSpace, mesh: str, fixed: Sequence[str | int] = ("boundary",),
                 base: str | Path = ".") -> None:
        super().__init__(self.cell_problem(parameters, mesh, fixed, base))

    @staticmethod
    def cell_problem(parameters: ParameterSpace, mesh: str, fixed: Sequence[str | int] = ("boundary",),
                     base: str | Path = ".") -> CellProblem:
        """The model before it is assembled; arguments as for the class."""
        check_positive("diffusion", parameters, parameters.columns)
        if not isinstance(fixed, list | tuple) or not fixed:
            raise ConfigError(f"fixed = {shown(fixed)} names no boundary, and the solution is not unique without one; "
                              "write fixed = [\"boundary\"]")
        file = MeshFile(mesh, base)
        columns, one = parameters.columns, Theta(["1"], parameters.columns)
        return CellProblem(
            parameters, {"kind": "diffusion", **file.spec, "fixed": list(fixed)}, 1,
            lambda: file.cells(fixed, 1, None, parameters.size), Theta(list(columns), columns),
            tuple(CellTerm(Diffusion(), q) for q in range(parameters.size)), (1.0,) * parameters.size,
            one, lambda mesh: nodal_load(mesh)[:, None], one, ("average",), lambda mesh: nodal_load(mesh)[None, None],
            norm="H1 semi-norm at conductivities 1",
            stability={"kind": "min-theta", "reference": [1.0] * parameters.size}, files=(file.path,), chunk=65536)
