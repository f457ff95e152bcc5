"""`orcli tool`: the five turns, by themselves and by hand, on good days of the wire and on bad ones."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.command import Orcli, Process, processes_left
from tests.openrouter import (
    RESET,
    USAGE,
    Event,
    Object,
    OpenRouter,
    Pause,
    Reply,
    chunk,
    completion,
    error,
    error_chunk,
    hang,
    raw,
    stream,
    text_stream,
    tool_call,
    tool_call_delta,
    usage_chunk,
)

QUESTION = "What is the weather like in Boston?"
WEATHER: Object = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
}
ID = "call_9pw1qnYScqvGrCH58HWCvFH6"
ARGUMENTS = '{ "location": "Boston, MA"}'
RESULT = '{"temperature": "22", "unit": "celsius", "description": "Sunny"}'
ANSWER = "The current weather in Boston, MA is sunny with a temperature of 22°C."
USER: Object = {"role": "user", "content": QUESTION}
SUGGESTED: Object = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": ID, "type": "function", "function": {"name": "get_current_weather", "arguments": ARGUMENTS}},
    ],
}
RETURNED: Object = {"role": "tool", "name": "get_current_weather", "tool_call_id": ID, "content": RESULT}
GET_WEATHER = """\
#!/usr/bin/env python3
import json, sys

def get_weather(location):
    return {"temperature": "22", "unit": "celsius", "description": "Sunny"}

print(json.dumps(get_weather(**json.load(sys.stdin))), end="")
"""
F: Object = {"type": "function", "function": {"name": "f"}}
EXEC_F = ("--tools", "f.json", "--exec")
MESSAGES_F: list[Object] = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "f", "arguments": '{"n":1}'}},
        ],
    },
]
CUT = "the answer came without a finish_reason, so it may be cut; try again"

streamed_or_not = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


def calls(*entries: Any, text: str | None = None, finish: str | None = "tool_calls", **message: Any) -> Reply:
    """Answer with tool calls."""
    return completion(text, finish_reason=finish, message={"tool_calls": list(entries), **message})


def streamed_calls(*entries: Object, text: str | None = None) -> Reply:
    """Answer with tool calls in the fragments of the wire: the id and the name first, then the arguments in halves."""
    fragments: list[Event] = [chunk(text)] if text else []
    for entry in entries:
        index, function = entry["index"], entry["function"]
        half = len(function["arguments"]) // 2
        fragments += [
            tool_call_delta("", index=index, id=entry["id"], name=function["name"]),
            tool_call_delta(function["arguments"][:half], index=index),
            tool_call_delta(function["arguments"][half:], index=index),
        ]
    return stream(*fragments, chunk("", finish_reason="tool_calls"), usage_chunk(finish_reason="tool_calls"))


def answers(text: str, streamed: bool) -> Reply:
    """Answer in text."""
    return stream(*text_stream(text)) if streamed else completion(text)


def suggests(*entries: Object, text: str | None = None, streamed: bool) -> Reply:
    """Answer with tool calls, streamed or not."""
    return streamed_calls(*entries, text=text) if streamed else calls(*entries, text=text)


def call_f(identity: str = "a", arguments: str = "{}", index: int = 0) -> Object:
    """Call the function f."""
    return tool_call(identity, "f", arguments, index=index)


def escaped(event: Object) -> bytes:
    """Write an event in ASCII, as some providers do; so it can hold half a surrogate pair."""
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def script(orcli: Orcli, name: str, body: str) -> Path:
    """Write an executable; of sh unless it says otherwise."""
    path = orcli.file(name, body if body.startswith("#!") else f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def contents(messages: Sequence[Object]) -> list[str]:
    """Give the results that the model was told."""
    return [message["content"] for message in messages if message["role"] == "tool"]


def wait_until(process: Process, condition: Callable[[], bool]) -> None:
    """Wait for a condition while a process runs."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        assert not process.wait_exit(0.01), process


@pytest.fixture
def weather(orcli: Orcli) -> Orcli:
    """Give the guide's example: its tools and its function."""
    orcli.file("tools.json", json.dumps([WEATHER]))
    script(orcli, "get_current_weather", GET_WEATHER)
    return orcli


@pytest.fixture
def f(orcli: Orcli, tmp_path: Path) -> Orcli:
    """Give a function f without parameters, and mark what is run."""
    orcli.file("f.json", json.dumps([F]))
    orcli.env["ORCLI_TEST_MARKER"] = str(tmp_path)
    return orcli


class TestTheGuide:
    """The weather in Boston, word for word."""

    @streamed_or_not
    def test_by_itself(self, weather: Orcli, openrouter: OpenRouter, streamed: bool) -> None:
        suggestion = tool_call(ID, "get_current_weather", ARGUMENTS)
        openrouter.reply(suggests(suggestion, streamed=streamed), answers(ANSWER, streamed))

        result = weather(
            *("tool", "--tools", "tools.json", "--exec", "get_current_weather=./get_current_weather", QUESTION),
            *(["--stream"] if streamed else []),
        )

        assert (result.code, result.stdout, result.stderr) == (0, ANSWER + "\n", "")
        first, second = (request.json for request in openrouter.requests)
        rest = {"model": "openrouter/auto", "tools": [WEATHER], **({"stream": True} if streamed else {})}
        assert first == {"messages": [USER], **rest}
        assert second == {"messages": [USER, SUGGESTED, RETURNED], **rest}

    @streamed_or_not
    def test_by_hand_in_three_processes_with_jq(self, weather: Orcli, openrouter: OpenRouter, streamed: bool) -> None:
        suggestion = tool_call(ID, "get_current_weather", ARGUMENTS)
        openrouter.reply(suggests(suggestion, streamed=streamed), answers(ANSWER, streamed))
        lines = """\
orcli tool --tools tools.json "What is the weather like in Boston?" > turn.json
result=$(jq -r '.messages[-1].tool_calls[0].function.arguments' turn.json | ./get_current_weather)
orcli tool --tools tools.json --messages turn.json --result "$(jq -r '.messages[-1].tool_calls[0].id' turn.json)=$result" |
  jq -r '.choices[0].message.content'
"""  # noqa: E501

        result = weather.shell(lines.replace("orcli tool", "orcli tool --stream") if streamed else lines)

        assert (result.code, result.stdout, result.stderr) == (0, ANSWER + "\n", "")
        first, second = (request.json for request in openrouter.requests)
        assert first["messages"] == [USER]
        assert second["messages"] == [USER, SUGGESTED, RETURNED]
        assert first["tools"] == second["tools"] == [WEATHER]

    def test_by_hand_the_object_is_the_apis_own_bytes_and_the_transcript(
        self, weather: Orcli, openrouter: OpenRouter
    ) -> None:
        reply = calls(tool_call(ID, "get_current_weather", ARGUMENTS), reasoning_details=[{"type": "x", "data": "é"}])
        openrouter.reply(reply)

        result = weather("tool", "--tools", "tools.json", QUESTION)

        details = {"reasoning_details": [{"type": "x", "data": "é"}]}
        messages = json.dumps([USER, {**SUGGESTED, **details}], ensure_ascii=False, separators=(",", ":"))
        assert (result.code, result.stderr) == (0, "")
        assert result.stdout_bytes == reply.body[:-1] + f',"messages":{messages}}}\n'.encode()

    def test_json_is_the_last_completion_and_the_whole_transcript(self, weather: Orcli, openrouter: OpenRouter) -> None:
        last = completion(ANSWER)
        openrouter.reply(calls(tool_call(ID, "get_current_weather", ARGUMENTS)), last)

        result = weather(
            *(
                "tool",
                "--tools",
                "tools.json",
                "--exec",
                "get_current_weather=./get_current_weather",
                QUESTION,
                "--json",
            )
        )

        messages = [USER, SUGGESTED, RETURNED, {"role": "assistant", "content": ANSWER}]
        transcript = json.dumps(messages, ensure_ascii=False, separators=(",", ":"))
        assert (result.code, result.stderr) == (0, "")
        assert result.stdout_bytes == last.body[:-1] + f',"messages":{transcript}}}\n'.encode()


BARE = {"name": "g", "description": "G", "parameters": {"type": "object"}}
SEARCH: Object = {"type": "openrouter:web_search", "parameters": {"max_results": 3}}


