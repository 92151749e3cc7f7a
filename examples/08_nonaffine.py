"""Coefficients that are no sum of products: a spot of high conductivity whose place is a parameter.

    python examples/08_nonaffine.py

romflow interpolates the coefficient by itself, and the error bound counts what that leaves: with too few terms the
bound is large, not the answer silently wrong.
"""

import tempfile
from pathlib import Path

import romflow

STUDY = {
    "study": {"name": "spot"},
    "model": {"kind": "nonaffine", "cells": 16, "bound": "points",
              "diffusion": "1 + k * exp(-10 * ((x - a)**2 + (y - 0.5)**2))", "source": "exp(-2 * x * a)"},
    "parameters": {"a": {"low": 0.2, "high": 0.8}, "k": {"low": 0.0, "high": 4.0}},
    "sampling": {"method": "greedy", "pool": 100},
    "reduction": {"tolerance": 1e-3, "max_size": 25},
    "validation": {"size": 10},
    "cluster": {"kind": "serial"},
}


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    found = {}
    for name, terms in {"few": 4, "enough": 40}.items():
        study = romflow.Study.from_dict({**STUDY, "model": {**STUDY["model"], "max_terms": terms}})
        summary = study.run(folder / name).summary
        errors, Q = summary["validation"], study.model.operator.Q
        print(f"{Q:2d} terms, {summary['offline']['basis_size']:2d} vectors: largest true error "
              f"{errors['max_relative_error']:.1e}, its {errors['error_kind']} {errors['max_error_estimate']:.1e}")
        found |= {f"{name}_terms": Q, f"{name}_error": errors["max_relative_error"],
                  f"{name}_bound": errors["max_error_estimate"], f"{name}_least": errors["min_effectivity"],
                  f"{name}_certified": errors["error_kind"] == "bound"}
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
