"""A benchmark of several parts: each in a process of its own, one table of all figures."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from figures import Figure, show

#: Part -> the figures of it that the contract of the benchmark names.
Parts = Mapping[str, tuple[str, ...]]


def measured(script: Path, part: str, quick: bool) -> dict[str, Figure] | None:
    """The figures of one part, whose output goes to ours; None where it failed."""
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder:
        target = Path(folder) / "figures.json"
        command = [sys.executable, "-W", "ignore", str(script), "--json", str(target), *(["--quick"] if quick else [])]
        started = time.monotonic()
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        print(f"\n=== {part}\n{done.stdout}=== {part}: {time.monotonic() - started:.1f} s", flush=True)
        if done.returncode or not target.exists():
            return None
        found = json.loads(target.read_text(encoding="utf-8"))["figures"]
    return {name: Figure(**values) for name, values in found.items()}


def ordered(parts: Parts, figures: dict[str, Figure]) -> dict[str, Figure]:
    """Those of the contract first, in its order; then the others."""
    first = [name for names in parts.values() for name in names if name in figures]
    return {name: figures[name] for name in [*first, *(name for name in figures if name not in first)]}


def run(name: str, parts: Parts, chosen: Sequence[str], quick: bool, target: Path | None, together: int = 1) -> int:
    """Measure the chosen parts ``NAME_PART.py``, `together` at a time, print the table and return the exit code."""
    figures: dict[str, Figure] = {}
    missing = []
    with ThreadPoolExecutor(together) as pool:
        answers = list(pool.map(lambda part: measured(Path(__file__).with_name(f"{name}_{part}.py"), part, quick),
                                chosen))
    for part, found in zip(chosen, answers, strict=True):
        figures |= found or {}
        absent = [figure for figure in parts[part] if figure not in (found or {})]
        if found is None or absent:
            missing.append(f"{part} ({', '.join(absent)})" if absent else part)
    print(f"\n=== all figures{', quick sizes' if quick else ''}")
    if figures:
        show(ordered(parts, figures), target)
    if missing:
        print(f"not measured, because the part failed: {'; '.join(missing)}", file=sys.stderr)
    return int(bool(missing))