class TestDefinitions:
    """What `--tools` takes, and what it refuses before anything is sent."""

    @pytest.mark.parametrize(
        ("contents", "sent"),
        [
            pytest.param([[F, WEATHER]], [F, WEATHER], id="an array"),
            pytest.param([{"tools": [F], "x": 1}], [F], id="an object with tools"),
            pytest.param([BARE], [{"type": "function", "function": BARE}], id="one function bare"),
            pytest.param([WEATHER], [WEATHER], id="one function framed"),
            pytest.param([[SEARCH]], [SEARCH], id="a server tool"),
            pytest.param(
                [[F, SEARCH], BARE, {"tools": [WEATHER]}],
                [F, {"type": "function", "function": BARE}, WEATHER, SEARCH],
                id="several files",
            ),
            pytest.param([{**F, "strict": True, "x": [1]}], [{**F, "strict": True, "x": [1]}], id="unknown members"),
        ],
    )
    def test_they_are_sent_as_they_stand(
        self, orcli: Orcli, openrouter: OpenRouter, contents: list[Any], sent: list[Object]
    ) -> None:
        options = []
        for number, content in enumerate(contents):
            options += ["--tools", str(orcli.file(f"{number}.json", json.dumps(content)))]

        result = orcli("tool", "--dry-run", *options, "hi")

        assert (result.code, result.stderr) == (0, "")
        assert json.loads(result.stdout)["tools"] == sent
        assert openrouter.requests == []

    def test_a_directory_holds_definitions_beside_their_executables(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("tools/f.json", json.dumps({"name": "f"}))
        script(orcli, "tools/f", "printf f")
        orcli.file("tools/g.json", json.dumps(BARE))
        script(orcli, "tools/g.sh", "printf g; pwd")
        orcli.file("tools/README", "not a tool")
        orcli.file("tools/f.txt", "not executable")
        (orcli.work / "tools/g.d").mkdir()
        openrouter.reply(calls(tool_call("b", "g", "{}"), call_f("a", index=1)), completion("Done."))

        result = orcli("tool", "--tools", "tools", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        assert [tool["function"]["name"] for tool in openrouter.requests[0].json["tools"]] == ["f", "g"]
        assert contents(openrouter.requests[1].json["messages"]) == [f"g{orcli.work}\n", "f"]

    def test_a_directory_and_a_file_with_a_command_are_combined(self, f: Orcli, openrouter: OpenRouter) -> None:
        f.file("tools/g.json", json.dumps(BARE))
        script(f, "tools/g", "printf g")
        openrouter.reply(calls(call_f("a"), tool_call("b", "g", "{}", index=1)), completion("Done."))

        result = f("tool", "--tools", "tools", *EXEC_F, "f=printf 'a  b'", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        assert contents(openrouter.requests[1].json["messages"]) == ["a  b", "g"]

    FORMS = "give an array of tools, an object with tools, or one function"
    NAME = "is no function name; it has 1 to 64 letters, digits, _ or -"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            pytest.param(
                "[",
                "is not JSON: Expecting value: line 1 column 2 (char 1); give tools in the guide's format",
                id="no JSON",
            ),
            pytest.param(
                "",
                "is not JSON: Expecting value: line 1 column 1 (char 0); give tools in the guide's format",
                id="empty",
            ),
            pytest.param("[]", f"defines no tools; {FORMS}", id="an empty array"),
            pytest.param('{"tools": {}}', f"defines no tools; {FORMS}", id="tools that are none"),
            pytest.param("5", f"defines no tools; {FORMS}", id="a number"),
            pytest.param("[5]", ": a tool is an object with type and function", id="no object"),
            pytest.param("{}", f": None {NAME}", id="no function"),
            pytest.param('[{"type": "function", "function": {"description": "x"}}]', f": None {NAME}", id="no name"),
            pytest.param('{"name": "a b"}', f": 'a b' {NAME}", id="a name with a space"),
            pytest.param('{"name": ""}', f": '' {NAME}", id="an empty name"),
            pytest.param('{"name": "f\\n"}', f": 'f\\n' {NAME}", id="a name with a newline"),
            pytest.param(json.dumps({"name": "a" * 65}), f": '{'a' * 65}' {NAME}", id="a long name"),
            pytest.param('[{"name": "f"}, {"name": "f"}]', ": f is defined twice, in t.json too", id="twice"),
            pytest.param(
                '{"name": "f", "parameters": {"type": "strnig"}}',
                ": the parameters of f is no JSON Schema: \"strnig\" is not valid under any of the schemas listed in the 'anyOf' keyword at type; mend it",  # noqa: E501
                id="a type that is none",
            ),
            pytest.param(
                '{"name": "f", "parameters": []}',
                ": the parameters of f is no JSON Schema: it must be an object",
                id="a schema that is no object",
            ),
            pytest.param(
                '{"name": "f", "parameters": {"$ref": "#/x"}}',
                ": the parameters of f is no JSON Schema: Pointer '/x' does not exist; mend it",
                id="a reference to nowhere",
            ),
        ],
    )
    def test_a_bad_file_is_named(self, orcli: Orcli, openrouter: OpenRouter, content: str, message: str) -> None:
        orcli.file("t.json", content)

        result = orcli("tool", "--tools", "t.json", "hi")

        space = "" if message.startswith(":") else " "
        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: t.json{space}{message}\n")
        assert openrouter.requests == []

    ONE = '{"name": "f"}'

    @pytest.mark.parametrize(
        ("files", "executables", "message"),
        [
            pytest.param({}, [], "tools holds no NAME.json; put one beside each executable", id="empty"),
            pytest.param(
                {"f.json": ONE}, [], "tools/f.json needs an executable f or f.* beside it: there is none", id="none"
            ),
            pytest.param(
                {"f.json": ONE, "f.sh": "x"},
                [],
                "tools/f.json needs an executable f or f.* beside it: tools/f.sh is not executable",
                id="not executable",
            ),
            pytest.param(
                {"f.json": ONE, "f.sh": "x", "f.py": "x"},
                ["f.sh", "f.py"],
                "tools/f.json has two executables, f.py and f.sh; leave one",
                id="two",
            ),
            pytest.param(
                {"f.json": '{"name": "g"}', "f": "x"},
                ["f"],
                "tools/f.json defines g; its name must be the file's, f",
                id="another name",
            ),
            pytest.param(
                {"f.json": "{", "f": "x"},
                ["f"],
                "tools/f.json is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
                "; give tools in the guide's format",
                id="no JSON",
            ),
            pytest.param(
                {"f.json": ONE, "f/data.txt": "x"},
                [],
                "tools/f.json needs an executable f or f.* beside it: tools/f is not executable",
                id="a directory of that name",
            ),
        ],
    )
    def test_a_bad_directory_is_named(
        self, orcli: Orcli, openrouter: OpenRouter, files: dict[str, str], executables: list[str], message: str
    ) -> None:
        (orcli.work / "tools").mkdir()
        for name, content in files.items():
            orcli.file(f"tools/{name}", content).chmod(0o755 if name in executables else 0o644)

        result = orcli("tool", "--tools", "tools", "hi")

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
        assert openrouter.requests == []

    TWO = ("--tools", "f.json", "--tools", "g.json")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            pytest.param([], "no tools; give --tools PATH, in every step of the sequence", id="no --tools"),
            pytest.param(
                ["--tools", "none.json"],
                "cannot read none.json: No such file or directory; check the path",
                id="a missing file",
            ),
            pytest.param(
                ["--tools", "f.json", "--tools", "f.json"], "f.json: f is defined twice, in f.json too", id="twice"
            ),
            pytest.param(
                [*TWO, "--exec", "f=cat"],
                "no command for g; give --exec NAME=COMMAND for all functions or for none",
                id="some with a command and some without",
            ),
            pytest.param(
                [*TWO, "--exec", "x=cat"], "--exec x: no such function in --tools; there are f, g", id="an unknown name"
            ),
            pytest.param(
                [*EXEC_F, "f=cat", "--exec", "f=ls"], "--exec f: it has a command already, cat", id="two commands"
            ),
            pytest.param(
                [*EXEC_F, "f=no-such-command x"],
                "--exec f: no command no-such-command; check PATH or the file's mode",
                id="a missing command",
            ),
            pytest.param(
                [*EXEC_F, "f=./f.json"],
                "--exec f: no command ./f.json; check PATH or the file's mode",
                id="a file that is not executable",
            ),
            pytest.param([*EXEC_F, "f="], "--exec 'f=' has no command; give NAME=COMMAND", id="no command"),
            pytest.param([*EXEC_F, "cat"], "--exec 'cat' has no command; give NAME=COMMAND", id="no name"),
            pytest.param(
                [*EXEC_F, "f=echo '"],
                "--exec f: No closing quotation; quote the command as a shell would",
                id="an open quotation",
            ),
            pytest.param(
                [*EXEC_F, "f=cat", "--tool-choice", "g"],
                "--tool-choice 'g' is none of auto, none, required and no function of --tools",
                id="the choice of an unknown function",
            ),
            pytest.param(
                [*EXEC_F, "f=cat", "--tools", "s.json", "--tool-choice", ""],
                "--tool-choice '' is none of auto, none, required and no function of --tools",
                id="the choice of nothing",
            ),
            pytest.param(
                [*EXEC_F, "f=cat", "-p", "tools=[]"],
                "-p tools contradicts what orcli tool sends; use its own options",
                id="tools by -p",
            ),
            pytest.param(
                [*EXEC_F, "f=cat", "--idle-timeout", "3"],
                "--idle-timeout has no effect without --stream; add it, or leave this out",
                id="--idle-timeout alone",
            ),
            pytest.param(
                [*EXEC_F, "f=cat", "--max-rounds", "-1"],
                "--max-rounds is no whole number of at least 0: '-1'; give one",
                id="a bad --max-rounds",
            ),
            pytest.param(
                [*EXEC_F, "f=cat", "--max-cost", "much"],
                "--max-cost is no number: 'much'; give one",
                id="a bad --max-cost",
            ),
            pytest.param(
                [*EXEC_F, "f=cat", "--tool-timeout", "-1"],
                "--tool-timeout is no number of seconds: '-1'; give 0 or more",
                id="a bad --tool-timeout",
            ),
            pytest.param(
                ["-m", "local/smollm2", *EXEC_F, "f=cat"],
                "local/smollm2 is too small to call tools; use another model, such as local/PATH.gguf",
                id="a model too small",
            ),
        ],
    )
    def test_options_that_cannot_be_meant_are_refused(
        self, f: Orcli, openrouter: OpenRouter, options: list[str], message: str
    ) -> None:
        f.file("g.json", json.dumps(BARE))
        f.file("s.json", json.dumps([SEARCH]))

        result = f("tool", *options, "hi")

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
        assert openrouter.requests == []

    @pytest.mark.parametrize(
        "option",
        [["-x"], ["--strict"], ["--confirm"], ["--tool-timeout", "3"], ["--max-rounds", "3"], ["--max-cost", "3"]],
        ids=lambda option: str(option[0]),
    )
    def test_options_for_commands_are_refused_where_there_is_none(
        self, f: Orcli, openrouter: OpenRouter, option: list[str]
    ) -> None:
        result = f("tool", "--tools", "f.json", *option, "hi")

        message = f"{option[0]} has no effect when no tool has a command; give --exec, or leave it out"
        assert (result.code, result.stderr) == (2, f"orcli: {message}\n")
        assert openrouter.requests == []


