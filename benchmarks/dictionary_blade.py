"""A thousand blades through a dictionary of reduced models, beside the full-order solver on all cores, in one run.

    python benchmarks/dictionary_blade.py [--quick] [--json FILE] [--folder FOLDER]

The study of pipelines/blade_uq.toml (more than 100,000 unknowns; --quick: coarse linear elements, fewer solves): random
temperatures, cheap solves on a coarse mesh, clusters by angle, full-order runs of some members, local models, 1008
draws. With --folder the study stays there, and a second call goes on where the first one stopped; what is timed is
timed anew.

blade_speedup is the wall time a draw of full-order solves by two workers over that of the 1008 draws by the same
workers from nothing but the model's file. Errors are relative L2 norms over the blade on draws that nothing was made
from, averaged over the draws: of the accumulated plastic strain at the end, and of von Mises' stress, the largest of
all times by its largest norm; blade_error is the worse of the two. error_vs_global compares them with one model of the
same size from all the full-order runs: the larger of the two ratios. Draws that the dictionary refuses
have no error; blade_answered is the share of those that it answers. The quantity of interest, the mean plastic strain
of a blade, has its mean and standard deviation compared with those of the full-order model over the same unseen draws.
"""

from __future__ import annotations

import json
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import PIPELINES, PLASTIC, say  # noqa: E402

import romflow  # noqa: E402
from romflow.fom.build import model_identity  # noqa: E402
from romflow.fom.mechanics.replay import replay  # noqa: E402
from romflow.materials.protocol import rows_of  # noqa: E402
from romflow.materials.tensors import mises  # noqa: E402
from romflow.store.snapshots import SnapshotStore  # noqa: E402
from romflow.study import Study  # noqa: E402
from romflow.tasks.executor import Executor, make_executor  # noqa: E402
from romflow.walk.reduced_draws import ReducedDraws  # noqa: E402

DRAWS, TIMED, WARM = 1008, 4, 2
GLOBAL = "global.h5"
#: What --quick changes: a small mesh with one hole, whose cheap solves take half as many steps, smaller models that are
#: never refused for their error, no workers, and no page, whose pictures take longer than the rest.
QUICK: dict[str, dict[str, Any]] = {
    "model": {"mesh": {"shape": "blade", "size": 40, "span": 40.0, "holes": 1}, "element": "tet4"},
    "time": {"steps": 4}, "sampling": {"size": 24},
    "dictionary": {"simplified": {"time": {"steps": 2}}, "budget": 15, "clusters": 3, "snapshots": 5,
                   "fallback": {"tolerance": 0.0}},
    "reduction": {"subdomains": 1, "max_size": 6}, "validation": {"size": 6}, "cluster": {"kind": "serial"}}


def study_of(quick: bool) -> Study:
    """The study of the pipeline, in a coarse form where wished; the draws are made here."""
    content = tomllib.loads((PIPELINES / "blade_uq.toml").read_text(encoding="utf-8"))
    for table, keys in (QUICK if quick else {}).items():
        content[table] = keys if table == "cluster" else {**content[table], **keys}
    if quick:
        del content["uq"]
    return Study.from_dict(content, PIPELINES)


