"""PROMPT, FILEs and standard input as the text of one user turn, byte for byte.

Reads like `grep PATTERN FILE...`: first the prompt, then the data. Nothing empty is ever sent.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable
from dataclasses import dataclass

from orcli.errors import UsageError
from orcli.media import kind_of

STDIN = 0
SILENT_SECONDS = 2.0
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Given:
    """What was given on the command line: `prompt` and `files` as they stand there, `-` for standard input."""

    prompt: str | None
    files: tuple[str, ...] = ()
    no_stdin: bool = False
    other_readers: int = 0
    """How many options, such as `--messages -`, read standard input too."""
    prompt_optional: bool = False
    """The conversation of `--messages` may stand without a PROMPT."""

    @property
    def explicit_stdin_only(self) -> bool:
        """Standard input is read only where a `-` says so."""
        return self.no_stdin or self.prompt_optional or self.other_readers > 0


@dataclass(frozen=True)
class Reader:
    """How standard input is read: what to do when it stays silent, begins and ends, and how to warn."""

    on_silence: Callable[[], None]
    on_begin: Callable[[], None]
    on_end: Callable[[], None]
    warn: Callable[[str], None]


def user_text(given: Given, reader: Reader) -> str | None:
    """Give the text of the user turn; None when there is neither PROMPT nor input and none is needed.

    Raises UsageError for every input that must not be sent: empty, missing, no text, not UTF-8, two readers of stdin.
    """
    if given.prompt is None:
        if given.prompt_optional:
            return None
        return _prompt_from_stdin(given, reader)
    if given.prompt == "-":
        prompt = _text(_read_explicit_stdin(reader), "standard input")
    else:
        prompt = argument_text(given.prompt, "PROMPT")
        _warn_of_file_as_prompt(given.prompt, reader.warn)
    if given.files:
        return _with_files(prompt, given, reader)
    if given.prompt == "-" or given.explicit_stdin_only or not _stdin_is_input():
        return prompt
    data = _read_stdin(reader)
    if _is_blank(data):
        reader.warn("standard input is empty, so the prompt is sent alone (-n says that this is meant)")
        return prompt
    return prompt + _gap(prompt) + _text(data, "standard input")


def argument_text(argument: str, name: str) -> str:
    """Give a command-line argument as the UTF-8 text that its bytes are; it must not be empty."""
    text = _decode(os.fsencode(argument), name)
    if not text.strip():
        raise UsageError(f"{name} is empty; give it text or leave it out")
    return text


def read_file(name: str, reader: Reader) -> bytes:
    """Read a file named on the command line, `-` being standard input; UsageError says why it cannot be read."""
    if name == "-":
        return _read_explicit_stdin(reader)
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise UsageError(f"cannot read {name!r}: {error}; check the path") from error


def read_text(name: str, reader: Reader) -> str:
    """Read a file as UTF-8 text that is not empty; UsageError says what it is instead."""
    return _text(read_file(name, reader), display_name(name))


def display_name(name: str) -> str:
    """Name a file for people and for the model: `-` is standard input."""
    return "standard input" if name == "-" else os.fsencode(name).decode("utf-8", "replace")


def check_stdin_readers(given: Given) -> None:
    """Raise UsageError where standard input would be read twice, or is read although it must not be."""
    readers = [name for name in (given.prompt, *given.files) if name == "-"]
    if len(readers) + given.other_readers > 1:
        raise UsageError("standard input can be read only once; give `-` in one place")
    if (readers or given.other_readers) and given.no_stdin:
        raise UsageError("-n and `-` contradict each other; leave one out")


def _prompt_from_stdin(given: Given, reader: Reader) -> str:
    if given.explicit_stdin_only:
        raise UsageError("no PROMPT, and standard input is not read for it; give a PROMPT as an argument")
    if os.isatty(STDIN):
        raise UsageError("no PROMPT, and standard input is a terminal; give a PROMPT or pipe one in")
    data = _read_stdin(reader)
    if _is_blank(data):
        raise UsageError("no PROMPT, and standard input is empty; give a PROMPT or pipe one in")
    return _text(data, "standard input")


def _with_files(prompt: str, given: Given, reader: Reader) -> str:
    _check_files_exist(given)
    parts = [prompt]
    for name in given.files:
        gap = _gap(parts[-1])
        header = f"==> {display_name(name)} <==\n" if len(given.files) > 1 else ""
        parts += [gap, header, _text(read_file(name, reader), display_name(name))]
    return "".join(parts)


def _is_blank(data: bytes) -> bool:
    return not data or data.isspace()


def _gap(before: str) -> str:
    """Give what makes a blank line after a text."""
    return "\n" if before.endswith("\n") else "\n\n"


def _check_files_exist(given: Given) -> None:
    if "" in given.files:
        raise UsageError("no such file: ''; check the path")
    missing = [name for name in given.files if name != "-" and not os.path.lexists(name)]
    if not missing:
        return
    names = ", ".join(display_name(name) for name in missing[:3])
    words = [given.prompt or "", *given.files]
    if len(missing) == len(given.files) and not any("/" in word or " " in word for word in words):
        sentence = " ".join(words)
        raise UsageError(f"no such file: {names}; if these words are one prompt, quote it: '{sentence}'")
    raise UsageError(f"no such file: {names}; check the path")


def _warn_of_file_as_prompt(prompt: str, warn: Callable[[str], None]) -> None:
    if len(prompt) < 4096 and os.path.isfile(prompt):
        warn(f"PROMPT is the name of a file, sent as it stands; to send what is in it: orcli ask 'question' {prompt}")


def _stdin_is_input() -> bool:
    mode = os.fstat(STDIN).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _read_explicit_stdin(reader: Reader) -> bytes:
    data = _read_stdin(reader)
    if _is_blank(data):
        raise UsageError("standard input is empty, so there is nothing to send; check the command before the pipe")
    return data


def _read_stdin(reader: Reader) -> bytes:
    """Read standard input to its end; `reader` is told when it stays silent, begins to flow and ends."""
    blocks: list[bytes] = []
    try:
        if not os.isatty(STDIN) and not select.select([STDIN], [], [], SILENT_SECONDS)[0]:
            reader.on_silence()
        while block := _read_block():
            if not blocks:
                reader.on_begin()
            blocks.append(block)
    except OSError as error:
        raise UsageError(f"cannot read standard input: {error.strerror}; use -n when none is meant") from error
    finally:
        reader.on_end()
    return b"".join(blocks)


def _read_block() -> bytes:
    while True:
        try:
            return os.read(STDIN, _BLOCK)
        except BlockingIOError:
            select.select([STDIN], [], [])


def _text(data: bytes, name: str) -> str:
    """Decode what goes to the model; UsageError when it is empty or no text, saying which command takes it."""
    if _is_blank(data):
        raise UsageError(f"{name} is empty, so there is nothing to send; leave it out or check what wrote it")
    kind = kind_of(data[:32])
    if kind is not None and kind.sendable and kind.mime == "application/pdf":
        raise UsageError(f"{name} is a {kind.name}; send it with: orcli vision")
    try:
        text = _decode(data, name)
    except UsageError:
        if kind is None:
            raise
        raise _wrong_kind(name, kind.name, kind.sendable) from None
    if "\0" in text:
        if kind is not None:
            raise _wrong_kind(name, kind.name, kind.sendable)
        raise UsageError(f"{name} is not text: NUL byte at offset {data.index(0)}; convert it to text first")
    return text


def _wrong_kind(name: str, kind: str, sendable: bool) -> UsageError:
    advice = "send it with: orcli vision" if sendable else "convert it to text first"
    article = "an" if kind[0] in "AEIOU" or kind.startswith("MP") else "a"
    return UsageError(f"{name} is {article} {kind}; {advice}")


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}; convert it with iconv"
        ) from None
