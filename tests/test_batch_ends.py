"""How `orcli batch` ends before its input does, and what it leaves: results, files, the terminal, the server."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.command import Orcli
from tests.openrouter import (
    USAGE,
    OpenRouter,
    Pause,
    Reply,
    Request,
    completion,
    error,
    hang,
    raw,
    tool_call,
)

ENDING_SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
UNAUTHORIZED = "orcli: 401: No auth credentials found; check OPENROUTER_API_KEY\n"
SOME_FAILED = "orcli: {} of {} lines failed; their results say why; run it again\n"


def prompts(*texts: object) -> str:
    """Build lines that are prompts."""
    return "".join(f"{json.dumps(str(text))}\n" for text in texts)


def prompt_of(request: Request) -> str:
    """Give the prompt that a request asks."""
    return str(request.json["messages"][-1]["content"])


def echo(request: Request) -> Reply:
    """Answer a prompt with itself."""
    return completion(prompt_of(request))


def results(stdout: str) -> list[dict[str, Any]]:
    """Read result lines."""
    return [json.loads(line) for line in stdout.splitlines()]


def outcomes(stdout: str) -> list[tuple[str, object]]:
    """Give each result's id, and its text or its error's code."""
    return [
        (
            result["custom_id"],
            result["response"]["body"]["choices"][0]["message"]["content"]
            if result["error"] is None
            else result["error"]["code"],
        )
        for result in results(stdout)
    ]


@pytest.fixture(autouse=True)
def echoing(openrouter: OpenRouter) -> None:
    """Let the server answer each prompt with itself."""
    openrouter.default = echo


class TestAFailureOfAllLines:
    @pytest.mark.parametrize("more", [0, 500], ids=["all are under way", "most are not yet asked"])
    def test_what_is_under_way_ends_and_is_written_and_no_more_is_asked(
        self, orcli: Orcli, openrouter: OpenRouter, more: int
    ) -> None:
        refused = threading.Event()

        def answer(request: Request) -> Reply:
            if prompt_of(request) == "refused":
                openrouter.wait_for_request(3)
                refused.set()
                return error(401, "No auth credentials found")
            # Long enough for the refusal to be read before it.
            return echo(request).with_(delay=Pause(until=refused), body_delay=Pause(seconds=0.3))

        openrouter.default = answer

        result = orcli("batch", "-j", "3", stdin=prompts("a", "refused", "b", *range(more)))

        assert (result.code, result.stderr) == (3, UNAUTHORIZED)
        assert outcomes(result.stdout) == [("1", "a"), ("2", 401), ("3", "b")]
        assert len(openrouter.requests) == 3

    def test_all_fail_at_once(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = error(401, "No auth credentials found")

        result = orcli("batch", "-j", "4", stdin=prompts(*range(4)))

        assert (result.code, result.stderr) == (3, UNAUTHORIZED)
        assert {code for _, code in outcomes(result.stdout)} == {401}

    def test_a_redirect_is_not_followed(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(raw(302, {"Location": "http://example.com/"}))

        result = orcli("batch", "-j", "1", stdin=prompts("a", "b"))

        assert result.code == 3
        assert result.stderr == (
            "orcli: 127.0.0.1 redirects to http://example.com/, which is not followed; check API_BASE_URL\n"
        )
        assert outcomes(result.stdout) == [("1", "account")]
        assert len(openrouter.requests) == 1

    def test_who_is_held_back_is_not_asked_once_the_cost_is_reached(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        slow = completion("dear", usage={**USAGE, "cost": 5}).with_(delay=Pause(seconds=0.5))
        openrouter.default = lambda request: (
            slow if prompt_of(request) == "dear" else error(429).with_(retry_after="100")
        )

        result = orcli("batch", "-j", "4", "--max-cost", "1", stdin=prompts("dear", *range(30)), timeout=20)

        assert result.code == 8
        assert result.stderr == "orcli: the cost limit of $1 is reached; raise --max-cost, or run it again\n"
        assert outcomes(result.stdout)[0] == ("1", "dear")
        assert {code for _, code in outcomes(result.stdout)[1:]} <= {429}
        assert len(openrouter.requests) <= 4

    def test_the_deadline_ends_a_wait_that_the_server_asks_for(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = error(429).with_(retry_after="100")

        result = orcli("batch", "--timeout", "1", stdin=prompts("a", "b"), timeout=20)

        assert (result.code, result.stdout) == (124, "")

    def test_a_request_that_has_less_time_than_the_server_asks_for_fails_with_its_words(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        openrouter.reply(error(429, "Slow down").with_(retry_after="2"))

        result = orcli("batch", "-j", "1", "--request-timeout", "1", stdin=prompts("a", "b"))

        assert (result.code, result.stderr) == (9, SOME_FAILED.format(1, 2))
        assert outcomes(result.stdout) == [("1", 429), ("2", "b")]
        assert openrouter.requests[1].arrived - openrouter.requests[0].arrived >= 1.9

    def test_a_server_that_is_not_there_is_told_in_the_kernel_s_words(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/api/v1"

            result = orcli("batch", "--retries", "0", stdin=prompts("a"), env={"API_BASE_URL": url})

        assert (result.code, result.stderr) == (9, SOME_FAILED.format(1, 1))
        assert results(result.stdout)[0]["error"] == {
            "code": "unavailable",
            "message": "cannot reach 127.0.0.1: Connection refused; check the network or try later",
        }

    def test_the_key_is_in_no_result(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = error(400, "what is abc-not-of-a-known-form-123?")

        result = orcli("batch", stdin=prompts("a"), env={"OPENROUTER_API_KEY": "abc-not-of-a-known-form-123"})

        assert result.code == 9
        assert "abc-not" not in result.stdout + result.stderr

    def test_a_base_url_that_was_found_gets_no_key_of_the_environment(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        orcli.file(".env", f"API_BASE_URL={openrouter.base_url}\n")

        result = orcli("batch", stdin=prompts("a"), env={"API_BASE_URL": None})

        assert (result.code, result.stdout, openrouter.requests) == (3, "", [])
        assert str(orcli.work / ".env") in result.stderr


@pytest.fixture
def deaf() -> Iterator[str]:
    """Give the base URL of a port where no connection is ever accepted."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
        for each in waiting:
            each.close()


