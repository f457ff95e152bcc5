"""Every way a request can fail: its exit code, its one line, what stdout keeps, and how often it was posted."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import stat
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from time import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcli.answer import outcome_of, parse_completion, verdict
from orcli.errors import ExitCode, OrcliError, from_api, is_control, one_line, redact, redact_values, reports_error
from tests.command import Changes, Orcli
from tests.openrouter import (
    CLOSE,
    GENERATION,
    MODEL,
    PROVIDER,
    RESET,
    USAGE,
    Object,
    OpenRouter,
    Pause,
    Reply,
    Request,
    completion,
    error,
    error_in_200,
    hang,
    html,
    raw,
    reset,
    stream,
    text_stream,
    tool_call,
    verbatim,
)

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"
OPAQUE_KEY = "opaque.key/of=another+gateway"
KEY_HASH = "0123456789abcdef" * 4
USER = "user_2abcDEF345"
SOON = {"retry-after-ms": "1"}
"""What makes a try again cost no time."""

RAW = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}})
TWICE = json.dumps({"error": json.dumps({"detail": [{"msg": "bad \u202e field"}]})})
REASONS: Object = {
    "reasons": ["violence", "hate"],
    "flagged_input": "how to",
    "provider_name": "OpenAI",
    "model_slug": "a/b",
}
REMEDY = "Add credits at https://openrouter.ai/settings/credits"
CREDITS: Object = {"limit_source": "openrouter_credits", "remedy_hint": REMEDY}
IN_FLIGHT: Object = {"limit_source": "openrouter_in_flight_budget", "reason": "in_flight_budget_exhausted"}
DISCONNECTED = {"code": 502, "message": "Provider disconnected", "metadata": {"error_type": "provider_unavailable"}}
PAGE = "the server answered 200 with no completion but a gateway's page; check API_BASE_URL or try later"
EMPTY_BODY = "the server answered 200 with an empty body; try later"
NO_OBJECT = "the server answered JSON that is no completion object; check API_BASE_URL or try later"
NOT_WHOLE = "the answer broke off: its JSON is not whole; try again"
EMPTY_ANSWER = "the answer is empty; try again, or another model"
NO_CHOICES = {"message": "the answer has no choices", "code": "unavailable"}
DISCONNECT = "cannot reach 127.0.0.1: Server disconnected without sending a response; check the network or try later"
RESET_BY_PEER = "the connection broke: Connection reset by peer; try again"


def compact(value: object) -> str:
    """Write JSON as orcli and the server do."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def row(id: str, reply: Reply, code: int, line: str, shown: Object | None = None, *, again: bool = False) -> Any:
    """Make a row: a reply, its exit code and line, the error object under `--json`, and whether it is posted again.

    Without `shown` the failure is orcli's own: the object has the code's name and the line.
    """
    own = {"code": ExitCode(code).name.lower(), "message": line}
    return pytest.param(reply, code, line, own if shown is None else shown, again, id=id)


def status(
    number: int, code: int, line: str, message: str = "No.", *, again: bool = False, id: str = "", **metadata: Any
) -> Any:
    """Make a row of an error body under its own status, with the message and metadata."""
    shown = {"message": message, "code": number, **({"metadata": metadata} if metadata else {})}
    reply = error(number, message, metadata=metadata or None, user_id=USER)
    return row(id or str(number), reply, code, line, shown, again=again)


def inside_200(id: str, fields: Object, code: int, line: str, *, own_code: str = "", again: bool = False) -> Any:
    """Make a row of an error that is the whole body of a 200; `own_code` is what orcli adds where it has none."""
    shown = {**fields, "code": own_code} if own_code else fields
    reply = error_in_200(None, body={"error": fields, "user_id": USER})
    return row(f"200 {id}", reply, code, line, shown, again=again)


def nested(depth: int) -> bytes:
    """Write an API error whose metadata is nested so deep."""
    return b'{"error":{"message":"m","code":400,"metadata":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}"


PROVIDER_SAID = "Provider returned error"

STATUSES = [
    row(
        "301",
        raw(301, {"Location": "https://elsewhere.test/v1"}),
        3,
        "127.0.0.1 redirects to https://elsewhere.test/v1, which is not followed; check API_BASE_URL",
    ),
    row(
        "307 without a body",
        raw(307, {"Location": "/v2"}, content_type=None),
        3,
        "127.0.0.1 redirects to /v2, which is not followed; check API_BASE_URL",
    ),
    row(
        "308 nowhere",
        error(308, "Moved"),
        3,
        "127.0.0.1 redirects to elsewhere, which is not followed; check API_BASE_URL",
    ),
    status(400, 2, "400: acme/x is not a valid model ID; change the request", message="acme/x is not a valid model ID"),
    status(
        401,
        3,
        "401: Missing Authentication header; check OPENROUTER_API_KEY",
        message="Missing Authentication header",
    ),
    status(402, 3, "402: No.; add credits, or lower --max-tokens"),
    status(403, 3, "403: No.; check what the key may do"),
    status(
        404,
        2,
        "404: No endpoints found for X:free.; check the model id and what it supports (orcli models)",
        message="No endpoints found for X:free.",
    ),
    status(408, 4, "408: No.; try later", again=True),
    status(409, 4, "409: No.; try later", again=True),
    status(410, 2, "410: No.; change the request"),
    status(413, 2, "413: No.; send less"),
    status(422, 2, "422: No.; change the request"),
    status(429, 4, "429: No.; try later", again=True),
    status(500, 4, "500: No.; try later", again=True),
    status(502, 4, "502: No.; try later", again=True),
    status(503, 4, "503: No.; try later", again=True),
    status(504, 4, "504: No.; try later", again=True),
    status(524, 4, "524: No.; try later", again=True),
    status(529, 4, "529: No.; try later", again=True),
    status(600, 4, "600: No.; try later", again=True),
]

