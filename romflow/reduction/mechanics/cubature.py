"""Cubature of the reduced internal forces: rows from modes, selection in the subdomains, then among what they chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from romflow.linalg.cubature.compression import compressed_rows, integrands, merged_factor
from romflow.linalg.cubature.nonnegative import Cubature
from romflow.linalg.cubature.two_level import LocalSelection, global_selection, two_level
from romflow.reduction.mechanics.blocks import STRESS
from romflow.reduction.mechanics.runner import BlockRunner

__all__ = ["ForceCubature", "force_cubature"]

# Singular values of the rows below this share of the first are rounding noise.
_NOISE = 1e-9


@dataclass(frozen=True)
class ForceCubature:
    """A rule for the internal forces, and what a rule for fewer modes can be chosen from.

    Attributes
    ----------
    rule : Cubature
    candidates : (c,) int
        Points that the subdomains chose, rising.
    strain : (6, c, r); stress : (6, c, n_s)
        Modes there, those of stress times their singular values.
    integrals : (r n_s,)
        Of all integrands over the whole mesh.
    volume : float
    size : (r,)
        Integrals of |stress| : |eps(psi_i)| of a typical training stress, what balanced forces are small against.
    facts : dict
        JSON: rows, candidates, points, residual.
    """

    rule: Cubature
    candidates: np.ndarray
    strain: np.ndarray
    stress: np.ndarray
    integrals: np.ndarray
    volume: float
    size: np.ndarray
    facts: dict[str, Any]

    def degraded(self, modes: int, tolerance: float) -> Cubature:
        """A rule for the first displacement modes alone, among the candidates.

        Raises
        ------
        SolveFailed
            They do not reach the tolerance.
        """
        G = integrands(self.strain[:, :, :modes], self.stress)
        rows = self.stress.shape[2] * modes
        own = LocalSelection(self.candidates, np.ones(self.candidates.size), G, self.integrals[:rows], self.volume)
        return global_selection([own], tolerance)

    def residual(self) -> float:
        """||G_Z x - b|| / ||b|| of the rule in the integrands before any compression."""
        places = np.searchsorted(self.candidates, self.rule.points)
        G = integrands(self.strain[:, places], self.stress[:, places])
        return float(np.linalg.norm(G @ self.rule.weights - self.integrals) / np.linalg.norm(self.integrals))


def force_cubature(runner: BlockRunner, V: np.ndarray, modes: np.ndarray, values: np.ndarray,
                   tolerance: float) -> ForceCubature:
    """Few points and positive weights for int sigma : eps(psi_i), with sigma any training stress, to a tolerance.

    Rows are the products of strains of the basis with stress modes, scaled by their singular values: in the Euclidean
    norm they are the rows of all training stresses but for what the modes leave. They are combined to as many as are
    independent (a task each subdomain); each subdomain then selects for its own integrals (a task each), and the rule
    is selected among their points. With one subdomain its own selection is the rule. Cost of a task:
    2 M^2 G_d flops for the rows, with M = r n_s, and 2 M' G_d a point.

    Parameters
    ----------
    runner : BlockRunner
    V : (n, r)
        Displacement modes.
    modes : (6 G, n_s), values : (n_s,)
        Stress modes and their singular values.
    tolerance : float
        ||G_Z x - b|| <= tolerance ||b||.

    Raises
    ------
    InputError
        All integrals vanish: no training state has internal forces.
    """
    about: dict[str, Any] = {"basis": runner.files.put(V), "modes": runner.spread(STRESS, modes),
                             "values": runner.files.put(values)}
    parts = runner.each("mechanics-integrals", **about)
    small = compressed_rows(merged_factor([part["factor"] for part in parts]), _NOISE)
    b = np.sum([part["integrals"] for part in parts], axis=0)
    turn, floor = runner.files.put(small.modes), float(np.linalg.norm(b)) / runner.subdomains
    found: list[LocalSelection] = []

    def select(local: float) -> list[LocalSelection]:
        answers = runner.each("mechanics-select", **about, turn=turn, tolerance=local, floor=floor)
        found[:] = [LocalSelection(one["points"], one["weights"], one["columns"], one["integrals"],
                                   float(one["volume"])) for one in answers]
        return found

    rule = two_level(select, tolerance)
    candidates = np.sort(np.concatenate([one.points for one in found]))
    strain, stress = _at(runner, V, modes * values, candidates)
    sizes = np.sum([part["sizes"] for part in parts], axis=0)
    all_of_it = ForceCubature(rule, candidates, strain, stress, b, float(sum(one.volume for one in found)), sizes, {})
    facts = {"points": int(rule.points.size), "candidates": int(candidates.size), "rows": int(b.size),
             "independent_rows": int(small.modes.shape[1]), "residual": all_of_it.residual(),
             "subdomains": runner.subdomains, "tolerance": tolerance}
    return replace(all_of_it, facts=facts)


def _at(runner: BlockRunner, V: np.ndarray, stress: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strains (6, c, r) of the basis and stresses (6, c, n_s) at points."""
    E, dofs = runner.fom.mechanics.space.point_rows(points)
    strain = np.einsum("cev,cvr->ecr", E, V[dofs], optimize=True)
    return strain, stress.reshape(6, -1, stress.shape[1])[:, points]
