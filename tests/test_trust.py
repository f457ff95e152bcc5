"""Where the key goes and where it does not: by who said so, by how the address is written, by who redirects."""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orcli.config import Endpoint, Setting, endpoint, endpoint_warnings
from orcli.errors import AccountError
from tests.command import Changes, Orcli
from tests.commands import COMMANDS, write_inputs
from tests.openrouter import OpenRouter, raw, self_signed

KEY = "sk-or-v1-0123456789abcdef"
PLACES = ("named", "environment", "found", "own", "none")
"""Where a setting stands: `--env-file`, the environment, a `.env` that was found, the user's own, nowhere."""
NO_KEY = "orcli: no key: OPENROUTER_API_KEY is not set; get one at https://openrouter.ai/keys\n"


@pytest.fixture(autouse=True)
def files(orcli: Orcli) -> None:
    """Write what the commands read."""
    write_inputs(orcli)


# By who said so.


def give(orcli: Orcli, place: str, variable: str, value: str, env: dict[str, str | None]) -> None:
    """Set a variable in one place."""
    if place == "environment":
        env[variable] = value
    elif place != "none":
        name = {"named": "named", "found": ".env", "own": "../home/.config/orcli/.env"}[place]
        path = orcli.work / name
        orcli.file(name, f"{path.read_text() if path.exists() else ''}{variable}={value}\n")


@pytest.mark.parametrize("key_place", PLACES)
@pytest.mark.parametrize("base_place", PLACES)
def test_the_key_goes_only_where_its_owner_sent_it(
    orcli: Orcli, openrouter: OpenRouter, base_place: str, key_place: str
) -> None:
    """Where no base URL is given the way is to openrouter.ai, of which a proxy is asked for a tunnel."""
    env: dict[str, str | None] = {"API_BASE_URL": None, "OPENROUTER_API_KEY": None}
    give(orcli, base_place, "API_BASE_URL", openrouter.base_url, env)
    give(orcli, key_place, "OPENROUTER_API_KEY", KEY, env)
    if base_place == "none":
        env["HTTPS_PROXY"] = f"http://127.0.0.1:{openrouter.port}"
    options = ["--env-file", "named"] if "named" in (base_place, key_place) else []

    result = orcli("ask", *options, "hi", env=env)

    found = orcli.work / ".env"
    if base_place == "found" and key_place != "found":
        refusal = f"orcli: API_BASE_URL of {found} is not trusted with a key from elsewhere; "
        expected = (3, "", f"{refusal}set API_BASE_URL in the environment to allow it\n")
    elif key_place == "none":
        expected = (3, "", NO_KEY)
    elif base_place == "none":
        expected = (3, "", "orcli: the proxy refuses: 404 Not Found; check HTTPS_PROXY and NO_PROXY\n")
    else:
        warning = f"orcli: warning: requests go to 127.0.0.1, as {found} says\n" if base_place == "found" else ""
        expected = (0, "Hello.\n", warning)
    assert (result.code, result.stdout, result.stderr) == expected
    seen = [(request.path, request.headers.get("authorization")) for request in openrouter.requests]
    if expected[0] == 0:
        assert seen == [("/api/v1/chat/completions", f"Bearer {KEY}")]
    else:
        assert seen == ([("openrouter.ai:443", None)] if "proxy" in expected[2] else [])
        assert openrouter.connections == len(seen)


# By how the address is written.