METADATA = [
    status(
        400,
        2,
        "400: Anthropic: prompt is too long; change the request",
        PROVIDER_SAID,
        id="raw JSON",
        raw=RAW,
        provider_name="Anthropic",
    ),
    status(400, 2, "400: bad field; change the request", PROVIDER_SAID, id="raw JSON in JSON", raw=TWICE),
    status(
        429,
        4,
        "429: Hyperbolic: Too Many Requests; try later",
        PROVIDER_SAID,
        id="raw text",
        raw="Too Many Requests",
        provider_name="Hyperbolic",
        again=True,
    ),
    status(
        502,
        4,
        "502: OpenAI: Provider returned error; try later",
        PROVIDER_SAID,
        id="provider_name",
        again=True,
        provider_name="OpenAI",
    ),
    status(400, 2, "400: Invalid: too long; change the request", "Invalid", id="message and raw", raw="too long"),
    status(
        400,
        2,
        "400: too long, see docs; change the request",
        "too long, see docs",
        id="raw is in the message",
        raw="too long",
    ),
    status(400, 2, '400: {"error": cut; change the request', PROVIDER_SAID, id="raw is cut JSON", raw='{"error": cut'),
    status(403, 6, "403: OpenAI: Flagged (violence, hate); change the prompt", "Flagged", id="reasons", **REASONS),
    status(403, 6, "403: No.; change the prompt", id="refusal", error_type="refusal"),
    status(400, 6, "400: No.; change the prompt", id="content policy", error_type="content_policy_violation"),
    status(403, 3, "403: No.; check what the key may do", id="no reasons", reasons=[]),
    status(402, 3, f"402: No.; {REMEDY}", id="credits", **CREDITS),
    status(
        402,
        3,
        "402: No.; raise the limit at https://openrouter.ai/workspaces/default/keys/[redacted]",
        id="remedy_hint",
        remedy_hint="raise the limit at https://openrouter.ai/workspaces/default/keys/[redacted]",
    ),
    status(402, 3, "402: No.; add credits, or lower --max-tokens", id="in flight", again=True, **IN_FLIGHT),
    status(
        404,
        2,
        "404: No.; check the model id and what it supports (orcli models)",
        id="status before type",
        error_type="rate_limit_exceeded",
    ),
    status(400, 2, "400: No.; change the request", id="unknown metadata", error_type=5, provider_name=["x"], raw=7),
]

BODIES = [
    row("502 HTML", html(502), 4, "502: a gateway's page; try later", {"message": "a gateway's page", "code": 502},
        again=True),
    row("524 HTML", html(524, b"\r\n<!DOCTYPE html><p>late"), 4, "524: a gateway's page; try later",
        {"message": "a gateway's page", "code": 524}, again=True),
    row("403 HTML", html(403), 3, "403: a gateway's page; check what the key may do",
        {"message": "a gateway's page", "code": 403}),
    row("text", raw(503, None, b"no healthy upstream\n", "text/plain"), 4, "503: no healthy upstream; try later",
        {"message": "no healthy upstream", "code": 503}, again=True),
    row("no body", raw(503), 4, "503: no message; try later", {"message": "no message", "code": 503}, again=True),
    row("null", error(500, body={"error": None}), 4, "500: no message; try later",
        {"message": "no message", "code": 500}, again=True),
    row("a string", error(404, body={"error": "model not found"}), 2,
        "404: model not found; check the model id and what it supports (orcli models)",
        {"message": "model not found", "code": 404}),
    row("no error member", error(400, body={"message": "bad", "type": "x"}), 2, "400: bad; change the request",
        {"message": "bad", "type": "x", "code": 400}),
    row("detail", error(422, body={"detail": [{"msg": "field required"}]}), 2,
        "422: field required; change the request", {"detail": [{"msg": "field required"}], "code": 422}),
    row("code is a name", error(500, "masked", code="server_error"), 4, "500: masked; try later",
        {"message": "masked", "code": "server_error"}, again=True),
    row("unknown fields", error(400, body={"error": {"code": 400, "message": "m", "availability": {"code": 1.0}}}),
        2, "400: m; change the request", {"code": 400, "message": "m", "availability": {"code": 1.0}}),
    row("gzip", error(500, "masked").with_(gzip=True), 4, "500: masked; try later",
        {"message": "masked", "code": 500}, again=True),
    row("control characters", error(400, "a\x1b]0;title\x07\r\nb\u202ec\x9b2J"), 2,
        "400: a ]0;title b c 2J; change the request", {"message": "a\x1b]0;title\x07\r\nb\u202ec\x9b2J", "code": 400}),
    row("too long", error(400, "x" * 9000), 2, f"400: {'x' * 479}…; change the request",
        {"message": "x" * 9000, "code": 400}),
    row("cut 401", error(401).with_(cut_after=5), 3, "401: no message; check OPENROUTER_API_KEY",
        {"message": "no message", "code": 401}),
    row("cut 500", error(500).with_(cut_after=5), 4, "500: no message; try later",
        {"message": "no message", "code": 500}, again=True),
    row("reset 503", error(503).with_(cut_after=5, cut="reset"), 4, "503: no message; try later",
        {"message": "no message", "code": 503}, again=True),
    row("not HTTP", verbatim(b"220 mail.test ESMTP\r\n"), 4, DISCONNECT, again=True),
    row("hung up", verbatim(CLOSE), 4, DISCONNECT, again=True),
    row("reset", reset(), 4, "cannot reach 127.0.0.1: Connection reset by peer; check the network or try later",
        again=True),
]  # fmt: skip

