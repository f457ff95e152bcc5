"""Whatever a server sends: no traceback, no hang, no partial answer with exit 0, no exit code off the contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import samples
from tests.command import Orcli
from tests.forks import Forks
from tests.hostile import THOROUGHNESS, encoded, faults, replaced, some, wrong_anywhere
from tests.openrouter import DONE, Object, OpenRouter, raw, stream, verbatim

CODES = (0, 2, 3, 4, 5, 6, 7, 8)
FAILED = (2, 3, 4, 5, 6, 8)
HEAD = {"id": "gen-1", "created": 1778031306, "model": "a/b", "provider": "A"}
USAGE = {"prompt_tokens": 6, "cost": 0.1, "completion_tokens_details": {"reasoning_tokens": 1}}
COMPLETION: Object = {
    **HEAD,
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "native_finish_reason": "stop",
            "message": {"role": "assistant", "content": "Hello.", "refusal": None, "reasoning": "so", "images": None},
        }
    ],
    "usage": USAGE,
}
CALLS: Object = {
    **HEAD,
    "choices": [
        {
            "finish_reason": "tool_calls",
            "message": {
                "content": None,
                "reasoning_details": [{"type": "reasoning.text", "text": "so"}],
                "tool_calls": [
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
        }
    ],
}
IMAGES: Object = {
    **HEAD,
    "choices": [
        {
            "finish_reason": "stop",
            "message": {
                "content": [{"type": "text", "text": "Hello."}],
                "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}],
            },
        }
    ],
}
ERROR: Object = {
    "error": {
        "code": 429,
        "message": "Provider returned error",
        "metadata": {
            "raw": '{"error": {"message": "slow down"}}',
            "provider_name": "A",
            "error_type": "rate_limit_exceeded",
            "reasons": ["hate"],
            "remedy_hint": "wait",
            "limit_source": "x",
        },
    },
    "user_id": "user_2abcdef",
}
CHUNKS: list[Object] = [
    {**HEAD, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel", "reasoning": "so"}}]},
    {"choices": [{"delta": {"content": "lo."}, "finish_reason": None}]},
    {"choices": [{"delta": {}, "finish_reason": "stop", "native_finish_reason": "stop"}]},
    {"choices": [], "usage": USAGE},
]
CALL_CHUNKS: list[Object] = [
    {
        "choices": [
            {
                "delta": {
                    "reasoning_details": [{"type": "reasoning.text", "text": "so", "index": 0}],
                    "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f"}}],
                }
            }
        ]
    },
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}}]},
    {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
]
TOOLS = ["--tools", "tools.json"]
WHOLE = {
    "ask": (COMPLETION, ["ask", "-v", "hi"]),
    "ask --json": (COMPLETION, ["ask", "--json", "hi"]),
    "ask --schema": (COMPLETION, ["ask", "--schema", '{"type": "object"}', "hi"]),
    "tool": (CALLS, ["tool", "-v", *TOOLS, "--exec", "f=cat", "--max-rounds", "1", "hi"]),
    "tool by hand": (CALLS, ["tool", *TOOLS, "hi"]),
    "vision": (IMAGES, ["vision", "-v", "--save", ".", "hi", "a.png"]),
}
STREAMED = {
    "stream": (CHUNKS, ["stream", "-v", "hi"]),
    "stream --json": (CHUNKS, ["stream", "--json", "hi"]),
    "tool --stream": (CALL_CHUNKS, ["tool", "--stream", *TOOLS, "--exec", "f=cat", "--max-rounds", "1", "hi"]),
    "tool by hand": (CALL_CHUNKS, ["tool", "--stream", *TOOLS, "hi"]),
}


@pytest.fixture
def forks(orcli: Orcli, openrouter: OpenRouter) -> Iterator[Forks]:
    """Give runs by the hundred, without a second try and with what the commands read."""
    openrouter.allow_unused = True
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    orcli.file("tools.json", json.dumps(tools))
    orcli.file("a.png", samples.PNG)
    orcli.env["ORCLI_RETRIES"] = "0"
    with Forks(orcli) as forks:
        yield forks


def complete(value: Any) -> bool:
    """Tell, by the contract's words and none of orcli's code, whether a completion may end with exit 0."""
    choice = value["choices"][0]
    message = choice["message"]
    text = message.get("content")
    if isinstance(text, list):
        text = "".join(part["text"] for part in text if isinstance(part, dict) and isinstance(part.get("text"), str))
    answered = (isinstance(text, str) and bool(text.strip())) or bool(message.get("images"))
    reason = choice.get("finish_reason")
    finished = isinstance(reason, str) and reason not in ("", "null", "length", "error", "content_filter")
    return bool(message.get("tool_calls")) or (finished and answered)


@pytest.mark.parametrize("command", WHOLE)
def test_a_wrong_type_anywhere_in_a_completion(forks: Forks, openrouter: OpenRouter, command: str) -> None:
    value, arguments = WHOLE[command]
    found = []
    for place, wrong, changed in some(wrong_anywhere(value)):
        openrouter.default = raw(body=encoded(changed))
        result = forks(*arguments)
        trouble = faults(result, CODES)
        if result.code == 0 and not complete(changed):
            trouble.append("exit 0")
        found += [f"{place} {wrong!r}: {words}: {result}" for words in trouble]

    assert "\n".join(found) == ""


@pytest.mark.parametrize("command", STREAMED)
def test_a_wrong_type_anywhere_in_a_stream(forks: Forks, openrouter: OpenRouter, command: str) -> None:
    chunks, arguments = STREAMED[command]
    found = []
    for number, chunk in enumerate(chunks):
        for place, wrong, changed in some(wrong_anywhere(chunk)):
            events = [chunks[other] if other != number else changed for other in range(len(chunks))]
            openrouter.default = stream(*(b"data: " + encoded(event) + b"\n\n" for event in events))
            result = forks(*arguments)
            found += [f"{number} {place} {wrong!r}: {words}: {result}" for words in faults(result, CODES)]

    assert "\n".join(found) == ""


@pytest.mark.parametrize("status", [200, 429, 400, 403])
def test_a_wrong_type_anywhere_in_an_error(forks: Forks, openrouter: OpenRouter, status: int) -> None:
    found = []
    for place, wrong, changed in some(wrong_anywhere(ERROR)):
        openrouter.default = raw(status, body=encoded(changed))
        result = forks("ask", "hi")
        found += [f"{place} {wrong!r}: {words}: {result}" for words in faults(result, FAILED)]

    assert "\n".join(found) == ""


HELLO = raw(body=encoded(COMPLETION))
SHORT = [
    {"choices": [{"delta": {"content": "Grü"}}]},
    {"choices": [{"delta": {"content": "ße."}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
]
EVENTS = [b"data: " + json.dumps(event, ensure_ascii=False).encode() for event in SHORT]
BODY = b": OPENROUTER PROCESSING\n\n" + b"\n\n".join([*EVENTS, DONE])
SHORT_BODY = json.dumps(
    {"choices": [{"message": {"content": "Grüße."}, "finish_reason": "stop"}]}, ensure_ascii=False
).encode()


@pytest.mark.parametrize(("framing", "cut"), [("chunked", "close"), ("close", "close"), ("length", "reset")])
def test_a_stream_cut_at_every_byte(forks: Forks, openrouter: OpenRouter, framing: str, cut: str) -> None:
    # The end of a body without a length ends an event too; where the connection breaks, only a blank line does.
    blank = 0 if framing == "close" else 2
    ends = [BODY.index(event) + len(event) + blank for event in EVENTS]
    found = []
    for after in some(range(1, len(BODY))):
        openrouter.default = stream(BODY, done=False).with_(framing=framing, cut_after=after, cut=cut)
        result = forks("stream", "-n", "hi")
        text = "" if after < ends[0] else "Grü\n" if after < ends[1] else "Grüße.\n"
        last = BODY[:after].rpartition(b"data: ")[2].strip()
        whole = framing == "close" and after >= ends[2] and (last[:1] != b"[" or last == b"[DONE]")
        trouble = faults(result, (0,) if whole else (5,) if text else (4,))
        if result.stdout != text:
            trouble.append(f"{result.stdout!r} on stdout")
        found += [f"{after}: {words}: {result}" for words in trouble]

    assert "\n".join(found) == ""


@pytest.mark.parametrize(
    "command", [["ask", "hi"], ["tool", *TOOLS, "hi"], ["batch", "--lines", "hi"]], ids=lambda c: c[0]
)
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_body_cut_at_every_byte(forks: Forks, openrouter: OpenRouter, framing: str, command: list[str]) -> None:
    found = []
    for after in some(range(1, len(SHORT_BODY))):
        openrouter.default = raw(body=SHORT_BODY).with_(framing=framing, cut_after=after)
        result = forks(*command, stdin=b"a\n")
        trouble = faults(result, (9,) if command[0] == "batch" else (5,))
        if command[0] == "ask" and result.stdout:
            trouble.append("words on stdout")
        found += [f"{after}: {words}: {result}" for words in trouble]

    assert "\n".join(found) == ""


def test_a_stream_in_pieces_that_end_at_every_byte(forks: Forks, openrouter: OpenRouter) -> None:
    found = []
    for border in some(range(1, len(BODY))):
        openrouter.default = stream(BODY[:border], BODY[border:], done=False)
        result = forks("stream", "-n", "hi")
        if (result.code, result.stdout, result.stderr) != (0, "Grüße.\n", ""):
            found.append(f"{border}: {result}")

    assert "\n".join(found) == ""


def deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(("depth", "read"), [(190, True), (300, False), (990, False), (100_000, False)])
def test_json_nested_deep_is_used_or_told_by_its_name(
    forks: Forks, orcli: Orcli, openrouter: OpenRouter, depth: int, read: bool
) -> None:
    message = b'{"role": "user", "content": "hi", "x": %s}' % deep(depth)
    schema = b'{"type": "object", "x": %s}' % deep(depth)
    whole = b'{"choices": [{"finish_reason": "stop", "message": {"content": "hi", "x": %s}}]}' % deep(depth)
    events = [
        b'data: {"choices": [{"finish_reason": "stop", "delta": {"content": "hi", "images": [%s]}}]}\n\n' % deep(depth),
        DONE,
    ]
    orcli.file("messages", message)
    orcli.file("requests", b'{"messages": [%s]}' % message)
    orcli.file("schema", schema)
    orcli.file("tools", b'[{"type": "function", "function": {"name": "f", "parameters": %s}}]' % schema)
    found = []
    for arguments, reply, code in [
        (["ask", "-n", "hi"], raw(body=whole), 5),
        (["ask", "-n", "--json", "--log", "log", "hi"], raw(body=whole), 5),
        (["ask", "-n", "-c", f"conversation {depth}", "hi"], raw(body=whole), 5),
        (["tool", "-n", *TOOLS, "hi"], raw(body=whole), 5),
        (["batch", "--lines", "hi"], raw(body=whole), 9),
        (["stream", "-n", "hi"], stream(*events, done=False), 4),
        (["tool", "-n", "--stream", *TOOLS, "hi"], stream(*events, done=False), 4),
        (["ask", "--messages", "messages"], HELLO, 2),
        (["ask", "-n", "-c", "messages", "hi"], HELLO, 2),
        (["batch", "requests"], HELLO, 9),
        (["ask", "-n", "--schema", "schema", "hi"], HELLO, 2),
        (["tool", "-n", "--tools", "tools", "hi"], HELLO, 2),
        (["ask", "-n", "-p", f"x={deep(min(depth, 50_000)).decode()}", "hi"], HELLO, 2),
    ]:
        openrouter.default = reply
        result = forks(*arguments, stdin=b"a\n")
        expected = (7 if "--schema" in arguments else 0) if read else code
        found += [f"{words}: {result}" for words in faults(result, [expected])]

    assert "\n".join(found) == ""


NAMES = st.sampled_from(
    [
        b"Content-Type",
        b"Content-Length",
        b"Content-Encoding",
        b"Transfer-Encoding",
        b"Connection",
        b"Retry-After",
        b"retry-after-ms",
        b"Location",
        b"Set-Cookie",
        b"x-should-retry",
        b"X-Generation-Id",
        b"Date",
    ]
)
ODD_VALUES = st.sampled_from(
    [
        b"",
        b"gzip",
        b"br",
        b"deflate, gzip",
        b"zstd",
        b"chunked",
        b"text/event-stream",
        b"text/event-stream; charset=utf-16",
        b"application/json; charset=nonsense",
        b"-1",
        b"0",
        b"7",
        b"99999999999999999999999",
        b"1e999",
        b"nan",
        b"true",
        b"close",
        b"Wed, 21 Oct 2015 07:28:00 GMT",
        b"Wed, 99 Oct 99999 07:28:00",
        b"http://[::1",
        b"//\x1b[31m",
        b"\xff\xfe",
    ]
)
FIELDS = st.lists(st.tuples(NAMES | st.binary(max_size=8), ODD_VALUES | st.binary(max_size=20)), max_size=5)
STATUS_LINES = st.sampled_from([200, 201, 204, 206, 301, 304, 400, 404, 429, 500, 503, 599, 999]).map(
    lambda status: b"HTTP/1.1 %d X" % status
) | st.binary(max_size=30)
BODIES = st.sampled_from(
    [SHORT_BODY, BODY, b"", b"null", b"<html>", b"{", b"7\r\n{}", b"\x1f\x8b\x08\x00"]
) | st.binary(max_size=60)


@pytest.mark.parametrize("command", ["ask", "stream", "batch", "models"])
def test_any_head_and_any_body(forks: Forks, openrouter: OpenRouter, command: str) -> None:
    arguments = {"ask": ["ask", "hi"], "stream": ["stream", "hi"], "batch": ["batch", "--lines", "hi"]}

    @settings(max_examples=100 * THOROUGHNESS, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(status=STATUS_LINES, fields=FIELDS, body=BODIES)
    def check(status: bytes, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
        head = b"\r\n".join([status, *(name + b": " + value for name, value in fields)])
        openrouter.reply(verbatim(head, b"\r\n\r\n", body))
        result = forks(*arguments.get(command, ["models"]), stdin=b"a\n", env={"ORCLI_TIMEOUT": "10"})
        answered = "Grüße." in result.stdout
        codes = (0, 3, 4, 9) if command == "batch" else (0, 2, 3, 4, 5)
        assert faults(result, codes) == []
        assert command in ("models", "batch") or answered == (result.code == 0) or result.code == 5

    check()


TEXTS = st.text(max_size=6) | st.sampled_from(
    ["\ud83d", "\x00", "\x1b[31m", "NaN", "1e999", "9" * 5000, "true", "{", "[[", '"']
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
HOSTILE_SETTINGS = settings(
    max_examples=60 * THOROUGHNESS, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
MESSAGES: list[Any] = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "name": "f", "tool_call_id": "call_1", "content": "1"},
]
DEFINITION: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "description": "d",
            "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        },
    }
]
BATCH_LINE: Object = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "a/b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
}


@pytest.mark.parametrize(
    ("value", "arguments", "codes"),
    [
        pytest.param(MESSAGES, ["ask", "--messages", "-"], (0, 2), id="messages"),
        pytest.param(MESSAGES, ["tool", *TOOLS, "--messages", "-", "--json"], (0, 2), id="messages of tool"),
        pytest.param(
            MESSAGES[:3],
            ["tool", *TOOLS, "--messages", "-", "--result", "call_1=2"],
            (0, 2),
            id="a call and its result",
        ),
        pytest.param(DEFINITION, ["tool", "--tools", "/dev/stdin", "hi"], (0, 2), id="tools"),
        pytest.param(
            DEFINITION[0]["function"]["parameters"], ["ask", "--schema", "/dev/stdin", "hi"], (2, 7), id="schema"
        ),
        pytest.param(BATCH_LINE, ["batch"], (0, 9), id="batch"),
    ],
)
def test_a_wrong_type_anywhere_in_what_is_read(
    forks: Forks, openrouter: OpenRouter, value: Any, arguments: list[str], codes: tuple[int, ...]
) -> None:
    openrouter.default = HELLO
    found = []
    for place, wrong, changed in some(wrong_anywhere(value)):
        before = len(openrouter.requests)
        result = forks(*arguments, stdin=encoded(changed) + b"\n")
        trouble = faults(result, codes)
        if result.code == 2 and len(openrouter.requests) > before:
            trouble.append("asked in spite of the mistake")
        found += [f"{place} {wrong!r}: {words}: {result}" for words in trouble]

    assert "\n".join(found) == ""


def test_any_parameter(forks: Forks, openrouter: OpenRouter) -> None:
    openrouter.default = HELLO

    @HOSTILE_SETTINGS
    @given(
        key=TEXTS | st.sampled_from(["a.b", "a..b", ".", "messages", "model.x", "stream", "tools"]), value=TEXTS | JSON
    )
    def check(key: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        words = f"{key}={text}".replace("\0", "")
        try:
            words.encode()
        except UnicodeEncodeError:
            words = words.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
        assert faults(forks("ask", "-n", "-p", words, "hi"), (0, 2)) == []

    check()


def test_any_arguments_of_a_call_and_any_result_of_a_tool(forks: Forks, orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file("defined.json", json.dumps(DEFINITION))
    tool = ["tool", "-n", "-v", "--tools", "defined.json", "--exec", "f=cat result", "hi"]

    @HOSTILE_SETTINGS
    @given(arguments=TEXTS | JSON | st.builds(lambda value: {"a": value}, JSON), output=st.binary(max_size=30))
    def check(arguments: Any, output: bytes) -> None:
        orcli.file("result", output)
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        called = encoded(replaced(CALLS, ("choices", 0, "message", "tool_calls", 0, "function", "arguments"), text))
        openrouter.reply(raw(body=called))
        openrouter.default = HELLO
        result = forks(*tool)
        assert (faults(result, (0,)), result.stdout) == ([], "Hello.\n")
        assert openrouter.requests[-1].json["messages"][-1]["tool_call_id"] == "call_1"

    check()


def test_any_bytes_that_are_read(forks: Forks, openrouter: OpenRouter) -> None:
    openrouter.default = HELLO
    starts = [
        b"",
        samples.PNG[:30],
        b"GIF89a",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"%PDF-1.",
        b"\xff\xd8\xff",
        b"\xef\xbb\xbf",
        b'{"',
    ]

    @HOSTILE_SETTINGS
    @given(start=st.sampled_from(starts), data=st.binary(max_size=40))
    def check(start: bytes, data: bytes) -> None:
        for arguments, codes in [
            (["ask"], (0, 2)),
            (["vision", "hi", "-"], (0, 2)),
            (["ask", "--messages", "-"], (0, 2)),
            (["batch"], (0, 9)),
        ]:
            assert faults(forks(*arguments, stdin=start + data), codes) == []

    check()
