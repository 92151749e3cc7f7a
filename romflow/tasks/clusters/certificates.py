"""A certificate for one run, which its scheduler, its workers and its client show each other."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from distributed.security import Security

from romflow.core.errors import ConfigError
from romflow.core.files import refused

__all__ = ["certificates", "shared_folder"]


def shared_folder() -> Path:
    """The folder in the home directory for what all hosts must see and no other user may.

    Raises
    ------
    StoreError
        It cannot be made.
    """
    shared = Path.home() / ".romflow"
    try:
        shared.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise refused("make", shared, error) from error
    return shared


def certificates(kind: str, exits: contextlib.ExitStack) -> Any:
    """The Security of a run: whoever does not show its certificate is refused, in both directions.

    The certificate and its key are files in the home directory that this user alone may read, until the run ends.

    Parameters
    ----------
    kind : str
        Kind of the cluster, for a message.
    exits : contextlib.ExitStack
        Removes the files.

    Raises
    ------
    ConfigError
        The package that makes certificates is missing.
    StoreError
        The files cannot be written.
    """
    try:
        made = Security.temporary()
    except ImportError:
        raise ConfigError(
            f"[cluster] kind = {kind!r} needs the package 'cryptography' to keep other users out; install it."
        ) from None
    folder = Path(tempfile.mkdtemp(prefix="certificate-", dir=shared_folder()))
    exits.callback(shutil.rmtree, folder, ignore_errors=True)
    files = {"cert": folder / "cert.pem", "key": folder / "key.pem"}
    for name, file in files.items():
        file.touch(mode=0o600)
        file.write_text(made.get_tls_config_for_role("scheduler")[name], encoding="ascii")
    roles = {f"tls_{role}_{name}": str(file) for role in ("scheduler", "worker", "client")
             for name, file in files.items()}
    return Security(require_encryption=True, tls_ca_file=str(files["cert"]), **roles)
