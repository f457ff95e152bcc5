"""What a person is told on stderr beside the answer, and what `--log` keeps of a request."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from orcli import output
from orcli.answer import Completion
from orcli.errors import OrcliError, UsageError, one_line, without
from orcli.text import encode, visible

_PATIENCE_SECONDS = 1.0
_ERASE = "\r\x1b[K"


@dataclass(frozen=True)
class Report:
    """Says on stderr what `-v` and `-q` let it say."""

    verbose: bool = False
    quiet: bool = False
    secret: str = field(default="", repr=False)
    """The key, which is taken out of every line."""

    def warn(self, message: str) -> None:
        """Warn in one line, unless quiet."""
        if not self.quiet:
            self._line(f"warning: {message}")

    def say(self, message: str) -> None:
        """Say something in one line, unless quiet."""
        if not self.quiet:
            self._line(message)

    def detail(self, message: str) -> None:
        """Say something in one line when verbose."""
        if self.verbose:
            self._line(message)

    def _line(self, message: str) -> None:
        output.report(message.replace(self.secret, "[redacted]") if self.secret else message)

    def hide(self, error: BaseException | None) -> None:
        """Take the key out of a failure: out of all that is printed of ours, out of the words of any other."""
        if self.secret and isinstance(error, OrcliError):
            error.hide(self.secret)
        elif self.secret and error is not None:
            error.args = tuple(without(word, self.secret) if isinstance(word, str) else word for word in error.args)

    def detail_lines(self, prefix: str, text: str) -> None:
        """Say each line of a text when verbose."""
        for line in text.splitlines() if self.verbose else ():
            self.detail(prefix + line)

    def retrying(self, error: OrcliError, wait: float) -> None:
        """Say, when verbose, why the request is made again and when."""
        self.detail(f"retrying in {wait:.1f} s: {error.message.rpartition('; ')[0]}")


class Lines:
    """Says a text that comes in pieces line by line, when verbose."""

    def __init__(self, report: Report, prefix: str) -> None:
        self._report = report
        self._prefix = prefix
        self._unfinished = ""

    def add(self, piece: str) -> None:
        """Take a piece in and say the lines that it completes."""
        if self._report.verbose:
            whole, newline, rest = (self._unfinished + piece).rpartition("\n")
            self._unfinished = rest
            if newline:
                self._report.detail_lines(self._prefix, whole)

    def end(self) -> None:
        """Say what is left."""
        self._report.detail_lines(self._prefix, self._unfinished)
        self._unfinished = ""


def shows_progress() -> bool:
    """Tell whether stderr is a terminal on which a line can be erased."""
    return os.isatty(output.STDERR) and os.environ.get("TERM", "dumb") != "dumb"


class Waiting:
    """Shows a person at a terminal who waits over a second the model and the seconds, and erases it at the end."""

    def __init__(self, report: Report) -> None:
        self._wanted = shows_progress() and not report.quiet
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, model: str) -> None:
        """Begin to wait for a model."""
        if self._wanted and self._thread is None:
            self._done.clear()
            self._thread = threading.Thread(target=self._show, args=(one_line(model, 60),), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the wait, with nothing left on the line."""
        if self._thread is not None:
            self._done.set()
            self._thread.join()
            self._thread = None

    def _show(self, model: str) -> None:
        began = time.monotonic()
        shown = False
        while not self._done.wait(_PATIENCE_SECONDS):
            shown = True
            seconds = time.monotonic() - began
            output.write_stderr(encode(f"{_ERASE}orcli: waiting for {model}, {seconds:.0f} s"))
        if shown:
            output.write_stderr(_ERASE.encode())


def added(before: Mapping[str, float], spent: Mapping[str, float]) -> dict[str, float]:
    """Add a request's tokens and cost to those of the requests before it, as far as it tells them."""
    return {**before, **{name: before.get(name, 0) + amount for name, amount in spent.items()}}


def summary(
    completion: Completion, model: str, spent: Mapping[str, float], seconds: float, first: float | None = None
) -> str:
    """Say in one line what answered (`model` if it does not say), what the run took and what it cost in USD.

    `first` is the time to the first token; both times are in seconds.
    """
    parts = [str(completion.object.get("model") or model)]
    if provider := completion.object.get("provider"):
        parts[0] += f" by {provider}"
    tokens = spent.get("completion_tokens")
    parts += amounts(spent)
    if first is not None:
        parts.append(f"first token {first:.2f} s")
        if tokens and seconds > first:
            parts.append(f"{tokens / (seconds - first):.0f} tokens/s")
    parts.append(f"total {seconds:.2f} s")
    return ", ".join(parts)


def amounts(spent: Mapping[str, float]) -> list[str]:
    """Say how many tokens were sent and came, and what they cost in USD, as far as it is known."""
    parts = []
    tokens = spent.get("completion_tokens")
    if tokens is not None or "prompt_tokens" in spent:
        parts.append(f"{spent.get('prompt_tokens', '?')} + {'?' if tokens is None else tokens} tokens")
    if "cost" in spent:
        parts.append(f"${spent['cost']:.8f}".rstrip("0").rstrip("."))
    return parts


def uncounted(report: Report, limit: float | None) -> Callable[[Completion], None]:
    """Give what warns of the first answer that says no cost, where there is a limit of it that does not count that."""
    told = limit is None

    def look(completion: Completion) -> None:
        nonlocal told
        if not told and "cost" not in completion.spent:
            told = True
            report.warn("an answer says no cost, so --max-cost does not count it")

    return look


@dataclass(frozen=True)
class Log:
    """A file that gets one JSON line a request: never a prompt, an answer or the key."""

    name: str
    descriptor: int
    secret: str = field(repr=False)
    """The key, which is taken out of what the server says of itself."""

    def check_apart(self, name: str, role: str, status: os.stat_result) -> None:
        """Raise UsageError where a file in another role, told by its status, is the log: each would spoil the other."""
        own = os.fstat(self.descriptor)
        if stat.S_ISREG(own.st_mode) and os.path.samestat(own, status):
            raise UsageError(f"{name} is both {role} and log; give each a file of its own")

    def append(
        self, command: str, model: str, completion: Completion | None, seconds: float, exit_code: int
    ) -> str | None:
        """Append a request's line; give what went wrong when it cannot be written."""
        answer: Mapping[str, Any] = completion.object if completion else {}
        record = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "command": command,
            "model": answer.get("model") or model,
            "provider": answer.get("provider"),
            "id": answer.get("id"),
            "finish_reason": completion.finish_reason if completion else None,
            "usage": answer.get("usage"),
            "milliseconds": round(seconds * 1000),
            "exit_code": exit_code,
        }
        line = json.dumps(record, ensure_ascii=False)
        if self.secret:
            line = without(line, self.secret)
        if os.isatty(self.descriptor):
            line = visible(line)
        try:
            # One write at the end is whole without a lock (write(2), O_APPEND); for one it might wait for ever.
            os.write(self.descriptor, encode(line + "\n"))
        except OSError as error:
            return f"cannot write the log {self.name}: {error.strerror}"
        return None


def open_log(name: str, secret: str) -> Log:
    """Open a log for appending, made with mode 0600 where it is not there yet."""
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise UsageError(f"cannot open the log {name}: {error.strerror}; check --log or ORCLI_LOG") from error
    return Log(name, descriptor, secret)
