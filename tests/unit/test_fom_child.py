"""How runs of external programs end: time limits, interrupts, and romflow's own death leave no process behind."""

import functools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from romflow.fom import child
from tests.programs import MU, failed, gone, scripted

PARENT = '''
import os, sys, time
import numpy as np
from romflow.fom.external import ExternalProgram
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0))])
quick = ["{python}", "-I", "-S", "-c", "pass"]
try:
    ExternalProgram(space, quick).solve(np.zeros(1))
except RuntimeError:
    pass
if os.fork() == 0:      # a forked worker must not hide the death of its parent
    os.close(1)
    time.sleep(30)
    os._exit(0)
slow = """
import os, subprocess, time
helper = subprocess.Popen(["sleep", "60"])
os.write(3, b"%d %d" % (os.getpid(), helper.pid))
time.sleep(60)
"""
os.dup2(1, 3, inheritable=True)
import subprocess
Popen = subprocess.Popen
subprocess.Popen = lambda *words, **options: Popen(*words, **options, pass_fds=[3])
ExternalProgram(space, ["{python}", "-I", "-S", "-c", slow]).solve(np.zeros(1))
'''


# Far below the seconds that the programs sleep, and far above what a busy machine needs to end them.
SOON = 12.0


@pytest.fixture
def program(tmp_path):
    """program(body, **options): the model of a Python script with this body."""
    return functools.partial(scripted, tmp_path)


def test_time_limit_ends_the_program_and_its_children(program):
    body = """
helper = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
print(helper.pid, file=sys.stderr, flush=True)
time.sleep(60)
"""
    start = time.monotonic()
    report = failed(program(body, timeout=0.7), "time limit of 0.7 s")
    assert time.monotonic() - start < SOON
    assert report["exit_code"] == -signal.SIGTERM and gone(int(report["stderr"]))


def test_program_that_ignores_the_polite_signal_is_killed(program, monkeypatch):
    monkeypatch.setattr(child, "_GRACE", 0.3)
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', file=sys.stderr, flush=True); time.sleep(60)"
    report = failed(program(body, timeout=0.7), "time limit")
    assert report["exit_code"] == -signal.SIGKILL and report["stderr"] == "deaf\n"


def test_program_that_prints_for_ever_meets_the_time_limit(program):
    report = failed(program("while True: show(b'x' * 65536)", timeout=0.5), "time limit")
    assert report["wall_seconds"] < SOON


def test_grandchildren_are_ended_with_a_good_program(program):
    body = """
helper = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
print(helper.pid, file=sys.stderr)
save(npy([1.0]))
"""
    start = time.monotonic()
    snapshot = program(body).solve(MU)
    assert np.array_equal(snapshot.state, [1.0]) and time.monotonic() - start < SOON
    assert gone(int(snapshot.info["stderr"]))


def test_grandchild_that_left_the_group_does_not_hold_up_the_answer(program):
    body = """
helper = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(20)"], start_new_session=True)
print(helper.pid, file=sys.stderr)
save(npy([1.0]))
"""
    start = time.monotonic()
    snapshot = program(body).solve(MU)
    os.kill(int(snapshot.info["stderr"]), signal.SIGKILL)
    assert time.monotonic() - start < SOON


def test_program_that_closes_its_pipes_early_is_waited_for(program):
    body = "sys.stdout.close(); os.close(1); os.close(2); time.sleep(0.3); save(npy([1.0]))"
    assert np.array_equal(program(body).solve(MU).state, [1.0])


def test_killing_romflow_ends_the_program_and_its_children(repository):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=repository,
                              start_new_session=True)
    try:
        pids = [int(word) for word in os.read(parent.stdout.fileno(), 100).split()]
        assert len(pids) == 2 and not gone(pids[0], 0.05) and not gone(pids[1], 0.05)
        parent.kill()
        parent.wait()
        assert gone(pids[0]) and gone(pids[1])
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.stdout.close()
        parent.wait()


def test_interrupt_ends_the_program(program, monkeypatch):
    body = "print(os.getpid(), file=sys.stderr, flush=True); open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    fom = program(body)
    started = fom.base / "pid"

    def interrupted(selector, seconds, read=child._read):
        if started.exists() and started.read_text():
            raise KeyboardInterrupt
        read(selector, seconds)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(child, "_read", interrupted)
        fom.solve(MU)
    assert gone(int(started.read_text()))
