"""`--messages`, a conversation that is read, and `-c`, one that is carried on in a file and loses nothing."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orcli.errors import UsageError
from orcli.transcript import ROLES, assistant_turn, parse_lines, parse_messages, with_system
from tests.command import Orcli
from tests.openrouter import (
    OpenRouter,
    Reply,
    Request,
    chunk,
    completion,
    error,
    hang,
    raw,
    stream,
    text_stream,
    tool_call,
)

Message = dict[str, Any]


def user(text: str) -> Message:
    """Build a user turn."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    """Build an answer."""
    return {"role": "assistant", "content": text}


def system(text: str) -> Message:
    """Build a system message."""
    return {"role": "system", "content": text}


def lines_of(path: Path) -> list[Message]:
    """Read a conversation file, which has to end with a newline."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data[:-1].split(b"\n")]


def sent(openrouter: OpenRouter) -> list[list[Message]]:
    """Give the messages of every request."""
    return [request.json["messages"] for request in openrouter.requests]


def dry(orcli: Orcli, *arguments: str, stdin: bytes | str | None = None) -> list[Message]:
    """Give the messages that a command line would send."""
    result = orcli("ask", "--dry-run", *arguments, stdin=stdin)
    assert (result.code, result.stderr) == (0, "")
    messages = json.loads(result.stdout)["messages"]
    assert isinstance(messages, list)
    return messages


# --messages

