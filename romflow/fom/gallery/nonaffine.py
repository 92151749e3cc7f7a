"""Diffusion, transport and reaction whose coefficients are texts in the coordinates and the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.fom.gallery.domains import domain
from romflow.fom.gallery.grids import directions
from romflow.fom.nonaffine.expansion import Wish
from romflow.fom.nonaffine.model import NonaffineModel, fields_of
from romflow.parameters.calculus import traced
from romflow.parameters.expressions import Theta
from romflow.parameters.fields import COORDINATES, ParametricField
from romflow.parameters.space import ParameterSpace

BOUNDS = ("next-points", "points")

#: A text, a number, or a function of the coordinates and the parameters in their order.
Coefficient = str | float | Callable[..., Any]


class Nonaffine(NonaffineModel):
    """-div(a grad u) + b . grad u + c u = f, u = 0 on `fixed`, no flux elsewhere; a, b, c, f of place and parameters.

    On a rectangle or box, or on a mesh from a file. The coefficients need not separate: full-order solutions use them
    as they are, and empirical interpolation makes the affine terms that reduced models need. What it leaves is part of
    their error estimate.

    Parameters
    ----------
    parameters : ParameterSpace
        None of them is called x, y or z.
    diffusion, reaction, source : str, number or function
        Arithmetic of x, y, z and the parameters, such as "1 + exp(-50 * ((x - a)**2 + (y - b)**2))"; in Python also a
        function ``(x, y, a, b)`` of NumPy arrays (see `romflow.parameters.calculus.traced`). The diffusion is positive.
    velocity : list of such, optional
        One a direction.
    cells : int or list of 2 or 3 int
        Rectangles or boxes along each direction; three numbers make a box.
    lengths : list of 2 or 3 numbers, optional
        Sides of the rectangle or box, which begins at the origin; 1 each without.
    element : {"P1", "Q1"}
        Linear triangles (four to a rectangle) or tetrahedra (six to a box); or bilinear rectangles, trilinear boxes.
    mesh : str, optional
        File of a mesh (see `romflow.fom.gallery.mesh_files.MeshFile`); takes the place of cells, lengths and element.
    fixed : list of str or int
        Boundaries with u = 0: "boundary" (all of it), planes such as "x = 0"; names or tags of the mesh file.
    outputs : mapping of str to text, optional
        Weights w(x) of outputs, the integrals of w u; "average" with w = 1 without.
    tolerance, max_terms : float, int
        Of the interpolation of each coefficient: relative to its largest value, and at most so many terms.
    training : int
        Parameters from which it is made.
    bound : {"next-points", "points"}
        Where the interpolation error is looked at online: at ten or more points that would come next or show the
        errors at further parameters, an indicator at a cost that does not depend on the mesh; or at all quadrature
        points, a bound whose cost grows with the mesh.
    interpolate : {"coefficients", "matrix"}
        Each coefficient by itself, or the matrix as a whole by its entries: fewer terms where several coefficients
        vary together.
    stability : {"pointwise", "scm", "inf-sup"} or another text
        "pointwise" takes the smallest values of the coefficients; another text is a formula of the parameters for a
        lower bound of the coercivity constant in the H1_0 semi-norm, which the user vouches for.
    base : path
        Folder that `mesh` is relative to.

    Raises
    ------
    ConfigError
        An option or a text is wrong.
    InputError
        A function cannot be followed; the mesh file cannot be read.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0))])
    >>> model = Nonaffine(space, diffusion="1 + exp(-4 * (x - a)**2)", cells=8)
    >>> model.n, model.operator.Q, bool(model.interpolation.of_operator(space.centre()[None])[0] < 1e-6)
    (113, 8, True)
    """

    def __init__(self, parameters: ParameterSpace, diffusion: Coefficient = 1.0, reaction: Coefficient | None = None,
                 velocity: Sequence[Coefficient] | None = None, source: Coefficient = 1.0,
                 cells: int | Sequence[int] = 32, lengths: Sequence[float] | None = None, element: str = "P1",
                 mesh: str | None = None, fixed: Sequence[str | int] = ("boundary",),
                 outputs: Mapping[str, Coefficient] | None = None, tolerance: float = 1e-6, max_terms: int = 40,
                 training: int = 128, bound: str = "next-points", interpolate: str = "coefficients",
                 stability: str = "pointwise", base: str | Path = ".") -> None:
        if bound not in BOUNDS:
            raise ConfigError(f"no bound is called {shown(bound)}{nearest(str(bound), BOUNDS)}")
        place = domain(cells, element, lengths, fixed, mesh, base, default=directions(lengths, 2))
        d = place.d
        texts = _texts({"diffusion": diffusion, "reaction": reaction, "velocity": velocity, "source": source}, d,
                       parameters.columns)
        if outputs is not None and not isinstance(outputs, Mapping):
            raise ConfigError(f"outputs = {shown(outputs)}; the rule is a table of names and weights, such as "
                              "outputs = {average = \"1\"}")
        weights = {str(name): _text(str(name), weight, d, ()) for name, weight in (outputs or {"average": 1.0}).items()}
        super().__init__(
            parameters, place.mesh(), fields_of(texts, d, parameters.columns),
            {name: _weight(name, text, d, parameters.columns) for name, text in weights.items()},
            {"kind": "nonaffine", **place.spec, "outputs": weights, **texts},
            Wish(tolerance, max_terms, training, bound == "points"), interpolate,
            _stability(stability, parameters.columns), place.files)


def _texts(given: Mapping[str, Any], d: int, columns: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name == "velocity" and not isinstance(value, list | tuple):
            raise ConfigError(f"velocity = {shown(value)}; the rule is a list of {d} texts, one a direction")
        parts = value if name == "velocity" else [value]
        found[name] = [_text(name, part, d, columns) for part in parts]
    return found


def _text(name: str, value: Any, d: int, columns: Sequence[str]) -> str:
    if callable(value):
        texts = traced(value, (*COORDINATES[:d], *columns))
        if len(texts) != 1:
            raise ConfigError(f"the function of {name} returns {len(texts)} values; the rule is one")
        return texts[0]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{name} = {shown(value)}; the rule is a text of x, y, z and the parameters, or a number")
    return value if isinstance(value, str) else repr(value)


def _weight(name: str, text: str, d: int, columns: Sequence[str]) -> ParametricField:
    field = ParametricField([text], d, columns)
    if field.varies_with_parameters:
        raise ConfigError(f"the output {shown(name)} = {shown(text)} names a parameter; weights are texts of the "
                          "coordinates alone")
    return field


def _stability(wish: str, columns: Sequence[str]) -> dict[str, Any]:
    known = ("pointwise", "scm", "inf-sup")
    if wish in known:
        return {"kind": wish}
    try:
        Theta([wish], columns)
    except ConfigError as error:
        raise ConfigError(f"stability = {shown(wish)} is no formula of the parameters ({error}) and no kind of bound"
                          f"{nearest(str(wish), known)}") from None
    return {"kind": "expression", "expression": wish}
