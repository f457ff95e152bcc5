"""The process's rim: its descriptors, its signals, its wall clock, and its way out.

Signals become exceptions derived from BaseException, so that no `except Exception` of a library swallows them, and
`main()` ends by the very signal, so that a shell loop stops on Ctrl-C.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TypeVar

from orcli.errors import ExitCode, OrcliError

T = TypeVar("T")

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_REPEAT_SECONDS = 0.25
_SOON = 1e-6
_ADVICE = "raise --timeout (ORCLI_TIMEOUT), 0 is none"


class Signalled(BaseException):
    """A signal asks the process to end; `number` is the signal it then dies of."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class DeadlinePassed(BaseException):
    """The wall clock of `--timeout` has run out; `advice` is what to do."""

    def __init__(self, advice: str = _ADVICE) -> None:
        super().__init__(advice)
        self.advice = advice


class Stalled(BaseException):
    """Nothing came for longer than `--idle-timeout`."""


def speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale has another encoding: words and names are UTF-8 here.

    Else `-p user=Zoë` would be sent as other letters, or be refused, and a message would name no file that there is.
    """
    if sys.getfilesystemencoding() != "utf-8" and "utf8" not in sys._xoptions:
        with suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def fill_descriptors() -> frozenset[int]:
    """Open `/dev/null` on those of descriptors 0, 1 and 2 that are closed, and say which they were.

    Without it the next file or socket would take the free number, and the answer would be written into it.
    """
    closed = set()
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            closed.add(descriptor)
    return frozenset(closed)


def allow_open_files(count: int) -> int:
    """Raise the limit of open files to `count`, where it is lower, as far as it may be raised, and give the limit."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return count
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def catch_signals() -> None:
    """Raise `Signalled` in the main thread on the signals that end a run, unless they were inherited as ignored.

    One that a destructor swallows is raised again; Python's report of the swallowing is nobody's business.
    """
    sys.unraisablehook = lambda unraisable: None
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise_signalled)
    # A parent that blocked it would take the deadline with it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM,))
    # The beat: without it a signal that came just before a call began to block would wait for that call.
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, _REPEAT_SECONDS, _REPEAT_SECONDS)


class _Again:
    """The alarm's handler once a signal came: a destructor may have swallowed it, so it raises it again."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.released = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.released:
            _raise_signalled(self.number, frame)


def _raise_signalled(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGALRM, _Again(number))
    signal.setitimer(signal.ITIMER_REAL, _REPEAT_SECONDS, _REPEAT_SECONDS)
    raise Signalled(number)


def release() -> None:
    """Stop raising: from here on a signal ends the process by its default action."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    handler = signal.getsignal(signal.SIGALRM)
    if isinstance(handler, _Again):
        handler.released = True
    else:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def held() -> Iterator[None]:
    """Hold signals back, in the main thread, while something runs that must not be left half done.

    A mask would not do: the kernel gives a signal that one thread blocks to another, and Python acts on it in the main
    thread all the same.
    """
    came: list[int] = []
    handlers: dict[int, Any] = {}
    try:
        for number in (*ENDING_SIGNALS, signal.SIGALRM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                handlers[number] = signal.signal(number, lambda which, frame: came.append(which))
        yield
    finally:
        for which, handler in handlers.items():
            signal.signal(which, handler)
        for which in sorted(came, key=lambda which: which == signal.SIGALRM):
            signal.raise_signal(which)


def end_by(number: int) -> NoReturn:
    """Die of a signal, so that the parent sees it; where that cannot be (process 1), exit with 128 + number."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def signal_name(number: int) -> str:
    """Give a signal's name, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def kill_at_close(descriptor: int, process: int) -> None:
    """Have the kernel kill a process, or the group of a negative number, when the other end of a pipe closes.

    So not even SIGKILL, after which no code of ours runs, leaves it behind (fcntl(2), F_SETSIG, which Linux alone has).
    """
    if sys.platform == "linux":
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, process)
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)


