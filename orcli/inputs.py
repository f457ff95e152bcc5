"""PROMPT, FILEs and standard input as the content of one user turn, byte for byte.

Reads like `grep PATTERN FILE...`: first the prompt, then the data. Nothing empty is ever sent.
"""

from __future__ import annotations

import os
import select
import shlex
import stat
from binascii import b2a_base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO

from orcli.allocator import give_back_large_blocks
from orcli.errors import UsageError
from orcli.media import (
    MOST_BYTES,
    Kind,
    Part,
    is_url,
    kind_of,
    media_kind,
    media_part,
    size_warning,
    text_part,
    url_part,
)

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
    prompt = _prompt(given.prompt, reader)
    if _is_file_name(given.prompt):
        reader.warn(
            "PROMPT is the name of a file, sent as it stands; "
            f"to send what is in it: orcli ask 'question' {given.prompt}"
        )
    if given.files:
        return _with_files(prompt, given, reader)
    if given.prompt == "-" or given.explicit_stdin_only or not _stdin_is_input():
        return prompt
    data = _read_stdin(reader)
    if _is_blank(data):
        reader.warn("standard input is empty, so the prompt is sent alone (-n says that this is meant)")
        return prompt
    whole = f"{prompt}{gap_after(prompt)}".encode() + _checked(data, "standard input")
    del data
    return whole.decode("utf-8")


def user_parts(
    given: Given, reader: Reader, *, detail: str | None = None, image_optional: bool = False
) -> str | list[Part] | None:
    """Give the content of the user turn of `vision`: the prompt, then each IMAGE in order; without any, the text alone.

    Raises UsageError as `user_text` does, and for what no model takes; warns of images that some refuse.
    """
    if given.prompt is None:
        if given.prompt_optional:
            return None
        raise UsageError("no PROMPT; give one, and then the image: orcli vision 'question' photo.png")
    if _is_file_name(given.prompt):
        raise UsageError(
            "PROMPT is the name of a file; put the question before it: "
            f"orcli vision 'question' {_shell_word(given.prompt)}"
        )
    names = given.files
    if not names and not (image_optional or given.prompt_optional):
        _check_image_on_stdin(given)
        names = ("-",)
    _check_files_exist(replace(given, files=tuple(name for name in names if not is_url(name))))
    prompt = _prompt(given.prompt, reader)
    if not names:
        return prompt
    return [text_part(prompt), *(_part(name, reader, detail) for name in names)]


def _check_image_on_stdin(given: Given) -> None:
    if given.prompt == "-" or given.explicit_stdin_only:
        raise UsageError("no IMAGE, and standard input is not read for it; give one, or ask without: orcli ask")
    if not _stdin_is_input():
        what = "a terminal" if os.isatty(STDIN) else "no pipe or file"
        raise UsageError(f"no IMAGE, and standard input is {what}; give a path or URL, or pipe an image in")


def _part(name: str, reader: Reader, detail: str | None) -> Part:
    """Give the content part of an IMAGE argument, of which no more is read than can be sent."""
    if is_url(name):
        return url_part(argument_text(name, "IMAGE"), detail)
    data = read_file(name, reader, MOST_BYTES)
    shown, word = display_name(name), _shell_word(name)
    if _is_blank(data):
        raise _empty(shown)
    kind = media_kind(data, shown, word)
    if warning := size_warning(kind, len(data), shown, word):
        reader.warn(warning)
    # One form at a time: a file of 20 MB is 27 in base64, and it is to cost no more than 60.
    encoded = b2a_base64(data, newline=False)
    del data
    text = encoded.decode("ascii")
    del encoded
    filename = "document.pdf" if name == "-" else display_name(os.path.basename(name))
    return media_part(kind, text, filename, detail)


def _shell_word(name: str) -> str:
    """Give a name as a shell takes it, in a piece of advice."""
    return shlex.quote(name if not name.startswith("-") or name == "-" else f"./{name}")


def _prompt(given: str, reader: Reader) -> str:
    if given == "-":
        return _text(_read_explicit_stdin(reader), "standard input")
    return argument_text(given, "PROMPT")


