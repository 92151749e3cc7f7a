"""What a report shows of mechanics: a body beside its reduced model, reduced points, histories, adaptive runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ShapeError
from romflow.materials.protocol import PLASTIC
from romflow.report.checked import float_array, set_arrays

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BodyComparison:
    """The body at one time, as the truth has it and as the reduced model does; nodal values of N nodes in d directions.

    Parameters
    ----------
    mu : (p,) array
    time : (1,) array
    displacement_reduced : (N d,) array
        Entry node d + component.
    mises_reduced : (N,) array
        Von Mises stress.
    plastic_reduced : (N,) array, optional
        Accumulated plastic strain; None where the law has none.
    displacement_true, mises_true, plastic_true : the same of the truth, optional
        None where the truth is not known.

    Raises
    ------
    ShapeError
        The arrays do not belong to the same nodes.

    Examples
    --------
    >>> body = BodyComparison([1.0], 2.0, np.zeros(4), [3.0, 4.0], mises_true=[3.0, 4.5])
    >>> sorted(body.fields), body.fields["mises"][0].tolist()
    (['mises'], [3.0, 4.5])
    """

    mu: Array
    time: Array
    displacement_reduced: Array
    mises_reduced: Array
    plastic_reduced: Array | None = None
    displacement_true: Array | None = None
    mises_true: Array | None = None
    plastic_true: Array | None = None

    def __post_init__(self) -> None:
        set_arrays(self, ("mu", "displacement_reduced", "mises_reduced"))
        object.__setattr__(self, "time", float_array("time", np.atleast_1d(self.time), 1, 1))
        set_arrays(self, ("plastic_reduced", "mises_true", "plastic_true"), len(self.mises_reduced))
        set_arrays(self, ("displacement_true",), len(self.displacement_reduced))
        if not len(self.mises_reduced) or len(self.displacement_reduced) % len(self.mises_reduced):
            raise ShapeError(f"displacements have shape {self.displacement_reduced.shape} for "
                             f"{len(self.mises_reduced)} nodes; give all directions of every node.")

    @property
    def fields(self) -> dict[str, tuple[Array | None, Array]]:
        """The truth, if it is known, and the reduced model of each field that there is."""
        found: dict[str, tuple[Array | None, Array]] = {}
        if self.plastic_reduced is not None:
            found[PLASTIC] = self.plastic_true, self.plastic_reduced
        return found | {"mises": (self.mises_true, self.mises_reduced)}


@dataclass(frozen=True)
class ReducedPoints:
    """Where the reduced model evaluates the law.

    Parameters
    ----------
    place : (m', d) array
    weight : (m',) array
        Of the cubature; 0 for points that serve the gappy fields alone.

    Raises
    ------
    ShapeError
        The arrays do not belong to the same points.
    """

    place: Array
    weight: Array

    def __post_init__(self) -> None:
        set_arrays(self, ("place",), ndim=2)
        set_arrays(self, ("weight",), len(self.place))


@dataclass(frozen=True)
class MechanicsHistory:
    """One run of the reduced model at K + 1 times, with its true errors where the truth is known.

    Parameters
    ----------
    mu : (p,) array
        The validation parameter with the largest error, or the centre of the parameter space.
    times : (K + 1,) array
    residual : (K + 1,) array
        Relative residual of the gappy fit that the indicator reads.
    indicator : (K + 1,) array, optional
        Indicated relative error of the measured field.
    displacement_error, displacement_norm, mises_error, mises_norm, plastic_error, plastic_norm : (K + 1,), optional
        L2 norms over the body of errors and of the true fields.
    outputs_true, outputs_reduced : (o, K + 1) arrays, optional
    trained_until : (1,) array, optional
        Last time of the snapshots, where the run goes beyond it.

    Raises
    ------
    ShapeError
        The arrays do not belong to the same times.

    Examples
    --------
    >>> run = MechanicsHistory([1.0], [0.0, 1.0, 2.0], np.zeros(3), plastic_error=[0, 1, 1], plastic_norm=[0, 2, 4])
    >>> run.relative("plastic").tolist(), run.relative("plastic", whole=True).tolist(), run.relative("mises")
    ([nan, 0.5, 0.25], [0.0, 0.25, 0.25], None)
    """

    mu: Array
    times: Array
    residual: Array
    indicator: Array | None = None
    displacement_error: Array | None = None
    displacement_norm: Array | None = None
    mises_error: Array | None = None
    mises_norm: Array | None = None
    plastic_error: Array | None = None
    plastic_norm: Array | None = None
    outputs_true: Array | None = None
    outputs_reduced: Array | None = None
    trained_until: Array | None = None

    def __post_init__(self) -> None:
        set_arrays(self, ("mu", "times"))
        errors = [f"{field}_{what}" for field in FIELDS for what in ("error", "norm")]
        set_arrays(self, ("residual", "indicator", *errors), len(self.times))
        set_arrays(self, ("outputs_true", "outputs_reduced"), len(self.times), ndim=2)
        if self.trained_until is not None:
            last = float_array("trained_until", np.atleast_1d(self.trained_until), 1, 1)
            object.__setattr__(self, "trained_until", last)

    def relative(self, field: str, whole: bool = False) -> Array | None:
        """Errors (K + 1,) over the true norm of the same time, or over its largest of the `whole` run.

        Not a number where the true field is still below a thousandth of its largest norm: a quotient says nothing
        there. None where errors were not measured.
        """
        error, norm = getattr(self, f"{field}_error"), getattr(self, f"{field}_norm")
        if error is None or norm is None:
            return None
        largest = float(np.nanmax(norm, initial=0.0))
        below = np.full(len(norm), largest) if whole else norm
        there = below > _SMALL * largest
        return np.asarray(np.divide(error, below, out=np.full(len(error), np.nan), where=there))


@dataclass(frozen=True)
class AdaptiveRuns:
    """R runs that took full-order steps where their indicator asked for them; L steps of all of them in a row.

    Parameters
    ----------
    mu : (R, p) array
    tolerance : (1,) array
        Of the indicator.
    true_error : (R,) array
        Relative, of the measured field at the end; NaN where it is not known.
    run : (L,) array
        Number of the run that a step belongs to, from 0.
    turn : (L,) array
        0, and 1 once a run began again.
    time, residual, indicator : (L,) arrays
    triggered : (L,) array
        1 where a full-order step was taken.
    modes, points : (L,) arrays
        Of the model after the step.

    Raises
    ------
    ShapeError
        The arrays do not belong together.

    Examples
    --------
    >>> runs = AdaptiveRuns([[1.0]], 0.05, [np.nan], *np.array([[0, 0], [0, 0], [1, 2], [.1, .1], [.01, .2], [0, 1],
    ...                                                         [7, 8], [70, 80]]))
    >>> runs.of(0).full_order_steps, runs.of(0).share
    (1, 0.5)
    """

    mu: Array
    tolerance: Array
    true_error: Array
    run: Array
    turn: Array
    time: Array
    residual: Array
    indicator: Array
    triggered: Array
    modes: Array
    points: Array

    def __post_init__(self) -> None:
        set_arrays(self, ("mu",), ndim=2)
        object.__setattr__(self, "tolerance", float_array("tolerance", np.atleast_1d(self.tolerance), 1, 1))
        set_arrays(self, ("true_error",), len(self.mu))
        set_arrays(self, ("run",))
        set_arrays(self, _STEPS, len(self.run))
        if self.run.size and not 0 <= self.run.min() <= self.run.max() < len(self.mu):
            raise ShapeError(f"steps belong to runs {self.run.min():g} to {self.run.max():g}; there are "
                             f"{len(self.mu)}, numbered from 0.")

    def of(self, number: int) -> AdaptiveSteps:
        """The steps of one run."""
        own = self.run == number
        return AdaptiveSteps(*(getattr(self, name)[own] for name in _STEPS))


@dataclass(frozen=True)
class AdaptiveSteps:
    """The l steps of one adaptive run: all arrays (l,)."""

    turn: Array
    time: Array
    residual: Array
    indicator: Array
    triggered: Array
    modes: Array
    points: Array

    @property
    def full_order_steps(self) -> int:
        """Number of full-order steps, in all turns."""
        return int(np.count_nonzero(self.triggered))

    @property
    def share(self) -> float:
        """Full-order steps as a share of the steps of one turn."""
        return self.full_order_steps / max(1, int(np.count_nonzero(self.turn == 0)))


FIELDS = ("displacement", "mises", "plastic")
_STEPS = ("turn", "time", "residual", "indicator", "triggered", "modes", "points")
_SMALL = 1e-3
