"""Where settings come from, which of them wins, where a key may go, and what of the environment reaches the wire."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orcli.config import VARIABLES, Endpoint, Setting, endpoint, endpoint_warnings, load_settings
from orcli.errors import AccountError, ExitCode
from tests.command import Changes, Orcli
from tests.openrouter import CHAT_PATH, OpenRouter, error, raw, self_signed

KEY = "sk-or-v1-0123456789abcdef"
OTHER_KEY = "sk-or-v1-fedcba9876543210"
DEFAULT = "https://openrouter.ai/api/v1"
SOURCES = ("--env-file", "environment", "found .env", "user's .env")


class Layers:
    """The four places that settings come from, in the order of their precedence; `environ` is the environment."""

    def __init__(self, directory: Path) -> None:
        self.work = directory / "work"
        self.named, self.found, self.user = (directory / "named", self.work / ".env", directory / "orcli" / ".env")
        self.work.mkdir()
        self.user.parent.mkdir()
        self.environ = {"XDG_CONFIG_HOME": str(directory), "HOME": str(directory / "nowhere")}

    def give(self, source: str, variable: str, value: str) -> None:
        """Set a variable in one of the places."""
        if source == "environment":
            self.environ[variable] = value
            return
        path = {"--env-file": self.named, "found .env": self.found, "user's .env": self.user}[source]
        with path.open("a") as file:
            file.write(f"{variable}={value}\n")

    def load(self) -> dict[str, Setting]:
        """Collect what is set."""
        return load_settings(self.environ, str(self.named) if self.named.exists() else None)


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layers:
    """Make the four places, all empty, with the working directory among them."""
    made = Layers(tmp_path)
    monkeypatch.chdir(made.work)
    return made


# Precedence.


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("first", range(len(SOURCES)), ids=SOURCES)
def test_a_variable_comes_from_the_first_place_that_has_a_value(layers: Layers, variable: str, first: int) -> None:
    for place, source in enumerate(SOURCES):
        layers.give(source, variable, "" if place < first else f"from-{place}")

    passed_over = variable == "ORCLI_LOG" and SOURCES[first] == "found .env"
    assert layers.load()[variable].value == (f"from-{first + 1}" if passed_over else f"from-{first}")


@pytest.mark.parametrize("source", SOURCES)
def test_each_variable_is_looked_for_on_its_own(layers: Layers, source: str) -> None:
    others = [other for other in SOURCES if other != source]
    layers.give(source, "ORCLI_RETRIES", "7")
    for other, variable in zip(others, ("ORCLI_MODEL", "ORCLI_TIMEOUT", "ORCLI_IDLE_TIMEOUT"), strict=True):
        layers.give(other, variable, f"{other}'s")

    assert {name: setting.value for name, setting in layers.load().items()} == {
        "ORCLI_RETRIES": "7",
        "ORCLI_MODEL": f"{others[0]}'s",
        "ORCLI_TIMEOUT": f"{others[1]}'s",
        "ORCLI_IDLE_TIMEOUT": f"{others[2]}'s",
    }


@pytest.mark.parametrize("source", SOURCES)
def test_only_the_names_of_orcli_are_read(layers: Layers, source: str) -> None:
    for name in ("HTTPS_PROXY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "SSL_CERT_FILE", "orcli_model", "ORCLI_KEY"):
        layers.give(source, name, "x")

    assert layers.load() == {}


USER_FILES = [
    pytest.param({"XDG_CONFIG_HOME": "/xdg", "HOME": "/home"}, "/xdg", id="XDG_CONFIG_HOME"),
    pytest.param({"XDG_CONFIG_HOME": "", "HOME": "/home"}, "/home/.config", id="XDG_CONFIG_HOME empty"),
    pytest.param({"XDG_CONFIG_HOME": "xdg", "HOME": "/home"}, "/home/.config", id="XDG_CONFIG_HOME relative"),
    pytest.param({"HOME": "/home"}, "/home/.config", id="HOME"),
]


@pytest.mark.parametrize(("environ", "base"), USER_FILES)
def test_the_users_own_file_is_where_xdg_says(
    layers: Layers, tmp_path: Path, environ: dict[str, str], base: str
) -> None:
    for place in ("xdg", "home/.config", "work/xdg"):
        file = tmp_path / place / "orcli" / ".env"
        file.parent.mkdir(parents=True)
        file.write_text(f"ORCLI_MODEL={file}\n")
    moved = {name: value.replace("/", f"{tmp_path}/", 1) for name, value in environ.items()}

    assert load_settings(moved, None)["ORCLI_MODEL"].value == f"{tmp_path}{base}/orcli/.env"


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative", "XDG_CONFIG_HOME": "relative"}])
def test_without_a_home_there_is_no_users_file(layers: Layers, environ: dict[str, str]) -> None:
    assert load_settings(environ, None) == {}


MODELS = [
    pytest.param(["-m", "flag"], "flag", id="flag"),
    pytest.param(["--env-file", "named"], "named", id="--env-file"),
    pytest.param([], "environment", id="environment"),
]


@pytest.mark.parametrize(("arguments", "expected"), MODELS)
def test_the_run_uses_the_value_that_wins(orcli: Orcli, arguments: list[str], expected: str) -> None:
    orcli.file("named", "ORCLI_MODEL=named\n")
    orcli.file(".env", "ORCLI_MODEL=found\n")

    result = orcli("ask", "--dry-run", *arguments, "hi", env={"ORCLI_MODEL": "environment"})

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith(f'{{"model":"{expected}",')


FOUND = [
    pytest.param({"deep/er/.env": "here", "deep/.env": "parent"}, "here", id="working directory"),
    pytest.param({"deep/.env": "parent", ".env": "grandparent"}, "parent", id="nearest parent"),
    pytest.param({".env": "grandparent"}, "grandparent", id="farther parent"),
    pytest.param({"deep/er/.env": "", ".env": "grandparent"}, "user", id="only the nearest, though empty"),
    pytest.param({}, "user", id="none"),
]


@pytest.mark.parametrize(("files", "expected"), FOUND)
def test_the_nearest_env_file_counts_then_the_users_own(orcli: Orcli, files: dict[str, str], expected: str) -> None:
    (orcli.work / "deep" / "er").mkdir(parents=True)
    orcli.file("../home/.config/orcli/.env", "ORCLI_MODEL=user\n")
    for name, value in files.items():
        orcli.file(name, f"ORCLI_MODEL={value}\n")

    result = orcli("ask", "--dry-run", "hi", cwd=orcli.work / "deep" / "er")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith(f'{{"model":"{expected}",')


def test_a_log_is_written_where_a_named_file_says_and_never_where_a_found_one_does(orcli: Orcli) -> None:
    orcli.file(".env", "ORCLI_LOG=found.log\n")
    orcli.file("named", "ORCLI_LOG=named.log\n")

    assert orcli("ask", "hi").code == 0
    assert orcli("ask", "--env-file", "named", "hi").code == 0

    assert not (orcli.work / "found.log").exists()
    assert (orcli.work / "named.log").read_text().count("\n") == 1


def test_a_run_in_a_directory_that_is_gone_needs_no_env_file(orcli: Orcli) -> None:
    result = orcli.shell('mkdir gone && cd gone && rmdir "$PWD" && orcli ask hi')

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")


# What a `.env` may look like.

PARSED = [
    pytest.param(b"ORCLI_MODEL=a/b\nORCLI_RETRIES=1\n", {"ORCLI_MODEL": "a/b", "ORCLI_RETRIES": "1"}, id="plain"),
    pytest.param(b"\xef\xbb\xbfORCLI_MODEL=a/b\n", {"ORCLI_MODEL": "a/b"}, id="BOM"),
    pytest.param(b"ORCLI_MODEL=a/b\r\nORCLI_RETRIES=1\r\n", {"ORCLI_MODEL": "a/b", "ORCLI_RETRIES": "1"}, id="CRLF"),
    pytest.param(b"ORCLI_MODEL=a/b", {"ORCLI_MODEL": "a/b"}, id="no last newline"),
    pytest.param(b"export ORCLI_MODEL = 'a b' # c\n", {"ORCLI_MODEL": "a b"}, id="as a shell has it"),
    pytest.param(b'ORCLI_MODEL="a\\nb"\n', {"ORCLI_MODEL": "a\nb"}, id="escape"),
    pytest.param(b"X=1\nORCLI_MODEL=${X}$X${HOME}\n", {"ORCLI_MODEL": "${X}$X${HOME}"}, id="nothing is expanded"),
    pytest.param(b"ORCLI_MODEL\nORCLI_RETRIES=\nORCLI_TIMEOUT=''\n", {}, id="no values"),
    pytest.param(b"ORCLI_MODEL=a\nORCLI_MODEL=b\n", {"ORCLI_MODEL": "b"}, id="twice"),
    pytest.param("ORCLI_MODEL=größer\n".encode(), {"ORCLI_MODEL": "größer"}, id="UTF-8"),
    pytest.param(b"\n# c\n\n  \nFOO=bar\n", {}, id="other names"),
    pytest.param(b"", {}, id="empty"),
]


@pytest.mark.parametrize(("content", "expected"), PARSED)
def test_an_env_file_is_read_as_it_is_written(layers: Layers, content: bytes, expected: dict[str, str]) -> None:
    layers.found.write_bytes(content)

    loaded = layers.load()

    assert {name: setting.value for name, setting in loaded.items()} == expected
    assert {(setting.source, setting.found) for setting in loaded.values()} <= {(str(layers.found), True)}


BROKEN = [
    pytest.param(b"X=1\n\nORCLI_MODEL='a\nY=2\n", "cannot parse {}, line 3", id="open quote"),
    pytest.param(b"= x\n", "cannot parse {}, line 1", id="no name"),
    pytest.param(b"X=1\r\nA B=c\r\n", "cannot parse {}, line 2", id="two words"),
    pytest.param(b"X=caf\xe9\n", "cannot read {}: not UTF-8 at offset 5", id="Latin-1"),
    pytest.param("X=1\n".encode("utf-16"), "cannot read {}: not UTF-8 at offset 0", id="UTF-16"),
]


@pytest.mark.parametrize(("content", "line"), BROKEN)
def test_an_env_file_that_is_found_must_parse(layers: Layers, content: bytes, line: str) -> None:
    layers.found.write_bytes(content)

    with pytest.raises(AccountError) as caught:
        layers.load()

    assert caught.value.message == line.format(layers.found) + "; mend it or move it away"


def test_an_env_file_that_does_not_parse_is_one_line_and_nothing_is_sent(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file(".env", f"OPENROUTER_API_KEY='{KEY}\n")

    result = orcli("ask", "hi")

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr == f"orcli: cannot parse {path}, line 1; mend it or move it away\n"
    assert openrouter.connections == 0


@pytest.mark.parametrize("kind", ["directory", "fifo", "dangling link", "link to itself", "device"])
def test_a_found_env_that_is_no_file_is_passed_over(orcli: Orcli, kind: str) -> None:
    orcli.file(".env", "ORCLI_MODEL=parent\n")
    path = orcli.work / "deep" / ".env"
    path.parent.mkdir()
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to({"dangling link": "nowhere", "link to itself": ".env", "device": "/dev/zero"}[kind])

    result = orcli("ask", "--dry-run", "hi", cwd=path.parent, timeout=10)

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith('{"model":"parent",')


def test_a_found_env_that_cannot_be_read_is_one_line(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.work / ".env"
    path.symlink_to("/proc/self/mem")

    result = orcli("ask", "hi")

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr == f"orcli: cannot read {path}: Input/output error; mend it or move it away\n"
    assert openrouter.connections == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none", "No such file or directory"), (".", "Is a directory"), ("a/b", "Not a directory")],
)
def test_a_named_env_file_must_be_readable(orcli: Orcli, name: str, reason: str) -> None:
    orcli.file("a", "")

    result = orcli("ask", "--dry-run", "--env-file", name, "hi")

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr == f"orcli: cannot read {name}: {reason}; mend it or move it away\n"


def test_a_named_env_file_can_be_a_pipe_so_that_a_key_need_not_lie_on_disk(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    result = orcli.shell(f"orcli ask --env-file <(echo OPENROUTER_API_KEY={KEY}) hi", env={"OPENROUTER_API_KEY": None})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert openrouter.requests[0].headers["authorization"] == f"Bearer {KEY}"


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=80) | st.text(alphabet="ORCLI_MODEL=\n'\"\\#$ \r\tx", max_size=60).map(str.encode))
def test_any_bytes_in_an_env_file_are_settings_or_one_failure(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.env"
    path.write_bytes(content)

    try:
        loaded = load_settings({}, str(path))
    except AccountError as failure:
        loaded = {}
        reason = failure.message
    else:
        reason = ""

    assert set(loaded) <= set(VARIABLES)
    assert all(setting.value for setting in loaded.values())
    assert reason.startswith("cannot ") or not reason


# Where a key may go.

REFUSED = {("found .env", other) for other in SOURCES if other != "found .env"}


@pytest.mark.parametrize("key_source", SOURCES)
@pytest.mark.parametrize("base_source", SOURCES)
@pytest.mark.parametrize("base", ["http://127.0.0.1:9/v1", "https://evil.test/v1", "https://openrouter.ai.evil.test"])
def test_a_base_url_that_was_found_is_used_only_with_a_key_from_the_same_file(
    layers: Layers, base: str, base_source: str, key_source: str
) -> None:
    layers.give(base_source, "API_BASE_URL", base)
    layers.give(key_source, "OPENROUTER_API_KEY", KEY)
    loaded = layers.load()

    if (base_source, key_source) in REFUSED:
        with pytest.raises(AccountError) as caught:
            endpoint(loaded)
        assert caught.value.message == (
            f"API_BASE_URL of {layers.found} is not trusted with a key from elsewhere; "
            "set API_BASE_URL in the environment to allow it"
        )
    else:
        assert endpoint(loaded) == Endpoint(base, KEY)


@pytest.mark.parametrize("key_source", SOURCES)
@pytest.mark.parametrize("base", [DEFAULT, "https://OpenRouter.AI:443/api/v2"])
def test_openrouter_itself_in_a_found_env_is_harmless(layers: Layers, base: str, key_source: str) -> None:
    layers.give("found .env", "API_BASE_URL", base)
    layers.give(key_source, "OPENROUTER_API_KEY", KEY)

    assert endpoint(layers.load()) == Endpoint(base, KEY)
    assert endpoint_warnings(layers.load()) == []


@pytest.mark.parametrize("base", ["http://openrouter.ai/api/v1", "https://openrouter.ai:8443/api/v1"])
def test_openrouter_by_another_door_is_not_openrouter(layers: Layers, base: str) -> None:
    layers.give("found .env", "API_BASE_URL", base)
    layers.give("environment", "OPENROUTER_API_KEY", KEY)

    with pytest.raises(AccountError):
        endpoint(layers.load())


PIECES = ["https://", "http://", "//", "openrouter.ai", "evil.test", "@", ":", "\\", "/", "?", "#", ".", "%40", "443"]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([*PIECES, "[", "]", "::1", ";", "。", "／", "＠", "xn--", "1.2.3.4"]), max_size=7))
@example(["https://", "openrouter.ai", "\\", "@", "evil.test"])
@example(["https://", "openrouter.ai", "@", "evil.test"])
def test_however_a_url_is_written_a_found_one_leads_a_foreign_key_only_to_openrouter(pieces: list[str]) -> None:
    import httpx2

    url = "".join(pieces)
    given = {"API_BASE_URL": Setting(url, "/x/.env", found=True), "OPENROUTER_API_KEY": Setting(KEY, "the environment")}

    try:
        allowed: Endpoint | None = endpoint(given)
    except AccountError:
        allowed = None

    if allowed is not None:
        parsed = httpx2.URL(allowed.base_url)
        assert (parsed.scheme, parsed.host, parsed.port) == ("https", "openrouter.ai", None)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([*PIECES, "[", "]", "::1", "v1.x", "1.2.3.4", "999", "a" * 64, "ö"]), max_size=6))
@example(["http://", "1.2.3.999"])
@example(["http://", "[", "v1.x", "]"])
def test_a_base_url_that_passes_is_one_that_the_client_can_read(pieces: list[str]) -> None:
    import httpx2

    url = "".join(pieces)

    try:
        passed = endpoint({"API_BASE_URL": Setting(url, "x"), "OPENROUTER_API_KEY": Setting(KEY, "x")})
    except AccountError:
        return

    assert httpx2.URL(passed.base_url).host


MALFORMED = "; it looks like https://openrouter.ai/api/v1"
BASE_URLS = [
    ("openrouter.ai/api/v1", "is no http or https URL"),
    ("ftp://openrouter.ai", "is no http or https URL"),
    ("file:///etc/passwd", "is no http or https URL"),
    ("https://", "names no host"),
    ("https:///api/v1", "names no host"),
    ("https://openrouter.ai:0/api/v1", "names no host"),
    ("https://openrouter.ai:99999", "is no URL (Port out of range 0-65535)"),
    ("https://[::1", "is no URL (Invalid IPv6 URL)"),
    ("https://openrouter.ai/api v1", "holds white space or control characters"),
    ("https://openrouter.ai/\n", "holds white space or control characters"),
    ("\ufeffhttps://openrouter.ai", "holds white space or control characters"),
    ("https://user@openrouter.ai", "must not hold a user, a query or a fragment"),
    ("https://openrouter.ai?x=1", "must not hold a user, a query or a fragment"),
    ("https://openrouter.ai#x", "must not hold a user, a query or a fragment"),
]


@pytest.mark.parametrize(("url", "fault"), BASE_URLS)
def test_a_malformed_base_url_says_what_is_wrong_with_it(url: str, fault: str) -> None:
    with pytest.raises(AccountError) as caught:
        endpoint({"API_BASE_URL": Setting(url, "the environment"), "OPENROUTER_API_KEY": Setting(KEY, "x")})

    assert caught.value.message == f"API_BASE_URL of the environment {fault}{MALFORMED}"


@pytest.mark.parametrize("host", ["1.2.3.999", "[v1.x]", "a..b", "a" * 64, "."])
def test_a_base_url_whose_host_cannot_be_one_is_malformed(orcli: Orcli, host: str) -> None:
    result = orcli("ask", "--retries", "0", "hi", env={"API_BASE_URL": f"https://{host}/v1"})

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr.startswith("orcli: API_BASE_URL of the environment ")
    assert result.stderr.endswith(f"{MALFORMED}\n")


KEYS = [
    (f"{KEY}\n", "holds a newline"),
    (f"{KEY}\r", "holds a newline"),
    (f"{KEY}\nX-Evil: 1", "holds a newline"),
    (f" {KEY}", "holds white space"),
    (f"Bearer\t{KEY}", "holds white space"),
    (f"{KEY}\u00a0", "holds white space"),
    (f"{KEY}ö", "holds a character that no key has"),
    (f"“{KEY}”", "holds a character that no key has"),
    (f"\ufeff{KEY}", "holds a character that no key has"),
    (f"{KEY}\x7f", "holds a character that no key has"),
    (f"{KEY}\udcff", "holds a character that no key has"),
]


@pytest.mark.parametrize(("key", "fault"), KEYS, ids=ascii)
def test_a_malformed_key_says_what_is_wrong_with_it_and_is_not_shown(key: str, fault: str) -> None:
    with pytest.raises(AccountError) as caught:
        endpoint({"OPENROUTER_API_KEY": Setting(key, "the environment")})

    assert caught.value.message == f"OPENROUTER_API_KEY of the environment {fault}; set it again"


@pytest.mark.parametrize(
    ("env", "line"),
    [
        (
            {"OPENROUTER_API_KEY": f"{KEY}\n"},
            "OPENROUTER_API_KEY of the environment holds a newline; set it again",
        ),
        (
            {"OPENROUTER_API_KEY": ""},
            "no key: OPENROUTER_API_KEY is not set; get one at https://openrouter.ai/keys",
        ),
        (
            {"OPENROUTER_API_KEY": None, "OPENAI_API_KEY": OTHER_KEY},
            "no key: OPENROUTER_API_KEY is not set; get one at https://openrouter.ai/keys",
        ),
        (
            {"API_BASE_URL": "openrouter.ai"},
            f"API_BASE_URL of the environment is no http or https URL{MALFORMED}",
        ),
    ],
)
def test_without_a_usable_key_and_url_nothing_is_sent(
    orcli: Orcli, openrouter: OpenRouter, env: Changes, line: str
) -> None:
    result = orcli("ask", "hi", env=env)

    assert (result.code, result.stdout, result.stderr) == (3, "", f"orcli: {line}\n")
    assert openrouter.connections == 0


def test_a_checkout_cannot_collect_the_users_key(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file(".env", f"API_BASE_URL={openrouter.base_url}\n")

    result = orcli("ask", "--json", "hi", env={"API_BASE_URL": None})

    line = (
        f"API_BASE_URL of {path} is not trusted with a key from elsewhere; "
        "set API_BASE_URL in the environment to allow it"
    )
    assert (result.code, result.stderr) == (3, f"orcli: {line}\n")
    assert result.stdout == f'{{"error":{{"code":"account","message":"{line}"}}}}\n'
    assert openrouter.connections == 0


def test_a_checkout_with_its_own_key_is_used_and_named(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file(".env", f"API_BASE_URL={openrouter.base_url}\nOPENROUTER_API_KEY={OTHER_KEY}\n")

    result = orcli("ask", "hi", env={"API_BASE_URL": None, "OPENROUTER_API_KEY": None})

    assert (result.code, result.stdout) == (0, "Hello.\n")
    assert result.stderr == f"orcli: warning: requests go to 127.0.0.1, as {path} says\n"
    assert openrouter.requests[0].headers["authorization"] == f"Bearer {OTHER_KEY}"


def test_a_checkout_that_names_openrouter_itself_is_as_good_as_none(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(error(502, "Bad Gateway"))
    orcli.file(".env", f"API_BASE_URL={DEFAULT}\n")

    env = {"API_BASE_URL": None, "HTTPS_PROXY": f"http://127.0.0.1:{openrouter.port}"}
    result = orcli("ask", "--retries", "0", "hi", env=env)

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr == "orcli: the proxy refuses: 502 Bad Gateway; check HTTPS_PROXY and NO_PROXY\n"
    assert [(request.method, request.path) for request in openrouter.requests] == [("CONNECT", "openrouter.ai:443")]


LOOPBACK = ["127.0.0.1", "127.8.9.10", "localhost", "LocalHost", "[::1]"]
ELSEWHERE = ["10.0.0.1", "0.0.0.0", "[::2]", "example.test", "localhost.evil.test", "127.evil.test", "127.0.0.1.nip.io"]


@pytest.mark.parametrize("host", [*LOOPBACK, *ELSEWHERE])
def test_a_plain_http_url_that_leaves_the_machine_is_warned_of(host: str) -> None:
    plain, secure = (
        endpoint_warnings({"API_BASE_URL": Setting(f"{scheme}://{host}:80/v1", "the environment")})
        for scheme in ("http", "https")
    )

    name = host.strip("[]").lower()
    assert plain == ([] if host in LOOPBACK else [f"requests and the key go to {name} unencrypted; use https"])
    assert secure == []


# What reaches the wire.

HEADERS = {
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "http-referer",
    "user-agent",
    "x-openrouter-title",
}
OPENAI = {
    "OPENAI_API_KEY": OTHER_KEY,
    "OPENAI_ADMIN_KEY": OTHER_KEY,
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_ORG_ID": "org-stolen",
    "OPENAI_PROJECT_ID": "proj-stolen",
    "OPENAI_WEBHOOK_SECRET": "stolen",
    "OPENAI_CUSTOM_HEADERS": f"Authorization: Bearer {OTHER_KEY}\nX-Stolen: stolen",
    "OPENAI_LOG": "debug",
}


def test_a_request_has_exactly_these_headers_whatever_openai_variables_say(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    orcli.file("../home/.netrc", f"machine 127.0.0.1 login stolen password {OTHER_KEY}\n")
    orcli.file(".env", "".join(f"{name}='{value}'\n" for name, value in OPENAI.items()))

    result = orcli("ask", "hi", env={**OPENAI, "OPENROUTER_API_KEY": KEY})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    request = openrouter.requests[0]
    assert sorted(name.lower() for name, _ in request.raw_headers) == sorted(HEADERS)
    assert (request.method, request.path) == ("POST", CHAT_PATH)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-openrouter-title"] == "orcli"
    assert re.fullmatch(r"orcli/\d+\.\d+\.\d+", request.headers["user-agent"])
    assert not [value for _, value in request.raw_headers if "stolen" in value or OTHER_KEY in value]


def test_a_request_runs_no_program_to_find_out_about_the_machine(orcli: Orcli, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "uname").write_text(f"#!/bin/sh\necho run > {tmp_path / 'was-run'}\n")
    (programs / "uname").chmod(0o755)

    result = orcli("ask", "hi", env={"PATH": f"{programs}{os.pathsep}{orcli.env['PATH']}"})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/"])
def test_a_slash_at_the_end_of_the_base_url_makes_no_difference(
    orcli: Orcli, openrouter: OpenRouter, path: str
) -> None:
    assert orcli("ask", "hi", env={"API_BASE_URL": f"http://127.0.0.1:{openrouter.port}{path}"}).code == 0
    assert openrouter.requests[0].path == CHAT_PATH


@pytest.mark.parametrize("status", [302, 308])
def test_a_redirect_takes_neither_the_prompt_nor_the_key_along(
    orcli: Orcli, openrouter: OpenRouter, status: int
) -> None:
    with OpenRouter() as elsewhere:
        target = f"{elsewhere.base_url}/chat/completions"
        openrouter.reply(raw(status, {"Location": target}))
        result = orcli("ask", "hi")

    assert (result.code, result.stdout) == (3, "")
    line = f"127.0.0.1 redirects to {target}, which is not followed; check API_BASE_URL"
    assert result.stderr == f"orcli: {line}\n"
    assert (len(openrouter.requests), elsewhere.connections) == (1, 0)


# Proxies.

UNENCRYPTED = "orcli: warning: requests and the key go to example.test unencrypted; use https\n"


@pytest.fixture
def closed() -> Iterator[str]:
    """Hold a port on which nobody listens; gives its URL."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unheard.getsockname()[1]}"


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "http_proxy", "HTTP_PROXY"])
def test_a_proxy_of_the_environment_gets_the_request(orcli: Orcli, openrouter: OpenRouter, variable: str) -> None:
    env = {"API_BASE_URL": "http://example.test/api/v1", variable: f"http://127.0.0.1:{openrouter.port}"}

    result = orcli("ask", "hi", env=env)

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", UNENCRYPTED)
    assert openrouter.requests[0].path == f"http://example.test{CHAT_PATH}"
    assert openrouter.requests[0].headers["host"] == "example.test"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_for_https_is_asked_for_a_tunnel_and_sees_no_key(
    orcli: Orcli, openrouter: OpenRouter, variable: str
) -> None:
    openrouter.reply(error(407, "Proxy Authentication Required"))
    env = {"API_BASE_URL": None, variable: f"http://me:hunter2@127.0.0.1:{openrouter.port}"}

    result = orcli("ask", "-v", "hi", env=env)

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr == (
        "orcli: the proxy refuses: 407 Proxy Authentication Required; check HTTPS_PROXY and NO_PROXY\n"
    )
    assert [(request.method, request.path) for request in openrouter.requests] == [("CONNECT", "openrouter.ai:443")]
    assert "authorization" not in openrouter.requests[0].headers


