"""A day of cron, `python -m tests.cron [RUNS]`: 1,440 runs, one kind after the other, and what they left behind.

Some fail, some are late, some lose their reader, and some are ended by a signal at any moment.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import samples
from tests.command import Orcli, command_under_test, processes_left
from tests.openrouter import OpenRouter, Pause, Reply, Request, completion, error, stream, text_stream, tool_call

RUNS = 24 * 60
SECONDS = 0.5
"""A signal comes within so many seconds of the start, before which most runs have not ended."""

TOOL = ("tool", "-n", "--tools", "tools.json", "--exec")
ANSWERED, FAILED, UNAVAILABLE, LATE = 0, 2, 4, 124


@dataclass(frozen=True)
class Job:
    """A run, how it may end, and what ends it: a signal at some moment, or a reader that leaves."""

    arguments: Sequence[str]
    code: int = ANSWERED
    signal: int | None = None
    leaves: bool = False


JOBS = (
    Job(("ask", "-n", "--log", "log", "hi")),
    Job(("stream", "-n", "-c", "talk-{run}", "hi")),
    Job((*TOOL, "f=cat", "call")),
    Job(("vision", "hi", "a.png")),
    Job(("batch", "-o", "out-{run}", "in")),
    Job(("models",)),
    Job(("ask", "-n", "--retries", "0", "fail"), UNAVAILABLE),
    Job(("ask", "--no-such-option"), FAILED),
    Job(("ask", "-n", "--timeout", "0.3", "hang"), LATE),
    Job((*TOOL, "f=sh -c 'sleep 600 & sleep 600'", "--tool-timeout", "0.3", "call")),
    Job((*TOOL, "f=sh -c 'sleep 600 & sleep 600'", "--timeout", "0.8", "call"), LATE),
    Job(("stream", "-n", "endless"), -signal.SIGPIPE, leaves=True),
    Job(("ask", "-n", "hang"), signal=signal.SIGTERM),
    Job(("stream", "-n", "-c", "cut-{run}", "endless"), signal=signal.SIGHUP),
    Job((*TOOL, "f=sleep 600", "call"), signal=signal.SIGTERM),
    Job(("vision", "-n", "--save", "images", "hang"), signal=signal.SIGHUP),
    Job(("batch", "-o", "killed", "in"), signal=signal.SIGTERM),
    Job(("models",), signal=signal.SIGTERM),
    Job(("ask", "-n", "hang"), signal=signal.SIGKILL),
    Job((*TOOL, "f=sh -c 'sleep 600 & sleep 600'", "call"), signal=signal.SIGKILL),
    Job(("batch", "-o", "killed", "in"), signal=signal.SIGKILL),
    Job(("models",), signal=signal.SIGKILL),
)


@dataclass(frozen=True)
class Day:
    """How many runs ended in which way, in how many seconds, which of them wrongly, and what was left behind."""

    ends: Counter[int]
    seconds: float
    wrong: Sequence[str]
    left: Sequence[str]


def main() -> None:
    """Print the day's figures, and fail where something went wrong or was left behind."""
    with TemporaryDirectory() as directory:
        day = spend(Path(directory), int(sys.argv[1]) if sys.argv[1:] else RUNS)
    ends = ", ".join(f"{count} × {code}" for code, count in sorted(day.ends.items()))
    print(f"{day.ends.total()} runs in {day.seconds:.0f} s; exit codes, negative for signals: {ends}")
    for title, lines in (("wrong", day.wrong), ("left behind", day.left)):
        print(f"{title}: {len(lines) or 'nothing'}", *lines, sep="\n  ")
    sys.exit(bool(day.wrong or day.left))


def spend(directory: Path, runs: int) -> Day:
    """Let so many runs go by, as many at once as there are processors."""
    moments = random.Random(runs)
    began = time.monotonic()
    with machine(directory) as orcli, ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [JOBS[number % len(JOBS)] for number in range(runs)]
        told = pool.map(run, [orcli] * runs, range(runs), jobs, [moments.uniform(0, SECONDS) for _ in jobs])
        ends = [(job, code, account) for job, (code, account) in zip(jobs, told, strict=True)]
        left = [f"process {number}" for number in processes_left(str(directory))]
        left += unexpected(directory, runs)
    return Day(
        Counter(code for _, code, _ in ends),
        time.monotonic() - began,
        [account for job, code, account in ends if code not in expected(job)],
        left,
    )


def expected(job: Job) -> tuple[int, ...]:
    """Give the codes that a job may end with; a signal may come too late for it."""
    return (job.code,) if job.signal is None else (job.code, -job.signal)


@contextmanager
def machine(directory: Path) -> Iterator[Orcli]:
    """Give orcli with a home, a directory for temporary files and what the jobs read."""
    with OpenRouter() as server, Orcli(command_under_test(), directory, server.base_url) as orcli:
        server.default = answer
        (directory / "tmp").mkdir()
        orcli.env.update(TMPDIR=str(directory / "tmp"), ORCLI_TEST_MARKER=str(directory))
        orcli.file("tools.json", json.dumps([{"type": "function", "function": {"name": "f", "parameters": {}}}]))
        orcli.file("a.png", samples.PNG)
        orcli.file("in", '"hi"\n' * 20)
        yield orcli


def answer(request: Request) -> Reply:
    """Answer as the prompt says."""
    body = request.json
    last = body["messages"][-1]
    prompt = last["content"] if isinstance(last["content"], str) else last["content"][0]["text"]
    if prompt == "fail":
        return error(503)
    if prompt == "hang":
        return completion().with_(delay=Pause())
    if prompt == "endless":
        return stream(*text_stream(*["Hello. "] * 1000)).with_(bytes_per_write=100, pause=Pause(seconds=0.01))
    if prompt == "call":
        calls = {"tool_calls": [tool_call("call_1", "f", "{}")]}
        return completion(None, finish_reason="tool_calls", message=calls)
    return stream(*text_stream("Hello.")) if body.get("stream") else completion()


def run(orcli: Orcli, number: int, job: Job, moment: float) -> tuple[int, str]:
    """Run a job, and give its exit code and an account of it."""
    process = orcli.start(*(word.format(run=number) for word in job.arguments))
    try:
        if job.leaves:
            process.read_stdout(n=1)
            process.close_stdout()
        if job.signal is not None:
            # Not a wait for something: the moment itself is what is tried.
            process.wait_exit(moment)
            process.send_signal(job.signal)
        result = process.finish()
    except AssertionError as fault:
        return 1, str(fault)
    return result.code, str(result)


def unexpected(directory: Path, runs: int) -> list[str]:
    """Give what nobody named, in the home, among temporary files and where orcli ran."""
    named = {"tmp", "work", "home", "home/.cache", "home/.cache/orcli", "home/.cache/orcli/models"}
    named |= {f"work/{name}" for name in ("tools.json", "a.png", "in", "log", "killed", "images")}
    named |= {f"work/{name}-{number}" for name in ("talk", "out", "cut") for number in range(runs)}
    return sorted({str(path.relative_to(directory)) for path in directory.rglob("*")} - named)


if __name__ == "__main__":
    main()