def connecting(base_url: str) -> int:
    """Count the connections to a port that are still being made: state 2 in proc(5)'s net/tcp."""
    port = urlsplit(base_url).port or 0
    return sum(f":{port:04X} 02 " in line for line in Path("/proc/net/tcp").read_text().splitlines())


@pytest.mark.parametrize("number", ENDING_SIGNALS, ids=lambda number: number.name)
class TestASignal:
    @pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry run"])
    def test_while_more_input_is_awaited(
        self, orcli: Orcli, openrouter: OpenRouter, number: signal.Signals, dry: list[str]
    ) -> None:
        process = orcli.start("batch", *dry, stdin="pipe")
        process.write_stdin(b'"a"\n')
        process.read_stdout(until=b"\n")

        process.send_signal(number)
        ended = process.wait_exit()
        result = process.finish()

        assert (ended, result.code, result.stderr, result.stdout.count("\n")) == (True, -number, "", 1)

    def test_results_behind_a_line_that_is_not_answered_are_out_and_the_rest_hung_up_on(
        self, orcli: Orcli, openrouter: OpenRouter, number: signal.Signals
    ) -> None:
        openrouter.default = lambda request: echo(request) if prompt_of(request).isdigit() else hang()
        process = orcli.start("batch", "-j", "2", stdin=prompts("stuck", 1, 2, "also", "never"))
        openrouter.wait_for_request(4)

        process.send_signal(number)
        result = process.finish()

        assert (result.code, result.stderr) == (-number, "")
        assert outcomes(result.stdout) == [("2", "1"), ("3", "2")]
        hung_up = [request for request in openrouter.requests if not prompt_of(request).isdigit()]
        assert [request.wait_hung_up() for request in hung_up] == [True, True]
        assert len(openrouter.requests) == 4

    def test_while_the_server_makes_it_wait(self, orcli: Orcli, openrouter: OpenRouter, number: signal.Signals) -> None:
        openrouter.default = error(429).with_(retry_after="100")
        process = orcli.start("batch", "-j", "1", "-o", "out", stdin=prompts("a", "b"))
        openrouter.wait_for_request(1)
        assert openrouter.requests[0].answered.wait(10)

        process.send_signal(number)
        result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (-number, "", "")
        assert (orcli.work / "out").read_bytes() == b""

    def test_while_a_connection_is_being_made(
        self, orcli: Orcli, openrouter: OpenRouter, number: signal.Signals, deaf: str
    ) -> None:
        before = connecting(deaf)
        process = orcli.start("batch", "-v", stdin=prompts("a"), env={"API_BASE_URL": deaf})
        while connecting(deaf) == before:
            assert not process.wait_exit(0.01)

        process.send_signal(number)
        result = process.finish()

        assert (result.code, result.stdout) == (-number, "")
        assert result.stderr.startswith("orcli: 0 lines, 0 failed, ")

    def test_while_nobody_reads_what_is_written(
        self, orcli: Orcli, openrouter: OpenRouter, number: signal.Signals
    ) -> None:
        reader, writer = os.pipe()
        openrouter.default = completion("x" * 300_000)
        process = orcli.start("batch", "-j", "1", stdin=prompts(*range(9)), stdout=writer)
        openrouter.wait_for_request(2)

        process.send_signal(number)
        ended = process.wait_exit()
        os.close(writer)
        os.close(reader)

        assert ended
        assert (process.finish().code, process.finish().stderr) == (-number, "")

    def test_that_is_ignored_stays_ignored(self, orcli: Orcli, openrouter: OpenRouter, number: signal.Signals) -> None:
        release = threading.Event()
        openrouter.default = lambda request: echo(request).with_(delay=Pause(until=release))
        script = f"trap '' {number.name.removeprefix('SIG')}; exec orcli batch"
        process = orcli.start(script, shell=True, stdin=prompts("a"))
        openrouter.wait_for_request(1)

        process.send_signal(number)
        release.set()
        result = process.finish()

        assert (result.code, result.stderr, outcomes(result.stdout)) == (0, "", [("1", "a")])


