"""Affine models from matrices that somebody else assembled: a folder with model.toml, no Python needed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, RomflowError
from romflow.core.fingerprint import file_fingerprint
from romflow.core.names import nearest, one_line, shown
from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.matrix_files import read_matrix, read_vector
from romflow.fom.products import checked_inner_product
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace

_NAME = "model.toml"
_STABILITY = {"min-theta": ("reference",), "scm": (), "inf-sup": (), "expression": ("expression", "constant")}


@dataclass(frozen=True)
class _Term:
    """One [[operator]], [[rhs]] or [[output]] table: where it stands, its file, its coefficient, its name."""

    where: str
    file: Path
    theta: str | float
    name: str = ""


class AffineFiles(AffineModel):
    """A(mu) u = f(mu) with terms read from files, as model.toml lists them.

    ::

        [[operator]]                 # A(mu) = sum_q theta_q(mu) A_q; .mtx, .npz (SciPy) or .npy, symmetric or not
        file = "A0.mtx"
        theta = "conductivity_0"     # arithmetic on the columns of the study's parameters, or a number
        [[rhs]]                      # .mtx, .npz or .npy: (n,), (n, 1) or (1, n)
        file = "f.npy"
        theta = "1"
        [inner_product]              # optional: symmetric positive definite; else the symmetric part of A at the centre
        file = "X.mtx"
        [mass]                       # optional: M of M du/dt + A(mu) u = f, for studies with a table [time]
        file = "M.mtx"
        [stability]                  # optional: without it the error estimate is an indicator
        kind = "min-theta"           # or "scm", "inf-sup", "expression"
        reference = [1.0, 1.0]       # of min-theta: a parameter; the centre of the space where it is left out
        [[output]]                   # optional; tables of one name are summed; theta is "1" where it is left out
        name = "mean"
        file = "l.npy"

    With kind = "expression", `expression` is a lower bound of the stability constant that you vouch for, and `constant`
    says which: "coercivity" (the default) or "inf-sup".

    Parameters
    ----------
    parameters : ParameterSpace
    path : str
        Folder that holds model.toml; file names in it are relative to this folder.
    base : path
        Folder that `path` is relative to.
    residual_tolerance : float
        Largest relative residual of an accepted solution; raise it for badly scaled systems only.

    Raises
    ------
    ConfigError
        model.toml is missing, is not TOML, or has an unknown key, a missing key or a wrong value.
    InputError
        A file is missing, damaged, of another shape, not real or not finite; the inner product is not symmetric
        positive definite. Every message names the file.
    """

    def __init__(self, parameters: ParameterSpace, path: str, base: str | Path = ".",
                 residual_tolerance: float = 1e-9) -> None:
        if not isinstance(path, str | Path):
            raise ConfigError(f"path = {shown(path)} is not a text; name the folder that holds {_NAME}")
        if isinstance(residual_tolerance, bool) or not isinstance(residual_tolerance, int | float) \
                or not 0.0 < residual_tolerance < 1.0:
            raise ConfigError(f"residual_tolerance = {shown(residual_tolerance)} is not a number between 0 and 1")
        source = Path(base, path) / _NAME
        reader = _Reader(source, parameters)
        content = reader.content
        operator = reader.operator(content.get("operator"))
        n = operator.shape[0]
        X, X_file = reader.inner_product(content.get("inner_product"), operator)
        stability = reader.stability(content.get("stability"))
        mass, identity = reader.mass(content.get("mass"), n)
        super().__init__(parameters, operator, reader.rhs(content.get("rhs"), n), X,
                         reader.outputs(content.get("output", []), n), spec={}, norm="X", stability=stability,
                         residual_tolerance=float(residual_tolerance), mass=mass)
        self.files = (source, *reader.files)
        self.spec = {"kind": "affine-files", "terms": reader.described, "inner_product": X_file,
                     "residual_tolerance": float(residual_tolerance), **identity}


class _Reader:
    """Reads the tables of one model.toml; every error names it, the table and the file."""

    def __init__(self, source: Path, parameters: ParameterSpace) -> None:
        self.source, self.parameters = source, parameters
        self.files: list[Path] = []
        self.described: list[list[str]] = []
        self.content = _toml(source)
        self._only(self.content, "", ("operator", "rhs", "inner_product", "mass", "stability", "output"))

    def operator(self, tables: Any) -> AffineOperator:
        """[[operator]], at least one; square, of one shape."""
        terms = self._terms(tables, "operator", least=1)
        matrices: list[sp.csr_array] = []
        for term in terms:
            matrix = self._matrix(term)
            n = matrices[0].shape[0] if matrices else matrix.shape[0]
            if matrix.shape != (n, n) or n == 0:
                raise InputError(f"{term.file} has shape {matrix.shape}; the rule is " + (
                    f"({n}, {n}), the shape of {terms[0].file.name}" if matrices else "a square matrix (n, n)"))
            matrices.append(matrix)
        return AffineOperator(self._theta(terms), matrices)

    def rhs(self, tables: Any, n: int) -> AffineVector:
        """[[rhs]], at least one."""
        terms = self._terms(tables, "rhs", least=1)
        return AffineVector(self._theta(terms), np.column_stack([self._vector(term, n) for term in terms]))

    def outputs(self, tables: Any, n: int) -> AffineOutputs | None:
        """[[output]]: functionals of equal theta share a term."""
        terms = self._terms(tables, "output", least=0, named=True)
        if not terms:
            return None
        names = list(dict.fromkeys(term.name for term in terms))
        thetas = list(dict.fromkeys(str(term.theta) for term in terms))
        functionals = np.zeros((len(thetas), len(names), n))
        for term in terms:
            functionals[thetas.index(str(term.theta)), names.index(term.name)] += self._vector(term, n)
        self._theta(terms)
        return AffineOutputs(names, Theta(thetas, self.parameters.columns), functionals)

    def inner_product(self, table: Any, operator: AffineOperator) -> tuple[sp.csr_array, str | None]:
        """[inner_product] and its identity; else the symmetric part of A at the centre of the parameter space."""
        if table is None:
            centre = self.parameters.centre()
            A = operator.assemble(centre)
            X, identity = sp.csr_array(0.5 * (A + A.T)), None
            owner = (f"{self.source}: no [inner_product] is given, and the symmetric part of the operator at the "
                     f"centre of the parameter space, mu = {centre.tolist()},")
        else:
            X, owner, identity = self._single(table, "[inner_product]")
        return _positive(X, operator.shape[0], f"{owner} is no inner product"), identity

    def mass(self, table: Any, n: int) -> tuple[sp.csr_array | None, dict[str, str]]:
        """[mass] and its identity; None where there is none."""
        if table is None:
            return None, {}
        M, owner, identity = self._single(table, "[mass]")
        return _positive(M, n, f"{owner} is no mass matrix"), {"mass": identity}

    def _single(self, table: Any, where: str) -> tuple[sp.csr_array, str, str]:
        """Matrix of a table with a file alone, the name of that file, and its identity."""
        self._only(self._table(table, where), where, ("file",))
        term = _Term(where, self._file(table, where), "1")
        return self._matrix(term), str(term.file), file_fingerprint(term.file)

    def stability(self, table: Any) -> dict[str, Any] | None:
        """[stability] with the keys of its kind."""
        if table is None:
            return None
        where = "[stability]"
        kind = self._text(self._table(table, where), "kind", where)
        if kind not in _STABILITY:
            raise ConfigError(f"{self.source}: {where} kind: no stability bound is called {shown(kind)}"
                              f"{nearest(kind, _STABILITY)}")
        self._only(table, f"{where} of kind {kind!r}", ("kind", *_STABILITY[kind]))
        if "reference" in table:
            self._reference(table["reference"])
        if kind == "expression":
            with self._naming(where):
                Theta([self._text(table, "expression", where)], self.parameters.columns)
            if table.get("constant", "coercivity") not in ("coercivity", "inf-sup"):
                raise ConfigError(f'{self.source}: {where} constant = {shown(table["constant"])} is neither '
                                  '"coercivity" nor "inf-sup"')
        return dict(table)

    def _reference(self, reference: Any) -> None:
        columns = self.parameters.columns
        values = [reference.get(name) for name in columns] if isinstance(reference, dict) else reference
        fits = isinstance(values, list) and len(values) == len(columns) == len(reference)
        if not fits or not all(_is_number(value) for value in values):
            raise ConfigError(f"{self.source}: [stability] reference = {shown(reference)} is not {len(columns)} finite "
                              f"numbers, one for each of {', '.join(columns)}")

    def _terms(self, tables: Any, key: str, least: int, named: bool = False) -> list[_Term]:
        if tables is None or tables == []:
            if least == 0:
                return []
            raise ConfigError(f"{self.source}: needs at least one [[{key}]] table with file and theta")
        if not isinstance(tables, list):
            raise ConfigError(f"{self.source}: {key} is not a list of tables; write [[{key}]] with two brackets")
        terms = [self._term(table, f"[[{key}]] {number}", named) for number, table in enumerate(tables, start=1)]
        self.described += [[key, term.name, file_fingerprint(term.file), str(term.theta)]
                           for term in terms if self._exists(term)]
        return terms

    def _term(self, table: Any, where: str, named: bool) -> _Term:
        self._only(self._table(table, where), where, ("name", "file", "theta") if named else ("file", "theta"))
        name = self._text(table, "name", where) if named else ""
        if "theta" not in table and not named:
            raise ConfigError(f"{self.source}: {where} needs the key 'theta'; write theta = \"1\" for a constant term")
        return _Term(where, self._file(table, where), table.get("theta", "1"), name)

    def _theta(self, terms: list[_Term]) -> Theta:
        for term in terms:
            with self._naming(f"{term.where} ({term.file.name})"):
                Theta([term.theta], self.parameters.columns)
        return Theta([term.theta for term in terms], self.parameters.columns)

    def _vector(self, term: _Term, n: int) -> np.ndarray:
        self.files.append(term.file)
        return read_vector(term.file, n)

    def _matrix(self, term: _Term) -> sp.csr_array:
        self.files.append(term.file)
        return read_matrix(term.file)

    def _exists(self, term: _Term) -> bool:
        if not term.file.is_file():
            raise InputError(f"{term.file} does not exist; {self.source} names it in {term.where}")
        return True

    def _file(self, table: dict[str, Any], where: str) -> Path:
        return self.source.parent / self._text(table, "file", where)

    def _text(self, table: dict[str, Any], key: str, where: str) -> str:
        if key not in table:
            raise ConfigError(f"{self.source}: {where} needs the key {key!r}")
        if not isinstance(table[key], str) or not table[key]:
            raise ConfigError(f"{self.source}: {where} {key} = {shown(table[key])} is not a text")
        return str(table[key])

    def _table(self, table: Any, where: str) -> dict[str, Any]:
        if not isinstance(table, dict):
            raise ConfigError(f"{self.source}: {where} is not a table of keys; write one {where} with its keys below")
        return table

    def _only(self, table: dict[str, Any], where: str, known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                raise ConfigError(f"{self.source}: {where + ' has' if where else 'there is'} no key {shown(key)}"
                                  f"{nearest(key, known)}")

    @contextmanager
    def _naming(self, where: str) -> Iterator[None]:
        try:
            yield
        except RomflowError as error:
            raise ConfigError(f"{self.source}: {where}: {error}") from error


def _positive(X: sp.csr_array, n: int, complaint: str) -> sp.csr_array:
    """X (n, n), symmetric positive definite; else an error that begins with the complaint."""
    try:
        X = checked_inner_product(X, n)
        _ = InnerProduct(X, "X").factor
    except InputError as error:
        raise InputError(f"{complaint}: {error}") from error
    return X


def _toml(source: Path) -> dict[str, Any]:
    if not source.is_file():
        raise ConfigError(f"{source} does not exist; path names the folder that holds {_NAME}")
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(one_line(f"{source} is not TOML: {error}")) from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
