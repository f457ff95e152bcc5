"""Runs by the hundred: each a fork of one process that has imported orcli, so that it costs milliseconds.

Such a run is a process with descriptors, signals and an exit code of its own; only its imports came before.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.command import Argument, Changes, Orcli, Result

_SERVER: Final = Path(__file__).with_name("fork_server.py")


class Forks:
    """Runs of the same script as `orcli`, in its environment and directory."""

    def __init__(self, orcli: Orcli) -> None:
        self._orcli = orcli
        interpreter = orcli.command.read_text().partition("\n")[0].removeprefix("#!")
        self._server = subprocess.Popen(
            [interpreter, "-I", _SERVER],
            env=orcli.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=orcli.work,
        )

    def __enter__(self) -> Forks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.communicate()

    def __call__(
        self, *arguments: Argument, stdin: bytes = b"", env: Changes | None = None, timeout: float = 20
    ) -> Result:
        """Run orcli to its end; AssertionError when that takes too long."""
        work = self._orcli.work
        files = [work / name for name in (".stdin", ".stdout", ".stderr")]
        files[0].write_bytes(stdin)
        environment = {**self._orcli.env, **(env or {})}
        run = {
            "arguments": [os.fsdecode(argument) for argument in arguments],
            "env": {name: value for name, value in environment.items() if value is not None},
            "cwd": str(work),
            "files": list(map(str, files)),
        }
        started = time.monotonic()
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(run).encode() + b"\n")
        number = self._read_line(60)
        try:
            code = self._read_line(timeout)
        except TimeoutError:
            os.kill(number, signal.SIGKILL)
            self._read_line(5)
            raise AssertionError(f"still running after {timeout} s: {arguments}") from None
        stdout, stderr = (file.read_bytes() for file in files[1:])
        return Result(arguments, code, time.monotonic() - started, stdout, stderr, b"")

    def _read_line(self, timeout: float) -> int:
        assert self._server.stdout is not None
        if not select.select([self._server.stdout], [], [], timeout)[0]:
            raise TimeoutError
        line = b""
        while not line.endswith(b"\n"):
            line += self._server.stdout.read(1) or b"\n"
        return int(line)
