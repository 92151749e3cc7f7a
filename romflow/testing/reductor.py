"""Conformance suite of reductors: the laws of the reduced models that they build from a small thermal block."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import NotSupported
from romflow.core.files import plain
from romflow.core.fingerprint import fingerprint
from romflow.linalg.inner_product import InnerProduct
from romflow.rom.loading import load
from romflow.rom.model import ReducedModel
from romflow.testing.report import Law, Report, Verdict, run
from romflow.testing.small import new_store, small_thermal_block, solve_missing

__all__ = ["TOLERANCE", "check_reductor"]

Array = NDArray[np.float64]

#: Relative tolerance with which a reductor under test is built, where it has one.
TOLERANCE = 1e-9

_SNAPSHOTS = 12
_FIRST = 8
_NEW = 20
_ORTHONORMAL = 1e-10
_REPRODUCED = {"bound": 1e-7, "indicator": 1e-2}
_BATCH = 1e-12


class _BlackBox:
    """What a model without operators looks like to `accepts`."""

    def __init__(self, fom: Any) -> None:
        self.parameters, self.n, self.spec, self.solve = fom.parameters, fom.n, fom.spec, fom.solve


class ReductorCase:
    """A reductor under test, a thermal block with stored snapshots, and the model that it builds from them.

    Parameters
    ----------
    make : callable
        Builds a fresh reductor.
    folder : str
        For the store.
    """

    def __init__(self, make: Callable[[], Any], folder: str) -> None:
        self.make, self.folder = make, Path(folder)
        self.fom = small_thermal_block()
        self.mu = self.fom.parameters.sample(_SNAPSHOTS, np.random.default_rng(0))
        self.new = self.fom.parameters.sample(_NEW, np.random.default_rng(1))
        self.store = new_store(self.fom, self.folder / "store")
        solve_missing(self.fom, self.store, self.mu)
        self.product = InnerProduct(self.fom.inner_product)

    @cached_property
    def rom(self) -> Any:
        """The reduced model of all snapshots."""
        return self.make().reduce(self.fom, self.store, self.mu)

    def truth(self, mu: Array) -> Array:
        """Full-order states (n, k)."""
        solve_missing(self.fom, self.store, mu)
        return self.store.matrix(mu)

    def error(self, mu: Array) -> tuple[Array, Array]:
        """Norms of the true error and of the truth (k,), in the model's norm."""
        truth = self.truth(mu)
        gap = truth - self.rom.lift(self.rom.solve(mu).coefficients)
        return self.product.norm(gap), self.product.norm(truth)


def check_reductor(make: Callable[[], Any], target: str = "reductor") -> Report:
    """Hold a reductor to its laws.

    Parameters
    ----------
    make : callable
        Builds a fresh reductor that keeps a relative tolerance of `TOLERANCE`, if it has one.
    target : str
        Its name in the report.

    Examples
    --------
    >>> from romflow.reduction.reduced_basis import ReducedBasisReductor
    >>> check_reductor(ReducedBasisReductor).passed
    True
    """
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder:
        return run(target, "reductor", REDUCTOR_LAWS, ReductorCase(make, folder))


def _accepts(case: ReductorCase) -> Verdict:
    models = {"the affine thermal block": case.fom, "a black box": _BlackBox(case.fom)}
    answers = {name: case.make().accepts(fom) for name, fom in models.items()}
    for name, answer in answers.items():
        if answer is not None and not (isinstance(answer, str) and answer.strip()):
            return Verdict(False, f"accepts({name}) gave {answer!r}")
    words = [f"{name}: {'accepted' if answer is None else answer}" for name, answer in answers.items()]
    return Verdict(True, "; ".join(words))


def _refusal(case: ReductorCase) -> Verdict:
    box = _BlackBox(case.fom)
    if case.make().accepts(box) is None:
        return Verdict(True, "every model is accepted")
    try:
        case.make().reduce(box, case.store, case.mu)
    except NotSupported:
        return Verdict(True, "reduce refuses a model that accepts refuses")
    return Verdict(False, "reduce took a model that accepts refuses")


