"""Models as functions of parameters; columns without an answer."""

from types import SimpleNamespace

import numpy as np

from romflow.core.errors import SolveFailed
from romflow.uq.evaluation import of_reduced


class Fragile:
    """Fails for a whole batch where one parameter is negative."""

    output_names = ("q", "r")

    def __init__(self, errors=True):
        self.errors, self.calls = errors, 0

    def solve(self, mu, check=True):
        self.calls += 1
        if (mu < 0.0).any():
            raise SolveFailed("singular")
        output = np.stack([mu[:, 0], 2.0 * mu[:, 0]])
        return SimpleNamespace(output=output, output_error=0.1 * output if self.errors else None, kind="bound")


def test_singular_columns_leave_the_others_their_answers():
    mu = np.linspace(-0.11, 0.9, 100)[:, None]
    found = of_reduced(Fragile())(mu)
    bad = mu[:, 0] < 0.0
    assert np.isnan(found.output[:, bad]).all() and np.isnan(found.output_error[:, bad]).all()
    np.testing.assert_array_equal(found.output[:, ~bad], np.stack([mu[~bad, 0], 2.0 * mu[~bad, 0]]))
    np.testing.assert_array_equal(found.output_error[:, ~bad], 0.1 * found.output[:, ~bad])
    assert found.kind == "bound"


def test_a_model_that_says_nothing_of_its_error_goes_on_saying_nothing():
    found = of_reduced(Fragile(errors=False))(np.array([[-1.0], [1.0], [2.0]]))
    assert found.output_error is None and found.kind is None
    assert np.isnan(found.output[:, 0]).all() and found.output[0, 1:].tolist() == [1.0, 2.0]


def test_whole_batches_are_solved_once():
    rom = Fragile()
    of_reduced(rom)(np.ones((50, 1)))
    assert rom.calls == 1