TALK: list[Message] = [system("Be brief."), user("Wo?\u2028\r\n"), assistant("Da."), user("Wirklich? 😀")]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RICH: list[Message] = [
    {"role": "developer", "content": "Be brief.", "name": "ops"},
    {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_details": [{"type": "x", "n": 1}]},
    {"role": "tool", "tool_call_id": "call_1", "name": "f", "content": ""},
    {"role": "assistant", "content": "", "unknown": {"kept": [None, True, 1.5]}},
]


def as_lines(messages: list[Message], end: str = "\n") -> str:
    """Write one message a line."""
    return "".join(json.dumps(message, ensure_ascii=False) + end for message in messages)


FORMS = [
    pytest.param(json.dumps(TALK), TALK, id="an array on one line"),
    pytest.param(json.dumps(TALK, indent=2, ensure_ascii=False), TALK, id="an array on many lines"),
    pytest.param(json.dumps({"messages": TALK}), TALK, id="an object with messages"),
    pytest.param(json.dumps({"model": "a/b", "choices": [], "messages": TALK}, indent=1), TALK, id="a transcript"),
    pytest.param(as_lines(TALK), TALK, id="one message a line"),
    pytest.param(as_lines(TALK)[:-1], TALK, id="one message a line, without a last newline"),
    pytest.param("\n \n" + as_lines(TALK, "\n\n"), TALK, id="blank lines between"),
    pytest.param(as_lines(TALK, "\r\n"), TALK, id="lines that end in CRLF"),
    pytest.param(json.dumps(user("hi")), [user("hi")], id="a single message"),
    pytest.param(json.dumps(user("hi"), indent=2), [user("hi")], id="a single message on many lines"),
    pytest.param(json.dumps(RICH), RICH, id="every role, and fields that orcli does not know"),
]


@pytest.mark.parametrize(("content", "messages"), FORMS)
def test_messages_are_read_in_every_form(content: str, messages: list[Message]) -> None:
    assert parse_messages(content.encode(), "file") == messages


@pytest.mark.parametrize("content", [FORMS[1].values[0], FORMS[7].values[0], FORMS[10].values[0]])
def test_a_whole_conversation_is_sent_as_it_stands(orcli: Orcli, openrouter: OpenRouter, content: str) -> None:
    orcli.file("talk.json", content)

    result = orcli("ask", "--messages", "talk.json", stdin=b"not read")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert sent(openrouter) == [parse_messages(content.encode(), "")]


def test_a_whole_conversation_can_come_on_standard_input(orcli: Orcli) -> None:
    assert dry(orcli, "--messages", "-", stdin=json.dumps(TALK)) == TALK


@pytest.mark.parametrize(
    ("arguments", "stdin", "messages"),
    [
        pytest.param(["hi"], b"not read", [*TALK, user("hi")], id="PROMPT"),
        pytest.param(["hi", "a.txt"], None, [*TALK, user("hi\n\ndata")], id="PROMPT and FILE"),
        pytest.param(["hi", "-"], b"data", [*TALK, user("hi\n\ndata")], id="PROMPT and -"),
        pytest.param(["-"], b"data", [*TALK, user("data")], id="- as PROMPT"),
        pytest.param(["-s", "Be long."], None, [system("Be long."), *TALK[1:]], id="-s in place of the first"),
        pytest.param(["-s", "Be long.", "hi"], None, [system("Be long."), *TALK[1:], user("hi")], id="-s and PROMPT"),
    ],
)
def test_a_prompt_is_appended_and_a_system_message_replaced(
    orcli: Orcli, arguments: list[str], stdin: bytes | None, messages: list[Message]
) -> None:
    orcli.file("a.txt", "data")
    path = orcli.file("talk.json", json.dumps(TALK))

    assert dry(orcli, "--messages", "talk.json", *arguments, stdin=stdin) == messages
    assert path.read_text() == json.dumps(TALK)


def test_a_system_message_goes_to_the_front_of_a_conversation_without_one(orcli: Orcli) -> None:
    orcli.file("system.txt", "Be long.\n")
    talk = json.dumps(TALK[1:])

    messages = dry(orcli, "--messages", "-", "--system-file", "system.txt", stdin=talk)

    assert messages == [system("Be long.\n"), *TALK[1:]]


def test_messages_and_a_prompt_on_a_silent_standard_input_do_not_wait(orcli: Orcli) -> None:
    orcli.file("talk.json", json.dumps(TALK))
    process = orcli.start("ask", "--dry-run", "--messages", "talk.json", "hi", stdin="pipe")

    assert process.wait_exit()
    assert process.finish().stderr == ""


NONE = "file holds no messages; give a JSON array of messages, or one message a line"
NO_ROLE = "has no role of system, developer, user, assistant, tool; give it one"
NO_CONTENT = "has no content; give it a string or content parts"
MALFORMED = [
    pytest.param(b"", NONE, id="empty"),
    pytest.param(b" \r\n\t\n", NONE, id="blank"),
    pytest.param(b"[]", NONE, id="an empty array"),
    pytest.param(b'{"messages": []}', NONE, id="an object with no messages in it"),
    pytest.param(b'{"messages": null}', NONE, id="null messages"),
    pytest.param(b'{"messages": {"role": "user", "content": "hi"}}', NONE, id="an object in place of the array"),
    pytest.param(b"null", NONE, id="null"),
    pytest.param(b"5", NONE, id="a number"),
    pytest.param(b'"hi"', NONE, id="a string"),
    pytest.param(b'["hi"]', "file: message 1 is not an object; a message has a role and content", id="strings"),
    pytest.param(
        b'{"role":"user","content":"hi"}\n5\n',
        "file: message 2 is not an object; a message has a role and content",
        id="a number on a line",
    ),
    pytest.param(
        b'[{"role":"user","content":"hi"},[]]',
        "file: message 2 is not an object; a message has a role and content",
        id="an array in the array",
    ),
    pytest.param(b"{}", f"file: message 1 {NO_ROLE}", id="an empty object"),
    pytest.param(b'[{"content": "hi"}]', f"file: message 1 {NO_ROLE}", id="no role"),
    pytest.param(b'[{"role": "usr", "content": "hi"}]', f"file: message 1 {NO_ROLE}", id="an unknown role"),
    pytest.param(b'[{"role": ["user"], "content": "hi"}]', f"file: message 1 {NO_ROLE}", id="a role that is no string"),
    pytest.param(b'[{"role": "user"}]', f"file: message 1 {NO_CONTENT}", id="no content"),
    pytest.param(b'[{"role": "user", "content": null}]', f"file: message 1 {NO_CONTENT}", id="null content"),
    pytest.param(b'[{"role": "user", "content": 5}]', f"file: message 1 {NO_CONTENT}", id="a number as content"),
    pytest.param(b'[{"role": "user", "content": []}]', f"file: message 1 {NO_CONTENT}", id="no parts"),
    pytest.param(b'[{"role": "user", "content": ["hi"]}]', f"file: message 1 {NO_CONTENT}", id="a part that is none"),
    pytest.param(
        b'[{"role": "assistant", "content": null, "tool_calls": []}]',
        f"file: message 1 {NO_CONTENT}",
        id="an answer of nothing",
    ),
    pytest.param(
        b'{"role":"user","content":"hi"}\n{"role":"user"',
        "file, line 2 is not JSON: Expecting ',' delimiter: line 1 column 15 (char 14); one message a line is wanted",
        id="a torn last line",
    ),
    pytest.param(
        b'\n{"role":"user","content":"hi"}\nuser: hi\n',
        "file, line 3 is not JSON: Expecting value: line 1 column 1 (char 0); one message a line is wanted",
        id="a line of text",
    ),
    pytest.param(
        b'{"role":"user","content":"hi","n":NaN}',
        "file, line 1 is not JSON: NaN is not JSON; one message a line is wanted",
        id="NaN",
    ),
    pytest.param(
        b'{"role":"user","content":"hi","n":-1e999}',
        "file, line 1 is not JSON: -1e999 is beyond any number; one message a line is wanted",
        id="a number that no float holds",
    ),
    pytest.param(
        b'{"n":' * 200_000,
        "file, line 1 is not JSON: nested too deeply; one message a line is wanted",
        id="braces without end",
    ),
    pytest.param(
        b'[{"role":"user","content":"caf\xe9"}]',
        "file is not UTF-8 at offset 30; convert it with iconv",
        id="a byte that is not UTF-8",
    ),
    pytest.param(
        b'\xef\xbb\xbf[{"role":"user","content":"hi"}]',
        "file, line 1 is not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0); "
        "one message a line is wanted",
        id="a byte order mark",
    ),
]


@pytest.mark.parametrize(("data", "message"), MALFORMED)
def test_a_malformed_conversation_is_told_by_its_line_or_message(data: bytes, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_messages(data, "file")

    assert raised.value.message == message


@pytest.mark.parametrize("row", [0, 12, 22, 27], ids=lambda row: str(MALFORMED[row].id))
@pytest.mark.parametrize("option", ["--messages", "-c"])
def test_a_malformed_conversation_is_exit_2_and_nothing_is_sent(
    orcli: Orcli, openrouter: OpenRouter, option: str, row: int
) -> None:
    data, message = MALFORMED[row].values
    assert isinstance(data, bytes)
    if option == "-c" and not data.strip():
        data, message = b"\0\n", "file, line 1 is not JSON: Expecting value: line 1 column 1 (char 0); one message a "
        message += "line is wanted"
    path = orcli.file("file", data)

    result = orcli("ask", option, "file", "hi")

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
    assert path.read_bytes() == data
    assert openrouter.requests == []


def test_a_fault_in_an_array_of_many_lines_is_told_where_it_is() -> None:
    with pytest.raises(UsageError) as raised:
        parse_messages(b'[\n{"role": "user", "content": "a"}\n{"role": "user", "content": "b"}\n]\n', "file")

    assert raised.value.message == (
        "file is not JSON: Expecting ',' delimiter: line 3 column 1 (char 35); "
        "give a JSON array of messages, or one message a line"
    )


def test_half_a_surrogate_pair_in_a_conversation_is_a_usage_error(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("ask", "--messages", "-", stdin=rb'[{"role":"user","content":"\ud83d"}]')

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == (
        "orcli: the request holds half a surrogate pair (U+D83D), which is no text; mend the messages\n"
    )
    assert openrouter.requests == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gone", "No such file or directory"),
        (".", "Is a directory"),
        ("talk.json/gone", "Not a directory"),
        ("", "No such file or directory"),
    ],
)
def test_a_conversation_that_cannot_be_read_is_a_usage_error(
    orcli: Orcli, openrouter: OpenRouter, name: str, why: str
) -> None:
    orcli.file("talk.json", json.dumps(TALK))

    result = orcli("ask", "--messages", name, "hi")

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: cannot read {name}: {why}; check the path\n")
    assert openrouter.requests == []


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
@example(b'{"messages": 1e999}')
@example(b'[{"role": {}, "content": "hi"}]')
@example(b'{"role": "user", "content": "\\ud800"}')
@example(b"[" * 100_000)
@example(b"9" * 5000)
def test_any_bytes_are_messages_or_a_usage_error(data: bytes) -> None:
    try:
        messages = parse_messages(data, "file")
    except UsageError:
        return
    assert messages
    assert all(message["role"] in ROLES for message in messages)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(ROLES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("role", "content", "tool_calls", "messages")) | st.text(), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(st.lists(JSON, max_size=3), st.booleans())
def test_any_json_is_messages_or_a_usage_error(values: list[Any], lines: bool) -> None:
    text = "\n".join(map(json.dumps, values)) if lines else json.dumps(values)
    try:
        messages = parse_messages(text.encode(), "file")
    except UsageError:
        return
    assert all(isinstance(message["content"], str | list) or message["tool_calls"] for message in messages)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(ROLES), st.text())))
