"""CalculiX's files: meshes with sets and surfaces, results in both forms, runs that were stopped, cards of laws."""

from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, NotSupported
from romflow.fom.mechanics.calculix.body import body_of, element_of
from romflow.fom.mechanics.calculix.cards import law_cards
from romflow.fom.mechanics.calculix.frd import read_results
from romflow.fom.mechanics.calculix.inp import expanded, filled, number_text, read_input
from romflow.fom.mechanics.calculix.nodal import nodal_values
from romflow.fom.mechanics.calculix.run import converged_time
from romflow.fom.mechanics.mesh_file import read_solid
from romflow.fom.mechanics.shapes.box import box
from romflow.materials.making import make_law

REFERENCE = Path(__file__).parents[1] / "reference" / "calculix"
# By hand, see cube.inp.
PLASTIC = (2e5 * (0.002 + 1.2e-4) - 200.0) / (2e5 + 1000.0)
TWO = """** two tetrahedra
*NODE, NSET=Every
10, 0., 0., 0.
20, 1., 0.
30, 0., 1.,
40, 0., 0., 1.
50, 1., 1., 1.
99, 5., 5., 5.
*Element, type=C3D4, elset=body
7, 10, 20, 30, 40
3, 20, 30,
40, 50
*NSET, NSET=low, GENERATE
10, 30, 10
*NSET, NSET=more
low, 50
*ELSET, ELSET=one
3
*SURFACE, NAME=Floor, TYPE=ELEMENT
7, S1
*SURFACE, NAME=tips, TYPE=NODE
40
low
"""


def two(folder: Path, text: str = TWO) -> Path:
    path = folder / "two.inp"
    path.write_text(text)
    return path


def test_nodes_sets_and_surfaces(tmp_path):
    file = read_input(two(tmp_path))
    solid, numbers = body_of(file)
    assert numbers.tolist() == [10, 20, 30, 40, 50] and solid.cell == "tetra" and element_of(file) == "tet4"
    assert solid.nodes[1].tolist() == [1.0, 0.0, 0.0]
    assert {name: members.tolist() for name, members in solid.node_sets.items()} == {
        "Every": [0, 1, 2, 3, 4], "low": [0, 1, 2], "more": [0, 1, 2, 4], "tips": [0, 1, 2, 3]}
    assert solid.regions["one"].tolist() == [1] and sorted(solid.boundaries["Floor"][0].tolist()) == [0, 1, 2]
    assert np.array_equal(read_solid(file.path).cells, solid.cells)


def test_included_files_and_placeholders(tmp_path):
    (tmp_path / "mesh").mkdir()
    two(tmp_path / "mesh")
    whole = tmp_path / "run.inp"
    whole.write_text("*INCLUDE, INPUT=mesh/two.inp\n*ELASTIC\n${young}, .3\n")
    assert read_input(whole).nodes.shape == (6, 3) and len(read_input(whole).files) == 2
    text = expanded(whole)
    assert "7, 10, 20, 30, 40" in text and "2.000000000000e+05, .3" in filled(text, {"young": 2e5})
    with pytest.raises(ConfigError, match=r"\$\{young\}, which is no parameter.*Did you mean 'jung'|known: jung"):
        filled(text, {"jung": 1.0})


def test_numbers_fit_in_twenty_characters_and_keep_twelve_digits():
    values = np.concatenate([np.random.default_rng(0).standard_normal(200), [-1e-300, 1e300, -np.pi]])
    texts = [number_text(value) for value in values]
    assert max(map(len, texts)) <= 20
    assert all(abs(float(text) - value) <= 1e-12 * abs(value) for text, value in zip(texts, values, strict=True))


