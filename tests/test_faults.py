"""Faults of the network and of the kernel: each ends in one line and the exit code that says what to do next."""

from __future__ import annotations

import itertools
import json
import os
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.command import Orcli
from tests.openrouter import (
    CLOSE,
    RESET,
    Object,
    OpenRouter,
    Part,
    Pause,
    Reply,
    chunk,
    completion,
    error,
    error_in_200,
    raw,
    self_signed,
    stream,
    text_stream,
    verbatim,
)

HELLO = completion("Hello.")
WHOLE = HELLO.body


@pytest.mark.parametrize(
    ("reply", "code", "stdout", "stderr"),
    [
        pytest.param(
            verbatim(CLOSE),
            4,
            "",
            "orcli: cannot reach 127.0.0.1: Server disconnected without sending a response; "
            "check the network or try later\n",
            id="closed before the headers",
        ),
        pytest.param(
            verbatim(RESET),
            4,
            "",
            "orcli: cannot reach 127.0.0.1: Connection reset by peer; check the network or try later\n",
            id="reset before the headers",
        ),
        pytest.param(
            HELLO.with_(header_delay=Pause()),
            124,
            "",
            "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n",
            id="headers that never come",
        ),
        pytest.param(
            HELLO.with_(bytes_per_write=1, pause=Pause(seconds=1)),
            124,
            "",
            "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n",
            id="one byte a second",
        ),
        pytest.param(
            verbatim(b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n"),
            4,
            "",
            "orcli: cannot reach 127.0.0.1: bad Content-Length; check the network or try later\n",
            id="a length that is none",
        ),
        pytest.param(
            verbatim(b"SSH-2.0-OpenSSH_9.2\r\n"),
            4,
            "",
            "orcli: cannot reach 127.0.0.1: Server disconnected without sending a response; "
            "check the network or try later\n",
            id="another protocol",
        ),
    ],
)
def test_a_fault_of_the_server_is_one_line(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, code: int, stdout: str, stderr: str
) -> None:
    openrouter.reply(reply)

    result = orcli("ask", "--retries", "0", "--timeout", "2", "hi")

    assert (result.code, result.stdout, result.stderr) == (code, stdout, stderr)


@pytest.mark.parametrize("cut", ["close", "reset"])
@pytest.mark.parametrize("after", [*range(1, 12), len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_body_that_ends_anywhere_is_incomplete_and_never_asked_again(
    orcli: Orcli, openrouter: OpenRouter, after: int, cut: str
) -> None:
    openrouter.reply(HELLO.with_(cut_after=after, cut=cut))

    result = orcli("ask", "hi")

    assert (result.code, result.stdout) == (5, "")
    assert result.stderr.startswith("orcli: the answer broke off: the connection broke: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("gzip", [True, False])
@pytest.mark.parametrize("after", [30, 400, 700])
def test_a_stream_that_ends_anywhere_is_incomplete(
    orcli: Orcli, openrouter: OpenRouter, after: int, gzip: bool
) -> None:
    reply = stream(*text_stream("Hello", " there", ".")).with_(gzip=gzip)
    openrouter.reply(reply.with_(cut_after=min(after, 100) if gzip else after))

    result = orcli("stream", "--retries", "0", "hi")

    assert result.code in (4, 5)
    assert (result.code == 5) == bool(result.stdout)
    assert result.stderr.startswith("orcli: ")
    assert result.stderr.count("\n") == 1


BLANKS = b" " * (1 << 20)
TOO_LONG = "more than 128 MiB came, which is no answer; try another model"
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * (1 << 20)}"}}
NO_WORDS = "404: no message; check the model id and what it supports (orcli models)"
ERROR = f'{{"error":{{"code":"incomplete","message":"{TOO_LONG}"}}}}\n'


def endless(beginning: bytes = b"", status: int = 200) -> Reply:
    """Answer without end, compressed to a thousandth."""
    return raw(status).with_(parts=(beginning, itertools.repeat(BLANKS)), framing="chunked", gzip=True)


def endless_stream(*events: Part) -> Reply:
    """Answer with a stream without end, compressed as well."""
    return stream(*events, done=False).with_(gzip=True)


@pytest.mark.parametrize(
    ("command", "reply", "code", "stdout", "stderr"),
    [
        pytest.param("ask hi", endless(), 5, "", TOO_LONG, id="a body"),
        pytest.param("ask --json hi", endless(b"{"), 5, ERROR, TOO_LONG, id="a body under --json"),
        pytest.param("stream hi", endless(), 5, "", TOO_LONG, id="a body in place of a stream"),
        pytest.param(
            "stream hi", endless_stream(b"data: ", itertools.repeat(BLANKS)), 4, "", TOO_LONG, id="a line of a stream"
        ),
        pytest.param(
            "stream hi",
            endless_stream(chunk("Hel"), b"data: ", itertools.repeat(BLANKS)),
            5,
            "Hel\n",
            f"the answer broke off: {TOO_LONG}",
            id="a line after others",
        ),
        pytest.param(
            "stream hi",
            endless_stream(itertools.repeat(b"data: " + BLANKS + b"\n")),
            4,
            "",
            TOO_LONG,
            id="an event of lines without end",
        ),
        pytest.param("models --retries 0", endless(b"["), 4, "", TOO_LONG, id="a list of models"),
        pytest.param(
            "ask --retries 0 hi", endless(b"no ", status=500), 4, "", "500: no; try later", id="the words of an error"
        ),
        pytest.param("models --retries 0", endless(status=404), 2, "", NO_WORDS, id="an error without words"),
    ],
)
def test_what_comes_without_end_is_not_taken_in(
    orcli: Orcli, openrouter: OpenRouter, command: str, reply: Reply, code: int, stdout: str, stderr: str
) -> None:
    openrouter.reply(reply)

    result = orcli.shell(f"ulimit -v 2000000; orcli {command}")

    assert (result.code, result.stdout, result.stderr) == (code, stdout, f"orcli: {stderr}\n")


@pytest.mark.parametrize("command", ["ask hi", "batch"])
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(error(400, "sk-" * 40_000_000), id="plain"),
        pytest.param(error(400, "y" * 250_000_000).with_(gzip=True), id="compressed"),
        pytest.param(error_in_200(400, "sk-" * 40_000_000), id="inside a 200"),
        pytest.param(error_in_200(400, metadata={"raw": ["sk-" * 999] * 40_000}), id="inside a 200, in many pieces"),
    ],
)
def test_an_error_of_many_words_is_one_line_at_once(
    orcli: Orcli, openrouter: OpenRouter, command: str, reply: Reply
) -> None:
    openrouter.reply(reply)

    result = orcli.shell(f"ulimit -v 2000000; orcli {command} --timeout 20", stdin='"hi"\n')

    assert result.code == (9 if command == "batch" else 2)
    assert (len(result.stderr) < 700, len(result.stdout) < 100_000) == (True, True)


@pytest.mark.parametrize(
    ("options", "event", "written"),
    [
        pytest.param("-c talk", chunk("x" * (1 << 20)), 128 * (1 << 20) + 1, id="text"),
        pytest.param("--schema {}", chunk(delta={"reasoning": "x" * (1 << 20)}), 0, id="reasoning"),
        pytest.param("-x", chunk(delta={"images": [PICTURE]}), 0, id="pictures"),
    ],
)
def test_a_stream_that_is_kept_has_an_end(
    orcli: Orcli, openrouter: OpenRouter, options: str, event: Object, written: int
) -> None:
    openrouter.reply(endless_stream(itertools.repeat(event)))

    result = orcli.shell(f"ulimit -v 2000000; orcli stream {options} hi | wc -c")

    assert (result.code, result.stdout) == (4 if options == "--schema {}" else 5, f"{written}\n")
    assert result.stderr.endswith(f"{TOO_LONG}\n")


def test_an_answer_without_end_befalls_one_line_of_a_batch(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(endless(), HELLO)

    result = orcli.shell("ulimit -v 2000000; orcli batch -j 1", stdin='"a"\n"b"\n')

    errors = [json.loads(line)["error"] for line in result.stdout.splitlines()]
    assert errors == [{"code": "incomplete", "message": TOO_LONG}, None]
    assert result.code == 9


def certificate(directory: Path, address: str, days: int) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for an address that is valid for so many days from now, and a context that shows it."""
    key, file = directory / "other-key.pem", directory / "other.pem"
    subject = ["-subj", "/CN=x", "-addext", f"subjectAltName=IP:{address}"]
    making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*making, "-keyout", key, "-out", file], check=True, capture_output=True)
    again: list[str | Path] = ["openssl", "x509", "-in", file, "-signkey", key, "-days", str(days), "-out", file]
    subprocess.run(again, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context, file


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        pytest.param("unknown", "self-signed certificate", id="unknown authority"),
        pytest.param(
            "wrong host",
            "IP address mismatch, certificate is not valid for '127.0.0.1'",
            id="another host's",
        ),
        pytest.param("expired", "certificate has expired", id="expired"),
    ],
)
@pytest.mark.parametrize("command", ["ask", "batch"])
def test_a_certificate_that_is_not_trusted_gets_no_request(
    orcli: Orcli, tmp_path: Path, kind: str, reason: str, command: str
) -> None:
    if kind == "wrong host":
        context, trusted = certificate(tmp_path, "127.0.0.9", 2)
    elif kind == "expired":
        context, trusted = certificate(tmp_path, "127.0.0.1", -1)
    else:
        context, trusted = self_signed(tmp_path)
    environment = {} if kind == "unknown" else {"SSL_CERT_FILE": str(trusted)}
    with OpenRouter(tls=context) as server:
        result = orcli(command, "--retries", "1", stdin='"hi"', env={"API_BASE_URL": server.base_url, **environment})

        message = (
            f"cannot reach 127.0.0.1: certificate not trusted: {reason}; "
            "check the clock, the CA file or a proxy that reads along"
        )
        assert server.requests == []
    if command == "ask":
        assert (result.code, result.stdout, result.stderr) == (4, "", f"orcli: {message}\n")
    else:
        assert result.code == 9
        assert message in result.stdout


@pytest.mark.parametrize("command", ["ask", "stream", "batch", "models"])
def test_a_name_that_is_unknown_is_unavailable(orcli: Orcli, command: str) -> None:
    result = orcli(command, "--retries", "0", stdin='"hi"', env={"API_BASE_URL": "https://no-such-host.invalid/api/v1"})

    assert result.code == (9 if command == "batch" else 4)
    assert "cannot reach no-such-host.invalid: " in (result.stdout if command == "batch" else result.stderr)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["ask", "stream", "batch", "models"])
def test_a_proxy_that_refuses_is_an_account_error(orcli: Orcli, openrouter: OpenRouter, command: str) -> None:
    proxy = f"http://127.0.0.1:{openrouter.port}"

    result = orcli(
        command,
        "--retries",
        "0",
        stdin='"hi"',
        env={"API_BASE_URL": "https://api.example/v1", "HTTPS_PROXY": proxy},
    )

    stderr = "orcli: the proxy refuses: 404 Not Found; check HTTPS_PROXY and NO_PROXY\n"
    assert (result.code, result.stderr) == (3, stderr)
    assert [request.method for request in openrouter.requests] == ["CONNECT"]


@pytest.mark.parametrize(
    "closed", [set(some) for size in range(4) for some in itertools.combinations((0, 1, 2), size)], ids=str
)
@pytest.mark.parametrize("command", ["ask", "stream", "batch", "models"])
def test_closed_descriptors_lose_no_answer_and_hang_nothing(
    orcli: Orcli, openrouter: OpenRouter, closed: set[int], command: str
) -> None:
    openrouter.default = stream(*text_stream("Hello", ".")) if command == "stream" else HELLO
    closings = " ".join(f"{'<' if number == 0 else str(number) + '>'}&-" for number in sorted(closed))
    words = {"ask": "ask hi", "stream": "stream hi", "batch": "batch", "models": "models no-such"}[command]

    result = orcli.shell(f"orcli {words} {closings}", timeout=20)

    assert result.code == (1 if 1 in closed else 0)
    if 1 in closed:
        assert (result.stdout, openrouter.requests) == ("", [])
    elif command in ("ask", "stream"):
        assert result.stdout == "Hello.\n"
    assert result.stderr.count("\n") <= 1


@pytest.mark.parametrize("command", ["ask hi", "stream hi", "batch --lines hi", "models"])
def test_sixteen_descriptors_are_enough(orcli: Orcli, openrouter: OpenRouter, command: str) -> None:
    openrouter.default = stream(*text_stream("Hello", ".")) if command.startswith("stream") else HELLO

    result = orcli.shell(f"ulimit -n 16; orcli {command}", stdin="a line\n")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout


@pytest.mark.parametrize(
    ("limit", "options", "code", "stderr"),
    [
        pytest.param("-Sn 40", "-j 60", 0, "", id="as many as may be are allowed"),
        pytest.param("-n 40", "", 0, "", id="as many as are allowed by default"),
        pytest.param("-n 20", "", 0, "", id="fewer by default"),
        pytest.param(
            "-n 40",
            "-j 60",
            2,
            "orcli: --jobs 60 takes more open files than the limit of 40; give fewer, or raise it\n",
            id="no more than are allowed",
        ),
    ],
)
def test_a_batch_has_a_descriptor_for_each_request_at_once(
    orcli: Orcli, openrouter: OpenRouter, limit: str, options: str, code: int, stderr: str
) -> None:
    openrouter.default = HELLO.with_(delay=Pause(seconds=0.2))

    result = orcli.shell(f"ulimit {limit}; orcli batch {options} --lines hi", stdin="a line\n" * 100)

    assert (result.code, result.stderr) == (code, stderr)
    assert len(result.stdout.splitlines()) == (0 if code else 100)


@pytest.mark.parametrize(
    ("limit", "command", "lack"),
    [
        pytest.param(
            "-n 7", "ask -n -m local/smollm2 hi", "Too many open files", id="descriptors", marks=pytest.mark.local
        ),
        pytest.param("-v 300000", "ask hi", "out of memory", id="memory"),
    ],
)
def test_what_the_machine_lacks_is_no_bug(
    orcli: Orcli, openrouter: OpenRouter, limit: str, command: str, lack: str
) -> None:
    result = orcli.shell(f"ulimit {limit}; yes | orcli {command}")

    assert (result.code, result.stdout, result.stderr) == (1, "", f"orcli: {lack}; see ulimit -a\n")
    assert openrouter.requests == []


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"HOME": None}, id="no HOME"),
        pytest.param({"HOME": "/nowhere/at/all"}, id="a HOME that is not there"),
        pytest.param({"HOME": "/proc"}, id="a HOME that cannot be written"),
        pytest.param({"HOME": "relative"}, id="a HOME that is no path"),
        pytest.param({"TMPDIR": "/nowhere"}, id="no TMPDIR"),
        pytest.param({"PATH": None}, id="no PATH"),
        pytest.param({"LANG": None, "LC_ALL": "nonsense"}, id="no such locale"),
        pytest.param({"COLUMNS": "0", "TERM": None}, id="no terminal"),
    ],
)
@pytest.mark.parametrize("command", [["ask", "hi"], ["batch", "--lines", "hi"], ["models"]], ids=lambda words: words[0])
def test_an_odd_environment_changes_nothing(
    orcli: Orcli, openrouter: OpenRouter, environment: dict[str, str | None], command: list[str]
) -> None:
    openrouter.default = HELLO

    result = orcli(*command, stdin="a line\n", env=environment)

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout


def test_a_home_that_is_not_there_is_not_made(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("models", env={"HOME": str(orcli.work / "nobody")})

    assert (result.code, result.stderr) == (0, "")
    assert not (orcli.work / "nobody").exists()


def test_a_working_directory_that_is_gone_changes_nothing(orcli: Orcli, openrouter: OpenRouter) -> None:
    os.mkdir(orcli.work / "gone")

    result = orcli.shell("cd gone && rmdir ../gone && orcli ask hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")


def test_a_file_that_may_grow_no_further_loses_no_line(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = HELLO

    requests = '"a"\n' * 50

    full = orcli.shell("ulimit -f 4; orcli batch -j 1 -o out", stdin=requests)
    lines = (orcli.work / "out").read_bytes().splitlines(keepends=True)
    again = orcli("batch", "-j", "4", "-o", "out", stdin=requests)

    assert full.code == 1
    assert full.stderr == "orcli: cannot append to out: File too large; run it again when it can be\n"
    assert lines
    assert all(line.endswith(b"}\n") for line in lines)
    assert (again.code, again.stderr) == (0, "")
    assert len((orcli.work / "out").read_bytes().splitlines()) == 50


NO_LOCKS = """
import errno, fcntl, os

def flock(descriptor, how, before=fcntl.flock):
    if os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")) != "kept" or how & fcntl.LOCK_UN:
        return before(descriptor, how)
    if how & KINDS:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

fcntl.flock = flock
"""
"""A file system without locks, for the kinds of lock that are put in the place of KINDS."""


@pytest.mark.parametrize(
    ("command", "kinds", "code", "stdout", "stderr"),
    [
        pytest.param(
            "ask -c kept hi",
            "fcntl.LOCK_SH",
            2,
            "",
            "cannot lock kept: No locks available; keep it on another file system",
            id="conversation",
        ),
        pytest.param(
            "ask -c kept hi",
            "fcntl.LOCK_EX",
            1,
            "Hello.\n",
            "cannot append to kept: No locks available; the answer is not in it",
            id="conversation, at its end",
        ),
        pytest.param(
            "batch --lines hi -o kept",
            "fcntl.LOCK_EX",
            2,
            "",
            "cannot lock kept: No locks available; give another -o, on another file system",
            id="results",
        ),
    ],
)
def test_a_file_system_without_locks_is_told_of(
    orcli: Orcli, openrouter: OpenRouter, command: str, kinds: str, code: int, stdout: str, stderr: str
) -> None:
    openrouter.default = HELLO
    path = orcli.file("startup/sitecustomize.py", NO_LOCKS.replace("KINDS", kinds))

    result = orcli(*command.split(), stdin="a line\n", env={"PYTHONPATH": str(path.parent)})

    assert (result.code, result.stdout, result.stderr) == (code, stdout, f"orcli: {stderr}\n")
