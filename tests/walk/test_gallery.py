"""Every gallery model, from study to certified model, with each stability bound that fits it."""

import pytest

import romflow

pytestmark = pytest.mark.usefixtures("without_report")

WIND = {"diffusion": {"distribution": "log-uniform", "low": 0.05, "high": 1.0}, "angle": {"low": 0.0, "high": 3.0}}
LAYERS = {"modulus": {"low": 1.0, "high": 10.0, "size": 2}}
CASES = [
    ({"kind": "advection-diffusion", "cells": 24}, WIND, {}),
    pytest.param({"kind": "advection-diffusion", "cells": 24, "stability": "inf-sup"}, WIND, {},
                 marks=pytest.mark.long),
    ({"kind": "advection-diffusion", "cells": 24, "stability": "min-theta"}, WIND, {"projection": "galerkin"}),
    ({"kind": "linear-elasticity", "cells": [8, 2, 2]}, LAYERS, {}),
    ({"kind": "thermal-block", "blocks": [2, 2], "cells": 12, "element": "P1"},
     {"k": {"low": 0.1, "high": 1.0, "size": 4}}, {"method": "pod-galerkin"}),
]


@pytest.mark.parametrize(("model", "parameters", "reduction"), CASES)
def test_bound_is_certified_and_sharp(tmp_path, model, parameters, reduction):
    sampling = {"method": "sobol", "size": 40} if "method" in reduction else {"method": "greedy", "pool": 80}
    study = romflow.Study.from_dict({
        "study": {"name": "gallery"}, "model": model, "parameters": parameters, "sampling": sampling,
        "reduction": {"tolerance": 1e-3, "certified": True, **reduction}, "validation": {"size": 12},
        "cluster": {"kind": "serial"}})
    summary = study.run(tmp_path / "run").summary
    validation = summary["validation"]
    assert validation["error_kind"] == "bound"
    # A greedy's tolerance holds on its pool; that of a POD is a mean over its snapshots.
    assert validation["max_relative_error"] <= (5e-3 if "method" in reduction else 1e-3)
    assert 1.0 <= validation["min_effectivity"] <= validation["max_effectivity"] <= 20.0
