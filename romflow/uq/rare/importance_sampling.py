"""Probabilities of several rare events from one sample: adaptive importance sampling with control variates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from romflow.core.errors import InputError
from romflow.core.names import shown
from romflow.uq.asked import Asked, all_failed, asked
from romflow.uq.estimate import Estimate
from romflow.uq.evaluation import Evaluate
from romflow.uq.rare.mixture import Mixture, best_weights, fitted, standard
from romflow.uq.rare.sampling_rounds import FOLDS, Round, counts_of, estimated

__all__ = ["Event", "ImportanceAnswers", "importance"]

Array = NDArray[np.float64]

LEAST_SIZE = 200
# Rounds that look for the events, and the share of all draws that each takes.
_MOST_ROUNDS = 6
_ROUND_SHARE = 0.1
# Effective draws in an event with which its component is fitted there, and not at a lower threshold; in small rounds
# this share of a round, but not fewer than the least number.
_ENOUGH, _LEAST, _ELITE = 30, 8, 0.1
# Relative variance of one draw that the rounds to come are expected to reach.
_HOPED = 5.0
# By how much the variance of an early round is taken for larger than expected.
_CAUTION = 2.0
_SAFETY = 1.3
# Standard deviation of half of the first draws.
_WIDE = 1.5
_AT_ONCE = 65536


@dataclass(frozen=True)
class Event:
    """An output beyond a threshold: its probability, and how well it was seen.

    `seen` draws were in the event; `effective` is the number of equally weighted draws that would tell as much.
    `estimate.model_error` comes from the model's own error e: between q - e > t and q + e > t.
    """

    output: str
    threshold: float
    estimate: Estimate
    seen: int
    effective: float

    @property
    def relative_half_width(self) -> float:
        """Half of the interval by the value; infinite for an event that was not seen."""
        e = self.estimate
        return (e.high - e.low) / 2 / e.value if e.value > 0.0 else float("inf")


@dataclass(frozen=True)
class ImportanceAnswers:
    """Events in the order asked, draws of each round, and why it stopped ("tolerance" or "size")."""

    events: tuple[Event, ...]
    rounds: tuple[int, ...]
    stopped: str
    mixture: Mixture
    notes: tuple[str, ...]
    confidence: float

    @property
    def evaluations(self) -> int:
        """Number of draws."""
        return sum(self.rounds)

    def plain(self) -> dict[str, Any]:
        """JSON form."""
        outputs: dict[str, Any] = {}
        for event in self.events:
            entry = {"threshold": event.threshold, **event.estimate.plain(), "seen": event.seen,
                     "effective": event.effective}
            outputs.setdefault(event.output, {"exceedance": []})["exceedance"].append(entry)
        return {"method": "importance", "confidence": self.confidence, "evaluations": self.evaluations,
                "rounds": list(self.rounds), "stopped": self.stopped, "outputs": outputs, "notes": list(self.notes)}


def importance(evaluate: Evaluate, inputs: Any, outputs: Sequence[str], exceedance: Mapping[str, Sequence[float]], *,
               size: int = 5000, tolerance: float | None = None, confidence: float = 0.95, components: int = 2,
               defensive: float = 0.1, seed: int = 0) -> ImportanceAnswers:
    """Exceedance probabilities of one or more outputs, all from the same draws.

    Rounds of draws in standard normal coordinates. Each adds normal components where an event was met, or where the
    outputs come nearest to it (cross-entropy method, Rubinstein and Kroese 2004, section 8.2), beside the input density
    itself (defensive, Hesterberg 1995); the weights minimise the largest relative variance of the events (He and Owen
    2014). Component densities are control variates (Owen and Zhou 2000). When every event was met often enough, one
    last round takes the draws that are left, or as many as the tolerance is expected to need.

    The estimate is sum_t omega_t E_t over all rounds t, with sum_t omega_t = 1 for each event and omega_t chosen from
    earlier rounds alone, so that it is unbiased; only a further round, which is added where the tolerance was missed,
    depends on the result. Cost: `size` evaluations at most.

    Parameters
    ----------
    evaluate : Evaluate
    inputs : RandomInputs or ParameterSpace
        `size` and `ppf(unit (k, p))`.
    outputs : sequence of str
        Names of the rows that the model answers.
    exceedance : mapping of str to numbers
        Thresholds by output.
    size : int
        Most draws, at least 200.
    tolerance : float, optional
        Stop where the half width of every interval is below this share of its probability.
    confidence : float
    components : int
        Most normal components for an event; as many as there are ways to fail.
    defensive : float
        Least share of draws from the input density, in (0, 1].
    seed : int

    Raises
    ------
    InputError
        A number or name breaks its rule; no threshold.

    Examples
    --------
    >>> from romflow.parameters.distributions import Normal
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> from romflow.uq.evaluation import of_function
    >>> space = ParameterSpace([Parameter("a", Normal(0.0, 1.0), size=2)])
    >>> found = importance(of_function(lambda mu: mu.sum(axis=1)), space, ["q"], {"q": [0.0, 5.5]}, size=2000)
    >>> rare = found.events[1].estimate
    >>> rare.low < 5.025e-5 < rare.high, found.events[1].relative_half_width < 0.3
    (True, True)
    """
    wish = asked(outputs, exceedance, confidence)
    _check(wish, size, tolerance, components, defensive, seed)
    search = _Search(evaluate, inputs, wish, int(size), tolerance, int(components), float(defensive), int(seed))
    return search.run()


class _Search:
    """The rounds so far, and the share omega of each event's estimate that is given away already."""

    def __init__(self, evaluate: Evaluate, inputs: Any, wish: Asked, size: int, tolerance: float | None,
                 components: int, defensive: float, seed: int) -> None:
        self.evaluate, self.inputs, self.wish, self.size, self.tolerance = evaluate, inputs, wish, size, tolerance
        self.components, self.defensive, self.seed = components, defensive, seed
        self.rounds: list[Round] = []
        self.shares: list[Array] = []
        self.kind: str | None = None
        self.silent = False
        self.outside = 0

    def run(self) -> ImportanceAnswers:
        each = max(int(_ROUND_SHARE * self.size), 100)
        mixture = _wide(self.inputs.size)
        while len(self.rounds) < _MOST_ROUNDS and self.left > 2 * each and not self._ready():
            self._add(mixture, each, last=False)
            mixture = self._adapted(mixture)
        self._add(mixture, self._needed(mixture), last=True)
        while self.tolerance and self.left >= LEAST_SIZE and self._worst() > self.tolerance:
            mixture = self._adapted(mixture)
            self._again(mixture)
        stopped = "tolerance" if self.tolerance and self._worst() <= self.tolerance else "size"
        events, notes = self._events()
        return ImportanceAnswers(events, tuple(len(r.z) for r in self.rounds), stopped, self.rounds[-1].mixture, notes,
                                 self.wish.confidence)

    @property
    def left(self) -> int:
        return self.size - sum(len(r.z) for r in self.rounds)

    def _ready(self) -> bool:
        if not self.rounds:
            return False
        _, q, _, inside = self._pooled()
        return bool((_effective(inside / q) >= _ENOUGH).all())

    def _seen(self) -> Array:
        return np.sum([self._integrands(r).sum(axis=1) for r in self.rounds], axis=0)

    def _integrands(self, found: Round, sign: float = 0.0) -> Array:
        with np.errstate(invalid="ignore"):
            return np.array([found.output[o] + sign * found.error[o] > t for o, t in self.wish.thresholds], dtype=float)

    def _add(self, mixture: Mixture, size: int, last: bool) -> None:
        shares = self._shares(mixture, size, last)
        self.rounds.append(self._drawn(mixture, size))
        self.shares.append(shares)

    def _again(self, mixture: Mixture) -> None:
        """One more round after the last: all shares so far shrink by the same factor."""
        before = sum(len(r.z) for r in self.rounds)
        found = self._drawn(mixture, self._needed(mixture))
        share = len(found.z) / (before + len(found.z))
        self.shares = [old * (1.0 - share) for old in self.shares] + [np.full(len(self.wish.thresholds), share)]
        self.rounds.append(found)

    def _drawn(self, mixture: Mixture, size: int) -> Round:
        counts, mixture = counts_of(mixture, size)
        z, labels = mixture.draw(counts, np.random.default_rng([self.seed, len(self.rounds)]))
        output, error = self._outputs(self.inputs.ppf(special.ndtr(z)))
        return Round(mixture, z, labels, mixture.ratios(z), output, error)

    def _outputs(self, mu: Array) -> tuple[Array, Array]:
        if hasattr(self.inputs, "outside"):
            self.outside += int(np.count_nonzero(self.inputs.outside(mu)))
        parts = [self.evaluate(mu[start:start + _AT_ONCE]) for start in range(0, len(mu), _AT_ONCE)]
        output = np.concatenate([np.asarray(part.output, dtype=float) for part in parts], axis=1)
        if output.shape != (len(self.wish.outputs), len(mu)):
            raise InputError(f"the model answers outputs of shape {output.shape} at {len(mu)} parameters; the rule is "
                             f"one row for each of {', '.join(self.wish.outputs)}")
        if not np.isfinite(output).all(axis=0).any():
            raise all_failed("the model", len(mu))
        self.silent = self.silent or any(part.output_error is None for part in parts)
        self.kind = parts[0].kind
        if self.silent:
            return output, np.zeros_like(output)
        error = np.concatenate([np.asarray(part.output_error, dtype=float) for part in parts], axis=1)
        return output, np.where(np.isnan(error), np.inf, np.abs(error))

    def _pooled(self) -> tuple[Array, Array, Array, Array]:
        """All draws z, their density by the standard normal one, outputs, and integrands."""
        z = np.concatenate([r.z for r in self.rounds])
        sizes = np.array([len(r.z) for r in self.rounds]) / len(z)
        q = np.sum([share * (r.mixture.weights @ r.mixture.ratios(z))
                    for share, r in zip(sizes, self.rounds, strict=True)], axis=0)
        return (z, q, np.concatenate([r.output for r in self.rounds], axis=1),
                np.concatenate([self._integrands(r) for r in self.rounds], axis=1))

    def _adapted(self, before: Mixture) -> Mixture:
        """Components for each event, weighed for the worst of the events that are seen or approached."""
        z, q, output, _ = self._pooled()
        mixture, aims = standard(z.shape[1]), []
        for o, t in self.wish.thresholds:
            aim = self._nearer(t, output[o], q)
            if aim.any():
                aims.append(aim)
                mixture = mixture.joined(fitted(z, aim / q, self.components))
        if not aims:
            return before
        weights = best_weights(mixture.ratios(z), _scaled(np.array(aims), q), self.defensive)
        return mixture.with_weights(weights, 0.01)

    def _nearer(self, t: float, output: Array, q: Array) -> Array:
        """Draws beyond the threshold, or beyond the highest level with as many effective draws as a fit needs."""
        finite = np.flatnonzero(np.isfinite(output))
        order = finite[np.argsort(-output[finite], kind="stable")]
        weights = 1.0 / q[order]
        wanted = np.clip(_ELITE * len(self.rounds[-1].z), _LEAST, _ENOUGH)
        enough = np.flatnonzero(np.cumsum(weights) ** 2 >= wanted * np.cumsum(weights**2))
        level = output[order[enough[0]]] if enough.size else -np.inf
        with np.errstate(invalid="ignore"):
            return (output >= level).astype(float) if level < t else (output > t).astype(float)

    def _relative_variance(self, mixture: Mixture) -> Array:
        """Of one draw of a mixture, expected from the rounds so far; infinite for events that were hardly seen."""
        z, q, _, inside = self._pooled()
        own = mixture.weights @ mixture.ratios(z)
        expected = (_scaled(inside, q) / own).sum(axis=1)
        return np.where(_effective(inside / q) >= _ENOUGH, expected, np.inf)

    def _shares(self, mixture: Mixture, size: int, last: bool) -> Array:
        """omega of the next round for each event, from what is known before it."""
        free = 1.0 - np.sum(self.shares, axis=0) if self.shares else np.ones(len(self.wish.thresholds))
        if last:
            return np.asarray(free)
        if not self.rounds:
            return np.zeros_like(free)
        own = size / (_CAUTION * np.maximum(self._relative_variance(mixture), 1e-12))
        return np.asarray(free * own / (own + (self.left - size) / _HOPED))

    def _needed(self, mixture: Mixture) -> int:
        left = max(self.left, FOLDS)
        if not self.tolerance or not self.rounds:
            return left
        z = stats.norm.ppf(0.5 + self.wish.confidence / 2)
        wanted = _SAFETY * self._relative_variance(mixture).max() * (z / self.tolerance)**2
        return int(min(left, max(wanted, LEAST_SIZE)))

    def _worst(self) -> float:
        return max(event.relative_half_width for event in self._events()[0])

    def _combined(self, sign: float = 0.0) -> tuple[Array, Array]:
        parts = [estimated(r, self._integrands(r, sign)) for r in self.rounds]
        value = np.sum([w * v for w, (v, _) in zip(self.shares, parts, strict=True)], axis=0)
        return value, np.sum([w**2 * s for w, (_, s) in zip(self.shares, parts, strict=True)], axis=0)

    def _events(self) -> tuple[tuple[Event, ...], tuple[str, ...]]:
        value, variance = self._combined()
        seen, effective = self._seen(), self._effective()
        model = None if self.silent else self._model_error(value)
        events = []
        for e, (o, t) in enumerate(self.wish.thresholds):
            half = stats.t.ppf(0.5 + self.wish.confidence / 2, max(effective[e] - 1.0, 1.0)) * np.sqrt(variance[e])
            low, high = max(value[e] - half, 0.0), min(value[e] + half, 1.0)
            estimate = Estimate(float(value[e]), float(min(low, value[e])), float(max(high, value[e])))
            if effective[e] < _LEAST:
                estimate = Estimate(float(value[e]), 0.0, float(min(max(high, value[e] + self._unseen()), 1.0)))
            if model is not None:
                estimate = replace(estimate, model_error=float(model[e]), model_kind=self.kind)
            events.append(Event(self.wish.outputs[o], t, estimate, int(seen[e]), float(effective[e])))
        return tuple(events), self._notes(events)

    def _model_error(self, value: Array) -> Array:
        if not any(r.error.any() for r in self.rounds):
            return np.zeros_like(value)
        upper, lower = self._combined(1.0)[0], self._combined(-1.0)[0]
        return np.clip(np.maximum(upper - value, value - lower), 0.0, 1.0)

    def _effective(self) -> Array:
        """Of the weighted contributions of all draws (E,)."""
        parts = [self._integrands(r) * r.ratio * (w / len(r.z))[:, None]
                 for w, r in zip(self.shares, self.rounds, strict=True)]
        return _effective(np.concatenate(parts, axis=1))

    def _unseen(self) -> float:
        """Largest probability with which none of the draws of the input density would be in the event."""
        draws = sum(int((r.labels == 0).sum()) for r in self.rounds)
        return float(min(1.0, -np.log1p(-self.wish.confidence) / max(draws, 1)))

    def _notes(self, events: Sequence[Event]) -> tuple[str, ...]:
        seldom = {True: "was never seen", False: "was hardly seen"}
        notes = [f"{event.output} > {shown(event.threshold)} {seldom[not event.seen]}: its probability is at most "
                 f"{event.estimate.high:.2g} (rule of three); give more draws"
                 for event in events if event.effective < _LEAST]
        if self.outside:
            share = self.outside / sum(len(r.z) for r in self.rounds)
            notes.append(f"{100.0 * share:.3g} % of the draws of importance sampling are outside the range for which "
                         "the model was built; there it is extrapolated")
        failed = sum(int((~np.isfinite(r.output)).any(axis=0).sum()) for r in self.rounds)
        if failed:
            notes.append(f"{failed} evaluations have no finite answer and count as outside the events")
        return tuple(notes)


