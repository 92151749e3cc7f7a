"""Models of the gallery: reference solutions of pyMOR, options, meshes, and physics that needs no mesh."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ConfigError
from romflow.fom.gallery.advection_diffusion import AdvectionDiffusion
from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import LogNormal, Normal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace

REFERENCE = Path(__file__).parent.parent / "reference"


def conductivities(size: int, low: float = 0.01) -> ParameterSpace:
    return ParameterSpace([Parameter("conductivity", Uniform(low, 10.0), size=size)])


def wind(low: float = 0.01) -> ParameterSpace:
    return ParameterSpace([Parameter("diffusion", Uniform(low, 1.0)), Parameter("angle", Uniform(-7.0, 7.0))])


@pytest.mark.parametrize(
    ("file", "blocks", "element"),
    [("thermal_block_q1_n6_3x3.txt", 3, "Q1"), ("thermal_block_p1_n6_2x2.txt", 2, "P1")],
)
def test_thermal_block_equals_pymor(file, blocks, element, must_fail):
    lines = [line for line in (REFERENCE / file).read_text().splitlines() if not line.startswith("#")]
    output, nodes = float(lines[0]), np.array([line.split() for line in lines[1:]], dtype=float)
    model = ThermalBlock(conductivities(blocks**2), [blocks, blocks], 6, element)
    count = blocks**2
    mu = (0.1 + 0.9 * np.arange(count) / (count - 1)) ** 2 + 0.05
    snapshot = model.solve(mu)
    points = model.mesh.points[model.mesh.dofs]
    order = np.lexsort((points[:, 0].round(9), points[:, 1].round(9)))
    expected = nodes[np.lexsort((nodes[:, 0].round(9), nodes[:, 1].round(9)))]
    assert np.abs(points[order] - expected[:, :2]).max() < 1e-15

    def check(values):
        assert np.abs(values - expected[:, 2]).max() < 1e-12

    check(snapshot.state[order])
    must_fail(check, snapshot.state[order] + 1e-11, snapshot.state[order] - 1e-11)
    assert abs(snapshot.outputs[0] - output) < 1e-12


def test_thermal_block_takes_any_blocks_and_cells():
    model = ThermalBlock(conductivities(6), blocks=[3, 2], cells=[7, 5])
    assert model.n == 6 * 4 and model.operator.Q == 6 and model.symmetric
    ones = model.operator.assemble(np.ones(6))
    single = ThermalBlock(conductivities(1), blocks=1, cells=[7, 5])
    assert abs(ones - single.operator.assemble(np.ones(1))).max() < 1e-14
    assert np.allclose(model.solve(np.full(6, 2.0)).state, single.solve([2.0]).state, rtol=1e-12)


def test_block_index_runs_along_x_first():
    model = ThermalBlock(conductivities(6), blocks=[3, 2], cells=[12, 12])
    points = model.mesh.points[model.mesh.dofs]
    for q, A in enumerate(model.operator.matrices):
        inside = points[np.unique(A.nonzero()[0])]
        low = np.array([q % 3 / 3, q // 3 / 2]) - 1e-12
        high = np.array([q % 3 / 3 + 1 / 3, q // 3 / 2 + 1 / 2]) + 1e-12
        assert ((inside >= low) & (inside <= high)).all()


def test_criss_cross_leaves_no_rounding_in_the_pattern():
    model = ThermalBlock(conductivities(1), blocks=1, cells=8, element="P1")
    A = model.operator.matrices[0]
    assert abs(A.data).min() > 1e-3 * abs(A.data).max()
    assert np.diff(A.indptr).max() == 5


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_inner_product_is_the_operator_at_ones(element):
    model = ThermalBlock(conductivities(4), [2, 2], 6, element)
    assert (model.inner_product != model.operator.assemble(np.ones(4))).nnz == 0
    assert InnerProduct(model.inner_product).factor.negative_pivots == 0
    assert model.stability == {"kind": "min-theta", "reference": [1.0] * 4}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"blocks": [3, 3]}, "needs 9 parameters"),
        ({"blocks": [2]}, "blocks = "),
        ({"blocks": [0, 4]}, "blocks = "),
        ({"blocks": "2x2"}, "blocks = "),
        ({"cells": 2.5}, "cells = 2.5"),
        ({"cells": True}, "cells = true"),
        ({"cells": 1}, "cells = 1"),
        ({"cells": [3, 3, 3]}, "cells = "),
        ({"blocks": [4, 1], "cells": 2}, "holds no element"),
        ({"element": "Q2"}, "Did you mean|known: Q1, P1"),
    ],
)
def test_thermal_block_refuses_wrong_options(options, words):
    with pytest.raises(ConfigError, match=words):
        ThermalBlock(conductivities(4), **{"blocks": [2, 2], "cells": 8, **options})


def test_conductivities_must_be_positive_everywhere():
    for distribution in (Uniform(0.0, 1.0), Uniform(-1.0, 1.0), Normal(5.0, 1.0)):
        with pytest.raises(ConfigError, match="conductivity_1|conductivity_0"):
            ThermalBlock(ParameterSpace([Parameter("conductivity", distribution, size=4)]), [2, 2], 4)
    ThermalBlock(ParameterSpace([Parameter("conductivity", LogNormal(0.0, 1.0), size=4)]), [2, 2], 4)


def test_spec_tells_models_apart():
    specs = [ThermalBlock(conductivities(4), [2, 2], 4).spec, ThermalBlock(conductivities(4), [2, 2], 5).spec,
             ThermalBlock(conductivities(4), [4, 1], 4).spec, ThermalBlock(conductivities(4), [2, 2], 4, "P1").spec]
    assert len({str(spec) for spec in specs}) == 4
    assert ThermalBlock(conductivities(4), 2, [4, 4]).spec == specs[0]


@pytest.mark.parametrize("element", ["P1", "Q1"])
def test_wind_terms_are_skew_symmetric(element):
    model = AdvectionDiffusion(wind(), cells=[6, 5], element=element, speed=2.0)
    _, along, across = model.operator.matrices
    for term in (along, across):
        assert (term != -term.T).nnz == 0 and term.nnz > 0
    assert not model.symmetric and model.operator.theta.expressions[0] == "diffusion"
    still = AdvectionDiffusion(wind(), cells=[6, 5], element=element, speed=0.0)
    block = ThermalBlock(conductivities(1), 1, [6, 5], element)
    assert np.allclose(still.solve([0.5, 1.0]).state, block.solve([0.5]).state, rtol=1e-12)


@pytest.mark.parametrize("element", ["P1", "Q1"])
def test_turning_the_wind_turns_the_solution(element):
    model = AdvectionDiffusion(wind(), cells=8, element=element)
    east, north = (model.mesh.nodal(model.solve([0.05, angle]).state)[:, 0, 0] for angle in (0.0, np.pi / 2))
    points = [tuple(point) for point in model.mesh.points.round(9)]
    swapped = [points.index((y, x)) for x, y in points]
    assert np.allclose(east, north[swapped], atol=1e-13)
    downstream = model.mesh.points[np.argmax(east)]
    assert downstream[0] > 0.6 and abs(downstream[1] - 0.5) < 0.2


def test_advection_diffusion_finds_its_parameters_by_name():
    turned = ParameterSpace([Parameter("angle", Uniform(0.0, 1.0)), Parameter("diffusion", Uniform(0.1, 1.0))])
    model = AdvectionDiffusion(turned, cells=4, stability="min-theta")
    assert np.array_equal(model.solve([0.3, 0.5]).state, AdvectionDiffusion(wind(), cells=4).solve([0.5, 0.3]).state)
    assert model.stability == {"kind": "min-theta", "reference": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("space", "options", "words"),
    [
        (conductivities(2), {}, "no parameter 'conductivity_0'"),
        (ParameterSpace([Parameter("diffusion", Uniform(0.1, 1.0))]), {}, "needs the parameter 'angle'"),
        (wind(low=0.0), {}, "positive diffusion"),
        (wind(), {"stability": "smc"}, "Did you mean 'scm'"),
        (wind(), {"speed": -1.0}, "speed = -1"),
        (wind(), {"speed": float("nan")}, "speed = nan"),
        (wind(), {"speed": "fast"}, "speed = 'fast'"),
        (wind(), {"element": "hex"}, "no element is called 'hex'"),
    ],
)
def test_advection_diffusion_refuses_wrong_input(space, options, words):
    with pytest.raises(ConfigError, match=words):
        AdvectionDiffusion(space, **{"cells": 4, **options})


def moduli(size: int) -> ParameterSpace:
    return ParameterSpace([Parameter("modulus", Uniform(0.1, 1e4), size=size)])


@pytest.mark.parametrize("element", ["hex", "tet"])
def test_rigid_motions_cost_no_energy(element):
    """Rows of vertices away from the clamped face annihilate translations and linearised rotations."""
    model = LinearElasticity(moduli(2), length=2.0, cells=[4, 2, 2], element=element)
    points = model.mesh.points
    free, component = model.mesh.dofs // 3, model.mesh.dofs % 3
    inner = points[free][:, 0] > 0.75
    A = model.operator.assemble(np.array([1.0, 7.0]))
    x, y, z = points.T
    zero, one = np.zeros(len(points)), np.ones(len(points))
    motions = [(one, zero, zero), (zero, one, zero), (zero, zero, one), (-y, x, zero), (zero, -z, y), (z, zero, -x)]
    for motion in motions:
        u = np.stack(motion)[component, free]
        assert np.abs((A @ u)[inner]).max() < 1e-13
    stretch = np.stack([x, zero, zero])[component, free]
    assert np.abs((A @ stretch)[inner]).max() > 1e-2


@pytest.mark.parametrize("element", ["hex", "tet"])
def test_load_is_the_weight_and_the_tip_is_a_mean(element):
    model = LinearElasticity(moduli(1), length=3.0, cells=[6, 2, 2], element=element)
    assert model.symmetric and model.operator.Q == 1
    vertical = model.mesh.dofs % 3 == 2
    ones = np.where(vertical, 1.0, 0.0)
    clamped_share = model.rhs.vectors[:, 0] @ ones
    assert -3.0 < clamped_share < -2.7 and np.abs(model.rhs.vectors[~vertical]).max() == 0.0
    assert abs(model.outputs.functionals[0, 0] @ ones - 1.0) < 1e-14
    height = np.where(vertical, model.mesh.points[model.mesh.dofs // 3, 1], 0.0)
    assert abs(model.outputs.functionals[0, 0] @ height - 0.5) < 1e-14


def test_beam_bends_as_timoshenko_says():
    """Tip of a slender beam: q L^4 / (8 E I) + q L^2 / (2 k G A), k = 5/6, nu = 0; the mesh is 1 % too stiff."""
    length, modulus = 10.0, 5.0
    model = LinearElasticity(moduli(1), length=length, cells=[80, 1, 8], poisson=0.0)
    expected = -(12.0 * length**4 / 8.0 + length**2 / (2.0 * 5.0 / 6.0 * 0.5)) / modulus
    assert abs(model.solve([modulus]).outputs[0] / expected - 1.0) < 0.02


def test_layers_are_counted_from_below():
    model = LinearElasticity(moduli(4), cells=[2, 2, 4])
    z = model.mesh.points[model.mesh.dofs // 3, 2]
    for q, A in enumerate(model.operator.matrices):
        inside = z[np.unique(A.nonzero()[0])]
        assert inside.min() == q / 4 and inside.max() == (q + 1) / 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"poisson": 0.5}, "poisson = 0.5"),
        ({"poisson": -1.0}, "poisson = -1"),
        ({"length": 0.0}, "length = 0"),
        ({"length": True}, "length = true"),
        ({"cells": [4]}, "cells = "),
        ({"cells": [4, 4, 4, 4]}, "cells = "),
        ({"fixed": ["x = 0"]}, "belongs to a mesh from a file"),
        ({"cells": [4, 4, 1]}, "layer . of 2 holds no element"),
        ({"element": "Q1"}, "no element is called 'Q1'"),
    ],
)
def test_linear_elasticity_refuses_wrong_options(options, words):
    with pytest.raises(ConfigError, match=words):
        LinearElasticity(moduli(2), **{"cells": [2, 2, 2], **options})


@pytest.mark.parametrize(
    "model",
    [
        ThermalBlock(conductivities(4), [2, 2], [4, 3]),
        ThermalBlock(conductivities(4), [2, 2], [4, 3], "P1"),
        LinearElasticity(moduli(2), cells=[4, 2, 2]),
        LinearElasticity(moduli(2), cells=[4, 2, 2], element="tet"),
    ],
    ids=["quad", "triangle", "hexahedron", "tetra"],
)
def test_picture_cells_have_the_volume_of_the_domain(model):
    """VTK's order of corners: fans of simplices from it have positive volume and fill the domain."""
    corners = model.mesh.points[model.mesh.cells]
    fans = {
        "triangle": [(0, 1, 2)],
        "quad": [(0, 1, 2), (0, 2, 3)],
        "tetra": [(0, 1, 2, 3)],
        "hexahedron": [(0, 1, 2, 6), (0, 2, 3, 6), (0, 3, 7, 6), (0, 7, 4, 6), (0, 4, 5, 6), (0, 5, 1, 6)],
    }[model.mesh.cell_type]
    d = corners.shape[2]
    volumes = [np.linalg.det(corners[:, fan[1:]] - corners[:, fan[:1]]) / (2.0 if d == 2 else 6.0) for fan in fans]
    assert np.min(volumes) > 0.0
    assert abs(np.sum(volumes) - (1.0 if d == 2 else 4.0)) < 1e-13


def test_elements_have_the_exact_pattern_of_their_mesh():
    model = ThermalBlock(conductivities(1), 1, [3, 3])
    assert sp.csr_array(model.operator.matrices[0]).nnz == 16