def test_what_is_written_one_a_line_is_read_back(messages: list[Message]) -> None:
    data = as_lines(messages).encode("utf-8", "surrogatepass")
    if messages:
        assert parse_messages(data, "file") == messages


def test_a_system_message_replaces_only_one_that_stands_first() -> None:
    assert with_system([], "s") == [system("s")]
    assert with_system([system("a"), user("b")], "s") == [system("s"), user("b")]
    assert with_system([user("b"), system("a")], "s") == [system("s"), user("b"), system("a")]
    assert with_system([system("a")], None) == [system("a")]


# -c

HELLO = [user("hi"), assistant("Hello.")]


@pytest.mark.parametrize("umask", ["000", "077"])
def test_a_new_conversation_is_made_with_mode_0600(orcli: Orcli, openrouter: OpenRouter, umask: str) -> None:
    result = orcli.shell(f"umask {umask}; orcli ask -c talk hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert stat.S_IMODE((orcli.work / "talk").stat().st_mode) == 0o600
    assert lines_of(orcli.work / "talk") == HELLO


def test_turns_are_carried_on_in_their_order(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("One.\n"), completion("Zwei 😀"), stream(*text_stream("Th", "ree")), completion("4"))
    orcli.file("a.txt", "data\n")

    results = [
        orcli("ask", "-c", "talk", "first", "a.txt"),
        orcli("ask", "-c", "talk", stdin="second\n"),
        orcli("stream", "-c", "talk", "third", stdin="data"),
        orcli("ask", "--json", "-c", "talk", "fourth"),
    ]

    turns = [
        user("first\n\ndata\n"),
        assistant("One.\n"),
        user("second\n"),
        assistant("Zwei 😀"),
        user("third\n\ndata"),
        assistant("Three"),
        user("fourth"),
        assistant("4"),
    ]
    assert [(result.code, result.stderr) for result in results] == [(0, "")] * 4
    assert [result.stdout for result in results][:3] == ["One.\n", "Zwei 😀\n", "Three\n"]
    assert sent(openrouter) == [turns[:1], turns[:3], turns[:5], turns[:7]]
    assert lines_of(orcli.work / "talk") == turns


def test_an_existing_file_keeps_its_mode_and_its_bytes(orcli: Orcli, openrouter: OpenRouter) -> None:
    before = b'{"content":"\\u0061 b" , "role":"user", "x":1}\r\n\n{"role":"assistant","content":"c"}\n'
    path = orcli.file("talk", before)
    path.chmod(0o644)

    result = orcli("ask", "-c", "talk", "hi")

    assert (result.code, result.stderr) == (0, "")
    assert path.read_bytes().startswith(before)
    assert lines_of(orcli.file("rest", path.read_bytes()[len(before) :])) == HELLO
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sent(openrouter) == [[{"content": "a b", "role": "user", "x": 1}, assistant("c"), user("hi")]]


@pytest.mark.parametrize("before", [b"", b"\n", b" \r\n"], ids=repr)
def test_an_empty_file_is_a_conversation_that_has_not_begun(
    orcli: Orcli, openrouter: OpenRouter, before: bytes
) -> None:
    path = orcli.file("talk", before)

    result = orcli("ask", "-c", "talk", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert [json.loads(line) for line in path.read_text().split("\n") if line.strip()] == HELLO


def test_a_missing_last_newline_is_mended(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file("talk", json.dumps(user("a")) + "\n" + json.dumps(assistant("b")))

    result = orcli("ask", "-c", "talk", "hi")

    assert (result.code, result.stderr) == (0, "")
    assert lines_of(path) == [user("a"), assistant("b"), *HELLO]


def test_a_system_message_is_stored_once_and_a_later_one_is_for_its_request_alone(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    for arguments in (["-s", "Be brief.", "hi"], ["-s", "Be long.", "hi"], ["hi"]):
        assert orcli("ask", "-c", "talk", *arguments).code == 0

    stored = [system("Be brief."), *HELLO]
    assert sent(openrouter) == [
        [system("Be brief."), user("hi")],
        [system("Be long."), *HELLO, user("hi")],
        [*stored, *HELLO, user("hi")],
    ]
    assert lines_of(orcli.work / "talk") == [*stored, *HELLO, *HELLO]


def test_a_system_message_given_late_is_not_stored(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file("talk", as_lines(HELLO))

    result = orcli("ask", "-c", "talk", "-s", "Be long.", "hi")

    assert (result.code, result.stderr) == (0, "")
    assert sent(openrouter) == [[system("Be long."), *HELLO, user("hi")]]
    assert lines_of(path) == [*HELLO, *HELLO]


def test_reasoning_details_and_annotations_are_kept_as_they_came(orcli: Orcli, openrouter: OpenRouter) -> None:
    details = [{"type": "reasoning.encrypted", "data": "gAAA+/=", "id": "rs_1", "format": None, "index": 0, "new": [1]}]
    notes = [{"type": "url_citation", "url_citation": {"url": "https://example.com", "start_index": 0}}]
    message = {"reasoning": "Hm.", "reasoning_details": details, "annotations": notes}
    openrouter.reply(completion("Yes.", message=message))

    first = orcli("ask", "-c", "talk", "hi")
    second = orcli("ask", "-c", "talk", "and?")

    answer = {"role": "assistant", "content": "Yes.", "reasoning_details": details, "annotations": notes}
    assert (first.stdout, second.stdout) == ("Yes.\n", "Hello.\n")
    assert sent(openrouter)[1] == [user("hi"), answer, user("and?")]
    assert lines_of(orcli.work / "talk") == [user("hi"), answer, user("and?"), assistant("Hello.")]


def test_reasoning_details_of_a_stream_are_kept(orcli: Orcli, openrouter: OpenRouter) -> None:
    thought = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "f", "index": 0}
    openrouter.reply(stream(chunk("", delta={"reasoning": "Hm.", "reasoning_details": [thought]}), *text_stream("Yes")))

    result = orcli("stream", "-c", "talk", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Yes\n", "")
    assert lines_of(orcli.work / "talk") == [
        user("hi"),
        {"role": "assistant", "content": "Yes", "reasoning_details": [thought]},
    ]


def test_what_an_answer_leaves_in_the_conversation() -> None:
    message = {"role": "model", "content": "a", "refusal": None, "reasoning": "r", "annotations": None, "images": [1]}

    assert assistant_turn(message) == {"role": "assistant", "content": "a"}


def test_an_extracted_answer_is_kept_whole(orcli: Orcli, openrouter: OpenRouter) -> None:
    text = "Here:\n```sh\nls\n```\nDone."
    openrouter.reply(completion(text))

    result = orcli("ask", "-x", "-c", "talk", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "ls\n", "")
    assert lines_of(orcli.work / "talk") == [user("hi"), assistant(text)]


CUT = [chunk(""), chunk("Hel")]
INCOMPLETE = [
    pytest.param("ask", [], error(503, "Overloaded"), 4, id="exit 4"),
    pytest.param("ask", [], error(400, "Bad"), 2, id="exit 2"),
    pytest.param("ask", [], completion("Hel", finish_reason="length"), 5, id="exit 5, cut at the limit"),
    pytest.param("ask", [], completion(""), 5, id="exit 5, empty"),
    pytest.param("ask", [], completion().with_(cut_after=300), 5, id="exit 5, a body that breaks off"),
    pytest.param("stream", [], stream(*CUT, done=False), 5, id="exit 5, a stream that ends without a finish"),
    pytest.param("ask", [], completion("Hel", finish_reason="content_filter"), 6, id="exit 6, a filter"),
    pytest.param("ask", [], completion(None, message={"refusal": "No."}), 6, id="exit 6, a refusal"),
    pytest.param("ask", ["--schema", '{"type":"object"}'], completion("[]"), 7, id="exit 7, off the schema"),
    pytest.param("stream", ["-x"], stream(*text_stream("no block")), 7, id="exit 7, no block"),
    pytest.param("ask", [], completion(None, message={"tool_calls": [tool_call("1", "f", "{}")]}), 8, id="exit 8"),
    pytest.param("ask", ["--timeout", "2"], hang(), 124, id="exit 124, no answer"),
    pytest.param("ask", [], raw(502, body=b"<html>"), 4, id="exit 4, a gateway's page"),
]


@pytest.mark.parametrize(("command", "options", "reply", "code"), INCOMPLETE)
def test_nothing_is_appended_without_a_complete_answer(
    orcli: Orcli, openrouter: OpenRouter, command: str, options: list[str], reply: Reply, code: int
) -> None:
    openrouter.reply(reply)
    before = as_lines(HELLO)[:-1]
    path = orcli.file("talk", before)

    result = orcli(command, "--retries", "0", "-c", "talk", *options, "and?")

    assert result.code == code
    assert sent(openrouter) == [[*HELLO, user("and?")]]
    assert path.read_text() == before


def test_nothing_is_appended_when_a_stream_passes_the_deadline(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(stream(*CUT, done=False).with_(parts=(*CUT, hang().parts[0])))
    path = orcli.file("talk", as_lines(HELLO))

    result = orcli("stream", "--timeout", "2", "-c", "talk", "and?")

    assert (result.code, result.stdout) == (124, "Hel\n")
    assert path.read_text() == as_lines(HELLO)


def test_nothing_is_appended_when_the_answer_could_not_be_written(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file("talk", as_lines(HELLO))
    with open("/dev/full", "wb") as full:
        result = orcli("ask", "-c", "talk", "and?", stdout=full)

    assert result.code == 1
    assert path.read_text() == as_lines(HELLO)


def test_nothing_is_appended_when_a_signal_ends_the_run(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(hang())
    process = orcli.start("ask", "-c", "talk", "hi")
    openrouter.wait_for_request()

    process.send_signal(signal.SIGTERM)

    assert process.finish().code == -signal.SIGTERM
    assert (orcli.work / "talk").read_text() == ""


def test_a_failed_first_turn_can_be_asked_again(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(error(503, "Overloaded"))

    results = [orcli("ask", "--retries", "0", "-s", "Be brief.", "-c", "talk", "hi") for _ in range(2)]

    assert [result.code for result in results] == [4, 0]
    assert lines_of(orcli.work / "talk") == [system("Be brief."), *HELLO]


def test_a_dry_run_leaves_the_conversation_as_it_is(orcli: Orcli) -> None:
    path = orcli.file("talk", as_lines(HELLO)[:-1])

    assert dry(orcli, "-c", "talk", "-s", "Be brief.", "and?") == [system("Be brief."), *HELLO, user("and?")]
    assert path.read_text() == as_lines(HELLO)[:-1]


def test_eight_at_once_lose_no_turn_and_keep_each_answer_with_its_question(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    everyone = threading.Event()

    def together(request: Request) -> Reply:
        if len(openrouter.requests) == 8:
            everyone.set()
        assert everyone.wait(30)
        return completion(f"{request.json['messages'][-1]['content']}!" + "x" * 100_000)

    openrouter.default = together

    result = orcli.shell("seq 8 | xargs -P 8 -I{} orcli ask -c talk -s 'Be brief.' {} > /dev/null")

    assert (result.code, result.stderr) == (0, "")
    first, *turns = lines_of(orcli.work / "talk")
    assert first == system("Be brief.")
    assert sorted(turn["content"] for turn in turns[::2]) == [str(number) for number in range(1, 9)]
    assert turns[1::2] == [assistant(f"{turn['content']}!" + "x" * 100_000) for turn in turns[::2]]


def test_a_turn_that_another_run_adds_meanwhile_stays(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file("talk", "")

    def meanwhile(request: Request) -> Reply:
        with path.open("a") as file:
            file.write(json.dumps(user("other")))
        return completion()

    openrouter.reply(meanwhile)

    result = orcli("ask", "-c", "talk", "-s", "Be brief.", "hi")

    assert (result.code, result.stderr) == (0, "")
    assert lines_of(path) == [user("other"), *HELLO]


def test_a_turn_waits_for_the_lock_of_another_run(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file("talk", as_lines(HELLO))
    with path.open("a") as file:

        def lock(request: Request) -> Reply:
            fcntl.flock(file, fcntl.LOCK_EX)
            return completion("Yes.")

        openrouter.reply(lock)
        process = orcli.start("ask", "-c", "talk", "and?")
        assert process.read_stdout(until=b"\n") == b"Yes.\n"
        assert not process.wait_exit(0.3)
        assert path.read_text() == as_lines(HELLO)
        file.write(json.dumps(user("other")))

    result = process.finish()
    assert (result.code, result.stdout, result.stderr) == (0, "Yes.\n", "")
    assert lines_of(path) == [*HELLO, user("other"), user("and?"), assistant("Yes.")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("gone/talk", "cannot open the conversation gone/talk: No such file or directory; check the path"),
        pytest.param("plain/talk", "cannot open the conversation plain/talk: Not a directory; check the path"),
        pytest.param(".", "cannot open the conversation .: Is a directory; check the path"),
        pytest.param("loop", "cannot open the conversation loop: Too many levels of symbolic links; check the path"),
        pytest.param("", "cannot open the conversation : No such file or directory; check the path", id="no name"),
        pytest.param("/dev/null", "/dev/null is no regular file; a conversation is kept in one"),
        pytest.param("/dev/stdin", "/dev/stdin is no regular file; a conversation is kept in one"),
        pytest.param("fifo", "fifo is no regular file; a conversation is kept in one"),
    ],
)
def test_a_file_that_cannot_be_carried_on_fails_before_anything_is_sent(
    orcli: Orcli, openrouter: OpenRouter, name: str, message: str
) -> None:
    orcli.file("plain", "")
    (orcli.work / "loop").symlink_to("loop")
    os.mkfifo(orcli.work / "fifo")

    result = orcli("ask", "-c", name, "hi")

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
    assert openrouter.requests == []


def test_a_conversation_and_messages_contradict_each_other(orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file("talk.json", json.dumps(TALK))

    result = orcli("ask", "-c", "talk", "--messages", "talk.json", "hi")

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: -c and --messages contradict each other; use one\n"
    assert not (orcli.work / "talk").exists()
    assert openrouter.requests == []


def test_a_conversation_needs_a_new_turn(orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file("talk", as_lines(HELLO))

    result = orcli("ask", "-c", "talk")

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: no PROMPT, and standard input is empty; give a PROMPT or pipe one in\n"
    assert openrouter.requests == []


def test_a_long_conversation_is_sent_whole_and_in_order(orcli: Orcli, openrouter: OpenRouter) -> None:
    turns = [user(f"{number} ü" + "x" * 1000) if number % 2 else assistant(f"{number}") for number in range(1, 10_001)]
    path = orcli.file("talk", as_lines(turns))

    result = orcli("ask", "-c", "talk", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert sent(openrouter) == [[*turns, user("hi")]]
    assert lines_of(path) == [*turns, *HELLO]


def test_a_disk_that_is_full_leaves_the_conversation_as_it_was(orcli: Orcli, openrouter: OpenRouter) -> None:
    before = as_lines([user("x" * 10_000), assistant("y")])
    path = orcli.file("talk", before)
    openrouter.reply(completion("z" * 10_000))

    result = orcli.shell("ulimit -f 12; orcli ask -c talk hi | tail -c 3")

    assert (result.code, result.stdout) == (1, "zz\n")
    assert result.stderr == "orcli: cannot append to talk: File too large; the answer is not in it\n"
    assert path.read_text() == before


EMPTY = "the last user message is empty; nothing was asked"
PENDING = [user("hi"), {"role": "assistant", "content": None, "tool_calls": [tool_call("call_1", "f", "{}")]}]


@pytest.mark.parametrize(
    ("content", "way"),
    [
        pytest.param(json.dumps(HELLO), ".[]", id="an array"),
        pytest.param(json.dumps({"choices": [], "messages": HELLO}), ".messages[]", id="the object of a tool"),
        pytest.param(json.dumps({"messages": HELLO}, indent=1), ".messages[]", id="an object of several lines"),
        pytest.param(json.dumps(HELLO[0], indent=1), ".", id="a message of several lines"),
    ],
)
def test_a_form_that_lines_cannot_follow_is_refused_with_the_way_to_mend_it(
    orcli: Orcli, openrouter: OpenRouter, content: str, way: str
) -> None:
    path = orcli.file("talk", content)

    refused = orcli("ask", "-c", "talk", "hi")
    mended = orcli.shell(f"jq -c '{way}' talk > lines && orcli ask -c lines hi")

    assert (refused.code, refused.stdout) == (2, "")
    assert refused.stderr == f"orcli: talk is not one message a line; convert it with jq -c '{way}'\n"
    assert path.read_text() == content
    assert (mended.code, mended.stdout, len(openrouter.requests)) == (0, "Hello.\n", 1)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    "script",
    [
        pytest.param("orcli ask -c talk --log talk hi", id="by its name"),
        pytest.param("ORCLI_LOG=$PWD/talk orcli stream -c talk hi", id="by the environment and another path"),
        pytest.param("ln -s talk link; orcli ask -c talk --log link hi", id="by a link"),
        pytest.param("touch talk; ln talk hard; orcli ask -c talk --log hard hi", id="by a hard link"),
    ],
)
def test_the_log_is_not_kept_in_the_conversation(
    orcli: Orcli, openrouter: OpenRouter, script: str, there: bool
) -> None:
    before = as_lines(HELLO) if there else ""
    if there:
        orcli.file("talk", before)

    result = orcli.shell(script)

    message = "orcli: talk is both conversation and log; give each a file of its own\n"
    assert (result.code, result.stdout, result.stderr) == (2, "", message)
    assert (orcli.work / "talk").read_text() == before
    assert openrouter.requests == []


@pytest.mark.parametrize("lines", [1, 2])
def test_a_message_with_a_member_messages_is_a_message(orcli: Orcli, lines: int) -> None:
    message = {**user("hi"), "messages": [1]}
    orcli.file("talk", as_lines([message] * lines))

    assert dry(orcli, "-c", "talk", "and?") == [*[message] * lines, user("and?")]
    assert dry(orcli, "--messages", "talk", "and?") == [*[message] * lines, user("and?")]


def test_a_conversation_that_is_another_file_by_then_is_the_one_that_is_carried_on(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    path = orcli.file("talk", as_lines(HELLO))

    def edit(request: Request) -> Reply:
        orcli.file("edited", as_lines([user("first"), assistant("edited")])).replace(path)
        return completion("Hello.")

    openrouter.reply(edit)

    result = orcli("ask", "-c", "talk", "more")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert lines_of(path) == [user("first"), assistant("edited"), user("more"), assistant("Hello.")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "talk is gone", id="gone"),
        pytest.param("prose\n", "talk is another file now: talk, line 1 is not JSON: Expecting value: line 1 column 1 "
                     "(char 0); one message a line is wanted", id="something else"),
    ],
)  # fmt: skip
def test_a_conversation_that_is_none_by_then_is_told_and_left_alone(
    orcli: Orcli, openrouter: OpenRouter, content: str | None, message: str
) -> None:
    path = orcli.file("talk", as_lines(HELLO))

    def change(request: Request) -> Reply:
        path.unlink()
        if content is not None:
            orcli.file("talk", content)
        return completion("Hello.")

    openrouter.reply(change)

    result = orcli("ask", "-c", "talk", "more")

    assert (result.code, result.stdout) == (1, "Hello.\n")
    assert result.stderr == f"orcli: {message}; the answer is not in it\n"
    assert (path.read_text() if path.exists() else None) == content


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            {"content": None, "images": [{"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}, id="an image"
        ),
        pytest.param(
            {"content": [], "images": [{"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}, id="no parts"
        ),
        pytest.param(
            {"content": 5, "images": [{"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}, id="a number"
        ),
    ],
)
def test_an_answer_without_text_can_be_followed_by_another_turn(
    orcli: Orcli, openrouter: OpenRouter, message: Message
) -> None:
    openrouter.reply(completion(None, message=message), completion("Hello."))

    first = orcli("vision", "-n", "-c", "talk", "--save", "out", "draw")
    second = orcli("ask", "-c", "talk", "hi")

    assert (first.code, second.code, second.stdout) == (0, 0, "Hello.\n")
    assert sent(openrouter)[1] == [user("draw"), assistant(""), user("hi")]


@given(st.dictionaries(st.sampled_from(["content", "tool_calls", "refusal", "images"]), st.recursive(
    st.none() | st.text(max_size=3) | st.integers(), lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["type", "text", "id"]), inner, max_size=2), max_leaves=4)))  # fmt: skip
@example({"content": None, "tool_calls": [None]})
@example({"content": [], "tool_calls": []})
def test_whatever_an_answer_is_its_turn_can_be_read_again(message: Message) -> None:
    turn = assistant_turn(message)

    assert parse_lines(json.dumps(turn).encode(), "talk") == [turn]


def test_a_refusal_without_content_is_a_message(orcli: Orcli, openrouter: OpenRouter) -> None:
    refusal = {"role": "assistant", "content": None, "refusal": "No."}
    orcli.file("talk", as_lines([user("hi"), refusal]))

    result = orcli("ask", "-c", "talk", "please")

    assert (result.code, result.stderr) == (0, "")
    assert sent(openrouter) == [[user("hi"), refusal, user("please")]]


@pytest.mark.parametrize(
    ("messages", "prompt", "message"),
    [
        pytest.param(
            PENDING, ["hi"], "call call_1 has no result, but the conversation goes on; give it one", id="a call"
        ),
        pytest.param(PENDING, [], "call call_1 has no result; give it one with orcli tool --result", id="a call last"),
        pytest.param([user("")], [], EMPTY, id="an empty turn"),
        pytest.param([assistant("a"), user(" \n")], [], EMPTY, id="a blank turn"),
        pytest.param([{**user(""), "content": [{"type": "text", "text": " "}]}], [], EMPTY, id="a blank part"),
        pytest.param([user(""), assistant("Hm.")], [], EMPTY, id="an answer to an empty turn"),
        pytest.param([system("s")], [], "the messages ask nothing; give a PROMPT", id="a system message"),
        pytest.param(
            [{**system("s"), "role": "developer"}], [], "the messages ask nothing; give a PROMPT", id="a developer's"
        ),
    ],
)
@pytest.mark.parametrize("command", ["ask", "stream"])
def test_messages_that_ask_nothing_are_not_sent(
    orcli: Orcli, openrouter: OpenRouter, command: str, messages: list[Message], prompt: list[str], message: str
) -> None:
    orcli.file("talk.json", json.dumps(messages))

    result = orcli(command, "--messages", "talk.json", *prompt)

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
    assert openrouter.requests == []


CUSTOM = {"id": "call_1", "type": "custom", "custom": {"name": "f", "input": "text"}}


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        pytest.param([user(""), assistant("Hm.")], ["hi"], id="an empty turn of old"),
        pytest.param([user("hi"), assistant("")], [], id="an empty answer"),
        pytest.param([{"role": "tool", "tool_call_id": "a", "content": ""}], [], id="an empty result"),
        pytest.param([{**user(""), "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], [], id="an image"),
        pytest.param(
            [{**user(""), "content": [{"type": "file", "file": {}}, {"type": "text", "text": ""}]}], [], id="a file"
        ),
        pytest.param(
            [
                user("hi"),
                {"role": "assistant", "content": None, "tool_calls": [CUSTOM]},
                {"role": "tool", "tool_call_id": "call_1", "content": "1"},
            ],
            [],
            id="a custom call with its result",
        ),
    ],
)
def test_other_messages_may_be_empty(orcli: Orcli, messages: list[Message], prompt: list[str]) -> None:
    turns = [user(text) for text in prompt]

    assert dry(orcli, "--messages", "-", *prompt, stdin=json.dumps(messages)) == [*messages, *turns]
