"""A crowd, `python -m tests.crowd [PROCESSES]`: 200 processes that all wait for their answers at the same time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.command import Orcli, command_under_test, processes_with
from tests.openrouter import OpenRouter, Pause, Reply, Request, completion

PROCESSES = 200


@dataclass(frozen=True)
class Crowd:
    """How many seconds a crowd took, how much memory it held while all waited, and whose answers were wrong."""

    seconds: float
    memory: float
    """In MiB, what processes share counted once."""
    wrong: Sequence[int]
    stderr: str


def main() -> None:
    """Print the crowd's figures, and fail where an answer was wrong."""
    size = int(sys.argv[1]) if sys.argv[1:] else PROCESSES
    with TemporaryDirectory() as directory:
        crowd = gather(Path(directory), size)
    each = crowd.memory / size
    print(f"{size} processes at once: {crowd.seconds:.1f} s, {crowd.memory:.0f} MiB, {each:.1f} MiB each")
    print(f"wrong: {len(crowd.wrong) or 'nothing'}", crowd.stderr, sep="\n")
    sys.exit(bool(crowd.wrong or crowd.stderr))


def gather(directory: Path, size: int) -> Crowd:
    """Let so many processes ask at once, and answer none before all have asked."""
    everyone = threading.Event()
    held: list[float] = []

    def together(request: Request) -> Reply:
        if request in server.requests[size - 1 :]:
            held.append(memory(str(directory)))
            everyone.set()
        return completion(f"{request.json['messages'][-1]['content']}!").with_(delay=Pause(everyone))

    with OpenRouter() as server, Orcli(command_under_test(), directory, server.base_url) as orcli:
        server.default = together
        orcli.env["ORCLI_TEST_MARKER"] = str(directory)
        began = time.monotonic()
        script = f"seq {size} | xargs -P {size} -I% sh -c 'orcli ask -n % > %.out; echo $? > %.code'"
        result = orcli.shell(script, timeout=600)
        seconds = time.monotonic() - began
        wrong = [number for number in range(1, size + 1) if told(orcli.work, number) != ("0\n", f"{number}!\n")]
    return Crowd(seconds, sum(held), wrong, result.stderr)


def told(directory: Path, number: int) -> tuple[str, str]:
    """Give the exit code and the answer that a process wrote."""
    return (directory / f"{number}.code").read_text(), (directory / f"{number}.out").read_text()


def memory(marker: str) -> float:
    """Give the MiB that the processes of a crowd hold, what several share counted in shares."""
    rollups = (Path(f"/proc/{number}/smaps_rollup").read_text() for number in processes_with(marker))
    return sum(int(rollup.partition("Pss:")[2].split()[0]) for rollup in rollups) / 1024


if __name__ == "__main__":
    main()
