"""What a terminal is shown of names and words that others chose: nothing that it would act on."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from orcli.errors import is_control
from tests import samples
from tests.command import Orcli
from tests.openrouter import (
    OpenRouter,
    Pause,
    completion,
    error,
    tool_call,
)

NAME = "a\x1b]0;t\x07\u202e\u009b31m\u2066\rb"
"""A title, a bidirectional override, a control sequence of one character, an isolate, a carriage return."""


def acted_on(screen: str) -> list[str]:
    """Give what of a screen a terminal acts on, but for the line ends, and what erases orcli's own line of a wait."""
    shown = screen.replace("\r\n", "\n").replace("\r\x1b[K", "")
    return [character for character in shown if is_control(character) and character not in "\n\t"]


@pytest.fixture(autouse=True)
def files(orcli: Orcli) -> None:
    """Write what the commands read, some of it under a hostile name."""
    function = {"type": "function", "function": {"name": "f", "parameters": {}}}
    orcli.file("tools.json", json.dumps([function]))
    orcli.file("a.png", samples.PNG)
    orcli.file("in", '"a"\n')
    orcli.file(f"{NAME}.bin", b"\0\1\2")
    orcli.file(f"{NAME}.txt", "text")
    orcli.file(f"{NAME}.json", "{")
    orcli.file(f"{NAME}.d/{NAME}.json", json.dumps(function))
    orcli.file(f"{NAME}.env", "X='")


TOOL = ["tool", "--tools", "tools.json"]
NAMED = {
    "a command": [NAME],
    "an option": ["ask", f"--{NAME}", "hi"],
    "a short option": ["ask", f"-{NAME}", "hi"],
    "FILE that is not there": ["ask", "hi", NAME],
    "FILE that is no text": ["ask", "hi", f"{NAME}.bin"],
    "PROMPT that is a file": ["ask", "--dry-run", f"{NAME}.txt"],
    "IMAGE": ["vision", "hi", f"{NAME}.txt"],
    "PROMPT that is an image": ["vision", f"{NAME}.txt"],
    "-c": ["ask", "-c", f"{NAME}/c", "hi"],
    "-c that is none": ["ask", "-c", f"{NAME}.json", "hi"],
    "--messages": ["ask", "--messages", f"{NAME}.json"],
    "--schema": ["ask", "--schema", f"{NAME}.json", "hi"],
    "--schema as text": ["ask", "--schema", json.dumps({"type": NAME}, ensure_ascii=False), "hi"],
    "--system-file": ["ask", "--system-file", NAME, "hi"],
    "--log": ["ask", "--log", f"{NAME}/log", "hi"],
    "--env-file": ["ask", "--env-file", f"{NAME}.env", "hi"],
    "-p": ["ask", "-p", NAME, "hi"],
    "--timeout": ["ask", "--timeout", NAME, "hi"],
    "-m of this machine": ["ask", "-m", f"local/{NAME}", "hi"],
    "--tools": ["tool", "--tools", f"{NAME}.json", "hi"],
    "--tools directory": ["tool", "--tools", f"{NAME}.d", "hi"],
    "--exec": [*TOOL, "--exec", f"{NAME}=true", "hi"],
    "--exec command": [*TOOL, "--exec", f"f={NAME}", "hi"],
    "--tool-choice": [*TOOL, "--tool-choice", NAME, "hi"],
    "--result": [*TOOL, "--messages", "in", "--result", NAME],
    "--detail": ["vision", "--detail", NAME, "hi", "a.png"],
    "--save": ["vision", "--save", f"in/{NAME}", "hi", "a.png"],
    "-o": ["batch", "-o", f"{NAME}.txt", "in"],
    "FILE of a batch": ["batch", NAME],
    "--sort": ["models", "--sort", NAME],
    "PATTERN": ["models", NAME],
}


@pytest.mark.parametrize("place", NAMED)
def test_a_name_on_the_command_line_is_shown_without_what_a_terminal_acts_on(orcli: Orcli, place: str) -> None:
    result = orcli.terminal(*NAMED[place], stdin=None, stdin_tty=False).finish()

    assert "orcli: " in result.terminal
    assert acted_on(result.terminal) == []


@pytest.mark.parametrize("place", ["an option", "FILE that is not there", "--env-file", "-o"])
def test_so_it_is_in_the_error_object(orcli: Orcli, place: str) -> None:
    result = orcli.terminal(*NAMED[place], "--json", stdin=None, stdin_tty=False, stderr_tty=False).finish()

    assert json.loads(result.terminal)["error"]["message"] == result.stderr.removeprefix("orcli: ").strip()
    assert acted_on(result.terminal) == []


