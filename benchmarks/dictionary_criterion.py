"""The a-priori criterion of dictionaries beside what the dictionaries that it judges turn out to be.

    python benchmarks/dictionary_criterion.py [--quick] [--json FILE]

Four problems with a cheap and a full-order version: travelling bumps with amplitudes over two decades; a thermal block
whose inclusions conduct better or worse than the rest; moving fronts (Burgers with an exponent that is unknown); a
plate with a hole under hot spots at random places, of which the accumulated plastic strain counts. The criterion sees
cheap solves of a design only. Then, for K in {1, 2, 4, 8}, the full-order runs are made, K bases of the same number of
modes are built, a classifier is trained on the design, and unseen full-order solutions are projected on the basis that
it names. All K have the same budget of runs and the same modes, so that the cost is the same and the error decides.

criterion_problems counts the problems in which the criterion orders all K whose true errors differ by more than 10 %
as the true errors do, and its choice costs at most 25 % more error than the best K. single_regime is 1 if it says K = 1
where one regime is all there is (the same thermal block with mild contrasts).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import History, plate, say  # noqa: E402
from sklearn.model_selection import StratifiedKFold, cross_val_predict  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from romflow.fom.evolution.time_grid import TimeGrid  # noqa: E402
from romflow.fom.gallery.burgers import Burgers  # noqa: E402
from romflow.fom.gallery.thermal_block import ThermalBlock  # noqa: E402
from romflow.linalg.clustering.medoids import k_medoids  # noqa: E402
from romflow.linalg.dissimilarity.fields import sine  # noqa: E402
from romflow.parameters.space import ParameterSpace  # noqa: E402
from romflow.reduction.dictionary.assessment import Assessment  # noqa: E402
from romflow.reduction.dictionary.correlations import correlations  # noqa: E402
from romflow.reduction.dictionary.criterion import assess  # noqa: E402
from romflow.reduction.dictionary.held_out import runs_of  # noqa: E402

CLUSTERS = (1, 2, 4, 8)
Solve = Callable[[np.ndarray], np.ndarray]


@dataclass
class Problem:
    """A design and unseen parameters, the cheap and the full-order solve mu -> columns (n, k), weighted for L2."""

    name: str
    design: np.ndarray
    unseen: np.ndarray
    cheap: Solve
    full: Solve
    budget: int
    modes: int
    solved: dict[int, np.ndarray] = field(default_factory=dict)

    def run(self, sample: int) -> np.ndarray:
        """The full-order solution of a sample of the design, solved once."""
        if sample not in self.solved:
            self.solved[sample] = self.full(self.design[sample])
        return self.solved[sample]


def classifier() -> object:
    """Nearest neighbours in the parameters."""
    return make_pipeline(StandardScaler(), KNeighborsClassifier(5, weights="distance"))


def held_out_answers(mu: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What a recommender answers to samples that it has not seen (N,)."""
    folds = StratifiedKFold(min(5, int(np.bincount(labels).min())), shuffle=True, random_state=0)
    return cross_val_predict(classifier(), mu, labels, cv=folds)


def judged(problem: Problem) -> tuple[Assessment, dict[int, np.ndarray], np.ndarray]:
    """What the criterion says of the cheap solves, the labels of each K, and the dissimilarities."""
    U = [problem.cheap(mu) for mu in problem.design]
    last = np.hstack([one[:, -1:] for one in U])
    D = sine(last, last)
    labels = {K: k_medoids(D, K, seed=0).labels for K in CLUSTERS}
    features = correlations(lambda samples: np.hstack([U[i] for i in samples]), [one.shape[1] for one in U])
    found = assess(features, D, labels, accuracy=lambda one: held_out_answers(problem.design, one),
                   budget=problem.budget, modes=problem.modes)
    return found, labels, D


def true_error(problem: Problem, labels: np.ndarray, runs: int, D: np.ndarray, truth: list[np.ndarray]) -> float:
    """Mean relative error of unseen full-order solutions on the basis that the trained classifier names."""
    K = int(labels.max()) + 1
    bases = []
    for k in range(K):
        S = np.hstack([problem.run(int(i)) for i in runs_of(D, np.flatnonzero(labels == k), runs)])
        bases.append(np.linalg.svd(S, full_matrices=False)[0][:, :problem.modes])
    named = classifier().fit(problem.design, labels).predict(problem.unseen) if K > 1 else np.zeros(len(truth), int)
    return float(np.mean([np.linalg.norm(u - bases[k] @ (bases[k].T @ u)) / max(np.linalg.norm(u), 1e-300)
                          for k, u in zip(named, truth, strict=True)]))


def agrees(expected: dict[int, float], true: dict[int, float], chosen: int) -> bool:
    """All pairs that differ by more than 10 % in the same order, and a choice within 25 % of the best.

    A number that was refused for want of samples has no expected error and no rank, but may be the best.
    """
    ranked = [K for K in CLUSTERS if np.isfinite(expected[K])]
    pairs = [(j, k) for j, k in itertools.combinations(ranked, 2) if abs(np.log(true[j] / true[k])) > np.log(1.1)]
    ordered = all((expected[j] < expected[k]) == (true[j] < true[k]) for j, k in pairs)
    return ordered and true[chosen] <= 1.25 * min(true.values())


