"""Requests of many clients at once become one batch of full-order solves."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batched"]

Array = NDArray[np.float64]
_Waiting = tuple[Array, "Future[Array]"]

_LARGEST = 1000


class Batched:
    """Gathers the parameters of callers in many threads and evaluates them together; a context manager.

    While one batch is evaluated the next one gathers, so that a lone caller does not wait for others.

    Parameters
    ----------
    evaluate : callable
        mu (k, p), all rows different -> (o, k). It is called from one thread alone.

    Examples
    --------
    >>> with Batched(lambda mu: 2 * mu.T) as twice:
    ...     twice(np.array([[1.0, 3.0]]))
    array([2., 6.])
    """

    def __init__(self, evaluate: Callable[[Array], Array]) -> None:
        self._evaluate = evaluate
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="romflow-batches", daemon=True)

    def __enter__(self) -> Batched:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._waiting.put(None)
        self._thread.join()

    def __call__(self, mu: Array) -> Array:
        """The column (o,) of one parameter (1, p); an exception of the evaluation is raised here."""
        future: Future[Array] = Future()
        self._waiting.put((mu[0], future))
        return future.result()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = self._gathered(first)
            self._answer(batch)
            if last:
                return

    def _gathered(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """What waits now, and whether the end was among it."""
        batch = [first]
        while len(batch) < _LARGEST:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False

    def _answer(self, batch: list[_Waiting]) -> None:
        rows, places = np.unique(np.array([row for row, _ in batch]), axis=0, return_inverse=True)
        try:
            values = self._evaluate(rows)
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for place, (_, future) in zip(places.ravel(), batch, strict=True):
            future.set_result(values[:, place])
