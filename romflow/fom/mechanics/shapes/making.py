"""The body that the options of a study name: a shape made here, or the file of a mesh."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from romflow.core.errors import ConfigError
from romflow.core.fingerprint import file_fingerprint
from romflow.core.names import nearest, shown
from romflow.fom.mechanics.mesh_file import read_solid
from romflow.fom.mechanics.shapes.blade import blade
from romflow.fom.mechanics.shapes.box import box
from romflow.fom.mechanics.shapes.plate_with_hole import plate_with_hole
from romflow.fom.mechanics.solid import Solid

__all__ = ["SHAPES", "make_solid", "mesh_spec"]

#: Name in a study -> function of its options.
SHAPES: dict[str, Callable[..., Solid]] = {"plate-with-hole": plate_with_hole, "box": box, "blade": blade}


def make_solid(mesh: str | Path | Mapping[str, Any], base: str | Path = ".", element: str | None = None) -> Solid:
    """The body of a study.

    Parameters
    ----------
    mesh : str or mapping
        Path of a file that meshio reads, or a table with ``shape`` and the options of that shape.
    base : path
        Folder that a file is relative to.
    element : str, optional
        What a box is cut for.

    Raises
    ------
    ConfigError, InputError
        The shape or an option is unknown or wrong; the file cannot be read.

    Examples
    --------
    >>> make_solid({"shape": "plate-with-hole", "cells": [4, 8]}).nodes.shape
    (45, 2)
    """
    if isinstance(mesh, str | Path) and str(mesh):
        return read_solid(Path(base, mesh))
    if not isinstance(mesh, Mapping) or "shape" not in mesh:
        raise ConfigError(f"mesh = {shown(mesh)}; the rule is the path of a file or a table with shape, such as "
                          "{shape = \"plate-with-hole\"}")
    name = mesh["shape"]
    if not isinstance(name, str) or name not in SHAPES:
        raise ConfigError(f"no shape is called {shown(name)}{nearest(str(name), SHAPES)}")
    options = {key: value for key, value in mesh.items() if key != "shape"}
    known = inspect.signature(SHAPES[name]).parameters
    for key in options:
        if key not in known:
            raise ConfigError(f"the shape {name} has no option {shown(key)}{nearest(key, known)}")
    if name == "box" and element is not None:
        options.setdefault("element", element)
    if name == "blade" and element is not None:
        options.setdefault("order", 1 if element == "tet4" else 2)
    return SHAPES[name](**options)


def mesh_spec(mesh: str | Path | Mapping[str, Any], base: str | Path = ".") -> dict[str, Any]:
    """JSON identity of a mesh: the SHA-256 of the file, or the table."""
    if isinstance(mesh, Mapping):
        return dict(mesh)
    return {"mesh": file_fingerprint(Path(base, mesh))}