def test_a_proxy_that_wants_a_password_for_plain_http_is_an_account_failure(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    openrouter.reply(error(407, "Proxy Authentication Required"))
    env = {"API_BASE_URL": "http://example.test/api/v1", "ALL_PROXY": f"http://127.0.0.1:{openrouter.port}"}

    result = orcli("ask", "hi", env=env)

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"{UNENCRYPTED}orcli: 407: Proxy Authentication Required; ")
    assert result.stderr.count("\n") == 2


@pytest.mark.parametrize("exception", ["127.0.0.1", "*", "example.test,127.0.0.1"])
def test_no_proxy_goes_around_a_proxy(orcli: Orcli, openrouter: OpenRouter, closed: str, exception: str) -> None:
    result = orcli("ask", "--retries", "0", "hi", env={"ALL_PROXY": closed, "NO_PROXY": exception})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert openrouter.requests[0].path == CHAT_PATH


def test_a_proxy_or_a_ca_file_in_an_env_file_has_no_effect(orcli: Orcli, openrouter: OpenRouter, closed: str) -> None:
    names = ("ALL_PROXY", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "SSL_CERT_FILE", "OPENAI_BASE_URL", "ORCLI_X")
    lines = "".join(f"{name}={closed}\n" for name in names)
    orcli.file(".env", lines)
    orcli.file("named", lines)

    result = orcli("ask", "--env-file", "named", "--retries", "0", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert openrouter.requests[0].path == CHAT_PATH


PROXY = "cannot use the proxy or CA file of the environment: "
CHECK_PROXY = "; check HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"


@pytest.mark.parametrize(
    ("env", "line"),
    [
        (
            {"HTTPS_PROXY": "ftp://me:hunter2@proxy.test"},
            f"{PROXY}Unknown scheme for proxy URL URL('ftp://me:[secure]@proxy.test'){CHECK_PROXY}",
        ),
        (
            {"HTTPS_PROXY": "http://proxy.test:port"},
            f"{PROXY}the port of https_proxy is no number{CHECK_PROXY}",
        ),
        (
            {"HTTPS_PROXY": "http://me:hun/ter2@proxy.test:3128"},
            f"{PROXY}the port of https_proxy is no number{CHECK_PROXY}",
        ),
        (
            {"ALL_PROXY": "socks5://127.0.0.1:9"},
            "a SOCKS proxy needs one more package; pip install socksio",
        ),
        ({"SSL_CERT_FILE": "/none/ca.pem"}, f"{PROXY}No such file or directory{CHECK_PROXY}"),
        ({"SSL_CERT_FILE": "/etc/passwd"}, f"{PROXY}TLS failed: NO_CERTIFICATE_OR_CRL_FOUND{CHECK_PROXY}"),
    ],
)
def test_a_proxy_or_ca_file_that_cannot_be_used_is_an_account_failure(orcli: Orcli, env: Changes, line: str) -> None:
    result = orcli("ask", "--retries", "0", "hi", env={"API_BASE_URL": None, **env})

    assert (result.code, result.stdout, result.stderr) == (3, "", f"orcli: {line}\n")


@pytest.mark.parametrize("rest", ["☃.test", "ｏpenrouter.ai", "example.test/" + "a" * 70_000], ids=["☃", "ｏ", "long"])
def test_a_base_url_that_only_the_client_cannot_read_is_an_account_failure(orcli: Orcli, rest: str) -> None:
    base_url = f"http://{rest}"
    orcli.file("in", '"hi"\n')

    for command in (["ask", "hi"], ["batch", "in"], ["models"]):
        result = orcli(*command, "-q", env={"API_BASE_URL": base_url})

        assert (result.code, result.stdout) == (3, "")
        assert re.fullmatch(r"orcli: API_BASE_URL is no URL \(.*\); it looks like .*/api/v1\n", result.stderr)


@pytest.mark.parametrize("proxy", ["http://", "http://[", "http://me:hunter2@", "http://a b:3128"])
def test_a_proxy_without_a_host_is_an_account_failure(orcli: Orcli, proxy: str) -> None:
    result = orcli("ask", "--retries", "0", "hi", env={"API_BASE_URL": None, "HTTPS_PROXY": proxy})

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr.startswith("orcli: cannot use the proxy")
    assert "hunter2" not in result.stderr
    assert result.stderr.count("\n") == 1


# TLS.


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Make one certificate for all the servers here."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(orcli: Orcli, identity: tuple[ssl.SSLContext, Path]) -> Iterator[tuple[OpenRouter, Path]]:
    """Run an OpenRouter with TLS, orcli's base URL; gives it and the certificate that orcli has to trust."""
    context, certificate = identity
    with OpenRouter(tls=context) as server:
        orcli.env["API_BASE_URL"] = server.base_url
        yield server, certificate


def test_the_ca_file_of_the_environment_is_trusted(orcli: Orcli, secure: tuple[OpenRouter, Path]) -> None:
    server, certificate = secure

    result = orcli("ask", "hi", env={"SSL_CERT_FILE": str(certificate)})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert [request.path for request in server.requests] == [CHAT_PATH]


UNTRUSTED = "certificate not trusted: {}; check the clock, the CA file or a proxy that reads along\n"


@pytest.mark.parametrize("env", [{}, {"SSL_CERT_FILE": ""}], ids=str)
def test_an_unknown_ca_is_one_line_and_no_second_try(
    orcli: Orcli, secure: tuple[OpenRouter, Path], env: Changes
) -> None:
    result = orcli("ask", "-v", "hi", env=env)

    assert (result.code, result.stdout) == (4, "")
    assert result.stderr == f"orcli: cannot reach 127.0.0.1: {UNTRUSTED.format('self-signed certificate')}"
    assert secure[0].requests == []


def test_a_certificate_for_another_name_is_not_trusted(orcli: Orcli, secure: tuple[OpenRouter, Path]) -> None:
    server, certificate = secure
    base_url = server.base_url.replace("127.0.0.1", "localhost")

    result = orcli("ask", "hi", env={"API_BASE_URL": base_url, "SSL_CERT_FILE": str(certificate)})

    mismatch = "Hostname mismatch, certificate is not valid for 'localhost'"
    assert (result.code, result.stdout) == (4, "")
    assert result.stderr == f"orcli: cannot reach localhost: {UNTRUSTED.format(mismatch)}"
    assert server.requests == []


def test_https_to_a_server_without_tls_is_one_line(orcli: Orcli, openrouter: OpenRouter) -> None:
    env = {"API_BASE_URL": openrouter.base_url.replace("http:", "https:")}

    result = orcli("ask", "--retries", "0", "hi", env=env)

    assert (result.code, result.stdout) == (ExitCode.UNAVAILABLE, "")
    assert re.fullmatch(
        r"orcli: cannot reach 127\.0\.0\.1: TLS failed: [A-Z_]+; check the network or try later\n", result.stderr
    )
