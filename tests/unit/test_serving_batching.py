"""Requests that come together are solved together."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from romflow.core.errors import SolveFailed
from romflow.serving.batching import Batched


def test_what_waits_while_a_batch_is_solved_is_the_next_batch():
    sizes, began, go = [], threading.Event(), threading.Event()

    def evaluate(mu):
        sizes.append(len(mu))
        began.set()
        assert go.wait(10)
        return 3 * mu.T

    with Batched(evaluate) as batched, ThreadPoolExecutor(40) as pool:
        first = pool.submit(batched, np.array([[1.0, 2.0]]))
        assert began.wait(10)
        others = [pool.submit(batched, np.array([[float(i % 13), 5.0]])) for i in range(39)]
        while batched._waiting.qsize() < 39:
            pass
        go.set()
        np.testing.assert_array_equal(first.result(10), [3.0, 6.0])
        for i, found in enumerate(others):
            np.testing.assert_array_equal(found.result(10), [3.0 * (i % 13), 15.0])
    assert sizes == [1, 13]


def test_a_failure_reaches_those_who_asked_and_no_others():
    def evaluate(mu):
        if mu[0, 0] < 0:
            raise SolveFailed("negative")
        return mu.T

    with Batched(evaluate) as batched:
        with pytest.raises(SolveFailed, match="negative"):
            batched(np.array([[-1.0]]))
        assert batched(np.array([[4.0]])) == [4.0]
