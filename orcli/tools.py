"""Tools: their definitions in the guide's format, the check of a call's arguments, and the command that runs it."""

from __future__ import annotations

import codecs
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from orcli.errors import UsageError, one_line
from orcli.process import held, kill_at_close, signal_name
from orcli.schema import as_schema
from orcli.text import load_json
from orcli.validation import check_schemas, first_fault

OUTPUT_LIMIT = 1_000_000
"""Bytes of a tool's output that go to the model."""
_ERROR_TAIL = 2_000
_GRACE_SECONDS = 0.2
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Tool:
    """A tool as it is sent, where it was defined, and the command that runs it, None when the caller does."""

    definition: Mapping[str, Any]
    source: str
    name: str = ""
    """Empty for a tool that OpenRouter itself runs, such as `openrouter:web_search`."""
    command: tuple[str, ...] | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The JSON Schema of the arguments."""
        parameters = self.definition.get("function", {}).get("parameters")
        return parameters if isinstance(parameters, Mapping) else {}


def load_tools(paths: Sequence[str], commands: Sequence[str]) -> list[Tool]:
    """Read `--tools` files and directories and give each function the command `--exec` names for it.

    Raises UsageError, naming the file, for a duplicate or bad name, a schema that is none, a file that is not
    executable, a command that is not found, and where some functions have a command and some have none.
    """
    tools: dict[str, Tool] = {}
    others: list[Tool] = []
    for path in paths:
        for tool in _read_directory(path) if os.path.isdir(path) else _read_file(path):
            if not tool.name:
                others.append(tool)
            elif tool.name in tools:
                raise UsageError(f"{tool.source}: {tool.name} is defined twice, in {tools[tool.name].source} too")
            else:
                tools[tool.name] = tool
    for assignment in commands:
        name, command = _parse_exec(assignment)
        if name not in tools:
            raise UsageError(f"--exec {name}: no such function in --tools; there are {', '.join(tools) or 'none'}")
        if tools[name].command is not None:
            raise UsageError(f"--exec {name}: it has a command already, {' '.join(tools[name].command or ())}")
        tools[name] = Tool(tools[name].definition, tools[name].source, name, command)
    idle = [name for name, tool in tools.items() if tool.command is None]
    if idle and len(idle) < len(tools):
        raise UsageError(f"no command for {', '.join(idle)}; give --exec NAME=COMMAND for all functions or for none")
    check_schemas(
        [(_parameters_of(tool.source, tool.name), tool.parameters) for tool in tools.values() if tool.parameters]
    )
    return [*tools.values(), *others]


def _read_file(path: str) -> list[Tool]:
    try:
        with open(path, "rb") as file:
            value = load_json(file.read())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}; give tools in the guide's format") from None
    entries = value.get("tools", [value]) if isinstance(value, dict) else value
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{path} defines no tools; give an array of tools, an object with tools, or one function")
    return [_tool(entry, path) for entry in entries]


def _read_directory(path: str) -> list[Tool]:
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; check the path") from error
    tools = []
    for file in names:
        name, extension = os.path.splitext(file)
        if extension != ".json":
            continue
        source = os.path.join(path, file)
        candidates = [
            other for other in names if other != file and (other == name or os.path.splitext(other)[0] == name)
        ]
        runnable = [other for other in candidates if _is_executable(os.path.join(path, other))]
        if not runnable:
            found = f"{os.path.join(path, candidates[0])} is not executable" if candidates else "there is none"
            raise UsageError(f"{source} needs an executable {name} or {name}.* beside it: {found}")
        if len(runnable) > 1:
            raise UsageError(f"{source} has two executables, {' and '.join(runnable[:2])}; leave one")
        for tool in _read_file(source):
            if tool.name != name:
                raise UsageError(f"{source} defines {tool.name or 'no function'}; its name must be the file's, {name}")
            tools.append(Tool(tool.definition, source, name, (os.path.abspath(os.path.join(path, runnable[0])),)))
    if not tools:
        raise UsageError(f"{path} holds no NAME.json; put one beside each executable")
    return tools


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _tool(entry: object, source: str) -> Tool:
    """Check one definition; a bare function is put into the guide's frame."""
    if isinstance(entry, dict) and "function" not in entry and "name" in entry:
        entry = {"type": "function", "function": entry}
    if not isinstance(entry, dict):
        raise UsageError(f"{source}: a tool is an object with type and function")
    kind = entry.get("type", "function")
    if isinstance(kind, str) and kind != "function":
        return Tool(entry, source)
    function = entry.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"{source}: {name!r} is no function name; it has 1 to 64 letters, digits, _ or -")
    assert isinstance(function, dict)
    parameters = function.get("parameters")
    if parameters is not None:
        as_schema(parameters, _parameters_of(source, name))
    return Tool({"type": "function", **entry}, source, name)


def _parameters_of(source: str, name: str) -> str:
    return f"{source}: the parameters of {name}"


def _parse_exec(assignment: str) -> tuple[str, tuple[str, ...]]:
    name, equals, line = assignment.partition("=")
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"--exec {name}: {error}; quote the command as a shell would") from None
    if not equals or not words:
        raise UsageError(f"--exec {assignment!r} has no command; give NAME=COMMAND")
    if shutil.which(words[0]) is None:
        raise UsageError(f"--exec {name}: no command {words[0]}; check PATH or the file's mode")
    return name, tuple(words)


def check_arguments(tool: Tool, arguments: str) -> str | None:
    """Say what is wrong with a call's arguments; None when they are JSON that satisfies the tool's schema."""
    try:
        value = load_json(arguments)
    except ValueError as error:
        return f"the arguments are not JSON: {error}"
    if not isinstance(value, dict):
        return "the arguments are no JSON object"
    return first_fault(value, tool.parameters)


