"""`orcli batch`: every form of input, every kind of result, and what ends a run early."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
from typing import Any

import pytest

from tests.command import Orcli
from tests.openrouter import CHAT_PATH, RESET, OpenRouter, Pause, Reply, Request, completion, error, verbatim

EMPTY_LIST = "messages is no list of messages; give at least one"
FORMS = 'give {"custom_id": …, "body": {"messages": …}}, {"messages": …} or a JSON string'


def user(text: str) -> dict[str, Any]:
    """Build a user turn."""
    return {"role": "user", "content": text}


def line(custom_id: object, text: str = "hi", **body: Any) -> str:
    """Build a line of the OpenAI batch form."""
    value = {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"messages": [user(text)], **body},
    }
    return json.dumps(value) + "\n"


def echo(request: Request) -> Reply:
    """Answer a request with its last text."""
    return completion(str(request.json["messages"][-1]["content"]))


def echo_or_never(request: Request) -> Reply:
    """Answer a request with its text, but for one that says that it is stuck."""
    reply = echo(request)
    return reply.with_(delay=Pause()) if request.json["messages"][-1]["content"] == "stuck" else reply


def results(stdout: str) -> list[dict[str, Any]]:
    """Read result lines."""
    return [json.loads(text) for text in stdout.splitlines()]


def texts(stdout: str) -> list[str | None]:
    """Give each result's text, None for one with an error."""
    return [
        None if result["error"] else result["response"]["body"]["choices"][0]["message"]["content"]
        for result in results(stdout)
    ]


@pytest.fixture(autouse=True)
def echoing(openrouter: OpenRouter) -> None:
    """Let the server answer each prompt with itself."""
    openrouter.default = echo


def test_a_result_has_the_form_of_openai_s_batch_api(orcli: Orcli, openrouter: OpenRouter) -> None:
    reply = completion("Yes.", top={"id": "gen-1", "added_later": [1.50]})
    openrouter.reply(reply)

    result = orcli("batch", stdin=line("a"))

    expected = '{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"request_id":"gen-1","body":'
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == expected + reply.body.decode() + '},"error":null}\n'


def test_every_form_of_input_may_stand_in_one_file(orcli: Orcli, openrouter: OpenRouter) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"x" * 99).decode()}}
    lines = [
        line("batch form"),
        json.dumps({"custom_id": 7, "body": {"messages": [user("number")]}}) + "\n",
        json.dumps({"messages": [user("bare")], "model": "a/b", "top_k": 3}) + "\r\n",
        '"a prompt"\n',
        json.dumps({"messages": [{"role": "user", "content": [image]}]}),
    ]

    result = orcli("batch", "-j", "1", stdin="\ufeff" + "".join(lines))

    assert (result.code, result.stderr) == (0, "")
    assert [entry["custom_id"] for entry in results(result.stdout)] == ["batch form", 7, "3", "4", "5"]
    auto = "openrouter/auto"
    assert [request.json for request in openrouter.requests] == [
        {"model": auto, "messages": [user("hi")]},
        {"model": auto, "messages": [user("number")]},
        {"model": "a/b", "messages": [user("bare")], "top_k": 3},
        {"model": auto, "messages": [user("a prompt")]},
        {"model": auto, "messages": [{"role": "user", "content": [image]}]},
    ]