INSIDE_200 = [
    inside_200(
        "int code",
        {"message": PROVIDER_SAID, "code": 429, "metadata": {"raw": "Too Many", "provider_name": "Hyperbolic"}},
        4,
        "429: Hyperbolic: Too Many; try later",
        again=True,
    ),
    inside_200("digits", {"message": "m", "code": "401"}, 3, "401: m; check OPENROUTER_API_KEY"),
    inside_200("named code", {"message": "m", "code": "server_error"}, 4, "m; try later", again=True),
    inside_200("code is an error_type", {"message": "m", "code": "not_found"}, 2, "m; change the request"),
    inside_200("no code", {"message": "m"}, 4, "m; try later", own_code="unavailable", again=True),
    inside_200("no message", {"code": 402}, 3, "402; add credits, or lower --max-tokens"),
    inside_200("code is no status", {"message": "m", "code": 0}, 4, "m; try later", again=True),
    inside_200("code is true", {"message": "m", "code": True}, 4, "m; try later", again=True),
    inside_200(
        "error_type",
        {"message": "m", "metadata": {"error_type": "context_length_exceeded"}},
        2,
        "m; change the request",
        own_code="usage",
    ),
    inside_200(
        "error_type beside the message",
        {"message": "m", "error_type": "authentication"},
        3,
        "m; check the account",
        own_code="account",
    ),
    inside_200("moderation", {"message": "m", "code": 403, "metadata": {"reasons": ["sexual"]}}, 6,
               "403: m (sexual); change the prompt"),
    row("200 a string", error_in_200(None, body={"error": "plain words"}), 4, "plain words; try later",
        {"message": "plain words", "code": "unavailable"}, again=True),
    row("200 empty choices", completion(top={"choices": []}), 4, "the answer has no choices; try later", NO_CHOICES,
        again=True),
    row("200 null choices", completion(top={"choices": None}), 4, "the answer has no choices; try later", NO_CHOICES,
        again=True),
    row("200 HTML", html(200), 4, PAGE, again=True),
    row("200 empty", raw(), 4, EMPTY_BODY),
    row("204", raw(204, content_type=None), 4, EMPTY_BODY),
    row("200 white space", raw(body=b" \n\r\n  "), 4, EMPTY_BODY),
    row("200 garbage", raw(body=b"   ."), 4,
        "the server answered 200 with no completion but .; check API_BASE_URL or try later"),
    row("200 text", raw(body=f"Bad key {KEY}\x1b[2J".encode(), content_type="text/plain"), 4,
        "the server answered 200 with no completion but Bad key sk-[redacted] [2J; check API_BASE_URL or try later"),
    row("200 list", raw(body=b"[]"), 4, NO_OBJECT),
    row("200 string", raw(body=b'"Internal error"'), 4, NO_OBJECT),
    row("200 is no gzip", raw(200, {"Content-Encoding": "gzip"}, b"{}"), 4,
        "the connection broke: Error -3 while decompressing data: incorrect header check; try again"),
    row("200 half an object", raw(body=b'{"id":"gen-1","choices":[{"mess'), 5, NOT_WHOLE),
    row(
        "200 too deep",
        raw(body=b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        5,
        "the answer cannot be read: nested too deeply; try again",
    ),
    row("200 cut", completion().with_(cut_after=100), 5,
        "the answer broke off: the connection broke: peer closed connection without sending complete message body "
        f"(received 100 bytes, expected {len(completion().body)}); try again"),
    row("200 cut between chunks", completion().with_(framing="chunked", cut_after=100), 5,
        "the answer broke off: the connection broke: peer closed connection without sending complete message body "
        "(incomplete chunked read); try again"),
    row("200 cut without a length", completion().with_(framing="close", cut_after=100), 5, NOT_WHOLE),
    row("200 cut in gzip", completion("x" * 9000).with_(gzip=True, framing="close", cut_after=100), 5, NOT_WHOLE),
    row("200 reset", completion().with_(cut_after=100, cut="reset"), 5, f"the answer broke off: {RESET_BY_PEER}"),
    row("200 reset before the body", completion().with_(cut_after=0, cut="reset"), 4, RESET_BY_PEER),
    row("200 cut in the keep-alive", completion(prefix=b"\n \n").with_(cut_after=2), 4,
        "the connection broke: peer closed connection without sending complete message body "
        f"(received 2 bytes, expected {len(completion().body) + 3}); try again"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "code", "line", "shown", "again"), [*STATUSES, *METADATA, *BODIES, *INSIDE_200])
def test_a_request_that_gets_no_answer_fails_with_one_line_and_one_object(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, code: int, line: str, shown: Object, again: bool
) -> None:
    openrouter.default = reply.with_(headers=SOON)

    result = orcli("ask", "--json", "--retries", "1", "hi")

    assert (result.code, result.stderr) == (code, f"orcli: {line}\n")
    assert result.stdout == compact({"error": shown}) + "\n"
    assert len(openrouter.requests) == (2 if again else 1)


PLAIN = ["401", "reasons", "502 HTML", "200 int code", "200 empty", "200 cut"]


@pytest.mark.parametrize(
    ("reply", "code", "line", "shown", "again"),
    [param for param in (*STATUSES, *METADATA, *BODIES, *INSIDE_200) if param.id in PLAIN],
)
def test_without_json_nothing_is_printed_where_no_answer_came(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, code: int, line: str, shown: Object, again: bool
) -> None:
    openrouter.reply(reply)

    result = orcli("ask", "--retries", "0", "hi")

    assert (result.code, result.stdout, result.stderr) == (code, "", f"orcli: {line}\n")


def some(id: str, reply: Reply, code: int, stdout: str, line: str, *, again: bool = False) -> Any:
    """Make a row of a completion that came: its exit code, its text on stdout, its line (none where it is whole)."""
    return pytest.param(reply, code, stdout, f"orcli: {line}\n" if line else "", again, id=id)


def failed_choice(text: str | None, fields: Object, finish_reason: str = "error") -> Reply:
    """Answer with a completion whose choice carries an error."""
    return completion(text, finish_reason=finish_reason, choice={"error": fields})


def spent(reasoning_tokens: int) -> Object:
    """Build a usage of nine tokens, so many of them for reasoning."""
    return {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": reasoning_tokens}}


REFUSED_TEXT = {"code": 403, "message": "Flagged", "metadata": {"error_type": "refusal"}}
CALLS = {"tool_calls": [tool_call("call_1", "f", "{}")]}
CUT_AT_LIMIT = "the answer was cut at the token limit (finish_reason length); raise --max-tokens"
NO_TEXT_REASONED = "reasoning used up the token limit before any text; raise --max-tokens"
ONLY_MEDIA = "the answer is images or sound without text; use orcli vision --save DIR, or --json"
ASKED_FOR_TOOLS = "the model asked for tools in place of an answer; use orcli tool"

COMPLETIONS = [
    some("choice error", failed_choice(None, DISCONNECTED), 4, "", "502: Provider disconnected; try later", again=True),
    some("choice error 401", failed_choice(None, {"code": 401, "message": "m"}), 3, "",
         "401: m; check OPENROUTER_API_KEY"),
    some("choice error, some text", failed_choice("partial output...", DISCONNECTED), 5, "partial output...\n",
         "the answer broke off: Provider disconnected; try again"),
    some("choice error 401, some text", failed_choice("Hel", {"code": 401, "message": "m"}), 5, "Hel\n",
         "the answer broke off: m; try again"),
    some("choice refusal, some text", failed_choice("Hel", REFUSED_TEXT), 6, "Hel\n",
         "403: Flagged; change the prompt"),
    some("choice error, finish stop", failed_choice("Hel", DISCONNECTED, "stop"), 5, "Hel\n",
         "the answer broke off: Provider disconnected; try again"),
    some("top error beside a text", completion("Hel", top={"error": {"code": 500, "message": "late"}}), 5, "Hel\n",
         "the answer broke off: late; try again"),
    some("MALFORMED_FUNCTION_CALL",
         completion(None, finish_reason="error", choice={"native_finish_reason": "MALFORMED_FUNCTION_CALL"}), 4, "",
         "the provider failed (MALFORMED_FUNCTION_CALL); try later", again=True),
    some("finish error, some text", completion("Hel", finish_reason="error"), 5, "Hel\n",
         "the answer broke off: the provider failed (error); try again"),
    some("network_error", completion("", choice={"native_finish_reason": "network_error"}), 4, "",
         "the provider failed (network_error) and sent no text; try later", again=True),
    some("refusal", completion(None, finish_reason="content_filter", message={"refusal": "I cannot\nhelp."}), 6, "",
         "the model refused: I cannot help.; change the prompt"),
    some("refusal, finish stop", completion(None, message={"refusal": "No."}), 6, "",
         "the model refused: No.; change the prompt"),
    some("content_filter", completion(None, finish_reason="content_filter"), 6, "",
         "a content filter stopped the answer; change the prompt"),
    some("content_filter, some text", completion("Hel", finish_reason="content_filter"), 6, "Hel\n",
         "a content filter stopped the answer; change the prompt"),
    some("length", completion("Hel", finish_reason="length", usage=spent(0)), 5, "Hel\n", CUT_AT_LIMIT),
    some("length, reasoned, some text", completion("Hel", finish_reason="length", usage=spent(8)), 5, "Hel\n",
         CUT_AT_LIMIT),
    some("length, all reasoning", completion("", finish_reason="length", usage=spent(9)), 5, "", NO_TEXT_REASONED),
    some("length, all reasoning, no usage",
         completion(None, finish_reason="length", usage=None, message={"reasoning": "Hm."}), 5, "", NO_TEXT_REASONED),
    some("length, nothing", completion(None, finish_reason="length", usage=None), 5, "", CUT_AT_LIMIT),
    some("tool_calls", completion(None, finish_reason="tool_calls", message=CALLS), 8, "", ASKED_FOR_TOOLS),
    some("tool_calls, finish stop, some text", completion("Let me look.", message=CALLS), 8, "Let me look.\n",
         ASKED_FOR_TOOLS),
    some("tool_calls empty", completion("Hi", message={"tool_calls": []}), 0, "Hi\n", ""),
    some("no finish_reason", completion("Hel", finish_reason=None), 5, "Hel\n",
         "the answer came without a finish_reason, so it may be cut; try again"),
    some("empty finish_reason", completion("Hel", finish_reason=""), 5, "Hel\n",
         "the answer came without a finish_reason, so it may be cut; try again"),
    some("network_error, some text", completion("Hel", choice={"native_finish_reason": "network_error"}), 5, "Hel\n",
         "the answer broke off: the provider failed (network_error); try again"),
    some("tool_calls without a call", completion("Let me look.", finish_reason="tool_calls"), 8, "Let me look.\n",
         "the model meant to call tools, but no call came; use orcli tool"),
    some("images alone", completion("", message={"images": [{"image_url": {"url": "data:,x"}}]}), 5, "", ONLY_MEDIA),
    some("sound alone", completion(None, message={"audio": {"data": "AAAA"}}), 5, "", ONLY_MEDIA),
    some("images that are none", completion("", message={"images": [{}]}), 5, "", EMPTY_ANSWER),
    some("a length too long", completion("Hi").with_(headers={"Content-Length": "9999"},
         cut_after=len(completion("Hi").body)), 5, "Hi\n",
         "the answer broke off: the connection broke: peer closed connection without sending complete message body "
         f"(received {len(completion('Hi').body)} bytes, expected 9999); try again"),
    some("a byte that is no UTF-8", raw(body=completion("Hi?").body.replace(b"?", b"\xff")), 0, "Hi\ufffd\n", ""),
    some("numbers that JSON has not", raw(body=completion("Hi").body.replace(b'"logprobs":null',
         b'"logprobs":[NaN,-Infinity,1e999,' + b"9" * 5000 + b"]")), 0, "Hi\n", ""),
    some("reasoning among the parts", completion(None, message={"content": [{"type": "reasoning", "text": "Hm"},
         {"type": "text", "text": "Hi"}]}), 0, "Hi\n", ""),
    some("new finish_reason", completion("Hi", finish_reason="brand_new"), 0, "Hi\n", ""),
    some("empty", completion(""), 5, "", EMPTY_ANSWER),
    some("null", completion(None, usage=None), 5, "", EMPTY_ANSWER),
    some("white space", completion(" \n"), 5, " \n", EMPTY_ANSWER),
    some("number", completion(None, message={"content": 5}), 5, "", EMPTY_ANSWER),
    some("null choice", completion(top={"choices": [None]}), 5, "", EMPTY_ANSWER),
    some("no message", completion(top={"choices": [{"finish_reason": "stop"}]}), 5, "", EMPTY_ANSWER),
    some("parts", completion(None, message={"content": [{"type": "text", "text": "A"}, {"text": "B"}]}), 0, "AB\n", ""),
    some("unknown fields", completion("Hi", top={"new": {"a": [1.0, None]}}, message={"annotations": []}), 0, "Hi\n",
         ""),
    some("gzip", completion("größer").with_(gzip=True), 0, "größer\n", ""),
    some("201", completion("Hi").with_(status=201), 0, "Hi\n", ""),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "code", "stdout", "stderr", "again"), COMPLETIONS)
def test_the_text_of_a_completion_is_printed_whatever_it_is_worth(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, code: int, stdout: str, stderr: str, again: bool
) -> None:
    openrouter.default = reply.with_(headers=SOON)

    result = orcli("ask", "--retries", "1", "hi")

    assert (result.code, result.stdout, result.stderr) == (code, stdout, stderr)
    assert len(openrouter.requests) == (2 if again else 1)


WHOLE = [
    "choice error",
    "choice error, some text",
    "MALFORMED_FUNCTION_CALL",
    "refusal",
    "length, all reasoning",
    "tool_calls",
    "no finish_reason",
    "null choice",
    "unknown fields",
    "gzip",
]


@pytest.mark.parametrize(
    ("reply", "code", "stdout", "stderr", "again"), [param for param in COMPLETIONS if param.id in WHOLE]
)
def test_json_prints_a_completion_whole_whatever_it_is_worth(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, code: int, stdout: str, stderr: str, again: bool
) -> None:
    openrouter.reply(reply)

    result = orcli("ask", "--json", "--retries", "0", "hi")

    assert (result.code, result.stderr) == (code, stderr)
    assert result.stdout_bytes == reply.body + b"\n"


ODD = (
    b'{"choices" : [ {"message":{"content":"H\\u00e9\\ud83d\\ude00\\/","content_type":1.50},"finish_reason":"stop"}],'
    b'"id":12345678901234567890123,"cost":1.30500E-5, "new":{"b":1,"a":2,"b":3},\t"user_id":"user_abcdef123"}'
)


@pytest.mark.parametrize(
    ("before", "body", "after", "printed"),
    [
        pytest.param(b"", ODD, b"", ODD, id="as it came"),
        pytest.param(b"\n \n\n  ", ODD, b"\r\n\n", ODD, id="keep-alive"),
        pytest.param(b"", b'{"choices":\r\n[' + ODD[14:], b"", b'{"choices":  [' + ODD[14:], id="on many lines"),
    ],
)
def test_json_passes_the_bytes_of_a_completion_through_on_one_line(
    orcli: Orcli, openrouter: OpenRouter, before: bytes, body: bytes, after: bytes, printed: bytes
) -> None:
    openrouter.reply(raw(body=before + body + after), raw(body=before + body + after))

    whole = orcli("ask", "--json", "hi")
    assert (whole.code, whole.stdout_bytes, whole.stderr) == (0, printed + b"\n", "")

    text = orcli("ask", "hi")
    assert (text.code, text.stdout, text.stderr) == (0, "Hé😀/\n", "")


def test_an_error_nested_deeper_than_it_is_shown_is_still_an_error_of_the_api(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    openrouter.reply(error(400, body=nested(150)))

    result = orcli("ask", "--json", "hi")

    assert (result.code, result.stderr) == (2, "orcli: 400: m; change the request\n")
    assert json.loads(result.stdout)["error"]["code"] == 400


# Failures of our own under --json: one object each, even where no request was made.


@pytest.mark.parametrize(
    ("arguments", "env", "code", "line"),
    [
        (["--nope", "hi"], {}, 2, "No such option: --nope; see orcli ask --help"),
        ([], {}, 2, "no PROMPT, and standard input is empty; give a PROMPT or pipe one in"),
        ([""], {}, 2, None),
        (["--retries", "x", "hi"], {}, 2, "--retries is no whole number of at least 0: 'x'; give one"),
        (["hi"], {"ORCLI_TIMEOUT": "1m"}, 2, "ORCLI_TIMEOUT is no number: '1m'; give one"),
        (["hi"], {"ORCLI_RETRIES": "-1"}, 2, "ORCLI_RETRIES is no whole number of at least 0: '-1'; give one"),
        (["--log", ".", "hi"], {}, 2, "cannot open the log .: Is a directory; check --log or ORCLI_LOG"),
        (["--env-file", "nope", "hi"], {}, 3, "cannot read nope: No such file or directory; mend it or move it away"),
        (
            ["hi"],
            {"OPENROUTER_API_KEY": None},
            3,
            "no key: OPENROUTER_API_KEY is not set; get one at https://openrouter.ai/keys",
        ),
    ],
)
def test_a_failure_before_the_request_is_one_object_under_json(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], env: Changes, code: int, line: str | None
) -> None:
    result = orcli("ask", "--json", *arguments, env=env)

    shown = json.loads(result.stdout)
    message = shown["error"]["message"]
    assert line in (None, message)
    assert shown == {"error": {"code": ExitCode(code).name.lower(), "message": message}}
    assert (result.code, result.stderr) == (code, f"orcli: {message}\n")
    assert result.stdout == compact(shown) + "\n"
    assert openrouter.requests == []


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "terminated"),
        (signal.SIGHUP, "hangup"),
        (signal.SIGQUIT, "quit"),
    ],
)
def test_a_signal_leaves_one_object_under_json_and_nothing_on_stderr(
    orcli: Orcli, openrouter: OpenRouter, number: signal.Signals, name: str
) -> None:
    openrouter.reply(hang())
    process = orcli.start("ask", "--json", "hi")
    request = openrouter.wait_for_request()

    os.kill(process.pid, number)
    result = process.finish()

    assert (result.code, result.stderr) == (-number, "")
    assert result.stdout == compact({"error": {"code": name, "message": f"ended by {name}"}}) + "\n"
    assert request.wait_hung_up()


