"""Arrays and JSON of reduced mechanics models, for their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.materials.making import law_from_spec, law_spec
from romflow.parameters.expressions import Theta
from romflow.parameters.loading import Loading
from romflow.parameters.space import ParameterSpace
from romflow.parameters.spatial_field import SpatialField
from romflow.rom.mechanics.calibration import Calibration
from romflow.rom.mechanics.dual import DualField
from romflow.rom.mechanics.loads import PointTemperature
from romflow.rom.mechanics.meta_model import MetaModel
from romflow.rom.mechanics.outputs import ReducedOutput
from romflow.rom.model import mesh_arrays, mesh_from

if TYPE_CHECKING:
    from romflow.rom.mechanics.model import MechanicsReducedModel

__all__ = ["restored", "stored"]

_ARRAYS = ("basis", "lifting", "times", "points", "weights", "strain", "lifting_strain", "load", "volume")


def stored(rom: MechanicsReducedModel) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON metadata of a model."""
    arrays = {name: np.asarray(getattr(rom, name)) for name in _ARRAYS}
    heat = rom.temperature
    arrays |= {"temperature/nodes": heat.nodes, "temperature/shape": heat.shape, "temperature/cells": heat.cells}
    arrays |= {f"temperature/values/{key}": numbers for key, numbers in heat.field.to_arrays().items()}
    for name, dual in rom.dual.items():
        arrays |= {f"dual/{name}/modes": dual.modes, f"dual/{name}/rows": dual.rows}
    for i, output in enumerate(rom.outputs):
        arrays |= {f"outputs/{i}/rows": output.rows, f"outputs/{i}/weights": output.weights}
        if output.load is not None:
            arrays[f"outputs/{i}/load"] = output.load
    metadata: dict[str, Any] = {
        "parameters": rom.parameters.to_spec(), "loading": rom.loading.to_spec(), "law": law_spec(rom.law),
        "temperature": heat.field.to_spec(), "lifting_theta": list(rom.lifting_theta.expressions),
        "load_theta": list(rom.load_theta.expressions), "reference_force": rom.reference_force,
        "dual": {name: dual.components for name, dual in rom.dual.items()},
        "outputs": [output.to_spec() for output in rom.outputs], "tolerance": rom.tolerance,
        "error_kind": rom.error_kind, "about": rom.metadata}
    if rom.calibration is not None:
        extra, metadata["calibration"] = rom.calibration.to_arrays()
        arrays |= extra
    metadata["regressions"] = {}
    for name, regression in rom.regressions.items():
        extra, metadata["regressions"][name] = regression.to_arrays()
        arrays |= {f"regressions/{name}/{key}": value for key, value in extra.items()}
    if rom.mesh is not None:
        arrays |= mesh_arrays(rom.mesh)
    return arrays, metadata


def restored(arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> dict[str, Any]:
    """Fields of the model of which `stored` gave these."""
    loading = Loading.from_spec(metadata["loading"])
    field = SpatialField.from_arrays(metadata["temperature"], _group(arrays, "temperature/values/"))
    temperature = PointTemperature(field, arrays["temperature/nodes"], arrays["temperature/shape"],
                                   arrays["temperature/cells"])
    dual = {name: DualField(name, components, arrays[f"dual/{name}/modes"], arrays[f"dual/{name}/rows"])
            for name, components in metadata["dual"].items()}
    outputs = tuple(ReducedOutput.from_arrays(spec, arrays[f"outputs/{i}/rows"], arrays[f"outputs/{i}/weights"],
                                              arrays.get(f"outputs/{i}/load"))
                    for i, spec in enumerate(metadata["outputs"]))
    calibration = metadata.get("calibration")
    regressions = {name: MetaModel.from_arrays(_group(arrays, f"regressions/{name}/"), about)
                   for name, about in metadata.get("regressions", {}).items()}
    return {**{name: arrays[name] for name in _ARRAYS},
            "parameters": ParameterSpace.from_spec(metadata["parameters"]), "loading": loading,
            "law": law_from_spec(metadata["law"]),
            "temperature": temperature, "dual": dual, "outputs": outputs,
            "lifting_theta": Theta(metadata["lifting_theta"], loading.columns),
            "load_theta": Theta(metadata["load_theta"], loading.columns),
            "reference_force": float(metadata["reference_force"]), "tolerance": float(metadata["tolerance"]),
            "calibration": None if calibration is None else Calibration.from_arrays(arrays, calibration),
            "mesh": mesh_from(arrays), "metadata": metadata["about"], "regressions": regressions}


def _group(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with the prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
