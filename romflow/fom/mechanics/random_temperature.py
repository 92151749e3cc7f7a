"""Random temperatures: terms of the temperature given by a covariance, alike on all meshes of a body."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.linalg.box_expansion import BoxExpansion
from romflow.linalg.karhunen_loeve import Covariance
from romflow.parameters.random_term import RandomTerm, clip_bounds

__all__ = ["random_temperature"]

_LOG = logging.getLogger(__name__)
_KEYS = ("covariance", "terms", "parameter", "box", "amplitude", "transform", "clip")
_COVARIANCE = ("kernel", "length", "std", "variance")
# Standard deviations whose squares are numbers.
_LEAST = 1e-100


def random_temperature(table: Mapping[str, Any], columns: Sequence[str], nodes: np.ndarray) -> RandomTerm:
    """amplitude(x, y, z, columns) * clip(h(sum_m sqrt(l_m) phi_m(x) xi_m)), h the identity or exp.

    (l_m, phi_m) are eigenpairs of the covariance on a box, found on a grid of its own and continued to the nodes by
    Nystroem (:class:`romflow.linalg.box_expansion.BoxExpansion`): a coarse and a fine mesh see the same field.

    Parameters
    ----------
    table : mapping
        ``covariance``: kernel (one of `romflow.linalg.karhunen_loeve.KERNELS`), length (one, or one for each
        direction), std or variance (1 where both are left out); ``terms``: their number M; ``parameter``: table of
        parameters whose M entries are the coordinates xi, of mean 0 and variance 1 such as normal(0, 1); ``box``: two
        corners, [[x, y, z], [x, y, z]] (those of the nodes where it is left out: give one where several meshes shall
        see the same field); ``amplitude``: text in x, y, z and the columns, default 1; ``transform``: "affine"
        (default) or "lognormal"; ``clip``: [low, high] for h(...), before the amplitude, since normal coordinates
        have no bounds and laws a range of temperatures.
    columns : sequence of str
        Of the loading.
    nodes : (N, d)

    Raises
    ------
    ConfigError
        A key or value is wrong; the table of parameters has not M entries; a node lies outside the box.

    Examples
    --------
    >>> table = {"covariance": {"kernel": "squared-exponential", "length": 1.0, "std": 2.0}, "terms": 2,
    ...          "parameter": "heat"}
    >>> term = random_temperature(table, ["heat_0", "heat_1", "t"], np.array([[0.0, 0.0], [1.0, 1.0]]))
    >>> term.modes.shape, round(term.share, 2)
    ((2, 2), 0.92)
    """
    for key in table:
        if key not in _KEYS:
            raise ConfigError(f"a random term of the temperature has no key {shown(key)}{nearest(str(key), _KEYS)}")
    terms = table.get("terms")
    if isinstance(terms, bool) or not isinstance(terms, int) or terms < 1:
        raise ConfigError(f"terms = {shown(terms)} of a random temperature; the rule is a whole number from 1")
    coordinates = _coordinates(table.get("parameter"), terms, columns)
    amplitude = table.get("amplitude", "1")
    if isinstance(amplitude, bool) or not isinstance(amplitude, str | int | float):
        raise ConfigError(f"amplitude = {shown(amplitude)} of a random temperature; the rule is a text or a number")
    lower, upper = clip_bounds(table.get("clip"))
    expansion = BoxExpansion(_covariance(table.get("covariance")), *_box(table.get("box"), nodes), terms)
    _LOG.info("random temperature: %d terms of %s capture %.4g of the variance", terms, table.get("parameter"),
              expansion.share)
    return RandomTerm(str(amplitude), expansion.at(nodes), coordinates, table.get("transform", "affine"),
                      lower, upper, expansion.share)


def _covariance(table: Any) -> Covariance:
    if not isinstance(table, Mapping):
        raise ConfigError(f"covariance = {shown(table)} of a random temperature; the rule is a table with kernel, "
                          "length and std")
    for key in table:
        if key not in _COVARIANCE:
            raise ConfigError(f"the covariance of a random temperature has no key {shown(key)}"
                              f"{nearest(str(key), _COVARIANCE)}")
    if "length" not in table:
        raise ConfigError("the covariance of a random temperature needs length, its correlation length")
    if "std" in table and "variance" in table:
        raise ConfigError("the covariance of a random temperature has std and variance; give one of the two")
    std = table.get("std", 1.0)
    if isinstance(std, bool) or not isinstance(std, int | float) or not _LEAST < std < 1.0 / _LEAST:
        raise ConfigError(f"std = {shown(std)} of a random temperature; the rule is a number above 0, whose square is "
                          "the variance")
    length = table["length"]
    length = tuple(length) if isinstance(length, list | tuple) else length
    return Covariance(table.get("kernel", "matern-3/2"), length, table.get("variance", float(std)**2))


def _coordinates(name: Any, terms: int, columns: Sequence[str]) -> tuple[str, ...]:
    """Columns of a table of parameters of this name and size."""
    if not isinstance(name, str):
        raise ConfigError(f"parameter = {shown(name)} of a random temperature; the rule is the name of a table of "
                          f"parameters with size = {terms}")
    found = (name,) if terms == 1 and name in columns else tuple(f"{name}_{i}" for i in range(terms))
    missing = [column for column in found if column not in columns]
    if missing or f"{name}_{terms}" in columns:
        have = [column for column in columns if column == name or column.removeprefix(f"{name}_").isdecimal()]
        raise ConfigError(f"the random temperature has terms = {terms} and the table of parameters {name!r} "
                          f"{len(have)} entries; give [parameters.{name}] size = {terms}")
    return found


def _box(given: Any, nodes: np.ndarray) -> tuple[Any, Any]:
    if given is None:
        return nodes.min(axis=0), nodes.max(axis=0)
    d = nodes.shape[1]
    if not isinstance(given, list | tuple) or len(given) != 2 or not all(
            isinstance(corner, list | tuple) and len(corner) == d for corner in given):
        raise ConfigError(f"box = {shown(given)} of a random temperature; the rule is two corners of {d} coordinates "
                          "each")
    return given[0], given[1]
