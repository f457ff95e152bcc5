"""Tests of the rig itself: the loopback OpenRouter under plain sockets, and the runner with stand-in commands."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.command import Orcli, why_missing
from tests.openrouter import (
    CHAT_PATH,
    CLOSE,
    COMMENT,
    RESET,
    USAGE,
    Object,
    OpenRouter,
    Pause,
    Reply,
    UsageShape,
    chunk,
    completion,
    error,
    error_chunk,
    error_in_200,
    hang,
    html,
    model,
    raw,
    reset,
    self_signed,
    stream,
    text_stream,
    tool_call,
    tool_call_delta,
    usage_chunk,
    verbatim,
)

PROMPT: Object = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
ROOT = Path(__file__).parent.parent


def connect(server: OpenRouter) -> http.client.HTTPConnection:
    """Open a connection that fails rather than waits."""
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)


def post(connection: http.client.HTTPConnection, body: Object = PROMPT) -> http.client.HTTPResponse:
    """Send a chat completion request and return the response with its body unread."""
    connection.request("POST", CHAT_PATH, json.dumps(body), {"Content-Type": "application/json"})
    return connection.getresponse()


def ask(server: OpenRouter) -> tuple[int, bytes]:
    """Send one request on a connection of its own and return the status and the body."""
    connection = connect(server)
    try:
        response = post(connection)
        return response.status, response.read()
    finally:
        connection.close()


def dial(server: OpenRouter, *headers: str) -> socket.socket:
    """Open a bare socket and send a chat completion request over it."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    lines = [f"POST {CHAT_PATH} HTTP/1.1", "Host: x", "Content-Length: 2", *headers, "", "{}"]
    client.sendall("\r\n".join(lines).encode())
    return client


def received(client: socket.socket, until: bytes) -> bytes:
    """Read from a bare socket up to these bytes and no further than the kernel happens to give."""
    data = b""
    while until not in data:
        more = client.recv(1 << 16)
        assert more, data
        data += more
    return data


def events(body: bytes) -> list[Any]:
    """Parse the data events of a stream."""
    lines = [line[len("data: ") :] for line in body.decode().split("\n\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_a_completion_has_the_wire_shape(openrouter: OpenRouter) -> None:
    openrouter.reply(completion("Hi.", headers={"X-Extra": "1"}))
    connection = connect(openrouter)
    response = post(connection)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-extra"] == "1"
    assert response.headers["x-provider-name"] == "OpenAI"
    answer = json.loads(response.read())
    connection.close()
    assert answer.pop("id") == response.headers["x-generation-id"]
    assert answer == {
        "object": "chat.completion",
        "created": 1778031306,
        "model": "openai/gpt-4o-mini",
        "provider": "OpenAI",
        "system_fingerprint": "fp_b6580bbee1",
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": "stop",
                "native_finish_reason": "stop",
                "message": {"role": "assistant", "content": "Hi.", "refusal": None, "reasoning": None},
            }
        ],
        "usage": USAGE,
    }
    assert answer["usage"]["cost"] == 0.00001305


def test_a_completion_takes_changes_at_every_level(openrouter: OpenRouter) -> None:
    calls = [tool_call("call_1", "get_weather", '{"city":"Paris"}')]
    openrouter.reply(
        completion(None, finish_reason="tool_calls", message={"tool_calls": calls}),
        completion("part", choice={"error": {"code": 502}}, top={"citations": []}, usage=None, prefix=b"  \n "),
    )
    first = json.loads(ask(openrouter)[1])
    assert first["choices"][0]["message"]["content"] is None
    assert first["choices"][0]["message"]["tool_calls"] == [
        {
            "type": "function",
            "index": 0,
            "id": "call_1",
            "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
        }
    ]
    body = ask(openrouter)[1]
    assert body.startswith(b"  \n {")
    second = json.loads(body)
    assert second["choices"][0]["error"] == {"code": 502}
    assert second["citations"] == []
    assert "usage" not in second


def test_a_request_is_recorded_as_it_came(openrouter: OpenRouter) -> None:
    before = time.monotonic()
    connection = connect(openrouter)
    connection.request("POST", CHAT_PATH + "?a=1", b'{"x": 1}', {"X-Title": "orcli"})
    connection.getresponse().read()
    connection.close()
    request = openrouter.wait_for_request()
    assert (request.method, request.path, request.body, request.json) == (
        "POST",
        CHAT_PATH + "?a=1",
        b'{"x": 1}',
        {"x": 1},
    )
    assert request.headers["x-TITLE"] == "orcli"
    assert "authorization" not in request.headers
    assert ("X-Title", "orcli") in request.raw_headers
    assert before <= request.arrived <= time.monotonic()


