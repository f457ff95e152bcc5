"""Work that takes nobody knows how long or how much memory, done by a process that the kernel bounds.

Native code, such as a validator's, lets neither a signal nor the deadline through and aborts where memory is short. A
fork of this process does it in place of this process, which waits for what it says and can be interrupted.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import warnings
from collections.abc import Callable, Set
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from orcli.process import ENDING_SIGNALS, held, kill_at_close, signal_name

SECONDS = 5
"""Of processor time."""
MEBIBYTES = 256
"""Of memory, beside what this process has."""
BOUNDS = f"{SECONDS} s of processor time or {MEBIBYTES} MiB of memory"

Say = Callable[[str], None]
Work = Callable[[Say], None]
"""Says what comes of it, each text at once."""
_BLOCK = 1 << 16
_NO_MEMORY = 3
_BEYOND = (_NO_MEMORY, -signal.SIGXCPU, -signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV)
"""How a process ends that goes beyond the bounds; native code aborts without memory, and faults without a stack."""


@dataclass(frozen=True)
class Outcome:
    """What work said, and whether it came to its end; else it would have gone beyond the bounds."""

    said: list[str]
    ended: bool


def contained(work: Work) -> Outcome:
    """Do work in a process of its own and wait for it; what ends the wait ends the process too.

    Raises OSError where there are no means, as `os.fork` does, and RuntimeError where the work raises anything else.
    """
    with held():
        child = _Child(work)
    try:
        while child.read():
            pass
    except BaseException:
        with held():
            child.kill()
        raise
    with held():
        return child.outcome()


async def contained_async(work: Work) -> Outcome:
    """Do work as `contained` does, while the event loop, which must be what takes the signals, goes on."""
    import asyncio

    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()
    child = _Child(work)

    def on_ready() -> None:
        if not child.read() and not finished.done():
            finished.set_result(None)

    loop.add_reader(child.pipe, on_ready)
    try:
        await finished
    except BaseException:
        loop.remove_reader(child.pipe)
        child.kill()
        raise
    loop.remove_reader(child.pipe)
    return child.outcome()


class _Child:
    """A fork that works, and the pipe through which it speaks: a line of JSON for each text, null at its end."""

    def __init__(self, work: Work) -> None:
        self._data = bytearray()
        with ExitStack() as here, ExitStack() as failed:
            self.pipe, inner = _pipe(failed, here)
            tied, self._tie = _pipe(here, failed)
            with warnings.catch_warnings():
                # Python 3.12 and later warn of threads, whose locks the child could wait for: it takes none of theirs.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._identity = os.fork()
            if self._identity == 0:
                os.close(self.pipe)
                os.close(self._tie)
                _work_and_exit(work, inner, tied)
            failed.pop_all()

    def read(self) -> bool:
        """Take in what the child said next; False at the end."""
        block = os.read(self.pipe, _BLOCK)
        self._data += block
        return bool(block)

    def kill(self) -> None:
        """Let nothing be left of the child, whatever it is at."""
        with suppress(ProcessLookupError):
            os.kill(self._identity, signal.SIGKILL)
        self._forget()

    def outcome(self) -> Outcome:
        """Give what came of it, once there is no more to read; raises what `contained` does."""
        code = self._forget()
        said = [json.loads(line) for line in self._data.split(b"\n")[:-1]]
        if said and isinstance(said[-1], dict):
            number, words = said[-1]["errno"], said[-1]["failure"]
            raise RuntimeError(words) if number is None else OSError(number, os.strerror(number))
        if said and said[-1] is None:
            return Outcome(said[:-1], True)
        if code not in _BEYOND:
            raise RuntimeError(f"a check ended with {signal_name(-code) if code < 0 else code}")
        return Outcome(said, False)

    def _forget(self) -> int:
        """Let go of the child and give its exit code, negative where a signal ended it."""
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self._identity, 0)[1])
        except ChildProcessError:
            # SIGCHLD was inherited as ignored.
            return -signal.SIGKILL
        finally:
            os.close(self.pipe)
            os.close(self._tie)


def _pipe(reads: ExitStack, writes: ExitStack) -> tuple[int, int]:
    """Open a pipe, its ends to be closed with the one stack and with the other."""
    ends = os.pipe()
    reads.callback(os.close, ends[0])
    writes.callback(os.close, ends[1])
    return ends


def _work_and_exit(work: Work, pipe: int, tied: int) -> NoReturn:
    """Do the work in the child, which ends with the parent, and has two pipes and no more of what the parent has."""
    code = 0
    try:
        with open(pipe, "wb", closefd=False) as stream:
            try:
                _let_go({pipe, tied})
                kill_at_close(tied, os.getpid())
                _bound()
                work(lambda text: _write(stream, text))
                _write(stream, None)
            except MemoryError:
                code = _NO_MEMORY
            except BaseException as error:  # noqa: BLE001  it is the parent that reports it
                number = error.errno if isinstance(error, OSError) else None
                _write(stream, {"failure": f"{type(error).__name__}: {error}", "errno": number})
    finally:
        os._exit(code)


def _write(stream: BinaryIO, value: object) -> None:
    stream.write(json.dumps(value).encode() + b"\n")
    stream.flush()


def _let_go(kept: Set[int]) -> None:
    """Share nothing with the parent: what it has open would stay so, and a signal to it is no business of the child."""
    signal.set_wakeup_fd(-1)
    for number in (*ENDING_SIGNALS, signal.SIGALRM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    gc.disable()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    with suppress(OSError):
        for name in os.listdir("/dev/fd"):
            if int(name) > 2 and int(name) not in kept:
                with suppress(OSError):
                    os.close(int(name))


def _bound() -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGXCPU,))
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, SECONDS)
    # Where there is no /proc, the processor time alone is a bound.
    with suppress(OSError), open("/proc/self/statm", "rb") as file:
        _lower(resource.RLIMIT_AS, int(file.read().split()[0]) * resource.getpagesize() + (MEBIBYTES << 20))


def _lower(which: int, limit: int) -> None:
    soft, hard = resource.getrlimit(which)
    if soft == resource.RLIM_INFINITY or soft > limit:
        with suppress(OSError, ValueError):
            resource.setrlimit(which, (limit, hard))
