"""The blade that gmsh meshes: volume, named boundaries, resultants, the same mesh every time."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from romflow.core.errors import ConfigError, NotSupported
from romflow.fom.mechanics.loads import make_loads
from romflow.fom.mechanics.places import Places
from romflow.fom.mechanics.shapes import blade as module
from romflow.fom.mechanics.shapes.blade import blade
from romflow.fom.mechanics.shapes.making import make_solid
from romflow.parameters.loading import Loading

NAMES = {"root", "holes", "pressure_side", "suction_side", "tip", "block"}


def test_blade():
    pytest.importorskip("gmsh", exc_type=ImportError)
    solid = make_solid({"shape": "blade", "size": 12.0})
    places = Places(solid)
    assert set(solid.boundaries) == NAMES and solid.cell == "tetra10"
    parts = {name: places.facets(name) for name in NAMES}
    assert sum(len(part.nodes) for part in parts.values()) == len(solid.outside[0])
    sums = {name: np.einsum("fk,fkx->x", part.weights, part.normals) for name, part in parts.items()}
    assert np.abs(sum(sums.values())).max() < 1e-9
    # The concave side looks down, the convex one up; the bottom is the block's without the holes.
    assert sums["pressure_side"][1] < -2000 < 2000 < sums["suction_side"][1]
    assert sums["root"][2] == pytest.approx(-50.0 * 28.0 + 3 * np.pi * 1.2**2, rel=5e-3)
    space = solid.space()
    assert space.weights.sum() == pytest.approx(30550.0, rel=0.02)
    loads = make_loads([{"type": "centrifugal", "density": 8e-9, "axis": [1, 0, 0], "origin": [0, 0, -300]}], places,
                       space, Loading(()))
    pull = loads.forces.reshape(-1, 3).sum(axis=0)
    assert pull[2] == pytest.approx(8e-9 * (space.points[2] + 300) @ space.weights, rel=1e-9)
    linear = blade(12.0, order=1)
    assert linear.cell == "tetra" and np.array_equal(linear.cells, solid.cells[:, :4])


@pytest.mark.long
def test_the_same_blade_every_time_and_its_size_in_the_pipeline():
    pytest.importorskip("gmsh", exc_type=ImportError)
    first = blade()
    assert first.nodes.size >= 100_000
    module._meshed.cache_clear()
    second = blade()
    assert np.array_equal(first.nodes, second.nodes) and np.array_equal(first.cells, second.cells)
    assert set(second.boundaries) == NAMES


@pytest.mark.parametrize(("options", "message"), [
    ({"size": 0.0}, "size = 0"), ({"twist": 80}, "45 degrees"), ({"holes": 9}, "1 to 6 holes"),
    ({"order": 3}, "1 or 2"), ({"chord": "a"}, "chord = 'a'"),
])
def test_bad_options(options, message):
    with pytest.raises(ConfigError, match=message):
        blade(**options)


def test_blade_without_gmsh(monkeypatch):
    monkeypatch.setitem(sys.modules, "gmsh", None)
    with pytest.raises(NotSupported, match="needs gmsh"):
        blade(size=11.5)
