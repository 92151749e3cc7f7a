"""POD of a snapshot set on disk beside LAPACK's SVD in memory: time, memory, errors, one pass, chunking.

    python benchmarks/solves_pod.py [--quick] [--json FILE]

The set S = U diag(s) Q^T is written by panels of rows to a temporary file (2.4 GB; cosines at midpoints are orthogonal,
so its singular values s are known) and streamed from there by blocks of rows. Each measurement is a process of its own:
processor seconds with one BLAS thread, and the peak of its resident memory above what it had before. Errors are those
of the returned basis, measured by two further passes that are not part of the times.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402

PEER = "scipy.linalg.svd (gesdd)"
SIZES = (10, 20, 40)
PANEL = 4096


def singular_values(k: int) -> np.ndarray:
    """Falling to 1e-16: 5e-5, 5e-7 and 3e-10 of the first are about what 10, 20 and 40 modes leave."""
    return np.maximum(10.0 ** (-1.139 * np.arange(k) ** 0.577), 1e-16)


def optimum(k: int, r: int) -> float:
    """Relative error of the best r modes."""
    s = singular_values(k)
    return float(np.sqrt(np.sum(s[r:] ** 2) / np.sum(s**2)))


def write(path: Path, n: int, k: int) -> None:
    """The snapshots (n, k), row after row."""
    rotated = singular_values(k)[:, None] * np.linalg.qr(np.random.default_rng(0).standard_normal((k, k)))[0].T
    with open(path, "wb") as file:
        for start in range(0, n, PANEL):
            x = (np.arange(start, min(start + PANEL, n)) + 0.5) / n
            (np.cos(np.pi * np.outer(x, np.arange(1, k + 1))) * np.sqrt(2.0 / n) @ rotated).tofile(file)


# -- in a process of its own ---------------------------------------------------------------------------------------

def panels(path: Path, n: int, k: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Pairs (rows, S[rows])."""
    with open(path, "rb") as file:
        for start in range(0, n, PANEL):
            height = min(PANEL, n - start)
            yield slice(start, start + height), np.fromfile(file, count=height * k).reshape(height, k)


def coordinates(V: np.ndarray, path: Path, n: int, k: int) -> np.ndarray:
    """V^T S (r, k)."""
    return sum(V[rows].T @ S for rows, S in panels(path, n, k))


def true_error(V: np.ndarray, path: Path, n: int, k: int) -> float:
    """||S - V V^T S|| / ||S|| from the remainder itself."""
    Z, left, total = coordinates(V, path, n, k), 0.0, 0.0
    for rows, S in panels(path, n, k):
        left, total = left + float(np.sum((S - V[rows] @ Z) ** 2)), total + float(np.sum(S**2))
    return float(np.sqrt(left / total))


def difference(one: np.ndarray, other: np.ndarray, path: Path, n: int, k: int) -> float:
    """||P_1 S - P_2 S|| / ||S|| of two bases."""
    Z, W, gap, total = coordinates(one, path, n, k), coordinates(other, path, n, k), 0.0, 0.0
    for rows, S in panels(path, n, k):
        gap, total = gap + float(np.sum((one[rows] @ Z - other[rows] @ W) ** 2)), total + float(np.sum(S**2))
    return float(np.sqrt(gap / total))