def test_plain_lines_follow_a_prompt(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("batch", "-j", "1", "--lines", "Translate:", stdin='Käse\n"quoted" {\n\nend')

    assert result.code == 9
    assert result.stderr == "orcli: 1 of 4 lines failed; their results say why; run it again\n"
    assert texts(result.stdout) == ["Translate:\n\nKäse", 'Translate:\n\n"quoted" {', None, "Translate:\n\nend"]


def test_options_are_defaults_that_a_line_overrides(orcli: Orcli, openrouter: OpenRouter) -> None:
    own: dict[str, Any] = {"model": "own/model", "temperature": 0, "reasoning": {"effort": "high"}}
    lines = line("a") + line("b", **own)
    lines += json.dumps({"messages": [{"role": "system", "content": "own"}, user("c")], "models": ["x/y"]})
    options = ["-m", "a/b", "-m", "c/d", "-s", "Be brief.", "-p", "reasoning.effort=low", "--temperature", "1"]

    result = orcli("batch", "-j", "1", "--max-tokens", "9", *options, stdin=lines)

    system = {"role": "system", "content": "Be brief."}
    low = {"effort": "low"}
    assert (result.code, result.stderr) == (0, "")
    assert [request.json for request in openrouter.requests] == [
        {
            "model": "a/b",
            "models": ["c/d"],
            "messages": [system, user("hi")],
            "reasoning": low,
            "max_tokens": 9,
            "temperature": 1.0,
        },
        {**own, "messages": [system, user("hi")], "max_tokens": 9},
        {
            "model": "a/b",
            "models": ["x/y"],
            "messages": [{"role": "system", "content": "own"}, user("c")],
            "reasoning": low,
            "max_tokens": 9,
            "temperature": 1.0,
        },
    ]


def test_files_are_numbered_on_and_standard_input_may_stand_among_them(orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file("one", '"1"\n"2"')
    orcli.file("two", '"4"\n')

    result = orcli("batch", "one", "-", "two", stdin='"3"\n')

    assert (result.code, result.stderr) == (0, "")
    assert [
        (entry["custom_id"], text) for entry, text in zip(results(result.stdout), texts(result.stdout), strict=True)
    ] == [(number, number) for number in ("1", "2", "3", "4")]


@pytest.mark.parametrize("content", [None, b"", b"\xef\xbb\xbf"], ids=["/dev/null", "empty pipe", "only a mark"])
def test_no_line_is_no_request_and_no_failure(orcli: Orcli, openrouter: OpenRouter, content: bytes | None) -> None:
    result = orcli("batch", stdin=content)

    assert (result.code, result.stdout, result.stderr) == (0, "", "")
    assert openrouter.requests == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", "the line is empty; nothing was asked", id="empty"),
        pytest.param(b" \t\r", "the line is empty; nothing was asked", id="blank"),
        pytest.param(b"{", f"the line is not JSON: {{}}; {FORMS}", id="cut JSON"),
        pytest.param(b'{"messages": [NaN]}', f"the line is not JSON: NaN is not JSON; {FORMS}", id="NaN"),
        pytest.param(b"[" * 100_000, f"the line is not JSON: nested too deeply; {FORMS}", id="deep"),
        pytest.param(b"x" * 1_000_000, f"the line is not JSON: {{}}; {FORMS}", id="a megabyte of junk"),
        pytest.param(
            b'"ab\xff"', "the line is not UTF-8: byte 0xff at offset 3; convert it with iconv", id="not UTF-8"
        ),
        pytest.param(b"7", f"the line is no request; {FORMS}", id="number"),
        pytest.param(b"[]", f"the line is no request; {FORMS}", id="array"),
        pytest.param(b"{}", f"the line has neither body nor messages; {FORMS}", id="empty object"),
        pytest.param(b'""', "the prompt is empty; nothing was asked", id="empty prompt"),
        pytest.param(
            b'{"messages": [{"role": "user", "content": " "}]}',
            "the last user message is empty; nothing was asked",
            id="empty message",
        ),
        pytest.param(
            b'{"messages": [{"role": "system", "content": "s"}]}',
            "the messages ask nothing; give a PROMPT",
            id="a system message alone",
        ),
        pytest.param(b'{"messages": []}', EMPTY_LIST, id="no messages"),
        pytest.param(b'{"messages": "hi"}', EMPTY_LIST, id="messages is text"),
        pytest.param(b'{"body": 1}', f"body is no object; {FORMS}", id="body is a number"),
        pytest.param(b'{"body": {}, "extra": 1}', f"unknown field 'extra' beside body; {FORMS}", id="unknown field"),
        pytest.param(b'{"body": {}, "method": "GET"}', f"method 'GET' is not POST; {FORMS}", id="another method"),
        pytest.param(
            b'{"body": {}, "url": "/v1/embeddings"}',
            "url '/v1/embeddings' is not /v1/chat/completions; orcli makes chat completions only",
            id="another url",
        ),
        pytest.param(
            b'{"custom_id": [1], "body": {}}',
            "custom_id is neither text nor a whole number; change it",
            id="an id of no kind",
        ),
        pytest.param(
            b'{"messages": [{"role": "user", "content": "a"}], "stream": true}',
            "stream has no place in a batch; leave it out",
            id="stream",
        ),
        pytest.param(
            b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
            "the request holds half a surrogate pair (U+D800), which is no text; mend the messages",
            id="half a surrogate pair",
        ),
        pytest.param(
            b'{"messages": [{}], "model": "local/smollm2"}',
            "a batch is answered by one local model or by OpenRouter; give -m local/smollm2",
            id="a local model among others",
        ),
    ],
)
def test_a_line_that_is_no_request_is_an_error_on_its_line(
    orcli: Orcli, openrouter: OpenRouter, text: bytes, message: str
) -> None:
    result = orcli("batch", stdin=b'"first"\n' + text + b'\n"last"\n')

    found = results(result.stdout)
    beginning, _, end = message.partition("{}")
    assert result.code == 9
    assert result.stderr == "orcli: 1 of 3 lines failed; their results say why; run it again\n"
    assert texts(result.stdout) == ["first", None, "last"]
    assert (found[1]["id"], found[1]["custom_id"], found[1]["response"]) == ("batch_req_2", "2", None)
    assert found[1]["error"]["code"] == "usage"
    assert found[1]["error"]["message"].startswith(f"line 2: {beginning}")
    assert found[1]["error"]["message"].endswith(end)
    assert len(openrouter.requests) == 2


