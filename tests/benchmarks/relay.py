"""A relay on loopback that holds every byte back for half a round trip, each way: a distant server close at hand."""

from __future__ import annotations

import heapq
import selectors
import socket
import threading
import time
from types import TracebackType


class Relay:
    """Listens on a port and passes bytes to and from another, each `seconds` / 2 late."""

    def __init__(self, port: int, seconds: float) -> None:
        self._target = port
        self._delay = seconds / 2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        due: list[tuple[float, int, socket.socket, bytes]] = []
        number = 0
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                wait = due[0][0] - time.monotonic() if due else 0.05
                for key, _ in selector.select(max(wait, 0)):
                    if key.fileobj is self._listener:
                        near, far = self._listener.accept()[0], socket.create_connection(("127.0.0.1", self._target))
                        for one, other in ((near, far), (far, near)):
                            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                            selector.register(one, selectors.EVENT_READ, other)
                        continue
                    assert isinstance(key.fileobj, socket.socket)
                    data = _receive(key.fileobj)
                    number += 1
                    heapq.heappush(due, (time.monotonic() + self._delay, number, key.data, data))
                    if not data:
                        selector.unregister(key.fileobj)
                while due and due[0][0] <= time.monotonic():
                    _, _, target, data = heapq.heappop(due)
                    _pass_on(target, data)


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 16)
    except OSError:
        return b""


def _pass_on(target: socket.socket, data: bytes) -> None:
    try:
        if data:
            target.sendall(data)
        else:
            target.shutdown(socket.SHUT_WR)
    except OSError:
        return
