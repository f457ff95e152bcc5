"""A message put together from the deltas of a stream, and the facts about it that need no text kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orcli.answer import Completion, Outcome, content_text, finish_reason_of, has_calls, has_media
from orcli.errors import Incomplete
from orcli.sse import MOST_BYTES, TOO_LONG
from orcli.text import compact_json, load_json

_HEAD = ("id", "object", "created", "model", "provider", "system_fingerprint")
_REFUSAL_LENGTH = 1000
"""Characters of a refusal that are kept for the error message where the message itself is not."""
_PLAIN = frozenset({"role", "content", "reasoning", "reasoning_content"})
_LISTS = ("annotations", "images")
_CUT = frozenset({"error", "length", "content_filter"})
"""Reasons that count also where they follow a benign one."""


class Accumulator:
    """Takes a stream's chunks one by one; with `keep`, the whole message can be had from it at the end.

    Without `keep` its size does not grow with the stream.
    """

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.began = False
        self.came = False
        self.error: object = None
        self.finish_reason: str | None = None
        self.usage: Mapping[str, Any] = {}
        self._kept = 0
        self._native: object = None
        self._head: dict[str, Any] = {}
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal = ""
        self._reasoned = False
        self._details: list[dict[str, Any]] | None = None
        self._lists: dict[str, list[Any]] = {}
        self._calls: list[dict[str, Any]] = []
        self._has_calls = False
        self._has_media = False

    def add(self, chunk: Mapping[str, Any]) -> tuple[str, str]:
        """Take a chunk in and give its text and its reasoning, of the first choice.

        Raises Incomplete where more is kept than an answer can be.
        """
        self.began = True
        if "provider" not in self._head:
            self._head = {**{key: chunk[key] for key in _HEAD if key in chunk}, **self._head}
        usage = chunk.get("usage")
        if isinstance(usage, Mapping):
            self.usage = usage
        if chunk.get("error"):
            self.error = chunk["error"]
        choices = chunk.get("choices")
        choice = _first(choices) if isinstance(choices, list) else None
        if choice is None:
            return "", ""
        if choice.get("error"):
            self.error = choice["error"]
        reason = finish_reason_of(choice)
        if reason is not None and (self.finish_reason is None or reason in _CUT):
            self.finish_reason = reason
            self._native = choice.get("native_finish_reason")
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return "", ""
        return self._add_delta(delta)

    def _add_delta(self, delta: Mapping[str, Any]) -> tuple[str, str]:
        content = delta.get("content")
        text = content if isinstance(content, str) else content_text(content)
        reasoning = delta.get("reasoning") or delta.get("reasoning_content")
        reasoning = reasoning if isinstance(reasoning, str) else ""
        if text:
            self.came = self.came or not text.isspace()
            if self.keep:
                self._text.append(text)
        if reasoning:
            self._reasoned = True
            if self.keep:
                self._reasoning.append(reasoning)
        if not delta.keys() <= _PLAIN:
            self._add_rest(delta)
        if self.keep:
            self._kept += len(text) + len(reasoning)
            if self._kept > MOST_BYTES:
                raise Incomplete(TOO_LONG)
        return text, reasoning

    def _add_rest(self, delta: Mapping[str, Any]) -> None:
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal and (self.keep or len(self._refusal) < _REFUSAL_LENGTH):
            self._refusal += refusal
        if has_media(delta):
            self._has_media = True
        calls = delta.get("tool_calls")
        if has_calls(calls):
            self._has_calls = True
        if not self.keep:
            return
        self._kept += len(compact_json(delta))
        for key in _LISTS:
            items = delta.get(key)
            if isinstance(items, list):
                self._lists.setdefault(key, []).extend(items)
        details = delta.get("reasoning_details")
        if isinstance(details, list):
            self._details = [] if self._details is None else self._details
            for detail in details:
                if isinstance(detail, Mapping):
                    _add_detail(self._details, detail)
        if isinstance(calls, list):
            for call in calls:
                if isinstance(call, Mapping):
                    _add_call(self._calls, call)

    @property
    def delivered(self) -> bool:
        """Something came that a person may want to keep: text, an image or sound."""
        return self.came or self._has_media

    def outcome(self) -> Outcome:
        """Gather the facts of what came so far."""
        details = self.usage.get("completion_tokens_details")
        return Outcome(
            came=self.came,
            finish_reason=self.finish_reason,
            native_finish_reason=self._native,
            error=self.error,
            refusal=self._refusal.strip(),
            tool_calls=self._has_calls,
            media=self._has_media,
            reasoned=self._reasoned or bool(isinstance(details, Mapping) and details.get("reasoning_tokens")),
        )

    def completion(self) -> Completion:
        """Give what came in the shape of a completion; without `keep`, its message is empty."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text) or None}
        if self._reasoning:
            message["reasoning"] = "".join(self._reasoning)
        if self._refusal:
            message["refusal"] = self._refusal
        if self._calls:
            message["tool_calls"] = self._calls
        if self._details is not None:
            # An empty list is one too: DeepSeek wants it back.
            message["reasoning_details"] = [
                detail for detail in self._details if detail.get("type") != "reasoning.encrypted" or detail.get("data")
            ]
        message.update({key: items for key, items in self._lists.items() if items})
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self.finish_reason,
            "native_finish_reason": self._native,
        }
        return Completion(
            {**self._head, "object": "chat.completion", "choices": [choice], "usage": dict(self.usage)}, b""
        )


def _first(choices: Sequence[Any]) -> Mapping[str, Any] | None:
    """Give what a chunk has of the first choice."""
    for choice in choices:
        if isinstance(choice, Mapping) and choice.get("index", 0) in (0, None):
            return choice
    return None


def _add_detail(details: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """Join a piece to the reasoning detail of its type and index: texts are joined, of the rest the last one counts."""
    key = (piece.get("type"), piece.get("index"))
    known = details if key[1] is not None else details[-1:]
    target = next((detail for detail in known if (detail.get("type"), detail.get("index")) == key), None)
    if target is None:
        details.append(dict(piece))
        return
    for name, value in piece.items():
        if name in ("text", "summary", "data") and isinstance(value, str) and isinstance(target.get(name), str):
            target[name] += value
        elif value not in (None, "") or name not in target:
            target[name] = value


def _add_call(calls: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """Join a piece to its tool call: by `index`; a new id under a known index, or no index at all, is a new call."""
    index = piece.get("index")
    identity = piece.get("id")
    function = piece.get("function")
    function = function if isinstance(function, Mapping) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = compact_json(arguments)
    target = None
    if isinstance(index, int):
        target = next((call for call in reversed(calls) if call.get("index") == index), None)
    elif calls and not identity and not name:
        target = calls[-1]
    elif calls and identity:
        target = next((call for call in calls if call["id"] == identity), None)
    if target is not None and identity and target["id"] and target["id"] != identity:
        target = None
    if target is not None and not identity and name and (known := target["function"]["name"]):
        target = None if name != known or (arguments and arguments_whole(target)) else target
    if target is None:
        target = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        if isinstance(index, int):
            target["index"] = index
        calls.append(target)
    if isinstance(identity, str) and identity:
        target["id"] = identity
    if isinstance(name, str) and name:
        target["function"]["name"] = name
    if arguments is not None:
        target["function"]["arguments"] += arguments


def arguments_whole(call: Mapping[str, Any]) -> bool:
    """Tell whether a call's arguments are whole JSON, so that a name that comes again begins another call."""
    try:
        load_json(call["function"]["arguments"])
    except ValueError:
        return False
    return True