BRACKETS = "is no URL" if sys.version_info >= (3, 11, 4) else "names no host"
"""What is wrong with a name in brackets; Python looks into them since 3.11.4."""
ADDRESSES = [
    pytest.param("https://openrouter.ai@evil.test/api/v1", "must not hold a user", id="user"),
    pytest.param("https://openrouter.ai:443@evil.test", "must not hold a user", id="user and password"),
    pytest.param("https://evil.test\\@openrouter.ai", "must not hold a user", id="backslash before @"),
    pytest.param("https://openrouter.ai\\.evil.test", "names no host", id="backslash"),
    pytest.param("https:\\\\openrouter.ai", "names no host", id="backslashes"),
    pytest.param("https://openrouter.ai%2eevil.test", "names no host", id="escaped dot"),
    pytest.param("https://openrouter.ai%00.evil.test", "names no host", id="escaped NUL"),
    pytest.param("https://openrouter.ai/\tapi", "holds white space", id="tab"),
    pytest.param("https://openrouter.ai/\nHost: evil.test", "holds white space", id="newline"),
    pytest.param("https://openrouter.ai /", "holds white space", id="space"),
    pytest.param("https://openrouter.ai\0.evil.test", "holds white space", id="NUL"),
    pytest.param("\x01https://openrouter.ai", "holds white space", id="control before it"),
    pytest.param("https://open\u00adrouter.ai", "holds white space", id="soft hyphen"),
    pytest.param("https://openrouter.ai\u200b", "holds white space", id="zero width"),
    pytest.param("https://127.1", "names no host", id="short IPv4"),
    pytest.param("https://0x7f.1", "names no host", id="hexadecimal IPv4"),
    pytest.param("https://2130706433", "names no host", id="IPv4 as one number"),
    pytest.param("https://0177.0.0.1", "names no host", id="octal IPv4"),
    pytest.param("https://[openrouter.ai]", BRACKETS, id="name in brackets"),
    pytest.param("https://openrouter.ai.", None, id="dot at the end"),
    pytest.param("https://openrouter.ai:8443", None, id="other port"),
    pytest.param("http://openrouter.ai", None, id="unencrypted"),
    pytest.param("https://openrouter.ai.evil.test", None, id="longer name"),
    pytest.param("https://xopenrouter.ai", None, id="other beginning"),
    pytest.param("https://api.openrouter.ai", None, id="name below"),
    pytest.param("https://оpenrouter.ai", None, id="Cyrillic o"),
    pytest.param("https://xn--penrouter-7fg.ai", None, id="Cyrillic o in ASCII"),
    pytest.param("https://openrouter。ai", None, id="ideographic full stop"),
    pytest.param("https://[::1]/api/v1", None, id="IPv6"),
    pytest.param("https://127.0.0.1.evil.test", None, id="longer than loopback"),
    pytest.param("http://localhost", None, id="loopback"),
]


@pytest.mark.parametrize(("url", "fault"), ADDRESSES)
def test_an_address_that_is_not_openrouters_own_gets_no_key_from_a_found_env_and_says_why(
    url: str, fault: str | None
) -> None:
    key = Setting(KEY, "the environment")

    with pytest.raises(AccountError) as found:
        endpoint({"API_BASE_URL": Setting(url, "/x/.env", found=True), "OPENROUTER_API_KEY": key})
    assert f"API_BASE_URL of /x/.env {fault or 'is not trusted with a key from elsewhere'}" in found.value.message

    chosen = {"API_BASE_URL": Setting(url, "the environment"), "OPENROUTER_API_KEY": key}
    if fault is None:
        assert endpoint(chosen) == Endpoint(url, KEY)
    else:
        with pytest.raises(AccountError, match=f"^API_BASE_URL of the environment {fault}"):
            endpoint(chosen)


LOOPBACK = ["127.0.0.1", "127.255.0.1", "localhost", "a.localhost", "[::1]", "[0:0:0:0:0:0:0:1]"]
NOT_LOOPBACK = [
    "127.0.0.1.evil.test",
    "localhost.evil.test",
    "127-0-0-1.evil.test",
    "xlocalhost",
    "localhost.",
    "0x7f000001",
    "[::ffff:10.0.0.1]",
    "[fe80::1]",
    "128.0.0.1",
    "0.0.0.0",
]


@pytest.mark.parametrize("host", [*LOOPBACK, *NOT_LOOPBACK])
def test_only_what_stays_on_this_machine_is_unencrypted_without_a_warning(host: str) -> None:
    base = Setting(f"http://{host}:8080/v1", "the environment")
    assert endpoint({"API_BASE_URL": base, "OPENROUTER_API_KEY": Setting(KEY, "x")}).base_url == base.value

    shown = host.strip("[]")
    warning = f"requests and the key go to {shown} unencrypted; use https"
    assert endpoint_warnings({"API_BASE_URL": base}) == ([] if host in LOOPBACK else [warning])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_checkout_that_would_collect_the_key(
    orcli: Orcli, openrouter: OpenRouter, command: str
) -> None:
    path = orcli.file(".env", f"API_BASE_URL={openrouter.base_url}\n")

    result = orcli(*COMMANDS[command], "-v", env={"API_BASE_URL": None, "OPENROUTER_API_KEY": KEY})

    refusal = f"orcli: API_BASE_URL of {path} is not trusted with a key from elsewhere; "
    assert (result.code, result.stdout) == (3, "")
    assert f"{refusal}set API_BASE_URL in the environment to allow it\n" in result.stderr
    assert KEY not in result.stderr
    assert openrouter.connections == 0


