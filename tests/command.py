"""The runner: it starts the real orcli in a closed environment, on pipes, in a shell or on a terminal."""

from __future__ import annotations

import fcntl
import io
import math
import os
import pty
import selectors
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

COMMAND_VARIABLE: Final = "ORCLI_TEST_COMMAND"

PASSED_ON: Final = ("ORCLI_EAGER",)
"""Variables that every run gets as the tests have them: they choose a mode in which orcli must behave the same."""

Argument = str | bytes | os.PathLike[str]

Changes = Mapping[str, str | None]
"""Changes to an environment; None removes the variable."""

Stdin = bytes | str | int | IO[Any] | None
"""Text or bytes to feed, an open file or descriptor, "pipe" to write by hand, "closed", or None for /dev/null."""

Sink = str | int | IO[Any]
"""An open file or descriptor, "pipe" to record what is written, or "closed"."""


def command_under_test() -> Path:
    """Find the orcli script: the one that `ORCLI_TEST_COMMAND` names, else the one beside this interpreter."""
    return Path(os.environ.get(COMMAND_VARIABLE) or Path(sys.executable).parent / "orcli").absolute()


def interpreter() -> Path:
    """Give the Python that runs the script under test: the one of the environment that it is installed in."""
    return command_under_test().resolve().parent / "python"