class TestACommand:
    """One call carried out by its command."""

    def test_it_gets_the_arguments_on_stdin_and_no_key(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f("call_1", '{ "é": 1.50 }')), completion("Done."))

        result = f(
            *("tool", *EXEC_F, "f=sh -c 'cat; echo; env'", "hi"),
            env={"OTHER_API_KEY": "secret-2", "X": "y", "OPENAI_API_KEY": "secret-3"},
        )

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        arguments, _, environment = contents(openrouter.requests[1].json["messages"])[0].partition("\n")
        assert arguments == '{ "é": 1.50 }'
        assert {"ORCLI_TOOL_NAME=f", "ORCLI_TOOL_CALL_ID=call_1", "X=y"} <= set(environment.splitlines())
        assert [line for line in environment.splitlines() if "API_KEY" in line or "sk-or" in line] == []

    @pytest.mark.parametrize(
        ("name", "arguments", "told"),
        [
            pytest.param("get_current_weather", "{}", '"location" is a required property', id="off its schema"),
            pytest.param(
                "get_current_weather",
                '{"location": "Boston", "unit": "kelvin"}',
                '"kelvin" is not one of "celsius" or "fahrenheit" at unit',
                id="off an enum",
            ),
            pytest.param(
                "get_current_weather",
                '{"location": "Bos',
                "the arguments are not JSON: Unterminated string starting at: line 1 column 14 (char 13)",
                id="cut off",
            ),
            pytest.param("get_current_weather", '["Boston"]', "the arguments are no JSON object", id="an array"),
            pytest.param(
                "get_weather", "{}", "there is no function 'get_weather'; there are get_current_weather", id="unknown"
            ),
        ],
    )
    def test_a_bad_call_is_told_to_the_model_and_never_run(
        self, weather: Orcli, openrouter: OpenRouter, name: str, arguments: str, told: str
    ) -> None:
        openrouter.reply(
            calls(tool_call("a", name, arguments)),
            calls(tool_call("b", "get_current_weather", ARGUMENTS)),
            completion(ANSWER),
        )

        result = weather(
            *(
                "tool",
                "--tools",
                "tools.json",
                "--exec",
                "get_current_weather=sh -c 'echo run >> ran; echo 22'",
                QUESTION,
            )
        )

        assert (result.code, result.stdout, result.stderr) == (0, ANSWER + "\n", "")
        assert contents(openrouter.requests[1].json["messages"]) == [f"error: {told}"]
        assert openrouter.requests[1].json["messages"][2]["name"] == name
        assert (weather.work / "ran").read_text() == "run\n"

    @pytest.mark.parametrize(
        ("body", "told", "said"),
        [
            pytest.param("printf 'a\\r\\nb\\n\\n'", "a\r\nb\n\n", "", id="prints lines"),
            pytest.param("exec true", "", "", id="prints nothing and ignores its stdin"),
            pytest.param("exec <&-; printf ok", "ok", "", id="closes its stdin"),
            pytest.param("printf 'a\\377\\000b'", "a\ufffd\0b", "", id="prints binary"),
            pytest.param("printf ok; echo to-stderr >&2", "ok", "orcli: f: to-stderr\n", id="writes on stderr"),
            pytest.param(
                "echo why >&2; printf part; exit 3",
                "error: the tool failed with exit status 3: why",
                "orcli: f: why\n",
                id="fails with a reason on stderr",
            ),
            pytest.param(
                "echo why; exit 3",
                "error: the tool failed with exit status 3: why",
                "",
                id="fails with a reason on stdout",
            ),
            pytest.param("exit 3", "error: the tool failed with exit status 3", "", id="fails without a reason"),
            pytest.param("kill -SEGV $$", "error: the tool was killed by SIGSEGV", "", id="dies by a signal"),
            pytest.param("sleep 1000 & printf ok", "ok", "", id="leaves a child that keeps the pipe open"),
            pytest.param(
                "trap '' TERM INT HUP; sleep 1000 & printf part; while :; do sleep 1000; done",
                "error: the tool did not end within 0.5 s",
                "",
                id="never ends",
            ),
            pytest.param(
                "echo slow >&2; sleep 1000",
                "error: the tool did not end within 0.5 s: slow",
                "orcli: f: slow\n",
                id="never ends and says why",
            ),
            pytest.param(
                "exec head -c 1000000 /dev/zero",
                "\0" * 1_000_000,
                "",
                id="prints 1 MB",
            ),
            pytest.param(
                "exec yes",
                "y\n" * 500_000 + "\n[cut: the tool printed more than 1000000 bytes]",
                "",
                id="prints without end",
            ),
            pytest.param(
                "exec yes é",
                "é\n" * 333_333 + "\n[cut: the tool printed more than 1000000 bytes]",
                "",
                id="prints characters without end",
            ),
            pytest.param(
                "#!/no/such/interpreter\n",
                "error: the command could not be started: [Errno 2] No such file or directory: './tool'",
                "",
                id="cannot be started",
            ),
        ],
    )
    def test_whatever_it_does_the_model_is_told_and_nothing_survives(
        self, f: Orcli, openrouter: OpenRouter, tmp_path: Path, body: str, told: str, said: str
    ) -> None:
        script(f, "tool", body)
        openrouter.reply(calls(call_f()), completion("Done."))
        limit = ["--tool-timeout", "0.5"] if "0.5 s" in told else []

        result = f("tool", *EXEC_F, "f=./tool", *limit, "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", said)
        (content,) = contents(openrouter.requests[1].json["messages"])
        assert content == told
        assert processes_left(str(tmp_path)) == []
        assert result.seconds < 5

    def test_a_megabyte_of_arguments_that_nobody_reads_does_no_harm(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f("a", json.dumps({"x": "y" * 2_000_000}))), completion("Done."))

        result = f("tool", *EXEC_F, "f=printf ok", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        assert contents(openrouter.requests[1].json["messages"]) == ["ok"]

    def test_quiet_keeps_what_it_says_on_stderr_away(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f()), completion("Done."))

        result = f("tool", "-q", *EXEC_F, "f=sh -c 'echo noise >&2'", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")

    @pytest.mark.parametrize(
        ("end", "code", "message"),
        [
            pytest.param(signal.SIGINT, -signal.SIGINT, "", id="Ctrl-C"),
            pytest.param(signal.SIGTERM, -signal.SIGTERM, "", id="SIGTERM"),
            pytest.param(signal.SIGHUP, -signal.SIGHUP, "", id="SIGHUP"),
            pytest.param(signal.SIGQUIT, -signal.SIGQUIT, "", id="SIGQUIT"),
            pytest.param(signal.SIGKILL, -signal.SIGKILL, "", id="SIGKILL"),
            pytest.param("reader", -signal.SIGPIPE, "", id="the reader gone"),
            pytest.param(
                "deadline",
                124,
                "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n",
                id="--timeout",
            ),
        ],
    )
    def test_its_whole_group_is_gone_when_the_run_ends(
        self, f: Orcli, openrouter: OpenRouter, tmp_path: Path, end: signal.Signals | str, code: int, message: str
    ) -> None:
        script(
            f,
            "tool",
            "trap '' TERM INT HUP PIPE\nsleep 1000 &\ntouch started.$ORCLI_TOOL_CALL_ID\nwhile :; do sleep 1000; done",
        )
        openrouter.reply(calls(call_f("a"), call_f("b", index=1)))

        process = f.start("tool", *EXEC_F, "f=./tool", "hi", "--timeout", "2" if end == "deadline" else "60")
        wait_until(process, lambda: len(list(f.work.glob("started.*"))) == 2)
        ended_at = time.monotonic()
        if isinstance(end, signal.Signals):
            process.send_signal(end)
        elif end == "reader":
            process.close_stdout()
        result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (code, "", message)
        assert processes_left(str(tmp_path)) == []
        assert process.exited_at - ended_at < 3
        assert len(openrouter.requests) == 1

    def test_ctrl_c_on_the_terminal_ends_the_run_and_its_tool(
        self, f: Orcli, openrouter: OpenRouter, tmp_path: Path
    ) -> None:
        script(f, "tool", "trap '' INT\ntouch started\nsleep 1000")
        openrouter.reply(calls(call_f()))

        terminal = f.terminal("tool", *EXEC_F, "f=./tool", "hi")
        wait_until(terminal, (f.work / "started").exists)
        terminal.type("\x03")
        result = terminal.finish()

        assert (result.code, result.terminal) == (-signal.SIGINT, "^C")
        assert processes_left(str(tmp_path)) == []


class TestByHand:
    """No command for any tool: one step of the sequence for each process."""

    def test_an_answer_in_text_is_the_object_too(self, f: Orcli, openrouter: OpenRouter) -> None:
        reply = completion("Hello.")
        openrouter.reply(reply)

        result = f("tool", "--tools", "f.json", "hi")

        messages = '[{"role":"user","content":"hi"},{"role":"assistant","content":"Hello."}]'
        assert (result.code, result.stderr) == (0, "")
        assert result.stdout_bytes == reply.body[:-1] + f',"messages":{messages}}}\n'.encode()

    @pytest.mark.parametrize(
        ("options", "stdin", "told"),
        [
            pytest.param(["--result", "b=2=3", "--result", "a=1"], None, ["1", "2=3"], id="by --result"),
            pytest.param(["--result", "b=", "--result", "a=@file\n"], None, ["@file\n", ""], id="literally, or empty"),
            pytest.param(
                ["--result-file", "a=r.txt", "--result-file", "b=-"], "two\n", ["one\n", "two\n"], id="by file"
            ),
            pytest.param(["--result-file", "a=r.txt", "--result", "b=2"], "x", ["one\n", "2"], id="both ways"),
        ],
    )
    def test_results_go_back_in_the_order_of_the_calls(
        self, f: Orcli, openrouter: OpenRouter, options: list[str], stdin: str | None, told: list[str]
    ) -> None:
        f.file("turn.json", json.dumps({"choices": [], "messages": MESSAGES_F}))
        f.file("r.txt", "one\n")
        openrouter.reply(completion("Done."))

        result = f("tool", "--tools", "f.json", "--messages", "turn.json", *options, stdin=stdin)

        assert (result.code, result.stderr) == (0, "")
        results = [
            {"role": "tool", "name": "f", "tool_call_id": identity, "content": content}
            for identity, content in zip("ab", told, strict=True)
        ]
        assert openrouter.requests[0].json["messages"] == [*MESSAGES_F, *results]
        assert json.loads(result.stdout)["messages"] == [
            *MESSAGES_F,
            *results,
            {"role": "assistant", "content": "Done."},
        ]

    def test_the_id_of_a_call_may_hold_what_parts_it_from_its_result(self, f: Orcli, openrouter: OpenRouter) -> None:
        calls = [tool_call(identity, "f", "{}") for identity in ("a", "a=b", "a=b=")]
        f.file("turn.json", json.dumps([{"role": "assistant", "content": None, "tool_calls": calls}]))
        options = ["--result", "a=b===1", "--result", "a=b=2=3", "--result", "a=4"]

        result = f("tool", "--tools", "f.json", "--messages", "turn.json", *options)

        assert (result.code, result.stderr) == (0, "")
        told = [
            (message["tool_call_id"], message["content"]) for message in openrouter.requests[0].json["messages"][1:]
        ]
        assert told == [("a", "4"), ("a=b", "2=3"), ("a=b=", "=1")]

    def test_a_prompt_follows_the_results(self, f: Orcli, openrouter: OpenRouter) -> None:
        f.file("turn.json", json.dumps(MESSAGES_F))

        result = f("tool", "--tools", "f.json", "--messages", "turn.json", "--result", "a=1", "--result", "b=2", "And?")

        assert (result.code, result.stderr) == (0, "")
        roles = [message["role"] for message in openrouter.requests[0].json["messages"]]
        assert roles == ["user", "assistant", "tool", "tool", "user"]
        assert openrouter.requests[0].json["messages"][-1] == {"role": "user", "content": "And?"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            pytest.param(["--result", "a=1"], "call b has no result; give --result b=TEXT", id="a missing result"),
            pytest.param([], "call a, b has no result; give --result a=TEXT", id="no result"),
            pytest.param(["hi"], "call a, b has no result; give --result a=TEXT", id="a prompt in place of results"),
            pytest.param(
                ["--result", "a=1", "--result", "b=2", "--result", "x=3"],
                "no pending call 'x' for --result; pending: a, b",
                id="an unknown id",
            ),
            pytest.param(
                ["--result", "a=1", "--result-file", "a=r.txt"], "two results for call a; give one", id="the same twice"
            ),
            pytest.param(["--result", "a"], "--result 'a' has no '='; give ID=VALUE", id="no text"),
            pytest.param(["--result", "=1"], "--result '=1' has no '='; give ID=VALUE", id="no id"),
            pytest.param(
                ["--result-file", "a=none.txt"],
                "cannot read none.txt: No such file or directory; check the path",
                id="a missing file",
            ),
            pytest.param(
                ["--result-file", "a=-", "--result-file", "b=-"],
                "standard input can be read only once; give `-` in one place",
                id="two readers of stdin",
            ),
        ],
    )
    def test_results_that_do_not_fit_the_calls_are_refused(
        self, f: Orcli, openrouter: OpenRouter, options: list[str], message: str
    ) -> None:
        f.file("turn.json", json.dumps(MESSAGES_F))
        f.file("r.txt", "one\n")

        result = f("tool", "--tools", "f.json", "--messages", "turn.json", *options)

        assert (result.code, result.stderr) == (2, f"orcli: {message}\n")
        assert openrouter.requests == []

    def test_a_result_without_a_conversation_is_refused(self, f: Orcli, openrouter: OpenRouter) -> None:
        result = f("tool", *EXEC_F, "f=cat", "--result", "a=1", "hi")

        assert (result.code, result.stdout, result.stderr) == (
            2,
            "",
            "orcli: --result needs the conversation with the call; give it with --messages or -c\n",
        )

    def test_a_usage_error_is_the_object_too(self, f: Orcli, openrouter: OpenRouter) -> None:
        f.file("turn.json", json.dumps(MESSAGES_F))

        result = f("tool", "--tools", "f.json", "--messages", "turn.json")

        words = "call a, b has no result; give --result a=TEXT"
        assert (result.code, result.stderr) == (2, f"orcli: {words}\n")
        assert json.loads(result.stdout) == {"error": {"code": "usage", "message": words}}

    def test_a_failure_is_the_object_too(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(error(429, "Slow down"))

        result = f("tool", "--tools", "f.json", "--retries", "0", "hi")

        assert (result.code, result.stderr) == (4, "orcli: 429: Slow down; try later\n")
        assert json.loads(result.stdout) == {"error": {"message": "Slow down", "code": 429}}

    def test_a_conversation_file_carries_the_whole_sequence(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f("a", "")), completion("Done."), completion("Bye."))

        first = f("tool", "--tools", "f.json", "-c", "talk", "-s", "Be brief.", "hi")
        second = f("tool", "--tools", "f.json", "-c", "talk", "--result", "a=1")
        third = f("tool", "--tools", "f.json", "-c", "talk", "bye")

        assert [(each.code, each.stderr) for each in (first, second, third)] == [(0, "")] * 3
        kept = [json.loads(line) for line in (f.work / "talk").read_text().splitlines()]
        function = {"name": "f", "arguments": "{}"}
        assert kept == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "type": "function", "function": function}],
            },
            {"role": "tool", "name": "f", "tool_call_id": "a", "content": "1"},
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "bye"},
            {"role": "assistant", "content": "Bye."},
        ]
        assert openrouter.requests[2].json["messages"] == kept[:-1]
        assert json.loads(third.stdout)["messages"] == kept

    def test_an_id_made_here_is_the_one_to_answer(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f("", ""), call_f("", "{}", index=1)), completion("Done."))

        result = f.shell(
            """\
            orcli tool --tools f.json hi > turn.json
            jq -r '.messages[-1].tool_calls[].id' turn.json > ids
            { read -r a; read -r b; } < ids
            orcli tool --tools f.json --messages turn.json --result "$b=2" --result "$a=1" > end.json
            """
        )

        assert (result.code, result.stdout, result.stderr) == (0, "", "")
        one, two = (f.work / "ids").read_text().split()
        assert one != two
        turn = json.loads((f.work / "turn.json").read_text())
        assert [each["id"] for each in turn["choices"][0]["message"]["tool_calls"]] == ["", ""]
        messages = openrouter.requests[1].json["messages"]
        assert [(each["tool_call_id"], each["content"]) for each in messages[2:]] == [(one, "1"), (two, "2")]