def test_an_id_of_an_earlier_line_is_an_error_without_an_id(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("batch", stdin=line("a", "1") + line("a", "2") + line("4", "3") + '"4"\n')

    found = results(result.stdout)
    assert result.code == 9
    assert [entry["custom_id"] for entry in found] == ["a", None, "4", None]
    assert texts(result.stdout) == ["1", None, "3", None]
    assert found[1]["error"]["message"] == "line 2: custom_id 'a' is that of an earlier line; give each its own"


@pytest.mark.parametrize(
    ("reply", "error_code", "exit_part"),
    [
        pytest.param(completion("cut", finish_reason="length"), "incomplete", "raise --max-tokens", id="cut"),
        pytest.param(completion(""), "incomplete", "the answer is empty", id="empty"),
        pytest.param(completion("a", finish_reason="content_filter"), "refused", "content filter", id="filtered"),
        pytest.param(completion(None, message={"refusal": "No."}), "refused", "the model refused: No.", id="refused"),
    ],
)
def test_an_answer_that_is_none_keeps_its_response_beside_the_error(
    orcli: Orcli, openrouter: OpenRouter, reply: Reply, error_code: str, exit_part: str
) -> None:
    openrouter.reply(reply)

    result = orcli("batch", stdin=line("a"))

    found = results(result.stdout)[0]
    assert result.code == 9
    assert found["response"] == {
        "status_code": 200,
        "request_id": found["response"]["body"]["id"],
        "body": json.loads(reply.body),
    }
    assert found["error"]["code"] == error_code
    assert exit_part in found["error"]["message"]


def test_an_answer_is_checked_against_the_schema_of_its_line(orcli: Orcli, openrouter: OpenRouter) -> None:
    own = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "string"}}}
    openrouter.default = completion("7")

    result = orcli(
        "batch", "--schema", '{"type": "integer"}', stdin=line("a") + line("b", response_format=own) + line("c")
    )

    found = results(result.stdout)
    assert result.code == 9
    assert [entry["error"] and entry["error"]["code"] for entry in found] == [None, "mismatch", None]
    assert all(entry["response"]["body"]["choices"][0]["message"]["content"] == "7" for entry in found)


def test_results_come_in_order_though_the_first_is_slow(orcli: Orcli, openrouter: OpenRouter) -> None:
    answered = threading.Event()

    def answer(request: Request) -> Reply:
        if request.json["messages"][0]["content"] == "slow":
            return completion("slow").with_(delay=Pause(until=answered, seconds=20))
        if request.json["messages"][0]["content"] == "last":
            answered.set()
        return echo(request)

    openrouter.default = answer

    result = orcli("batch", "-j", "2", stdin='"slow"\n"a"\n"b"\n"last"\n')

    assert (result.code, texts(result.stdout)) == (0, ["slow", "a", "b", "last"])


