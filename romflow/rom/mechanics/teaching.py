"""Dual fields that a reduced mechanics model learns from its own values on the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.rom.mechanics.meta_model import MetaModel
from romflow.rom.mechanics.model import MechanicsReducedModel

__all__ = ["taught"]


def taught(rom: MechanicsReducedModel, mu: np.ndarray, truth: Mapping[str, np.ndarray]) -> MechanicsReducedModel:
    """The model whose gappy fits of some dual fields are corrected by a regression on its own values at their rows.

    The regression knows what the model does wrong on the training; far from it the gappy fit stands, and the indicator
    goes on reading that fit's residual. Draws that do not converge teach nothing. Cost: the reduced runs of the
    training, and the regression's eigenvalue problems.

    Parameters
    ----------
    rom : MechanicsReducedModel
    mu : (k, p)
        Training parameters.
    truth : dict of str to (K + 1, n_q, k)
        Coefficients of the true fields in the model's modes, at the model's times.

    Raises
    ------
    InputError, ShapeError
        The model has no such field; the coefficients have another shape.
    """
    times, regressions = rom.times, dict(rom.regressions)
    for name, z in truth.items():
        if name not in rom.dual:
            raise InputError(f"a regression of the field {name!r} was asked for; the model has {', '.join(rom.dual)}")
        if z.shape != (len(times), rom.dual[name].size, len(mu)):
            raise ShapeError(f"true coefficients of {name} have shape {z.shape}; the rule is "
                             f"({len(times)}, {rom.dual[name].size}, {len(mu)})")
    state = rom.start(mu)
    seen = []
    for t in times[1:].tolist():
        state = rom.advance(state, t)
        seen.append({name: rom.at_rows(name, state) for name in truth})
    good = state.converged
    groups = np.tile(np.flatnonzero(good), len(seen)) if good.sum() > 1 else None
    for name, z in truth.items():
        features = np.stack([values[name][:, good] for values in seen], axis=1)
        coefficients = z[1:, :, good].transpose(1, 0, 2)
        regressions[name] = MetaModel.fit(features.reshape(len(features), -1),
                                          coefficients.reshape(len(coefficients), -1), groups,
                                          rom.gappies[name].pseudo_inverse)
    return replace(rom, regressions=regressions)