# Retries.

BUSY = "orcli: 503: Provider returned error; try later\n"


@pytest.mark.parametrize(
    ("arguments", "env", "requests"),
    [
        pytest.param([], {}, 3, id="default"),
        pytest.param(["--retries", "0"], {}, 1, id="none"),
        pytest.param(["--retries", "4"], {}, 5, id="--retries"),
        pytest.param([], {"ORCLI_RETRIES": "1"}, 2, id="ORCLI_RETRIES"),
        pytest.param(["--retries=0"], {"ORCLI_RETRIES": "3"}, 1, id="--retries before ORCLI_RETRIES"),
        pytest.param([], {"ORCLI_RETRIES": ""}, 3, id="ORCLI_RETRIES empty"),
    ],
)
def test_the_request_is_made_again_so_many_times(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], env: Changes, requests: int
) -> None:
    openrouter.default = error(503, headers=SOON)

    result = orcli("ask", *arguments, "hi", env=env)

    assert (result.code, result.stdout, result.stderr) == (4, "", BUSY)
    assert len(openrouter.requests) == requests
    assert len({request.body for request in openrouter.requests}) == 1


@pytest.mark.parametrize(
    "first",
    [
        pytest.param([error(429, headers=SOON), html(502).with_(headers=SOON)], id="statuses"),
        pytest.param([reset()], id="reset before the headers"),
        pytest.param([verbatim(CLOSE)], id="hung up before the headers"),
        pytest.param([verbatim(b"HTTP/1.1 200 OK\r\nContent-", RESET)], id="reset in the headers"),
        pytest.param([error_in_200(502, headers=SOON)], id="error in a 200"),
        pytest.param([error(402, metadata=IN_FLIGHT, headers=SOON)], id="budget in flight"),
        pytest.param([error(400, headers={**SOON, "x-should-retry": "true"})], id="x-should-retry"),
    ],
)
def test_what_passes_is_tried_again_in_silence_and_answered_once(
    orcli: Orcli, openrouter: OpenRouter, first: list[Reply]
) -> None:
    openrouter.reply(*first, completion())

    result = orcli("ask", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert len(openrouter.requests) == len(first) + 1


def test_verbose_tells_of_each_try(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(error(429, headers={"Retry-After": "0.2"}), completion())

    result = orcli("ask", "-v", "hi")

    assert (result.code, result.stdout) == (0, "Hello.\n")
    assert re.fullmatch(
        r"orcli: retrying in 0\.[23] s: 429: Provider returned error\norcli: openai/gpt-4o-mini by OpenAI, .*\n",
        result.stderr,
    )


def test_x_should_retry_false_ends_the_tries(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(error(503, headers={**SOON, "x-should-retry": "false"}))

    result = orcli("ask", "hi")

    assert (result.code, result.stdout, result.stderr) == (4, "", BUSY)


def gaps(openrouter: OpenRouter) -> list[float]:
    """Give the seconds between one request and the next."""
    times = [request.arrived for request in openrouter.requests]
    return [later - earlier for earlier, later in pairwise(times)]


def test_without_a_retry_after_the_waits_grow(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(error(503), error(503), completion())

    assert orcli("ask", "hi").code == 0

    first, second = gaps(openrouter)
    assert 0.37 < first < second < 4
    assert second > 0.75


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry-After": "0.8"}, 0.8),
        ({"retry-after-ms": "800"}, 0.8),
        ({"retry-after-ms": "800", "Retry-After": "300"}, 0.8),
        ({"Retry-After": "soon"}, 0.37),
        ({"Retry-After": "nan"}, 0.37),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.37),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:01 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1.0),
        ({"Retry-After": "Sat, 01 Jan 2050 00:00:01 GMT", "Date": "Sat, 01 Jan 2050 00:00:00 GMT"}, 1.0),
        ({"Retry-After": "Sat, 01 Jan 2050 00:00:01 GMT", "Date": "now"}, 0.37),
    ],
)
def test_a_wait_lasts_as_the_server_says_or_else_as_usual(
    orcli: Orcli, openrouter: OpenRouter, headers: dict[str, str], least: float
) -> None:
    openrouter.reply(error(429, headers=headers), completion())

    result = orcli("ask", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert least < gaps(openrouter)[0] < least + 4


def test_a_wait_lasts_until_the_date_the_server_says(orcli: Orcli, openrouter: OpenRouter) -> None:
    def in_two_seconds(request: Request) -> Reply:
        return error(503, headers={"Retry-After": formatdate(time() + 2, usegmt=True)})

    openrouter.reply(in_two_seconds, completion())

    assert orcli("ask", "hi").code == 0
    assert 0.9 < gaps(openrouter)[0] < 5


TOO_LATE = "429: Provider returned error; try later (in 121 s, says the server)"
FAR_TOO_LATE = TOO_LATE.replace("121", "1000000000")
IN_FLIGHT_LINE = "402: Provider returned error; add credits, or lower --max-tokens"


@pytest.mark.parametrize(
    ("reply", "arguments", "line"),
    [
        pytest.param(error(429).with_(retry_after="121"), [], TOO_LATE, id="beyond 120 s"),
        pytest.param(error(429, headers={"retry-after-ms": "121000"}), [], TOO_LATE, id="beyond 120 s in ms"),
        pytest.param(error_in_200(429).with_(retry_after="121"), [], TOO_LATE, id="beyond 120 s in a 200"),
        pytest.param(
            error(429).with_(retry_after="Fri, 31 Dec 9999 23:59:59 GMT"), [], FAR_TOO_LATE, id="a date far off"
        ),
        pytest.param(error(429).with_(retry_after="9" * 400), [], FAR_TOO_LATE, id="seconds without end"),
        pytest.param(
            failed_choice(None, {"code": 429, "message": "Slow"}).with_(retry_after="121"),
            [],
            "429: Slow; try later (in 121 s, says the server)",
            id="beyond 120 s in a choice",
        ),
        pytest.param(error(503).with_(retry_after="30"), ["--timeout", "20"], BUSY[7:-1], id="beyond the deadline"),
        pytest.param(error_in_200(503).with_(retry_after="30"), ["--timeout", "20"], BUSY[7:-1], id="the same in 200"),
        pytest.param(
            error(402, metadata=IN_FLIGHT).with_(retry_after="30"), ["--timeout", "20"], IN_FLIGHT_LINE, id="in flight"
        ),
        pytest.param(
            error(402, metadata=IN_FLIGHT).with_(retry_after="121"),
            [],
            f"{IN_FLIGHT_LINE} (in 121 s, says the server)",
            id="in flight, beyond 120 s",
        ),
    ],
)
def test_a_wait_that_is_too_long_is_not_begun(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, arguments: list[str], line: str
) -> None:
    openrouter.default = reply

    result = orcli("ask", *arguments, "hi")

    assert (result.code, result.stdout, result.stderr) == (4, "", f"orcli: {line}\n")
    assert len(openrouter.requests) == 1
    assert result.seconds < 10


def test_a_completion_that_came_is_printed_though_the_wait_is_too_long(orcli: Orcli, openrouter: OpenRouter) -> None:
    reply = failed_choice(None, {"code": 429, "message": "Slow"})
    openrouter.reply(reply.with_(retry_after="121"))

    result = orcli("ask", "--json", "hi")

    assert (result.code, result.stdout_bytes) == (4, reply.body + b"\n")
    assert result.stderr == "orcli: 429: Slow; try later (in 121 s, says the server)\n"


# The deadline, in every phase.

LATE = "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n"
TRICKLE = completion(prefix=b"\n" * 400).with_(bytes_per_write=1, pause=Pause(seconds=0.1))


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(hang(), id="no status line"),
        pytest.param(completion().with_(header_delay=Pause()), id="no headers"),
        pytest.param(completion().with_(body_delay=Pause()), id="no body"),
        pytest.param(TRICKLE, id="keep-alive without end"),
    ],
)
def test_the_deadline_ends_a_request_wherever_it_is_and_hangs_up(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply
) -> None:
    openrouter.reply(reply)

    result = orcli("ask", "--timeout", "1", "--json", "hi")

    assert (result.code, result.stderr) == (124, LATE)
    assert result.stdout == '{"error":{"code":"deadline","message":"ended by deadline"}}\n'
    assert 1 <= result.seconds < 6
    assert openrouter.requests[0].wait_hung_up()


