"""The residual norms on the one-dimensional reaction-diffusion problem, against tabulated values.

Source: -u'' + mu u = 1, P1 N = 200, H1_0 norm, mu in [1, 10], snapshots at 1, 10, 4, 2, 7; max over 500 mu of
E / ||f||, computed once with dense double-precision linear algebra (direct evaluation for the true value).
"""

import numpy as np
import pytest

from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.reduced_basis import ReducedBasisReductor
from tests.problems import MemoryStore, reaction_diffusion

SNAPSHOTS = np.array([[1.0], [10.0], [4.0], [2.0], [7.0]])
TRUE = [4.9e-2, 4.2e-4, 1.5e-6, 7.2e-9, 6.3e-12]
GRAM_FLOOR = 3.3e-8


@pytest.fixture(scope="module")
def built():
    fom = reaction_diffusion()
    product = InnerProduct(fom.inner_product)
    rom = ReducedBasisReductor(tolerance=0.0).reduce(fom, MemoryStore(fom), SNAPSHOTS)
    mu = np.linspace(1.0, 10.0, 500)[:, None]
    return fom, product, rom, mu, product.dual_norm(fom.rhs.vectors)[0]


def direct(fom, product, rom, mu):
    x = rom.solve(mu).coefficients
    states, f = rom.lift(x), fom.rhs.vectors[:, 0]
    residual = np.stack([f - fom.operator.assemble(row) @ u for row, u in zip(mu, states.T, strict=True)], axis=1)
    return product.dual_norm(residual)


def largest(rom, mu, scale):
    return np.max(rom.solve(mu).error) / scale


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_default_estimator_follows_the_table(built, size):
    fom, product, rom, mu, scale = built
    value = largest(rom.truncate(size), mu, scale)
    assert value == pytest.approx(TRUE[size - 1], rel=0.05)
    if size < 5:
        assert np.max(direct(fom, product, rom.truncate(size), mu)) / scale == pytest.approx(value, rel=1e-3)


def test_gram_formula_stalls_where_the_table_says(built):
    _, _, rom, mu, scale = built
    values = [largest(rom.truncate(size).with_estimator("gram"), mu, scale) for size in range(1, 6)]
    assert np.allclose(values[:3], TRUE[:3], rtol=0.05)
    for value in values[3:]:
        assert GRAM_FLOOR / 5 < value < GRAM_FLOOR * 5


def test_eim_estimator_follows_the_table_with_few_points(built):
    fom, _, rom, mu, scale = built
    training = np.linspace(1.0, 10.0, 300)[:, None]
    for size, points in zip(range(1, 6), [3, 5, 7, 9, 11], strict=True):
        small = rom.truncate(size).with_estimator("eim", training)
        assert len(small.residual.values) <= points + 2
        assert largest(small, mu, scale) == pytest.approx(TRUE[size - 1], rel=0.2)


def test_the_estimates_are_told_apart(built):
    """The companion that must fail: the Gram value is nowhere near the table at size 5."""
    _, _, rom, mu, scale = built
    assert largest(rom.with_estimator("gram"), mu, scale) > 100 * TRUE[4]