class TestAReaderThatLeaves:
    def test_it_is_noticed_while_nothing_is_to_be_written(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = lambda request: echo(request) if prompt_of(request) == "0" else hang()
        process = orcli.start("batch", "-j", "2", stdin=prompts(*range(100)))
        process.read_stdout(until=b"\n")
        openrouter.wait_for_request(3)

        process.close_stdout()
        result = process.finish()

        assert (result.code, result.stderr, len(openrouter.requests)) == (-signal.SIGPIPE, "", 3)
        assert all(request.wait_hung_up() for request in openrouter.requests if prompt_of(request) != "0")

    def test_of_a_file_of_results_there_is_none(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        result = orcli.shell('orcli batch -o out | true; echo "${PIPESTATUS[0]}"; wc -l < out', stdin=prompts(1, 2))

        assert (result.stdout, result.stderr) == ("0\n2\n", "")


class TestFilesOfResults:
    def test_a_disk_that_fills_up_leaves_whole_results_and_the_same_command_goes_on(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        orcli.file("in", prompts(*range(10)))

        full = orcli.shell("ulimit -f 3; orcli batch -j 2 -o out in")
        kept = outcomes((orcli.work / "out").read_text())
        again = orcli("batch", "-o", "out", "in")

        assert (full.code, full.stdout) == (1, "")
        assert full.stderr == "orcli: cannot append to out: File too large; run it again when it can be\n"
        assert 0 < len(kept) < 10
        assert (again.code, again.stderr) == (0, "")
        entries = outcomes((orcli.work / "out").read_text())
        assert entries[: len(kept)] == kept
        assert sorted(entries) == sorted((str(number + 1), str(number)) for number in range(10))

    @pytest.mark.parametrize(
        ("script", "stderr"),
        [
            ("orcli batch in >> in", "orcli: in is both input and output; write to another file\n"),
            ("orcli batch ./in >> in", "orcli: ./in is both input and output; write to another file\n"),
            ("orcli batch < in >> in", "orcli: standard input is both input and output; write to another file\n"),
            ("orcli batch -o in < in", "orcli: standard input is both input and output; give another -o\n"),
            ("ln in out; orcli batch -o out in", "orcli: in is both input and output; give another -o\n"),
            ("orcli batch --log in in", "orcli: in is both input and log; give each a file of its own\n"),
            (
                "ORCLI_LOG=./in orcli batch < in",
                "orcli: standard input is both input and log; give each a file of its own\n",
            ),
            ("orcli batch -o out --log out in", "orcli: out is both output and log; give each a file of its own\n"),
            (
                "touch out; ln out log; orcli batch -o out --log log in",
                "orcli: out is both output and log; give each a file of its own\n",
            ),
        ],
    )
    def test_what_is_read_is_not_written_to(
        self, orcli: Orcli, openrouter: OpenRouter, script: str, stderr: str
    ) -> None:
        path = orcli.file("in", prompts("a") + "{}\n")

        result = orcli.shell(script)

        assert (result.code, result.stdout, result.stderr) == (2, "", stderr)
        assert (path.read_text(), openrouter.requests) == (prompts("a") + "{}\n", [])

    @pytest.mark.parametrize("change", ["removed", "replaced"])
    def test_a_file_that_is_another_by_then_ends_the_run(
        self, orcli: Orcli, openrouter: OpenRouter, change: str
    ) -> None:
        out = orcli.work / "out"

        def meanwhile(request: Request) -> Reply:
            out.rename(orcli.work / "old")
            if change == "replaced":
                out.write_text("mine")
            return echo(request)

        openrouter.reply(echo, meanwhile)

        result = orcli("batch", "-j", "1", "-o", "out", stdin=prompts(*range(50)))

        assert (result.code, result.stdout) == (1, "")
        assert result.stderr == "orcli: out was removed or replaced; run it again\n"
        assert outcomes((orcli.work / "old").read_text())[0] == ("1", "0")
        assert len(openrouter.requests) < 50
        assert out.exists() == (change == "replaced")

    def test_where_nothing_is_left_to_ask_it_says_so(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("in", prompts("a", "b"))
        first, again, quiet = (orcli("batch", "-o", "out", *options, "in") for options in ([], [], ["-q"]))

        assert (first.code, first.stderr) == (0, "")
        assert (again.code, again.stdout) == (0, "")
        assert again.stderr == "orcli: all lines are answered in out already; nothing was asked\n"
        assert (quiet.code, quiet.stderr) == (0, "")
        assert len(openrouter.requests) == 2

    def test_a_dry_run_shows_what_is_still_to_be_asked(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(echo, error(400))
        orcli.file("in", prompts("a", "b"))
        assert orcli("batch", "-j", "1", "-o", "out", "in").code == 9

        result = orcli("batch", "--dry-run", "-o", "out", "in")

        assert (result.code, result.stderr) == (0, "")
        assert [json.loads(line)["custom_id"] for line in result.stdout.splitlines()] == ["2"]
        assert len(openrouter.requests) == 2

    def test_a_dry_run_makes_no_file(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        result = orcli("batch", "--dry-run", "-o", "out", stdin=prompts("a"))

        assert (result.code, len(result.stdout.splitlines()), result.stderr) == (0, 1, "")
        assert not (orcli.work / "out").exists()

    def test_results_of_a_pipe_are_a_file_to_go_on_with(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(echo, error(400))
        orcli.file("in", prompts("a", "b"))

        result = orcli.shell("orcli batch -j 1 in > out; orcli batch -o out in")

        assert (result.code, result.stderr) == (0, SOME_FAILED.format(1, 2))
        assert outcomes((orcli.work / "out").read_text()) == [("1", "a"), ("2", 400), ("2", "b")]


class TestTheTerminal:
    def test_ctrl_c_leaves_nothing_on_it_and_shows_the_cursor(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = lambda request: echo(request) if prompt_of(request) == "a" else hang()
        process = orcli.terminal("batch", stdin=prompts("a", "b"), stdin_tty=False, stdout_tty=False)
        process.wait_for("1 done, 0 failed")

        process.type("\x03")
        result = process.finish()

        assert (result.code, outcomes(result.stdout)) == (-signal.SIGINT, [("1", "a")])
        after = result.terminal.rpartition("done")[2]
        assert "\x1b[?25h" in after
        assert after.endswith("\x1b[2K")

    def test_a_second_ctrl_c_finds_it_as_it_was(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = completion("x" * 300_000)
        process = orcli.terminal("batch", "-j", "1", stdin=prompts(*range(9)), stdin_tty=False, stdout_tty=False)
        process.wait_for("done")

        process.type("\x03")
        process.wait_for("\x1b[?25h")
        alive = not process.wait_exit(0.2)
        process.type("\x03")

        assert alive
        assert process.finish().code == -signal.SIGINT

    @pytest.mark.parametrize(
        ("arguments", "stdout_tty", "env"),
        [
            pytest.param(["-q"], False, {}, id="quiet"),
            pytest.param([], True, {}, id="the results go there themselves"),
            pytest.param([], False, {"TERM": "dumb"}, id="a terminal that cannot erase"),
        ],
    )
    def test_there_is_no_progress(
        self, orcli: Orcli, openrouter: OpenRouter, arguments: list[str], stdout_tty: bool, env: dict[str, str]
    ) -> None:
        openrouter.default = lambda request: echo(request).with_(delay=Pause(seconds=0.2))
        process = orcli.terminal(
            "batch", *arguments, stdin=prompts("a"), stdin_tty=False, stdout_tty=stdout_tty, env=env
        )

        result = process.finish()

        assert (result.code, result.stderr) == (0, "")
        shown = result.terminal.replace("\r\n", "\n")
        assert outcomes(shown if stdout_tty else result.stdout) == [("1", "a")]
        assert stdout_tty or shown == ""

    def test_no_color_is_heeded(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        process = orcli.terminal(
            "batch", stdin=prompts("a", "b"), stdin_tty=False, stdout_tty=False, env={"NO_COLOR": "1"}
        )

        result = process.finish()

        assert "\x1b[3" not in result.terminal
        assert "2 done, 0 failed" in result.terminal

    def test_a_file_tells_how_much_is_left(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        release = threading.Event()
        openrouter.default = lambda request: echo(request).with_(
            delay=Pause(until=release) if prompt_of(request) == "b" else None
        )
        orcli.file("in", prompts("a", "b") + "{}\n")
        process = orcli.terminal("batch", "-j", "1", "in", stdin_tty=False, stdout_tty=False)

        process.wait_for("━")
        process.wait_for("2 done, 1 failed, 67 + 5 tokens, $0.00001305")
        release.set()

        assert process.finish().code == 9

    def test_without_one_nothing_is_said_of_it(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = lambda request: echo(request).with_(delay=Pause(seconds=1.2))

        result = orcli("batch", stdin=prompts("a"))

        assert (result.code, result.stderr) == (0, "")


class TestManyAtOnce:
    def test_as_many_connections_as_jobs_serve_all(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = lambda request: echo(request).with_(delay=Pause(seconds=0.02))

        result = orcli("batch", "-j", "4", stdin=prompts(*range(100)))

        assert (result.code, len(openrouter.requests)) == (0, 100)
        assert openrouter.connections <= 4

    def test_a_slow_first_line_lets_the_others_run_ahead_only_so_far(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        openrouter.default = lambda request: echo(request).with_(
            delay=Pause(seconds=1.5) if prompt_of(request) == "0" else None
        )

        result = orcli("batch", "-j", "2", stdin=prompts(*range(500)))

        began = openrouter.requests[0].arrived
        ahead = [request for request in openrouter.requests if request.arrived < began + 1.4]
        assert (result.code, result.stderr) == (0, "")
        assert outcomes(result.stdout) == [(str(number + 1), str(number)) for number in range(500)]
        assert 16 < len(ahead) <= 2 * 16 + 3

    def test_a_burst_of_503_slows_all_down_and_speed_comes_back(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(*[error(503)] * 8)

        result = orcli("batch", "-j", "8", "--retries", "5", stdin=prompts(*range(60)))

        at_once = openrouter.requests[0].arrived + 0.3
        early = [request for request in openrouter.requests if request.arrived < at_once]
        assert (result.code, len(openrouter.requests)) == (0, 68)
        assert len(early) <= 8
        last = openrouter.requests[-1].arrived
        assert last - min(request.arrived for request in openrouter.requests[8:]) < 5


class TestWhatCounts:
    def test_tool_calls_are_an_answer_to_a_line_with_tools_alone(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        called = completion(
            None, finish_reason="tool_calls", message={"tool_calls": [tool_call("call-1", "f", '{"a": 1}')]}
        )
        openrouter.default = called
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        messages = [{"role": "user", "content": "call f"}]
        lines = [{"messages": messages, "tools": tools}, {"messages": messages}]

        result = orcli("batch", "-j", "1", stdin="".join(json.dumps(line) + "\n" for line in lines))

        with_tools, without = results(result.stdout)
        assert (result.code, result.stderr) == (9, SOME_FAILED.format(1, 2))
        assert with_tools["error"] is None
        assert without["error"]["code"] == "tools"
        assert with_tools["response"] == without["response"]
        assert without["response"]["body"] == json.loads(called.body)

    def test_json_changes_nothing_but_a_failure_before_the_first_line(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        with_json, without = (orcli("batch", *option, stdin=prompts("a") + "{}\n") for option in (["--json"], []))
        usage = orcli("batch", "--json", "nowhere")

        assert (with_json.code, with_json.stdout, with_json.stderr) == (without.code, without.stdout, without.stderr)
        assert usage.code == 2
        assert json.loads(usage.stdout) == {
            "error": {"code": "usage", "message": "no such file: nowhere; check the path"}
        }

    def test_a_closed_standard_input_is_an_empty_one(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        result = orcli("batch", stdin="closed")

        assert (result.code, result.stdout, result.stderr, openrouter.requests) == (0, "", "", [])

    def test_the_log_has_each_request_with_its_exit_code_and_none_of_its_text(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        openrouter.reply(echo, error(400, "no"), completion("cut", finish_reason="length"))

        result = orcli("batch", "-j", "1", "--log", "log", stdin=prompts("secret", "b", "c") + "{}\n")

        log = (orcli.work / "log").read_text()
        assert result.code == 9
        assert [json.loads(line)["exit_code"] for line in log.splitlines()] == [0, 2, 5]
        assert "secret" not in log

    def test_quiet_says_nothing_of_waiting(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        process = orcli.start("batch", "-q", stdin="pipe")

        ended = process.wait_exit(2.5)
        result = process.finish()

        assert (ended, result.code, result.stdout, result.stderr) == (False, 0, "", "")


CHARSETS = ["undefined", "utf-16", "idna", "rot13", "hex", "utf-8"]


@pytest.mark.parametrize("charset", CHARSETS)
def test_an_error_in_a_charset_that_is_none_is_an_error_on_its_line(
    orcli: Orcli, openrouter: OpenRouter, charset: str
) -> None:
    body = '{"error":{"message":"größer","code":500}}'.encode()

    def answer(request: Request) -> Reply:
        bad = raw(500, body=body, content_type=f"application/json; charset={charset}")
        return bad if prompt_of(request) == "bad" else echo(request)

    openrouter.default = answer

    result = orcli("batch", "-j", "1", "--retries", "0", stdin=prompts("bad", 1, 2))
    alone = orcli("ask", "--retries", "0", "bad")

    assert (result.code, result.stderr) == (9, SOME_FAILED.format(1, 3))
    assert results(result.stdout)[0]["error"] == {"code": 500, "message": "größer"}
    assert [text for _, text in outcomes(result.stdout)[1:]] == ["1", "2"]
    assert (alone.code, alone.stderr) == (4, "orcli: 500: größer; try later\n")


@pytest.mark.parametrize("option", ["--system-file pipe", "-m local/pipe.gguf"])
def test_the_deadline_holds_from_the_beginning(orcli: Orcli, openrouter: OpenRouter, option: str) -> None:
    for name in ("pipe", "pipe.gguf"):
        os.mkfifo(orcli.work / name)
    orcli.file("in", prompts(1))

    result = orcli.shell(f"exec 3<>pipe 4<>pipe.gguf; orcli batch {option} --timeout 1 in", timeout=20)

    assert (result.code, result.stdout) == (124, "")
    assert result.stderr == "orcli: the deadline has passed; raise --timeout\n"
    assert openrouter.requests == []


@pytest.mark.parametrize("depth", [195, 196, 197, 198, 199])
def test_an_answer_however_deep_is_read_again(orcli: Orcli, openrouter: OpenRouter, depth: int) -> None:
    deep: Any = 5
    for _ in range(depth):
        deep = [deep]
    openrouter.default = completion("x", top={"deep": deep})
    runs = [orcli("batch", "-q", "-o", "out", stdin=prompts("a")) for _ in range(2)]

    assert [run.code for run in runs] == ([0, 0] if depth < 198 else [9, 9])


def test_a_line_that_is_no_request_takes_no_id_of_another(orcli: Orcli, openrouter: OpenRouter) -> None:
    text = '# header\n{"custom_id":"1","body":{"messages":[{"role":"user","content":"x"}]}}\n'

    result = orcli("batch", stdin=text)

    assert (result.code, outcomes(result.stdout)[1]) == (9, ("1", "x"))
    assert len(openrouter.requests) == 1


def test_the_lines_of_a_dry_run_are_the_same_lines(orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file("in", '{"custom_id":7,"body":{"messages":[{"role":"user","content":"x"}]}}\n')

    result = orcli.shell("orcli batch --dry-run in > again; orcli batch -o out in; orcli batch -q -o out again")

    assert (result.code, result.stderr) == (0, "")
    assert len(openrouter.requests) == 1


def test_results_that_cannot_be_mended_are_told(orcli: Orcli, openrouter: OpenRouter) -> None:
    line = '{"id":"batch_req_1","custom_id":"1","response":{"status_code":200},"error":null}'
    orcli.file("out", line + " " * (1024 - len(line)))

    result = orcli.shell("ulimit -f 1; orcli batch -o out", stdin=prompts("a"))

    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == "orcli: cannot mend out: File too large; run it again when it can be\n"
    assert openrouter.requests == []


def test_a_dry_run_changes_no_file_and_waits_for_none(orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file("in", prompts(1, 2))
    assert orcli("batch", "-j", "1", "-o", "out", "in").code == 0
    out = orcli.work / "out"
    out.write_bytes(out.read_bytes()[:-20])
    torn = out.read_bytes()

    with out.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = orcli("batch", "--dry-run", "-o", "out", "in")

    assert (result.code, result.stderr, out.read_bytes()) == (0, "", torn)
    assert [json.loads(line)["custom_id"] for line in result.stdout.splitlines()] == ["2"]


def test_a_dry_run_takes_no_directory_for_results(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("batch", "--dry-run", "-o", ".", stdin=prompts(1))

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: . is no regular file; leave -o out to write to a pipe\n"


def test_a_dash_is_no_file_of_results(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("batch", "-o", "-", stdin=prompts(1))

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: -o - is no file; leave -o out to write to stdout\n"
    assert list(orcli.work.iterdir()) == []


@pytest.mark.local
def test_a_local_model_is_asked_one_line_at_a_time(orcli: Orcli) -> None:
    lines = prompts(*(f"Write a long story about number {number}." for number in range(4)))
    options = ("-m", "local/smollm2", "--max-tokens", "8", "-j", "4", "--log", "log")

    result = orcli("batch", *options, stdin=lines, timeout=240)

    assert (result.code, len(outcomes(result.stdout))) == (9, 4)
    # Requests that wait for one another would count the same seconds more than once.
    taken = [json.loads(line)["milliseconds"] for line in (orcli.work / "log").read_text().splitlines()]
    assert sum(taken) <= 1000 * result.seconds
