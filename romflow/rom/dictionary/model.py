"""Dictionaries of reduced models: local models, a recommender that chooses between them, and what to do in doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported, ParameterError, ShapeError, SolveFailed
from romflow.core.mesh import Mesh
from romflow.materials.protocol import PLASTIC
from romflow.parameters.space import ParameterSpace
from romflow.rom.dictionary.answer import (
    SECOND,
    Blocks,
    columns_of,
    local_part,
    merged,
    refused,
    with_columns,
)
from romflow.rom.dictionary.checks import (
    check_models,
    checked_design,
    checked_tolerance,
    common_error_kind,
    restricted_field,
)
from romflow.rom.dictionary.design import Design
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.recommender import Recommendation, Recommender
from romflow.rom.dictionary.storing import restored, stored
from romflow.rom.halving import solved_parts
from romflow.rom.mechanics.dual import DualField
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.model import BasisModel, ReducedModel, truncated_size

__all__ = ["RomDictionary", "is_mechanics"]

KIND = "dictionary"


@dataclass(frozen=True)
class RomDictionary(BasisModel):
    """u(mu) ~= V_k x_k(mu) with the local model k that a classifier recommends for the input field of mu.

    The chain for a draw: one whose input field or whose parameters are far outside the training is refused at once,
    with NaN as output and an infinite error. Else the recommended model answers. Where the recommender abstains, that
    model fails or its relative error estimate is above the tolerance, the model of the second cluster is solved too,
    and the one with the smaller estimate is kept. What is then still above the tolerance, or without a solution, is
    refused as well. No draw takes the others of its batch along.

    Coefficients are vectors of K blocks, zero but in the block of the model that answered, so that lifting is linear.
    After the ROM-nets of Daniel, Casenave, Akkari and Ryckelynck 2020.

    Attributes
    ----------
    models : tuple of K ReducedModel
        Of one kind, with the same parameters, outputs, unknowns, mesh and times.
    recommender : Recommender
    input_field : InputField
        What the recommender looks at; of a whole field the entries that it reads are kept.
    tolerance : float
        Relative; 0 never refuses by the error.
    metadata : dict
    design : Design, optional
        Parameters of the cheap design; an array (N, p) is made one. Without it novelty is judged by the entries of the
        input field alone that the recommender reads.
    """

    models: tuple[ReducedModel, ...]
    recommender: Recommender
    input_field: InputField
    tolerance: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)
    design: Design | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))
        check_models(self.models)
        object.__setattr__(self, "tolerance", checked_tolerance(self.tolerance, self.models))
        object.__setattr__(self, "input_field", restricted_field(self.input_field, self.recommender, self.models))
        object.__setattr__(self, "design", checked_design(self.design, self.models))

    @property
    def parameters(self) -> ParameterSpace:
        """Those of all local models."""
        return self.models[0].parameters

    @property
    def output_names(self) -> tuple[str, ...]:
        """Those of all local models."""
        return self.models[0].output_names

    @property
    def norm_name(self) -> str:
        """Name of the norm of `error`."""
        return self._leading.norm_name

    @property
    def mesh(self) -> Mesh | None:
        """That of all local models."""
        return self.models[0].mesh

    @property
    def error_kind(self) -> str | None:
        """The weakest of the local models: None, else "indicator", else "bound"."""
        return common_error_kind(self.models)

    @cached_property
    def basis(self) -> np.ndarray:  # type: ignore[override]
        """The local bases side by side (n, sum r_k); made when it is asked for."""
        return np.hstack([np.asarray(model.basis) for model in self.models])

    @property
    def size(self) -> int:
        """Basis vectors of all local models together, sum r_k."""
        return sum(model.size for model in self.models)

    @property
    def n(self) -> int:
        """Number of full-order unknowns."""
        return self.models[0].n

    @property
    def times(self) -> np.ndarray:
        """Times (K + 1,) of the answers, as of the local models; models at rest have no such attribute."""
        return np.asarray(self._delegated("times"))

    @property
    def stability(self) -> Any:
        """The stability bound of the full-order model, where the local models have one."""
        return self._delegated("stability")

    def recommend(self, mu: Any, check: bool = True) -> Recommendation:
        """Clusters for parameters mu (b, p), with their probabilities and how new they are.

        Novelty is the larger one of the input field and of the parameters beside the design, that of the latter alone
        where the parameters are the input field; infinite where one of them is not finite.
        """
        mu = self.parameters.validate(mu) if check else np.asarray(mu, dtype=float)
        values, judge = self.input_field.known_values(mu), self.recommender
        lost = ~(np.isfinite(values).all(axis=1) & np.isfinite(mu).all(axis=1))
        advice = judge.recommend(np.where(lost[:, None], judge.mean, values))
        novelty = advice.novelty
        if self.design is not None:
            own = self.design.novelty(mu)
            novelty = own if self.input_field.kind == "parameters" else np.maximum(novelty, own)
        novelty = np.where(lost, np.inf, novelty)
        unsure = advice.probability.max(axis=1) < judge.abstain
        return replace(advice, novelty=novelty, abstained=unsure | (novelty > judge.limit))

    def solve(self, mu: Any, check: bool = True, times: np.ndarray | None = None) -> Any:
        """Solve for a whole batch: one batch a local model, and one more for the draws in doubt.

        Parameters
        ----------
        mu : (b, p)
        check : bool
            Validate mu against the parameter space (False saves that for trusted input).
        times : (K + 1,), optional
            Of models of mechanics, as `MechanicsReducedModel.solve` takes them.

        Returns
        -------
        DictionaryAnswer, DictionaryEvolutionAnswer or DictionaryMechanicsAnswer
            The answer of the local kind with `chosen`, `status`, `probability`, `novelty` and `estimate`. The outputs
            of refused draws are NaN and their errors infinite. A draw at which a local model has no solution, or its
            law no such temperature, goes to the second model and is refused in the end; the others are answered.

        Raises
        ------
        ParameterError, ShapeError
            mu has the wrong shape, is not finite or lies outside the space.
        NotSupported
            Other times for models that keep to their own.
        """
        mu = self.parameters.validate(mu) if check else np.asarray(mu, dtype=float)
        if not len(mu):
            return self._solved(mu, np.zeros(0, dtype=int), times)
        advice = self.recommend(mu, check=False)
        novel = advice.novelty > self.recommender.limit
        answer = self._solved(mu, np.where(novel, -1, advice.label), times)
        answer = replace(answer, chosen=advice.label)
        doubtful = (advice.abstained | self._unfit(answer)) & (advice.second >= 0) & ~novel
        if doubtful.any():
            answer = self._second(mu, np.flatnonzero(doubtful), advice.second, answer, times)
        answer = replace(answer, probability=advice.probability[np.arange(len(mu)), answer.chosen],
                         novelty=advice.novelty)
        return refused(answer, self._unfit(answer) | novel)

    def local_answer(self, answer: Any, k: int, which: Any = slice(None)) -> Any:
        """The answer of local model k for some draws, as that model itself would have given it."""
        return local_part(answer, self.blocks, k, which)

    def lift(self, coefficients: np.ndarray) -> np.ndarray:
        """Full-order states (n, b) of coefficients of all blocks: the sum of what each local model lifts.

        Cost: 2 n r_k b flops for each block that is not zero.

        Raises
        ------
        ShapeError
            The coefficients have another number of rows.
        """
        x = np.asarray(coefficients, dtype=float)
        if x.ndim != 2 or x.shape[0] != self.blocks.size:
            raise ShapeError(f"coefficients have shape {x.shape}; the rule is ({self.blocks.size}, b), the blocks of "
                             f"{len(self.models)} local models")
        found = np.zeros((self.n, x.shape[1]))
        for k, model in enumerate(self.models):
            block = x[self.blocks.block(k)]
            columns = np.flatnonzero(np.any(block != 0.0, axis=0))
            if columns.size:
                found[:, columns] += model.lift(block[:, columns])
        return found

    def sensitivity(self, mu: Any, check: bool = True) -> np.ndarray:
        """Derivatives (o, p, b) of the outputs of the model that answers, at mu (b, p); NaN where a draw is refused.

        Raises
        ------
        NotSupported
            The local models have no derivatives.
        """
        mu = self.parameters.validate(mu) if check else np.asarray(mu, dtype=float)
        answer = self.solve(mu, check=False)
        found = np.full((len(self.output_names), mu.shape[1], len(mu)), np.nan)
        for k, model in enumerate(self.models):
            if not hasattr(model, "sensitivity"):
                raise NotSupported(f"derivatives were asked of a dictionary of {type(model).__name__}, which has none")
            columns = np.flatnonzero((answer.chosen == k) & ~answer.refused)
            if columns.size:
                found[..., columns] = model.sensitivity(mu[columns], check=False)
        return found

    def field(self, answer: Any, name: str, index: int = -1,
              part: slice | np.ndarray | None = None) -> np.ndarray:
        """A field (c, G, b) of mechanics at the Gauss points of the whole mesh, each draw by its own local model.

        Parameters and errors are those of `MechanicsReducedModel.field`; refused draws are NaN.
        """
        self._check_mechanics("a field of the law's points was asked")
        pieces: list[tuple[np.ndarray, np.ndarray]] = []
        for k, columns in self._groups(answer.chosen):
            model: Any = self.models[k]
            pieces.append((columns, model.field(self.local_answer(answer, k, columns), name, index, part)))
        found = np.empty((*pieces[0][1].shape[:-1], len(answer.chosen)))
        for columns, values in pieces:
            found[..., columns] = values
        return found

    def cell_fields(self, answer: Any, index: int = -1, draw: int = 0) -> dict[str, np.ndarray]:
        """Means over cells of one draw's fields, as `MechanicsReducedModel.cell_fields` gives them."""
        model, local = self.answering(answer, draw)
        return dict(model.cell_fields(local, index))

    def answering(self, answer: Any, draw: int) -> tuple[Any, Any]:
        """The local model that answered one draw, and its answer for that draw alone."""
        k = int(answer.chosen[draw])
        return self.models[k], self.local_answer(answer, k, slice(draw, draw + 1) if draw >= 0 else [draw])

    def until(self, end: float | None = None, cycles: float | None = None) -> RomDictionary:
        """The same dictionary of mechanics with times that end elsewhere; see `MechanicsReducedModel.until`."""
        self._check_mechanics("other times than those of its study were asked")
        models: list[Any] = list(self.models)
        return replace(self, models=tuple(model.until(end, cycles) for model in models))

    def truncate(self, size: int) -> RomDictionary:
        """The dictionary on `size` basis vectors in all, shared out equally among the local models as far as they go.

        The first vectors of each are kept; the earlier models get what does not divide.
        """
        total = truncated_size(self, size)
        kept = shared_out(total, [model.size for model in self.models])
        return replace(self, models=tuple(model.truncate(r) for model, r in zip(self.models, kept, strict=True)))

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the dictionary is; local model k under "k/"."""
        return KIND, *stored(self)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> RomDictionary:
        """The dictionary that `to_arrays` described."""
        return cls(**restored(arrays, metadata))

    @cached_property
    def blocks(self) -> Blocks:
        """Where the coefficients of each local model are in those of all."""
        dual = {name: [_dual(model)[name].size for model in self.models] for name in _dual(self.models[0])}
        return Blocks.of([rows_of(model) for model in self.models], dual)

    @property
    def dual(self) -> dict[str, DualField]:
        """Dual fields of mechanics by name, as one local model has them: the names are common, the modes are not."""
        return dict(self._delegated("dual"))

    @property
    def volume(self) -> np.ndarray:
        """Quadrature weights (G,) of the mesh of mechanics."""
        return np.asarray(self._delegated("volume"))

    @property
    def measure(self) -> str:
        """The dual field whose error is indicated: the plastic strain where any local model measures that."""
        return str(self._delegated("measure"))

    @cached_property
    def _leading(self) -> ReducedModel:
        plastic = [model for model in self.models if getattr(model, "measure", None) == PLASTIC]
        return plastic[0] if plastic else self.models[0]

    def _delegated(self, name: str) -> Any:
        """An attribute of the local models; an AttributeError where they have none, so that `hasattr` says so."""
        return getattr(self._leading, name)

    def _check_mechanics(self, asked: str) -> None:
        if not is_mechanics(self):
            raise NotSupported(f"{asked} of a dictionary of {type(self.models[0]).__name__}; only models of mechanics "
                               "have them")

    def _groups(self, labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Each local model that some draws belong to, with the numbers of these; model 0 where there are none."""
        for k in range(len(self.models)):
            columns = np.flatnonzero(labels == k)
            if columns.size or (k == 0 and not (labels >= 0).any()):
                yield k, columns

    def _solved(self, mu: np.ndarray, labels: np.ndarray, times: np.ndarray | None) -> Any:
        """The answers of these local models, each of which solves its draws in one batch; those of -1 are left out."""
        if times is not None:
            self._check_mechanics("other times than those of its study were asked")
        own: dict[str, Any] = {} if times is None else {"times": times}
        parts = [part for k, columns in self._groups(labels) for part in self._parts(k, mu, columns, own)]
        parts = parts or [(0, np.zeros(0, dtype=int), self.models[0].solve(mu[:0], check=False, **own))]
        return merged(parts, self.blocks, mu, self.error_kind)

    def _parts(self, k: int, mu: np.ndarray, columns: np.ndarray, own: dict[str, Any]) -> list[Any]:
        """What local model k answers at the draws `columns` (j,); a batch that fails is halved until the rest is left.

        A singular system, or parameters that an expression has no number for, fail a whole batch.
        """
        parts = solved_parts(lambda rows: self.models[k].solve(rows, check=False, **own), mu[columns],
                             (SolveFailed, ParameterError))
        return [(k, columns[rows], answer) for rows, answer in parts if answer is not None]

    def _second(self, mu: np.ndarray, doubtful: np.ndarray, second: np.ndarray, answer: Any,
                times: np.ndarray | None) -> Any:
        """The answer in which the draws `doubtful` (j,) have the model of the second cluster, where that is better."""
        other = self._solved(mu[doubtful], second[doubtful], times)
        first = np.where(answer.converged, answer.estimate, np.inf)[doubtful]
        better = other.converged & ((other.estimate < first) | ~answer.converged[doubtful])
        other = replace(other, status=np.full(len(doubtful), SECOND))
        return with_columns(answer, doubtful[better], columns_of(other, better))

    def _unfit(self, answer: Any) -> np.ndarray:
        """Draws (b,) without a solution, or with an estimate that is not within the tolerance."""
        within = answer.estimate <= self.tolerance if self.tolerance > 0.0 else True
        return np.asarray(~(answer.converged & within))


def is_mechanics(rom: Any) -> bool:
    """Whether a model is a reduced mechanics model, or a dictionary of such."""
    return isinstance(rom.models[0] if isinstance(rom, RomDictionary) else rom, MechanicsReducedModel)


def rows_of(model: Any) -> int:
    """Rows of the coefficients that a local model answers with: its basis, and liftings where it has them."""
    lifting = getattr(model, "lifting", None)
    return int(model.size) + (0 if lifting is None else int(lifting.shape[1]))


def shared_out(total: int, sizes: Sequence[int]) -> list[int]:
    """Parts of a total, as equal as the sizes allow, the earlier ones the larger.

    Examples
    --------
    >>> shared_out(7, [2, 5, 5]), shared_out(3, [0, 4, 4])
    ([2, 3, 2], [0, 2, 1])
    """
    kept = [0] * len(sizes)
    while sum(kept) < total:
        least = min(have for have, size in zip(kept, sizes, strict=True) if have < size)
        k = next(k for k, (have, size) in enumerate(zip(kept, sizes, strict=True)) if have == least and have < size)
        kept[k] += 1
    return kept


def _dual(model: Any) -> dict[str, DualField]:
    return getattr(model, "dual", {})
