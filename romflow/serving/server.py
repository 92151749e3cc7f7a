"""An HTTP server of models on the standard library's server: threads, bounded requests, errors as JSON."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from romflow.core.errors import InputError
from romflow.serving.model import Served
from romflow.serving.protocol import answer, refusal

__all__ = ["LOOPBACK", "ModelServer"]

LOOPBACK = "127.0.0.1"

_LOG = logging.getLogger(__name__)
_LARGEST = 16_000_000  # bytes of a request
_PATIENCE = 300.0  # seconds that a connection may stay silent
_CONNECTIONS = 400  # at a time; for one more, that which has waited for its client longest is closed


class ModelServer(ThreadingHTTPServer):
    """Serves models by the UM-Bridge protocol until it is shut down; a context manager.

    Parameters
    ----------
    models : sequence of Served
        With different names.
    host : str
        Address to listen at; only this machine reaches the loopback address. There is no encryption and no password.
    port : int
        0 takes a free one, which `port` tells.

    Raises
    ------
    InputError
        No model, two of one name, or the address cannot be taken.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> import threading, numpy as np
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> model = Served("twice", ParameterSpace([Parameter("a", Uniform(0.0, 1.0))]), ("b",), lambda mu: [2 * mu[0]])
    >>> with ModelServer([model], port=0) as server:
    ...     thread = threading.Thread(target=server.serve_forever)
    ...     thread.start()
    ...     with urlopen(f"http://127.0.0.1:{server.port}/Info") as reply:
    ...         print(reply.read().decode())
    ...     server.shutdown()
    ...     thread.join()
    {"protocolVersion": 1.0, "models": ["twice"]}
    """

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, models: Sequence[Served], host: str = LOOPBACK, port: int = 4242) -> None:
        names = [model.name for model in models]
        if not names or len(set(names)) < len(names):
            raise InputError(f"the models to serve are called {names}; give at least one, each with its own name")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise InputError(f"port = {port!r}; the rule is a whole number from 0 to 65535")
        self.models = tuple(models)
        self._waiting: dict[socket.socket, None] = {}
        self._connections, self._lock = 0, threading.Lock()
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), _Conversation)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(f"{host}:{port} cannot be listened at: {reason}; choose another one") from error

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take a connection; slow clients do not keep others out."""
        with self._lock:
            self._connections += 1
            slow = next(iter(self._waiting), None) if self._connections > _CONNECTIONS else None
            if slow is not None:
                del self._waiting[slow]
        if slow is not None:
            with contextlib.suppress(OSError):
                slow.shutdown(socket.SHUT_RDWR)
        self.waits(request, True)
        return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.waits(request, False)
        with self._lock:
            self._connections -= 1
        super().shutdown_request(request)

    def waits(self, request: Any, waiting: bool) -> None:
        """Whether a connection waits for its client: it comes last in the order in which they are closed."""
        with self._lock:
            self._waiting.pop(request, None)
            if waiting:
                self._waiting[request] = None

    def _note_broken(self, request: Any, client_address: Any) -> None:
        """A connection that broke is no fault of the server."""
        _LOG.debug("the connection from %s broke", client_address, exc_info=True)

    handle_error = _note_broken


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "romflow"
    sys_version = ""
    timeout = _PATIENCE
    disable_nagle_algorithm = True
    wbufsize = -1
    server: ModelServer

    def do_HEAD(self) -> None:
        """Say that the server is there."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Information without a request's content."""
        self._reply(*answer(self.server.models, self.path, None))

    def do_POST(self) -> None:
        """A request of the protocol."""
        body = self._body()
        if body is None:
            return
        self.server.waits(self.connection, False)
        try:
            self._answer(body)
        finally:
            self.server.waits(self.connection, True)

    def _answer(self, body: bytes) -> None:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            self._reply(*refusal("InvalidInput", "the request is not JSON; send {\"name\": ..., ...}"))
            return
        self._reply(*answer(self.server.models, self.path, content))

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > _LARGEST:
            self.close_connection = True
            words = f"a request needs a Content-Length of at most {_LARGEST} bytes"
            self._reply(*refusal("InvalidInput", words, 413 if length else 411))
            return None
        return self.rfile.read(int(length))

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests go to the log and not to the terminal."""
        _LOG.debug(format, *args)
