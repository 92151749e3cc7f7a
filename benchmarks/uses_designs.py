"""Where to evaluate: optimal designs for polynomials beside independent draws, lattice rules beside Monte Carlo.

    python benchmarks/uses_designs.py [--quick] [--json FILE]

dpp_error_ratio is the root mean square L2 error of weighted least squares with 12 Legendre polynomials for
1 / (1 + 5 x^2) at n = 36 points over 100 repeated determinantal designs, by the best possible error;
dpp_unstable_share the share of designs of n = 120 points whose Gram matrix has an eigenvalue below 1/2. lattice_rate is
the fitted exponent of the root mean square error over random shifts of the mean of the solution on a random domain of
Gevrey type (12 inputs) against the number N of solves; lattice_gain_vs_monte_carlo the error of Monte Carlo (the
standard deviation of all independent draws by the root of N) by that of the lattice at N = 509.
"""

from __future__ import annotations

from figures import Figure, arguments, pin_threads, show

pin_threads()

from dataclasses import dataclass  # noqa: E402

import numpy as np  # noqa: E402

from romflow.fom.gallery.random_domain import RandomDomain  # noqa: E402
from romflow.parameters.distributions import Uniform  # noqa: E402
from romflow.parameters.lattice_rule import lattice, points  # noqa: E402
from romflow.parameters.polynomials.basis import marginals_of, polynomial_basis  # noqa: E402
from romflow.parameters.polynomials.designs import gram, optimal_germs  # noqa: E402
from romflow.parameters.space import Parameter, ParameterSpace  # noqa: E402

LINE = ParameterSpace([Parameter("x", Uniform(-1.0, 1.0))])
DEGREE = 11
SIDES = ParameterSpace([Parameter("y", Uniform(-1.0, 1.0), size=12)])
#: Parameter j moves side j % 4 with the frequency 1 + j // 4 and an amplitude that falls with its third power.
WEIGHTS = (1.0 + np.arange(12) // 4) ** -4.0
SIZES = (61, 127, 251, 509, 1021)
GAIN_AT = 509


def runge(x: np.ndarray) -> np.ndarray:
    """1 / (1 + 5 x^2)."""
    return 1.0 / (1.0 + 5.0 * x**2)


@dataclass(frozen=True)
class Designs:
    """Designs of one kind: errors by the best one, and smallest eigenvalues of the Gram matrices, one each."""

    ratios: np.ndarray
    smallest: np.ndarray

    @property
    def rms(self) -> float:
        """Root mean square error by the best possible."""
        return float(np.sqrt(np.mean(self.ratios**2)))

    @property
    def unstable(self) -> float:
        """Share of designs with an eigenvalue below 1/2."""
        return float(np.mean(self.smallest < 0.5))


def designs(kind: str, n: int, draws: int) -> Designs:
    """Weighted fits at `draws` designs of n points."""
    basis = polynomial_basis(LINE, DEGREE)
    germs = optimal_germs(basis, marginals_of(LINE, DEGREE), n, np.random.default_rng(1), kind, draws)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    phi = basis.of_germs(nodes[:, None])
    best = phi.T @ (0.5 * weights * runge(nodes))
    left = float(0.5 * weights @ (runge(nodes) - phi @ best) ** 2)
    ratios = [np.sqrt(1.0 + np.sum((fitted(basis.of_germs(x), runge(x[:, 0])) - best) ** 2) / left) for x in germs]
    return Designs(np.array(ratios), np.array([np.linalg.eigvalsh(gram(basis, x))[0] for x in germs]))


def fitted(phi: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients of weighted least squares."""
    root = np.sqrt(phi.shape[1] / np.sum(phi**2, axis=1))
    return np.linalg.lstsq(phi * root[:, None], root * y, rcond=None)[0]


def optimal_designs(quick: bool) -> dict[str, Figure]:
    """The two figures of determinantal designs."""
    m = DEGREE + 1
    few, many, iid = designs("projection-dpp", 3 * m, 100), 200 if quick else 2000, "iid"
    stable = designs("projection-dpp", 10 * m, many)
    peers = designs(iid, 3 * m, 100), designs(iid, 10 * m, many)
    print(f"n = 3 m: error / best {few.rms:.3f}, independent draws {peers[0].rms:.3f}; n = 10 m: unstable "
          f"{stable.unstable:.4f}, independent draws {peers[1].unstable:.4f}", flush=True)
    peer = "independent optimal draws"
    return {"dpp_error_ratio": Figure(few.rms, 1.5, False, "1", f"{peer}: {peers[0].rms:.2f}"),
            "dpp_unstable_share": Figure(stable.unstable, 0.05, False, "1", f"{peer}: {peers[1].unstable:.2f}")}


def lattices(quick: bool) -> dict[str, Figure]:
    """The two figures of lattice rules."""
    model, shifts = RandomDomain(SIDES, cells=12 if quick else 24), 12 if quick else 32
    rng = np.random.default_rng(3)
    errors = []
    for n in SIZES:
        z = lattice(n, SIDES.size, WEIGHTS)
        means = [mean_of(model, points(z, n, shift=rng.random(SIDES.size))) for _ in range(shifts)]
        errors.append(float(np.std(means, ddof=1)))
    independent = model.evaluate(SIDES.sample(2000 if quick else 4000, rng))[0]
    monte_carlo = [float(np.std(independent, ddof=1) / np.sqrt(n)) for n in SIZES]
    for n, ours, theirs in zip(SIZES, errors, monte_carlo, strict=True):
        print(f"N = {n:5}: lattice {ours:.2e}, Monte Carlo {theirs:.2e}", flush=True)
    rate = float(np.polyfit(np.log(SIZES), np.log(errors), 1)[0])
    place = SIZES.index(GAIN_AT)
    return {"lattice_rate": Figure(rate, -0.75, False, "1", "Monte Carlo"),
            "lattice_gain_vs_monte_carlo": Figure(monte_carlo[place] / errors[place], 10.0, True, "1", "Monte Carlo")}


def mean_of(model: RandomDomain, unit: np.ndarray) -> float:
    """Mean of the output over points of the unit cube."""
    return float(model.evaluate(SIDES.ppf(unit))[0].mean())


def measure(quick: bool) -> dict[str, Figure]:
    """All figures."""
    return lattices(quick) | optimal_designs(quick)


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(wish.quick), wish.json)