def test_replies_are_used_in_order_and_then_the_default(openrouter: OpenRouter) -> None:
    openrouter.reply(raw(body=b"1"), lambda request: raw(body=request.body))
    openrouter.default = raw(body=b"default")
    assert openrouter.unused == 2
    assert [ask(openrouter)[1] for _ in range(4)] == [b"1", json.dumps(PROMPT).encode(), b"default", b"default"]
    assert openrouter.unused == 0


def test_a_connection_is_kept_for_the_next_request(openrouter: OpenRouter) -> None:
    openrouter.reply(completion(), stream(*text_stream("a")), error(429), completion().with_(framing="close"))
    connection = connect(openrouter)
    for _ in range(4):
        post(connection).read()
    assert [request.connection for request in openrouter.requests] == [1, 1, 1, 1]
    post(connection).read()
    connection.close()
    assert openrouter.requests[4].connection == 2
    assert openrouter.connections == 2


def test_a_client_that_wants_to_close_is_closed_on(openrouter: OpenRouter) -> None:
    openrouter.default = raw(body=b"!")
    with dial(openrouter, "Connection: Close") as client:
        assert received(client, b"\r\n\r\n!").endswith(b"Content-Length: 1\r\n\r\n!")
        assert client.recv(1) == b""


def test_headers_of_the_same_name_are_joined_and_kept(openrouter: OpenRouter) -> None:
    with dial(openrouter, "X-A: 1", "x-a: 2"):
        request = openrouter.wait_for_request()
    assert request.headers["X-A"] == "1, 2"
    assert request.raw_headers[-2:] == [("X-A", "1"), ("x-a", "2")]


def test_waiting_for_a_request_that_does_not_come_fails(openrouter: OpenRouter) -> None:
    with pytest.raises(TimeoutError, match="request 1 did not come"):
        openrouter.wait_for_request(timeout=0.01)


def test_errors_have_the_documented_body(openrouter: OpenRouter) -> None:
    metadata = {"limit_source": "openrouter_credits", "remedy_hint": "Add credits"}
    openrouter.reply(
        error(402, "This request requires more credits", metadata=metadata, user_id="user_abc123"),
        error(429, headers={"X-RateLimit-Limit": "20"}).with_(retry_after="2"),
        error(500, "masked", code="server_error"),
        error(503, body={"error": {"http_status": 503}}),
    )
    status, body = ask(openrouter)
    assert status == 402
    assert json.loads(body) == {
        "error": {"message": "This request requires more credits", "code": 402, "metadata": metadata},
        "user_id": "user_abc123",
    }
    connection = connect(openrouter)
    response = post(connection)
    assert (response.status, response.headers["retry-after"], response.headers["x-ratelimit-limit"]) == (429, "2", "20")
    assert json.loads(response.read()) == {"error": {"message": "Provider returned error", "code": 429}}
    connection.close()
    assert json.loads(ask(openrouter)[1]) == {"error": {"message": "masked", "code": "server_error"}}
    assert ask(openrouter) == (503, b'{"error":{"http_status":503}}')


def test_an_error_in_a_200_has_the_same_body(openrouter: OpenRouter) -> None:
    openrouter.reply(error_in_200(429, metadata={"raw": "Too Many Requests"}, user_id="user_xyz"), error_in_200(None))
    status, body = ask(openrouter)
    assert status == 200
    assert json.loads(body) == {
        "error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "Too Many Requests"}},
        "user_id": "user_xyz",
    }
    assert json.loads(ask(openrouter)[1]) == {"error": {"message": "Provider returned error"}}


@pytest.mark.parametrize("status", [502, 524])
def test_a_gateway_answers_with_a_page(openrouter: OpenRouter, status: int) -> None:
    openrouter.reply(html(status))
    connection = connect(openrouter)
    response = post(connection)
    assert (response.status, response.headers["content-type"]) == (status, "text/html; charset=UTF-8")
    assert response.read().startswith(b"<html>")
    connection.close()


def test_bytes_can_take_the_place_of_http(openrouter: OpenRouter) -> None:
    openrouter.reply(verbatim(b"SSH-2.0-OpenSSH_9.9\r\n"))
    with dial(openrouter) as client:
        assert client.recv(1000) == b"SSH-2.0-OpenSSH_9.9\r\n"
        assert client.recv(1000) == b""


def test_added_headers_replace_those_of_the_same_name(openrouter: OpenRouter) -> None:
    openrouter.reply(completion().with_(headers={"content-type": "text/plain"}))
    connection = connect(openrouter)
    response = post(connection)
    assert response.headers.get_all("content-type") == ["text/plain"]
    assert response.read() == completion().body
    connection.close()


