"""One command run and weighed by the kernel: wall time, processor time, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO


@dataclass(frozen=True)
class Weight:
    """What one run took: seconds of wall and processor time, and MiB of memory at its peak.

    The kernel counts what a process held before it became the command, so the peak is never below that of this one.
    """

    wall: float
    processor: float
    memory: float


Run = Callable[[], Weight]
"""A command that is ready to be run and weighed."""


def weigh(command: Sequence[str], environment: Mapping[str, str], directory: str, code: int = 0) -> Weight:
    """Run a command with its output thrown away; RuntimeError when it ends with another code."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return Weight(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


WEIGH = """
import os, sys
child = os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs a command from a small process, since the kernel counts what a process held before it became the command."""


def weigh_apart(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, stdin: IO[bytes] | None = None
) -> Weight:
    """Run a command as `weigh` does, from a process so small that the peak is the command's own."""
    began = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WEIGH, *command],
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        cwd=directory,
        check=True,
    )
    processor, memory = map(float, run.stdout.split())
    return Weight(time.perf_counter() - began, processor, memory)


def interleaved(runs: Mapping[str, Run], times: int) -> dict[str, Weight]:
    """Weigh each run so many times, taking turns so that a drift of the machine meets all, and give the medians."""
    weights: dict[str, list[Weight]] = {name: [] for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            weights[name].append(run())
    return {
        name: Weight(
            median(weight.wall for weight in several),
            median(weight.processor for weight in several),
            median(weight.memory for weight in several),
        )
        for name, several in weights.items()
    }
