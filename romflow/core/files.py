"""Files written whole or not at all, JSON without NaN, and the lock of a folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, StoreError
from romflow.core.fingerprint import check_json
from romflow.core.names import one_line

__all__ = ["FolderLock", "plain", "read_json", "write_atomic", "write_json"]

_REMEDIES = {
    errno.ENOSPC: "free space or choose another folder",
    errno.EDQUOT: "free space within the quota or choose another folder",
    errno.EACCES: "choose a folder with write permission",
    errno.EPERM: "choose a folder with write permission",
    errno.EROFS: "choose a folder on a writable disk",
    errno.ENOENT: "create its folder first",
    errno.EISDIR: "choose a name that is not a folder",
}


def write_atomic(path: str | Path, data: bytes, *, sync: bool = False) -> None:
    """Write `data` so that `path` holds either all of it or what it held before, whatever is killed when.

    The bytes go to a `.part` file beside the target (named by process and a random suffix), are flushed, and the file
    is renamed over the target. On any error the `.part` file is removed; only a killed process leaves one behind.

    Parameters
    ----------
    path : path
        Target; its folder must exist.
    data : bytes
        Content.
    sync : bool
        Also wait until the file and its name are on the disk (against power loss).

    Raises
    ------
    StoreError
        The system refused (disk full, no permission ...); `errno` is kept.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomic(Path(folder) / "a.bin", b"abc")
    ...     (Path(folder) / "a.bin").read_bytes()
    b'abc'
    """
    target = Path(path)
    part = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(6)}.part")
    try:
        with open(part, "xb") as stream:
            stream.write(data)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        os.replace(part, target)
        if sync:
            _sync_folder(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise refused("write", target, error) from error
        raise


def refused(verb: str, path: Path, error: OSError) -> StoreError:
    """The one-sentence StoreError for an operation on `path` that the operating system refused."""
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    remedy = _REMEDIES.get(error.errno or 0, "check the path and the disk")
    return StoreError(one_line(f"cannot {verb} {path}: {reason}; {remedy}."), error.errno)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises
    ------
    StoreError
        The file is missing, unreadable, not UTF-8, not JSON, or holds NaN or infinity.
    """
    source = Path(path)
    try:
        return json.loads(source.read_bytes().decode("utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise StoreError(
            one_line(f"cannot read {source}: {(error.strerror or str(error)).lower()}."), error.errno
        ) from error
    except (ValueError, RecursionError) as error:
        raise StoreError(
            one_line(f"{source} is damaged: it is not JSON ({error}); remove it or restore it.")
        ) from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}")


def write_json(path: str | Path, obj: Any, *, sync: bool = False) -> None:
    """Write `obj` as indented UTF-8 JSON by :func:`write_atomic`.

    Raises
    ------
    ConfigError
        `obj` holds NaN, infinity or a type that JSON lacks; :func:`plain` converts these.
    StoreError
        The system refused the file.
    """
    check_json(obj)
    write_atomic(path, (json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(), sync=sync)


def plain(obj: Any) -> Any:
    """`obj` in JSON types: NumPy scalars and arrays, paths, tuples and mappings converted; non-finite numbers None.

    Raises
    ------
    ConfigError
        A value of another type.

    Examples
    --------
    >>> plain({"a": np.array([1.0, np.nan]), "b": np.int64(3), "c": Path("x")})
    {'a': [1.0, None], 'b': 3, 'c': 'x'}
    """
    if isinstance(obj, np.ndarray | np.generic):
        return plain(obj.tolist())
    if obj is None or isinstance(obj, bool | int | str):
        return obj
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if isinstance(obj, Mapping):
        return {str(key): plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set | frozenset):
        return [plain(value) for value in (sorted(obj) if isinstance(obj, set | frozenset) else obj)]
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    raise ConfigError(f"a {type(obj).__name__} has no JSON form; convert it to texts, numbers, lists or dictionaries.")


class FolderLock:
    """One process at a time works in a folder; a killed process frees it.

    The lock is ``flock`` on the file `.lock` within the folder, which stays there; the holder's process number and host
    are its content.

    Parameters
    ----------
    path : path
        An existing folder.

    Raises
    ------
    StoreError
        On entering: another process holds the folder (named by its number), or the file cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, FolderLock(folder):
    ...     (Path(folder) / ".lock").exists()
    True
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None

    def __enter__(self) -> FolderLock:
        if self._descriptor is not None:
            raise StoreError(f"{self.path} is locked by this process already; leave the first lock before the second.")
        file = self.path / ".lock"
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise refused("lock", self.path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreError(
                one_line(f"{self.path} is in use by {holder}; wait for it, end it, or choose another folder."),
                error.errno,
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise refused("lock", self.path, error) from error
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _holder(descriptor: int) -> str:
    words = os.pread(descriptor, 200, 0).decode("utf-8", "replace").split()
    if len(words) == 2 and words[0].isdigit():
        return f"process {words[0]} on {words[1]}"
    return "another process"