@pytest.mark.parametrize("ordered", [True, False])
def test_a_result_is_out_as_soon_as_it_may_be(orcli: Orcli, openrouter: OpenRouter, ordered: bool) -> None:
    release = threading.Event()
    slow = "b" if ordered else "a"

    def answer(request: Request) -> Reply:
        prompt = request.json["messages"][0]["content"]
        return completion(prompt).with_(delay=Pause(until=release) if prompt == slow else None)

    openrouter.default = answer
    process = orcli.start("batch", *([] if ordered else ["--unordered"]), stdin='"a"\n"b"\n')

    first = process.read_stdout(until=b"\n")
    release.set()
    rest = process.finish()

    assert texts(first.decode()) == ["a" if ordered else "b"]
    assert rest.code == 0
    assert sorted(str(text) for text in texts(rest.stdout)) == ["a", "b"]


def test_a_line_is_asked_while_more_input_is_awaited(orcli: Orcli, openrouter: OpenRouter) -> None:
    process = orcli.start("batch", stdin="pipe")

    process.write_stdin(b'"one"\n')
    first = process.read_stdout(until=b"\n")
    process.write_stdin(b'"two"')
    rest = process.finish()

    assert texts(first.decode()) == ["one"]
    assert (rest.code, rest.stderr, texts(rest.stdout)) == (0, "", ["one", "two"])


@pytest.mark.parametrize(
    "failure",
    [pytest.param(error(500), id="500"), pytest.param(verbatim(RESET), id="reset"), pytest.param(error(429), id="429")],
)
def test_what_is_transient_is_asked_again(orcli: Orcli, openrouter: OpenRouter, failure: Reply) -> None:
    openrouter.reply(failure)

    result = orcli("batch", stdin='"a"\n')

    assert (result.code, result.stderr, texts(result.stdout)) == (0, "", ["a"])
    assert len(openrouter.requests) == 2


def test_a_body_that_breaks_off_is_never_asked_again(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("Hello").with_(cut_after=30))

    result = orcli("batch", stdin='"a"\n')

    assert result.code == 9
    assert results(result.stdout)[0]["error"]["code"] == "incomplete"
    assert len(openrouter.requests) == 1


def test_retry_after_holds_back_all_requests(orcli: Orcli, openrouter: OpenRouter) -> None:
    # The other of the two at once takes so long that the refusal is known when its place is free.
    openrouter.reply(error(429, headers={"Retry-After": "2"}), completion().with_(delay=Pause(seconds=1)))

    result = orcli("batch", "-j", "2", stdin='"a"\n' + '"b"\n' * 9)

    arrived = [request.arrived for request in openrouter.requests]
    later = [time for time in arrived if time - arrived[0] >= 1.9]
    assert (result.code, len(arrived)) == (0, 11)
    assert len(later) == 9


