"""DNS, TCP and TLS in a thread while modules load, so that the first request finds its connection ready.

Nothing is sent on it before the request. It lies outside the client's documented interface, so whatever goes wrong with
it, or is not as expected, leaves the client to connect as it always does.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

SECONDS = 15.0
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")


class Preconnection:
    """A connection to the host of a URL, made ready in the background; taken once, or left to be closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self._context: ssl.SSLContext | None = None
        self._context_ready = threading.Event()
        self._socket: socket.socket | None = None
        target = self._connect_secure if parts.scheme == "https" else self._connect
        self._thread = threading.Thread(target=self._try, args=(target,), daemon=True)
        self._thread.start()

    def _try(self, connect: Callable[[], None]) -> None:
        try:
            connect()
        except (OSError, ValueError):
            return
        finally:
            self._context_ready.set()

    def _connect(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context_ready.set()
        self._socket = self._tcp()

    def _connect_secure(self) -> None:
        connected = self._tcp()
        context = trusted_context()
        context.set_alpn_protocols(["http/1.1"])
        self._context = context
        self._context_ready.set()
        self._socket = context.wrap_socket(connected, server_hostname=self._name)

    @property
    def _name(self) -> bytes:
        """The host as bytes: as text, even an ASCII name loads the codec for international ones and its tables."""
        return self.host.encode("ascii" if self.host.isascii() else "idna")

    def _tcp(self) -> socket.socket:
        address = (self._name, self.port)
        connected = socket.create_connection(address, SECONDS)  # type: ignore[arg-type]  # bytes will do as well
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def context(self) -> ssl.SSLContext | None:
        """Give the TLS context, as soon as it is there; None where it could not be made."""
        self._context_ready.wait()
        return self._context

    def take(self, host: str, port: int, timeout: float | None) -> socket.socket | None:
        """Give the connection, once, when it goes to that host and port and could be made."""
        if (host, port) != (self.host, self.port):
            return None
        self._thread.join(timeout)
        taken, self._socket = self._socket, None
        return taken


def preconnect(url: str) -> Preconnection | None:
    """Begin to connect to the host of a URL; None where a proxy of the environment may stand between."""
    if any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXY_VARIABLES):
        return None
    return Preconnection(url)


def trusted_context() -> ssl.SSLContext:
    """Make the TLS context that the client's own HTTP library would make: `SSL_CERT_FILE`, `SSL_CERT_DIR`, system."""
    if file := os.environ.get("SSL_CERT_FILE"):
        return ssl.create_default_context(cafile=file)
    if directory := os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context(capath=directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    paths = ssl.get_default_verify_paths()
    context.load_verify_locations(
        paths.openssl_cafile if os.path.isfile(paths.openssl_cafile) else None,
        paths.openssl_capath if os.path.isdir(paths.openssl_capath) else None,
    )
    return context


def use(http_client: Any, ready: Preconnection) -> None:
    """Let a client of the HTTP library take a ready connection for its first one."""
    from httpcore2._backends.sync import SyncBackend, SyncStream

    class ReadyStream(SyncStream):
        def start_tls(self, ssl_context: Any, server_hostname: Any = None, timeout: Any = None) -> Any:
            if isinstance(self._sock, ssl.SSLSocket):
                return self
            return super().start_tls(ssl_context, server_hostname, timeout)

    class ReadyBackend(SyncBackend):
        def connect_tcp(self, host: str, port: int, timeout: Any = None, *rest: Any, **more: Any) -> Any:
            taken = ready.take(host, port, timeout)
            return super().connect_tcp(host, port, timeout, *rest, **more) if taken is None else ReadyStream(taken)

    pool = http_client._transport._pool
    if not isinstance(pool._network_backend, SyncBackend):
        raise TypeError("the connection pool has another backend")
    pool._network_backend = ReadyBackend()