@pytest.mark.parametrize("phase", ["connect", "TLS handshake"])
def test_the_deadline_ends_the_way_to_the_server(orcli: Orcli, phase: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        scheme = "https"
        if phase == "connect":
            scheme = "http"
            queued = socket.create_connection(("127.0.0.1", port))
        result = orcli("ask", "hi", env={"API_BASE_URL": f"{scheme}://127.0.0.1:{port}/v1", "ORCLI_TIMEOUT": "1"})
        if phase == "connect":
            queued.close()

    assert (result.code, result.stdout, result.stderr) == (124, "", LATE)
    assert 1 <= result.seconds < 6


def test_no_timeout_is_no_limit(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion().with_(delay=Pause(seconds=0.6)))

    result = orcli("ask", "--timeout", "0", "hi", env={"ORCLI_TIMEOUT": "0.1"})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")


# The way to the server.


def test_a_refused_connection_is_one_line(orcli: Orcli) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        env = {"API_BASE_URL": f"http://127.0.0.1:{unheard.getsockname()[1]}/v1"}
        result = orcli("ask", "--retries", "1", "-v", "hi", env=env)

    refused = "cannot reach 127.0.0.1: Connection refused"
    assert (result.code, result.stdout) == (4, "")
    assert re.fullmatch(
        rf"orcli: retrying in 0\.[45] s: {refused}\norcli: {refused}; check the network or try later\n", result.stderr
    )


def test_a_name_that_is_not_found_is_one_line(orcli: Orcli) -> None:
    env = {"API_BASE_URL": "https://openrouter.invalid/v1", "RES_OPTIONS": "timeout:1 attempts:1"}

    result = orcli("ask", "--retries", "0", "hi", env=env)

    assert (result.code, result.stdout) == (4, "")
    assert re.fullmatch(
        r"orcli: cannot reach openrouter\.invalid: [A-Z][a-z ]+; check the network or try later\n", result.stderr
    )


# Secrets.

ECHO = f"Key {OPAQUE_KEY}, key {KEY} (hash {KEY_HASH}) of {USER}, Authorization: Bearer {KEY}"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(error(401, ECHO, user_id=USER, metadata={"raw": ECHO, "user_id": USER, "x": [ECHO]}), id="401"),
        pytest.param(error(402, "m", metadata={"remedy_hint": ECHO}), id="remedy_hint"),
        pytest.param(error(403, ECHO, metadata={"reasons": [ECHO], "provider_name": ECHO}), id="moderation"),
        pytest.param(error(400, "m", metadata={"raw": json.dumps({"error": {"message": ECHO}})}), id="raw"),
        pytest.param(error(500, body={"error": ECHO}), id="string"),
        pytest.param(error_in_200("invalid", ECHO, user_id=USER), id="200"),
        pytest.param(raw(503, body=ECHO.encode(), content_type="text/plain"), id="text"),
        pytest.param(raw(200, body=ECHO.encode(), content_type="text/plain"), id="text in a 200"),
        pytest.param(raw(302, {"Location": f"https://a.test/?key={OPAQUE_KEY}&user={USER}"}), id="redirect"),
    ],
)
def test_what_the_server_repeats_of_the_account_is_not_shown(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply
) -> None:
    openrouter.default = reply.with_(headers=SOON)

    result = orcli("ask", "-v", "--json", "--retries", "1", "hi", env={"OPENROUTER_API_KEY": OPAQUE_KEY})

    assert result.code in (2, 3, 4, 6)
    assert result.stdout.count("\n") == 1
    for secret in (OPAQUE_KEY, KEY, KEY_HASH, USER):
        assert secret not in result.stdout
        assert secret not in result.stderr
    assert {request.headers["authorization"] for request in openrouter.requests} == {f"Bearer {OPAQUE_KEY}"}