class Watch:
    """What ends a run while it waits: the deadline, a stream that stalls, a reader that is gone. One alarm serves all.

    Each is raised in the main thread, out of whatever call it blocks in, as `DeadlinePassed`, `Stalled` or `Signalled`
    by SIGPIPE. 0 seconds is no limit. The deadline can stand still while input flows.
    """

    def __init__(self, seconds: float, advice: str = _ADVICE) -> None:
        self.seconds = seconds
        self.advice = advice
        self._left = seconds
        self._ends: float | None = None
        self._idle_seconds = 0.0
        self._last_event = 0.0
        self._listening = False
        self._reader_gone = False

    def start(self) -> None:
        """Let the deadline's clock run, from the beginning or on from where it stood."""
        if not isinstance(signal.getsignal(signal.SIGALRM), _Again):
            signal.signal(signal.SIGALRM, self._on_alarm)
        if self.seconds and self._ends is None:
            self._ends = time.monotonic() + self._left
        self._arm()

    def pause(self) -> None:
        """Stop the deadline's clock, keeping what is left."""
        if self._ends is not None:
            self._left = max(self._ends - time.monotonic(), _SOON)
            self._ends = None
            self._arm()

    def remaining(self) -> float | None:
        """Seconds left until the deadline; None without one."""
        if not self.seconds:
            return None
        return self._left if self._ends is None else max(self._ends - time.monotonic(), 0.0)

    def expect_events(self, seconds: float) -> None:
        """From now on raise `Stalled` when more than `seconds` pass from `listen()` to `event()`; 0 ends that."""
        self.listen()
        self._idle_seconds = seconds
        self._arm()

    def event(self) -> None:
        """Note that something came; the time that it takes to be written is no silence."""
        self._listening = False

    def listen(self) -> None:
        """Wait for the next event."""
        self._last_event = time.monotonic()
        self._listening = True

    def expect_reader(self, descriptor: int) -> None:
        """From now on raise `Signalled` by SIGPIPE as soon as the reader of a pipe or socket is gone."""
        main = threading.get_ident()

        def tell() -> None:
            self._reader_gone = True
            signal.pthread_kill(main, signal.SIGALRM)

        when_reader_gone(descriptor, tell)

    def _arm(self) -> None:
        ends = [end for end in (self._ends, self._stalls_at()) if end is not None]
        wait = min(ends) - time.monotonic() if ends else _REPEAT_SECONDS
        # It beats on without an end in sight, as from the start: what a destructor swallowed is raised again.
        signal.setitimer(signal.ITIMER_REAL, wait if 0 < wait < _REPEAT_SECONDS else _REPEAT_SECONDS, _REPEAT_SECONDS)

    def _stalls_at(self) -> float | None:
        return self._last_event + self._idle_seconds if self._idle_seconds else None

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._listening:
            self._last_event = now
        stalls_at = self._stalls_at()
        if self._reader_gone:
            raise Signalled(signal.SIGPIPE)
        if self._ends is not None and now >= self._ends:
            raise DeadlinePassed(self.advice)
        if stalls_at is not None and now >= stalls_at:
            self._idle_seconds = 0.0
            self._arm()
            raise Stalled
        self._arm()


def when_reader_gone(descriptor: int, tell: Callable[[], None]) -> None:
    """Call `tell`, in a thread, as soon as the reader of a pipe or socket is gone; of anything else it is never."""
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)
        if poll.poll():
            tell()

    threading.Thread(target=watch, daemon=True).start()


def interruptible(function: Callable[[], T]) -> T:
    """Run a blocking call in a thread, so that a signal or the deadline gets through while it blocks in C.

    `getaddrinfo` is the case in point: it restarts after a signal and may block for half a minute.
    """
    result: list[T] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            result.append(function())
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            failure.append(error)
        finally:
            done.set()

    threading.Thread(target=work, daemon=True).start()
    done.wait()
    if failure:
        raise failure[0]
    return result[0]


def ending(error: BaseException) -> BaseException:
    """Give the signal or deadline that an exception only came of, as where it struck inside a lock or an import.

    It keeps the exception: what that holds, such as a coroutine that never began, would complain when it is let go.
    """
    handler = signal.getsignal(signal.SIGALRM)
    came: BaseException | None = Signalled(handler.number) if isinstance(handler, _Again) else None
    if came is None and not isinstance(error, (OrcliError, DeadlinePassed)):
        cause: BaseException | None = error
        for _ in range(16):
            cause = cause and cause.__context__
            if isinstance(cause, (Signalled, DeadlinePassed)):
                came = cause
                break
    if came is None or isinstance(error, Signalled):
        return error
    came.__cause__ = error
    return came


def exit_code_of(error: BaseException | None) -> int:
    """Give the exit code that an exception stands for, as a shell would see it."""
    if error is None:
        return ExitCode.OK
    if isinstance(error, OrcliError):
        return error.code
    if isinstance(error, Signalled):
        return 128 + error.number
    return ExitCode.DEADLINE if isinstance(error, DeadlinePassed) else ExitCode.FAILED


def leave(code: int) -> NoReturn:
    """End the process at once: by the signal that `code` stands for, else by exit."""
    if code in _SIGNAL_CODES:
        end_by(code - 128)
    os._exit(code)


_SIGNAL_CODES = frozenset(128 + number for number in (*ENDING_SIGNALS, signal.SIGPIPE))
