"""Stability bounds of split models, from their inner product alone: no eigenproblem on the whole mesh."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.parameters.expressions import Theta
from romflow.rom.stability import Expression, MinTheta, StabilityBound


def stability_by_weights(problem: Any) -> StabilityBound | None:
    """alpha(mu) >= min_q theta_q(mu) / w_q over the terms of X = sum_q w_q A_q, where all others are skew-symmetric.

    For v^T A(mu) v = sum_q theta_q(mu) v^T A_q v >= min_q (theta_q / w_q) v^T X v, as v^T A_q v >= 0 (Patera and Rozza
    2007, section 4.2). It is exact where all quotients are equal, and serves kinds "scm" and "inf-sup" too, whose
    constants are no smaller. A formula of the user is taken as it is.

    Parameters
    ----------
    problem : CellProblem

    Raises
    ------
    NotSupported
        A term beside those of X is not skew-symmetric.
    """
    wish, columns = problem.stability, problem.parameters.columns
    if wish is None:
        return None
    if wish["kind"] == "expression":
        return Expression(Theta([wish["expression"]], columns), wish.get("constant", "coercivity"))
    weights = np.array(problem.product, dtype=float)
    active = np.flatnonzero(weights > 0.0)
    for q, term in enumerate(problem.terms):
        if term.form.symmetry != (1 if weights[q] > 0.0 else -1):
            raise NotSupported(f"operator term {q} is neither a symmetric term of the inner product nor "
                               "skew-symmetric, so that a model on MPI ranks has no stability bound from its inner "
                               "product; give the model stability kind \"expression\", or leave out [cluster] ranks")
    expressions = [problem.theta.expressions[int(q)] for q in active]
    return MinTheta(Theta(expressions, columns), weights[active], 1.0)