# What -v and -q say.

SUMMARY = r"orcli: openai/gpt-4o-mini by OpenAI, 67 \+ 5 tokens, \$0\.00001305, total \d+\.\d\d s\n"


@pytest.mark.parametrize(
    ("reply", "code", "stdout", "stderr"),
    [
        pytest.param(completion(), 0, "Hello.\n", SUMMARY, id="whole"),
        pytest.param(
            completion("Hel", finish_reason="length", message={"reasoning": "One.\nTwo."}),
            5,
            "Hel\n",
            rf"orcli: reasoning: One\.\norcli: reasoning: Two\.\n{SUMMARY}orcli: {re.escape(CUT_AT_LIMIT)}\n",
            id="cut",
        ),
        pytest.param(
            completion(usage=None, top={"provider": None, "model": None}),
            0,
            "Hello.\n",
            r"orcli: a/b, total \d+\.\d\d s\n",
            id="nothing told",
        ),
        pytest.param(
            completion(usage={"prompt_tokens": "67", "completion_tokens": None, "cost": 0}),
            0,
            "Hello.\n",
            r"orcli: openai/gpt-4o-mini by OpenAI, \$0, total \d+\.\d\d s\n",
            id="odd usage",
        ),
        pytest.param(error(400), 2, "", "orcli: 400: Provider returned error; change the request\n", id="error"),
    ],
)
def test_verbose_sums_the_request_up_before_the_line_of_a_failure(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, code: int, stdout: str, stderr: str
) -> None:
    openrouter.reply(reply)

    result = orcli("ask", "-v", "-m", "a/b", "hi")

    assert (result.code, result.stdout) == (code, stdout)
    assert re.fullmatch(stderr, result.stderr)


