"""Strains and stresses as a deviator of five numbers, whose length is von Mises' stress, and a sixth for volume."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["FROM_HARDENING_STRAIN", "FROM_STRAIN", "TO_PLASTIC_STRAIN", "TO_STRESS"]

# Orthonormal deviators by columns, for tensors whose shear components carry a factor sqrt(2).
_BASIS = np.zeros((6, 5))
_BASIS[:3, 0] = np.array([1.0, -1.0, 0.0]) / math.sqrt(2.0)
_BASIS[:3, 1] = np.array([1.0, 1.0, -2.0]) / math.sqrt(6.0)
_BASIS[3:, 2:] = np.eye(3)
_SHEAR = np.array([[1.0], [1.0], [1.0]] + 3 * [[math.sqrt(2.0)]])
_SIZE = math.sqrt(1.5)

#: (6, 6): from strains with engineering shear to the five numbers of the deviator, then the volume.
FROM_STRAIN = np.vstack([_SIZE * (_BASIS / _SHEAR).T, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
#: (6, 6): from a deviator and a pressure (here the mean stress) to the stress.
TO_STRESS = np.column_stack([_BASIS / _SHEAR / _SIZE, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
#: (6, 5): from a unit deviator n to d strain / d p of plastic flow in its direction, 3/2 s / J, engineering shear.
TO_PLASTIC_STRAIN = _SIZE * _BASIS * _SHEAR
#: (5, 6): from hardening strains, of which C times two thirds is the stress, to the deviators a with stress C a.
FROM_HARDENING_STRAIN = 2.0 / 3.0 * FROM_STRAIN[:5]