class TestBadDays:
    """What the wire does to calls."""

    def test_parallel_calls_end_in_any_order_and_go_back_in_theirs(self, f: Orcli, openrouter: OpenRouter) -> None:
        script(
            f,
            "tool",
            # Each waits for the file of the next, so that the last ends first.
            'n=$(cat); touch "up.$ORCLI_TOOL_CALL_ID"\n'
            "case $ORCLI_TOOL_CALL_ID in a) next=b;; b) next=c;; c) next=; esac\n"
            'until [ -z "$next" ] || [ -e "done.$next" ]; do sleep .01; done\n'
            'touch "done.$ORCLI_TOOL_CALL_ID"; printf "%s" "$n"',
        )
        entries = [call_f(identity, json.dumps({"n": n}), n) for n, identity in enumerate("abc")]
        openrouter.reply(calls(*entries), completion("Done."))

        result = f("tool", *EXEC_F, "f=./tool", "hi", "--timeout", "20")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        messages = openrouter.requests[1].json["messages"]
        assert [each["id"] for each in messages[1]["tool_calls"]] == ["a", "b", "c"]
        assert [(each["tool_call_id"], each["content"]) for each in messages[2:]] == [
            ("a", '{"n": 0}'),
            ("b", '{"n": 1}'),
            ("c", '{"n": 2}'),
        ]

    def test_ten_calls_of_half_a_second_take_half_a_second(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(*(call_f(str(n), "{}", n) for n in range(10))), completion("Done."))

        result = f("tool", *EXEC_F, "f=sleep 0.5", "hi")

        between = openrouter.requests[1].arrived - openrouter.requests[0].arrived
        print(f"ten calls of 0.5 s took {between:.2f} s, the run {result.seconds:.2f} s")
        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        assert between < 3

    @pytest.mark.parametrize(
        ("fragments", "echoed"),
        [
            pytest.param(
                [
                    tool_call_delta("", index=0, id="a", name="f"),
                    tool_call_delta("", index=1, id="b", name="f"),
                    tool_call_delta('{"n"', index=0),
                    tool_call_delta('{"m"', index=1),
                    tool_call_delta(":1}", index=0),
                    tool_call_delta(":2}", index=1),
                ],
                [("a", '{"n":1}'), ("b", '{"m":2}')],
                id="interleaved fragments",
            ),
            pytest.param(
                [
                    tool_call_delta('{"n"', index=0, id="a", name="f"),
                    tool_call_delta(":1}", index=0),
                    tool_call_delta('{"m"', index=0, id="b", name="f"),
                    tool_call_delta(":2}", index=0),
                ],
                [("a", '{"n":1}'), ("b", '{"m":2}')],
                id="one index for two calls",
            ),
            pytest.param(
                [
                    tool_call_delta('{"n"', index=None, id="a", name="f"),
                    tool_call_delta(":1}", index=None),
                    tool_call_delta('{"m"', index=None, id="b", name="f"),
                    tool_call_delta(":2}", index=None),
                ],
                [("a", '{"n":1}'), ("b", '{"m":2}')],
                id="no index",
            ),
            pytest.param(
                [tool_call_delta("{}", index=0, id="", name="f"), tool_call_delta('{"m":2}', index=1, id="", name="f")],
                [(None, "{}"), (None, '{"m":2}')],
                id="empty ids",
            ),
            pytest.param(
                [tool_call_delta("", index=0, id="", name="f"), tool_call_delta("", index=0, id="", name="g")],
                [(None, "{}"), (None, "{}")],
                id="one index, no ids, no arguments, two names",
            ),
            pytest.param(
                [
                    tool_call_delta("{}", index=0, id="a", name="f"),
                    tool_call_delta('{"m":2}', index=1, id="a", name="f"),
                ],
                [("a", "{}"), (None, '{"m":2}')],
                id="one id for two calls",
            ),
            pytest.param([tool_call_delta("", index=0, id="a", name="f")], [("a", "{}")], id="empty arguments"),
            pytest.param([tool_call_delta(None, index=0, id="a", name="f")], [("a", "{}")], id="no arguments"),
            pytest.param(
                [tool_call_delta('{"m', index=0, id="a", name="f")], [("a", '{"m')], id="arguments that are cut off"
            ),
            pytest.param(
                [
                    escaped(tool_call_delta('{"m":"\ud83d', index=0, id="a", name="f")),
                    escaped(tool_call_delta('\ude00"}', index=0)),
                ],
                [("a", '{"m":"😀"}')],
                id="a surrogate pair in two fragments",
            ),
        ],
    )
    def test_fragments_become_calls_that_each_run_once(
        self, f: Orcli, openrouter: OpenRouter, fragments: list[Event], echoed: list[tuple[str | None, str]]
    ) -> None:
        script(f, "tool", "echo $ORCLI_TOOL_CALL_ID >> ran; cat")
        f.file("g.json", json.dumps(BARE))
        openrouter.reply(
            stream(*fragments, chunk("", finish_reason="tool_calls"), usage_chunk(finish_reason="tool_calls")),
            stream(*text_stream("Done.")),
        )

        result = f("tool", "--stream", *EXEC_F, "f=./tool", "--tools", "g.json", "--exec", "g=./tool", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        messages = openrouter.requests[1].json["messages"]
        sent = [(each["id"], each["function"]["arguments"]) for each in messages[1]["tool_calls"]]
        assert [arguments for _, arguments in sent] == [arguments for _, arguments in echoed]
        assert [one if two else None for (one, _), (two, _) in zip(sent, echoed, strict=True)] == [
            identity for identity, _ in echoed
        ]
        assert all(each["type"] == "function" and "index" not in each for each in messages[1]["tool_calls"])
        assert len({identity for identity, _ in sent}) == len(sent)
        assert [each["tool_call_id"] for each in messages[2:]] == [identity for identity, _ in sent]
        runnable = [identity for identity, arguments in sent if arguments != '{"m']
        ran = (f.work / "ran").read_text().split() if runnable else []
        assert sorted(ran) == sorted(runnable)
        assert [each["content"] for each in messages[2:] if each["tool_call_id"] in runnable] == [
            arguments for identity, arguments in sent if identity in runnable
        ]

    @pytest.mark.parametrize("arguments", ["", None], ids=["empty", "null"])
    def test_no_arguments_are_an_empty_object_for_the_tool_and_in_the_echo(
        self, f: Orcli, openrouter: OpenRouter, arguments: str | None
    ) -> None:
        entry = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
        openrouter.reply(calls(entry), completion("Done."))

        result = f("tool", *EXEC_F, "f=cat", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        messages = openrouter.requests[1].json["messages"]
        assert messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
        assert contents(messages) == ["{}"]

    def test_an_id_used_in_an_earlier_turn_gets_another(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f("a")), calls(call_f("a")), completion("Done."))

        result = f("tool", *EXEC_F, "f=sh -c 'echo $ORCLI_TOOL_CALL_ID'", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        messages = openrouter.requests[2].json["messages"]
        first, second = messages[1]["tool_calls"][0]["id"], messages[3]["tool_calls"][0]["id"]
        assert first == "a"
        assert re.fullmatch(r"call_[0-9a-f]{24}", second)
        assert [(each["tool_call_id"], each["content"]) for each in messages[2:5:2]] == [
            ("a", "a\n"),
            (second, f"{second}\n"),
        ]

    @pytest.mark.parametrize("finish", ["stop", "tool_calls", None, "function_call"])
    def test_calls_count_whatever_the_finish_reason_of_a_whole_body(
        self, f: Orcli, openrouter: OpenRouter, finish: str | None
    ) -> None:
        openrouter.reply(calls(call_f(), finish=finish), completion("Done."))

        result = f("tool", *EXEC_F, "f=sh -c 'echo run >> ran'", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        assert (f.work / "ran").read_text() == "run\n"

    @pytest.mark.parametrize(
        ("reply", "code", "message"),
        [
            pytest.param(
                calls(call_f(), finish="length"),
                5,
                "the tool calls were cut at the token limit; raise --max-tokens",
                id="the token limit",
            ),
            pytest.param(
                calls(call_f(), finish="content_filter"),
                6,
                "a content filter stopped the answer; change the prompt",
                id="a content filter",
            ),
            pytest.param(calls(call_f(), finish="error"), 4, "the provider failed (error); try later", id="an error"),
            pytest.param(
                stream(tool_call_delta("{}", id="a", name="f")), 5, CUT, id="a stream without a finish_reason"
            ),
            pytest.param(
                stream(tool_call_delta("{}", id="a", name="f"), done=False), 5, CUT, id="a stream without an end"
            ),
            pytest.param(
                stream(
                    tool_call_delta("{}", id="a", name="f"), chunk("", finish_reason="tool_calls"), error_chunk(502)
                ),
                4,
                "502: Provider disconnected; try later",
                id="an error after the finish_reason",
            ),
            pytest.param(
                stream(chunk("Well"), tool_call_delta("{}", id="a", name="f"), RESET),
                5,
                "the answer broke off: the connection broke: Connection reset by peer; try again",
                id="a reset",
            ),
            pytest.param(calls(None), 5, "the answer is empty; try again, or another model", id="a call that is none"),
        ],
    )
    def test_calls_of_an_answer_that_is_not_whole_never_run(
        self, f: Orcli, openrouter: OpenRouter, reply: Reply, code: int, message: str
    ) -> None:
        openrouter.reply(reply)
        streams = dict(reply.headers).get("Content-Type") == "text/event-stream"

        result = f(
            *("tool", *EXEC_F, "f=sh -c 'echo run >> ran'", "hi", "--retries", "0"), *(["--stream"] if streams else [])
        )

        text = "Well\n" if reply.parts and reply.parts[0] == chunk("Well") else ""
        assert (result.code, result.stdout, result.stderr) == (code, text, f"orcli: {message}\n")
        assert not (f.work / "ran").exists()
        assert len(openrouter.requests) == 1

    def test_a_finish_that_is_repeated_runs_the_tool_once(self, f: Orcli, openrouter: OpenRouter) -> None:
        finish = chunk("", finish_reason="tool_calls")
        openrouter.reply(
            stream(tool_call_delta("{}", id="a", name="f"), finish, finish, usage_chunk(finish_reason="tool_calls")),
            stream(*text_stream("Done.")),
        )

        result = f("tool", "--stream", *EXEC_F, "f=sh -c 'echo run >> ran'", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        assert (f.work / "ran").read_text() == "run\n"

    def test_a_retry_after_the_tool_has_run_does_not_run_it_again(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f()), error(503, "Busy"), completion("Done."))

        result = f("tool", *EXEC_F, "f=sh -c 'echo run >> ran'", "hi", "--retries", "1")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        assert (f.work / "ran").read_text() == "run\n"
        assert openrouter.requests[1].json == openrouter.requests[2].json

    @streamed_or_not
    def test_text_beside_calls_goes_back_with_them(self, f: Orcli, openrouter: OpenRouter, streamed: bool) -> None:
        openrouter.reply(suggests(call_f(), text="Let me see.", streamed=streamed), answers("Done.", streamed))

        result = f("tool", *EXEC_F, "f=printf ok", "hi", *(["--stream"] if streamed else []))

        text = "Let me see.\nDone.\n" if streamed else "Done.\n"
        assert (result.code, result.stdout, result.stderr) == (0, text, "")
        assert openrouter.requests[1].json["messages"][1]["content"] == "Let me see."

    @streamed_or_not
    def test_reasoning_details_go_back_unmodified_and_in_order(
        self, f: Orcli, openrouter: OpenRouter, streamed: bool
    ) -> None:
        details = [
            {"type": "reasoning.text", "text": "Hm, é", "signature": "s1", "format": "x", "index": 1, "new": [1]},
            {"type": "reasoning.encrypted", "data": "AAA=", "id": "r", "format": "y", "index": 0},
        ]
        pieces: list[Event] = [
            chunk(delta={"reasoning": "Hm,", "reasoning_details": [{**details[0], "text": "Hm,", "signature": None}]}),
            chunk(delta={"reasoning_details": [{"type": "reasoning.text", "text": " é", "index": 1}]}),
            chunk(delta={"reasoning_details": [{"type": "reasoning.text", "signature": "s1", "index": 1}]}),
            chunk(delta={"reasoning_details": [details[1]]}),
            tool_call_delta("{}", id="a", name="f"),
            chunk("", finish_reason="tool_calls"),
        ]
        whole = calls(call_f(), reasoning="Hm, é", reasoning_details=details)
        openrouter.reply(stream(*pieces) if streamed else whole, answers("Done.", streamed))

        result = f("tool", *EXEC_F, "f=printf ok", "hi", *(["--stream"] if streamed else []))

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        message = openrouter.requests[1].json["messages"][1]
        assert message["reasoning_details"] == details
        assert set(message) == {"role", "content", "tool_calls", "reasoning_details"}

    def test_an_empty_list_of_calls_is_not_sent_back(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(completion("Hello.", message={"tool_calls": []}))

        result = f("tool", "--tools", "f.json", "hi")

        assert (result.code, result.stderr) == (0, "")
        assert json.loads(result.stdout)["messages"][1] == {"role": "assistant", "content": "Hello."}

    def test_half_a_surrogate_pair_from_the_model_does_not_end_the_run(self, f: Orcli, openrouter: OpenRouter) -> None:
        body = calls(call_f("a", '{"n":"HALF"}'), text="HALF").body.replace(b"HALF", b"\\ud83d")
        openrouter.reply(raw(body=body), completion("Done."))

        result = f("tool", *EXEC_F, "f=printf ok", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        message = openrouter.requests[1].json["messages"][1]
        assert message["content"] == "\ufffd"
        assert message["tool_calls"][0]["function"]["arguments"] == '{"n":"\ufffd"}'


class TestLimits:
    """Where the sequence stops, and who may stop it."""

    def test_rounds_end_with_8_and_the_transcript_can_be_carried_on(self, f: Orcli, openrouter: OpenRouter) -> None:
        last = calls(call_f("c"), text="One more.")
        openrouter.reply(calls(call_f("a")), calls(call_f("b")), last, completion("Done."))
        command = "f=sh -c 'echo $ORCLI_TOOL_CALL_ID >> ran; printf ok'"

        first = f("tool", *EXEC_F, command, "hi", "--max-rounds", "2", "--json")
        ran = (f.work / "ran").read_text()
        f.file("turn.json", first.stdout)
        second = f("tool", *EXEC_F, command, "--messages", "turn.json")

        message = "the model still calls tools after 2 rounds; raise --max-rounds"
        assert (first.code, first.stderr) == (8, f"orcli: {message}\n")
        assert first.stdout_bytes.startswith(last.body[:-1] + b',"messages":[')
        assert [each["role"] for each in json.loads(first.stdout)["messages"]] == [
            "user",
            *["assistant", "tool"] * 2,
            "assistant",
        ]
        assert (second.code, second.stdout, second.stderr) == (0, "Done.\n", "")
        assert (ran, (f.work / "ran").read_text()) == ("a\nb\n", "a\nb\nc\n")
        assert contents(openrouter.requests[3].json["messages"]) == ["ok"] * 3

    @streamed_or_not
    def test_at_a_limit_the_text_so_far_is_printed(self, f: Orcli, openrouter: OpenRouter, streamed: bool) -> None:
        openrouter.reply(suggests(call_f(), text="Let me see.", streamed=streamed))

        result = f("tool", *EXEC_F, "f=printf ok", "hi", "--max-rounds", "0", *(["--stream"] if streamed else []))

        message = "the model still calls tools after 0 rounds; raise --max-rounds"
        assert (result.code, result.stdout, result.stderr) == (8, "Let me see.\n", f"orcli: {message}\n")

    def test_at_a_limit_the_text_that_extraction_held_back_is_printed(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(streamed_calls(call_f(), text="Let me see."))

        result = f("tool", "--stream", "-x", *EXEC_F, "f=printf ok", "hi", "--max-rounds", "0")

        message = "the model still calls tools after 0 rounds; raise --max-rounds"
        assert (result.code, result.stdout, result.stderr) == (8, "Let me see.\n", f"orcli: {message}\n")

    def test_answers_that_say_no_cost_are_told_of_once(self, f: Orcli, openrouter: OpenRouter) -> None:
        asking: dict[str, Any] = {"finish_reason": "tool_calls", "message": {"tool_calls": [call_f("a")]}}
        openrouter.reply(*[completion(None, usage=None, **asking)] * 2, completion("Done.", usage=None))

        result = f("tool", *EXEC_F, "f=cat", "hi", "--max-cost", "1")

        warning = "orcli: warning: an answer says no cost, so --max-cost does not count it\n"
        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", warning)

    def test_cost_ends_with_8_before_the_next_call(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f("a")), calls(call_f("b")))

        result = f("tool", *EXEC_F, "f=sh -c 'echo run >> ran'", "hi", "--max-cost", "0.00002", "--json")

        assert (result.code, result.stderr) == (8, "orcli: the cost has reached $0.000026; raise --max-cost\n")
        assert (f.work / "ran").read_text() == "run\n"
        assert json.loads(result.stdout)["messages"][-1]["tool_calls"][0]["id"] == "b"

    @pytest.mark.parametrize(
        ("command", "arguments", "message", "ran"),
        [
            pytest.param("exit 3", "{}", "the tool failed with exit status 3", True, id="a command that fails"),
            pytest.param("sleep 9", "{}", "the tool did not end within 0.5 s", True, id="a command that is late"),
            pytest.param("exit 0", "[]", "the arguments are no JSON object", False, id="bad arguments"),
        ],
    )
    def test_strict_stops_at_the_first_failure(
        self, f: Orcli, openrouter: OpenRouter, command: str, arguments: str, message: str, ran: bool
    ) -> None:
        openrouter.reply(calls(call_f("a", arguments), text="Trying."))

        result = f("tool", "--strict", "--tool-timeout", "0.5", *EXEC_F, f"f=sh -c 'echo run >> ran; {command}'", "hi")

        line = f"orcli: f failed under --strict: {message}; see -v\n"
        assert (result.code, result.stdout, result.stderr) == (8, "Trying.\n", line)
        assert (f.work / "ran").exists() == ran

    @pytest.mark.parametrize(
        ("reply", "told", "runs"),
        [("y\r", "ok", "run\n"), ("n\r", None, ""), ("\r", None, ""), ("\x04", None, "")],
        ids=["y", "n", "Return", "Ctrl-D"],
    )
    def test_confirm_asks_on_the_terminal_and_not_on_stdin(
        self, f: Orcli, openrouter: OpenRouter, reply: str, told: str | None, runs: str
    ) -> None:
        script(f, "tool", "echo run >> ran; printf ok")
        openrouter.reply(calls(call_f("a", '{"n":\n"\u202e"}')), completion("Done."))

        terminal = f.terminal(
            *("tool", "--confirm", *EXEC_F, "f=./tool", "hi"),
            stdin=b"y\ny\n",
            stdin_tty=False,
            stdout_tty=False,
            stderr_tty=False,
        )
        terminal.wait_for(r'orcli: run f {"n":\n"\u202e"}? [y/N] ')
        terminal.type(reply)
        result = terminal.finish()

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        told = told or "error: the user did not allow this call"
        assert contents(openrouter.requests[1].json["messages"]) == [told]
        assert ((f.work / "ran").read_text() if (f.work / "ran").exists() else "") == runs

    @pytest.mark.parametrize(
        ("arguments", "shown"),
        [
            pytest.param(json.dumps({"a": "x" * 2000}), json.dumps({"a": "x" * 2000}), id="long"),
            pytest.param('{"a": "Bearer 12345678"}', '{"a": "Bearer 12345678"}', id="like a secret"),
            pytest.param(f'{{"a": "sk-{"1" * 40}"}}', f'{{"a": "sk-{"1" * 40}"}}', id="like a key"),
            pytest.param('{"a": "rm   -r"}', '{"a": "rm   -r"}', id="blanks"),
            pytest.param('{"a": "größer 日本"}', '{"a": "größer 日本"}', id="letters"),
            pytest.param(
                '{"a":\r\n"orcli: run f {}? [y/N] y"\t}',
                r'{"a":\r\n"orcli: run f {}? [y/N] y"\t}',
                id="a second question",
            ),
            pytest.param('{"a": "\u202e\u200b\u2028\x7f\x9b"}', r'{"a": "\u202e\u200b\u2028\x7f\x9b"}', id="unseen"),
        ],
    )
    def test_confirm_shows_the_arguments_to_the_letter(
        self, f: Orcli, openrouter: OpenRouter, arguments: str, shown: str
    ) -> None:
        openrouter.reply(calls(call_f("a", arguments)), completion("Done."))

        terminal = f.terminal("tool", "--confirm", *EXEC_F, "f=true", "hi", stdin=None, stdin_tty=False)
        terminal.wait_for(f"orcli: run f {shown}? [y/N] ")
        terminal.type("n\r")
        result = terminal.finish()

        assert (result.code, result.terminal) == (0, f"orcli: run f {shown}? [y/N] n\r\nDone.\r\n")

    def test_ctrl_c_at_the_question_ends_the_run(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f()))

        terminal = f.terminal("tool", "--confirm", *EXEC_F, "f=sh -c 'echo run >> ran'", "hi")
        terminal.wait_for("orcli: run f {}? [y/N] ")
        terminal.type("\x03")
        result = terminal.finish()

        assert result.code == -signal.SIGINT
        assert not (f.work / "ran").exists()

    def test_confirm_without_a_terminal_denies(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f()), completion("Done."))

        result = f("tool", "--confirm", *EXEC_F, "f=sh -c 'echo run >> ran'", "hi", stdin="y\n")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        assert contents(openrouter.requests[1].json["messages"]) == ["error: the user did not allow this call"]
        assert not (f.work / "ran").exists()

    @pytest.mark.parametrize(
        ("choice", "first", "second"),
        [
            ("auto", "auto", "auto"),
            ("none", "none", "none"),
            ("required", "required", "auto"),
            ("f", {"type": "function", "function": {"name": "f"}}, "auto"),
        ],
    )
    def test_a_choice_that_is_forced_is_forced_in_the_first_round_only(
        self, f: Orcli, openrouter: OpenRouter, choice: str, first: Any, second: str
    ) -> None:
        openrouter.reply(calls(call_f("a")), calls(call_f("b")), completion("Done."))

        result = f("tool", *EXEC_F, "f=printf ok", "--tool-choice", choice, "--no-parallel", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")
        sent = [request.json for request in openrouter.requests]
        assert [body["tool_choice"] for body in sent] == [first, second, second]
        assert [body["parallel_tool_calls"] for body in sent] == [False] * 3
        assert [body["tools"] for body in sent] == [[F]] * 3

    def test_a_failure_in_a_later_round_keeps_what_came_before(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f(), text="Let me see."), error(402, "No credits"))

        result = f("tool", *EXEC_F, "f=printf ok", "hi", "--json", "-v", "--log", "log")

        assert result.code == 3
        assert [each["role"] for each in json.loads(result.stdout)["messages"]] == ["user", "assistant", "tool"]
        lines = result.stderr.splitlines()
        assert lines[0].startswith("orcli: tool f {}: exit 0, ")
        assert lines[1].startswith("orcli: openai/gpt-4o-mini by OpenAI, 67 + 5 tokens, $0.00001305, total ")
        assert lines[2:] == ["orcli: 402: No credits; add credits, or lower --max-tokens"]
        log = [json.loads(line) for line in (f.work / "log").read_text().splitlines()]
        assert [(line["exit_code"], line["usage"]) for line in log] == [(0, USAGE), (3, None)]

    def test_a_stream_that_fails_in_a_later_round_keeps_the_transcript(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(streamed_calls(call_f(), text="Let me see."), stream(error_chunk(402, "No credits")))

        result = f("tool", "--stream", *EXEC_F, "f=printf ok", "hi", "--json", "--retries", "0")

        message = "402: No credits; add credits, or lower --max-tokens"
        assert (result.code, result.stderr) == (3, f"orcli: {message}\n")
        assert [each["role"] for each in json.loads(result.stdout)["messages"]] == ["user", "assistant", "tool"]

    def test_a_signal_while_a_tool_runs_leaves_the_transcript(self, f: Orcli, openrouter: OpenRouter) -> None:
        script(f, "tool", "touch started; sleep 1000")
        openrouter.reply(calls(call_f(), text="Let me see."))

        process = f.start("tool", *EXEC_F, "f=./tool", "hi", "--json")
        wait_until(process, (f.work / "started").exists)
        process.send_signal(signal.SIGTERM)
        result = process.finish()

        assert (result.code, result.stderr) == (-signal.SIGTERM, "")
        assert json.loads(result.stdout)["messages"][-1]["tool_calls"][0]["id"] == "a"


class TestStream:
    """`--stream`: the text as it arrives."""

    def test_each_text_is_there_before_the_next_is_sent(self, f: Orcli, openrouter: OpenRouter) -> None:
        gates = [threading.Event(), threading.Event()]
        script(f, "tool", "until [ -e go ]; do sleep .01; done; printf ok")
        openrouter.reply(
            stream(
                chunk("Let me see."),
                Pause(gates[0]),
                tool_call_delta("{}", id="a", name="f"),
                chunk("", finish_reason="tool_calls"),
            ),
            stream(chunk("It is "), Pause(gates[1]), chunk("ok."), chunk("", finish_reason="stop"), usage_chunk()),
        )

        process = f.start("tool", "--stream", *EXEC_F, "f=./tool", "hi")
        assert process.read_stdout(n=11) == b"Let me see."
        gates[0].set()
        assert process.read_stdout(n=1) == b"\n"
        f.file("go", "")
        assert process.read_stdout(n=6) == b"It is "
        gates[1].set()
        result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (0, "Let me see.\nIt is ok.\n", "")

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, "reader", "idle"], ids=str)
    def test_ending_it_in_a_later_round_hangs_up_at_once(
        self, f: Orcli, openrouter: OpenRouter, end: signal.Signals | str
    ) -> None:
        openrouter.reply(streamed_calls(call_f()), stream(chunk("It is "), Pause()))

        options = ["--idle-timeout", "1"] if end == "idle" else []
        process = f.start("tool", "--stream", *EXEC_F, "f=printf ok", "hi", *options)
        assert process.read_stdout(n=6) == b"It is "
        if isinstance(end, signal.Signals):
            process.send_signal(end)
        elif end == "reader":
            process.close_stdout()
        assert openrouter.wait_for_request(2).wait_hung_up()
        result = process.finish()

        code = -end if isinstance(end, signal.Signals) else 5 if end == "idle" else -signal.SIGPIPE
        stalled = "the answer broke off: nothing came for longer than --idle-timeout; try again"
        assert (result.code, result.stderr) == (code, f"orcli: {stalled}\n" if end == "idle" else "")
        assert result.stdout in ("It is \n", "It is ")

    def test_a_tool_that_takes_longer_than_the_idle_timeout_is_no_stall(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(streamed_calls(call_f()), stream(*text_stream("Done.")))

        result = f("tool", "--stream", "--idle-timeout", "0.5", *EXEC_F, "f=sleep 1", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Done.\n", "")

    def test_json_of_a_stream_is_one_completion_and_the_transcript(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(streamed_calls(call_f(), text="Let me see."), stream(*text_stream("Do", "ne.")))

        result = f("tool", "--stream", "--json", *EXEC_F, "f=printf ok", "hi")

        assert (result.code, result.stderr, result.stdout.count("\n")) == (0, "", 1)
        answer = json.loads(result.stdout)
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Done."}
        assert answer["usage"] == USAGE
        assert [each["content"] for each in answer["messages"]] == ["hi", "Let me see.", "ok", "Done."]

    def test_json_of_a_stream_that_begins_with_an_error_is_the_error(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(error_chunk(429, "Slow down")))

        result = f("tool", "--stream", "--json", *EXEC_F, "f=printf ok", "hi", "--retries", "0")

        assert (result.code, result.stderr) == (4, "orcli: 429: Slow down; try later\n")
        assert json.loads(result.stdout)["error"] == {"message": "Slow down", "code": 429}


FENCED = 'So:\n```json\n{"n": 1}\n```\n'
SCHEMA = '{"type": "object", "required": ["n"]}'


class TestTheFormOfTheAnswer:
    """`-x`, `--schema` and `-c` where tools are called before the answer."""

    @streamed_or_not
    def test_only_the_code_block_of_the_answer_is_printed(
        self, f: Orcli, openrouter: OpenRouter, streamed: bool
    ) -> None:
        openrouter.reply(suggests(call_f(), text="```\nno\n```", streamed=streamed), answers(FENCED, streamed))

        result = f("tool", "-x", *EXEC_F, "f=printf ok", "hi", *(["--stream"] if streamed else []))

        assert (result.code, result.stdout, result.stderr) == (0, '{"n": 1}\n', "")

    @streamed_or_not
    def test_the_schema_is_for_the_answer_and_not_for_text_beside_calls(
        self, f: Orcli, openrouter: OpenRouter, streamed: bool
    ) -> None:
        openrouter.reply(suggests(call_f(), text="Hm.", streamed=streamed), answers("{}", streamed))

        result = f("tool", "--schema", SCHEMA, *EXEC_F, "f=printf ok", "hi", *(["--stream"] if streamed else []))

        message = 'the answer does not satisfy --schema: "n" is a required property; try again, or another model'
        text = "Hm.\n{}\n" if streamed else "{}\n"
        assert (result.code, result.stdout, result.stderr) == (7, text, f"orcli: {message}\n")
        assert [request.json["response_format"]["type"] for request in openrouter.requests] == ["json_schema"] * 2

    @streamed_or_not
    def test_a_conversation_keeps_the_whole_sequence(self, f: Orcli, openrouter: OpenRouter, streamed: bool) -> None:
        openrouter.reply(suggests(call_f(), streamed=streamed), answers("Done.", streamed), answers("Bye.", streamed))
        options = [*EXEC_F, "f=printf ok", "-c", "talk", *(["--stream"] if streamed else [])]

        first = f("tool", *options, "hi")
        second = f("tool", *options, "bye")

        assert [(each.code, each.stdout, each.stderr) for each in (first, second)] == [
            (0, "Done.\n", ""),
            (0, "Bye.\n", ""),
        ]
        kept = [json.loads(line) for line in (f.work / "talk").read_text().splitlines()]
        assert [each["role"] for each in kept] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
        assert openrouter.requests[2].json["messages"] == kept[:-1]

    def test_a_conversation_keeps_nothing_of_a_sequence_that_failed(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f()))

        result = f("tool", *EXEC_F, "f=printf ok", "-c", "talk", "--max-rounds", "0", "hi")

        assert (result.code, (f.work / "talk").read_text()) == (8, "")


class TestVerbose:
    """`-v`: every call in a line."""

    def test_each_call_is_named_with_its_arguments_end_time_and_size(self, f: Orcli, openrouter: OpenRouter) -> None:
        script(f, "tool", "case $ORCLI_TOOL_CALL_ID in a) printf é;; b) exit 2;; c) kill -9 $$;; e) exec yes;; esac")
        entries = [call_f("a", '{"n":\n1}'), call_f("b"), call_f("c"), call_f("d", "[]"), call_f("e")]
        openrouter.reply(calls(*entries), completion("Done."))

        result = f("tool", "-v", *EXEC_F, "f=./tool", "hi")

        assert (result.code, result.stdout) == (0, "Done.\n")
        assert [re.sub(r"\d+\.\d\d s", "T", line) for line in result.stderr.splitlines()] == [
            'orcli: tool f {"n": 1}: exit 0, T, 2 bytes',
            "orcli: tool f {}: exit 2, T, 41 bytes",
            "orcli: tool f {}: SIGKILL, T, 37 bytes",
            "orcli: tool f []: not run, T, 39 bytes",
            "orcli: tool f {}: output cut, T, 1000048 bytes",
            "orcli: openai/gpt-4o-mini by OpenAI, 134 + 10 tokens, $0.0000261, total T",
        ]

    def test_the_log_has_a_line_for_each_request(self, f: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(calls(call_f("a", '{"n":"secret"}')), completion("Done."))

        result = f("tool", "--log", "log", *EXEC_F, "f=printf ok", "hi")

        lines = [json.loads(line) for line in (f.work / "log").read_text().splitlines()]
        assert (result.code, result.stderr) == (0, "")
        assert [(line["command"], line["finish_reason"], line["exit_code"]) for line in lines] == [
            ("tool", "tool_calls", 0),
            ("tool", "stop", 0),
        ]
        assert "secret" not in (f.work / "log").read_text()


def test_a_server_that_never_answers_the_results_meets_the_deadline(f: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(calls(call_f(), text="Let me see."), hang())

    result = f("tool", *EXEC_F, "f=printf ok", "hi", "--timeout", "2")

    message = "the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none"
    assert (result.code, result.stdout, result.stderr) == (124, "Let me see.\n", f"orcli: {message}\n")
