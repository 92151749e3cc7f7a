"""From the table of a study to a material law, and from a law to what is stored and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from romflow.core import registry
from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.materials.protocol import MaterialLaw

__all__ = ["law_from_spec", "law_identity", "law_spec", "make_law"]


_POWERS = ("variables", "symmetric", "temperature_range", "reads", "initial", "integrate", "to_spec")


def make_law(spec: Mapping[str, Any], columns: Sequence[str] = (), base: str | Path = ".") -> MaterialLaw:
    """The law that a table {kind = ..., options} describes.

    Parameters
    ----------
    spec : mapping
        "kind": "thermoelastic", "viscoplastic" or "path/file.py:Class"; the other keys are arguments of the class.
    columns : sequence of str
        Names that texts may use beside "T": parameters, amplitudes, "t" (``Loading.columns``). A user's class gets
        them if it takes an argument `columns`.
    base : path
        Folder that relative paths start from.

    Raises
    ------
    ConfigError
        The kind is unknown, an option is wrong or absent, or the class does not follow the protocol.

    Examples
    --------
    >>> make_law({"kind": "thermoelastic", "young": "E", "poisson": 0.3}, columns=["E"]).reads
    ('E',)
    """
    options = {name: value for name, value in spec.items() if name != "kind"}
    kind = spec.get("kind")
    if not isinstance(kind, str):
        raise ConfigError(f"the law's kind = {shown(kind)}; known: {', '.join(registry.known('law'))}, or a user's "
                          "'path/file.py:Class'.")
    fixed: dict[str, Any] = {} if "columns" in options else {"columns": tuple(columns)}
    law = registry.build("law", kind, base, options, **fixed)
    if not isinstance(law, MaterialLaw):
        lacking = [word for word in _POWERS if not hasattr(law, word)]
        raise ConfigError(f"{kind} is no material law: it has no {', '.join(lacking)}; see the protocol MaterialLaw.")
    return law


def law_spec(law: MaterialLaw) -> dict[str, Any]:
    """JSON-able description of any law, with the file of a user's class, for :func:`law_from_spec`."""
    spec = dict(law.to_spec())
    cls = type(law)
    if cls.__module__.startswith("romflow."):
        return spec
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None:
        raise ConfigError(f"the law {cls.__name__} is in no file, so it cannot be stored; write its class in a file.")
    return {**spec, "kind": f"{Path(file).resolve()}:{cls.__name__}"}


def law_identity(law: MaterialLaw) -> dict[str, Any]:
    """JSON-able identity of any law: its description, a user's class by the SHA-256 of its file wherever that is."""
    spec = law_spec(law)
    code = registry.source_identity("law", str(spec.get("kind")), ".")
    return {**spec, "kind": code.get("kind", code)}


def law_from_spec(spec: Mapping[str, Any], base: str | Path = ".") -> MaterialLaw:
    """The law that :func:`law_spec` described.

    Raises
    ------
    ConfigError
        The user's file is gone or has no such class.

    Examples
    --------
    >>> from romflow.materials.reference import REFERENCE
    >>> law = make_law(REFERENCE)
    >>> law_from_spec(law_spec(law)).to_spec() == law.to_spec()
    True
    """
    law: MaterialLaw = registry.load("law", str(spec.get("kind")), base).from_spec(dict(spec))
    return law