def resident() -> float:
    """Resident memory now (MB)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak() -> float:
    """Largest resident memory so far (MB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def run(path: Path, n: int, k: int, call: dict[str, Any]) -> dict[str, float]:
    """One POD, its time, memory, error and loss of orthogonality; with a second block size, the difference too."""
    from romflow.linalg.compression.source import FileSource
    from romflow.linalg.inner_product import InnerProduct
    from romflow.linalg.pod import pod

    other = call.pop("other", None)
    source, product = FileSource(path, n, k), InnerProduct(None)
    before, started = resident(), time.process_time()
    found = pod(source, product, **call)
    answer = {"seconds": time.process_time() - started, "memory": peak() - before, "size": found.basis.shape[1],
              "reported": found.error, "route": found.route}
    V = found.basis
    answer["defect"] = float(np.abs(V.T @ V - np.eye(V.shape[1])).max())
    if other is None:
        return answer | {"error": true_error(V, path, n, k)}
    again = pod(source, product, **call, block=other)
    sigma = found.singular_values[:V.shape[1]], again.singular_values[:V.shape[1]]
    return answer | {"difference": difference(V, again.basis, path, n, k),
                     "values": float(np.abs(sigma[0] - sigma[1]).max() / sigma[0][0])}


def svd(path: Path, n: int, k: int) -> dict[str, float]:
    """Seconds and memory of the SVD in memory, in the order that LAPACK wants; the reading is not timed."""
    import scipy.linalg as sl

    before = resident()
    S = np.empty((n, k), order="F")
    for rows, part in panels(path, n, k):
        S[rows] = part
    started = time.process_time()
    sl.svd(S, full_matrices=False, overwrite_a=True, check_finite=False, lapack_driver="gesdd")
    return {"seconds": time.process_time() - started, "memory": peak() - before}


def alone(path: Path, n: int, k: int, call: dict[str, Any] | None) -> dict[str, Any]:
    """`run` or `svd` in a new process."""
    told = json.dumps({"path": str(path), "n": n, "k": k, "call": call})
    answer = subprocess.run([sys.executable, __file__, "--alone", told], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{call} failed: {answer.stderr}")
    return json.loads(answer.stdout)


# -- the figures ---------------------------------------------------------------------------------------------------

def figures(quick: bool) -> dict[str, Figure]:
    """All figures of the compression, and a table of the routes."""
    n, k = (60_000, 200) if quick else (1_000_000, 300)
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder:
        path = Path(folder) / "snapshots.bin"
        write(path, n, k)
        wanted: dict[str, dict[str, Any] | None] = {"svd": None}
        wanted |= {f"auto, {r} modes": {"tolerance": 0.0, "max_size": r} for r in SIZES}
        wanted["two-pass to 1e-12"] = {"tolerance": 1e-12, "route": "two-pass"}
        wanted["streaming, 40 modes"] = {"tolerance": 0.0, "max_size": SIZES[-1], "route": "streaming"}
        wanted["auto, other blocks"] = {"tolerance": 0.0, "max_size": SIZES[-1], "other": 777}
        found = {name: alone(path, n, k, call) for name, call in wanted.items()}
    _table(found, n, k)
    fast = found[f"auto, {SIZES[-1]} modes"]
    over = {name: row["error"] / optimum(k, row["size"]) for name, row in found.items() if "error" in row}
    one_pass = over.pop("streaming, 40 modes")
    return {
        "pod_speedup_vs_svd": Figure(found["svd"]["seconds"] / fast["seconds"], 7.0, True, "times", PEER),
        "pod_extra_memory_mb": Figure(fast["memory"], 450.0, False, "MB"),
        "pod_error_vs_optimal": Figure(max(over.values()), 1.01, False, "times", "the known singular values"),
        "pod_single_pass_vs_optimal": Figure(one_pass, 2.0, False, "times", "the known singular values"),
        "pod_chunking_difference": Figure(found["auto, other blocks"]["difference"], 1e-12, False, "relative")}


def _table(found: dict[str, dict[str, Any]], n: int, k: int) -> None:
    print(f"POD of {n} x {k} snapshots on disk ({8e-9 * n * k:.2g} GB), one BLAS thread")
    print(f"{'':22}{'route':>10}{'seconds':>9}{'MB':>7}{'modes':>7}{'error':>11}{'optimal':>11}{'reported':>11}"
          f"{'V^T V - I':>11}")
    for name, row in found.items():
        line = f"{name:22}{row.get('route', ''):>10}{row['seconds']:9.2f}{row['memory']:7.0f}"
        if "size" in row:
            errors = (row.get("error", float("nan")), optimum(k, row["size"]), row["reported"], row["defect"])
            line += f"{row['size']:7d}" + "".join(f"{value:11.3e}" for value in errors)
        print(line)
    other = found["auto, other blocks"]
    print(f"blocks of other sizes: projections differ by {other['difference']:.1e}, singular values by "
          f"{other['values']:.1e} of the first")


def main() -> None:
    """The figures, or one measurement of them."""
    if sys.argv[1:2] == ["--alone"]:
        told = json.loads(sys.argv[2])
        path, n, k, call = Path(told["path"]), told["n"], told["k"], told["call"]
        print(json.dumps(svd(path, n, k) if call is None else run(path, n, k, call)))
        return
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)


if __name__ == "__main__":
    main()
