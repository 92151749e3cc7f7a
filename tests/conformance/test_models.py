"""The model suite on the built-in models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from romflow.core import registry
from romflow.parameters.distributions import LogUniform, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.testing import Report, check_model

WIND = ParameterSpace([Parameter("diffusion", LogUniform(0.05, 1.0)), Parameter("angle", Uniform(0.0, 6.0))])
WIND_IN_SPACE = ParameterSpace([Parameter("diffusion", LogUniform(0.05, 1.0)), Parameter("angle", Uniform(0.0, 6.0)),
                                Parameter("elevation", Uniform(-1.0, 1.0))])
BLOCKS = ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), size=6)])
LAYERS = ParameterSpace([Parameter("modulus", LogUniform(0.5, 5.0), size=2)])
ONE = ParameterSpace([Parameter("a", Uniform(1.0, 2.0))])


def _check(name: str, space: ParameterSpace, **options: Any) -> Report:
    cls = registry.load("model", name, ".")
    return check_model(lambda: cls(space, **options), name)


@pytest.mark.parametrize(("name", "space", "options"), [
    ("thermal-block", BLOCKS, {"blocks": [3, 2], "cells": 12}),
    ("thermal-block", BLOCKS, {"blocks": [3, 2], "cells": [9, 8], "element": "P1"}),
    ("advection-diffusion", WIND, {"cells": 10}),
    ("advection-diffusion", WIND, {"cells": 10, "element": "Q1", "stability": "min-theta"}),
    ("advection-diffusion", WIND, {"cells": 8, "stability": "inf-sup"}),
    ("linear-elasticity", LAYERS, {"cells": [6, 2, 2]}),
    ("linear-elasticity", LAYERS, {"cells": [6, 2, 2], "element": "tet"}),
    ("linear-elasticity", LAYERS, {"cells": [8, 2]}),
    ("thermal-block", BLOCKS, {"blocks": [3, 2, 1], "cells": 6}),
    ("advection-diffusion", WIND_IN_SPACE, {"cells": 4}),
    ("nonaffine", ONE, {"diffusion": "1 + exp(-a*x*y)", "velocity": ["a*y", "exp(a*x)"], "cells": 6, "max_terms": 3}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_gallery(name: str, space: ParameterSpace, options: dict[str, Any]) -> None:
    report = _check(name, space, **options)
    assert all(check.passed for check in report.checks), str(report)
    assert {"residual", "stability-bound", "outputs", "mesh"} <= {check.name for check in report.checks}


def test_affine_files(tmp_path: Path) -> None:
    A = sp.diags_array([np.full(5, 2.0), np.full(4, -0.5)], offsets=[0, 1])
    scipy.io.mmwrite(tmp_path / "A.mtx", sp.coo_array(A))
    sp.save_npz(tmp_path / "X.npz", sp.csr_array(sp.eye_array(5)))
    np.save(tmp_path / "f.npy", np.ones(5))
    (tmp_path / "model.toml").write_text("""
        [[operator]]
        file = "A.mtx"
        theta = "a"
        [[rhs]]
        file = "f.npy"
        theta = "1"
        [inner_product]
        file = "X.npz"
        [stability]
        kind = "scm"
    """, encoding="utf-8")
    report = _check("affine-files", ONE, path=".", base=tmp_path)
    assert all(check.passed for check in report.checks), str(report)


def test_external_program(tmp_path: Path) -> None:
    (tmp_path / "solver.py").write_text(
        "import json, sys, numpy as np\n"
        "given = json.load(sys.stdin)\n"
        "np.save(given['output'], np.linspace(0, given['mu'][0], 7))\n", encoding="utf-8")
    report = _check("external", ONE, command=["{python}", "solver.py"], base=tmp_path)
    assert all(check.passed for check in report.checks), str(report)
    assert "n = None" in str(report)
