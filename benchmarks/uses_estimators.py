"""Estimators: a reduced model as control variate, and importance sampling of several rare events at once.

    python benchmarks/uses_estimators.py [--quick] [--json FILE]

control_variate_variance_ratio: mean output of a thermal block of four materials; the reduced model is cut down until
its outputs are about 5 % off (printed). The variance is that of repeated estimates, each of 400 full-order solves,
beside that of plain Monte Carlo for the same processor time, both times measured in this run. The smaller of
the gains of control variates (a tenth of the time for the reduced model) and of multifidelity Monte Carlo with a pilot,
whose time counts.
control_variate_bias_sigmas: difference of the mean of all these estimates, by both, from a reference of as many
full-order solves as printed (1e5), over the standard error of that difference.

importance_worst_gain: P(q > t) = .5, .1, .01, 1e-3 and 1e-4, q = max(a.z, b.z) with orthogonal unit vectors a, b in six
normal inputs (two ways to fail), 5000 evaluations: largest relative RMS error of Monte Carlo (its formula) over the
largest of importance sampling. importance_bias_sigmas: largest mean error of the five by its standard error.
"""

from __future__ import annotations

import time
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from scipy import stats  # noqa: E402
from scipy.linalg import solveh_banded  # noqa: E402

from romflow.fom.gallery.thermal_block import ThermalBlock  # noqa: E402
from romflow.parameters.distributions import Normal, Uniform  # noqa: E402
from romflow.parameters.space import Parameter, ParameterSpace  # noqa: E402
from romflow.reduction.reduced_basis import ReducedBasisReductor  # noqa: E402
from romflow.uq.draws import Draws  # noqa: E402
from romflow.uq.evaluation import Evaluate, of_function, of_reduced  # noqa: E402
from romflow.uq.paired.control_variates import control_variate  # noqa: E402
from romflow.uq.paired.multifidelity_sampling import Fidelity, multifidelity  # noqa: E402
from romflow.uq.rare.importance_sampling import importance  # noqa: E402

SOLVES = 400
PROBABILITIES = np.array([0.5, 0.1, 1e-2, 1e-3, 1e-4])
FIRST_SEED = 1000


class Solved:
    """What a reductor reads of a store, solved when it asks."""

    def __init__(self, fom: ThermalBlock) -> None:
        self.fom = fom

    def get(self, mu: np.ndarray) -> Any:
        """Snapshot at mu (p,)."""
        return self.fom.solve(mu)


def full_order(fom: ThermalBlock) -> Evaluate:
    """The model's own equations by a banded Cholesky factorisation: the fastest way to its outputs."""
    matrices = [matrix.tocoo() for matrix in fom.operator.matrices]
    width = max(int(np.abs(M.row - M.col).max()) for M in matrices)
    bands = np.zeros((len(matrices), width + 1, fom.n))
    for band, M in zip(bands, matrices, strict=True):
        lower = M.row >= M.col
        band[M.row[lower] - M.col[lower], M.col[lower]] = M.data[lower]
    load = np.asarray(fom.rhs.assemble(np.ones(len(matrices))))

    def outputs(mu: np.ndarray) -> np.ndarray:
        answer = np.empty(len(mu))
        for k, row in enumerate(mu):
            A = np.tensordot(row, bands, axes=1)
            answer[k] = load @ solveh_banded(A, load, overwrite_ab=True, lower=True, check_finite=False)
        return answer

    return of_function(outputs)


