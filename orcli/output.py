"""The only writer of stdout and stderr: whole writes or an error of ours, never a traceback or a lost byte."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
from typing import Any

from orcli.errors import Failed, one_line
from orcli.process import Signalled
from orcli.text import compact_json, encode, visible

STDOUT = 1
STDERR = 2


def check_stdout(closed: frozenset[int]) -> None:
    """Fail before anything is sent when the answer could not be written: stdout closed, or open for reading only."""
    if STDOUT in closed or fcntl.fcntl(STDOUT, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise Failed("stdout is closed, so an answer would be lost; nothing was sent")


def write(data: bytes) -> None:
    """Write all of `data` to stdout: a reader that is gone is `Signalled` by SIGPIPE, other trouble is `Failed`."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(STDOUT, view) :]
        except BlockingIOError:
            select.select([], [STDOUT], [])
        except OSError as error:
            raise _writing_failed(error) from error


def writable() -> bool:
    """Tell whether a short write to stdout would go through at once; a reader that does not read holds it up."""
    return bool(select.select([], [STDOUT], [], 0)[1])


def write_text(text: str, *, newline: bool = True) -> None:
    """Write an answer's text: to a terminal with control characters made visible, elsewhere as it came.

    A half of a surrogate pair, which JSON can carry and UTF-8 cannot, becomes U+FFFD.
    """
    if newline and not text.endswith("\n"):
        text += "\n"
    if os.isatty(STDOUT):
        text = visible(text)
    write(encode(text))


def write_line(name: str) -> None:
    """Write a file's name, as the bytes it is, or an address on a line of its own."""
    try:
        data = os.fsencode(name)
    except UnicodeEncodeError:
        data = encode(name)
    write((encode(visible(name)) if os.isatty(STDOUT) else data) + b"\n")


class TextStream:
    """Writes an answer's text piece by piece, each in one write, to a terminal with control characters made visible.

    A surrogate pair that two pieces share is joined.
    """

    def __init__(self) -> None:
        self._terminal = os.isatty(STDOUT)
        self._half = ""
        self._last = ""

    def write(self, text: str) -> None:
        """Write a piece at once."""
        if self._half or "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = self._half + text, ""
            if "\ud800" <= text[-1] <= "\udbff":
                text, self._half = text[:-1], text[-1]
        if text:
            self._last = text
            write(encode(visible(text) if self._terminal else text))

    def end(self) -> None:
        """Write what was held back, and the final newline if the text lacks one; nothing when there was no text."""
        rest = self._half and "\ufffd"
        if rest or (self._last and not self._last.endswith("\n")):
            write(encode(rest + "\n"))
        self._half = self._last = ""


def write_json(value: Any) -> None:
    """Write one JSON value on one line."""
    write_json_line(encode(compact_json(value)) + b"\n")


def write_json_line(line: bytes) -> None:
    """Write a line of JSON as it came, to a terminal with control characters as the escapes that JSON has for them."""
    write(encode(visible(line.decode("utf-8", "replace"))) if os.isatty(STDOUT) else line)


def finish() -> None:
    """Close stdout, where a full disk or a quota may show up last, and keep its number taken."""
    try:
        os.close(STDOUT)
    except OSError as error:
        raise _writing_failed(error) from error
    finally:
        os.open(os.devnull, os.O_WRONLY)


def _writing_failed(error: OSError) -> BaseException:
    if error.errno == errno.EPIPE:
        return Signalled(signal.SIGPIPE)
    return Failed(f"cannot write the answer to stdout: {error.strerror}; the answer is not complete there")


def report(message: str) -> None:
    """Write one line on stderr; that it cannot be written there is no failure."""
    write_stderr(encode(f"orcli: {one_line(message)}\n"))


def write_stderr(data: bytes) -> None:
    """Write bytes on stderr in one piece where the kernel lets it."""
    try:
        os.write(STDERR, data)
    except OSError:
        return
