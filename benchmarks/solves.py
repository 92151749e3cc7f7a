"""Linear solves and sketching at scale: every part in a process of its own, one table of all figures.

    python benchmarks/solves.py [--quick] [--json FILE] [--only PART ...]

Each part can be run alone too (benchmarks/solves_PART.py) and says there what it compares, and how:

pod        compression of a snapshot set on disk beside LAPACK's SVD in memory
sweep      100 parameters as one problem beside AMG built anew and a direct factorisation for each
sketch     the sketched residual estimator beside the orthonormal basis
bandit     learnt solver settings beside the best fixed ones; sketched Newton systems beside MINRES
lstsq      sketched least squares beside numpy.linalg.lstsq; coordinated sampling beside CountSketch
functions  inverses and log-determinants from interpolated powers beside plain interpolation
wheels     the rule "auto" beside every solver that is installed

Processor seconds with one BLAS thread; the parts run one after the other. A part that fails is named, its figures are
left out, and the exit code is 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from figures import Figure, arguments, pin_threads, show

pin_threads()

# The parts in the order of the table, with the figures that the contract of the benchmark names.
PARTS = {
    "pod": ("pod_speedup_vs_svd", "pod_extra_memory_mb", "pod_error_vs_optimal"),
    "sweep": ("sweep_speedup_vs_amg", "sweep_speedup_vs_direct", "sweep_2d_speedup_vs_best"),
    "sketch": ("sketch_ratio_std",),
    "bandit": ("bandit_vs_best_fixed",),
    "lstsq": ("lstsq_speedup",),
    "functions": (),
    "wheels": ()}


def measured(part: str, quick: bool) -> dict[str, Figure] | None:
    """The figures of one part, whose output goes to ours; None where it failed."""
    script = Path(__file__).with_name(f"solves_{part}.py")
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder:
        target = Path(folder) / "figures.json"
        command = [sys.executable, "-W", "ignore", str(script), "--json", str(target), *(["--quick"] if quick else [])]
        print(f"\n=== {part}", flush=True)
        started = time.monotonic()
        code = subprocess.run(command, check=False).returncode
        print(f"=== {part}: {time.monotonic() - started:.1f} s", flush=True)
        if code or not target.exists():
            return None
        found = json.loads(target.read_text(encoding="utf-8"))["figures"]
    return {name: Figure(**values) for name, values in found.items()}


def ordered(figures: dict[str, Figure]) -> dict[str, Figure]:
    """Those of the contract first, in its order; then the others."""
    first = [name for names in PARTS.values() for name in names if name in figures]
    return {name: figures[name] for name in [*first, *(name for name in figures if name not in first)]}


def run(parts: Sequence[str], quick: bool, target: Path | None) -> int:
    """Measure the parts, print the table and return the exit code."""
    figures: dict[str, Figure] = {}
    missing = []
    for part in parts:
        found = measured(part, quick)
        figures |= found or {}
        absent = [name for name in PARTS[part] if name not in (found or {})]
        if found is None or absent:
            missing.append(f"{part} ({', '.join(absent)})" if absent else part)
    print(f"\n=== all figures{', quick sizes' if quick else ''}")
    if figures:
        show(ordered(figures), target)
    if missing:
        print(f"not measured, because the part failed: {'; '.join(missing)}", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    wish = arguments(__doc__ or "", PARTS)
    # The quick run leaves out the parts without a figure of the contract.
    parts = [part for part, named in PARTS.items() if named or not wish.quick]
    sys.exit(run(wish.only or parts, wish.quick, wish.json))
