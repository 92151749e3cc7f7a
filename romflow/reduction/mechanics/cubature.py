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

# Combinations of rows below this share of the tolerance, in singular values, are left out at first; then tenths of it.
_SHARE = 1e-2
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
    independent and matter for the tolerance (a task each subdomain). Each subdomain then selects for its own integrals
    (a task each), and the rule is selected among their points; with one subdomain its own selection is the rule. The
    rule is checked with all rows, and selected again with more combinations where it fails. Cost of a task:
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
    factor = merged_factor([part["factor"] for part in parts])
    b = np.sum([part["integrals"] for part in parts], axis=0)
    about["floor"] = float(np.linalg.norm(b)) / runner.subdomains
    volume = float(sum(part["volume"] for part in parts))
    sizes = np.sum([part["sizes"] for part in parts], axis=0)
    cut = max(_SHARE * tolerance, _NOISE)
    while True:
        small = compressed_rows(factor, cut)
        rule, candidates = _selected(runner, about | {"turn": runner.files.put(small.modes)},
                                     tolerance * (1.0 - _SHARE))
        strain, stress = _at(runner, V, modes * values, candidates)
        found = ForceCubature(rule, candidates, strain, stress, b, volume, sizes, {})
        residual = found.residual()
        if residual <= tolerance or cut <= _NOISE:
            break
        cut = max(0.1 * cut, _NOISE)
    facts = {"points": int(rule.points.size), "candidates": int(candidates.size), "rows": int(b.size),
             "independent_rows": int(small.modes.shape[1]), "residual": residual, "subdomains": runner.subdomains,
             "tolerance": tolerance}
    return replace(found, facts=facts)


def _selected(runner: BlockRunner, about: dict[str, Any], tolerance: float) -> tuple[Cubature, np.ndarray]:
    """The rule, and all points (c,) that the subdomains chose, rising."""
    found: list[LocalSelection] = []

    def select(local: float) -> list[LocalSelection]:
        answers = runner.each("mechanics-select", **about, tolerance=local)
        found[:] = [LocalSelection(one["points"], one["weights"], one["columns"], one["integrals"],
                                   float(one["volume"])) for one in answers]
        return found

    rule = two_level(select, tolerance)
    return rule, np.sort(np.concatenate([one.points for one in found]))


def _at(runner: BlockRunner, V: np.ndarray, stress: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strains (6, c, r) of the basis and stresses (6, c, n_s) at points."""
    E, dofs = runner.fom.mechanics.space.point_rows(points)
    strain = np.einsum("cev,cvr->ecr", E, V[dofs], optimize=True)
    return strain, stress.reshape(6, -1, stress.shape[1])[:, points]
