"""What every benchmark shares: pinned threads, the table, the JSON file."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def pin_threads() -> None:
    """One BLAS thread; call it before NumPy is imported."""
    for name in THREADS:
        os.environ[name] = "1"


@dataclass(frozen=True)
class Figure:
    """A measured value beside its target."""

    value: float
    target: float
    at_least: bool
    unit: str
    peer: str | None = None

    @property
    def met(self) -> bool:
        """Whether the value is on the right side of the target."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def arguments(description: str, parts: Iterable[str] = (), folder: bool = False) -> argparse.Namespace:
    """--quick, --json and --picture; --only where there are parts to choose from; --folder for what can go on."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same figures on small sizes, in under 50 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the curves of the benchmark here")
    if folder:
        parser.add_argument("--folder", type=Path, help="keep all here, and go on with what is there")
    if names := list(parts):
        parser.add_argument("--only", choices=names, nargs="+", metavar="PART", help=f"of {', '.join(names)}")
    return parser.parse_args()


def show(figures: dict[str, Figure], target: Path | None) -> None:
    """Print the table, and write the JSON file where one is asked for."""
    width = max(map(len, figures))
    for name, figure in figures.items():
        sign = ">=" if figure.at_least else "<="
        print(f"{name:{width}}  {figure.value:10.4g}  {sign} {figure.target:<8.4g} {figure.unit:8} "
              f"{'met' if figure.met else 'MISSED':6}  {figure.peer or ''}")
    if target is not None:
        target.write_text(json.dumps({"figures": {name: asdict(figure) for name, figure in figures.items()},
                                      "environment": environment()}, indent=1) + "\n", encoding="utf-8")


def environment() -> dict[str, Any]:
    """Versions and machine."""
    from romflow import __version__
    from romflow.core.provenance import environment as facts

    known = facts() | {"romflow": __version__, "blas_threads": 1}
    return {name: value for name, value in known.items() if name != "hostname"}