def processes_with(value: str) -> list[int]:
    """Find the processes, those apart that have ended and wait to be noticed, with a value in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        # Gone meanwhile, or somebody else's.
        with suppress(OSError):
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and value.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def processes_left(value: str, seconds: float = 10) -> list[int]:
    """Wait for the end of the processes with a value in their environment, and give those that do not end in time."""
    deadline = time.monotonic() + seconds
    while (left := processes_with(value)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def why_missing(command: Path) -> str | None:
    """Explain why the command cannot be tested; None when it can."""
    if command.name == "orcli" and os.access(command, os.X_OK):
        return None
    return f"{command} is not an executable named orcli; install the project, or name the script in {COMMAND_VARIABLE}"


@dataclass(frozen=True, repr=False)
class Result:
    """What one run did; `code` is negative when a signal ended it, `seconds` is from its start to its exit."""

    arguments: tuple[Argument, ...]
    code: int
    seconds: float
    stdout_bytes: bytes
    stderr_bytes: bytes
    terminal_bytes: bytes

    @property
    def stdout(self) -> str:
        """Standard output as text; bytes that are not UTF-8 become lone surrogates."""
        return _text(self.stdout_bytes)

    @property
    def stderr(self) -> str:
        """Standard error as text; bytes that are not UTF-8 become lone surrogates."""
        return _text(self.stderr_bytes)

    @property
    def terminal(self) -> str:
        """What the terminal was sent, echo included, with the line ends it was sent: CR LF."""
        return _text(self.terminal_bytes)

    def __repr__(self) -> str:
        outcome = f"code {self.code} after {self.seconds:.3f} s"
        return _account(self.arguments, outcome, self.stdout_bytes, self.stderr_bytes, self.terminal_bytes)


class Process:
    """A live run in a session of its own, whose output is read only when a method asks for it.

    `started_at` and `exited_at` are times of `time.monotonic`.
    """

    def __init__(
        self,
        arguments: tuple[Argument, ...],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: Stdin = None,
        stdout: Sink = "pipe",
        stderr: Sink = "pipe",
        terminal: tuple[int, int] | None = None,
    ) -> None:
        master, slave = terminal or (None, None)
        sides = (("<&-", stdin), (">&-", stdout), ("2>&-", stderr))
        closings = " ".join(closing for closing, target in sides if target == "closed")
        self.arguments = arguments
        self.exited_at = math.inf
        self.started_at = time.monotonic()
        self._popen = subprocess.Popen(
            _through_shell(arguments, closings, slave),
            bufsize=0,
            stdin=_redirection(stdin),
            stdout=_redirection(stdout),
            stderr=_redirection(stderr),
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._stdin = self._popen.stdin
        exit_reader, exit_writer = os.pipe()
        self._stdout = _Output(self._popen.stdout)
        self._stderr = _Output(self._popen.stderr)
        self._terminal = _Output(None if master is None else io.FileIO(master, "r+"))
        self._exit = _Output(io.FileIO(exit_reader))
        self._taken = 0
        self._waiter = threading.Thread(target=self._note_exit, args=(slave, exit_writer), daemon=True)
        self._waiter.start()
        self._feeder: threading.Thread | None = None
        if isinstance(stdin, (bytes, str)) and stdin not in ("pipe", "closed"):
            self._feeder = threading.Thread(target=self._feed, args=(stdin,), daemon=True)
            self._feeder.start()

    def __repr__(self) -> str:
        outcome = "still running" if self._popen.returncode is None else f"code {self._popen.returncode}"
        written = (bytes(output.data) for output in (self._stdout, self._stderr, self._terminal))
        return _account(self.arguments, outcome, *written)

    def send_signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self._popen.send_signal(number)

    def write_stdin(self, data: bytes) -> None:
        """Write to a standard input that was asked for as "pipe"."""
        assert self._stdin is not None, 'stdin="pipe" was not asked for'
        left = memoryview(data)
        while left:
            left = left[self._stdin.write(left) :]

    def close_stdin(self) -> None:
        """End the standard input."""
        if self._stdin is not None:
            self._stdin.close()

    def close_stdout(self) -> None:
        """Stop being the reader of its standard output."""
        self._stdout.close()

    def read_stdout(self, n: int | None = None, *, until: bytes | None = None, timeout: float = 10) -> bytes:
        """Return the next `n` bytes, or those to the end of `until`, or whatever is next, as soon as they are there.

        At the end of the output "whatever is next" is b""; the others, and a timeout, are an AssertionError.
        """

        def end() -> int | None:
            data, start = self._stdout.data, self._taken
            if until is not None:
                found = data.find(until, start)
                return None if found < 0 else found + len(until)
            if n is not None:
                return None if len(data) < start + n else start + n
            return len(data) if len(data) > start or self._stdout.ended else None

        self._gather([self._stdout], lambda: end() is not None, timeout)
        found = end()
        assert found is not None, f"not on stdout, after {timeout} s or its end: {until or n or 'a byte'!r}\n{self}"
        taken = bytes(self._stdout.data[self._taken : found])
        self._taken = found
        return taken

    def wait_stderr(self, text: str, timeout: float = 10) -> str:
        """Return all of standard error so far, as soon as it contains the text."""
        wanted = text.encode()
        if not self._gather([self._stderr], lambda: wanted in self._stderr.data, timeout):
            raise AssertionError(f"no {text!r} on stderr, after {timeout} s or its end\n{self}")
        return _text(self._stderr.data)

    def wait_exit(self, timeout: float = 10) -> bool:
        """Wait for the exit without reading any output, and say whether it came."""
        return self._gather([self._exit], lambda: self._exit.ended, timeout)

    def finish(self, timeout: float = 60) -> Result:
        """End a piped standard input, read the rest, and wait for the exit; AssertionError when that takes too long."""
        if self._feeder is None:
            self.close_stdin()
        outputs = [self._stdout, self._stderr, self._terminal, self._exit]
        complete = self._gather(outputs, lambda: all(output.ended for output in outputs), timeout)
        if not complete:
            trouble = "another process still holds its output" if self._exit.ended else "still running"
            self._kill_group()
            self._gather(outputs, lambda: all(output.ended for output in outputs), 5)
            raise AssertionError(f"{trouble} after {timeout} s\n{self}")
        written = (bytes(output.data) for output in outputs[:3])
        return Result(self.arguments, self._popen.returncode, self.exited_at - self.started_at, *written)

    def close(self) -> None:
        """Kill the process and its group if it still runs, and let go of everything."""
        if not self.wait_exit(0):
            self._kill_group()
        self.wait_exit()
        for output in (self._stdout, self._stderr, self._terminal, self._exit):
            output.close()
        self._waiter.join(10)
        if self._feeder is not None:
            self._feeder.join(10)
        self.close_stdin()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _note_exit(self, slave: int | None, writer: int) -> None:
        self._popen.wait()
        self.exited_at = time.monotonic()
        if slave is not None:
            os.close(slave)
        os.close(writer)

    def _feed(self, content: bytes | str) -> None:
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        with suppress(BrokenPipeError):
            self.write_stdin(data)
        self.close_stdin()

    def _gather(self, outputs: list[_Output], enough: Callable[[], bool], timeout: float) -> bool:
        """Read these outputs, and only these, until there is enough; say whether there is."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            for output in outputs:
                if output.file is not None:
                    selector.register(output.file, selectors.EVENT_READ, output)
            while not enough():
                left = deadline - time.monotonic()
                ready = selector.select(max(left, 0)) if selector.get_map() else []
                for key, _ in ready:
                    if not key.data.read():
                        selector.unregister(key.fileobj)
                        key.data.close()
                if not ready:
                    return False
        return True