def test_a_stream_arrives_event_by_event(openrouter: OpenRouter) -> None:
    go_on = threading.Event()
    openrouter.reply(stream(COMMENT, chunk("a"), Pause(go_on), chunk("b")))
    connection = connect(openrouter)
    response = post(connection)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.read1(1 << 16) == COMMENT
    assert events(response.read1(1 << 16)) == [chunk("a")]
    assert openrouter.requests[0].chunks_sent == 2
    assert not openrouter.requests[0].answered.is_set()
    go_on.set()
    assert events(response.read()) == [chunk("b"), "[DONE]"]
    connection.close()
    assert openrouter.requests[0].answered.wait(10)
    assert openrouter.requests[0].chunks_sent == 4


def test_every_event_is_one_http_chunk(openrouter: OpenRouter) -> None:
    openrouter.reply(stream(b"data: 1\n\n", b"", b"data: 2\n\n", done=False))
    with dial(openrouter) as client:
        data = received(client, b"0\r\n\r\n")
    assert data.partition(b"\r\n\r\n")[2] == b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"


def test_a_text_stream_is_complete(openrouter: OpenRouter) -> None:
    openrouter.reply(stream(*text_stream("Hello", " world")))
    received_events = events(ask(openrouter)[1])
    assert received_events.pop() == "[DONE]"
    assert {event["id"] for event in received_events} == {received_events[0]["id"]}
    choices = [event["choices"][0] for event in received_events]
    assert [choice["delta"]["content"] for choice in choices] == ["", "Hello", " world", "", ""]
    assert [choice["delta"]["role"] for choice in choices] == ["assistant"] * 5
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop", "stop"]
    assert [event.get("usage") for event in received_events] == [None, None, None, None, USAGE]


def test_a_tool_call_stream_is_the_recorded_one() -> None:
    pieces = [
        tool_call_delta("", id="call_L7mH", name="get_weather"),
        tool_call_delta('{"'),
        tool_call_delta(index=None),
    ]
    deltas = [piece["choices"][0]["delta"] for piece in pieces]
    function = {"name": "get_weather", "arguments": ""}
    assert deltas == [
        {
            "content": None,
            "role": "assistant",
            "tool_calls": [{"index": 0, "id": "call_L7mH", "type": "function", "function": function}],
        },
        {"content": None, "role": "assistant", "tool_calls": [{"index": 0, "function": {"arguments": '{"'}}]},
        {"content": None, "role": "assistant", "tool_calls": [{"function": {}}]},
    ]


@pytest.mark.parametrize(
    ("shape", "choices"),
    [
        ("null_finish", [{"content": "", "finish_reason": None}]),
        ("empty_choices", []),
        ("repeated_finish", [{"content": "", "finish_reason": "length"}]),
    ],
)
def test_usage_comes_in_three_shapes(shape: UsageShape, choices: list[Object]) -> None:
    last = usage_chunk(shape, finish_reason="length")
    assert last["usage"] == USAGE
    seen = [{"content": each["delta"]["content"], "finish_reason": each["finish_reason"]} for each in last["choices"]]
    assert seen == choices


def test_an_error_chunk_is_the_documented_one() -> None:
    metadata = {"error_type": "rate_limit_exceeded"}
    body = error_chunk(429, "Rate limit exceeded", metadata=metadata)
    assert body["error"] == {"code": 429, "message": "Rate limit exceeded", "metadata": metadata}
    assert body["choices"][0]["finish_reason"] == "error"
    assert body["choices"][0]["delta"]["content"] == ""


@pytest.mark.parametrize(
    "reply",
    [
        hang(),
        completion().with_(delay=Pause(seconds=60)),
        completion().with_(delay=Pause(threading.Event())),
        completion().with_(header_delay=Pause()),
        completion().with_(body_delay=Pause()),
        stream(chunk("a"), Pause()),
        stream(chunk("a"), Pause(threading.Event(), seconds=60)),
    ],
    ids=["hang", "seconds", "event", "headers", "body", "stream", "both"],
)
@pytest.mark.parametrize("farewell", ["close", "reset"])
def test_a_hang_up_is_noticed_during_every_wait(openrouter: OpenRouter, reply: Reply, farewell: str) -> None:
    openrouter.reply(reply)
    client = dial(openrouter)
    request = openrouter.wait_for_request()
    assert not request.wait_hung_up(0.05)
    client.setblocking(False)
    with suppress(BlockingIOError):
        client.recv(1 << 16)
    if farewell == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    left = time.monotonic()
    client.close()
    assert request.wait_hung_up()
    assert left <= request.hung_up_at < left + 1
    assert not request.answered.is_set()


def test_a_complete_reply_is_no_hang_up(openrouter: OpenRouter) -> None:
    ask(openrouter)
    request = openrouter.requests[0]
    assert request.answered.wait(10)
    assert not request.wait_hung_up(0.05)
    assert request.hung_up_at > time.monotonic()


