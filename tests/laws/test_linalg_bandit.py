"""Laws of the bandits: probabilities, resuming, scale."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.linalg.learning.bandit import ContextualBandit
from romflow.linalg.learning.bandit_baseline import TsallisInf
from romflow.linalg.learning.learned_choice import best_fixed

LOSS = st.one_of(st.floats(1e-12, 1e12), st.just(float("inf")))
HISTORY = st.lists(st.tuples(st.integers(0, 3), st.floats(-2.0, 3.0), LOSS), max_size=40)


def told(bandit, history):
    for arm, context, loss in history:
        bandit.ask(context)
        bandit.tell(arm, context, loss)
    return bandit


@given(HISTORY, st.integers(0, 5), st.booleans())
@settings(max_examples=60)
def test_probabilities_are_positive_and_sum_to_one_whatever_was_told(history, seed, ordered):
    for bandit in (ContextualBandit(4, (0.0, 1.0), seed, ordered=ordered), TsallisInf(4, seed)):
        p = told(bandit, history).probabilities(0.3)
        assert p.shape == (4,)
        assert (p > 0.0).all()
        assert np.isclose(p.sum(), 1.0)
        assert np.isfinite(p).all()
        assert p[bandit.best(0.3)] == p.max()


@given(HISTORY, HISTORY, st.integers(0, 5))
@settings(max_examples=40)
def test_a_stored_bandit_goes_on_as_the_straight_one(first, second, seed):
    for make in (lambda: ContextualBandit(4, (0.0, 1.0), seed), lambda: TsallisInf(4, seed)):
        straight, resumed = told(make(), first), make()
        resumed.restore(json.loads(json.dumps(straight.state())))
        assert json.dumps(told(resumed, second).state()) == json.dumps(told(straight, second).state())
        assert [resumed.ask(0.1) for _ in range(9)] == [straight.ask(0.1) for _ in range(9)]


@given(st.lists(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3), min_size=1, max_size=20))
def test_no_fixed_arm_beats_the_instance_optimum(rows):
    known = best_fixed(np.array(rows))
    assert known.optimum <= known.mean * (1 + 1e-12)
    assert known.mean <= np.mean(rows, axis=0).min() * (1 + 1e-12)