def compared(problem: Problem) -> bool:
    """Whether the criterion ranks as the finished dictionaries do."""
    begun = time.perf_counter()
    found, labels, D = judged(problem)
    told = time.perf_counter() - begun
    begun = time.perf_counter()
    truth = [problem.full(mu) for mu in problem.unseen]
    rows = {row.clusters: row for row in found.rows}
    true = {K: true_error(problem, labels[K], rows[K].snapshots, D, truth) for K in CLUSTERS}
    expected = {K: np.inf if rows[K].expected_error is None else float(rows[K].expected_error) for K in CLUSTERS}
    say(f"cheap solves and criterion {told:.1f} s, full-order solves {time.perf_counter() - begun:.1f} s")
    right = agrees(expected, true, found.clusters)
    told = "; ".join(f"K = {K}: {expected[K]:.3g} ({true[K]:.3g})" for K in CLUSTERS)
    say(f"{problem.name}: expected (true) {told}; chosen {found.clusters}: {'agrees' if right else 'DISAGREES'}")
    say("    " + " ".join(found.why))
    return right


def bumps(quick: bool) -> Problem:
    """exp(-(x - c)^2 / 2 s^2) with centres, widths and amplitudes over two decades."""
    rng = np.random.default_rng(1)

    def draw(count: int) -> np.ndarray:
        return np.column_stack([rng.uniform(0.1, 0.9, count), rng.uniform(0.03, 0.05, count),
                                rng.uniform(-1.0, 1.0, count)])

    def solver(cells: int) -> Solve:
        x = (np.arange(cells)[:, None] + 0.5) / cells
        return lambda mu: 10**mu[2] * np.exp(-(x - mu[0])**2 / (2 * mu[1]**2)) / np.sqrt(cells)

    N = 150 if quick else 300
    return Problem("travelling bumps", draw(N), draw(200), solver(100), solver(1000), 48, 4)


def thermal(cells: int) -> Solve:
    """Columns X^{1/2} u for the lumped mass."""
    space = ParameterSpace.from_spec([{"name": "conductivity", "distribution": "uniform", "low": 1e-3, "high": 1e3,
                                       "size": 9}])
    model = ThermalBlock(space, blocks=[3, 3], cells=cells)
    return lambda mu: model.solve(mu).state.reshape(-1, 1) / cells


def contrasts(quick: bool) -> Problem:
    """Four inclusions that conduct ten to a hundred times better, or worse, than the rest."""
    rng = np.random.default_rng(2)

    def draw(count: int) -> np.ndarray:
        mu = rng.uniform(0.5, 1.5, (count, 9))
        sign = np.where(rng.uniform(size=count) < 0.5, 1.0, -1.0)
        mu[:, [0, 2, 6, 8]] *= 10 ** (sign[:, None] * rng.uniform(1.0, 2.0, (count, 4)))
        return mu

    N = 80 if quick else 160
    return Problem("thermal block in two regimes", draw(N), draw(100), thermal(12), thermal(24 if quick else 48), 48, 6)


def mild(quick: bool) -> Problem:
    """The same block with conductivities between 0.5 and 1.5: one regime."""
    rng = np.random.default_rng(3)
    N = 80 if quick else 160
    return Problem("thermal block, one regime", rng.uniform(0.5, 1.5, (N, 9)), rng.uniform(0.5, 1.5, (10, 9)),
                   thermal(12), thermal(24), 48, 6)


def fronts(quick: bool) -> Problem:
    """A bump that steepens into a front, whose speed depends on the exponent and thickness on the viscosity."""
    rng = np.random.default_rng(4)
    space = ParameterSpace.from_spec([
        {"name": "exponent", "distribution": "uniform", "low": 1.0, "high": 2.5},
        {"name": "viscosity", "distribution": "uniform", "low": 0.001, "high": 0.01}])

    def draw(count: int) -> np.ndarray:
        return np.column_stack([rng.uniform(1.0, 2.5, count), rng.uniform(0.001, 0.01, count)])

    def solver(cells: int, steps: int) -> Solve:
        model = Burgers(space, cells=[2 * cells, cells], exponent="exponent", viscosity="viscosity",
                        initial="bump", torus=False, velocity=[1.0, 0.0])
        evolving = model.evolving(TimeGrid(0.5, steps, scheme="explicit-euler"))
        every = max(steps // 5, 1)
        return lambda mu: np.hstack([p.states for p in evolving.march(mu)])[:, every::every] / cells

    N = 60 if quick else 120
    return Problem("moving fronts", draw(N), draw(30 if quick else 60), solver(8, 40),
                   solver(16, 80) if quick else solver(30, 150), 32, 6)


def spots(quick: bool) -> Problem:
    """Accumulated plastic strain of the plate with a hole, heated around a spot at a random place."""


    rng = np.random.default_rng(5)

    def draw(count: int) -> np.ndarray:
        return rng.uniform(0.0, 3.0, (count, 2))

    def solver(cells: tuple[int, int], steps: int) -> Solve:
        model = plate(cells, steps=steps)
        weights = np.sqrt(model.mechanics.space.weights)[:, None]
        every = max(steps // 5, 1)
        return lambda mu: (weights * History(model, mu, time.perf_counter).p)[:, every::every]

    N = 24 if quick else 60
    cheap, full = ((3, 4), 5), ((4, 6), 5)
    if not quick:
        cheap, full = ((4, 6), 10), ((8, 12), 20)
    return Problem("plate with hot spots", draw(N), draw(8 if quick else 30), solver(*cheap), solver(*full), 24, 6)


def measure(quick: bool) -> dict[str, Figure]:
    """Both figures."""
    agreed = sum(compared(make(quick)) for make in (bumps, contrasts, fronts, spots))
    found, _, _ = judged(mild(quick))
    say("one regime: " + " ".join(found.why))
    return {"criterion_problems": Figure(float(agreed), 3.0, True, "of 4"),
            "single_regime": Figure(float(found.clusters == 1), 1.0, True, "1 = yes")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(wish.quick), wish.json)