# By who redirects.

STATUSES = (301, 302, 303, 307, 308)
REDIRECTED = [(command, STATUSES[(number + step) % 5]) for number, command in enumerate(COMMANDS) for step in (0, 2)]


@pytest.fixture
def elsewhere() -> Iterator[OpenRouter]:
    """Run another server, which is to hear nothing."""
    with OpenRouter() as server:
        yield server
    assert server.connections == 0


@pytest.mark.parametrize(("command", "status"), REDIRECTED)
def test_no_command_follows_a_redirect(
    orcli: Orcli, openrouter: OpenRouter, elsewhere: OpenRouter, command: str, status: int
) -> None:
    target = f"{elsewhere.base_url}/chat/completions"
    openrouter.reply(raw(status, {"Location": target}))

    result = orcli(*COMMANDS[command], env={"OPENROUTER_API_KEY": KEY})

    line = f"127.0.0.1 redirects to {target}, which is not followed; check API_BASE_URL"
    assert (result.code, result.stderr) == (3, f"orcli: {line}\n")
    if command == "batch":
        assert json.loads(result.stdout)["error"] == {"code": "account", "message": line}
    else:
        assert result.stdout == ""
    assert len(openrouter.requests) == 1


TARGETS = [
    pytest.param("/api/v2/chat/completions", "/api/v2/chat/completions", id="same host"),
    pytest.param("chat/completions", "chat/completions", id="relative"),
    pytest.param("//evil.test/x", "//evil.test/x", id="another host"),
    pytest.param(None, "elsewhere", id="nowhere"),
    pytest.param(f"https://u:{KEY}@evil.test/?k={KEY}", "https://u:sk-[redacted]@evil.test/?k=sk-[redacted]", id="key"),
    pytest.param("https://evil.test/\x1b]0;t\x07\x9b31m", "https://evil.test/ ]0;t 31m", id="escapes"),
    pytest.param("javascript:alert(1)", "javascript:alert(1)", id="no http"),
]


@pytest.mark.parametrize(("target", "shown"), TARGETS)
def test_wherever_a_redirect_leads_it_is_one_line(
    orcli: Orcli, openrouter: OpenRouter, target: str | None, shown: str
) -> None:
    openrouter.reply(raw(307, {} if target is None else {"Location": target}))

    result = orcli("ask", "--json", "hi", env={"OPENROUTER_API_KEY": KEY})

    line = f"127.0.0.1 redirects to {shown}, which is not followed; check API_BASE_URL"
    assert (result.code, result.stderr) == (3, f"orcli: {line}\n")
    assert json.loads(result.stdout) == {"error": {"code": "account", "message": line}}
    assert len(openrouter.requests) == 1


@pytest.mark.parametrize("command", ["ask", "stream", "batch", "models"])
def test_a_redirect_from_https_to_http_is_not_followed(
    orcli: Orcli, elsewhere: OpenRouter, identity: tuple[ssl.SSLContext, Path], command: str
) -> None:
    context, certificate = identity
    env: Changes = {"OPENROUTER_API_KEY": KEY, "SSL_CERT_FILE": str(certificate)}

    with OpenRouter(tls=context) as secure:
        secure.reply(raw(307, {"Location": f"{elsewhere.base_url}/chat/completions"}))
        result = orcli(*COMMANDS[command], env={**env, "API_BASE_URL": secure.base_url})

    assert (result.code, "redirects to http://127.0.0.1" in result.stderr) == (3, True)
    assert len(secure.requests) == 1


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Make one certificate for all the servers here."""
    return self_signed(tmp_path_factory.mktemp("tls"))