@pytest.mark.parametrize(("old", "new", "message"), [
    ("C3D4", "C3D5", "elements of the type 'C3D5'; known"),
    ("7, 10, 20, 30, 40", "7, 10, 20, 30, 41", "names the node 41"),
    ("7, 10, 20, 30, 40", "7, 10, 20, 30", "9 numbers below"),
    ("10, 0., 0., 0.", "10, 0., nan, 0.", "not finite"),
    ("20, 1., 0.", "20, one, 0.", "numbers only"),
    ("low, 50", "lo, 50", "member 'lo'"),
])
def test_wrong_input_is_named(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        read_input(two(tmp_path, TWO.replace(old, new)))


def test_missing_and_circular_files(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_input(tmp_path / "none.inp")
    (tmp_path / "a.inp").write_text("*INCLUDE, INPUT=a.inp\n")
    with pytest.raises(InputError, match="include each other"):
        read_input(tmp_path / "a.inp")
    with pytest.raises(InputError, match="included by itself"):
        expanded(tmp_path / "a.inp")


def test_elements_without_equal_strains_are_refused(tmp_path):
    text = TWO.replace("C3D4", "S4")
    with pytest.raises(InputError, match="elements of the type S4"):
        body_of(read_input(two(tmp_path, text)))


@pytest.mark.parametrize("name", ["cube.frd", "cube_binary.frd"])
def test_results_in_both_forms(name, must_fail):
    results = read_results(REFERENCE / name)
    assert results.times.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert results.names()[:4] == ["displacement", "temperature", "stress", "accumulated_plastic_strain"]
    u, T = results.field("displacement"), results.field("temperature")
    assert u.shape == (4, 8, 3) and np.allclose(u[:, 4, 2], [0.002, 0.004, 0.0, -0.004], atol=1e-9)
    assert T[:, 0, 0].tolist() == [10.0, 20.0, 0.0, -20.0]

    def check(p: float) -> None:
        assert np.allclose(results.field("accumulated_plastic_strain")[0], p, rtol=1e-4, atol=0.0)
        assert np.allclose(results.field("stress")[0][:, 2], 200.0 + 1000.0 * p, rtol=1e-4, atol=0.0)

    check(PLASTIC)
    must_fail(check, PLASTIC * (1 + 1e-3), PLASTIC * (1 - 1e-3))
    assert np.array_equal(results.field("displacement", np.array([7, 1]))[:, 0], u[:, 6])


def test_results_of_other_meshes_and_files_are_refused(tmp_path):
    results = read_results(REFERENCE / "cube.frd")
    with pytest.raises(InputError, match="no DISP at node 9"):
        results.field("displacement", np.array([9]))
    with pytest.raises(InputError, match="no field 'strain'; known"):
        results.field("strain")
    (tmp_path / "a.frd").write_text("text")
    with pytest.raises(InputError, match="no result file"):
        read_results(tmp_path / "a.frd")


@pytest.mark.parametrize("name", ["cube.frd", "cube_binary.frd"])
def test_results_that_end_anywhere_give_what_is_whole(tmp_path, name):
    data, whole = (REFERENCE / name).read_bytes(), read_results(REFERENCE / name).field("displacement")
    path = tmp_path / "cut.frd"
    found = set()
    for stop in range(data.index(b"1PSTEP") - 5, len(data), 53):
        path.write_bytes(data[:stop])
        cut = read_results(path)
        found.add(len(cut.times))
        if len(cut.times):
            assert np.array_equal(cut.field("displacement"), whole[:len(cut.times)])
    assert found == {0, 1, 2, 3, 4}


def test_increments_that_did_not_converge_do_not_count():
    assert converged_time(REFERENCE / "cube.sta") == (2.0, 4)
    assert converged_time(REFERENCE / "stopped.sta") == (0.5, 1)
    assert converged_time(REFERENCE / "none.sta") == (0.0, 0)


@pytest.mark.parametrize("element", ["tri3", "tri6", "quad4", "tet4", "tet10", "hex8"])
def test_linear_fields_at_points_are_themselves_at_nodes(element):
    space = box([2, 2] if element[:3] in ("tri", "qua") else [2, 2, 2], element=element).space(element)
    rows = nodal_values(space, space.points)
    if element in ("tri3", "tet4"):
        assert np.allclose(nodal_values(space, np.ones((1, space.G))), 1.0)
        return
    assert np.allclose(rows, space.nodes.T, atol=1e-12)
    assert not np.allclose(space.extrapolate(space.points), space.nodes.T, atol=1e-3)


def test_law_as_cards():
    law = make_law({"kind": "viscoplastic", "young": "200e3 - 10 * T", "poisson": 0.3, "expansion": 1e-5,
                    "reference_temperature": 20.0, "isotropic": [[0, 200], [0.1, 300]], "viscosity": 100.0,
                    "exponent": 5.0})
    text, reference = law_cards(law, {}, (0.0, 0.0))
    assert reference == 20.0
    lines = text.splitlines()
    assert [float(v) for v in lines[lines.index("*ELASTIC") + 1].split(",")] == [200e3, 0.3, 0.0]
    assert [float(v) for v in lines[lines.index("*PLASTIC") + 2].split(",")] == [300.0, 0.1, 0.0]
    assert [float(v) for v in lines[lines.index("*CREEP, LAW=NORTON") + 1].split(",")] == [1e-10, 5.0, 0.0, 0.0]


@pytest.mark.parametrize(("change", "message"), [
    ({"kinematic": [{"modulus": 1e4, "recovery": 10.0}]}, "1 kinematic hardenings with recovery"),
    ({"kinematic": [{"modulus": 1e4, "recovery": 0.0}], "viscosity": 100.0, "exponent": 4.0}, "one or the other"),
])
def test_laws_that_calculix_has_not(change, message):
    law = make_law({"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": 200.0, **change})
    with pytest.raises(NotSupported, match=message):
        law_cards(law, {}, (0.0, 0.0))
