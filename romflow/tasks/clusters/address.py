"""A cluster that somebody else has started: its scheduler's address, and who may be there."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from distributed.security import Security

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, one_line, shown
from romflow.tasks.clusters.cluster import Cluster

if TYPE_CHECKING:
    from romflow.core.schema import ClusterConfig

__all__ = ["check_address", "join"]


def join(cluster: Cluster, config: ClusterConfig) -> None:
    """Connect to a running scheduler, whose workers stay when the study ends.

    Raises
    ------
    ConfigError
        No TLS to another host, wrong keys in [cluster.options], or nobody answers.
    """
    check_address(config.kind)
    cluster.threads = config.threads
    try:
        security = Security(**config.options)
    except TypeError as error:
        raise ConfigError(one_line(f"[cluster.options] is wrong for a scheduler's address: {error}")) from error
    try:
        cluster.connect(config.kind, security=security)
    except (OSError, TypeError) as error:
        raise ConfigError(
            one_line(f"no scheduler answers at {config.kind} ({error}); start it, or correct [cluster] kind.")
        ) from error


def check_address(address: str) -> None:
    """Raise unless nobody but this user can be the scheduler at an address: TLS, or this machine alone.

    Raises
    ------
    ConfigError
        tcp:// to another host, another protocol, or no port.

    Examples
    --------
    >>> check_address("tls://node7:8786")
    >>> check_address("tcp://127.0.0.1:8786")
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if parts.scheme not in ("tcp", "tls"):
        known = ["local", "serial", "slurm", "pbs", "allocation"]
        raise ConfigError(f"no cluster is called {shown(address)}{nearest(address, known)}")
    if not host or port is None:
        raise ConfigError(f"[cluster] kind = {shown(address)} lacks a host or a port; write 'tls://HOST:PORT'.")
    if parts.scheme == "tcp" and not _is_loopback(host):
        raise ConfigError(
            f"[cluster] kind = {shown(address)} has no TLS, so that every user of the network could run code as you; "
            "start the scheduler with TLS and write 'tls://HOST:PORT'."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
