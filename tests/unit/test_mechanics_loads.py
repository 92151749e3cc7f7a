"""Places, supports and loads of mechanics: resultants, prescribed displacements, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError
from romflow.fom.mechanics.loads import make_loads
from romflow.fom.mechanics.mesh_file import read_solid
from romflow.fom.mechanics.places import Places
from romflow.fom.mechanics.shapes.box import box
from romflow.fom.mechanics.shapes.making import make_solid, mesh_spec
from romflow.fom.mechanics.shapes.plate_with_hole import plate_with_hole
from romflow.fom.mechanics.solid import Solid
from romflow.fom.mechanics.supports import make_supports, rigid_motions
from romflow.parameters.loading import Amplitude, Loading

LOADING = Loading(("omega", "q"), [Amplitude("a", [0.0, 2.0], [0.0, 4.0])])
ROWS = LOADING.rows([3.0, 5.0], 1.0)
SPACES = ["tet4", "tet10", "hex8", "hex8-bbar"]


def load(solid, table, element=None):
    return make_loads([table], Places(solid), solid.space(element), LOADING)


def resultant(loads, d):
    return loads.values(ROWS).reshape(-1, d).sum(axis=0)


@pytest.mark.parametrize("element", SPACES)
def test_centrifugal_resultant_and_equilibrium_along_the_axis(element):
    solid = box((2, 3, 2), [1.0, 2.0, 3.0], element)
    table = {"type": "centrifugal", "density": 2.0, "axis": [0, 0, 5], "origin": [-1, 1, 7], "amplitude": "omega**2"}
    loads = load(solid, table, element)
    # mass 12 at the distance 1.5 from the axis, omega 3
    assert resultant(loads, 3) == pytest.approx([12 * 1.5 * 9, 0, 0], abs=1e-10)
    force = loads.values(ROWS).reshape(-1, 3)
    moment = np.cross(solid.nodes - [-1, 1, 1.5], force).sum(axis=0)
    assert moment == pytest.approx([0, 0, 0], abs=1e-10)


def test_centrifugal_in_the_plane_and_its_companion():
    solid = plate_with_hole((8, 16))
    loads = load(solid, {"type": "centrifugal", "density": 1.0, "amplitude": "omega**2"})
    exact = 9 * (27 / 2 - 1 / 3)
    assert resultant(loads, 2) == pytest.approx([exact, exact], rel=2e-3)
    other = load(solid, {"type": "centrifugal", "density": 1.0, "amplitude": "omega"})
    assert resultant(other, 2) != pytest.approx([exact, exact], rel=2e-3)


@pytest.mark.parametrize("element", ["tri3", "tri6", "quad4", *SPACES])
def test_pressure_on_a_closed_surface_has_no_resultant_and_one_side_has(element):
    d = 2 if element in ("tri3", "tri6", "quad4") else 3
    solid = box([2, 3, 2][:d], [1.0, 2.0, 3.0][:d], element)
    closed = load(solid, {"type": "pressure", "on": "boundary", "amplitude": "q"}, element)
    assert np.abs(resultant(closed, d)).max() < 1e-12
    side = load(solid, {"type": "pressure", "on": "x = max", "value": "y", "amplitude": "q * a"}, element)
    area = 2.0 if d == 2 else 6.0
    assert resultant(side, d)[0] == pytest.approx(-5.0 * 2.0 * area, rel=1e-12)
    assert np.abs(resultant(side, d)[1:]).max() < 1e-12


def test_pressure_in_the_hole_is_that_on_its_shadow():
    loads = load(plate_with_hole(), {"type": "pressure", "on": "hole", "value": 7.0})
    # of the chords between nodes of the circle too
    assert resultant(loads, 2) == pytest.approx([7.0, 7.0], rel=1e-12)


@pytest.mark.parametrize("element", ["tri3", "tri6", "quad4"])
def test_traction_gravity_and_force(element):
    solid = box((3, 2), [3.0, 2.0], element)
    pull = load(solid, {"type": "traction", "on": "y = max", "value": ["x", 110], "amplitude": "a"}, element)
    assert resultant(pull, 2) == pytest.approx([2 * 4.5, 2 * 330])
    weight = load(solid, {"type": "gravity", "density": 2.0, "value": [0.0, -10.0]}, element)
    assert resultant(weight, 2) == pytest.approx([0.0, -120.0])
    spread = load(solid, {"type": "force", "on": "x = max", "value": [6.0, 1.0], "amplitude": "q"}, element)
    assert resultant(spread, 2) == pytest.approx([30.0, 5.0])
    single = load(solid, {"type": "force", "on": [2.9, 1.9], "value": [1.0, 0.0]}, element)
    assert single.values(ROWS).reshape(-1, 2)[np.argmax(solid.nodes.sum(axis=1)), 0] == 1.0


def test_loads_on_a_region_and_their_sum():
    solid = box((4, 1), [4.0, 1.0], "quad4")
    named = Solid(solid.nodes, solid.cells, solid.cell, regions={"left": np.array([0, 1])})
    tables = [{"type": "gravity", "density": 1.0, "value": [0.0, -1.0], "on": "left"},
              {"type": "gravity", "density": 1.0, "value": [0.0, -1.0], "on": "x > 3", "amplitude": "a"}]
    loads = make_loads(tables, Places(named), named.space(), LOADING)
    assert loads.forces.shape == (20, 2) and resultant(loads, 2)[1] == pytest.approx(-2.0 - 2.0)
    assert loads.names == ("gravity on left", "gravity on x > 3")
    none = make_loads([], Places(named), named.space(), LOADING)
    assert none.forces.shape == (20, 0) and not none.values(ROWS).any()


@pytest.mark.parametrize(("table", "message"), [
    ({"type": "presure", "on": "hole"}, "load 1 has type = 'presure'.*Did you mean 'pressure'"),
    ({"type": "pressure", "on": "hoel"}, "no place 'hoel'.*hole"),
    ({"type": "pressure"}, "needs on"),
    ({"type": "pressure", "on": "hole", "values": 1}, "no key 'values'"),
    ({"type": "pressure", "on": "hole", "value": 0}, "zero everywhere"),
    ({"type": "pressure", "on": "x = 17"}, "holds no node.*x = 0 .. 3"),
    ({"type": "pressure", "on": [1.0, 0.0]}, "no facet of the boundary"),
    ({"type": "pressure", "on": "hole", "amplitude": "b"}, "'b'"),
    ({"type": "traction", "on": "hole", "value": [1]}, "list of 2 numbers or texts"),
    ({"type": "centrifugal", "density": -1.0}, "density = -1; the rule is a number above 0"),
    ({"type": "centrifugal", "density": 1.0, "axis": [0, 0, 1]}, "in the plane"),
    ({"type": "gravity", "density": 1.0, "value": [0.0, "g"]}, "list of 2 finite numbers"),
    ("pressure", "load 1 has type"),
])
def test_bad_loads(table, message):
    with pytest.raises(ConfigError, match=message):
        load(plate_with_hole((4, 4)), table)


def test_loads_that_are_not_finite():
    with pytest.raises(ParameterError, match="not finite"):
        load(plate_with_hole((4, 4)), {"type": "pressure", "on": "left", "value": "1 / x"})
    with pytest.raises(ConfigError, match="no list of tables"):
        make_loads({"type": "pressure"}, None, None, LOADING)


def test_places_agree_and_inner_facets_are_refused():
    solid = plate_with_hole((4, 8))
    places = Places(solid)
    assert np.array_equal(places.nodes("left"), places.nodes("x = 0"))
    assert np.array_equal(places.facet_numbers("hole"), places.facet_numbers("x**2 + y**2 <= 1.000001"))
    assert np.array_equal(places.facet_numbers("top"), places.facet_numbers("y = max"))
    assert places.facet_numbers("boundary").size == 2 * (4 + 8)
    assert places.cells("x < y and 0 <= x").size == 16
    space = solid.space()
    g = places.nearest_point([1.0, 0.0], space.points)
    assert np.linalg.norm(space.points[:, g] - [1, 0]) == np.linalg.norm(space.points.T - [1, 0], axis=1).min()
    inner = Solid(solid.nodes, solid.cells, "quad", {"cut": np.array([[9, 10]])}, node_sets={"one": np.array([3])})
    with pytest.raises(ConfigError, match="1 facets that are not on the boundary"):
        Places(inner).facets("cut")
    assert Places(inner).nodes("one").tolist() == [3]
    for place, message in (("x <", "no inequality"), ([1.0], "2 finite coordinates"), (3, "no place 3")):
        with pytest.raises(ConfigError, match=message):
            places.nodes(place)


def test_supports():
    solid = plate_with_hole((4, 4))
    places = Places(solid)
    tables = [{"on": "left", "symmetric": True}, {"on": "y = 0", "components": ["y"]},
              {"on": "top", "components": ["y"], "value": "0.1 * a * q", "shape": "1 + x"}]
    supports = make_supports(tables, places, LOADING)
    values = supports.values(ROWS).reshape(-1, 2)
    top = places.nodes("top")
    assert values[top, 1] == pytest.approx(1.0 * (1 + solid.nodes[top, 0]))
    assert np.count_nonzero(values) == top.size and supports.modes.shape == (50, 1)
    free = supports.free.reshape(-1, 2)
    assert not free[places.nodes("left"), 0].any() and free[places.nodes("left")[1:-1], 1].all()
    assert free.sum() == 50 - 5 - 5 - 3
    held = make_supports([{"on": "left"}, {"on": "left", "value": "0"}], places, LOADING)
    assert held.modes.shape == (50, 0) and not held.values(ROWS).any()


@pytest.mark.parametrize(("tables", "message"), [
    ([{"on": "left", "symmetric": True}], "free to move along y"),
    ([{"on": "left", "components": ["x"]}, {"on": [3.0, 0.0], "components": ["x"]}], "free to move along y"),
    ([], "free to"),
    ([{"on": [0.0, 3.0]}], "free to turn in the plane of x and y"),
    ([{"on": "hole", "symmetric": True}], "no plane across an axis"),
    ([{"on": "left"}, {"on": "top", "value": [0.0, "a"]}], "support 2 prescribes component y of 1 nodes"),
    ([{"on": "left", "components": ["z"]}], "list of x, y"),
    ([{"on": "left", "components": ["x", "x"]}], "twice"),
    ([{"on": "left", "value": [1.0]}], "list of 2"),
    ([{"on": "left", "symmetric": True, "value": 1.0}], "one or the other"),
    ([{"on": "left", "symmetric": 1}], "true or false"),
    ([{"on": "left", "vaule": 1.0}], "no key 'vaule'"),
    ([{"components": ["x"]}], "with on"),
    ([{"on": "left", "value": "b"}], "'b'"),
])
def test_bad_supports(tables, message):
    with pytest.raises(ConfigError, match=message):
        make_supports(tables, Places(plate_with_hole((4, 4))), LOADING)


def test_rigid_motions_have_no_strain_and_are_found():
    space = box((2, 2, 2), element="tet10").space()
    motions, names = rigid_motions(space.nodes)
    assert len(names) == 6 and np.abs(space.strain(motions)).max() < 1e-13
    assert np.linalg.matrix_rank(motions) == 6


@pytest.mark.parametrize(("element", "suffix"), [("tri6", ".vtu"), ("tet10", ".msh"), ("hex8", ".mesh"),
                                                 ("quad4", ".msh"), ("tet4", ".vtu")])
def test_mesh_files(tmp_path, element, suffix):
    import meshio

    solid = box([2, 1, 2][:2 if element in ("tri6", "quad4") else 3], element=element)
    nodes = np.column_stack([solid.nodes, np.zeros((len(solid.nodes), 3 - solid.nodes.shape[1]))])
    path = tmp_path / f"part{suffix}"
    mesh = meshio.Mesh(np.vstack([nodes, [[9.0, 9.0, 0.0]]]), [(solid.cell, solid.cells)])
    meshio.write(path, mesh, file_format="gmsh" if suffix == ".msh" else None)
    read = make_solid(path.name, tmp_path)
    assert np.allclose(read.nodes, solid.nodes) and np.array_equal(read.cells, solid.cells) and read.cell == solid.cell
    assert read.space(element).weights.sum() == pytest.approx(1.0)
    assert len(mesh_spec(path.name, tmp_path)["mesh"]) == 64


def test_groups_of_a_file(tmp_path):
    text = ("*NODE\n1,0,0,0\n2,1,0,0\n3,0,1,0\n4,0,0,1\n5,1,1,1\n*ELEMENT, TYPE=C3D4, ELSET=ALL\n1,1,2,3,4\n2,2,3,4,5\n"
            "*NSET, NSET=FIX\n1,2,3\n*ELSET, ELSET=TOP\n2\n")
    (tmp_path / "a.inp").write_text(text)
    solid = read_solid(tmp_path / "a.inp")
    places = Places(solid)
    assert places.nodes("FIX").tolist() == [0, 1, 2] and places.cells("TOP").tolist() == [1]
    assert places.facets("FIX").weights.sum() == pytest.approx(0.5)
    assert solid.space().weights.min() > 0


def test_bad_meshes(tmp_path):
    import meshio

    (tmp_path / "bad.msh").write_text("nonsense")
    with pytest.raises(InputError, match="cannot be read"):
        read_solid(tmp_path / "bad.msh")
    with pytest.raises(InputError, match="does not exist"):
        make_solid("none.msh", tmp_path)
    points = np.eye(4, 3)
    mixed = meshio.Mesh(points, [("tetra", [[0, 1, 2, 3]]), ("wedge", [[0, 1, 2, 3, 0, 1]])])
    mixed.write(tmp_path / "mixed.vtu")
    with pytest.raises(InputError, match="tetra, wedge; the rule is one type"):
        read_solid(tmp_path / "mixed.vtu")
    meshio.Mesh(points, [("triangle", [[0, 1, 2]])]).write(tmp_path / "shell.vtu")
    with pytest.raises(InputError, match="shells"):
        read_solid(tmp_path / "shell.vtu")
    for mesh, message in (({"shape": "plat"}, "no shape"), ({"shape": "box", "cell": 3}, "no option 'cell'"),
                          ({}, "with shape"), ({"shape": "plate-with-hole", "radius": 4.0}, "less than the length"),
                          ({"shape": "plate-with-hole", "cells": [4, 5]}, "even"),
                          ({"shape": "box", "cells": [2, 2]}, "number of directions"),
                          ({"shape": "box", "lengths": [1, 2, -1]}, "3 positive numbers")):
        with pytest.raises(ConfigError, match=message):
            make_solid(mesh)