def _suits(case: ReductorCase) -> Verdict:
    reason = case.make().accepts(case.fom)
    return Verdict(None if reason else True, reason or "accepts(the affine thermal block) gave None")


def _model(case: ReductorCase) -> Verdict:
    rom = case.rom
    if not isinstance(rom, ReducedModel):
        return Verdict(False, f"reduce gave a {type(rom).__name__}, which is no ReducedModel")
    shape = np.shape(rom.basis)
    right = shape == (case.fom.n, rom.size) and rom.n == case.fom.n and 1 <= rom.size <= _SNAPSHOTS
    return Verdict(right, f"basis has shape {shape}, size = {rom.size}, n = {rom.n}, from {_SNAPSHOTS} snapshots")


def _answers(case: ReductorCase) -> Verdict:
    rom = case.rom
    answer = rom.solve(case.new)
    outputs = len(rom.output_names)
    for name, shape, rule in [("coefficients", np.shape(answer.coefficients), (rom.size, _NEW)),
                              ("output", np.shape(answer.output), (outputs, _NEW)),
                              ("error", np.shape(answer.error), (_NEW,)), ("norm", np.shape(answer.norm), (_NEW,))]:
        if shape != rule:
            return Verdict(False, f"answer.{name} has shape {shape}, and {rule} is needed")
    finite = np.isfinite(answer.coefficients).all() and np.isfinite(answer.output).all()
    return Verdict(bool(finite) and answer.kind in ("bound", "indicator", None) and answer.kind == rom.error_kind,
                   f"answer.kind = {answer.kind!r}, coefficients and output are {'' if finite else 'not '}finite")


def _orthonormal(case: ReductorCase) -> Verdict:
    V = case.rom.basis
    defect = float(np.abs(case.product.gram(V, V) - np.eye(V.shape[1])).max())
    return Verdict(defect <= _ORTHONORMAL, f"|V^T X V - I| = {defect:.3g}")


def _reproduces(case: ReductorCase) -> Verdict:
    error, norm = case.error(case.mu)
    worst = float((error / norm).max())
    if not getattr(case.rom, "interpolates", True):
        left = float((error / np.maximum(case.rom.solve(case.mu).error, 1e-14 * norm)).max())
        return Verdict(left <= 1.0, f"a fit by least squares: error / estimate at the {len(case.mu)} snapshots is at "
                                    f"most {left:.3g}; the rule: 1")
    rule = _REPRODUCED.get(case.rom.error_kind, _REPRODUCED["indicator"])
    return Verdict(worst <= rule, f"the relative error at the {len(case.mu)} snapshots is at most {worst:.3g}; "
                                  f"{case.rom.error_kind}: at most {rule:g}")


def _deterministic(case: ReductorCase) -> Verdict:
    return _same(case.rom, case.make().reduce(case.fom, case.store, case.mu), "two reductors")


def _history(case: ReductorCase) -> Verdict:
    reductor = case.make()
    reductor.reduce(case.fom, case.store, case.mu[:_FIRST])
    again = reductor.reduce(case.fom, case.store, case.mu)
    return _same(case.rom, again, f"a fresh reductor and one that had reduced the first {_FIRST} snapshots before")


def _same(first: Any, second: Any, who: str) -> Verdict:
    (kind, arrays, about), (other_kind, other_arrays, other_about) = first.to_arrays(), second.to_arrays()
    if kind != other_kind or arrays.keys() != other_arrays.keys():
        return Verdict(False, f"{who} give models of other kinds or arrays")
    for name, array in arrays.items():
        a, b = np.asarray(array), np.asarray(other_arrays[name])
        if a.shape != b.shape or a.tobytes() != b.tobytes():
            return Verdict(False, f"{who} differ in the array {name!r}")
    if fingerprint(plain(about)) != fingerprint(plain(other_about)):
        return Verdict(False, f"{who} differ in the metadata")
    return Verdict(True, f"{who} give {len(arrays)} equal arrays, to the bit")