def test_an_endless_stream_ends_when_the_client_leaves(openrouter: OpenRouter) -> None:
    def endless() -> Iterator[Object | Pause]:
        while True:
            yield chunk("a")
            yield Pause(seconds=0.001)

    openrouter.reply(stream(endless()))
    connection = connect(openrouter)
    response = post(connection)
    response.read1(100)
    request = openrouter.requests[0]
    sent, left = request.chunks_sent, time.monotonic()
    response.close()
    connection.close()
    assert request.wait_hung_up()
    assert request.hung_up_at < left + 1
    assert sent <= request.chunks_sent < sent + 1000
    assert request.chunks_sent > 0


def test_an_endless_stream_waits_for_a_client_that_does_not_read(openrouter: OpenRouter) -> None:
    produced = 0

    def endless() -> Iterator[bytes]:
        nonlocal produced
        while True:
            produced += 1
            yield b"x" * 100_000

    openrouter.reply(stream(endless()))
    client = dial(openrouter)
    request = openrouter.wait_for_request()
    assert not request.wait_hung_up(0.3)
    settled = produced
    assert not request.wait_hung_up(0.1)
    assert produced == settled
    client.close()
    assert request.wait_hung_up()
    assert request.chunks_sent == produced - 1


def test_nothing_is_written_to_a_client_that_has_left(openrouter: OpenRouter) -> None:
    go_on = threading.Event()

    def slow() -> Iterator[bytes]:
        yield b"first"
        go_on.wait(10)
        yield b"second"

    openrouter.reply(stream(slow()))
    with dial(openrouter) as client:
        received(client, b"first\r\n")
    go_on.set()
    request = openrouter.requests[0]
    assert request.wait_hung_up()
    assert request.chunks_sent == 1


