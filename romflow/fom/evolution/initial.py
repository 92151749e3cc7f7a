"""Initial states written as texts in x, y, z and the parameters: their values at the nodes, as an affine vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from romflow.core.errors import ConfigError, RomflowError
from romflow.core.mesh import Mesh
from romflow.core.names import shown
from romflow.fom.affine_terms import AffineVector
from romflow.fom.nonaffine.expansion import Expansion, Wish, expansion, training_parameters
from romflow.parameters.expressions import Theta
from romflow.parameters.fields import ParametricField
from romflow.parameters.space import ParameterSpace

__all__ = ["initial_state"]

_TOLERANCE, _TERMS, _TRAINING = 1e-8, 200, 400
# Random parameters at which an interpolated state is compared with its text, and how far it may be off.
_TRIED, _ALLOWED = 50, 100.0


def initial_state(texts: Sequence[str], mesh: Mesh | None, parameters: ParameterSpace) -> AffineVector:
    """u0(mu) (n,) of nodal values: exact where the texts separate, else interpolated to 1e-8 of the largest value.

    Values of nodes that are fixed on the boundary do not belong to the state.

    Parameters
    ----------
    texts : sequence of str
        One for each component of the field.
    mesh : Mesh or None
    parameters : ParameterSpace

    Raises
    ------
    ConfigError
        No mesh; another number of texts than components; a text that is no arithmetic of x, y, z and the parameters,
        is not finite somewhere, or needs more than 200 terms.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> mesh = Mesh([[0.0], [0.5], [1.0]], [[0, 1], [1, 2]], "line", [1, 2])
    >>> space = ParameterSpace([Parameter("a", Uniform(1.0, 2.0))])
    >>> initial_state(["a * x"], mesh, space).assemble(np.array([2.0])).round(12)
    array([1., 2.])
    """
    if mesh is None:
        raise ConfigError("[time] initial is a text in the coordinates, and this model has no mesh; leave it out, or "
                          "give an EvolutionModel of your own its initial = AffineVector(...)")
    if len(texts) != mesh.components:
        raise ConfigError(f"[time] initial has {len(texts)} texts, and the field of this model has {mesh.components} "
                          "components; give one for each")
    where, component = np.divmod(mesh.dofs, mesh.components)
    functions: list[np.ndarray] = []
    coefficients: list[str] = []
    for c, text in enumerate(texts):
        own = np.flatnonzero(component == c)
        found = _expanded(text, mesh.points[where[own]], parameters)
        vectors = np.zeros((len(mesh.dofs), len(found.texts)))
        vectors[own] = found.functions
        functions.append(vectors)
        coefficients.extend(found.texts)
    return AffineVector(Theta(coefficients, parameters.columns), np.hstack(functions))


def _expanded(text: str, points: np.ndarray, parameters: ParameterSpace) -> Expansion:
    try:
        field = ParametricField([text], points.shape[1], parameters.columns)
        found = expansion(field, points, training_parameters(parameters, _TRAINING), Wish(_TOLERANCE, _TERMS))
        tried = parameters.sample(_TRIED, np.random.default_rng(1))
        exact = field.values(points, tried)[0]
    except RomflowError as error:
        raise ConfigError(f"[time] initial: {error}") from error
    gap = np.abs(found.functions @ Theta(found.texts, parameters.columns)(tried).T - exact).max(initial=0.0)
    size = float(np.abs(exact).max(initial=0.0))
    if gap > _ALLOWED * _TOLERANCE * size:
        raise ConfigError(f"[time] initial = {shown(text)} is off by {gap / size:.1e} of its largest value with "
                          f"{len(found.texts)} terms; narrow the ranges of its parameters, or write it smoother")
    return found
