"""Where the answer goes: pipes, files, full disks, closed descriptors and terminals; and how a run ends by a signal."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from orcli.process import Signalled, ending
from tests.command import Orcli
from tests.openrouter import OpenRouter, Pause, completion, hang, raw, stream, text_stream

CLOSED = "orcli: stdout is closed, so an answer would be lost; nothing was sent\n"


def test_an_answer_goes_to_stdout_with_one_newline(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("No newline."), completion("One newline.\n"), completion("Two.\n\n"))

    results = [orcli("ask", "hi") for _ in range(3)]

    assert [result.stdout for result in results] == ["No newline.\n", "One newline.\n", "Two.\n\n"]
    assert [(result.code, result.stderr) for result in results] == [(0, "")] * 3


def test_five_megabytes_of_answer_pass_through_whole(orcli: Orcli, openrouter: OpenRouter) -> None:
    text = "".join(f'{number} grün 😀 \\ " \t\n' for number in range(240_000))
    openrouter.reply(completion(text))

    result = orcli("ask", "hi")

    assert len(result.stdout_bytes) > 5_000_000
    assert result.stdout == text
    assert (result.code, result.stderr) == (0, "")


def test_half_a_surrogate_pair_is_written_as_a_replacement_character(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(raw(body=completion("half").body.replace(b"half", rb"a\ud83d b")))

    result = orcli("ask", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "a\N{REPLACEMENT CHARACTER} b\n", "")


def test_json_of_several_lines_becomes_one_line_of_the_same_bytes(orcli: Orcli, openrouter: OpenRouter) -> None:
    body = (
        b'  \n{\n  "id": "gen-1", "unknown": [1e2, "\\u00e9"],\r\n'
        b' "choices": [{"message": {"content": "A\\nB"}, "finish_reason": "stop"}]\n}\n'
    )
    openrouter.reply(raw(body=body))

    result = orcli("ask", "--json", "hi")

    assert result.code == 0
    assert result.stdout_bytes == body.strip().replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
    assert json.loads(result.stdout) == json.loads(body)


@pytest.mark.parametrize(
    "arguments",
    [["ask", "hi"], ["ask", "--json", "hi"], ["ask", "--dry-run", "hi"], ["stream", "hi"], ["--help"], ["--version"]],
)
def test_a_full_disk_is_exit_1_and_one_line(orcli: Orcli, openrouter: OpenRouter, arguments: list[str]) -> None:
    if arguments[0] == "stream":
        openrouter.reply(stream(*text_stream("Hello.")))
    with open("/dev/full", "wb") as full:
        result = orcli(*arguments, stdout=full)

    assert result.code == 1
    assert result.stderr == (
        "orcli: cannot write the answer to stdout: No space left on device; the answer is not complete there\n"
    )


@pytest.mark.parametrize("arguments", [["ask", "hi"], ["ask", "--dry-run", "hi"], ["ask", "--json", "hi"], ["--help"]])
def test_a_closed_stdout_fails_before_anything_is_sent(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str]
) -> None:
    result = orcli(*arguments, stdout="closed")

    assert (result.code, result.stderr) == (1, CLOSED)
    assert openrouter.requests == []


def test_a_stdout_open_for_reading_only_fails_before_anything_is_sent(orcli: Orcli, openrouter: OpenRouter) -> None:
    with open(os.devnull, "rb") as read_only:
        result = orcli("ask", "hi", stdout=read_only)

    assert (result.code, result.stderr) == (1, CLOSED)
    assert openrouter.requests == []


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_other_closed_descriptors_do_no_harm(orcli: Orcli, openrouter: OpenRouter, closed: str) -> None:
    result = orcli.shell(f"orcli ask hi {closed} | cat")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert openrouter.requests[0].json["messages"] == [{"role": "user", "content": "hi"}]


def test_a_reader_that_takes_one_byte_and_goes_ends_the_run_by_sigpipe(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("x" * 10_000_000))

    result = orcli.shell('orcli ask hi | head -c 1; echo " ${PIPESTATUS[0]}"')

    assert (result.code, result.stdout, result.stderr) == (0, "x 141\n", "")


def test_a_reader_that_goes_while_the_model_thinks_ends_the_run_and_the_request(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    openrouter.reply(hang())
    process = orcli.start("ask", "hi")
    request = openrouter.wait_for_request()

    process.close_stdout()

    assert request.wait_hung_up()
    result = process.finish()
    assert (result.code, result.stderr) == (-signal.SIGPIPE, "")


def test_a_reader_that_is_slow_gets_all_of_it(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("x" * 1_000_000))

    result = orcli.shell("orcli ask hi | (while ! read -r -t 0; do :; done; wc -c)")

    assert (result.code, result.stdout.strip(), result.stderr) == (0, "1000001", "")


def test_a_stdout_that_does_not_block_gets_all_of_it(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("x" * 1_000_000))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = orcli.start("ask", "hi", stdout=writer)
    os.close(writer)

    with open(reader, "rb") as file:
        data = file.read()

    assert data == b"x" * 1_000_000 + b"\n"
    assert (process.finish().code, process.finish().stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("phase", ["headers", "body"])
def test_a_signal_during_the_request_hangs_up_and_kills_silently(
    orcli: Orcli, openrouter: OpenRouter, number: signal.Signals, phase: str
) -> None:
    openrouter.reply(hang() if phase == "headers" else completion("x" * 1000).with_(body_delay=Pause()))
    process = orcli.start("ask", "hi")
    request = openrouter.wait_for_request()

    process.send_signal(number)

    assert request.wait_hung_up()
    result = process.finish()
    assert (result.code, result.stdout, result.stderr) == (-number, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_standard_input_is_awaited_kills_silently(orcli: Orcli, number: signal.Signals) -> None:
    process = orcli.start("ask", "hi", stdin="pipe")
    process.wait_stderr("orcli: waiting for stdin (use -n or </dev/null)\n")

    process.send_signal(number)

    result = process.finish()
    assert (result.code, result.stdout) == (-number, "")
    assert result.stderr == "orcli: waiting for stdin (use -n or </dev/null)\n"


def test_a_signal_under_json_still_gives_one_object(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(hang())
    process = orcli.start("ask", "--json", "hi")
    openrouter.wait_for_request()

    process.send_signal(signal.SIGTERM)

    result = process.finish()
    assert (result.code, result.stderr) == (-signal.SIGTERM, "")
    assert result.stdout == '{"error":{"code":"terminated","message":"ended by terminated"}}\n'


def test_ctrl_c_stops_a_shell_loop(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(hang())
    terminal = orcli.terminal("for i in 1 2 3; do orcli ask -n $i; done; echo not reached", shell=True)
    request = openrouter.wait_for_request()

    terminal.type("\x03")

    assert request.wait_hung_up()
    result = terminal.finish()
    assert result.code == -signal.SIGINT
    assert "not reached" not in result.terminal
    assert len(openrouter.requests) == 1


def test_a_signal_inherited_as_ignored_stays_ignored(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion().with_(delay=Pause(seconds=0.3)))
    process = orcli.start("trap '' INT HUP; exec orcli ask hi", shell=True)
    openrouter.wait_for_request()

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)

    result = process.finish()
    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")


def test_a_terminal_sees_control_characters_and_a_pipe_gets_the_bytes(orcli: Orcli, openrouter: OpenRouter) -> None:
    text = "a\x1b]0;title\x07b\x9bc\u202ed\r\te\x7f\n"
    openrouter.reply(completion(text), completion(text))

    shown = orcli.terminal("ask", "-n", "-q", "hi").finish()
    piped = orcli("ask", "hi")

    assert shown.terminal == "a^[]0;title^Gb\\u009bc\\u202ed^M\te^?\r\n"
    assert piped.stdout == text


def test_a_person_who_waits_sees_a_line_that_is_erased_before_the_answer(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("Done.").with_(delay=Pause(seconds=2.2)))

    result = orcli.terminal("ask", "-n", "-m", "some/model", "hi", stdout_tty=False).finish()

    assert result.stdout == "Done.\n"
    assert re.fullmatch(
        r"\r\x1b\[Korcli: waiting for some/model, 1 s\r\x1b\[Korcli: waiting for some/model, 2 s\r\x1b\[K",
        result.terminal,
    )


@pytest.mark.parametrize(
    ("arguments", "tty", "env"),
    [
        pytest.param([], False, {}, id="stderr is no terminal"),
        pytest.param(["-q"], True, {}, id="quiet"),
        pytest.param([], True, {"TERM": "dumb"}, id="a dumb terminal"),
    ],
)
def test_nobody_else_sees_a_waiting_line(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], tty: bool, env: dict[str, str]
) -> None:
    openrouter.reply(completion("Done.").with_(delay=Pause(seconds=1.3)))

    result = orcli.terminal("ask", "-n", *arguments, "hi", stdout_tty=False, stderr_tty=tty, env=env).finish()

    assert (result.code, result.stdout, result.stderr, result.terminal) == (0, "Done.\n", "", "")


def test_the_waiting_line_is_erased_when_ctrl_c_ends_the_run(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(hang())
    terminal = orcli.terminal("ask", "-n", "hi", stdout_tty=False)
    terminal.wait_for("waiting for")

    terminal.type("\x03")

    result = terminal.finish()
    assert result.code == -signal.SIGINT
    assert result.terminal.replace("^C", "").endswith("\r\x1b[K")


def test_version_names_orcli_openai_and_python(orcli: Orcli) -> None:
    result = orcli("--version")

    assert (result.code, result.stderr) == (0, "")
    assert re.fullmatch(r"orcli \d+\.\d+\.\d+ \(openai \d+\.\d+\.\d+, Python 3\.\d+\.\d+\S*\)\n", result.stdout)


def test_a_signal_under_an_exception_that_came_of_it_is_what_ends_the_run() -> None:
    error: BaseException = RuntimeError("never raised")
    try:
        try:
            raise Signalled(signal.SIGINT)
        finally:
            raise RuntimeError("release unlocked lock")
    except RuntimeError as raised:
        error = raised

    found = ending(error)
    plain = RuntimeError("alone")

    assert isinstance(found, Signalled)
    assert found.number == signal.SIGINT
    assert ending(plain) is plain
