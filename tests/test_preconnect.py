"""The connection that is made while modules load: used once, only for a request, and never needed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Orcli
from tests.openrouter import OpenRouter, error, self_signed


@pytest.fixture
def secure(orcli: Orcli, tmp_path: Path) -> Iterator[OpenRouter]:
    """Run an OpenRouter with TLS that orcli is told to trust."""
    context, certificate = self_signed(tmp_path)
    with OpenRouter(tls=context) as server:
        orcli.env.update(API_BASE_URL=server.base_url, SSL_CERT_FILE=str(certificate))
        yield server


@pytest.fixture
def unused() -> Iterator[tuple[str, list[socket.socket]]]:
    """Listen where nobody should come; gives the base URL and the connections that came."""
    came: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                came.append(listener.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", came
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)
    for connection in came:
        connection.close()


@pytest.mark.parametrize("eager", ["0", "1"])
def test_a_request_over_tls_uses_the_one_ready_connection(orcli: Orcli, secure: OpenRouter, eager: str) -> None:
    result = orcli("ask", "hi", env={"ORCLI_EAGER": eager})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert (secure.connections, len(secure.requests)) == (1, 1)


def test_a_request_without_tls_uses_the_one_ready_connection(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("ask", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert (openrouter.connections, len(openrouter.requests)) == (1, 1)


def test_a_retry_after_the_server_closed_connects_anew(orcli: Orcli, secure: OpenRouter) -> None:
    secure.reply(error(503, headers={"Retry-After": "0.01"}).with_(headers={"Connection": "close"}))

    result = orcli("ask", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert (secure.connections, len(secure.requests)) == (2, 2)


@pytest.mark.parametrize(
    "breakage",
    [
        pytest.param(
            "def use(client, ready):\n    raise AttributeError('_pool')\norcli.client.use = use\n", id="refused"
        ),
        pytest.param("orcli.preconnect.Preconnection.take = lambda *_: None\n", id="not made"),
        pytest.param("orcli.preconnect.Preconnection.context = lambda self: None\n", id="no context"),
    ],
)
def test_without_it_the_client_connects_by_itself(
    orcli: Orcli, secure: OpenRouter, tmp_path: Path, breakage: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import orcli.client\nimport orcli.preconnect\n{breakage}")

    result = orcli("ask", "hi", env={"PYTHONPATH": str(tmp_path)})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert len(secure.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["ask", "--dry-run", "hi"], 0, id="dry run"),
        pytest.param(["ask", "--help"], 0, id="help"),
        pytest.param(["ask", "--typo", "hi"], 2, id="usage error"),
        pytest.param(["ask", "hi", "missing.txt"], 2, id="bad input"),
        pytest.param(["ask", "--schema", "{", "hi"], 2, id="bad schema"),
    ],
)
def test_nobody_is_connected_to_without_a_request(
    orcli: Orcli, unused: tuple[str, list[socket.socket]], arguments: list[str], code: int
) -> None:
    base_url, came = unused

    result = orcli(*arguments, env={"API_BASE_URL": base_url})

    assert result.code == code
    assert came == []


def test_nobody_is_connected_to_past_a_proxy(
    orcli: Orcli, openrouter: OpenRouter, unused: tuple[str, list[socket.socket]]
) -> None:
    base_url, came = unused
    openrouter.reply(error(402, "from the proxy"))

    result = orcli("ask", "hi", env={"API_BASE_URL": base_url, "HTTP_PROXY": f"http://127.0.0.1:{openrouter.port}"})

    assert (result.code, result.stderr) == (3, "orcli: 402: from the proxy; add credits, or lower --max-tokens\n")
    assert came == []


def test_a_certificate_that_is_not_trusted_is_refused_all_the_same(orcli: Orcli, secure: OpenRouter) -> None:
    result = orcli("ask", "hi", env={"SSL_CERT_FILE": None})

    assert (result.code, result.stdout) == (4, "")
    assert result.stderr == (
        "orcli: cannot reach 127.0.0.1: certificate not trusted: self-signed certificate; "
        "check the clock, the CA file or a proxy that reads along\n"
    )
    assert secure.requests == []