def test_the_name_of_the_working_directory_is_shown_so(orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file(f"{NAME}.d/.env", f"API_BASE_URL={openrouter.base_url}\n").chmod(0o666)
    refused = orcli.terminal("ask", "hi", env={"API_BASE_URL": None}, cwd=orcli.work / f"{NAME}.d").finish()
    orcli.file(f"{NAME}.d/.env", "OPENROUTER_API_KEY=sk-or-v1-0123456789\n")
    warned = orcli.terminal("ask", "hi", env={"OPENROUTER_API_KEY": None}, cwd=orcli.work / f"{NAME}.d").finish()

    for result, words in ((refused, "is not trusted"), (warned, "anyone can write to")):
        assert words in result.terminal
        assert "/a ]0;t 31m b.d/.env" in result.terminal
        assert acted_on(result.terminal) == []


def test_what_a_model_calls_its_tools_and_itself_is_shown_so(orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file("f", f"#!/bin/sh\nprintf '%s\\n' '{NAME}' 'orcli: second line' >&2\nprintf '%s' '{NAME}'\n").chmod(0o755)
    calls = [
        tool_call("a", "f", json.dumps({"x": NAME}, ensure_ascii=False)),
        tool_call("b", NAME, "{}"),
        tool_call(NAME, "f", json.dumps({NAME: 1})),
    ]
    called = completion(None, message={"tool_calls": calls})
    said = {"reasoning": f"{NAME}\norcli: x"}
    openrouter.reply(called, completion(NAME, message=said, top={"provider": NAME, "model": NAME}))

    result = orcli.terminal(*TOOL, "--exec", "f=./f", "-v", "hi", stdin=None, stdin_tty=False).finish()

    assert result.code == 0
    assert acted_on(result.terminal) == []
    assert "orcli: f: a ]0;t 31m\r\norcli: f: b\r\norcli: f: orcli: second line\r\n" in result.terminal
    assert "orcli: reasoning: a ]0;t 31m\r\norcli: reasoning: b\r\norcli: reasoning: orcli: x\r\n" in result.terminal
    assert "tool a ]0;t 31m b {}: not run" in result.terminal
    assert "a ]0;t 31m b by a ]0;t 31m b, " in result.terminal


def test_strict_names_a_tool_so(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion(None, message={"tool_calls": [tool_call("a", NAME, "{}")]}))

    result = orcli.terminal(*TOOL, "--exec", "f=true", "--strict", "hi", stdin=None, stdin_tty=False).finish()

    assert result.code == 8
    assert acted_on(result.terminal) == []
    assert "a ]0;t 31m b failed under --strict" in result.terminal


def test_the_line_of_a_wait_names_the_model_so(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("Hello.").with_(delay=Pause(seconds=1.3)))

    result = orcli.terminal("ask", "-m", NAME, "hi", stdin=None, stdin_tty=False).finish()

    assert result.code == 0
    assert "\r\x1b[Korcli: waiting for a ]0;t 31m b, 1 s" in result.terminal
    assert acted_on(result.terminal) == []


def test_a_batch_shows_neither_its_names_nor_its_answers_raw(orcli: Orcli, openrouter: OpenRouter) -> None:
    lines = [{"custom_id": NAME, "body": {"messages": [{"role": "user", "content": NAME}]}}] * 2
    orcli.file(NAME, "".join(json.dumps(line) + "\n" for line in lines))
    openrouter.default = error(400, NAME, metadata={"provider_name": NAME})

    shown = orcli.terminal("batch", NAME, "-v", stdin=None, stdin_tty=False).finish()
    progress = orcli.terminal("batch", NAME, "-v", "-o", f"{NAME}.out", stdin=None, stdin_tty=False).finish()

    assert (shown.code, progress.code) == (9, 9)
    assert acted_on(shown.terminal) == []
    for hostile in ("\x1b]", "\x07", "\u202e", "\u009b", "\u2066"):
        assert hostile not in progress.terminal
    assert "2 done, 2 failed" in progress.terminal


def test_the_path_of_a_kept_image_is_shown_so(orcli: Orcli, openrouter: OpenRouter) -> None:
    urls = [f"data:image/png;base64,{b64encode(samples.PNG).decode()}", f"https://evil.test/{NAME}"]
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    openrouter.default = completion("Hello.", message={"images": images})

    kept = orcli.terminal("vision", "--save", f"{NAME}.d", "hi", "a.png", stdin=None, stdin_tty=False).finish()
    told = orcli.terminal("vision", "hi", "a.png", stdin=None, stdin_tty=False).finish()

    assert (kept.code, told.code) == (0, 0)
    assert acted_on(kept.terminal + told.terminal) == []
    assert "a^[]0;t^G\\u202e\\u009b31m\\u2066^Mb.d/orcli-1.png\r\n" in kept.terminal
    assert "orcli: an image of the answer is at https://evil.test/a ]0;t 31m b\r\n" in told.terminal


def test_a_log_on_the_terminal_is_shown_so(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("Hello.", model=NAME))

    result = orcli.terminal("ask", "--log", "/dev/tty", "hi", stdin=None, stdin_tty=False, stdout_tty=False).finish()

    assert (result.code, result.stdout) == (0, "Hello.\n")
    assert acted_on(result.terminal) == []
    assert json.loads(result.terminal)["model"] == NAME