def test_quiet_leaves_warnings_out_and_failures_in(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(error(400), error(400))
    env = {"API_BASE_URL": openrouter.base_url.replace("127.0.0.1", "0.0.0.0")}
    line = "orcli: 400: Provider returned error; change the request\n"

    loud = orcli("ask", "hi", env=env)
    quiet = orcli("ask", "-q", "hi", env=env)

    warning = "orcli: warning: requests and the key go to 0.0.0.0 unencrypted; use https\n"
    assert (loud.code, loud.stdout, loud.stderr) == (2, "", warning + line)
    assert (quiet.code, quiet.stdout, quiet.stderr) == (2, "", line)


# The log.


def logged(path: Path) -> list[Object]:
    """Read a log, and check in each line what changes from run to run."""
    records = []
    for line in path.read_text().splitlines(keepends=True):
        assert line.endswith("}\n")
        record = json.loads(line)
        when, taken = record.pop("time"), record.pop("milliseconds")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", when)
        assert isinstance(taken, int)
        assert 0 <= taken < 60_000
        records.append(record)
    return records


def log_record(exit_code: int, *, model: str = "a/b", **members: Any) -> Object:
    """Build what a line of the log has beside its times."""
    nothing = dict.fromkeys(("provider", "id", "finish_reason", "usage"))
    return {"command": "ask", "model": model, **nothing, **members, "exit_code": exit_code}


def answered(finish_reason: str = "stop") -> Object:
    """Build the members that a completion fills in."""
    members = {"provider": PROVIDER, "id": GENERATION, "finish_reason": finish_reason, "usage": USAGE}
    return {"model": MODEL, **members}


@pytest.mark.parametrize(
    ("reply", "record"),
    [
        pytest.param(completion("ANSWER"), log_record(0, **answered()), id="whole"),
        pytest.param(
            completion("ANSWER", finish_reason="length"), log_record(5, **answered("length")), id="incomplete"
        ),
        pytest.param(error(401, "ANSWER", user_id=USER), log_record(3), id="status"),
        pytest.param(completion("ANSWER").with_(cut_after=200), log_record(5), id="cut"),
        pytest.param(completion("ANSWER", usage=None), log_record(0, **{**answered(), "usage": None}), id="no usage"),
    ],
)
def test_the_log_has_a_line_about_the_request_and_nothing_that_was_said(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, record: Object
) -> None:
    openrouter.reply(reply)

    result = orcli("ask", "--log", "log", "-m", "a/b", "-s", "SYSTEM", "PROMPT", env={"OPENROUTER_API_KEY": KEY})

    text = (orcli.work / "log").read_text()
    assert logged(orcli.work / "log") == [record]
    assert result.code == record["exit_code"]
    assert list(json.loads(text)) == [
        "time",
        "command",
        "model",
        "provider",
        "id",
        "finish_reason",
        "usage",
        "milliseconds",
        "exit_code",
    ]
    assert not [word for word in ("PROMPT", "SYSTEM", "ANSWER", KEY, USER) if word in text]


def test_the_log_tells_of_a_deadline_and_of_a_signal(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(hang(), hang())

    late = orcli("ask", "--log", "log", "-m", "a/b", "--timeout", "1", "hi")
    process = orcli.start("ask", "--log", "log", "-m", "a/b", "hi")
    openrouter.wait_for_request(2)
    os.kill(process.pid, signal.SIGTERM)

    assert (late.code, process.finish().code) == (124, -signal.SIGTERM)
    assert logged(orcli.work / "log") == [log_record(124), log_record(143)]


def test_a_log_that_another_holds_is_not_waited_for(orcli: Orcli, openrouter: OpenRouter) -> None:
    with open(orcli.work / "log", "wb") as log:
        fcntl.flock(log, fcntl.LOCK_EX)

        result = orcli("ask", "--log", "log", "hi", timeout=20)

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert len(logged(orcli.work / "log")) == 1


def test_what_was_never_sent_is_not_in_the_log(orcli: Orcli) -> None:
    result = orcli("ask", "--log", "log", "hi", env={"OPENROUTER_API_KEY": None})

    assert result.code == 3
    assert logged(orcli.work / "log") == []


def test_a_new_log_is_private_and_an_old_one_is_added_to(orcli: Orcli, openrouter: OpenRouter) -> None:
    old = orcli.file("old", "what was there\n")
    old.chmod(0o644)

    result = orcli.shell("umask 0; orcli ask hi && orcli ask --log old hi", env={"ORCLI_LOG": "new"})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\nHello.\n", "")
    assert stat.S_IMODE((orcli.work / "new").stat().st_mode) == 0o600
    assert stat.S_IMODE(old.stat().st_mode) == 0o644
    assert len(logged(orcli.work / "new")) == 1
    first, second = old.read_text().splitlines()
    assert first == "what was there"
    assert json.loads(second)["exit_code"] == 0


def test_runs_at_the_same_time_share_a_log_line_by_line(orcli: Orcli) -> None:
    result = orcli.shell("seq 6 | xargs -P 6 -n 1 orcli ask --log log -n -m a/b")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n" * 6, "")
    assert logged(orcli.work / "log") == [log_record(0, **answered())] * 6


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "Is a directory"),
        ("folder/none/log", "No such file or directory"),
        ("file/log", "Not a directory"),
        ("unread", "No such device or address"),
    ],
)
def test_a_log_that_cannot_be_written_fails_before_anything_is_sent(
    orcli: Orcli, openrouter: OpenRouter, name: str, reason: str
) -> None:
    (orcli.work / "folder").mkdir()
    orcli.file("file", "")
    os.mkfifo(orcli.work / "unread")

    result = orcli("ask", "hi", env={"ORCLI_LOG": name}, timeout=5)

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == f"orcli: cannot open the log {name}: {reason}; check --log or ORCLI_LOG\n"
    assert openrouter.requests == []


