"""Conversations in files: `--messages`, which is read, and `-c`, which is read and then carried on."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from orcli.allocator import give_back_large_blocks
from orcli.answer import has_calls
from orcli.appending import append, has_name, open_appending
from orcli.errors import Failed, UsageError
from orcli.text import SPACED, encode, json_blocks, load_json, load_json_part

Message = dict[str, Any]
_BLANK = re.compile(r"\s*")
_ARRAY = re.compile(r"\s*\[")
_FORMS = "give a JSON array of messages, or one message a line"
ROLES = ("system", "developer", "user", "assistant", "tool")


def parse_messages(data: bytes, name: str) -> list[Message]:
    """Read a conversation: a JSON array of messages, an object with `messages`, or one message a line.

    Raises UsageError naming the line, or the message's place, where it is none, and where there is none at all.
    """
    text = _decoded(data, name)
    del data
    if not text or text.isspace():
        raise UsageError(f"{name} holds no messages; {_FORMS}")
    value = _parse(text, name)
    if isinstance(value, dict):
        value = value["messages"] if _holds_messages(value) else [value]
    if not isinstance(value, list) or not value:
        raise UsageError(f"{name} holds no messages; {_FORMS}")
    return _checked(value, name)


def parse_lines(data: bytes, name: str) -> list[Message]:
    """Read a conversation of one message a line, to which more can be appended; there may be none.

    Raises UsageError naming the line, or the message's place, where it is none.
    """
    text = _decoded(data, name)
    del data
    members = ".[]" if _ARRAY.match(text) else None
    messages: list[Any] = []
    if members is None:
        try:
            messages = _message_lines(text, name)
        except UsageError:
            members = _members_of(text)
            if members is None:
                raise
        if any(_holds_messages(message) for message in messages):
            members = ".messages[]"
    if members is not None:
        raise UsageError(f"{name} is not one message a line; convert it with jq -c '{members}'")
    return _checked(messages, name)


def _members_of(text: str) -> str | None:
    """Give jq's way to the messages of an object that takes several lines; None where it is none."""
    try:
        value = load_json(text)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    return ".messages[]" if _holds_messages(value) else "."


def _holds_messages(value: object) -> bool:
    """Tell an object with `messages`, such as `orcli tool` prints, from a message, which may have such a member too."""
    return isinstance(value, dict) and "messages" in value and "role" not in value


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 at offset {error.start}; convert it with iconv") from None


def _checked(messages: list[Any], name: str) -> list[Message]:
    for place, message in enumerate(messages, 1):
        _check_message(message, f"{name}: message {place}")
    return messages


def _parse(text: str, name: str) -> Any:
    """Parse JSON that is one value, or one a line."""
    if _ARRAY.match(text):
        try:
            return load_json(text)
        except ValueError as error:
            raise UsageError(f"{name} is not JSON: {error}; {_FORMS}") from None
    try:
        lines = _message_lines(text, name)
    except UsageError:
        with suppress(ValueError):
            return load_json(text)
        raise
    return lines[0] if len(lines) == 1 else lines


def _message_lines(text: str, name: str) -> list[Any]:
    messages = []
    number, start = 0, 0
    while start < len(text):
        number += 1
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if not _BLANK.fullmatch(text, start, end):
            try:
                messages.append(load_json_part(text, start, end))
            except ValueError as error:
                raise UsageError(f"{name}, line {number} is not JSON: {error}; one message a line is wanted") from None
        start = end + 1
    return messages


def _check_message(message: object, place: str) -> None:
    if not isinstance(message, dict):
        raise UsageError(f"{place} is not an object; a message has a role and content")
    if message.get("role") not in ROLES:
        raise UsageError(f"{place} has no role of {', '.join(ROLES)}; give it one")
    content = message.get("content")
    if content is None and message.get("role") == "assistant" and (message.get("tool_calls") or message.get("refusal")):
        return
    if not _is_content(content):
        raise UsageError(f"{place} has no content; give it a string or content parts")


def _is_content(content: object) -> bool:
    """Tell text, or content parts, from what no message holds."""
    if isinstance(content, list):
        return bool(content) and all(isinstance(part, dict) for part in content)
    return isinstance(content, str)