def _wide(p: int) -> Mixture:
    """The standard normal density and a wider one: no first draws wait for the events in the middle alone."""
    return Mixture(np.full(2, 0.5), np.zeros((2, p)), np.array([np.eye(p), _WIDE * np.eye(p)]))


def _effective(values: Array) -> Array:
    """(sum y)^2 / sum y^2 (E,) of values (E, n): how many equal ones would tell as much."""
    total, squares = values.sum(axis=1), (values**2).sum(axis=1)
    return np.divide(total**2, squares, out=np.zeros_like(squares), where=squares > 0.0)


def _scaled(inside: Array, q: Array) -> Array:
    """(1_e - p_e)^2 / (q p_e^2 n) (E, n) with q over phi; over q_a they sum to the relative variance with q_a."""
    weights = 1.0 / q / q.size
    p = np.clip(inside @ weights, 1e-150, 1.0)[:, None]
    return np.asarray((inside - p)**2 / p**2 * weights)


def _check(wish: Asked, size: int, tolerance: float | None, components: int, defensive: float, seed: int) -> None:
    if not wish.thresholds:
        raise InputError("importance sampling got no threshold; give exceedance = {output: [thresholds]}")
    for name, value, least in (("size", size, LEAST_SIZE), ("components", components, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
            raise InputError(f"{name} = {shown(value)}; the rule is a whole number of at least {least}")
    if isinstance(defensive, bool) or not 0.0 < defensive <= 1.0:
        raise InputError(f"defensive = {shown(defensive)}; the rule is above 0 and at most 1")
    if tolerance is not None and (isinstance(tolerance, bool) or not 0.0 < tolerance < np.inf):
        raise InputError(f"tolerance = {shown(tolerance)}; the rule is a positive number, or none")
