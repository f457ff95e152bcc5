"""`orcli stream`: the answer as it arrives, whole or with the reason why not, and hung up on as soon as it may end."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.command import Orcli, Process
from tests.openrouter import (
    CLOSE,
    COMMENT,
    DONE,
    RESET,
    USAGE,
    Event,
    Object,
    OpenRouter,
    Pause,
    Reply,
    Request,
    UsageShape,
    chunk,
    completion,
    error,
    error_chunk,
    error_in_200,
    hang,
    html,
    raw,
    stream,
    text_stream,
    tool_call_delta,
    usage_chunk,
)

HEL, LO = chunk("Hel"), chunk("lo")
ROLE = chunk("")
STOP, USED = chunk("", finish_reason="stop"), usage_chunk()
BROKE = "the answer broke off: "
GARBLED = "the stream is garbled; try again"
STALLED = "nothing came for longer than --idle-timeout; try again"
PAGE = "the server answered 200 with no completion but a gateway's page; check API_BASE_URL or try later"
NO_FINISH = "the answer came without a finish_reason, so it may be cut; try again"
NO_TEXT = "the stream ended before any text came; try later"
NOTHING = "the stream ended before anything came; try later"
TOOLS = "the model asked for tools in place of an answer; use orcli tool"
RESET_BY_PEER = "the connection broke: Connection reset by peer; try again"
CUT_CHUNKED = (
    "the connection broke: peer closed connection without sending complete message body (incomplete chunked read); "
    "try again"
)
SUMMARY = r"orcli: openai/gpt-4o-mini by OpenAI, 67 \+ 5 tokens, \$0\.00001305, first token \d+\.\d\d s, \d+ tokens/s, total \d+\.\d\d s\n"  # noqa: E501
SIGNAL_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hangup"}


def as_lines(objects: Sequence[Object]) -> str:
    """Write chunk objects as `--json` prints them: as the server sent them, one a line."""
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in objects)


def events(data: bytes) -> bytes:
    """Frame data that is one event as it is."""
    return b"data: " + data + b"\n\n"


def words(text: str = "word ", seconds: float = 0.005) -> Iterator[Event]:
    """Give an answer that never ends."""
    while True:
        yield chunk(text)
        yield Pause(seconds=seconds)


def comments(seconds: float = 0.05) -> Iterator[Event]:
    """Keep a stream alive for ever without saying anything."""
    while True:
        yield COMMENT
        yield Pause(seconds=seconds)


class TestText:
    """What stdout gets."""

    def test_the_text_and_a_final_newline(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(COMMENT, *text_stream("Hel", "lo.")))

        result = orcli("stream", "hi", "-m", "openai/gpt-4o-mini")

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        assert openrouter.requests[0].json == {
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": True,
        }

    def test_no_second_newline_where_the_text_ends_with_one(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*text_stream(" a\n", "\tb\r\n", "\n")))

        result = orcli("stream", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, " a\n\tb\r\n\n", "")

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(stream(*text_stream("Hello."), content_type="Text/Event-Stream; charset=utf-8"), id="charset"),
            pytest.param(stream(*text_stream("Hello."), done=False), id="without [DONE]"),
            pytest.param(stream(HEL, LO, chunk(".", finish_reason="eos")), id="an unknown finish_reason"),
            pytest.param(stream(*text_stream("Hello.")).with_(framing="close"), id="ended by closing"),
            pytest.param(stream(*text_stream("Hello.")).with_(gzip=True), id="gzip"),
            pytest.param(stream(*text_stream("Hello."), DONE, Pause()), id="silence after [DONE]"),
            pytest.param(
                stream(b"\xef\xbb\xbf: hm\r\n\r\n", b'data: {"choices":\r\ndata: [{"delta":{"content":"Hello."},',
                       b'"finish_reason":"stop"}]}\r\n\r\n').with_(bytes_per_write=1), id="CRLF, BOM, two lines of data"
            ),
        ],
    )  # fmt: skip
    def test_a_stream_is_whole_in_all_these_forms(self, orcli: Orcli, openrouter: OpenRouter, reply: Reply) -> None:
        openrouter.reply(reply)

        result = orcli("stream", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")

    @pytest.mark.parametrize("flags", [[], ["--json"]])
    def test_each_chunk_is_out_before_the_next_one_is_sent(
        self, orcli: Orcli, openrouter: OpenRouter, flags: list[str]
    ) -> None:
        seen = [threading.Event() for _ in range(3)]
        texts = [chunk(f"text {number} ") for number in range(3)]
        openrouter.reply(stream(*(part for pair in zip(texts, map(Pause, seen), strict=True) for part in pair), STOP))
        process = orcli.start("stream", *flags, "hi")

        for text, event in zip(texts, seen, strict=True):
            expected = as_lines([text]) if flags else text["choices"][0]["delta"]["content"]
            assert process.read_stdout(len(expected)).decode() == expected
            assert openrouter.requests[0].chunks_sent == texts.index(text) + 1
            event.set()
        result = process.finish()

        assert (result.code, result.stderr) == (0, "")
        assert result.stdout == (as_lines([*texts, STOP]) if flags else "text 0 text 1 text 2 \n")

    @pytest.mark.parametrize("flags", [[], ["--json"]])
    def test_each_chunk_is_one_write(self, orcli: Orcli, openrouter: OpenRouter, flags: list[str]) -> None:
        texts = [chunk(text) for text in ("Hel", "lo", "x" * 70_000)]
        openrouter.reply(stream(*texts, STOP))
        reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        with reader, writer:
            result = orcli("stream", *flags, "hi", stdout=writer.fileno())
            writer.close()
            packets = list(iter(lambda: reader.recv(1 << 20).decode(), ""))

        assert (result.code, result.stderr) == (0, "")
        lines = [as_lines([each]) for each in (*texts, STOP)]
        assert packets == (lines if flags else ["Hel", "lo", "x" * 70_000, "\n"])

    def test_a_line_of_ten_megabytes(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("grün😀 " * 1_000_000), STOP))

        result = orcli("stream", "hi")

        assert (result.code, result.stderr) == (0, "")
        assert result.stdout == "grün😀 " * 1_000_000 + "\n"

    def test_twenty_thousand_chunks(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream((chunk(f"{number} ") for number in range(20_000)), STOP, USED))

        result = orcli("stream", "hi")

        assert (result.code, result.stderr) == (0, "")
        assert result.stdout == "".join(f"{number} " for number in range(20_000)) + "\n"

    def test_characters_arrive_whole_however_their_bytes_were_split(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("grün 😀 naïve\n"), STOP).with_(bytes_per_write=1))

        result = orcli("stream", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "grün 😀 naïve\n", "")

    @pytest.mark.parametrize(
        ("pieces", "expected"),
        [
            pytest.param([r"a\ud83d", r"\ude00b", r"\ud83d", "", r"\ude00"], "a😀b😀\n", id="in two events"),
            pytest.param(
                [r"\ude00a\ud83d", "b", r"\ud83d", r"\ud83d", r"\ude00", r"\ude00", r"c\ud83d"],
                "\ufffda\ufffdb\ufffd😀\ufffdc\ufffd\n",
                id="halves too many",
            ),
        ],
    )
    def test_halves_of_a_surrogate_pair(
        self, orcli: Orcli, openrouter: OpenRouter, pieces: list[str], expected: str
    ) -> None:
        halves = [events(b'{"choices":[{"delta":{"content":"%s"}}]}' % piece.encode()) for piece in pieces]
        openrouter.reply(stream(*halves, STOP))

        result = orcli("stream", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, expected, "")

    def test_a_pipe_gets_control_characters_as_they_came(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*text_stream("\x1b]0;x", "\x07\x9b31m\x00\x7f", "\u202e\ufeff\r")))

        result = orcli("stream", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "\x1b]0;x\x07\x9b31m\x00\x7f\u202e\ufeff\r\n", "")

    def test_a_terminal_gets_control_characters_made_visible(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(
            stream(*text_stream("\x1b", "]0;owned\x07", "\x1b[31mred\x9b0m", "\t\x00\x7f\r", "\u202eabc\u2066\u200f\n"))
        )

        result = orcli.terminal("stream", "hi", stderr_tty=False).finish()

        assert result.terminal == "^[]0;owned^G^[[31mred\\u009b0m\t^@^?^M\\u202eabc\\u2066\\u200f\r\n"
        assert (result.code, result.stderr) == (0, "")

    def test_a_terminal_gets_json_as_it_is(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        data = rb'{"choices":[{"delta":{"content":"\u001b[31m"},"finish_reason":"stop"}]}'
        openrouter.reply(stream(events(data)))

        result = orcli.terminal("stream", "--json", "hi", stderr_tty=False).finish()

        assert (result.code, result.terminal, result.stderr) == (0, data.decode() + "\r\n", "")

    def test_a_person_who_waits_sees_who_is_waited_for_until_the_text_comes(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        go_on = threading.Event()
        openrouter.reply(stream(COMMENT, Pause(go_on), *text_stream("Hello.")))
        terminal = orcli.terminal("stream", "hi", "-m", "openai/gpt-4o-mini")

        terminal.wait_for("\r\x1b[Korcli: waiting for openai/gpt-4o-mini, 1 s")
        go_on.set()
        result = terminal.finish()

        assert result.terminal == "\r\x1b[Korcli: waiting for openai/gpt-4o-mini, 1 s\r\x1b[KHello.\r\n"
        assert result.code == 0


class TestReasoningAndSummary:
    """What stderr gets of a stream that is whole."""

    THOUGHTS = (
        chunk(None, delta={"reasoning": "Let me", "reasoning_details": [{"type": "reasoning.text", "text": "Let me"}]}),
        chunk("", delta={"reasoning": " think.\nSo", "reasoning_details": []}),
    )

    def test_reasoning_is_never_in_the_text(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*self.THOUGHTS, *text_stream("Hello.")))

        result = orcli("stream", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")

    def test_reasoning_is_on_stderr_with_v(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*self.THOUGHTS, *text_stream("Hello.")))

        result = orcli("stream", "-v", "hi")

        assert (result.code, result.stdout) == (0, "Hello.\n")
        assert re.fullmatch(f"orcli: reasoning: Let me think\\.\norcli: reasoning: So\n{SUMMARY}", result.stderr), (
            result.stderr
        )

    def test_reasoning_is_shown_while_the_model_still_thinks(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        go_on = threading.Event()
        openrouter.reply(stream(*self.THOUGHTS, Pause(go_on), *text_stream("Hello.")))
        process = orcli.start("stream", "-v", "hi")

        assert process.wait_stderr("think.\n", timeout=5) == "orcli: reasoning: Let me think.\n"
        go_on.set()

        assert process.finish().stdout == "Hello.\n"

    @pytest.mark.parametrize(
        ("shape", "flags"),
        [("repeated_finish", []), ("empty_choices", []), ("null_finish", []), ("null_finish", ["--json"])],
    )
    def test_v_sums_up_whatever_the_shape_of_the_usage(
        self, orcli: Orcli, openrouter: OpenRouter, shape: UsageShape, flags: list[str]
    ) -> None:
        openrouter.reply(stream(*text_stream("Hel", "lo.", usage=shape)))

        result = orcli("stream", "-v", *flags, "hi")

        last = [chunk("Hel"), chunk("lo."), STOP, usage_chunk(shape)]
        assert (result.code, result.stdout) == (0, as_lines([ROLE, *last]) if flags else "Hello.\n")
        assert re.fullmatch(SUMMARY, result.stderr), result.stderr

    def test_v_sums_up_a_stream_without_usage(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(HEL, STOP))

        result = orcli("stream", "-v", "hi")

        pattern = r"orcli: openai/gpt-4o-mini by OpenAI, first token \d+\.\d\d s, total \d+\.\d\d s\n"
        assert (result.code, result.stdout) == (0, "Hel\n")
        assert re.fullmatch(pattern, result.stderr), result.stderr

    def test_v_sums_up_a_stream_that_a_debug_chunk_begins(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        debug: Object = {"id": "gen-1", "choices": [], "debug": {"echo_upstream_body": {"n": 1}}}
        openrouter.reply(stream(debug, *text_stream("Hello.")))

        result = orcli("stream", "-v", "hi")

        assert (result.code, result.stdout) == (0, "Hello.\n")
        assert re.fullmatch(SUMMARY, result.stderr), result.stderr

    def test_v_sums_up_what_an_error_chunk_says_was_used(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(HEL, {**error_chunk(429, "Slow down"), "usage": USAGE}))

        result = orcli("stream", "-v", "hi")

        assert (result.code, result.stdout) == (5, "Hel\n")
        assert re.fullmatch(f"{SUMMARY}orcli: {BROKE}Slow down; try again\n", result.stderr), result.stderr


class TestJson:
    """What stdout gets under `--json`."""

    ODD = (
        b'{"id" : "gen-1","choices":[],"debug":{"echo_upstream_body":{"temperature":1.0e0,"n":18446744073709551617}}}',
        rb'{"choices":[{"index":0,"delta":{"content":"gr\u00fcn \/","new":[null]}}],"x":{"y":"\ud83d\ude00"},"x":1}',
        '{"choices":[{"delta":{"content":null,"reasoning":"Hm","reasoning_details":[{"type":"x","ü":"\u2028"}]}}]}'.encode(),
        b'{"choices":[{"delta":{"content":"","images":[{"type":"image_url","image_url":{"url":"data:,"}}]}}]}',
        b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop","native_finish_reason":"STOP"}]}',
        b'{"choices":[],"usage":{"cost":1.30500e-05,"new":{}},"openrouter_metadata":{"a":[1 , 2]}}',
    )  # fmt: skip

    def test_every_chunk_goes_out_byte_for_byte(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(COMMENT, *(part for data in self.ODD for part in (events(data), COMMENT))))

        result = orcli("stream", "--json", "hi")

        assert result.stdout_bytes == b"".join(data + b"\n" for data in self.ODD)
        assert (result.code, result.stderr) == (0, "")

    def test_a_chunk_on_several_lines_becomes_one(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        lines = (b'{"choices":', b' [{"delta":', b'  {"content":"a\\nb"},', b'"finish_reason":"stop"}]}')
        openrouter.reply(stream(b"".join(b"data:" + line + b"\r\n" for line in lines), b"\r\n"))

        result = orcli("stream", "--json", "hi")

        assert result.stdout == '{"choices": [{"delta":  {"content":"a\\nb"}, "finish_reason":"stop"}]}\n'
        assert (result.code, result.stderr) == (0, "")

    @pytest.mark.parametrize("flags", [["--schema", '{"type":"object"}'], ["-c", "talk.jsonl"]])
    def test_chunks_go_out_whole_and_at_once_also_when_the_text_is_kept(
        self, orcli: Orcli, openrouter: OpenRouter, flags: list[str]
    ) -> None:
        go_on = threading.Event()
        chunks = [ROLE, chunk("{"), chunk("}"), STOP]
        openrouter.reply(stream(*chunks[:2], Pause(go_on), *chunks[2:]))
        process = orcli.start("stream", "--json", *flags, "hi")

        assert process.read_stdout(len(as_lines(chunks[:2]))).decode() == as_lines(chunks[:2])
        go_on.set()
        result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (0, as_lines(chunks), "")

    def test_a_mismatch_ends_with_the_error_line(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("[]"), STOP))

        result = orcli("stream", "--json", "--schema", '{"type":"object"}', "hi")

        message = 'the answer does not satisfy --schema: [] is not of type "object"; try again, or another model'
        error_line = {"error": {"code": "mismatch", "message": message}}
        assert (result.code, result.stdout) == (7, as_lines([chunk("[]"), STOP, error_line]))
        assert result.stderr == f"orcli: {message}\n"


@dataclass(frozen=True)
class Row:
    """A stream that is no whole answer, and what has to come of it.

    `text` and `chunks` are what stdout gets; under `--json` the last line is `error`, and None where a chunk says it.
    `sent` and `sent_json` count the requests with `--retries 1`.
    """

    reply: Reply
    code: int
    message: str
    text: str = ""
    chunks: Sequence[Object] = ()
    error: Object | None = field(default_factory=dict)
    sent: int = 1
    sent_json: int | None = None

    def lines(self) -> str:
        """Give all of stdout under `--json`."""
        names = {2: "usage", 4: "unavailable", 5: "incomplete", 6: "refused", 8: "tools"}
        error = {"code": names[self.code], "message": self.message} if self.error == {} else self.error
        return as_lines([*self.chunks, *([] if error is None else [{"error": error}])])


def cut(*chunks: Object, text: str, message: str, ending: Sequence[Event] = (), done: bool = False) -> Row:
    """Make a row for a stream that ends after content."""
    return Row(stream(*chunks, *ending, done=done), 5, message, text, chunks)


def failing(*chunks: Object, code: int, message: str, text: str = "", sent: int = 1, sent_json: int = 1) -> Row:
    """Make a row for a stream whose last chunk is, or has, its error."""
    return Row(stream(*chunks), code, message, text, chunks, None, sent, sent_json)


GONE = error_chunk(502, "gone")
SLOW = error_chunk("429", "Slow down", metadata={"error_type": "rate_limit_exceeded"})
NAMED = error_chunk("server_error", "gone")
LENGTH = chunk("", finish_reason="length")
TOKEN_LIMIT = {**error_chunk(400, "Token limit reached"), "usage": USAGE}
TOKEN_LIMIT["choices"][0]["finish_reason"] = None
MALFORMED = chunk("", finish_reason="error", choice={"native_finish_reason": "MALFORMED_FUNCTION_CALL"})
NETWORK = chunk("", finish_reason="stop", choice={"native_finish_reason": "network_error"})
IN_CHOICE = chunk("", finish_reason="error", choice={"error": {"code": 502, "message": "gone"}})
CALLS = (tool_call_delta("", id="a", name="f"), tool_call_delta("{}"), chunk("", finish_reason="tool_calls"))
BARE_CALL: Object = {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}}]}
BUSY = {"message": "Busy", "code": 503}
CUT_UTF8 = b'data: {"choices":[{"delta":{"content":"\xc3'

ROWS = {
    # What is no event stream.
    "a JSON error": Row(error_in_200(503, "Busy"), 4, "503: Busy; try later", error=BUSY, sent=2),
    "a JSON error that is ours": Row(
        error_in_200(400, "Bad"), 2, "400: Bad; change the request", error={"message": "Bad", "code": 400}
    ),
    "a completion without an end": Row(
        completion("Hi.", finish_reason=None),
        5,
        NO_FINISH,
        "Hi.\n",
        [json.loads(completion("Hi.", finish_reason=None).body)],
    ),
    "HTML": Row(html(200), 4, PAGE, sent=2),
    "plain text": Row(
        raw(200, body=b"hm", content_type="text/plain"),
        4,
        "the server answered 200 with no completion but hm; check API_BASE_URL or try later",
    ),
    "an empty body": Row(raw(200), 4, "the server answered 200 with an empty body; try later"),
    # What ends before any text.
    "an empty stream": Row(stream(done=False), 4, NOTHING),
    "a stream of comments": Row(stream(COMMENT, b": \n\n", COMMENT, done=False), 4, NOTHING),
    "a clean end before any text": Row(stream(ROLE, done=False), 4, NO_TEXT, chunks=[ROLE]),
    "[DONE] before any text": Row(stream(ROLE), 4, NO_TEXT, chunks=[ROLE]),
    "a reset after the headers": Row(stream(RESET), 4, RESET_BY_PEER),
    "a reset before any text": Row(stream(ROLE, RESET), 4, RESET_BY_PEER, chunks=[ROLE]),
    "a garbled first event": Row(stream(b"data: {\n\n", HEL, STOP), 4, GARBLED),
    "a first event cut in UTF-8": Row(stream(CUT_UTF8, done=False), 4, GARBLED),
    "an answer of no text": Row(
        stream(ROLE, STOP, USED), 5, "the answer is empty; try again, or another model", chunks=[ROLE, STOP, USED]
    ),
    "an answer of white space": Row(
        stream(chunk(" \n"), STOP), 5, "the answer is empty; try again, or another model", " \n", [chunk(" \n"), STOP]
    ),
    # Error chunks.
    "an error first": failing(GONE, code=4, message="502: gone; try later", sent=2, sent_json=2),
    "an error first, its code a string": failing(
        SLOW, code=4, message="429: Slow down; try later", sent=2, sent_json=2
    ),
    "an error first, its code a name": failing(NAMED, code=4, message="gone; try later", sent=2, sent_json=2),
    "an error first, empty choices": failing(
        {**GONE, "choices": []}, code=4, message="502: gone; try later", sent=2, sent_json=2
    ),
    "an error first, no choices": failing(
        {"error": {"code": 502, "message": "gone"}}, code=4, message="502: gone; try later", sent=2, sent_json=2
    ),
    "an error first, in its choice": failing(IN_CHOICE, code=4, message="502: gone; try later", sent=2, sent_json=2),
    "an error first that is ours": failing(error_chunk(400, "Bad"), code=2, message="400: Bad; change the request"),
    "an error first, of moderation": failing(
        error_chunk(403, "Flagged", metadata={"reasons": ["violence"]}),
        code=6,
        message="403: Flagged (violence); change the prompt",
    ),
    "an error after the role": failing(ROLE, SLOW, code=4, message="429: Slow down; try later", sent=2),
    "an error in the middle": failing(HEL, GONE, code=5, message=f"{BROKE}gone; try again", text="Hel\n"),
    "an error in the middle, ours": failing(
        HEL, error_chunk(400, "Bad"), code=5, message=f"{BROKE}Bad; try again", text="Hel\n"
    ),
    "an error in the middle, empty choices": failing(
        HEL, {**GONE, "choices": []}, code=5, message=f"{BROKE}gone; try again", text="Hel\n"
    ),
    "an error in the middle, in its choice": failing(
        HEL, IN_CHOICE, code=5, message=f"{BROKE}gone; try again", text="Hel\n"
    ),
    "an error beside the last text": failing(
        HEL, error_chunk(502, "gone", text="lo"), code=5, message=f"{BROKE}gone; try again", text="Hello\n"
    ),
    "an error beside the first text": failing(
        error_chunk(502, "gone", text="Hel"), code=5, message=f"{BROKE}gone; try again", text="Hel\n"
    ),
    "an error after a finish": failing(
        HEL, LENGTH, LENGTH, TOKEN_LIMIT, code=5, message=f"{BROKE}Token limit reached; try again", text="Hel\n"
    ),
    "an error after stop": failing(HEL, STOP, GONE, code=5, message=f"{BROKE}gone; try again", text="Hel\n"),
    "moderation in the middle": failing(
        HEL,
        error_chunk(403, "Flagged", metadata={"reasons": ["violence"]}),
        code=6,
        message="403: Flagged (violence); change the prompt",
        text="Hel\n",
    ),
    "an event named error": Row(
        stream(HEL, b'event: error\ndata: {"message":"boom"}\n\n'),
        5,
        f"{BROKE}boom; try again",
        "Hel\n",
        [HEL, {"message": "boom"}],
        {"message": "boom", "code": "incomplete"},
    ),
    "finish_reason error, first": Row(
        stream(MALFORMED),
        4,
        "the provider failed (MALFORMED_FUNCTION_CALL); try later",
        chunks=[MALFORMED],
        error={"message": "the provider failed (MALFORMED_FUNCTION_CALL)", "code": "unavailable"},
        sent=2,
        sent_json=1,
    ),
    "finish_reason error, after text": Row(
        stream(HEL, MALFORMED),
        5,
        f"{BROKE}the provider failed (MALFORMED_FUNCTION_CALL); try again",
        "Hel\n",
        [HEL, MALFORMED],
        {"message": "the provider failed (MALFORMED_FUNCTION_CALL)", "code": "incomplete"},
    ),
    "a native network_error and no text": Row(
        stream(ROLE, NETWORK),
        4,
        "the provider failed (network_error) and sent no text; try later",
        chunks=[ROLE, NETWORK],
        sent=2,
        sent_json=1,
    ),
    # What breaks after text.
    "a reset": cut(HEL, LO, ending=[RESET], text="Hello\n", message=BROKE + RESET_BY_PEER),
    "a cut": cut(HEL, LO, ending=[CLOSE], text="Hello\n", message=BROKE + CUT_CHUNKED),
    "a reset after the finish": cut(HEL, STOP, ending=[RESET], text="Hel\n", message=BROKE + RESET_BY_PEER),
    "a clean end without a finish": cut(HEL, LO, text="Hello\n", message=NO_FINISH),
    "[DONE] without a finish": cut(HEL, LO, text="Hello\n", message=NO_FINISH, done=True),
    "a garbled event": cut(HEL, ending=[b'data: {"a\n\n'], text="Hel\n", message=BROKE + GARBLED),
    "an event that is a string": cut(HEL, ending=[b'data: "a"\n\n'], text="Hel\n", message=NO_FINISH),
    "an end that is an empty string": cut(HEL, chunk("lo", finish_reason=""), text="Hello\n", message=NO_FINISH),
    "an end that is a word for none": cut(HEL, chunk("lo", finish_reason="null"), text="Hello\n", message=NO_FINISH),
    "a failure that the provider names": cut(
        HEL,
        NETWORK,
        text="Hel\n",
        message="the answer broke off: the provider failed (network_error); try again",
    ),
    "the token limit after an empty end": cut(
        chunk("Hel", finish_reason=""),
        LENGTH,
        text="Hel\n",
        message="the answer was cut at the token limit (finish_reason length); raise --max-tokens",
    ),
    "the token limit after stop": cut(
        HEL,
        STOP,
        LENGTH,
        text="Hel\n",
        message="the answer was cut at the token limit (finish_reason length); raise --max-tokens",
    ),
    "words in place of an error": cut(
        HEL, ending=[b"event: error\ndata: out of memory\n\n"], text="Hel\n", message=BROKE + "out of memory; try again"
    ),
    "an end cut in UTF-8": cut(HEL, ending=[CUT_UTF8], text="Hel\n", message=BROKE + GARBLED),
    "an end cut in an event": cut(HEL, ending=[b'data: {"choices":[{'], text="Hel\n", message=BROKE + GARBLED),
    # What is whole but no answer.
    "the token limit": cut(
        HEL,
        LENGTH,
        text="Hel\n",
        message="the answer was cut at the token limit (finish_reason length); raise --max-tokens",
        done=True,
    ),
    "a content filter": Row(
        stream(HEL, chunk("", finish_reason="content_filter")),
        6,
        "a content filter stopped the answer; change the prompt",
        "Hel\n",
        [HEL, chunk("", finish_reason="content_filter")],
    ),
    "a refusal": Row(
        stream(chunk(None, delta={"refusal": "No. "}), chunk(None, delta={"refusal": "Never."}), STOP),
        6,
        "the model refused: No. Never.; change the prompt",
        chunks=[chunk(None, delta={"refusal": "No. "}), chunk(None, delta={"refusal": "Never."}), STOP],
    ),
    "tool calls": Row(stream(*CALLS), 8, TOOLS, chunks=CALLS),
    "tool calls after text": Row(stream(HEL, *CALLS), 8, TOOLS, "Hel\n", [HEL, *CALLS]),
    "tool calls and nothing beside them": Row(stream(BARE_CALL, STOP), 8, TOOLS, chunks=[BARE_CALL, STOP]),
}


# Where `--json` differs in no way that another row does not show, a run of it is saved.
TEXT_ONLY = {
    "a JSON error that is ours",
    "plain text",
    "an empty body",
    "[DONE] before any text",
    "a reset before any text",
    "a first event cut in UTF-8",
    "an answer of white space",
    "an error first, its code a string",
    "an error first, its code a name",
    "an error first that is ours",
    "an error in the middle, ours",
    "an error in the middle, empty choices",
    "an error beside the first text",
    "an error after stop",
    "moderation in the middle",
    "a reset after the finish",
    "[DONE] without a finish",
    "an event that is a string",
    "an end that is a word for none",
    "the token limit after an empty end",
    "words in place of an error",
    "an end cut in UTF-8",
    "an end cut in an event",
    "tool calls after text",
}


@pytest.mark.parametrize(
    ("row", "flags"),
    [
        pytest.param(row, flags, id=" ".join([name, *flags]))
        for name, row in ROWS.items()
        for flags in ([], ["--json"])
        if not flags or name not in TEXT_ONLY
    ],
)
def test_what_is_no_whole_answer_leaves_what_came_and_says_why(
    orcli: Orcli, openrouter: OpenRouter, row: Row, flags: list[str]
) -> None:
    openrouter.default = row.reply

    result = orcli("stream", "--retries", "1", *flags, "hi")

    assert result.stdout == (row.lines() if flags else row.text)
    assert result.stderr == f"orcli: {row.message}\n"
    assert result.code == row.code
    sent = row.sent if not flags or row.sent_json is None else row.sent_json
    assert len(openrouter.requests) == sent
    assert len({request.body for request in openrouter.requests}) == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(error(429, headers={"Retry-After": "0.1"}), id="a status"),
        pytest.param(error_in_200(503, "Busy"), id="a JSON error"),
        pytest.param(stream(COMMENT, GONE), id="an error first"),
        pytest.param(stream(ROLE, ROLE, GONE), id="an error after the role"),
        pytest.param(stream(chunk(None, delta={"reasoning": "Hm"}), GONE), id="an error after reasoning"),
    ],
)
def test_before_any_text_what_is_transient_is_tried_again_in_silence(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply
) -> None:
    openrouter.reply(reply, stream(*text_stream("Hello.")))

    result = orcli("stream", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert len(openrouter.requests) == 2


def test_json_has_nothing_of_a_try_that_failed_before_it_began(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(stream(COMMENT, GONE), stream(ROLE, HEL, STOP))

    result = orcli("stream", "--json", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, as_lines([ROLE, HEL, STOP]), "")


def test_white_space_is_output_after_which_nothing_is_tried_again(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(stream(chunk("\n"), GONE))

    result = orcli("stream", "hi")

    assert (result.stdout, len(openrouter.requests)) == ("\n", 1)


NO_NUMBER = b'data: {"choices":[{"delta":{"content":"lo"},"logprobs":{"x":-Infinity,"y":1e999}}]}\n\n'


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        pytest.param(stream(HEL, LO, STOP, b"data:  [DONE] \n\n", done=False), "Hello\n", id="space around [DONE]"),
        pytest.param(stream(HEL, b"event: ping\ndata: ping\n\n", LO, STOP), "Hello\n", id="an event of another name"),
        pytest.param(
            stream(HEL, b"data: null\n\ndata: []\n\ndata:\n\n", LO, STOP), "Hello\n", id="data that is no chunk"
        ),
        pytest.param(stream(HEL, NO_NUMBER, STOP), "Hello\n", id="numbers that JSON has not"),
        pytest.param(stream(HEL, CUT_UTF8 + b'"}}]}\n\n', STOP), "Hel\ufffd\n", id="a byte that is no UTF-8"),
        pytest.param(completion("Hello"), "Hello\n", id="a completion in place of a stream"),
        pytest.param(
            stream({"choices": [{"index": 1, "delta": {"content": "x"}}, *HEL["choices"]]}, LO, STOP),
            "Hello\n",
            id="the first choice second",
        ),
        pytest.param(
            stream(chunk(None, delta={"content": [{"type": "reasoning", "text": "Hm"}, {"text": "Hi"}]}), STOP),
            "Hi\n",
            id="reasoning among the parts of the text",
        ),
    ],
)
def test_what_is_odd_on_the_wire_but_whole_is_an_answer(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, text: str
) -> None:
    openrouter.default = reply

    result = orcli("stream", "hi")
    objects = orcli("stream", "--json", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, text, "")
    assert (objects.code, objects.stderr) == (0, "")
    assert all(isinstance(json.loads(line, parse_constant=pytest.fail), dict) for line in objects.stdout.splitlines())


def test_the_last_line_of_reasoning_comes_before_the_answer(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(stream(chunk("", delta={"reasoning": "so\nand so"}), HEL, LO, STOP))

    shown = orcli.terminal("stream", "-v", "-n", "hi").finish().terminal

    assert "orcli: reasoning: so\r\norcli: reasoning: and so\r\nHello\r\norcli: " in shown


def follow(process: Process, request: Request, at: float, sent: int, name: str) -> None:
    """Wait for the hang-up, and say how long after `at` it came and how many chunks got out after `sent`."""
    assert request.wait_hung_up()
    late, more = request.hung_up_at - at, request.chunks_sent - sent
    print(f"{name}: hung up on after {1000 * late:.0f} ms, {more} chunks later")
    assert late < 1, process


class TestCancellation:
    """Each way a stream ends early: what came stays, and the provider is hung up on at once."""

    @pytest.mark.parametrize(
        ("number", "flags"),
        [(signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGHUP, []), (signal.SIGTERM, ["--json"])],
    )
    def test_a_signal_in_the_middle(
        self, orcli: Orcli, openrouter: OpenRouter, number: signal.Signals, flags: list[str]
    ) -> None:
        openrouter.reply(stream(words()))
        process = orcli.start("stream", *flags, "hi")
        request = openrouter.wait_for_request()
        process.read_stdout(until=b"word ")

        sent, at = request.chunks_sent, time.monotonic()
        process.send_signal(number)
        follow(process, request, at, sent, number.name)
        result = process.finish()

        assert (result.code, result.stderr) == (-number, "")
        name = SIGNAL_NAMES[number]
        expected, end = ("word ", "") if not flags else (as_lines([chunk("word ")]), "")
        if flags:
            end = as_lines([{"error": {"code": name, "message": f"ended by {name}"}}])
        came = result.stdout.removesuffix(end)
        assert came == expected * (len(came) // len(expected))
        assert result.stdout == came + end

    @pytest.mark.parametrize(
        ("number", "beginning"),
        [
            pytest.param(signal.SIGINT, [HEL], id="SIGINT after text"),
            pytest.param(signal.SIGTERM, [HEL], id="SIGTERM after text"),
            pytest.param(signal.SIGHUP, [HEL], id="SIGHUP after text"),
            pytest.param(signal.SIGINT, [], id="SIGINT before text"),
            pytest.param(signal.SIGINT, None, id="SIGINT before the headers"),
        ],
    )
    def test_a_signal_while_the_model_is_silent(
        self, orcli: Orcli, openrouter: OpenRouter, number: signal.Signals, beginning: list[Event] | None
    ) -> None:
        openrouter.reply(hang() if beginning is None else stream(*beginning, COMMENT, Pause()))
        process = orcli.start("stream", "hi")
        request = openrouter.wait_for_request()
        text = "Hel" if beginning else ""
        assert process.read_stdout(len(text)).decode() == text

        sent, at = request.chunks_sent, time.monotonic()
        process.send_signal(number)
        follow(process, request, at, sent, number.name)
        result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (-number, text, "")

    def test_ctrl_c_at_a_terminal(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(HEL, Pause()))
        terminal = orcli.terminal("stream", "-q", "hi")
        terminal.wait_for("Hel")

        at = time.monotonic()
        terminal.type("\x03")
        follow(terminal, openrouter.requests[0], at, 1, "Ctrl-C")
        result = terminal.finish()

        assert (result.code, result.terminal.replace("^C", "")) == (-signal.SIGINT, "Hel")

    def test_a_signal_while_it_waits_to_try_again(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(error(429, "Slow down", headers={"Retry-After": "30"}))
        process = orcli.start("stream", "-v", "hi")
        process.wait_stderr("retrying in 30")

        at = time.monotonic()
        process.send_signal(signal.SIGINT)
        result = process.finish()

        assert (result.code, result.stdout) == (-signal.SIGINT, "")
        assert re.fullmatch(r"orcli: retrying in 30\.\d s: 429: Slow down\n", result.stderr), result.stderr
        assert process.exited_at - at < 1

    def test_the_reader_goes_in_the_middle(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(words()))
        process = orcli.start("stream", "hi")
        request = openrouter.wait_for_request()
        process.read_stdout(until=b"word ")

        sent, at = request.chunks_sent, time.monotonic()
        process.close_stdout()
        follow(process, request, at, sent, "reader gone")
        result = process.finish()

        assert (result.code, result.stderr) == (-signal.SIGPIPE, "")

    @pytest.mark.parametrize(
        ("make", "flags"),
        [
            pytest.param(lambda: stream(HEL, Pause()), [], id="between chunks"),
            pytest.param(lambda: stream(HEL, Pause()), ["--json"], id="between chunks, --json"),
            pytest.param(lambda: stream(HEL, words()), ["-x"], id="with nothing written yet, -x"),
            pytest.param(lambda: stream(COMMENT, HEL, comments()), [], id="between comments"),
            pytest.param(lambda: stream(comments()), [], id="before the first chunk"),
            pytest.param(hang, [], id="before the headers"),
        ],
    )
    def test_the_reader_goes_while_the_model_is_silent(
        self, orcli: Orcli, openrouter: OpenRouter, make: Any, flags: list[str]
    ) -> None:
        openrouter.reply(make())
        process = orcli.start("stream", *flags, "hi")
        request = openrouter.wait_for_request()

        sent, at = request.chunks_sent, time.monotonic()
        process.close_stdout()
        follow(process, request, at, sent, "reader gone")
        result = process.finish()

        assert (result.code, result.stderr) == (-signal.SIGPIPE, "")

    @pytest.mark.parametrize(
        ("silent", "flags"), [(False, []), (True, []), (True, ["--json"])], ids=["in the middle", "silent", "--json"]
    )
    def test_the_deadline_keeps_what_came(
        self, orcli: Orcli, openrouter: OpenRouter, silent: bool, flags: list[str]
    ) -> None:
        openrouter.reply(stream(chunk("word "), comments()) if silent else stream(words()))
        process = orcli.start("stream", "--timeout", "1.2", *flags, "hi")
        request = openrouter.wait_for_request()
        result = process.finish()

        follow(process, request, process.exited_at, request.chunks_sent, "--timeout")
        assert result.code == 124
        assert result.stderr == "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n"
        end = as_lines([{"error": {"code": "deadline", "message": "ended by deadline"}}]) if flags else "\n"
        each = as_lines([chunk("word ")]) if flags else "word "
        came = result.stdout.removesuffix(end)
        assert came == each * (len(came) // len(each))
        assert came == each or not silent
        assert result.stdout == came + end
        assert 1.2 <= result.seconds < 3

    def test_the_deadline_before_any_text(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(hang())

        result = orcli("stream", "--timeout", "1", "hi")

        assert (result.code, result.stdout) == (124, "")
        assert result.stderr == "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n"
        assert openrouter.requests[0].wait_hung_up()

    @pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
    @pytest.mark.parametrize("way", ["SIGTERM", "--timeout"])
    def test_a_reader_that_does_not_read_cannot_hold_it_up(
        self, orcli: Orcli, openrouter: OpenRouter, way: str, flags: list[str]
    ) -> None:
        # Whole pages, so that a full pipe has no room for a last byte.
        line = b'{"choices":[{"delta":{"content":"%s"}}]}' % (b"x" * (4095 - 40) if flags else b"x" * 4096)
        openrouter.reply(stream(events(line) for _ in itertools.count()))
        limit = ["--timeout", "1.5"] if way == "--timeout" else []
        process = orcli.start("stream", *limit, *flags, "hi")
        request = openrouter.wait_for_request()
        process.read_stdout(1)

        if way == "SIGTERM":
            wait_until_held_up(request)
            process.send_signal(signal.SIGTERM)

        assert request.wait_hung_up(5)
        assert process.wait_exit(5), process
        assert process.finish().code == (-signal.SIGTERM if way == "SIGTERM" else 124)

    def test_a_full_disk_hangs_up(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(words()))

        with open("/dev/full", "wb") as full:
            result = orcli("stream", "hi", stdout=full)

        assert result.code == 1
        assert result.stderr == (
            "orcli: cannot write the answer to stdout: No space left on device; the answer is not complete there\n"
        )
        assert openrouter.requests[0].wait_hung_up()

    def test_a_closed_stdout_fails_before_anything_is_sent(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        result = orcli("stream", "hi", stdout="closed")

        assert result.code == 1
        assert result.stderr == "orcli: stdout is closed, so an answer would be lost; nothing was sent\n"
        assert openrouter.requests == []


def wait_until_held_up(request: Request) -> None:
    """Wait until the server could not send anything for a while: every buffer on the way is full."""
    deadline = time.monotonic() + 20
    sent, since = request.chunks_sent, time.monotonic()
    while time.monotonic() < since + 0.3:
        assert time.monotonic() < deadline
        if request.chunks_sent != sent:
            sent, since = request.chunks_sent, time.monotonic()
        request.hung_up.wait(0.02)


class TestIdleTimeout:
    """The longest wait between data events."""

    @pytest.mark.parametrize(
        ("silence", "flags"), [(comments, []), (Pause, ["--json"])], ids=["comments", "silence, --json"]
    )
    def test_before_the_first_event(self, orcli: Orcli, openrouter: OpenRouter, silence: Any, flags: list[str]) -> None:
        openrouter.reply(stream(silence()))

        result = orcli("stream", "--idle-timeout", "0.4", *flags, "hi")

        line = as_lines([{"error": {"code": "unavailable", "message": STALLED}}])
        assert (result.code, result.stdout, result.stderr) == (4, line if flags else "", f"orcli: {STALLED}\n")
        assert openrouter.requests[0].wait_hung_up()
        assert len(openrouter.requests) == 1

    @pytest.mark.parametrize(
        ("silence", "flags"), [(comments, []), (Pause, ["--json"])], ids=["comments", "silence, --json"]
    )
    def test_after_text(self, orcli: Orcli, openrouter: OpenRouter, silence: Any, flags: list[str]) -> None:
        openrouter.reply(stream(HEL, silence()))

        result = orcli("stream", "--idle-timeout", "0.4", *flags, "hi")

        line = as_lines([HEL, {"error": {"code": "incomplete", "message": BROKE + STALLED}}])
        assert (result.code, result.stdout) == (5, line if flags else "Hel\n")
        assert result.stderr == f"orcli: {BROKE}{STALLED}\n"
        assert openrouter.requests[0].wait_hung_up()
        assert len(openrouter.requests) == 1

    def test_before_the_headers(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(hang())

        result = orcli("stream", "--idle-timeout", "0.4", "hi")

        assert (result.code, result.stdout) == (4, "")
        assert result.stderr == "orcli: 127.0.0.1 did not answer within --idle-timeout; try later\n"
        assert openrouter.requests[0].wait_hung_up()

    def test_in_a_body_that_is_no_stream(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(completion("Hello.").with_(body_delay=Pause()))

        result = orcli("stream", "--idle-timeout", "0.4", "hi")

        assert (result.code, result.stdout, result.stderr) == (4, "", f"orcli: {STALLED}\n")

    @pytest.mark.parametrize("quiet", [chunk(None, delta={"reasoning": "Hm. "}), ROLE], ids=["reasoning", "no text"])
    def test_events_without_text_are_data(self, orcli: Orcli, openrouter: OpenRouter, quiet: Object) -> None:
        thinking: list[Event] = [quiet, Pause(seconds=0.15)]
        openrouter.reply(stream(*thinking * 8, *text_stream("Hello.")))

        result = orcli("stream", "--idle-timeout", "0.7", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")

    def test_a_slow_reader_is_no_silence_of_the_model(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream([chunk("x" * 1000)] * 2000, STOP))
        process = orcli.start("stream", "--idle-timeout", "0.4", "hi")
        process.read_stdout(1)

        assert not process.wait_exit(1.2)
        result = process.finish()

        assert (result.code, result.stderr) == (0, "")
        assert result.stdout == "x" * 2_000_000 + "\n"

    def test_waits_between_tries_do_not_count(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(error(429, headers={"Retry-After": "1"}), stream(*text_stream("Hello.")))

        result = orcli("stream", "--idle-timeout", "0.6", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")

    def test_each_try_has_its_own(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        late = Pause(seconds=0.6)
        openrouter.reply(stream(late, GONE), stream(late, *text_stream("Hello.")))

        result = orcli("stream", "--idle-timeout", "1", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")

    def test_the_environment_sets_it(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(HEL, comments()))

        result = orcli("stream", "hi", env={"ORCLI_IDLE_TIMEOUT": "0.4"})

        assert (result.code, result.stdout, result.stderr) == (5, "Hel\n", f"orcli: {BROKE}{STALLED}\n")

    def test_zero_is_no_limit_and_the_option_goes_over_the_environment(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        openrouter.reply(stream(HEL, Pause(seconds=0.9), STOP))

        result = orcli("stream", "--idle-timeout", "0", "hi", env={"ORCLI_IDLE_TIMEOUT": "0.3"})

        assert (result.code, result.stdout, result.stderr) == (0, "Hel\n", "")

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("soon", "--idle-timeout is no number: 'soon'; give one"),
            ("nan", "--idle-timeout is no number: 'nan'; give one"),
            ("-1", "--idle-timeout is no number of seconds: '-1'; give 0 or more"),
        ],
    )
    def test_what_is_no_number_of_seconds_is_a_usage_error(
        self, orcli: Orcli, openrouter: OpenRouter, value: str, message: str
    ) -> None:
        result = orcli("stream", "--idle-timeout", value, "hi")

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
        assert openrouter.requests == []


class TestForm:
    """`--schema`, `-x` and `-c`, which need the whole answer."""

    SCHEMA = '{"type":"object","required":["a"]}'
    FENCED = ("Here:\n``", "`sh\nls -", "l\n```\n", "Bye.")

    def test_a_text_that_satisfies_the_schema(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*text_stream('{"a"', ":1}")))

        result = orcli("stream", "--schema", self.SCHEMA, "hi")

        assert (result.code, result.stdout, result.stderr) == (0, '{"a":1}\n', "")
        assert openrouter.requests[0].json["response_format"]["json_schema"]["schema"] == json.loads(self.SCHEMA)

    def test_a_text_that_does_not_satisfy_it_is_out_all_the_same(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*text_stream('{"b"', ":1}")))

        result = orcli("stream", "--schema", self.SCHEMA, "hi")

        assert (result.code, result.stdout) == (7, '{"b":1}\n')
        assert result.stderr == (
            'orcli: the answer does not satisfy --schema: "a" is a required property; try again, or another model\n'
        )

    def test_the_text_comes_before_it_is_checked(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        go_on = threading.Event()
        openrouter.reply(stream(chunk('{"a":'), Pause(go_on), chunk("1}"), STOP))
        process = orcli.start("stream", "--schema", self.SCHEMA, "hi")

        assert process.read_stdout(5) == b'{"a":'
        go_on.set()

        assert process.finish().code == 0

    @pytest.mark.parametrize(
        ("halves", "value"),
        [((r"\ud83d", r"\ude00"), "😀"), ((r"\ud83d", ""), "\ufffd")],
        ids=["a pair in two events", "half a pair"],
    )
    def test_surrogates_pass_the_check(
        self, orcli: Orcli, openrouter: OpenRouter, halves: tuple[str, str], value: str
    ) -> None:
        data = [rb'{"choices":[{"delta":{"content":"{\"a\":\"%s"}}]}' % halves[0].encode()]
        data.append(rb'{"choices":[{"delta":{"content":"%s\"}"},"finish_reason":"stop"}]}' % halves[1].encode())
        openrouter.reply(stream(*map(events, data)))

        result = orcli("stream", "--schema", self.SCHEMA, "hi")

        assert (result.code, result.stdout, result.stderr) == (0, f'{{"a":"{value}"}}\n', "")

    def test_x_prints_only_the_block_and_only_at_the_end(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*text_stream(*self.FENCED)))

        result = orcli("stream", "-x", "hi")

        assert (result.code, result.stdout, result.stderr) == (0, "ls -l\n", "")

    def test_x_without_a_block_prints_the_text(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*text_stream("No ", "block.")))

        result = orcli("stream", "-x", "hi")

        assert (result.code, result.stdout) == (7, "No block.\n")
        assert result.stderr == "orcli: the answer has no fenced code block for -x; ask for one in the prompt\n"

    @pytest.mark.parametrize(
        ("ending", "message"),
        [
            ([STOP, GONE], f"{BROKE}gone; try again"),
            ([RESET], BROKE + RESET_BY_PEER),
        ],
        ids=["error", "reset"],
    )
    def test_x_prints_what_came_of_an_answer_that_broke_off(
        self, orcli: Orcli, openrouter: OpenRouter, ending: list[Event], message: str
    ) -> None:
        openrouter.reply(stream(*map(chunk, self.FENCED[:2]), *ending))

        result = orcli("stream", "-x", "hi")

        assert (result.code, result.stdout, result.stderr) == (5, "Here:\n```sh\nls -\n", f"orcli: {message}\n")

    def test_x_with_the_schema_checks_the_block(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*text_stream('```json\n{"a"', ":1}\n```")))

        result = orcli("stream", "-x", "--schema", self.SCHEMA, "hi")

        assert (result.code, result.stdout, result.stderr) == (0, '{"a":1}\n', "")

    def test_c_carries_the_conversation_on(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        detail = {"type": "reasoning.text", "text": "Hm", "index": 0}
        thought = chunk("", delta={"reasoning": "Hm", "reasoning_details": [detail]})
        openrouter.reply(stream(thought, *text_stream("Hel", "lo.")), stream(*text_stream("Bye.")))

        first = orcli("stream", "-c", "talk.jsonl", "-s", "Be brief.", "hi")
        second = orcli("stream", "-c", "talk.jsonl", "go")

        turns = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hello.", "reasoning_details": [detail]},
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Bye."},
        ]
        file = orcli.work / "talk.jsonl"
        assert [(run.code, run.stdout, run.stderr) for run in (first, second)] == [
            (0, "Hello.\n", ""),
            (0, "Bye.\n", ""),
        ]
        assert [json.loads(line) for line in file.read_text().splitlines()] == turns
        assert openrouter.requests[1].json["messages"] == turns[:4]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("events_", "code"),
        [
            ([HEL, GONE], 5),
            ([HEL, STOP, GONE], 5),
            ([HEL], 5),
            ([HEL, LENGTH], 5),
            ([*CALLS], 8),
        ],
        ids=["error", "error after stop", "no finish", "length", "tools"],
    )
    def test_c_keeps_nothing_of_an_answer_that_is_not_whole(
        self, orcli: Orcli, openrouter: OpenRouter, events_: list[Event], code: int
    ) -> None:
        earlier = '{"role": "user", "content": "a"}\n{"role": "assistant", "content": "b"}\n'
        file = orcli.file("talk.jsonl", earlier)
        openrouter.reply(stream(*events_))

        result = orcli("stream", "--retries", "0", "-c", "talk.jsonl", "hi")

        assert (result.code, file.read_text()) == (code, earlier)

    def test_c_keeps_nothing_after_a_signal(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(HEL, STOP, Pause()))
        process = orcli.start("stream", "-c", "talk.jsonl", "hi")
        process.read_stdout(3)

        process.send_signal(signal.SIGTERM)

        assert process.finish().code == -signal.SIGTERM
        assert (orcli.work / "talk.jsonl").read_text() == ""


class TestShell:
    """Streams as a new user tries them."""

    def test_head_ends_the_stream(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(words("line\n")))

        result = orcli.shell('orcli stream hi | head -1; echo "${PIPESTATUS[*]}"')

        assert (result.code, result.stdout, result.stderr) == (0, "line\n141 0\n", "")
        assert openrouter.requests[0].wait_hung_up()

    def test_head_ends_a_stream_that_says_no_more(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("line\n"), Pause()))

        result = orcli.shell('orcli stream hi | head -1; echo "${PIPESTATUS[*]}"')

        assert (result.code, result.stdout, result.stderr) == (0, "line\n141 0\n", "")

    def test_tee_passes_the_text_on_and_the_code_shows(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(HEL, LO, LENGTH))

        result = orcli.shell("orcli stream hi | tee copy")

        assert (result.code, result.stdout) == (5, "Hello\n")
        assert (orcli.work / "copy").read_text() == "Hello\n"

    @pytest.mark.parametrize("pipe", ['while read -r line; do echo "<$line>"; done', "sed -u 's/.*/<&>/'"])
    def test_a_loop_gets_each_line_as_it_comes(self, orcli: Orcli, openrouter: OpenRouter, pipe: str) -> None:
        go_on = threading.Event()
        openrouter.reply(stream(chunk("one\nt"), Pause(go_on), *text_stream("wo\nthree")))
        process = orcli.start(f"orcli stream hi | {pipe}", shell=True)

        assert process.read_stdout(until=b"\n") == b"<one>\n"
        go_on.set()
        result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (0, "<one>\n<two>\n<three>\n", "")

    def test_a_loop_that_runs_stream_reads_every_line(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("list", "a\nb\n")
        openrouter.reply(stream(*text_stream("1")), stream(*text_stream("2")))

        result = orcli.shell('while read -r line; do orcli stream -n "$line"; done < list')

        assert (result.code, result.stdout, result.stderr) == (0, "1\n2\n", "")
        assert [request.json["messages"][0]["content"] for request in openrouter.requests] == ["a", "b"]

    def test_a_file_gets_what_came_by_the_time_it_came(
        self, orcli: Orcli, openrouter: OpenRouter, tmp_path: Path
    ) -> None:
        go_on = threading.Event()
        openrouter.reply(stream(HEL, Pause(go_on), *text_stream("lo")))
        path = tmp_path / "answer"
        with path.open("wb") as file:
            process = orcli.start("stream", "hi", stdout=file)
        deadline = time.monotonic() + 10
        while path.read_bytes() != b"Hel":
            assert time.monotonic() < deadline
            assert not process.wait_exit(0.01)
        go_on.set()

        assert process.finish().code == 0
        assert path.read_bytes() == b"Hello\n"

    def test_timeout_1_ends_it_with_what_came(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("Hel"), comments()))

        result = orcli.shell("timeout 2 orcli stream hi > answer")

        assert (result.code, result.stdout, result.stderr) == (124, "", "")
        assert (orcli.work / "answer").read_bytes() == b"Hel"
        assert openrouter.requests[0].wait_hung_up()

    def test_a_log_line_tells_how_a_cancelled_stream_ended(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(HEL, Pause()))
        process = orcli.start("stream", "--log", "log", "hi")
        process.read_stdout(3)

        process.send_signal(signal.SIGINT)
        result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (-signal.SIGINT, "Hel", "")
        [line] = (orcli.work / "log").read_text().splitlines()
        entry = json.loads(line)
        assert (entry["command"], entry["model"], entry["exit_code"]) == ("stream", "openai/gpt-4o-mini", 130)

    def test_dry_run_prints_the_request_as_it_would_be_sent(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(*text_stream("Hello.")))

        dry = orcli("stream", "--dry-run", "hi")
        orcli("stream", "hi")

        assert (dry.code, dry.stderr) == (0, "")
        assert dry.stdout_bytes == openrouter.requests[0].body + b"\n"

    def test_a_full_pipe_that_does_not_block_loses_nothing(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream([chunk("x" * 999 + "\n")] * 300, STOP))
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        process = orcli.start("stream", "hi", stdout=writer)
        os.close(writer)

        with open(reader, "rb") as file:
            data = file.read()

        assert (process.finish().code, data) == (0, (b"x" * 999 + b"\n") * 300)
