"""What must not get out: the key in any output, and what a terminal would act on."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from pathlib import Path

import pytest

from orcli.config import Endpoint, Setting, child_environment
from orcli.errors import UsageError, one_line, redact
from orcli.report import Log, Report
from tests import samples
from tests.command import Orcli
from tests.commands import COMMANDS, write_inputs
from tests.openrouter import (
    OpenRouter,
    Reply,
    Request,
    chunk,
    completion,
    error,
    error_body,
    model,
    stream,
    text_stream,
    tool_call,
)

KEY = "sk-or-v1-0123456789abcdef"
OTHER_KEY = "gateway-key-0123456789"
"""One that its form does not tell."""
USER = "user_2abcdefgh"
HOSTILE = "a\u009b31m\u202eb\x7f"
"""A control sequence introducer of one character, a bidirectional override, a delete."""


@pytest.fixture(autouse=True)
def files(orcli: Orcli) -> None:
    """Write what the commands read."""
    write_inputs(orcli)


@pytest.mark.parametrize("more", [[], ["-v"], ["--json"]], ids=["plain", "verbose", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_repeats_the_key_does_not_get_it_printed(
    orcli: Orcli, openrouter: OpenRouter, command: str, more: list[str]
) -> None:
    def repeat(request: Request) -> Reply:
        words = f"bad header {request.headers['authorization']}"
        return error(400, words, metadata={"raw": words, "keys": [KEY]}, user_id=USER)

    openrouter.reply(repeat)

    result = orcli(*COMMANDS[command], *more, env={"OPENROUTER_API_KEY": KEY})

    assert result.code == (9 if command == "batch" else 2)
    for text in (result.stdout, result.stderr):
        assert KEY not in text
        assert USER not in text
    assert "bad header" in result.stdout + result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_key_is_in_no_process_list_and_no_log(orcli: Orcli, openrouter: OpenRouter, command: str) -> None:
    seen: list[bytes] = []

    def look(request: Request) -> Reply:
        seen.extend(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if readable(path))
        return completion("Hello.")

    openrouter.reply(look if command not in ("stream", "models") else stream(*text_stream("Hello")))
    log = [] if command == "models" else ["--log", "log"]

    result = orcli(*COMMANDS[command], *log, env={"OPENROUTER_API_KEY": KEY})

    assert KEY.encode() not in b"".join(seen)
    assert KEY not in result.stdout + result.stderr
    if log:
        assert KEY not in (orcli.work / "log").read_text()


@pytest.mark.parametrize("kind", ["--exec", "directory"])
def test_a_tool_is_told_no_key_by_whatever_name(orcli: Orcli, openrouter: OpenRouter, kind: str) -> None:
    script = orcli.file("tools/f", "#!/bin/sh\ncat /proc/self/environ /proc/self/cmdline | tr '\\0' '\\n'\n")
    script.chmod(0o755)
    orcli.file("tools/f.json", json.dumps({"type": "function", "function": {"name": "f"}}))
    tools = ["tools"] if kind == "directory" else ["tools.json", "--exec", "f=tools/f"]
    openrouter.reply(completion(None, message={"tool_calls": [tool_call("call_1", "f", "{}")]}), completion("Done."))
    names = {"MY_KEY": KEY, "HEADER": f"Authorization: Bearer {KEY}", "OTHER_API_KEY": "another", "KEPT": "kept"}

    result = orcli("tool", "--tools", *tools, "hi", env={"OPENROUTER_API_KEY": KEY, **names})

    told = openrouter.requests[1].json["messages"][-1]["content"]
    assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
    assert "KEPT=kept\n" in told
    assert [word for word in (KEY, "another", "_API_KEY") if word in told] == []


def test_a_child_gets_the_environment_without_a_key_by_its_name_or_its_value() -> None:
    names = {"OPENROUTER_API_KEY": "1", "X_API_KEY": "2", "_API_KEY": "3", "API_KEY_FILE": "f", "PATH": "/bin"}
    key = {"OPENROUTER_API_KEY": Setting(KEY, "/x/.env")}
    short = {"OPENROUTER_API_KEY": Setting("none", "/x/.env")}

    assert child_environment(names, {}) == {"API_KEY_FILE": "f", "PATH": "/bin"}
    assert child_environment({"A": KEY, "B": f"x{KEY}x", "C": KEY[:-1]}, key) == {"C": KEY[:-1]}
    assert child_environment({"A": "none"}, short) == {"A": "none"}


EVERYTHING = {
    "ask": ["-c", "conversation", "--log", "log", "-v", "--json"],
    "stream": ["-c", "conversation", "--log", "log", "-v"],
    "tool": ["-c", "conversation", "--log", "log", "-v", "--json", "--stream"],
    "vision": ["-c", "conversation", "--log", "log", "-v", "--save", "images"],
    "batch": ["-o", "results", "--log", "log", "-v"],
    "models": ["-v", "--json"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_key_is_in_nothing_that_a_run_prints_or_writes(orcli: Orcli, openrouter: OpenRouter, command: str) -> None:
    calls = {"tool_calls": [tool_call("call_1", "f", "{}")]}
    images = {
        "images": [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64encode(samples.PNG).decode()}"}}
        ]
    }
    if command == "stream":
        openrouter.default = stream(*text_stream("Hello", "."))
    elif command == "tool":
        openrouter.reply(stream(chunk("", delta=calls), *text_stream(finish_reason="tool_calls")))
        openrouter.default = stream(*text_stream("Hello", "."))
    elif command == "vision":
        openrouter.default = completion("Hello.", message=images)

    dry = [] if command == "models" else [orcli(*COMMANDS[command], "--dry-run", env={"OPENROUTER_API_KEY": KEY})]
    results = [*dry, orcli(*COMMANDS[command], *EVERYTHING[command], env={"OPENROUTER_API_KEY": KEY})]

    assert [result.code for result in results] == [0] * len(results)
    assert openrouter.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    written = [path for path in orcli.home.parent.rglob("*") if path.is_file()]
    expected = [name for name in EVERYTHING[command] if not name.startswith("-")]
    assert {path.relative_to(orcli.work).parts[0] for path in written if orcli.work in path.parents} >= {*expected}
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert [result for result in results if KEY in result.stdout + result.stderr] == []


def test_a_log_has_no_key_that_a_server_gives_as_its_own_name(orcli: Orcli, openrouter: OpenRouter) -> None:
    named = completion("Hello.", model=f"maker/{OTHER_KEY}", provider=OTHER_KEY, top={"id": OTHER_KEY})
    openrouter.reply(named, named)

    for command in ("ask", "batch"):
        result = orcli(*COMMANDS[command], "-v", "--log", "log", env={"OPENROUTER_API_KEY": OTHER_KEY})
        assert (result.code, OTHER_KEY in result.stderr) == (0, False)

    lines = [json.loads(line) for line in (orcli.work / "log").read_text().splitlines()]
    assert [(line["model"], line["provider"], line["id"]) for line in lines] == [
        ("maker/[redacted]", "[redacted]", "[redacted]")
    ] * 2


# What a server says of the account, in whatever form.

HASH = "0123456789abcdef" * 4
FORMS = [
    pytest.param(f"bad key {KEY}", "bad key sk-[redacted]", id="whole"),
    pytest.param("bad key sk-or-v1-0123456…", "bad key sk-[redacted]", id="its beginning"),
    pytest.param("bad key sk-or-v1-012...def, sk-or-v1-...def", "bad key sk-[redacted], sk-[redacted]", id="its ends"),
    pytest.param("sk-proj-********abcd and sk-1••••cd", "sk-[redacted] and sk-[redacted]", id="starred"),
    pytest.param(f"?key%3D{KEY}&x", "?key%3Dsk-[redacted]&x", id="in a URL"),
    pytest.param("{'k':'sk-ant-api03-AbCdEfGh_-1'}", "{'k':'sk-[redacted]'}", id="of another service"),
    pytest.param(f"Authorization: bearer {OTHER_KEY}", "Authorization: Bearer [redacted]", id="in a header"),
    pytest.param(f"limit of key {HASH}.", "limit of key [redacted].", id="its hash"),
    pytest.param("no such user_2abCDefGHij.", "no such user_[redacted].", id="user id"),
]
PLAIN = [
    "the task-management endpoint of risk-assessment-service, disk-encryption-v2",
    "sk-learn-extra is at sk-SK.UTF-8 ... sk-",
    f"{HASH}.png and {HASH[:40]}",
    "user_message is no message of role user_content",
    "missing bearer authorization header",
]


@pytest.mark.parametrize(("words", "shown"), FORMS)
def test_what_identifies_the_account_is_taken_out_of_words(words: str, shown: str) -> None:
    assert redact(words) == shown
    assert one_line(words) == shown


@pytest.mark.parametrize("words", PLAIN)
def test_words_that_only_look_alike_stand(words: str) -> None:
    assert redact(words) == words
    assert one_line(words) == words


@pytest.mark.parametrize("piece", ["sk-", "sk-a", "sk-or-v1", "sk-or-v1*", "user_a", "bearer ", "bearer a", "a1", "*"])
def test_a_megabyte_of_beginnings_is_searched_in_no_time_squared(piece: str) -> None:
    began = time.process_time()
    redact(piece * (1_000_000 // len(piece)))

    assert time.process_time() - began < 10


@pytest.mark.parametrize("more", [["-v"], ["--json"]], ids=["verbose", "json"])
@pytest.mark.parametrize("command", ["ask", "stream", "batch"])
@pytest.mark.parametrize("after", ["", "Hel"], ids=["in place of an answer", "after content"])
def test_an_error_in_a_200_tells_nothing_of_the_account(
    orcli: Orcli, openrouter: OpenRouter, command: str, after: str, more: list[str]
) -> None:
    words = f"bad key {KEY} of {HASH} and {USER}"
    body = error_body(400, words, metadata={"raw": json.dumps({"message": words}), "user_id": USER}, user_id=USER)
    if command == "stream":
        openrouter.reply(stream(chunk(after), chunk("", finish_reason="error", top=body)))
    else:
        openrouter.reply(completion(after, finish_reason="error", top=body, choice={"error": body["error"]}))

    result = orcli(*COMMANDS[command], *more, env={"OPENROUTER_API_KEY": KEY})

    assert result.code == (9 if command == "batch" else 5 if after else 2)
    shown = result.stdout + result.stderr
    assert [secret for secret in (KEY, HASH, USER) if secret in shown] == []
    assert "bad key sk-[redacted] of [redacted] and user_[redacted]" in shown
    assert after in result.stdout


# Failures that nobody thought of.


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_an_internal_error_shows_neither_the_key_nor_a_traceback(orcli: Orcli, more: list[str]) -> None:
    orcli.file("broken/jsonschema_rs.py", "import os\nraise RuntimeError('no ' + os.environ['OPENROUTER_API_KEY'])\n")
    traced = {
        "TYPER_STANDARD_TRACEBACK": "1",
        "_TYPER_STANDARD_TRACEBACK": "1",
        "TYPER_USE_RICH": "1",
        "FORCE_COLOR": "1",
        "PYTHONFAULTHANDLER": "1",
        "PYTHONDEVMODE": "1",
    }

    result = orcli(
        *("ask", *more, "--schema", "{}", "hi"),
        env={**traced, "PYTHONPATH": str(orcli.work / "broken"), "OPENROUTER_API_KEY": OTHER_KEY},
    )

    assert result.code == 1
    place = orcli.work / "broken" / "jsonschema_rs.py"
    words = f"internal error: RuntimeError: no [redacted] at {place}:2; please report it"
    assert result.stderr == f"orcli: {words}\n"
    assert result.stdout == (f'{{"error":{{"code":"failed","message":"{words}"}}}}\n' if more else "")


def test_no_value_that_a_debugger_prints_shows_the_key() -> None:
    setting = Setting(KEY, "the environment")
    report = Report(secret=KEY)
    failure = UsageError(f"bad {KEY}", error={"message": KEY})
    other = RuntimeError(f"bad {KEY}", 1)

    report.hide(failure)
    report.hide(other)

    assert (failure.message, failure.error, str(other)) == (
        "bad [redacted]",
        {"message": "[redacted]"},
        "('bad [redacted]', 1)",
    )
    values = [setting, Endpoint("https://openrouter.ai", KEY), report, Log("log", 1, KEY), failure, failure.args, other]
    assert [value for value in values if KEY in repr(value)] == []


def readable(path: Path) -> bool:
    """Tell whether a process is still there."""
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def acted_on(screen: str) -> list[str]:
    """Give those of the hostile characters that a terminal was sent."""
    return [character for character in f"\x1b\x07{HOSTILE}" if not character.isprintable() and character in screen]


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_that_a_terminal_acts_on_reaches_it_raw(
    orcli: Orcli, openrouter: OpenRouter, command: str, more: list[str]
) -> None:
    openrouter.models = [model(f"maker/{HOSTILE}", name=HOSTILE)]
    if command == "stream":
        openrouter.default = stream(*text_stream(HOSTILE, "."))
    else:
        openrouter.default = completion(HOSTILE)

    result = orcli.terminal(*COMMANDS[command], *more, "-q").finish()

    assert result.code == 0
    assert "b" in result.terminal
    assert acted_on(result.terminal) == []


@pytest.mark.parametrize("command", ["ask", "batch", "models"])
def test_an_error_s_words_reach_a_terminal_without_what_it_acts_on(
    orcli: Orcli, openrouter: OpenRouter, command: str
) -> None:
    openrouter.reply(error(400, f"\x1b]0;title\x07{HOSTILE}"))

    result = orcli.terminal(*COMMANDS[command], "-q").finish()

    assert "title" in result.terminal
    assert acted_on(result.terminal) == []
