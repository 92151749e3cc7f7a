"""Where an adaptive run is, and its checkpoint on the disk."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np

from romflow.core.errors import StoreError
from romflow.reduction.mechanics.adaptive_log import LogRow
from romflow.reduction.mechanics.files import WorkFiles
from romflow.reduction.mechanics.offline import OfflineData
from romflow.rom.mechanics.answer import ReducedState
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.artefact import read_artefact, write_artefact

__all__ = ["Place", "load_place", "save_place"]

KIND = "mechanics-adaptive"


@dataclass
class Place:
    """All that the rest of an adaptive run depends on.

    Attributes
    ----------
    rom, offline
        As they are now.
    state : ReducedState
        At time number `k`.
    k : int
    turn : int
        0, and 1 once the run began again.
    taken : int
        Full-order steps so far.
    anchor, start : int, str
        Number of the last time at which the whole state is known, and its file ("" at the first time).
    path : list of (r + L,)
        Coefficients of basis and liftings at times 0 .. k.
    dual : dict of str to list of (n_q,)
    residual : list of float
    log : list of LogRow
    """

    rom: MechanicsReducedModel
    offline: OfflineData
    state: ReducedState
    k: int = 0
    turn: int = 0
    taken: int = 0
    anchor: int = 0
    start: str = ""
    path: list[np.ndarray] = field(default_factory=list)
    dual: dict[str, list[np.ndarray]] = field(default_factory=dict)
    residual: list[float] = field(default_factory=list)
    log: list[LogRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.dual:
            self.forget()

    def forget(self) -> None:
        """Drop the way here."""
        self.path, self.residual, self.dual = [], [], {name: [] for name in self.rom.dual}

    def adopt(self, rom: MechanicsReducedModel, offline: OfflineData) -> None:
        """Go on with an enriched model: what was found is told in its modes, which hold the former ones."""
        r = self.rom.size
        more = np.zeros(rom.size - r)
        self.path = [np.concatenate([one[:r], more, one[r:]]) for one in self.path]
        for name, dual in rom.dual.items():
            weights = np.tile(rom.volume, dual.components)[:, None]
            turn = dual.modes.T @ (weights * self.rom.dual[name].modes)
            self.dual[name] = [turn @ z for z in self.dual[name]]
        self.rom, self.offline = rom, offline


def save_place(folder: Path, key: str, place: Place) -> Place:
    """Write a checkpoint, models first, where they are new; the place as it is read again.

    A run that goes on from what is answered is the same to the last bit whether it was killed or not: sums over arrays
    that lie in memory in another order are rounded in another way.

    Raises
    ------
    StoreError
        The disk is full or refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model, offline = (folder / f"{word}-{place.taken:04d}.h5" for word in ("model", "offline"))
    known = _known(folder / "checkpoint.h5")
    renewed = known is None or known.get("key") != key or known.get("taken") != place.taken
    if renewed:
        place.rom.save(model)
        place.offline.save(offline)
    arrays = {f"state/{name}": values for name, values in place.state.to_arrays().items()}
    arrays |= {f"dual/{name}": np.array(found) for name, found in place.dual.items()}
    arrays |= {"path": np.array(place.path), "residual": np.array(place.residual)}
    about = {name: getattr(place, name) for name in _NUMBERS}
    write_artefact(folder / "checkpoint.h5", KIND, arrays, about | {
        "key": key, "log": [list(astuple(row)) for row in place.log]})
    for old in (*folder.glob("model-*.h5"), *folder.glob("offline-*.h5")):
        if old not in (model, offline):
            old.unlink(missing_ok=True)
    found = load_place(folder, key) if renewed else None
    if found is not None:
        return found
    place.state = ReducedState.from_arrays({name: np.array(values, order="C")
                                            for name, values in place.state.to_arrays().items()})
    return place


def load_place(folder: Path, key: str) -> Place | None:
    """Where the run with this key stopped; None where there is none, or what it needs is missing."""
    if _known(folder / "checkpoint.h5", key) is None:
        return None
    try:
        _, arrays, about = read_artefact(folder / "checkpoint.h5")
        _, model, told = read_artefact(folder / f"model-{about['taken']:04d}.h5")
        offline = OfflineData.load(folder / f"offline-{about['taken']:04d}.h5")
    except StoreError:
        return None
    if about["start"] and not WorkFiles(folder).has(about["start"]):
        return None
    rom = MechanicsReducedModel.from_arrays(model, told)
    state = ReducedState.from_arrays({name.removeprefix("state/"): values for name, values in arrays.items()
                                      if name.startswith("state/")})
    return Place(rom, offline, state, path=list(arrays["path"]), residual=arrays["residual"].tolist(),
                 dual={name: list(arrays[f"dual/{name}"]) for name in rom.dual},
                 log=[LogRow(row[0], row[1], _number(row[2]), _number(row[3]), *row[4:]) for row in about["log"]],
                 **{name: about[name] for name in _NUMBERS})


_NUMBERS = ("k", "turn", "taken", "anchor", "start")


def _number(value: float | None) -> float:
    """JSON has no infinity, which a failed step is indicated by."""
    return float("inf") if value is None else float(value)


def _known(path: Path, key: str | None = None) -> dict[str, object] | None:
    if not path.is_file():
        return None
    try:
        kind, _, about = read_artefact(path, [])
    except StoreError:
        return None
    return about if kind == KIND and key in (None, about.get("key")) else None