class Truths:
    """Unseen full-order draws: plastic strain at the end (G, b), von Mises stress (G, K, b), outputs (o, b)."""

    def __init__(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> None:
        self.mu = mu[~np.isin(np.arange(len(mu)), store.missing(mu))]
        problem, plastic = fom.mechanics, rows_of(fom.mechanics.law, PLASTIC)
        found = []
        for row in self.mu:
            trajectory = store.trajectory(row)
            history = replay(problem, row, trajectory.times, (trajectory.state(k) for k in range(len(trajectory))))
            stresses = []
            for _, stress, state in history:
                stresses.append(mises(stress).astype(np.float32))
                last = state[plastic][0].copy()
            found.append((last, np.stack(stresses, axis=1), trajectory.series[:, -1]))
        self.p, self.mises, self.output = (np.stack(values, axis=-1) for values in zip(*found, strict=True))

    def errors(self, rom: Any, answer: Any) -> tuple[np.ndarray, np.ndarray]:
        """Relative errors (b,) of the plastic strain and of the von Mises stress."""
        local = getattr(rom, "models", (rom,))
        w = local[0].volume
        p = rom.field(answer, PLASTIC)[0]
        plastic = np.sqrt(w @ (p - self.p)**2) / np.sqrt(w @ self.p**2)
        gap, size = np.zeros((2, self.mises.shape[1], len(self.mu)))
        for k in range(1, self.mises.shape[1]):
            gap[k] = np.sqrt(w @ (rom.field(answer, "mises", k)[0] - self.mises[:, k])**2)
            size[k] = np.sqrt(w @ self.mises[:, k].astype(float)**2)
        return plastic, gap.max(axis=0) / size.max(axis=0)


@contextmanager
def workers(study: Study) -> Iterator[Executor]:
    """The workers of the study."""
    with make_executor(study.config.cluster) as executor:
        yield executor


def full_order_seconds(study: Study, executor: Executor, folder: Path) -> float:
    """Wall seconds a draw of full-order solves by all workers, which have built the model before."""
    mu = study.parameters.sample(WARM + TIMED, np.random.default_rng(123))
    columns = study.parameters.columns
    SnapshotStore(folder, model_identity(study.request, study.model), columns)
    executor.solve(study.request, folder, columns, mu[:WARM])
    begun = time.perf_counter()
    records = executor.solve(study.request, folder, columns, mu[WARM:])
    elapsed = time.perf_counter() - begun
    if any(record.status == "failed" for record in records):
        raise SystemExit("a full-order draw failed")
    return elapsed / TIMED


def drawn(study: Study, executor: Executor, model: Path, store: Path) -> tuple[float, Any]:
    """Wall seconds a draw of 1008 draws by all workers, and their table."""
    mu = study.parameters.sample(DRAWS, np.random.default_rng(5))
    wish = study.config.dictionary.fallback
    evaluate = ReducedDraws(lambda kernel, shared, parts: executor.parts(kernel, study.request, store, shared, parts),
                            model, store.parent / "draws", offline=sorted(model.parent.glob("offline_*.h5")),
                            full_order_steps=wish.full_order_steps)
    begun = time.perf_counter()
    table = evaluate.table(mu)
    return (time.perf_counter() - begun) / DRAWS, table


def global_model(study: Study, store: SnapshotStore, folder: Path) -> tuple[Any, int]:
    """One model of the same size from all the full-order runs of the dictionary, kept in the folder; their number."""
    design = np.atleast_2d(study.sampler().ask())
    runs = design[~np.isin(np.arange(len(design)), store.missing(design))]
    if not (folder / GLOBAL).is_file():
        rom = study.reductor().reduce(study.model, store, runs)
        rom.save(folder / GLOBAL)
    return romflow.load(folder / GLOBAL), len(runs)


def measure(quick: bool, folder: Path) -> dict[str, Figure]:
    """All figures."""
    study = study_of(quick)
    begun = time.perf_counter()
    with patch("romflow.walk.run.write_report") if quick else nullcontext():
        study.run(folder)
    say(f"{study.model.n} unknowns: the study took {time.perf_counter() - begun:.0f} s (what was stored is taken)")
    rom = romflow.load(folder / "model.h5")
    store = SnapshotStore(folder / "store", model_identity(study.request, study.model), study.parameters.columns)
    one, runs = global_model(study, store, folder)
    truth = Truths(study.model, store, study.validation_parameters())
    answer, single = rom.solve(truth.mu, check=False), one.solve(truth.mu, check=False)
    mine, its = (np.array(truth.errors(model, found)) for model, found in ((rom, answer), (one, single)))
    answered = np.isfinite(mine).all(axis=0)
    mine, its = mine[:, answered], its[:, answered]
    for name, error in (("dictionary", mine), ("one model", its)):
        say(f"{name}: plastic strain {error[0].mean():.4f} (at most {error[0].max():.4f}), von Mises "
            f"{error[1].mean():.4f} ({error[1].max():.4f}), {error.shape[1]} unseen draws")
    say(f"{len(rom.models)} local models of {[local.size for local in rom.models]} modes and "
        f"{[len(local.points) for local in rom.models]} points, one of {one.size} and {len(one.points)}; {runs} runs")
    with tempfile.TemporaryDirectory() as fresh, workers(study) as executor:
        truths = Path(fresh) / "store"
        full = full_order_seconds(study, executor, truths)
        seconds, table = drawn(study, executor, folder / "model.h5", truths)
    say(f"{full:.3f} s a full-order draw, {1e3 * seconds:.2f} ms through the dictionary: {json.dumps(table.facts())}")
    reduced, exact = np.asarray(answer.output)[0, answered], truth.output[0, answered]
    mean, std = (abs(f(reduced) / f(exact) - 1.0) for f in (np.mean, np.std))
    return {"blade_speedup": Figure(full / seconds, 600, True, "x", "own full-order solver on two cores"),
            "blade_error": Figure(mine.mean(axis=1).max(), 2e-2, False, "1"),
            "error_vs_global": Figure((mine.mean(axis=1) / its.mean(axis=1)).max(), 1.0, False, "1",
                                      "one model of the same size"),
            "quantity_mean_error": Figure(mean, 2e-2, False, "1"),
            "quantity_std_error": Figure(std, 5e-2, False, "1"),
            "blade_answered": Figure(float(np.mean(table.answers.status < 3)), 0.95, True, "1"),
            "blade_draws": Figure(len(table.mu), DRAWS, True, "1"),
            "blade_unseen": Figure(mine.shape[1], 20, True, "1"),
            "dictionary_unknowns": Figure(study.model.n, 1e5, True, "1")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "", folder=True)
    with tempfile.TemporaryDirectory() as passing:
        show(measure(wish.quick, wish.folder or Path(passing)), wish.json)
