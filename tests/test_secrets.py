"""What must not get out: the key in any output, and what a terminal would act on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orcli.config import Setting, child_environment
from tests import samples
from tests.command import Orcli
from tests.openrouter import OpenRouter, Reply, Request, completion, error, model, stream, text_stream, tool_call

KEY = "sk-or-v1-0123456789abcdef"
COMMANDS = {
    "ask": ["ask", "hi"],
    "stream": ["stream", "hi"],
    "tool": ["tool", "--tools", "tools.json", "--exec", "f=env", "hi"],
    "vision": ["vision", "hi", "a.png"],
    "batch": ["batch", "in"],
    "models": ["models"],
}
HOSTILE = "a\u009b31m\u202eb\x7f"
"""A control sequence introducer of one character, a bidirectional override, a delete."""


@pytest.fixture(autouse=True)
def files(orcli: Orcli) -> None:
    """Write what the commands read."""
    orcli.file("tools.json", json.dumps([{"type": "function", "function": {"name": "f", "parameters": {}}}]))
    orcli.file("a.png", samples.PNG)
    orcli.file("in", '"a"\n')


@pytest.mark.parametrize("more", [[], ["-v"], ["--json"]], ids=["plain", "verbose", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_repeats_the_key_does_not_get_it_printed(
    orcli: Orcli, openrouter: OpenRouter, command: str, more: list[str]
) -> None:
    def repeat(request: Request) -> Reply:
        words = f"bad header {request.headers['authorization']}"
        return error(400, words, metadata={"raw": words, "keys": [KEY]}, user_id="user_2abcdefgh")

    openrouter.reply(repeat)

    result = orcli(*COMMANDS[command], *more, env={"OPENROUTER_API_KEY": KEY})

    assert result.code == (9 if command == "batch" else 2)
    for text in (result.stdout, result.stderr):
        assert KEY not in text
        assert "user_2abcdefgh" not in text
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
