"""How solves are put into tasks: every row once, short tasks at the end, few tasks for short solves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from romflow.core.errors import ParameterError, ShapeError
from romflow.tasks.batches import Batches, Pace, checked_rows, first_of_equal


def tasks(count, workers, seconds, known=False):
    """Sizes of the tasks for so many solves of so many seconds, handed out to so many workers."""
    pace = Pace()
    if known:
        pace.add(1, seconds)
    batches, sizes, flying, seen = Batches(range(count), pace), [], [], []
    while len(batches) or flying:
        while len(batches) and len(flying) < workers:
            flying.append(batches.take(workers)[0])
        done = flying.pop(0)
        seen += done
        sizes.append(len(done))
        pace.add(len(done), seconds * len(done))
    assert sorted(seen) == list(range(count))
    return sizes


def test_the_first_tasks_measure():
    assert tasks(200, 2, 0.005)[:2] == [1, 1]
    assert tasks(200, 2, 0.005, known=True)[0] == 50


def test_short_solves_make_few_tasks():
    assert len(tasks(200, 2, 0.005)) <= 8
    assert len(tasks(10_000, 2, 0.0001)) <= 12
    assert max(tasks(10_000, 2, 0.005)) * 0.005 <= 0.5


def test_long_solves_make_one_task_each():
    assert set(tasks(20, 2, 1.0)) == {1}


def test_many_workers_share_evenly():
    sizes = tasks(1000, 50, 0.02, known=True)
    assert max(sizes) <= 10 and len(sizes) >= 100


def test_solves_without_any_time():
    assert sum(tasks(100, 2, 0.0)) == 100


@given(count=st.integers(0, 300), workers=st.integers(1, 9), seconds=st.floats(0.0, 10.0), known=st.booleans())
def test_every_row_is_handed_out_once(count, workers, seconds, known):
    assert sum(tasks(count, workers, seconds, known)) == count


def test_rows_of_a_lost_task_come_back_one_by_one():
    pace = Pace()
    pace.add(1, 0.001)
    batches = Batches(range(10), pace)
    lost, suspect = batches.take(1)
    assert len(lost) > 1 and not suspect
    batches.put_back(lost)
    assert len(batches) == 10
    assert [batches.take(1) for _ in lost] == [([row], True) for row in lost]


def test_the_pace_forgets_a_slow_start():
    pace = Pace()
    assert pace.seconds is None
    pace.add(0, 0.0)
    assert pace.seconds is None
    pace.add(1, 10.0)
    for _ in range(5):
        pace.add(1, 0.01)
    assert pace.seconds < 0.05


def test_rows_are_checked():
    rows = checked_rows([[1, -0.0]], ["a", "b"])
    assert rows.dtype == np.float64 and not np.signbit(rows[0, 1])
    with pytest.raises(ShapeError, match=r"shape \(2,\); rows \(k, 2\)"):
        checked_rows([1.0, 2.0], ["a", "b"])
    with pytest.raises(ParameterError, match=r"mu\[1, 0\] \(a\) = nan is not finite"):
        checked_rows([[1.0], [np.nan]], ["a"])


def test_equal_rows_are_found():
    assert first_of_equal(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [2.0, 1.0]])) == [0, 1, 0, 1]


def test_a_lane_is_served_from_its_group_and_then_from_the_end_of_the_longest():
    pace = Pace()
    batches = Batches(range(6), pace, [[4, 0], [2, 5, 1, 3]])
    assert [batches.take(2, lane)[0] for lane in (0, 1, 0, 0, 1, 1)] == [[4], [2], [0], [3], [5], [1]]
    assert len(batches) == 0 and batches.take(2, 1) == ([], False)


@given(groups=st.lists(st.lists(st.integers(), max_size=9), min_size=1, max_size=4), seconds=st.floats(0.0, 1.0))
def test_groups_are_handed_out_whole_whatever_the_lanes(groups, seconds):
    pace, seen, lane = Pace(), [], 0
    batches = Batches([], pace, groups)
    while len(batches):
        rows = batches.take(3, lane)[0]
        pace.add(len(rows), seconds * len(rows))
        seen, lane = [*seen, *rows], lane + 1
    assert sorted(seen) == sorted(row for group in groups for row in group)
