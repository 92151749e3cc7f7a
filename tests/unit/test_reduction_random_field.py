"""Reduced models of random fields: their bound holds, also far from the snapshots, and comes back from a file."""

import numpy as np
import pytest

import romflow
from romflow.fom.gallery.random_field import RandomField
from romflow.fom.protocol import snapshot_of
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.store.snapshots import SnapshotStore

CASES = {
    "affine": (Uniform(-(3.0**0.5), 3.0**0.5), {"transform": "affine", "std": 0.25}),
    "lognormal": (Normal(0.0, 1.0), {"std": 0.5, "length": 1.0, "bound": "points", "training": 128}),
}


@pytest.mark.parametrize("case", CASES)
def test_bound_is_above_the_error_of_state_and_output(case, tmp_path, must_fail):
    distribution, options = CASES[case]
    space = ParameterSpace([Parameter("xi", distribution, size=3)])
    fom = RandomField(space, cells=10, **options)
    store = SnapshotStore(tmp_path / "store", fom.spec, space.columns)
    snapshots = space.sample(8, np.random.default_rng(0))
    for row in snapshots:
        store.put(row, snapshot_of(fom, row))
    rom = ReducedBasisReductor(tolerance=1e-8, max_size=8).reduce(fom, store, snapshots)
    mu = space.sample(40, np.random.default_rng(1))
    mu = np.vstack([mu, np.clip(3.0 * mu, space.low, space.high)])
    truth = [fom.solve(row) for row in mu]
    product, answer = InnerProduct(fom.inner_product), rom.solve(mu)
    error = product.norm(np.column_stack([one.state for one in truth]) - rom.lift(answer.coefficients))
    missed = np.abs(np.column_stack([one.outputs for one in truth]) - answer.output)

    def check(bound):
        assert (error <= bound).all() and np.median(bound / error) < 3.0

    assert answer.kind == "bound" and error.max() > 1e-4
    check(answer.error)
    must_fail(check, 0.8 * error, 5.0 * answer.error)
    assert (missed <= answer.output_error).all()
    rom.save(tmp_path / "model.h5")
    again = romflow.load(tmp_path / "model.h5")
    assert (again.solve(mu).error == answer.error).all()