def wait_for_child(process: Process, value: str, seconds: float) -> int:
    """Wait until another process with a value in its environment than a live run has worked so long, and give it."""
    while True:
        for number in processes_with(value):
            with suppress(OSError):
                # `utime` of proc(5).
                ticks = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[11])
                if number != process.pid and ticks > seconds * os.sysconf("SC_CLK_TCK"):
                    return number
        assert not process.wait_exit(0.05), process


class Terminal(Process):
    """A live run on a pseudo-terminal: its controlling terminal, and those of its descriptors that were asked for."""

    def __init__(
        self,
        arguments: tuple[Argument, ...],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: Stdin,
        stdin_tty: bool,
        stdout_tty: bool,
        stderr_tty: bool,
        size: tuple[int, int],
    ) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        super().__init__(
            arguments,
            env={"TERM": "xterm-256color", **env},
            cwd=cwd,
            stdin=slave if stdin_tty else stdin,
            stdout=slave if stdout_tty else "pipe",
            stderr=slave if stderr_tty else "pipe",
            terminal=(master, slave),
        )

    @property
    def screen(self) -> bytes:
        """What the terminal has shown so far, as far as it was read."""
        return bytes(self._terminal.data)

    def wait_for(self, text: str, timeout: float = 10) -> bytes:
        """Return the screen as soon as it has shown the text."""
        wanted = text.encode()
        if not self._gather([self._terminal], lambda: wanted in self._terminal.data, timeout):
            raise AssertionError(f"no {text!r} on the terminal, after {timeout} s or its end\n{self}")
        return self.screen

    def type(self, text: str) -> None:
        """Press the keys: `\\r` is Return, `\\x03` Ctrl-C, `\\x04` Ctrl-D."""
        assert self._terminal.file is not None, "the terminal is gone"
        self._terminal.file.write(text.encode())

    def hang_up(self) -> None:
        """Close the terminal's window."""
        self._terminal.close()