def test_a_log_on_a_full_disk_is_a_warning(orcli: Orcli) -> None:
    result = orcli("ask", "--log", "/dev/full", "hi")

    assert (result.code, result.stdout) == (0, "Hello.\n")
    assert result.stderr == "orcli: warning: cannot write the log /dev/full: No space left on device\n"


# Whatever a server can send.

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([ECHO, "429", RAW]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["code", "message", "metadata", "raw", "reasons", "error_type", "error", "provider_name", "remedy_hint"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
API_ERRORS = JSON_VALUES | st.fixed_dictionaries({"code": JSON_VALUES, "metadata": JSON_VALUES, "message": JSON_VALUES})


@settings(deadline=None, max_examples=100)
@given(API_ERRORS, st.none() | st.integers(300, 999), st.none() | st.floats(0, 1e6))
def test_any_error_of_the_api_has_a_code_and_a_line(
    value: object, number: int | None, retry_after: float | None
) -> None:
    failure = from_api(value, number, retry_after)

    assert failure.code in (ExitCode.USAGE, ExitCode.ACCOUNT, ExitCode.UNAVAILABLE, ExitCode.REFUSED)
    assert set(failure.as_json()) == {"error"}
    assert failure.as_json()["error"]["code"] is not None
    shown = one_line(failure.message) + json.dumps(failure.as_json())
    assert not [secret for secret in (KEY, KEY_HASH, USER) if secret in shown]


@settings(deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries(
        {
            "choices": st.lists(
                JSON_VALUES
                | st.fixed_dictionaries(
                    {"message": JSON_VALUES | st.fixed_dictionaries({"content": JSON_VALUES}), "error": JSON_VALUES}
                ),
                max_size=2,
            ),
            "usage": JSON_VALUES,
        }
    )
    | JSON_VALUES
)
def test_any_json_in_a_200_is_an_answer_or_one_of_our_errors(value: object) -> None:
    try:
        answer = parse_completion(json.dumps(value).encode())
    except OrcliError as failure:
        judged: OrcliError | None = failure
    else:
        judged = verdict(outcome_of(answer))
        if not reports_error(value):
            # What JSON has not, NaN and the infinities, is null in what is printed.
            assert json.loads(answer.line()) == json.loads(json.dumps(value), parse_constant=lambda _: None)
    assert judged is None or judged.code in (2, 3, 4, 5, 6, 8)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=40))
def test_any_bytes_in_a_200_are_one_of_our_errors(body: bytes) -> None:
    with pytest.raises(OrcliError) as caught:
        parse_completion(body)

    assert caught.value.code in (4, 5)
    assert not any(map(is_control, one_line(caught.value.message)))


@settings(deadline=None, max_examples=100)
@given(st.text(), st.sampled_from([KEY, KEY_HASH, USER, f"bearer {KEY[6:]}"]), st.text())
def test_a_line_holds_no_secret_whatever_stands_around_it(before: str, secret: str, after: str) -> None:
    assert secret not in one_line(f"{before} {secret} {after}")
    assert secret not in redact(f"{before}\n{secret}:{after}")


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2000))
def test_a_line_is_one_line_of_at_most_600_characters(text: str) -> None:
    line = one_line(text)

    assert len(line) <= 600
    assert line.splitlines() == ([line] if line else [])


# A body that is no answer to this request.


def test_a_stream_where_a_completion_should_be_is_no_answer(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(stream(*text_stream("Hi")))

    result = orcli("ask", "hi")

    assert (result.code, result.stdout) == (4, "")
    assert result.stderr.startswith("orcli: the server answered 200 with no completion but data: {")
    assert result.stderr.endswith("; check API_BASE_URL or try later\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "length"),
    [
        pytest.param({"message": "x" * 1_000_000, "metadata": {"raw": "y"}}, 66_000, id="a long text"),
        pytest.param({"a": ["x" * 999] * 10_000, "b": 1}, 67_000, id="many texts"),
        pytest.param({"a": list(range(100_000))}, 500_000, id="many numbers"),
        pytest.param({"message": "short", "metadata": {"raw": ["y"] * 100}}, 600, id="what errors say"),
    ],
)
def test_no_more_of_an_error_is_kept_than_one_has_to_say(value: dict[str, Any], length: int) -> None:
    copy = redact_values(value)

    assert len(json.dumps(copy, ensure_ascii=False)) < length
    assert next(iter(copy)) == next(iter(value))
    assert (copy == value) == (length == 600)
