"""Where and with what a result was made: versions, host, cores."""

from __future__ import annotations

import os
import platform
import socket
from importlib import metadata
from typing import Any

__all__ = ["environment"]

_PACKAGES = ("romflow", "numpy", "scipy", "pydantic", "h5py", "dask", "distributed", "scikit-fem", "scikit-learn")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment() -> dict[str, Any]:
    """Versions, platform, host and cores as a JSON-able dictionary; imports none of the packages that it names.

    Returns
    -------
    dict
        One key a package with its version (None if it is not installed), "python", "platform", "hostname", "cores"
        (usable by this process) and "threads" (the environment's thread limits of the linear algebra, None if not set).

    Examples
    --------
    >>> facts = environment()
    >>> facts["python"].startswith("3."), facts["cores"] >= 1
    (True, True)
    """
    return {
        **{name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hostname": socket.gethostname(),
        "cores": _cores(),
        "threads": {name: os.environ.get(name) for name in _THREADS},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