def seconds_of(evaluate: Evaluate, mu: np.ndarray) -> float:
    """Processor seconds of one evaluation, the best of three."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        evaluate(mu)
        times.append((time.process_time() - begun) / len(mu))
    return min(times)


def models(cells: int) -> tuple[ParameterSpace, Fidelity, Fidelity]:
    """The full-order model and the reduced one that is 5 % off, with their costs."""
    space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), size=4)])
    fom = ThermalBlock(space, [2, 2], cells)
    rng = np.random.default_rng(0)
    rom = ReducedBasisReductor(tolerance=1e-8).reduce(fom, Solved(fom), space.sample(12, rng))
    truth, mu = full_order(fom), space.sample(400, rng)
    right = truth(mu).output
    same = fom.solve(mu[0]).outputs[0]
    if not abs(right[0, 0] - same) <= 1e-9 * abs(same):
        raise SystemExit("the banded solve and the model disagree")
    off = [float(np.abs(rom.truncate(r).solve(mu).output / right - 1.0).mean()) for r in range(1, rom.size + 1)]
    size = 1 + int(np.argmin(np.abs(np.log(np.array(off) / 0.05))))
    reduced = of_reduced(rom.truncate(size))
    cost, cheap = seconds_of(truth, mu), seconds_of(reduced, space.sample(20_000, rng))
    print(f"thermal block, {fom.n} unknowns: {1e6 * cost:.0f} us a solve; reduced to {size}: {1e6 * cheap:.2f} us, "
          f"outputs {100 * off[size - 1]:.1f} % off on average")
    return space, Fidelity("full-order", truth, cost), Fidelity("reduced", reduced, cheap)


def control_variates(cells: int, reference: int, repeats: int) -> dict[str, Figure]:
    """Variance at equal cost and bias, of control variates and of multifidelity."""
    space, truth, rom = models(cells)
    points = Draws("monte-carlo", reference, space.size, seed=12345)
    exact = truth.evaluate(space.ppf(points.block(0, 0, reference))).output[0]
    evaluations = int(0.1 * SOLVES * truth.seconds / rom.seconds)
    runs: dict[str, Any] = {
        "control variate": lambda seed: control_variate(truth, rom, space, ["q"], SOLVES, evaluations, seed=seed),
        "multifidelity": lambda seed: multifidelity([truth, rom], space, ["q"], SOLVES, seed=seed)}
    gains, sigmas = [], []
    for name, run in runs.items():
        answers = [run(seed) for seed in range(repeats)]
        values = np.array([answer.mean["q"].value for answer in answers])
        pilot = 20 * (truth.seconds + rom.seconds) if name == "multifidelity" else 0.0
        cost = np.mean([sum(share.seconds for share in answer.budget.values()) for answer in answers]) + pilot
        gains.append(exact.var() / (cost / truth.seconds) / values.var(ddof=1))
        error = np.sqrt(exact.var() / reference + values.var(ddof=1) / repeats)
        sigmas.append(abs(values.mean() - exact.mean()) / error)
        held = np.mean([a.mean["q"].low <= exact.mean() <= a.mean["q"].high for a in answers])
        print(f"{name}: variance {gains[-1]:.1f} times lower at equal cost, {sigmas[-1]:.2f} standard errors from "
              f"{reference} solves, intervals hold {100 * held:.0f} %")
    return {"control_variate_variance_ratio": Figure(float(min(gains)), 10.0, True, "1", "Monte Carlo"),
            "control_variate_bias_sigmas": Figure(float(max(sigmas)), 3.0, False, "sigma", f"{reference} solves")}


def rare_events(repeats: int) -> dict[str, Figure]:
    """Five exceedance probabilities from one sample."""
    space = ParameterSpace([Parameter("z", Normal(0.0, 1.0), size=6)])
    a = np.ones(6) / np.sqrt(6.0)
    b = np.eye(6)[0] - a * a[0]
    b /= np.linalg.norm(b)
    thresholds = stats.norm.ppf(np.sqrt(1.0 - PROBABILITIES))
    evaluate = of_function(lambda mu: np.maximum(mu @ a, mu @ b))
    found = [importance(evaluate, space, ["q"], {"q": thresholds}, size=5000, seed=seed).events
             for seed in range(FIRST_SEED, FIRST_SEED + repeats)]
    values = np.array([[event.estimate.value for event in events] for events in found])
    errors = np.sqrt(((values / PROBABILITIES - 1.0) ** 2).mean(axis=0))
    plain = np.sqrt((1.0 - PROBABILITIES) / PROBABILITIES / 5000)
    sigmas = np.abs(values.mean(axis=0) - PROBABILITIES) / (values.std(axis=0, ddof=1) / np.sqrt(repeats))
    print("relative RMS error:", " ".join(f"{e:.3f}" for e in errors), "Monte Carlo:",
          " ".join(f"{e:.3f}" for e in plain))
    return {"importance_worst_gain": Figure(float(plain.max() / errors.max()), 15.0, True, "1", "Monte Carlo"),
            "importance_bias_sigmas": Figure(float(sigmas.max()), 3.0, False, "sigma", "exact")}


def measure(quick: bool) -> dict[str, Figure]:
    """All figures."""
    return control_variates(20, 5_000 if quick else 100_000, 36 if quick else 100) | rare_events(
        30 if quick else 100)


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(wish.quick), wish.json)
