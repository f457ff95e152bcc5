"""A wall clock that jumps: no deadline comes sooner, and none later."""

from __future__ import annotations

import json

import pytest

from tests.command import Orcli, Result
from tests.openrouter import (
    OpenRouter,
    Pause,
    Reply,
    Request,
    chunk,
    completion,
    model,
    raw,
    stream,
    text_stream,
    tool_call,
)

CLOCK = """
import time
from pathlib import Path
real, jump = time.time, Path(__file__).with_name("jump")
time.time = lambda: real() + int(jump.read_text())
time.time_ns = lambda: int(time.time() * 1e9)
"""
"""Lets the clock that Python tells be ahead by as many seconds as a file says at that moment."""

COMMANDS = {
    "ask": ["ask", "-n", "--timeout", "{}", "hi"],
    "stream": ["stream", "-n", "--idle-timeout", "{}", "hi"],
    "tool": ["tool", "-n", "--tool-timeout", "{}", "--tools", "tools.json", "--exec", "f=sh slow.sh", "hi"],
    "batch": ["batch", "--retries", "0", "--request-timeout", "{}", "in"],
    "batch as a whole": ["batch", "--timeout", "{}", "in"],
    "models": ["models", "--timeout", "{}"],
}
"""Each with the limit that is tried."""


def run(orcli: Orcli, openrouter: OpenRouter, command: str, limit: int, jump: int, seconds: float) -> Result:
    """Run a command whose clock jumps, by so many seconds, while it waits for so many seconds for what is limited."""
    orcli.file("clock/sitecustomize.py", CLOCK)
    clock = orcli.file("clock/jump", "0")
    orcli.env["PYTHONPATH"] = str(clock.parent)
    orcli.file("in", '"hi"\n')
    orcli.file("tools.json", json.dumps([{"type": "function", "function": {"name": "f", "parameters": {}}}]))
    orcli.file("slow.sh", f"echo {jump} > {clock}; exec sleep {seconds}")

    def answer(request: Request) -> Reply:
        if command == "tool":
            if request.json["messages"][-1]["role"] == "tool":
                return completion(request.json["messages"][-1]["content"] or "Hello.")
            calls = {"tool_calls": [tool_call("call_1", "f", "{}")]}
            return completion(None, finish_reason="tool_calls", message=calls)
        clock.write_text(str(jump))
        if command == "stream":
            return stream(chunk("Hello"), Pause(seconds=seconds), *text_stream("."))
        reply = raw(body=json.dumps({"data": [model()]}).encode()) if command == "models" else completion()
        return reply.with_(delay=Pause(seconds=seconds))

    openrouter.reply(*[answer] * (2 if command == "tool" else 1))
    return orcli(*(word.format(limit) for word in COMMANDS[command]))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_clock_that_jumps_ahead_ends_nothing(orcli: Orcli, openrouter: OpenRouter, command: str) -> None:
    orcli.env["ORCLI_LOG"] = "log"

    result = run(orcli, openrouter, command, limit=60, jump=86400, seconds=1)

    assert (result.code, result.stderr) == (0, "")
    if command != "models":
        records = [json.loads(line) for line in (orcli.work / "log").read_text().splitlines()]
        assert all(0 < record["milliseconds"] < 60_000 for record in records)


LATE = "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n"


@pytest.mark.parametrize(
    ("command", "code", "stderr"),
    [
        pytest.param("ask", 124, LATE, id="ask"),
        pytest.param(
            "stream",
            5,
            "orcli: the answer broke off: nothing came for longer than --idle-timeout; try again\n",
            id="stream",
        ),
        pytest.param("tool", 0, "", id="tool"),
        pytest.param("batch", 9, "orcli: 1 of 1 lines failed; their results say why; run it again\n", id="batch"),
        pytest.param(
            "batch as a whole", 124, "orcli: the deadline has passed; raise --timeout\n", id="batch as a whole"
        ),
        pytest.param("models", 124, LATE, id="models"),
    ],
)
def test_a_clock_that_jumps_back_puts_nothing_off(
    orcli: Orcli, openrouter: OpenRouter, command: str, code: int, stderr: str
) -> None:
    result = run(orcli, openrouter, command, limit=1, jump=-86400, seconds=30)

    assert (result.code, result.stderr) == (code, stderr)
    assert result.seconds < 15
    if command == "tool":
        assert result.stdout == "error: the tool did not end within 1 s\n"