class Orcli:
    """Runs of one orcli script; `env` is their whole environment, `work` their working directory.

    `line` is what their command lines begin with, the script or what runs it; like `env` it may be edited.
    """

    def __init__(self, command: Path, directory: Path, base_url: str) -> None:
        self.command = command
        self.line: tuple[Argument, ...] = (command,)
        self.home = directory / "home"
        self.work = directory / "work"
        self.home.mkdir()
        self.work.mkdir()
        self.processes: list[Process] = []
        self.env = {
            "PATH": f"{command.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "OPENROUTER_API_KEY": "sk-or-v1-test",
            "API_BASE_URL": base_url,
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        }

    def __enter__(self) -> Orcli:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(
        self,
        *arguments: Argument,
        stdin: Stdin = None,
        stdout: Sink = "pipe",
        stderr: Sink = "pipe",
        env: Changes | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
    ) -> Result:
        """Run orcli to its end."""
        process = self.start(*arguments, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd)
        return process.finish(timeout)

    def start(
        self,
        *arguments: Argument,
        stdin: Stdin = None,
        stdout: Sink = "pipe",
        stderr: Sink = "pipe",
        env: Changes | None = None,
        cwd: Path | None = None,
        shell: bool = False,
    ) -> Process:
        """Start orcli, or with `shell` the bash script that is the only argument."""
        process = Process(
            self._line(arguments, shell),
            env=self._environment(env),
            cwd=cwd or self.work,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        self.processes.append(process)
        return process

    def shell(
        self,
        script: str,
        *,
        stdin: Stdin = None,
        env: Changes | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
    ) -> Result:
        """Run a bash script, with pipefail, to its end; orcli is on its PATH."""
        return self.start(script, stdin=stdin, env=env, cwd=cwd, shell=True).finish(timeout)

    def terminal(
        self,
        *arguments: Argument,
        stdin: Stdin = None,
        stdin_tty: bool = True,
        stdout_tty: bool = True,
        stderr_tty: bool = True,
        size: tuple[int, int] = (24, 80),
        env: Changes | None = None,
        cwd: Path | None = None,
        shell: bool = False,
    ) -> Terminal:
        """Start orcli, or with `shell` a bash script, on a terminal of so many rows and columns, with TERM set."""
        terminal = Terminal(
            self._line(arguments, shell),
            env=self._environment(env),
            cwd=cwd or self.work,
            stdin=stdin,
            stdin_tty=stdin_tty,
            stdout_tty=stdout_tty,
            stderr_tty=stderr_tty,
            size=size,
        )
        self.processes.append(terminal)
        return terminal

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a file in the working directory."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
        return path

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            process.close()

    def _line(self, arguments: tuple[Argument, ...], shell: bool) -> tuple[Argument, ...]:
        return ("bash", "-o", "pipefail", "-c", *arguments) if shell else (*self.line, *arguments)

    def _environment(self, changes: Changes | None) -> dict[str, str]:
        changed = {**self.env, **(changes or {})}
        return {name: value for name, value in changed.items() if value is not None}


class _Output:
    """The reading end of what a run writes to, and what has been read from it."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self.file = file
        self.data = bytearray()

    @property
    def ended(self) -> bool:
        """Whether nothing more will be read."""
        return self.file is None

    def read(self) -> bool:
        """Take what is there, and say whether more may come."""
        assert self.file is not None
        try:
            data = self.file.read(1 << 16)
        except OSError:  # how a terminal says that no program holds it any more
            data = b""
        self.data += data
        return bool(data)

    def close(self) -> None:
        """Stop reading."""
        if self.file is not None:
            self.file.close()
            self.file = None


def _redirection(target: Stdin) -> int | IO[Any]:
    if target is None or target == "closed":
        return subprocess.DEVNULL
    return subprocess.PIPE if isinstance(target, (bytes, str)) else target


def _through_shell(arguments: tuple[Argument, ...], closings: str, slave: int | None) -> tuple[Argument, ...]:
    """Let a shell do, before it becomes the command, what has to be done in the new session.

    It closes descriptors, and opens the terminal, which makes it the controlling one.
    """
    if not closings and slave is None:
        return arguments
    opening = "" if slave is None else f": <>{shlex.quote(os.ttyname(slave))}; "
    return ("/bin/sh", "-c", f'{opening}exec "$@" {closings}', "sh", *arguments)


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "surrogateescape")


def _account(arguments: tuple[Argument, ...], outcome: str, stdout: bytes, stderr: bytes, terminal: bytes) -> str:
    words = " ".join(shlex.quote(os.fsdecode(argument)) for argument in arguments)
    shown = (("stdout", stdout), ("stderr", stderr), ("terminal", terminal))
    return "\n".join([f"$ {words}", outcome, *(f"{name} {data!r}" for name, data in shown if data)])