def with_system(messages: Sequence[Message], system: str | None) -> list[Message]:
    """Put a system message at the front, in the place of the one that stands there."""
    if system is None:
        return list(messages)
    rest = messages[1:] if messages and messages[0].get("role") == "system" else messages
    return [{"role": "system", "content": system}, *rest]


def check_asked(messages: Sequence[Message]) -> None:
    """Raise UsageError where messages ask nothing: the last turn of a user is blank, or all are instructions."""
    asked = next((message for message in reversed(messages) if message.get("role") == "user"), None)
    if asked is not None and _is_blank(asked.get("content")):
        raise UsageError("the last user message is empty; nothing was asked")
    if all(message.get("role") in ("system", "developer") for message in messages):
        raise UsageError("the messages ask nothing; give a PROMPT")


def _is_blank(content: object) -> bool:
    """Tell text of white space alone, in one piece or in parts, from what asks something."""
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    return all(isinstance(text, str) and not text.strip() for text in texts)


def assistant_turn(message: Mapping[str, Any]) -> Message:
    """Give what of an answer's message belongs in the conversation; reasoning_details and annotations go unmodified."""
    calls = has_calls(message.get("tool_calls"))
    kept = (*(("tool_calls",) if calls else ()), "reasoning_details", "annotations")
    content = message.get("content")
    if not _is_content(content):
        # Without calls a message without content is refused, so that of an image alone is empty.
        content = None if calls else ""
    turn = {"role": "assistant", "content": content}
    return {**turn, **{key: message[key] for key in kept if message.get(key) is not None}}


@dataclass(frozen=True)
class Conversation:
    """A conversation file, open for appending."""

    name: str
    descriptor: int

    def append(self, messages: Sequence[Message]) -> None:
        """Append messages in one write under a lock; a system message only while the file is still empty.

        A missing last newline is mended. Where another file stands in its place by now, as after an editor, that one is
        appended to. Raises Failed, and leaves the file as it was, when it cannot be written.
        """
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
            named = has_name(self.descriptor, self.name)
            if named:
                append(self.descriptor, self._lines(messages))
        except OSError as error:
            raise Failed(f"cannot append to {self.name}: {error.strerror}; the answer is not in it") from error
        finally:
            with suppress(OSError):
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        if not named:
            self._another().append(messages)

    def _lines(self, messages: Sequence[Message]) -> memoryview:
        size = os.fstat(self.descriptor).st_size
        lines = BytesIO()
        if size and os.pread(self.descriptor, 1, size - 1) != b"\n":
            lines.write(b"\n")
        for message in messages:
            if size and message.get("role") == "system":
                continue
            for block in json_blocks(message, SPACED):
                lines.write(encode(block))
            lines.write(b"\n")
        return lines.getbuffer()

    def _another(self) -> Conversation:
        """Open the file that has the name now; Failed where there is none, or it is no conversation."""
        try:
            return open_conversation(self.name, make=False)[0]
        except UsageError as error:
            gone = isinstance(error.__cause__, FileNotFoundError)
            what = "is gone" if gone else f"is another file now: {error.message}"
            raise Failed(f"{self.name} {what}; the answer is not in it") from error


def open_conversation(name: str, *, make: bool = True) -> tuple[Conversation, list[Message]]:
    """Open a conversation file and read the messages it holds; where it is not there yet, `make` one of mode 0600."""
    if name == "-":
        raise UsageError("-c - is no file; a conversation is kept in one")
    try:
        descriptor = open_appending(name, make=make)
    except OSError as error:
        raise UsageError(f"cannot open the conversation {name}: {error.strerror}; check the path") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise UsageError(f"{name} is no regular file; a conversation is kept in one")
    give_back_large_blocks(os.fstat(descriptor).st_size)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        raise UsageError(f"cannot lock {name}: {error.strerror}; keep it on another file system") from error
    with open(descriptor, "rb", closefd=False) as file:
        messages = parse_lines(file.read(), name)
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return Conversation(name, descriptor), messages
