"""Signals at every moment of every command's life: it dies of the signal, says nothing, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Orcli, Process, processes_left
from tests.commands import COMMANDS, write_inputs
from tests.openrouter import OpenRouter, Pause, completion

MOMENTS = 18
"""For each of three signals, so that there are over 50 for each command."""
SECONDS = 0.5
"""From where orcli itself begins, its imports still before it, to where the request waits for its answer."""


@pytest.mark.moments
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_any_moment_ends_a_command_silently(
    orcli: Orcli, openrouter: OpenRouter, command: str, number: signal.Signals
) -> None:
    openrouter.allow_unused = True
    openrouter.reply(*[completion().with_(delay=Pause())] * MOMENTS)
    write_inputs(orcli)
    ends = []

    for moment in range(MOMENTS):
        process = orcli.start(*COMMANDS[command])
        wait_begun(process)
        # Not a wait for something: the moment itself is what is tried.
        process.wait_exit(SECONDS * moment / MOMENTS)
        process.send_signal(number)
        result = process.finish(10)
        ends.append((result.code, result.stdout, result.stderr))

    assert ends == [(-number, "", "")] * MOMENTS
    assert all(request.wait_hung_up() for request in openrouter.requests)


def wait_begun(process: Process) -> None:
    """Wait until orcli has taken the signals over; before that the interpreter itself answers them."""
    while not process.wait_exit(0.002):
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return


SWALLOWING = """
import os, signal, time
from orcli import process

class Grave:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

process.catch_signals()
Grave()
process.Watch(0).start()
try:
    time.sleep(60)
except process.Signalled as signalled:
    process.release()
    process.end_by(signalled.number)
"""


def test_a_signal_that_a_destructor_swallowed_before_the_clock_ran_is_not_lost() -> None:
    run = subprocess.run([sys.executable, "-c", SWALLOWING], capture_output=True, timeout=30, check=False)

    assert (run.returncode, run.stdout, run.stderr) == (-signal.SIGTERM, b"", b"")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_that_was_inherited_as_ignored_stays_ignored(
    orcli: Orcli, openrouter: OpenRouter, command: str
) -> None:
    openrouter.default = completion("Hello.").with_(delay=Pause(seconds=0.5))
    write_inputs(orcli)
    words = " ".join(COMMANDS[command]).replace("stream", "ask", 1)

    process = orcli.start(f"trap '' INT HUP; exec orcli {words}", shell=True)
    openrouter.wait_for_request()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)
    result = process.finish()

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout


HELD = """
import os, signal, threading, time
from orcli import process
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
process.catch_signals()
process.Watch(0).start()
try:
    with process.held():
        os.kill(os.getpid(), signal.SIGALRM)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        print("whole", end=", ")
    print("never")
except process.Signalled as error:
    print(error)
"""


def test_a_signal_that_is_held_back_ends_what_comes_after_whichever_thread_gets_it() -> None:
    run = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, timeout=10, check=False)

    assert (run.stdout, run.stderr, run.returncode) == ("whole, SIGTERM\n", "", 0)


def test_a_shell_loop_stops_on_ctrl_c(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = completion().with_(delay=Pause())
    terminal = orcli.terminal("while :; do orcli ask -n hi; echo again; done", shell=True)
    openrouter.wait_for_request()

    terminal.type("\x03")
    result = terminal.finish()

    assert result.code == -signal.SIGINT
    assert "again" not in result.terminal
    assert len(openrouter.requests) == 1


@pytest.mark.local
def test_a_local_model_s_server_ends_with_orcli_killed_at_any_moment(orcli: Orcli, openrouter: OpenRouter) -> None:
    marker = {"ORCLI_TEST_MARKER": str(orcli.work)}

    for moment in range(20):
        process = orcli.start("ask", "-n", "-m", "local/smollm2", "Count to a thousand.", env=marker)
        process.wait_exit(0.1 + moment * 0.07)
        process.send_signal(signal.SIGKILL)
        assert process.finish(20).code in (-signal.SIGKILL, 0, 5)

    assert processes_left(str(orcli.work)) == []