def test_a_wait_beyond_two_minutes_ends_the_run(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(error(429, headers={"Retry-After": "300"}))

    result = orcli("batch", "-j", "1", stdin='"a"\n"b"\n"c"\n')

    assert result.code == 4
    assert result.stderr == "orcli: 429: Provider returned error; try later (in 300 s, says the server)\n"
    assert texts(result.stdout) == [None]
    assert len(openrouter.requests) == 1


def test_a_server_that_is_gone_ends_the_run(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = error(500)

    result = orcli("batch", "-j", "8", "--retries", "0", stdin='"a"\n' * 500)

    assert result.code == 4
    assert result.stderr == "orcli: 500: Provider returned error, 50 lines in a row; try later\n"
    assert 50 <= len(result.stdout.splitlines()) <= 60


@pytest.mark.parametrize(
    ("status", "code", "asked"),
    [pytest.param(401, 3, 1, id="401"), pytest.param(402, 3, 1, id="402"), pytest.param(403, 9, 3, id="403")],
)
def test_what_is_wrong_with_the_account_ends_the_run_and_403_does_not(
    orcli: Orcli, openrouter: OpenRouter, status: int, code: int, asked: int
) -> None:
    openrouter.reply(error(status))

    result = orcli("batch", "-j", "1", stdin='"a"\n"b"\n"c"\n')

    assert result.code == code
    assert results(result.stdout)[0]["error"]["code"] == status
    assert len(openrouter.requests) == asked


def test_a_cost_that_is_reached_starts_no_more(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = completion("a", usage={"cost": 0.5})

    result = orcli("batch", "-j", "1", "--max-cost", "1", stdin='"a"\n' * 5)
    enough = orcli("batch", "-j", "1", "--max-cost", "1", stdin='"a"\n' * 2)

    assert (result.code, len(result.stdout.splitlines())) == (8, 2)
    assert result.stderr == "orcli: the cost limit of $1 is reached; raise --max-cost, or run it again\n"
    assert (enough.code, enough.stderr, len(enough.stdout.splitlines())) == (0, "", 2)


@pytest.mark.parametrize(
    ("options", "stderr"),
    [
        (["--max-cost", "1"], "orcli: warning: an answer says no cost, so --max-cost does not count it\n"),
        (["--max-cost", "1", "-q"], ""),
        ([], ""),
    ],
    ids=["limit", "quiet", "no limit"],
)
def test_answers_that_say_no_cost_are_told_of_once(
    orcli: Orcli, openrouter: OpenRouter, options: list[str], stderr: str
) -> None:
    openrouter.default = completion("a", usage={"prompt_tokens": 1})

    result = orcli("batch", *options, stdin='"a"\n' * 5)

    assert (result.code, result.stderr, len(result.stdout.splitlines())) == (0, stderr, 5)


@pytest.mark.parametrize("how", [["--request-timeout", "0.4"], []], ids=["option", "variable"])
def test_a_request_that_takes_too_long_is_an_error_on_its_line(
    orcli: Orcli, openrouter: OpenRouter, how: list[str]
) -> None:
    openrouter.reply(completion().with_(delay=Pause()))

    result = orcli("batch", "-j", "1", *how, stdin='"a"\n"b"\n', env={"ORCLI_TIMEOUT": None if how else "0.4"})

    assert result.code == 9
    assert texts(result.stdout) == [None, "b"]
    assert results(result.stdout)[0]["error"] == {
        "code": "deadline",
        "message": "no answer within 0.4 s; raise --request-timeout (ORCLI_TIMEOUT)",
    }
    assert openrouter.requests[0].wait_hung_up()


def test_the_deadline_of_the_run_lets_out_what_is_there(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = echo_or_never

    result = orcli("batch", "-j", "2", "--timeout", "1.5", stdin='"stuck"\n"a"\n"b"\n')

    assert (result.code, texts(result.stdout)) == (124, ["a", "b"])
    assert result.stderr == "orcli: the deadline has passed; raise --timeout\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_lets_out_what_is_there_and_hangs_up(
    orcli: Orcli, openrouter: OpenRouter, number: signal.Signals
) -> None:
    openrouter.default = echo_or_never
    process = orcli.start("batch", "-j", "2", stdin='"stuck"\n"done"\n"stuck"\n"never"\n')
    openrouter.wait_for_request(3)

    process.send_signal(number)
    result = process.finish()

    assert (result.code, result.stderr, texts(result.stdout)) == (-number, "", ["done"])
    stuck = [request for request in openrouter.requests if request.json["messages"][0]["content"] == "stuck"]
    assert all(request.wait_hung_up() for request in stuck)
    assert len(openrouter.requests) == 3


def test_a_reader_that_leaves_ends_the_run(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli.shell("yes '\"a\"' | orcli batch -j 4 | head -2; echo ${PIPESTATUS[1]}")

    lines = result.stdout.splitlines()
    assert (result.stderr, lines[2:]) == ("", ["141"])
    assert len(openrouter.requests) < 200


def test_a_disk_that_is_full_fails_and_asks_no_more(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli.shell("yes '\"a\"' | orcli batch -j 1 > /dev/full; echo ${PIPESTATUS[1]}")

    assert result.stdout == "1\n"
    assert result.stderr == (
        "orcli: cannot write the answer to stdout: No space left on device; the answer is not complete there\n"
    )
    assert len(openrouter.requests) < 60


def test_a_closed_stdout_sends_nothing(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("batch", stdin='"a"\n', stdout="closed")

    assert (result.code, openrouter.requests) == (1, [])


def test_a_file_of_results_is_gone_on_with(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(echo, error(400), echo)
    arguments = ["batch", "-j", "1", "-o", "out", "in"]
    orcli.file("in", line("a", "1") + line("b", "2") + line("c", "3"))

    first = orcli(*arguments)
    second = orcli(*arguments)
    third = orcli(*arguments)

    out = orcli.work / "out"
    assert [first.code, second.code, third.code] == [9, 0, 0]
    assert first.stdout + second.stdout + third.stdout == ""
    assert first.stderr == "orcli: 1 of 3 lines failed; their results say why; run it again\n"
    assert [entry["custom_id"] for entry in results(out.read_text())] == ["a", "b", "c", "b"]
    assert texts(out.read_text()) == ["1", None, "3", "2"]
    assert len(openrouter.requests) == 4
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_last_line_is_cut_off_and_asked_again(orcli: Orcli, openrouter: OpenRouter, cut: int) -> None:
    orcli.file("in", line("a", "1") + line("b", "2"))
    assert orcli("batch", "-j", "1", "-o", "out", "in").code == 0
    out = orcli.work / "out"
    whole = out.read_bytes()
    torn = whole.splitlines(keepends=True)
    out.write_bytes(torn[0] + torn[1][: cut if cut > 1 else -1])

    result = orcli("batch", "-j", "1", "-o", "out", "in")

    # A line that lacks its end alone is whole.
    assert (result.code, out.read_bytes()) == (0, whole)
    assert len(openrouter.requests) == (2 if cut == 1 else 3)


@pytest.mark.parametrize(
    ("content", "stderr"),
    [
        pytest.param("notes\nof mine\n", "orcli: out, line 1 is no result of a batch; give another -o\n", id="text"),
        pytest.param("notes", "orcli: out, line 1 is no result of a batch; give another -o\n", id="without an end"),
        pytest.param(line("a"), "orcli: out, line 1 is no result of a batch; give another -o\n", id="requests"),
    ],
)
def test_a_file_of_anything_else_is_left_as_it_is(
    orcli: Orcli, openrouter: OpenRouter, content: str, stderr: str
) -> None:
    out = orcli.file("out", content)

    result = orcli("batch", "-o", "out", stdin='"a"\n')

    assert (result.code, result.stdout, result.stderr, out.read_text()) == (2, "", stderr, content)
    assert openrouter.requests == []


def test_two_runs_do_not_share_a_file_of_results(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion().with_(delay=Pause()))
    orcli.start("batch", "-o", "out", stdin='"a"\n')
    openrouter.wait_for_request(1)

    result = orcli("batch", "-o", "out", stdin='"a"\n')

    assert (result.code, result.stderr) == (
        2,
        "orcli: out is in use by another run; wait for it, or give another -o\n",
    )


@pytest.mark.parametrize(
    ("arguments", "stderr"),
    [
        pytest.param(["nowhere"], "orcli: no such file: nowhere; check the path\n", id="no file"),
        pytest.param(["."], "orcli: . is a directory; give files\n", id="directory"),
        pytest.param(["-o", "in", "in"], "orcli: in is both input and output; give another -o\n", id="same file"),
        pytest.param(
            ["-o", "/dev/null"], "orcli: /dev/null is no regular file; leave -o out to write to a pipe\n", id="device"
        ),
        pytest.param(["-j", "0"], "orcli: --jobs is no whole number of at least 1: '0'; give one\n", id="no jobs"),
        pytest.param(["-j", "9999"], "orcli: --jobs is more than 1000: 9999; give fewer\n", id="many jobs"),
        pytest.param(
            ["--max-cost", "-1"], "orcli: --max-cost is no more than nothing: '-1'; give an amount\n", id="cost"
        ),
        pytest.param(
            ["--max-cost", "0"], "orcli: --max-cost is no more than nothing: '0'; give an amount\n", id="no cost"
        ),
        pytest.param(
            ["-", "-"], "orcli: standard input can be read only once; give `-` in one place\n", id="stdin twice"
        ),
    ],
)
def test_a_wrong_command_line_asks_nothing(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], stderr: str
) -> None:
    orcli.file("in", '"a"\n')

    result = orcli("batch", *arguments, stdin='"a"\n')

    assert (result.code, result.stdout, result.stderr) == (2, "", stderr)
    assert openrouter.requests == []


@pytest.mark.parametrize("option", ["-c", "-x", "-n", "--messages", "--stream", "--idle-timeout"])
def test_options_that_a_batch_would_ignore_are_none_of_its(orcli: Orcli, openrouter: OpenRouter, option: str) -> None:
    result = orcli("batch", option, stdin='"a"\n')

    assert (result.code, result.stdout) == (2, "")
    assert f"No such option: {option}" in result.stderr


def test_a_terminal_is_no_input(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli.terminal("batch", stdout_tty=False, stderr_tty=False).finish()

    assert (result.code, result.stderr) == (
        2,
        "orcli: no FILE, and standard input is a terminal; give a FILE or pipe requests in\n",
    )


def test_silence_on_standard_input_is_said_once(orcli: Orcli, openrouter: OpenRouter) -> None:
    process = orcli.start("batch", stdin="pipe")

    stderr = process.wait_stderr("\n")
    result = process.finish()

    assert stderr == "orcli: waiting for stdin (give a FILE or </dev/null)\n"
    assert (result.code, result.stdout, result.stderr) == (0, "", stderr)


def test_a_dry_run_prints_a_batch_file_and_needs_no_key(orcli: Orcli, openrouter: OpenRouter) -> None:
    lines = '"a"\n{}\n' + line("b", "x")

    result = orcli("batch", "--dry-run", "-m", "a/b", stdin=lines, env={"OPENROUTER_API_KEY": None})

    assert result.code == 9
    assert result.stdout == (
        '{"custom_id":"1","method":"POST","url":"/v1/chat/completions",'
        '"body":{"model":"a/b","messages":[{"role":"user","content":"a"}]}}\n'
        '{"custom_id":"b","method":"POST","url":"/v1/chat/completions",'
        '"body":{"model":"a/b","messages":[{"role":"user","content":"x"}]}}\n'
    )
    assert result.stderr == (
        f"orcli: line 2: the line has neither body nor messages; {FORMS}\norcli: 1 of 3 lines failed; mend them\n"
    )
    assert openrouter.requests == []


def test_verbose_sums_up_and_the_log_has_a_line_a_request(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("batch", "-v", "--log", "log", stdin='"secret"\n{}\n')

    summary = result.stderr.splitlines()[0]
    log = (orcli.work / "log").read_text()
    assert result.code == 9
    assert summary.startswith("orcli: 2 lines, 1 failed, 67 + 5 tokens, $0.00001305, ")
    assert [json.loads(entry)["command"] for entry in log.splitlines()] == ["batch"]
    assert "secret" not in log


def test_a_person_sees_progress_that_is_erased(orcli: Orcli, openrouter: OpenRouter) -> None:
    release = threading.Event()
    openrouter.reply(echo, lambda request: completion("b").with_(delay=Pause(until=release)))
    process = orcli.terminal("batch", "-j", "1", stdin='"a"\n"b"\n', stdin_tty=False, stdout_tty=False)

    process.wait_for("1 done, 0 failed")
    release.set()
    result = process.finish()

    assert (result.code, texts(result.stdout)) == (0, ["a", "b"])
    assert result.terminal.endswith(("\x1b[2K", "\x1b[?25h", "\r", "\x1b[1A\x1b[2K"))


def test_a_line_of_twenty_megabytes_goes_through(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = completion("seen")
    text = "x" * 20_000_000

    result = orcli("batch", stdin=line("big", text))

    assert (result.code, texts(result.stdout)) == (0, ["seen"])
    assert openrouter.requests[0].json["messages"][0]["content"] == text


def test_no_key_is_an_account_error_before_anything_is_read(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("batch", stdin='"a"\n', env={"OPENROUTER_API_KEY": None})

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr.startswith("orcli: no key: OPENROUTER_API_KEY is not set")
    assert [request.path for request in openrouter.requests if request.path == CHAT_PATH] == []


@pytest.mark.local
def test_twenty_lines_to_a_local_model_give_twenty_answers(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("batch", "-m", "local/smollm2", stdin='"What is the capital of France?"\n' * 20, timeout=240)

    assert (result.code, result.stderr) == (0, "")
    assert [entry["custom_id"] for entry in results(result.stdout)] == [str(number) for number in range(1, 21)]
    assert all("Paris" in str(text) for text in texts(result.stdout))
    assert openrouter.requests == []


def test_a_named_pipe_is_read_as_it_comes(orcli: Orcli, openrouter: OpenRouter) -> None:
    os.mkfifo(orcli.work / "pipe")

    result = orcli.shell('orcli batch pipe & printf \'"a"\\n"b"\' > pipe; wait $!')

    assert (result.code, result.stderr, texts(result.stdout)) == (0, "", ["a", "b"])