def _estimate(case: ReductorCase) -> Verdict:
    estimate = np.asarray(case.rom.solve(case.new).error)
    if case.rom.error_kind is None:
        return Verdict(True, "the model estimates no error")
    if not (estimate >= 0.0).all():
        return Verdict(False, f"an error estimate is {float(np.min(estimate)):.3g}, or not a number")
    error, norm = case.error(case.new)
    share = float((estimate / np.maximum(error, 1e-14 * norm)).min())
    found = f"{case.rom.error_kind}: estimate / error is at least {share:.3g} at {_NEW} new parameters"
    return Verdict(case.rom.error_kind != "bound" or share >= 1.0 - 1e-6, found)


def _batch(case: ReductorCase) -> Verdict:
    whole = case.rom.solve(case.new).coefficients
    single = np.hstack([case.rom.solve(row[None]).coefficients for row in case.new])
    gap = float(np.abs(whole - single).max() / max(float(np.abs(whole).max()), np.finfo(float).tiny))
    return Verdict(gap <= _BATCH, f"{_NEW} parameters at once and one by one differ by {gap:.3g} relative")


def _truncate(case: ReductorCase) -> Verdict:
    rom = case.rom
    for size in sorted({1, (rom.size + 1) // 2, rom.size}):
        small = rom.truncate(size)
        shape = small.solve(case.new).coefficients.shape
        if small.size != size or shape != (size, _NEW):
            return Verdict(False, f"truncate({size}) has size {small.size} and coefficients of shape {shape}")
        if not np.array_equal(small.basis, rom.basis[:, :size]):
            return Verdict(False, f"truncate({size}) has another basis than the first {size} vectors")
    gap = float(np.abs(rom.truncate(rom.size).solve(case.new).coefficients - rom.solve(case.new).coefficients).max())
    return Verdict(gap == 0.0, f"truncate({rom.size}) of size {rom.size} moves the coefficients by {gap:.3g}")


def _save(case: ReductorCase) -> Verdict:
    path = case.folder / "model.h5"
    case.rom.save(path)
    again = load(path)
    before, after = case.rom.solve(case.new), again.solve(case.new)
    verdict = _same(case.rom, again, "the model and its file")
    equal = all(np.array_equal(getattr(before, name), getattr(after, name), equal_nan=True)
                for name in ("coefficients", "output", "error"))
    return verdict if not verdict.passed or equal else Verdict(False, "the model and its file give other answers")


REDUCTOR_LAWS: list[Law[ReductorCase]] = [
    Law("accepts", "accepts(fom) gives None, or the reason why not as a text", _accepts),
    Law("refusal", "reduce raises NotSupported for a model that accepts refuses", _refusal, ("accepts",)),
    Law("suits", "the laws below are tried where the reductor accepts the thermal block", _suits, ("accepts",)),
    Law("reduced-model", "reduce gives a ReducedModel with a basis (n, r), 1 <= r <= k", _model, ("suits",)),
    Law("answers", "solve(mu (b, p)) gives finite coefficients (r, b) and output (o, b), error and norm (b,), and the "
        "kind of the error", _answers, ("reduced-model",)),
    Law("orthonormal", f"V^T X V = I, to {_ORTHONORMAL:g}", _orthonormal, ("reduced-model",)),
    Law("reproduces", f"the snapshots are reproduced, to {_REPRODUCED['bound']:g} if certified, else to "
        f"{_REPRODUCED['indicator']:g}; a model with interpolates = False stays within its own estimate", _reproduces,
        ("answers",)),
    Law("deterministic", "the same snapshots give the same model, to the bit", _deterministic, ("reduced-model",)),
    Law("history", "earlier calls of reduce do not change the result, to the bit", _history, ("reduced-model",)),
    Law("estimate", "an estimate is not negative; a bound is never below the true error", _estimate, ("answers",)),
    Law("batch", f"a batch gives what its rows give one by one, to {_BATCH:g}", _batch, ("answers",)),
    Law("truncate", "truncate(r) keeps the first r basis vectors, and all of them change nothing", _truncate,
        ("answers",)),
    Law("save", "saving and loading gives the same model and answers, to the bit", _save, ("answers",)),
]
