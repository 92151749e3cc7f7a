"""Many draws of a reduced model by tasks: chunks of rows, answers kept in files, a fall-back to full-order steps."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from romflow.core.errors import InputError, ShapeError, StoreError
from romflow.core.files import write_atomic
from romflow.core.fingerprint import file_fingerprint, fingerprint
from romflow.reduction import draws
from romflow.reduction.draws import DrawAnswers
from romflow.reduction.mechanics.runner import Tasks
from romflow.rom.loading import load
from romflow.rom.model import ReducedModel
from romflow.store.artefact import read_artefact
from romflow.store.snapshot_files import make_folder
from romflow.uq.evaluation import Evaluated

__all__ = ["CHUNK", "STATUS", "DrawTable", "ReducedDraws"]

#: Rows of a task, whatever the number of workers.
CHUNK = 64
#: Words for the status of a draw.
STATUS = ("recommended", "second", "enriched", "refused")
#: (draws done, draws in all)
Watcher = Callable[[int, int], None]
# Chunks that are asked for at a time, so that progress can be told.
_WAVE = 128


@dataclass(frozen=True, eq=False)
class DrawTable:
    """What a reduced model answers at b draws.

    Attributes
    ----------
    mu : (b, p)
    answers : DrawAnswers
    full_order_steps : int
        That were spent on all of them.
    """

    mu: np.ndarray
    answers: DrawAnswers
    full_order_steps: int = 0

    @property
    def evaluated(self) -> Evaluated:
        """Outputs with their errors, as `romflow.uq` takes them."""
        found = self.answers
        return Evaluated(found.output, found.output_error, None if found.output_error is None else found.kind)

    def facts(self) -> dict[str, float | int]:
        """Number of draws, shares by status, full-order steps and processor seconds."""
        counts = np.bincount(self.answers.status, minlength=len(STATUS)) / max(1, len(self.mu))
        return {"draws": len(self.mu), **{name: float(share) for name, share in zip(STATUS, counts, strict=True)},
                "full_order_steps": self.full_order_steps, "processor_seconds": float(self.answers.seconds)}

    def write(self, path: str | Path, columns: Sequence[str], outputs: Sequence[str]) -> None:
        """The table as CSV: parameters, outputs, relative error, cluster and status of each draw, all digits.

        Raises
        ------
        StoreError
            The disk is full or refuses.
        """
        found, text = self.answers, io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow([*columns, *outputs, "error", "cluster", "status"])
        numbers = np.column_stack([self.mu, found.output.T, found.error]).tolist()
        words = [STATUS[code] for code in found.status]
        lines.writerows([*row, cluster, word]
                        for row, cluster, word in zip(numbers, found.chosen.tolist(), words, strict=True))
        write_atomic(Path(path), text.getvalue().encode())


class ReducedDraws:
    """A reduced model in a file as a function of its parameters, evaluated by tasks (an `Evaluate` of `romflow.uq`).

    Every chunk of rows is a task, which leaves its answers in a file named by the model and the rows: what was done is
    not done again, whoever was killed, and the answers are the same to the bit for any number of workers.

    Parameters
    ----------
    tasks : callable
        tasks(kernel, shared, parts), such as an executor's `parts` bound to a request and a store.
    model : path
        File of the reduced model, seen by the workers too.
    folder : path
        Where answers are kept; made if it does not exist.
    chunk : int
        Rows of a task.
    offline : sequence of path
        Offline data of each local model of a dictionary of mechanics, for its full-order steps.
    full_order_steps : int
        Most of them for one draw that stays above the dictionary's tolerance; 0 refuses it.
    rom : ReducedModel, optional
        That in the file, where it is at hand.

    Attributes
    ----------
    rom : ReducedModel
    identity : str
        Of all that the answers depend on, but for the draws.

    Raises
    ------
    InputError
        A number is out of range, or full-order steps are wanted without the offline data of each local model.
    StoreError
        The model's file is missing or damaged.
    """

    def __init__(self, tasks: Tasks, model: str | Path, folder: str | Path, *, chunk: int = CHUNK,
                 offline: Sequence[str | Path] = (), full_order_steps: int = 0,
                 rom: ReducedModel | None = None) -> None:
        for name, value, least in (("chunk", chunk, 1), ("full_order_steps", full_order_steps, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"draws by tasks were given {name} = {value!r}; the rule is a whole number from "
                                 f"{least} on")
        self._tasks, self._chunk = tasks, chunk
        self._model, self._folder = Path(model).absolute(), Path(folder).absolute()
        self._identity = file_fingerprint(self._model)
        self.rom: ReducedModel = load(self._model) if rom is None else rom
        self._local = tuple(getattr(self.rom, "models", ()))
        self._tolerance = float(getattr(self.rom, "tolerance", 0.0))
        self._steps, self._offline = full_order_steps, [str(Path(one).absolute()) for one in offline]
        if full_order_steps and self._local and len(self._offline) != len(self._local):
            raise InputError(f"full-order steps for a dictionary of {len(self._local)} local models were asked for "
                             f"with {len(self._offline)} files of offline data; give one for each local model, or "
                             "full_order_steps = 0")
        self.identity = fingerprint([self._identity, chunk, full_order_steps if self._local else 0])
        make_folder(self._folder)
        self._ahead: DrawTable | None = None
        self._place: dict[bytes, int] = {}

    def __call__(self, mu: np.ndarray) -> Evaluated:
        """Outputs (o, b) at mu (b, p), not a number where a draw is refused; `ahead` and files are looked at first."""
        rows = self._rows(mu)
        places = [self._place.get(row.tobytes(), -1) for row in rows]
        if self._ahead is None or min(places, default=0) < 0:
            return self.table(rows).evaluated
        found = self._ahead.evaluated
        error = None if found.output_error is None else found.output_error[:, places]
        return Evaluated(found.output[:, places], error, found.kind)

    def ahead(self, mu: np.ndarray, watcher: Watcher | None = None) -> DrawTable:
        """All that is known at the draws mu (b, p), which later calls for some of them take from memory."""
        self._ahead = self.table(mu, watcher)
        self._place = {row.tobytes(): place for place, row in reversed(list(enumerate(self._rows(mu))))}
        return self._ahead

    def table(self, mu: np.ndarray, watcher: Watcher | None = None) -> DrawTable:
        """All that is known at the draws mu (b, p); `watcher` is told (draws done, draws in all) now and then.

        Raises
        ------
        ShapeError, InputError
            mu is no table of finite numbers with a column for each parameter.
        """
        rows = self._rows(mu)
        found = self._chunks(rows, watcher or _unwatched)
        hopeful = np.flatnonzero(found.hopeful)
        if not (self._steps and self._local and self._tolerance > 0.0 and hopeful.size):
            return DrawTable(rows, found)
        return DrawTable(rows, *self._enriched(rows, found, hopeful))

    def _chunks(self, rows: np.ndarray, watcher: Watcher) -> DrawAnswers:
        """The model's own answers at rows (b, p)."""
        size, count = self._chunk, -(-len(rows) // self._chunk)
        keys = [fingerprint({"model": self._identity, "mu": rows[size * part:size * (part + 1)].tolist()})
                for part in range(count)]
        missing = [part for part, key in enumerate(keys) if draws.kept_answers(self._folder, key) is None]
        if missing:
            name = draws.kept_rows(self._folder, rows)
            shared = {"model": str(self._model), "identity": self._identity, "folder": str(self._folder), "rows": name,
                      "chunk": size}
            watcher(max(0, len(rows) - size * len(missing)), len(rows))
            for first in range(0, len(missing), _WAVE):
                self._tasks(draws.DRAWS, shared, missing[first:first + _WAVE])
                watcher(min(len(rows), len(rows) - size * (len(missing) - first - _WAVE)), len(rows))
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()
        return draws.joined_answers([self._kept(key)[0] for key in keys])

    def _enriched(self, rows: np.ndarray, found: DrawAnswers, hopeful: np.ndarray) -> tuple[DrawAnswers, int]:
        """The answers with those of hopeful draws after full-order steps, and how many steps that took."""
        mu, chosen = rows[hopeful], found.chosen[hopeful]
        keys = [fingerprint({"model": self._identity, "mu": row, "chosen": number, "steps": self._steps})
                for row, number in zip(mu.tolist(), chosen.tolist(), strict=True)]
        missing = [part for part, key in enumerate(keys) if draws.kept_answers(self._folder, key) is None]
        if missing:
            share = min(1.0, self._steps / max(1, len(self._local[0].times) - 1))
            shared = {"folder": str(self._folder), "keys": keys, "mu": mu.tolist(), "chosen": chosen.tolist(),
                      "models": self._local_files(), "offline": self._offline, "tolerance": min(self._tolerance, 0.99),
                      "share": share}
            # Those of one local model one after the other, for a worker keeps what it has read of it.
            self._tasks(draws.STEPS, shared, sorted(missing, key=lambda part: chosen[part]))
        kept = [self._kept(key) for key in keys]
        after = draws.joined_answers([one for one, _ in kept])
        steps = sum(int(about["full_order_steps"]) for _, about in kept)
        return _replaced(found, hopeful, after), steps

    def _local_files(self) -> list[str]:
        """Files of the local models; those of other models, and damaged ones, are replaced."""
        files = [self._folder / f"local-{number}-{self._identity[:16]}.h5" for number in range(len(self._local))]
        for old in set(self._folder.glob("local-*.h5")).difference(files):
            old.unlink(missing_ok=True)
        for file, rom in zip(files, self._local, strict=True):
            if not _whole(file):
                rom.save(file)
        return [str(file) for file in files]

    def _kept(self, key: str) -> tuple[DrawAnswers, dict[str, object]]:
        found = draws.kept_answers(self._folder, key)
        if found is None:
            raise StoreError(f"{draws.answers_file(self._folder, key)} was to be written by a task and cannot be read; "
                             "do all workers see this folder?")
        return found

    def _rows(self, mu: np.ndarray) -> np.ndarray:
        """Draws as a table (b, p); -0.0 is 0.0."""
        rows = np.ascontiguousarray(mu, dtype=np.float64) + 0.0
        p = self.rom.parameters.size
        if rows.ndim != 2 or rows.shape[1] != p or not len(rows):
            raise ShapeError(f"draws have shape {rows.shape}; the rule is (b, {p}), one row a draw")
        if not np.isfinite(rows).all():
            raise InputError(f"{int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} draws are not finite; give "
                             "finite parameters")
        return rows


def _whole(file: Path) -> bool:
    """Whether a file of a model is there and as it was written."""
    try:
        read_artefact(file, [])
    except StoreError:
        return False
    return True


def _unwatched(done: int, total: int) -> None:
    """Tell nobody."""


def _replaced(found: DrawAnswers, places: np.ndarray, after: DrawAnswers) -> DrawAnswers:
    """Answers with those at some places replaced."""
    values = {name: getattr(found, name).copy() for name in ("output", "error", "status", "chosen")}
    for name, value in values.items():
        value[..., places] = getattr(after, name)
    error = None if found.output_error is None else found.output_error.copy()
    if error is not None:
        error[:, places] = np.nan
    return replace(found, **values, output_error=error, hopeful=np.zeros_like(found.hopeful),
                   seconds=found.seconds + after.seconds)
