"""In namespaces of its own: orcli as process 1, which no signal kills, and on a file system that cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.command import Orcli, Process
from tests.commands import COMMANDS, write_inputs
from tests.openrouter import OpenRouter, Pause, Reply, Request, as_asked, chunk, completion, stream, tool_call

pytestmark = pytest.mark.namespaces

UNSHARE = ("unshare", "--user", "--map-root-user")
PROCESS_1 = (*UNSHARE, "--pid", "--fork", "--mount-proc")
READ_ONLY = (
    *UNSHARE,
    "--mount",
    "sh",
    "-euc",
    """
    mount -t tmpfs none "$1"
    cp -R "$HOME" "$PWD" "$1"
    mount -o remount,ro "$1"
    cd "$1/work"
    export HOME="$1/home" TMPDIR="$1"
    shift
    exec "$@"
    """,
    "sh",
)
"""Runs a command in copies of its home and working directory, in a new file system at the path given first."""


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """Fail where this user may make no namespaces."""
    run = subprocess.run([*PROCESS_1, "--mount", "true"], capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.fail(f"{run.stderr.strip()}; run these as root, or leave out the mark `namespaces`", pytrace=False)


@pytest.fixture
def orcli(orcli: Orcli) -> Orcli:
    """Run orcli beside the files that the commands read."""
    write_inputs(orcli, 50)
    return orcli


def send_signal(process: Process, number: int) -> None:
    """Send a signal to the child of `unshare`, which is process 1 in there."""
    child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    os.kill(int(child), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("command", COMMANDS)
def test_process_1_exits_with_128_and_the_number_of_the_signal(
    orcli: Orcli, openrouter: OpenRouter, command: str, number: signal.Signals
) -> None:
    orcli.line = (*PROCESS_1, orcli.command)
    openrouter.allow_unused = True
    openrouter.reply(*[completion().with_(delay=Pause())] * 50)
    process = orcli.start(*COMMANDS[command])
    request = openrouter.wait_for_request()

    send_signal(process, number)
    result = process.finish(20)

    assert (result.code, result.stdout, result.stderr) == (128 + number, "", "")
    assert request.wait_hung_up()


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        pytest.param("ask", completion().with_(delay=Pause()), id="ask"),
        pytest.param("stream", stream(chunk("Hello"), Pause()), id="stream"),
        pytest.param("batch", completion().with_(delay=Pause()), id="batch"),
    ],
)
def test_process_1_exits_with_141_when_its_reader_is_gone(
    orcli: Orcli, openrouter: OpenRouter, command: str, reply: Reply
) -> None:
    orcli.line = (*PROCESS_1, orcli.command)
    openrouter.allow_unused = True
    openrouter.reply(*[reply] * 50)
    process = orcli.start(*COMMANDS[command])
    request = openrouter.wait_for_request()
    if command == "stream":
        process.read_stdout(until=b"Hello")

    process.close_stdout()
    result = process.finish(20)

    assert (result.code, result.stderr) == (128 + signal.SIGPIPE, "")
    assert request.wait_hung_up()


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("sh -c 'setsid sleep 60 & echo sunny'", id="that hold its pipes"),
        pytest.param("sh -c 'setsid sleep 60 >&- 2>&- & echo sunny'", id="that hold nothing"),
        pytest.param("sh -c 'for n in 1 2 3 4; do (setsid true &); done; echo sunny'", id="that end before it"),
    ],
)
def test_process_1_does_not_wait_for_the_orphans_of_a_tool(orcli: Orcli, openrouter: OpenRouter, command: str) -> None:
    def answer(request: Request) -> Reply:
        last = request.json["messages"][-1]
        if last["role"] == "tool":
            return completion(last["content"])
        return completion(None, finish_reason="tool_calls", message={"tool_calls": [tool_call("call_1", "f", "{}")]})

    orcli.line = (*PROCESS_1, orcli.command)
    openrouter.default = answer

    result = orcli("tool", "-n", "--tools", "tools.json", "--exec", f"f={command}", "hi", timeout=20)

    assert (result.code, result.stdout, result.stderr) == (0, "sunny\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_has_to_be_written_to_answer(
    orcli: Orcli, openrouter: OpenRouter, tmp_path: Path, command: str
) -> None:
    orcli.line = (*READ_ONLY, mount_point(tmp_path), orcli.command)
    openrouter.default = as_asked

    result = orcli(*COMMANDS[command])

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["ask", "-c", "talk", "hi"], "cannot open the conversation talk: {}; check the path", id="-c"),
        pytest.param(["ask", "-c", "new", "hi"], "cannot open the conversation new: {}; check the path", id="-c new"),
        pytest.param(["ask", "--log", "new", "hi"], "cannot open the log new: {}; check --log or ORCLI_LOG", id="log"),
        pytest.param(
            ["batch", "--log", "new", "in"], "cannot open the log new: {}; check --log or ORCLI_LOG", id="batch"
        ),
        pytest.param(["batch", "-o", "new", "in"], "cannot open new: {}; check -o", id="-o"),
        pytest.param(
            ["vision", "--save", "new", "hi", "a.png"],
            "cannot make the directory new: {}; check --save",
            id="--save new",
        ),
        pytest.param(
            ["vision", "--save", "kept", "hi", "a.png"], "cannot write to the directory kept; check --save", id="--save"
        ),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_anything_is_sent(
    orcli: Orcli, openrouter: OpenRouter, tmp_path: Path, arguments: list[str], message: str
) -> None:
    orcli.line = (*READ_ONLY, mount_point(tmp_path), orcli.command)
    orcli.file("talk", '{"role": "user", "content": "hi"}\n')
    orcli.file("kept/a", "")

    result = orcli(*arguments)

    stderr = f"orcli: {message.format('Read-only file system')}\n"
    assert (result.code, result.stdout, result.stderr) == (2, "", stderr)
    assert openrouter.requests == []


def mount_point(directory: Path) -> Path:
    """Make a directory to mount on."""
    path = directory / "read-only"
    path.mkdir()
    return path