def test_a_reset_comes_before_any_byte(openrouter: OpenRouter) -> None:
    openrouter.reply(reset())
    with dial(openrouter) as client, pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_stream_can_be_reset_after_what_it_has_sent(openrouter: OpenRouter) -> None:
    openrouter.reply(stream(chunk("a"), RESET))
    with dial(openrouter) as client:
        assert b'"content":"a"' in received(client, b"}\n\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert openrouter.requests[0].answered.wait(10)
    assert openrouter.requests[0].chunks_sent == 1


def test_a_stream_can_be_closed_without_its_terminator(openrouter: OpenRouter) -> None:
    openrouter.reply(stream(chunk("a"), CLOSE))
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(openrouter)
    assert events(cut.value.partial) == [chunk("a")]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_is_cut_where_the_reply_says(openrouter: OpenRouter, framing: str) -> None:
    openrouter.reply(completion().with_(framing=framing, cut_after=20))
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(openrouter)
    assert cut.value.partial == completion().body[:20]


def test_a_cut_of_a_close_delimited_body_looks_like_its_end(openrouter: OpenRouter) -> None:
    openrouter.reply(completion().with_(framing="close", cut_after=20), completion().with_(framing="close"))
    assert ask(openrouter) == (200, completion().body[:20])
    assert ask(openrouter) == (200, completion().body)


@pytest.mark.parametrize("after", [0, 20])
def test_a_body_can_be_cut_by_a_reset(openrouter: OpenRouter, after: int) -> None:
    openrouter.reply(completion().with_(cut_after=after, cut="reset"))
    with dial(openrouter) as client:
        data = received(client, b"\r\n\r\n" + completion().body[:after])
        assert len(data.partition(b"\r\n\r\n")[2]) == after
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_cut_beyond_the_body_is_a_failure(openrouter: OpenRouter) -> None:
    openrouter.reply(stream(b"short", done=False).with_(cut_after=6))
    with pytest.raises(ConnectionResetError):
        ask(openrouter)
    openrouter.close()
    assert [str(failure) for failure in openrouter.failures] == ["the body ended 1 bytes before the cut after 6"]
    openrouter.failures.clear()


def test_a_body_can_trickle(openrouter: OpenRouter) -> None:
    go_on = threading.Event()
    openrouter.reply(raw(body=b"abcdefg").with_(bytes_per_write=3, pause=Pause(go_on)))
    with dial(openrouter) as client:
        assert received(client, b"\r\n\r\nabc").endswith(b"\r\n\r\nabc")
        assert openrouter.requests[0].chunks_sent == 1
        go_on.set()
        assert received(client, b"g") == b"defg"
    assert openrouter.requests[0].answered.wait(10)
    assert openrouter.requests[0].chunks_sent == 3


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_body_can_be_compressed(openrouter: OpenRouter, framing: str) -> None:
    openrouter.reply(completion().with_(gzip=True, framing=framing))
    connection = connect(openrouter)
    response = post(connection)
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(response.read()) == completion().body
    connection.close()


def test_a_compressed_stream_arrives_event_by_event(openrouter: OpenRouter) -> None:
    go_on = threading.Event()
    openrouter.reply(stream(chunk("a"), Pause(go_on), chunk("b")).with_(gzip=True))
    connection = connect(openrouter)
    response = post(connection)
    decompressor = zlib.decompressobj(wbits=31)
    assert events(decompressor.decompress(response.read1(1 << 16))) == [chunk("a")]
    go_on.set()
    assert events(decompressor.decompress(response.read())) == [chunk("b"), "[DONE]"]
    connection.close()


def test_the_parts_of_a_response_can_wait(openrouter: OpenRouter) -> None:
    status, headers, body = threading.Event(), threading.Event(), threading.Event()
    reply = raw(body=b"!").with_(delay=Pause(status), header_delay=Pause(headers), body_delay=Pause(body))
    openrouter.reply(reply)
    with dial(openrouter) as client:
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(10)
        status.set()
        assert received(client, b"\r\n") == b"HTTP/1.1 200 OK\r\n"
        headers.set()
        assert received(client, b"\r\n\r\n").endswith(b"\r\n\r\n")
        body.set()
        assert client.recv(100) == b"!"


def test_a_pause_of_seconds_takes_that_long(openrouter: OpenRouter) -> None:
    openrouter.reply(completion().with_(delay=Pause(seconds=0.2)))
    started = time.monotonic()
    ask(openrouter)
    assert time.monotonic() - started >= 0.2


def test_a_hang_can_end(openrouter: OpenRouter) -> None:
    enough = threading.Event()
    openrouter.reply(hang(enough))
    with dial(openrouter) as client:
        openrouter.wait_for_request()
        enough.set()
        assert client.recv(1) == b""


def test_models_come_in_pages(openrouter: OpenRouter) -> None:
    openrouter.models = [model(f"a/{number}", context_length=None) for number in range(5)]
    openrouter.models_per_page = 2
    names, path, connection = [], "/api/v1/models", connect(openrouter)
    while path:
        connection.request("GET", path)
        page = json.loads(connection.getresponse().read())
        assert page["total_count"] == 5
        assert len(openrouter.requests) <= 3
        assert len(page["data"]) <= 2
        names += [each["id"] for each in page["data"]]
        path = page["links"]["next"]
    connection.close()
    assert names == ["a/0", "a/1", "a/2", "a/3", "a/4"]
    assert openrouter.requests[1].path == "/api/v1/models?offset=2&limit=2"


def test_a_queued_reply_answers_a_get_too(openrouter: OpenRouter) -> None:
    openrouter.reply(error(500, "masked"))
    connection = connect(openrouter)
    connection.request("GET", "/api/v1/models")
    assert connection.getresponse().status == 500
    connection.close()


def test_an_unknown_path_is_not_found(openrouter: OpenRouter) -> None:
    connection = connect(openrouter)
    connection.request("POST", "/v1/chat/completions", b"{}")
    assert connection.getresponse().status == 404
    connection.close()


def test_sixty_four_requests_are_held_at_once(openrouter: OpenRouter) -> None:
    go_on = threading.Event()
    openrouter.default = completion().with_(delay=Pause(go_on))
    with ThreadPoolExecutor(64) as pool:
        answers = [pool.submit(ask, openrouter) for _ in range(64)]
        openrouter.wait_for_request(64)
        assert not any(answer.done() for answer in answers)
        go_on.set()
        assert {answer.result() for answer in answers} == {(200, completion().body)}


def test_a_large_request_is_read_whole(openrouter: OpenRouter) -> None:
    body = os.urandom(1 << 20) * 50
    connection = connect(openrouter)
    connection.request("POST", CHAT_PATH, body)
    assert connection.getresponse().status == 200
    connection.close()
    assert openrouter.requests[0].body == body


def test_a_client_that_leaves_before_its_body_is_no_request(openrouter: OpenRouter) -> None:
    with socket.create_connection(("127.0.0.1", openrouter.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
    ask(openrouter)
    assert [request.body for request in openrouter.requests] == [json.dumps(PROMPT).encode()]


def test_a_client_that_does_not_speak_http_is_refused(openrouter: OpenRouter) -> None:
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", openrouter.port), timeout=10) as client, pytest.raises(ssl.SSLError):
        context.wrap_socket(client, server_hostname="127.0.0.1")
    assert openrouter.requests == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_it_speaks_tls(tmp_path: Path) -> None:
    serving, certificate = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with OpenRouter(tls=serving) as server:
        assert server.base_url == f"https://127.0.0.1:{server.port}/api/v1"
        server.reply(completion(), stream(chunk("a"), Pause()))
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=trusting)
        assert post(connection).read() == completion().body
        response = post(connection)
        assert events(response.read1(1 << 16)) == [chunk("a")]
        left = time.monotonic()
        response.close()
        connection.close()
        assert server.requests[1].wait_hung_up()
        assert server.requests[1].hung_up_at < left + 1
        stranger = http.client.HTTPSConnection(
            "127.0.0.1", server.port, timeout=10, context=ssl.create_default_context()
        )
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.connect()
        stranger.close()
    assert server.failures == []


def test_closing_wakes_whatever_waits() -> None:
    server = OpenRouter()
    server.reply(hang(), stream(chunk("a"), Pause(threading.Event())), stream(b"x" * 100_000 for _ in iter(int, 1)))
    clients = [dial(server) for _ in range(3)]
    idle = socket.create_connection(("127.0.0.1", server.port))
    server.wait_for_request(3)
    started = time.monotonic()
    server.close()
    assert time.monotonic() - started < 5
    assert server.failures == []
    assert not any(request.hung_up.is_set() for request in server.requests)
    for client in (*clients, idle):
        client.close()


StandIn = Callable[[str], Orcli]


@pytest.fixture
def stand_in(openrouter: OpenRouter, tmp_path: Path) -> Iterator[StandIn]:
    """Make a runner whose orcli is a Python script with this text."""
    runners: list[Orcli] = []

    def make(script: str) -> Orcli:
        command = tmp_path / "bin" / "orcli"
        command.parent.mkdir()
        command.write_text(f"#!{sys.executable} -S\nimport json, os, signal, sys, time\n{script}\n")
        command.chmod(0o755)
        assert why_missing(command) is None
        runners.append(Orcli(command, tmp_path, openrouter.base_url))
        return runners[0]

    yield make
    for runner in runners:
        runner.close()


def test_the_environment_is_closed(
    stand_in: StandIn, openrouter: OpenRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCLI_EAGER", "1")
    orcli = stand_in("print(json.dumps([dict(os.environ), os.getcwd(), sys.argv[1:]]))")
    result = orcli("ask", b"caf\xc3\xa9", tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == [
        {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "HOME": str(tmp_path / "home"),
            "LANG": "C.UTF-8",
            "OPENROUTER_API_KEY": "sk-or-v1-test",
            "API_BASE_URL": openrouter.base_url,
            "ORCLI_EAGER": "1",
        },
        str(tmp_path / "work"),
        ["ask", "café", str(tmp_path)],
    ]


def test_the_environment_can_be_changed(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCLI_EAGER", raising=False)
    orcli = stand_in("print(sorted(os.environ), os.getcwd())")
    orcli.env.pop("API_BASE_URL")
    result = orcli(env={"EXTRA": "1", "OPENROUTER_API_KEY": None}, cwd=tmp_path)
    assert result.stdout == f"['EXTRA', 'HOME', 'LANG', 'PATH'] {tmp_path}\n"


def test_stdin_is_what_the_test_says(stand_in: StandIn) -> None:
    orcli = stand_in("print(sys.stdin and sys.stdin.buffer.read())")
    assert orcli().stdout == "b''\n"
    assert orcli(stdin="é\udcff").stdout == "b'\\xc3\\xa9\\xff'\n"
    assert orcli(stdin=b"closed").stdout == "b'closed'\n"
    assert orcli(stdin="closed").stdout == "None\n"
    with orcli.file("input", "from a file").open() as file:
        assert orcli(stdin=file).stdout == "b'from a file'\n"


def test_outputs_can_be_closed_or_files(stand_in: StandIn) -> None:
    orcli = stand_in("os.write(2, repr(sys.stdout and 1).encode()); sys.exit(sys.stderr is None)")
    result = orcli(stdout="closed")
    assert (result.code, result.stdout, result.stderr) == (0, "", "None")
    with orcli.file("log", b"").open("w") as file:
        assert orcli(stderr=file).stderr == ""
    assert (orcli.work / "log").read_text() == "1"


def test_a_result_shows_everything(stand_in: StandIn) -> None:
    orcli = stand_in("os.write(1, b'out\\n'); os.write(2, b'\\xff\\n'); os.kill(os.getpid(), 15)")
    result = orcli("a b")
    assert (result.code, result.stdout, result.stderr) == (-15, "out\n", "\udcff\n")
    assert 0 < result.seconds < 30
    assert repr(result) == str(result)
    shown = repr(result).splitlines()
    assert shown[0] == f"$ {orcli.command} 'a b'"
    assert shown[1].startswith("code -15 after ")
    assert shown[2:] == ["stdout b'out\\n'", "stderr b'\\xff\\n'"]


def test_large_input_and_output_do_not_block_each_other(stand_in: StandIn) -> None:
    orcli = stand_in("while data := sys.stdin.buffer.read(65536): sys.stdout.buffer.write(data)")
    content = os.urandom(5_000_000)
    assert orcli(stdin=content).stdout_bytes == content


def test_a_command_need_not_read_its_input(stand_in: StandIn) -> None:
    orcli = stand_in("print('done')")
    assert orcli(stdin=b"x" * 5_000_000).stdout == "done\n"


def test_a_live_run_is_talked_to(stand_in: StandIn) -> None:
    orcli = stand_in("for line in sys.stdin: print('got', line, end='', flush=True)\nprint('end', file=sys.stderr)")
    process = orcli.start("ask", stdin="pipe")
    process.write_stdin(b"one\n")
    assert process.read_stdout(3) == b"got"
    assert process.read_stdout(until=b"\n") == b" one\n"
    process.write_stdin(b"two\n")
    assert process.read_stdout() == b"got two\n"
    with pytest.raises(AssertionError, match=r"(?s)not on stdout.*got two"):
        process.read_stdout(until=b"three", timeout=0.05)
    process.close_stdin()
    assert process.wait_stderr("end") == "end\n"
    assert process.read_stdout() == b""
    result = process.finish()
    assert (result.code, result.stdout, result.stderr) == (0, "got one\ngot two\n", "end\n")
    assert process.started_at < process.exited_at < time.monotonic()


def test_signals_reach_a_live_run(stand_in: StandIn) -> None:
    orcli = stand_in("print('ready', flush=True)\ntime.sleep(60)")
    process = orcli.start()
    process.read_stdout(until=b"ready\n")
    process.send_signal(signal.SIGTERM)
    assert process.finish().code == -signal.SIGTERM


def test_the_reader_can_go_away(stand_in: StandIn) -> None:
    orcli = stand_in("print('a', flush=True)\nsys.stdin.read()\nprint('b', flush=True)")
    process = orcli.start(stdin="pipe")
    assert process.read_stdout(until=b"a\n") == b"a\n"
    process.close_stdout()
    result = process.finish()
    assert "BrokenPipeError" in result.stderr
    assert result.stdout == "a\n"


def test_output_is_not_read_until_it_is_asked_for(stand_in: StandIn) -> None:
    orcli = stand_in("os.write(1, b'x' * 1000000)")
    process = orcli.start()
    assert not process.wait_exit(0.3)
    assert len(process.finish().stdout) == 1_000_000


def test_a_run_that_does_not_end_is_killed_and_shown(stand_in: StandIn) -> None:
    orcli = stand_in("print('waiting', flush=True)\ntime.sleep(60)")
    process = orcli.start()
    process.read_stdout(until=b"waiting")
    with pytest.raises(AssertionError, match=r"(?s)still running after 0.1 s.*code -9.*waiting"):
        process.finish(timeout=0.1)


def test_a_child_that_holds_the_output_is_told_from_a_run_that_does_not_end(stand_in: StandIn) -> None:
    orcli = stand_in("os.fork() or time.sleep(60)")
    with pytest.raises(AssertionError, match="another process still holds its output after"):
        orcli(timeout=0.5)


def test_survivors_are_killed_at_the_end(stand_in: StandIn) -> None:
    orcli = stand_in("signal.signal(15, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)")
    process = orcli.start(stdin="pipe")
    process.read_stdout(until=b"ready")
    orcli.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_shell_runs_pipelines_with_pipefail(stand_in: StandIn) -> None:
    orcli = stand_in("print('x'); sys.exit(7)")
    result = orcli.shell('orcli | cat; echo "${PIPESTATUS[@]}"; orcli | cat')
    assert (result.code, result.stdout) == (7, "x\n7 0\nx\n")


@pytest.mark.parametrize(
    "kinds", [(True, True, True), (True, False, False), (False, False, True), (False, False, False)]
)
def test_a_terminal_is_given_to_the_chosen_descriptors(stand_in: StandIn, kinds: tuple[bool, bool, bool]) -> None:
    orcli = stand_in(
        "size = os.get_terminal_size(os.open('/dev/tty', os.O_RDWR))\n"
        "report = [os.isatty(0), os.isatty(1), os.isatty(2), size.lines, size.columns, os.environ['TERM']]\n"
        "open('report', 'w').write(json.dumps(report))\n"
        "print('out'); print('err', file=sys.stderr)"
    )
    stdin, stdout, stderr = kinds
    result = orcli.terminal(stdin_tty=stdin, stdout_tty=stdout, stderr_tty=stderr, size=(10, 33)).finish()
    assert json.loads((orcli.work / "report").read_text()) == [*kinds, 10, 33, "xterm-256color"]
    assert result.stdout == ("" if stdout else "out\n")
    assert result.stderr == ("" if stderr else "err\n")
    assert result.terminal == ("out\r\n" if stdout else "") + ("err\r\n" if stderr else "")


def test_a_terminal_is_typed_on(stand_in: StandIn) -> None:
    orcli = stand_in("print('hello', input('name? '))\ntime.sleep(60)")
    terminal = orcli.terminal()
    terminal.wait_for("name? ")
    terminal.type("Ada\r")
    assert terminal.wait_for("hello Ada").startswith(b"name? Ada\r\nhello Ada")
    terminal.type("\x03")
    result = terminal.finish()
    assert result.code == -signal.SIGINT
    assert "KeyboardInterrupt" in result.terminal
    assert terminal.screen == result.terminal_bytes


def test_a_terminal_can_have_data_on_stdin(stand_in: StandIn) -> None:
    orcli = stand_in("print(sys.stdin.read(), open('/dev/tty').readline())")
    terminal = orcli.terminal(stdin="data", stdin_tty=False, stdout_tty=False)
    terminal.type("yes\r")
    assert terminal.finish().stdout == "data yes\n\n"


def test_a_terminal_can_go_away(stand_in: StandIn) -> None:
    orcli = stand_in("print('ready', flush=True)\ntime.sleep(60)")
    terminal = orcli.terminal()
    terminal.wait_for("ready")
    terminal.hang_up()
    assert terminal.finish().code == -signal.SIGHUP


def test_a_shell_can_have_a_terminal(stand_in: StandIn) -> None:
    orcli = stand_in("signal.signal(2, signal.SIG_DFL)\nprint('ready', flush=True)\ntime.sleep(60)")
    terminal = orcli.terminal("while :; do orcli; done", shell=True)
    terminal.wait_for("ready")
    terminal.type("\x03")
    assert terminal.finish().code == -signal.SIGINT


def run_pytest(
    tmp_path: Path, test: str, *options: str, command: str = "", before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run pytest over one test file under the rig's fixtures, after a line of shell."""
    (tmp_path / "test_inner.py").write_text(f"from tests.openrouter import *\nimport signal\n\n{test}\n")
    line = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull]
    return subprocess.run(
        ["/bin/sh", "-c", f'{before}\nexec "$@"', "sh", *line, *options, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ORCLI_TEST_COMMAND": command},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("openrouter.reply(completion())", "1 queued replies were not used"),
        ("openrouter.reply(completion()); openrouter.allow_unused = True", "1 passed"),
        ("openrouter.failures.append(ZeroDivisionError('in a reply'))", "ZeroDivisionError: in a reply"),
    ],
)
def test_the_fixture_fails_a_test_with_loose_ends(tmp_path: Path, body: str, outcome: str) -> None:
    run = run_pytest(tmp_path, f"def test_inner(openrouter):\n    {body}")
    assert outcome in run.stdout
    assert (run.returncode == 0) == ("passed" in outcome)


def test_what_a_reply_raises_is_kept_for_the_fixture(openrouter: OpenRouter) -> None:
    def broken(request: object) -> Reply:
        raise ZeroDivisionError

    openrouter.reply(broken)
    with pytest.raises(ConnectionResetError):
        ask(openrouter)
    openrouter.close()
    assert [type(failure) for failure in openrouter.failures] == [ZeroDivisionError]
    openrouter.failures.clear()


def test_a_missing_command_stops_the_tests_that_need_it(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "def test_inner(orcli): pass", command="/nonexistent/orcli")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "/nonexistent/orcli is not an executable named orcli; install the project" in run.stderr


def test_a_missing_command_fails_the_tests_that_run_in_parallel(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    run = run_pytest(tmp_path, "def test_inner(orcli): pass", "-n", "1", command="/nonexistent/orcli")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "/nonexistent/orcli is not an executable named orcli; install the project" in run.stdout


def test_a_failure_shows_what_ran_and_what_was_asked(tmp_path: Path) -> None:
    command = tmp_path / "orcli"
    command.write_text(f"#!/bin/sh\necho {'long ' * 100}; exit 3\n")
    command.chmod(0o755)
    asking = "    urllib.request.urlopen(openrouter.base_url + '/models').close()\n"
    failing = "    assert orcli('ask').code == 0"
    test = f"import urllib.request\n\ndef test_inner(orcli, openrouter):\n{asking}{failing}"
    run = run_pytest(tmp_path, test, command=str(command))
    assert f"$ {command} ask\ncode 3\nstdout b'{'long ' * 99}long\\n'" in run.stdout
    assert "<GET /api/v1/models, 0 bytes>" in run.stdout


def test_commands_get_their_signals_even_where_the_tests_ignore_them(tmp_path: Path) -> None:
    check = (
        "def test_inner():\n    assert signal.getsignal(1) == signal.SIG_DFL and signal.getsignal(2) != signal.SIG_IGN"
    )
    run = run_pytest(tmp_path, check, before="trap '' INT HUP")
    assert run.returncode == 0, run.stdout
