"""Watches the jobs of a queue: those that are lost are replaced, and there are as many as the work needs."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from romflow.tasks.clusters.jobs import alive, last_words

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["JobWatch"]

_LOOK = 1.0  # seconds between looks at the workers
_FIRST_QUESTION, _LAST_QUESTION = 2.0, 30.0  # seconds between questions to the queue: twice as long each time
_LOST = 60.0  # seconds without its worker after which a job is lost
_FAILED_STARTS = 4  # jobs in succession that end before their worker connects: there is no use in more
_LONGEST_PAUSE = 300.0
_LAST_MINUTE, _LAST_SHARE = 60.0, 0.1  # before its wall-time ends, a job begins nothing new


@dataclass
class _Seen:
    """What is known of a job."""

    number: str | None
    begun: float | None = None  # when its worker connected
    here: float = 0.0  # when its worker was seen last
    busy: float = 0.0  # when its worker had a task last
    draining: bool = False


@dataclass
class _Pause:
    """Failed starts in succession, and the pause that they cost."""

    failures: int = 0
    until: float = 0.0
    words: str = ""

    def fail(self, words: str, counts: bool = True) -> None:
        """One more, which counts as such unless other jobs are waiting still."""
        self.failures, self.words = self.failures + counts, words
        self.until = time.monotonic() + min(2.0**self.failures, _LONGEST_PAUSE)


@dataclass
class _Question:
    """When the queue is asked next."""

    next: float = 0.0
    pause: float = _FIRST_QUESTION

    def due(self) -> bool:
        """Whether it is time; each time the pause grows."""
        now = time.monotonic()
        if now < self.next:
            return False
        self.next, self.pause = now + self.pause, min(2 * self.pause, _LAST_QUESTION)
        return True

    def soon(self) -> None:
        """Ask often again: something has changed."""
        if self.pause > 2 * _FIRST_QUESTION:
            self.next, self.pause = time.monotonic() + _FIRST_QUESTION, _FIRST_QUESTION


class JobWatch:
    """Keeps the jobs that a study needs in the queue until it is closed.

    A job is *lost* when its worker was connected and is no more, or when the queue does not know it any more; it is
    cancelled, to be sure, and another one is submitted. A job whose wall-time is nearly over gets no new tasks, and its
    successor is submitted at once. With `min_workers`, jobs are submitted when tasks wait for them, and ended when they
    had nothing to do for `idle_time` seconds.

    Parameters
    ----------
    jobs : dask_jobqueue.JobQueueCluster
    config : ClusterConfig
    walltime : float or None
        Seconds of a job.
    logs : path
        Folder of the jobs' logs.

    Attributes
    ----------
    broken : str or None
        Why jobs cannot be had.
    """

    def __init__(self, jobs: Any, config: ClusterConfig, walltime: float | None, logs: str) -> None:
        self.broken: str | None = None
        self._jobs, self._config, self._walltime, self._logs = jobs, config, walltime, logs
        self._demand = 1
        self._seen: dict[str, _Seen] = {}
        self._pause, self._question = _Pause(), _Question()
        self._accepted = self._given_up = self._closed = False

    def begin(self) -> None:
        """Submit the first jobs, and watch from now on."""
        self._jobs.loop.add_callback(self._run)

    def want(self, tasks: int) -> None:
        """Say how many tasks could run at once now."""
        self._demand = tasks

    def close(self) -> None:
        """Watch no more."""
        self._closed = True

    async def _run(self) -> None:
        while not self._closed:
            try:
                await self._look()
            except Exception:
                if not self._closed:  # else the scheduler has gone
                    logging.getLogger("romflow").exception("the jobs were not looked after")
            await asyncio.sleep(_LOOK)

    async def _look(self) -> None:
        """Once: who is there, who is lost, who is too many, who is missing."""
        working = self._working()
        for name, job in self._jobs.workers.items():
            self._note(self._seen.setdefault(name, _Seen(job.job_id)), working.get(name))
        for name in await self._gone(working):
            await self._end(name)
        self._judge(working)
        await self._drain(working)
        await self._scale(working)

    def _working(self) -> dict[str, int]:
        """Names of the jobs whose workers are connected -> number of their tasks."""
        tasks: dict[str, int] = {}
        for worker in self._jobs.scheduler.workers.values():
            name = str(worker.name) if worker.name in self._jobs.workers else str(worker.name).rpartition("-")[0]
            tasks[name] = tasks.get(name, 0) + len(worker.processing)
        return tasks

    def _note(self, seen: _Seen, tasks: int | None) -> None:
        now = time.monotonic()
        if tasks is None:
            return
        if seen.begun is None:
            seen.begun = seen.busy = now
            self._pause = _Pause()
        seen.here = now
        seen.busy = now if tasks else seen.busy

    async def _gone(self, working: dict[str, int]) -> list[str]:
        """Names of the jobs that are lost."""
        now, jobs = time.monotonic(), dict(self._jobs.workers)
        refused = {name: job.fault for name, job in jobs.items() if job.fault is not None}
        away = {name: job.job_id for name, job in jobs.items() if name not in working and name not in refused}
        lost = [name for name in away if self._seen[name].begun is not None and now - self._seen[name].here > _LOST]
        for fault in refused.values():
            self._pause.fail(f"the queue says: {fault}", counts=len(refused) == len(jobs))
            self._given_up |= not self._accepted
        self._accepted |= len(jobs) > len(refused)
        if any(self._seen[name].begun is not None for name in away):
            self._question.soon()
        if away and self._question.due():
            known = await alive(self._config.kind, set(away.values()))
            over = {name for name, number in away.items() if number not in known} - set(self._working())
            for name in over:
                self._ended(self._seen[name])
            lost += over - set(lost)
        return [*refused, *lost]

    def _ended(self, seen: _Seen) -> None:
        """A job is over before we ended it."""
        if seen.begun is None:
            self._pause.fail(last_words(self._logs, seen.number))
        logging.getLogger("romflow").warning("job %s has ended; another takes its place", seen.number)

    def _judge(self, working: dict[str, int]) -> None:
        """Give up where no job comes to work."""
        failures = self._pause.failures
        if self._given_up:
            self.broken = f"jobs cannot be submitted; {self._pause.words}; correct [cluster], and run again"
        elif failures >= _FAILED_STARTS and not working:
            self.broken = (f"{failures} jobs in succession ended before their workers were there; {self._pause.words}; "
                           "correct [cluster], and run again")

    async def _drain(self, working: dict[str, int]) -> None:
        """Give no more tasks to jobs that are about to reach their wall-time, and end those that have none left."""
        for name in [name for name, tasks in working.items() if name in self._seen]:
            seen = self._seen[name]
            if seen.draining and not working[name]:
                await self._end(name)
            elif not seen.draining and self._old(seen):
                seen.draining = True
                logging.getLogger("romflow").info("job %s is near its wall-time; another takes its place", seen.number)
                await self._jobs.scheduler.retire_workers(names=self._workers_of(name), close_workers=False,
                                                          remove=False)

    def _old(self, seen: _Seen) -> bool:
        if self._walltime is None or seen.begun is None:
            return False
        return time.monotonic() - seen.begun > self._walltime - min(_LAST_MINUTE, _LAST_SHARE * self._walltime)

    def _workers_of(self, name: str) -> list[str]:
        workers = self._jobs.scheduler.workers.values()
        return [str(w.name) for w in workers if name in (str(w.name), str(w.name).rpartition("-")[0])]

    async def _scale(self, working: dict[str, int]) -> None:
        """Submit what is missing, end what had nothing to do for long."""
        now, target = time.monotonic(), self._target()
        kept = [name for name in self._jobs.worker_spec if not self._seen.get(name, _Seen(None)).draining]
        if len(kept) < target and now >= self._pause.until:
            self._jobs.scale(jobs=len(self._jobs.worker_spec) + target - len(kept))
            self._question.soon()
        if self._config.min_workers is None or len(kept) <= target:
            return
        waiting = [name for name in kept if name in self._jobs.workers and self._seen[name].begun is None]
        idle = [name for name in kept if name in working and now - self._seen[name].busy > self._config.idle_time]
        for name in [*waiting, *idle][: len(kept) - target]:
            logging.getLogger("romflow").info("job %s has nothing to do and is ended", self._seen[name].number)
            await self._end(name)

    def _target(self) -> int:
        """How many jobs there should be."""
        if self.broken is not None:
            return 0
        if self._config.min_workers is None:
            return self._config.workers
        scheduler = self._jobs.scheduler
        running = sum(len(worker.processing) for worker in scheduler.workers.values())
        tasks = max(self._demand, running + len(scheduler.unrunnable) + len(scheduler.queued))
        return min(self._config.workers, max(self._config.min_workers, tasks))

    async def _end(self, name: str) -> None:
        """End a job; what its worker is at goes to another one."""
        names = self._workers_of(name)
        if names:
            await self._jobs.scheduler.retire_workers(names=names, close_workers=True, remove=True)
        self._seen.pop(name, None)
        self._jobs.worker_spec.pop(name, None)
        job = self._jobs.workers.pop(name, None)
        if job is not None:
            await job.close()
