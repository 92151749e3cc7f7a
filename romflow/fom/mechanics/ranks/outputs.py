"""Scalar outputs of a split body: each rank's share, added part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from romflow.fom.mechanics.outputs import field_of
from romflow.fom.mechanics.problem import Output, Point
from romflow.fom.mechanics.ranks.body import RankBody

__all__ = ["RankOutputs"]


class RankOutputs:
    """The outputs of the whole body, from what each rank has of them.

    Parameters
    ----------
    body : RankBody
    outputs : sequence of Output
        Of the whole body.
    """

    def __init__(self, body: RankBody, outputs: Sequence[Output]) -> None:
        self._body = body
        self._shares = [_share(body, output) for output in outputs]

    def values(self, point: Point, row: np.ndarray) -> np.ndarray:
        """Outputs (o,) at a point of this rank's part, for mu (p,); collective, the same on every rank."""
        problem = self._body.problem
        stress = np.zeros((6, problem.space.G)) if point.stress is None else point.stress
        imbalance: np.ndarray | None = None
        values = []
        for output in self._shares:
            if output.kind == "field":
                values.append(self._field(output, field_of(problem.law, str(output.field), stress, point.state)))
                continue
            x = point.displacement
            if output.kind == "reaction":
                if imbalance is None:
                    imbalance = problem.space.forces(stress) - problem.external(problem.rows(row, point.time))
                x = imbalance
            values.append(self._body.sums.dot(np.asarray(output.functional), x))
        return np.array(values, dtype=np.float64)

    def _field(self, output: Output, field: np.ndarray) -> float:
        weights = np.asarray(output.weights)
        if output.measure == "max":
            return self._body.sums.largest(np.where(weights > 0.0, field, -np.inf))
        return self._body.sums.points(weights * field)


def _share(body: RankBody, output: Output) -> Output:
    """The output with numbers for all local dofs or points; weights of a maximum are 1 where it is looked for."""
    if output.functional is not None:
        return replace(output, functional=output.functional[body.dofs])
    weights = np.zeros(body.G)
    maximum = output.measure == "max" or output.weights is None
    weights[output.points] = 1.0 if maximum else output.weights
    return replace(output, points=None, weights=weights[body.points])
