"""Arrays and JSON of dictionaries of reduced models, for their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core.errors import StoreError
from romflow.rom.dictionary.design import Design
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.recommender import Recommender
from romflow.rom.kinds import LOCAL_KINDS

if TYPE_CHECKING:
    from romflow.rom.dictionary.model import RomDictionary

__all__ = ["restored", "stored"]


def stored(rom: RomDictionary) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON metadata of a dictionary: those of local model k under "k/", what equals model 0's once."""
    arrays: dict[str, Any] = {}
    about: list[dict[str, Any]] = []
    first: dict[str, Any] = {}
    for k, model in enumerate(rom.models):
        kind, own, metadata = model.to_arrays()
        shared = [name for name, values in own.items() if k and name in first and _equal(values, first[name])]
        first = first or own
        arrays |= {f"{k}/{name}": values for name, values in own.items() if name not in shared}
        about.append({"kind": kind, "metadata": metadata, "shared": sorted(shared)})
    metadata = {"parameters": rom.parameters.to_spec(), "output_names": list(rom.output_names),
                "error_kind": rom.error_kind, "norm": rom.norm_name, "tolerance": rom.tolerance, "models": about,
                "about": rom.metadata}
    for name, part in (("recommender", rom.recommender), ("field", rom.input_field), ("design", rom.design)):
        if part is None:
            continue
        own, metadata[name] = part.to_arrays()
        arrays |= {f"{name}/{key}": values for key, values in own.items()}
    return arrays, metadata


def restored(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the dictionary of which `stored` gave these.

    Raises
    ------
    StoreError
        A local model is of an unknown kind.
    """
    models: list[Any] = []
    first: dict[str, np.ndarray] = {}
    for k, about in enumerate(metadata["models"]):
        if about["kind"] not in LOCAL_KINDS:
            raise StoreError(f"local model {k} of the dictionary is a '{about['kind']}'; known kinds: "
                             f"{', '.join(sorted(LOCAL_KINDS))}: update romflow")
        own = _group(arrays, f"{k}/") | {name: first[name] for name in about["shared"]}
        first = first or own
        models.append(LOCAL_KINDS[about["kind"]].from_arrays(own, about["metadata"]))
    design = Design.from_arrays(_group(arrays, "design/"), metadata["design"]) if "design" in metadata else None
    return {"models": tuple(models), "tolerance": float(metadata["tolerance"]), "metadata": metadata["about"],
            "recommender": Recommender.from_arrays(_group(arrays, "recommender/"), metadata["recommender"]),
            "input_field": InputField.from_arrays(_group(arrays, "field/"), metadata["field"]), "design": design}


def _equal(values: Any, others: Any) -> bool:
    """The same bits: numbers that are equal may still be 0 and -0."""
    a, b = np.asarray(values), np.asarray(others)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    left, right = (np.ascontiguousarray(one).reshape(-1).view(np.uint8) for one in (a, b))
    return bool(np.array_equal(left, right))


def _group(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