@dataclass(frozen=True)
class Outcome:
    """What came of one call: the text for the model, and how its command ended (None: it did not run)."""

    text: str
    fault: str | None
    status: str
    seconds: float
    errors: str = ""
    """What the command wrote on stderr."""


def failed(fault: str, status: str = "not run", seconds: float = 0.0, errors: str = "", printed: str = "") -> Outcome:
    """Make the outcome of a call that failed; the model is told why, so that it can mend the call.

    Told are the last words of its stderr, else of what it `printed`.
    """
    words = (errors if errors.strip() else printed)[-_ERROR_TAIL:].strip()
    detail = f"{fault}: {words}" if words else fault
    return Outcome(f"error: {detail}", fault, status, seconds, errors)


@dataclass
class Runner:
    """Runs commands at the same time, each in a process group of its own, and can end them all at once."""

    environment: Mapping[str, str]
    seconds: float
    """How long each may run; 0 is no limit."""
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: bool = False

    def run_all(self, jobs: Sequence[Callable[[], Outcome]]) -> list[Outcome]:
        """Run jobs in threads and give their outcomes in order; whatever ends the wait ends their processes too."""
        outcomes: list[Outcome | None] = [None] * len(jobs)

        def work(place: int) -> None:
            outcomes[place] = jobs[place]()

        threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(len(jobs))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            with held():
                self.end()
            raise
        return [outcome or failed("the command could not be run") for outcome in outcomes]

    def end(self) -> None:
        """Kill every process group that runs, and let none begin."""
        with self._lock:
            self._ended = True
            for process in self._running:
                _kill_group(process)

    def run(self, name: str, identity: str, command: Sequence[str], arguments: str) -> Outcome:
        """Run one command: `arguments` on its stdin, its stdout as the result; it and its children are gone at the end.

        A child that keeps the pipe open is not waited for once the command itself has ended.
        """
        began = time.monotonic()
        environment = {**self.environment, "ORCLI_TOOL_NAME": name, "ORCLI_TOOL_CALL_ID": identity}
        with self._lock:
            if self._ended:
                return failed("the run has ended")
            try:
                process, tie = _start(command, environment)
            except (OSError, ValueError) as error:
                return failed(f"the command could not be started: {error}")
            self._running.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        result = _Sink(process.stdout, lambda: _kill_group(process))
        errors = _Sink(process.stderr, lambda: None)
        feeder = threading.Thread(target=_feed, args=(process.stdin, arguments.encode("utf-8", "replace")), daemon=True)
        feeder.start()
        late = False
        try:
            process.wait(self.seconds or None)
        except subprocess.TimeoutExpired:
            late = True
        else:
            result.thread.join(_GRACE_SECONDS)
        _kill_group(process)
        process.wait()
        os.close(tie)
        result.drain()
        errors.drain()
        with self._lock:
            self._running.remove(process)
        return self._outcome(process.returncode, late, result, errors, time.monotonic() - began)

    def _outcome(self, code: int, late: bool, result: _Sink, errors: _Sink, seconds: float) -> Outcome:
        said = errors.text()
        if late:
            return failed(f"the tool did not end within {self.seconds:g} s", "timed out", seconds, said)
        if result.full:
            text = f"{result.text()}\n[cut: the tool printed more than {OUTPUT_LIMIT} bytes]"
            return Outcome(text, None, "output cut", seconds, said)
        if code < 0:
            name = signal_name(-code)
            return failed(f"the tool was killed by {name}", name, seconds, said)
        if code:
            return failed(f"the tool failed with exit status {code}", f"exit {code}", seconds, said, result.text())
        return Outcome(result.text(), None, "exit 0", seconds, said)


class _Sink:
    """Reads a pipe to its end in a thread, keeping the first `OUTPUT_LIMIT` bytes."""

    def __init__(self, pipe: IO[bytes], on_full: Callable[[], None]) -> None:
        self.full = False
        self._data = bytearray()
        self._on_full = on_full
        self.thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self.thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while block := os.read(pipe.fileno(), 1 << 16):
                room = OUTPUT_LIMIT - len(self._data)
                self._data += block[:room]
                if len(block) > room and not self.full:
                    self.full = True
                    self._on_full()

    def drain(self) -> None:
        """Wait for the end of the pipe for as long as data still comes; a child may hold it open for ever."""
        size = -1
        while self.thread.is_alive() and len(self._data) > size:
            size = len(self._data)
            self.thread.join(_GRACE_SECONDS)

    def text(self) -> str:
        """Give what was read as text; bytes that are not UTF-8 become U+FFFD, a character that was cut is left out."""
        return codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(self._data), final=not self.full)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command in a process group that the kernel kills when the descriptor given with it closes.

    It inherits the other end of a pipe.
    """
    inherited, tie = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            pass_fds=(inherited,),
        )
        kill_at_close(inherited, -process.pid)
    except BaseException:
        os.close(tie)
        raise
    finally:
        os.close(inherited)
    return process, tie


def _feed(pipe: IO[bytes], data: bytes) -> None:
    """Write a command's stdin; one that does not read it does no harm."""
    try:
        with pipe:
            pipe.write(data)
    except OSError:
        return


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def describe(name: str, arguments: str, outcome: Outcome) -> str:
    """Say in one line what a call did, for `-v`."""
    return (
        f"tool {name} {one_line(arguments, 200)}: {outcome.status}, {outcome.seconds:.2f} s, "
        f"{len(outcome.text.encode('utf-8', 'replace'))} bytes"
    )
