"""Plain containers: snapshots, meshes, and the environment."""

import json
import subprocess
import sys

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.mesh import CELL_TYPES, Mesh
from romflow.core.provenance import environment
from romflow.core.snapshot import Snapshot


def square(dofs=(0, 3), components=1) -> Mesh:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    return Mesh(points, np.array([[0, 1, 2, 3]]), "quad", np.array(dofs), components)


def test_a_snapshot_is_float64_vectors():
    snapshot = Snapshot(np.array([1, 2]), outputs=[3])
    assert snapshot.state.dtype == snapshot.outputs.dtype == np.float64
    assert snapshot.info == {}
    assert Snapshot(np.zeros(2)).outputs is None


@pytest.mark.parametrize("state", [np.zeros((3, 1)), np.float64(3.0), ["a"], [1j], [None], [True]])
def test_a_snapshot_that_is_no_real_vector_is_refused(state):
    with pytest.raises(ShapeError, match="snapshot's state"):
        Snapshot(state)
    with pytest.raises(ShapeError, match="snapshot's outputs"):
        Snapshot(np.zeros(2), state)


def test_states_become_nodal_values_with_zeros_elsewhere():
    values = square().nodal(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert values.shape == (4, 1, 2)
    assert values[:, 0].tolist() == [[1, 2], [0, 0], [0, 0], [3, 4]]
    assert square().nodal(np.array([1.0, 3.0])).shape == (4, 1, 1)


def test_components_are_innermost():
    mesh = square(dofs=(5, 0), components=2)
    values = mesh.nodal(np.array([[7.0], [8.0]]))
    assert values[2, 1, 0] == 7.0 and values[0, 0, 0] == 8.0
    assert np.count_nonzero(values) == 2


def test_nodal_refuses_another_length():
    with pytest.raises(ShapeError, match=r"states have shape \(3, 1\); this mesh needs \(2, b\)"):
        square().nodal(np.zeros((3, 1)))


@pytest.mark.parametrize("cell_type", list(CELL_TYPES))
def test_a_mesh_goes_through_arrays(cell_type):
    vertices, _ = CELL_TYPES[cell_type]
    points = np.random.default_rng(0).random((8, 3))
    mesh = Mesh(points, np.arange(vertices)[np.newaxis], cell_type, np.array([1, 4]), 3)
    copy = Mesh.from_arrays({name: np.asarray(value) for name, value in mesh.to_arrays().items()})
    assert (copy.cell_type, copy.components, copy.n) == (cell_type, 3, 2)
    assert all(np.array_equal(getattr(copy, name), getattr(mesh, name)) for name in ("points", "cells", "dofs"))


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"cell_type": "quadd"}, ConfigError, "Did you mean 'quad'"),
        ({"cell_type": "triangle"}, ShapeError, r"must be \(C, 3\)"),
        ({"points": np.zeros((4, 4))}, ShapeError, "d = 1, 2 or 3"),
        ({"points": np.full((4, 2), np.nan)}, InputError, "finite coordinates"),
        ({"cells": np.array([[0, 1, 2, 4]])}, InputError, "the number 4; there are 4 points"),
        ({"cells": np.array([[0, 1, 2, -1]])}, InputError, "the number -1"),
        ({"cells": np.array([[0.0, 1, 2, 3]])}, InputError, "whole numbers"),
        ({"dofs": np.array([0, 4])}, InputError, "there are 4 nodal values"),
        ({"dofs": np.array([1, 1])}, InputError, "twice"),
        ({"dofs": np.array([[1]])}, ShapeError, r"must be \(n,\)"),
        ({"components": 0}, InputError, "components = 0"),
        ({"components": True}, InputError, "components = true"),
    ],
)
def test_a_mesh_whose_parts_do_not_fit_is_refused(changes, kind, text):
    good = square()
    parts = {name: getattr(good, name) for name in ("points", "cells", "cell_type", "dofs", "components")}
    with pytest.raises(kind, match=text):
        Mesh(**{**parts, **changes})


def test_mesh_arrays_that_lack_something_are_refused():
    arrays = square().to_arrays()
    with pytest.raises(InputError, match="lacks the array 'dofs'"):
        Mesh.from_arrays({name: value for name, value in arrays.items() if name != "dofs"})
    with pytest.raises(InputError, match="VTK type 99"):
        Mesh.from_arrays({**arrays, "cell_type": np.array([99])})


def test_the_environment_is_json_and_names_versions():
    facts = environment()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["numpy"] == np.__version__
    assert facts["python"] == sys.version.split()[0]


def test_the_environment_and_the_core_load_no_heavy_package():
    code = (
        "import sys;from romflow.core import errors, files, fingerprint, mesh, names, provenance, registry, snapshot;"
        "import romflow.parameters.space, romflow.parameters.expressions; provenance.environment();"
        "heavy = ('dask', 'distributed', 'h5py', 'mpi4py', 'pydantic', 'scipy.stats', 'skfem', 'sklearn');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
