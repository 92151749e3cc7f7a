"""The rule of method "auto": the cheaper of a direct and a multigrid solver by a cost model, measured on one core.

Cost of one set-up and five solves on the pattern, in seconds of one core of 2020's:

* direct: analysis 2.5e-6 n + 2e-7 nnz once, then five times a fill + c operations, with (a, c) by back end and 1.7
  times as much for unsymmetric matrices;
* multigrid: five times 5e-7 nnz for the hierarchy and 2.5e-8 nnz an iteration and right-hand side, 20 iterations (50
  for near-null spaces of vectors).

Fill and operations come from n, the entries a row and the dimension of the graph. Only ratios matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from romflow.linalg.solvers.direct import default_backend
from romflow.linalg.solvers.facts import MatrixFacts, machine_memory
from romflow.linalg.solvers.optional import installed

__all__ = ["Choice", "choose"]

_USES = 5
# Seconds for an entry of the factor and for one of its operations.
_FACTOR = {"pardiso": (2e-8, 2e-11), "cholmod": (4e-8, 2e-11), "mumps": (3e-8, 4e-11), "superlu": (7e-8, 3e-10),
           "lapack": (0.0, 5e-11)}
_UNSYMMETRIC = 1.7
_SUBSTITUTION = 3e-9
_HIERARCHY, _CYCLE = 5e-7, 2.5e-8
_SCALAR_ITERATIONS, _VECTOR_ITERATIONS = 20, 50
_SHARE_OF_MEMORY = 0.5
_FEWEST = 60


@dataclass(frozen=True)
class Choice:
    """A method, its back end or preconditioner, how many iterations it may take, and the reason in words."""

    method: str
    backend: str
    preconditioner: str
    iterations: int
    reason: str


def choose(facts: MatrixFacts, *, near_nullspace: bool = False, right_hand_sides: int = 1, max_iterations: int = 1000,
           backend: str = "auto") -> Choice:
    """The method for a matrix with these facts.

    * Dense or tiny: LAPACK.
    * Symmetric indefinite: direct while the factors fit into half of the memory, else MINRES.
    * Otherwise multigrid is a candidate where the signs are those of a lattice (classical) or a near-null space is
      given (smoothed aggregation): it is taken where the cost model prefers it, with CG for symmetric and GMRES for
      unsymmetric matrices. Its iterations are limited to about the cost of the direct solve.
    * Everything else: direct while the factors fit, else CG or GMRES with smoothed aggregation.

    Parameters
    ----------
    facts : MatrixFacts
    near_nullspace : bool
    right_hand_sides : int
        Expected with one matrix.
    max_iterations : int
    backend : str
        Of direct solves.

    Returns
    -------
    Choice

    Examples
    --------
    >>> facts = MatrixFacts(10**6, 7 * 10**6, True, True, 3.0, True, 1e9, 1e13)
    >>> choose(facts).method
    'cg'
    >>> choose(MatrixFacts(10**5, 5 * 10**5, True, False, 2.0, False, 5e6, 1e9)).method
    'direct'
    """
    direct = default_backend(facts.n, facts.nnz, facts.definite is not False and facts.symmetric) \
        if backend == "auto" else backend
    fits = facts.memory <= _SHARE_OF_MEMORY * machine_memory()
    base = f"{facts.text()}; {right_hand_sides} right-hand side(s); {_installed()}"
    if direct == "lapack":
        return Choice("direct", direct, "none", 0, f"{base}: dense or small, so LAPACK")
    if facts.symmetric and facts.definite is False:
        if fits:
            return Choice("direct", direct, "none", 0, f"{base}: indefinite, so direct")
        return Choice("minres", direct, "smoothed-aggregation", max_iterations,
                      f"{base}: indefinite, and the factors do not fit into half of the memory")
    krylov = "cg" if facts.symmetric else "gmres"
    kind = "smoothed-aggregation" if near_nullspace else "ruge-stuben" if facts.lattice else ""
    if not kind:
        if fits:
            return Choice("direct", direct, "none", 0,
                          f"{base}: neither the signs of a lattice nor a near-null space for multigrid, so direct")
        return Choice(krylov, direct, "smoothed-aggregation", max_iterations,
                      f"{base}: the factors do not fit into half of the memory")
    factor, grid, cycle = _costs(facts, direct, kind, right_hand_sides)
    text = f"expected for {_USES} solves, direct ({direct}) {factor:.2g} s and multigrid ({kind}) {grid:.2g} s"
    if fits and factor <= grid:
        return Choice("direct", direct, "none", 0, f"{base}: {text}, so direct")
    most = max(_FEWEST, int(factor / _USES / cycle)) if fits else max_iterations
    return Choice(krylov, direct, kind, min(most, max_iterations), f"{base}: {text}, so {krylov}"
                  if fits else f"{base}: the factors do not fit into half of the memory")


def _costs(facts: MatrixFacts, direct: str, kind: str, columns: int) -> tuple[float, float, float]:
    """Seconds of the direct solver, of the multigrid solver, and of one of its iterations."""
    a, c = _FACTOR[direct]
    numeric = (a * facts.fill + c * facts.operations) * (1.0 if facts.symmetric else _UNSYMMETRIC)
    factor = 2.5e-6 * facts.n + 2e-7 * facts.nnz + _USES * (numeric + _SUBSTITUTION * facts.fill * columns)
    iterations = _VECTOR_ITERATIONS if kind == "smoothed-aggregation" else _SCALAR_ITERATIONS
    cycle = _CYCLE * facts.nnz * columns
    return factor, _USES * (_HIERARCHY * facts.nnz + iterations * cycle), cycle


def _installed() -> str:
    found = installed()
    return f"installed: {', '.join(found)}" if found else "no PARDISO, CHOLMOD or MUMPS installed"