def argument_text(argument: str, name: str) -> str:
    """Give a command-line argument as the UTF-8 text that its bytes are; it must not be empty."""
    text = decode_text(os.fsencode(argument), name)
    if not text.strip():
        raise UsageError(f"{name} is empty; give it text or leave it out")
    return text


def read_file(name: str, reader: Reader, most: int | None = None) -> bytes:
    """Read a file named on the command line, `-` being standard input; UsageError says why it cannot be read.

    Where there is more than `most` bytes, one more is read, so that it shows.
    """
    if name == "-":
        return _read_explicit_stdin(reader, most)
    try:
        with open(name, "rb") as file:
            data = file.read(-1 if most is None else most + 1)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise UsageError(f"cannot read {name!r}: {error}; check the path") from error
    give_back_large_blocks(len(data))
    return data


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
    pieces = [prompt.encode()]
    for name in given.files:
        gap = gap_after(chr(pieces[-1][-1]))
        header = f"==> {display_name(name)} <==\n" if len(given.files) > 1 else ""
        pieces += [f"{gap}{header}".encode(), _checked(read_file(name, reader), display_name(name))]
    whole = b"".join(pieces)
    del pieces
    return whole.decode("utf-8")


def _is_blank(data: bytes) -> bool:
    return not data or data.isspace()


def gap_after(before: str) -> str:
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


def _is_file_name(prompt: str) -> bool:
    return len(prompt) < 4096 and os.path.isfile(prompt)


def _stdin_is_input() -> bool:
    mode = os.fstat(STDIN).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _read_explicit_stdin(reader: Reader, most: int | None = None) -> bytes:
    data = _read_stdin(reader, most)
    if _is_blank(data):
        raise UsageError("standard input is empty, so there is nothing to send; check the command before the pipe")
    return data


def _read_stdin(reader: Reader, most: int | None = None) -> bytes:
    """Read standard input to its end, or past `most` bytes; `reader` is told when it is silent, begins and ends."""
    data = BytesIO()
    try:
        if not os.isatty(STDIN) and not select.select([STDIN], [], [], SILENT_SECONDS)[0]:
            reader.on_silence()
        while block := _read_block():
            if not data.tell():
                reader.on_begin()
            data.write(block)
            if most is not None and data.tell() > most:
                break
    except OSError as error:
        raise UsageError(f"cannot read standard input: {error.strerror}; use -n when none is meant") from error
    finally:
        reader.on_end()
    give_back_large_blocks(data.tell())
    return data.getvalue()


def _read_block() -> bytes:
    while True:
        try:
            return os.read(STDIN, _BLOCK)
        except BlockingIOError:
            select.select([STDIN], [], [])


def _checked(data: bytes, name: str) -> bytes:
    """Give data that `_text` would decode.

    Texts are put together as bytes: as a string, one character beyond the Basic Multilingual Plane makes a text four
    times as large, and it is not to be there twice.
    """
    _text(data, name)
    return data


def _text(data: bytes, name: str) -> str:
    """Decode what goes to the model; UsageError when it is empty or no text, saying which command takes it."""
    if _is_blank(data):
        raise _empty(name)
    kind = kind_of(data[:32])
    if kind is not None and kind.sendable and kind.mime == "application/pdf":
        raise _wrong_kind(name, kind)
    try:
        text = decode_text(data, name)
    except UsageError:
        if kind is None:
            raise
        raise _wrong_kind(name, kind) from None
    if "\0" in text:
        if kind is not None:
            raise _wrong_kind(name, kind)
        raise UsageError(f"{name} is not text: NUL byte at offset {data.index(0)}; convert it to text first")
    return text


def _empty(name: str) -> UsageError:
    return UsageError(f"{name} is empty, so there is nothing to send; leave it out or check what wrote it")


def _wrong_kind(name: str, kind: Kind) -> UsageError:
    advice = "send it with: orcli vision" if kind.sendable else "convert it to text first"
    return UsageError(f"{name} is {kind.phrase}; {advice}")


def decode_text(data: bytes, name: str) -> str:
    """Decode UTF-8; UsageError says what is not, and at which offset."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}; convert it with iconv"
        ) from None
