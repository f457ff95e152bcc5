"""What a completion says: its text, why it ended, what it cost, and whether it may count as an answer. Pure."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orcli.errors import (
    WORDS,
    Incomplete,
    OrcliError,
    Refused,
    ToolsError,
    Unavailable,
    from_api,
    one_line,
    provider_words,
    redacted_object,
    reports_error,
)
from orcli.text import compact_json, encode, load_json, salvage_json

if TYPE_CHECKING:
    from typing import TypeGuard

_MOST = 1e15
"""Beyond it an amount of tokens or of USD is none."""
_TEXT_PARTS = ("text", "output_text", None)
_CALL_REASONS = ("tool_calls", "function_call")
_FAILURES = ("network_error", "error")
"""Values of `native_finish_reason` under which a benign `finish_reason` may stand."""


@dataclass(frozen=True)
class Completion:
    """A completion object of the API, whole, and the bytes it came as.

    There are none where it was put together from a stream, or reports an error and is redacted.
    """

    object: Mapping[str, Any]
    body: bytes

    @property
    def choice(self) -> Mapping[str, Any]:
        """The first choice; empty when there is none."""
        choices = self.object.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
            return choices[0]
        return {}

    @property
    def message(self) -> Mapping[str, Any]:
        """The first choice's message; empty when there is none."""
        message = self.choice.get("message")
        return message if isinstance(message, Mapping) else {}

    @property
    def text(self) -> str:
        """The answer's text, its text parts joined where `content` is a list."""
        return content_text(self.message.get("content"))

    @property
    def images(self) -> list[str]:
        """The URLs of the images the model made, most of them `data:` URLs."""
        return image_urls(self.message.get("images"))

    @property
    def reasoning(self) -> str:
        """The model's reasoning, which is never part of the text."""
        reasoning = self.message.get("reasoning")
        return reasoning if isinstance(reasoning, str) else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in the API's normalised words."""
        return finish_reason_of(self.choice)

    @property
    def usage(self) -> Mapping[str, Any]:
        """Tokens and cost; empty when the API sent none."""
        usage = self.object.get("usage")
        return usage if isinstance(usage, Mapping) else {}

    @property
    def spent(self) -> dict[str, float]:
        """The tokens and the cost in USD that `usage` tells, without what no request can take."""
        amounts = {name: self.usage.get(name) for name in ("prompt_tokens", "completion_tokens", "cost")}
        return {name: amount for name, amount in amounts.items() if _is_amount(amount)}

    @property
    def cost(self) -> float:
        """What it cost in USD; 0 where it does not say."""
        return self.spent.get("cost", 0.0)

    def line(self) -> bytes:
        """Give the object as one line, byte for byte as it came but for line ends."""
        body = self.body or encode(compact_json(self.object))
        return as_line(body)


def _is_amount(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST


def as_line(data: bytes) -> bytes:
    """Give JSON as one line: outside its strings a line end is mere space, inside them there is none."""
    return data.strip().replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def finish_reason_of(choice: Mapping[str, Any]) -> str | None:
    """Give why a choice ended; None while it has not, for which some say it in an empty string or in a word."""
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) and reason not in ("", "null") else None


def content_text(content: object) -> str:
    """Give the text of a `content`: a string, or a list of parts of which the text ones count."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS]
        return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    return ""


def image_urls(images: object) -> list[str]:
    """Give the URLs of a message's `images`."""
    entries = (
        [entry.get("image_url") for entry in images if isinstance(entry, Mapping)] if isinstance(images, list) else []
    )
    urls = [entry.get("url") if isinstance(entry, Mapping) else entry for entry in entries]
    return [url for url in urls if isinstance(url, str) and url]


def has_media(message: Mapping[str, Any]) -> bool:
    """Tell whether a message, or the delta of one, has an image or sound."""
    audio = message.get("audio")
    return bool(image_urls(message.get("images")) or (isinstance(audio, Mapping) and audio.get("data")))


def parse_completion(body: bytes, retry_after: float | None = None) -> Completion:
    """Read the body of a 200 as a completion.

    Raises the error that stands in place of one, Unavailable for a gateway's page or nothing at all, Incomplete for
    JSON that breaks off: it was an answer, and it was billed.
    """
    if not body.strip():
        raise Unavailable("the server answered 200 with an empty body; try later")
    value, as_it_came = _parse(body)
    if not isinstance(value, dict):
        raise Unavailable("the server answered JSON that is no completion object; check API_BASE_URL or try later")
    choices = value.get("choices")
    if not (isinstance(choices, list) and choices):
        error = value.get("error")
        raise from_api(error if error else {"message": "the answer has no choices"}, retry_after=retry_after)
    if reports_error(value):
        return Completion(redacted_object(value), b"")
    return Completion(value, as_it_came)


def _parse(body: bytes) -> tuple[Any, bytes]:
    """Read JSON, and give the bytes that may be printed for it, none where only we would read them."""
    try:
        return load_json(body), body if _is_plain(body) else b""
    except ValueError:
        beginning = body.lstrip()[:1]
    if beginning == b"{":
        try:
            return salvage_json(body), b""
        except json.JSONDecodeError:
            raise Incomplete("the answer broke off: its JSON is not whole; try again") from None
        except ValueError as error:
            raise Incomplete(f"the answer cannot be read: {error}; try again") from None
    page = beginning == b"<"
    words = "a gateway's page" if page else one_line(body[:200].decode("utf-8", "replace"))
    raise Unavailable(
        f"the server answered 200 with no completion but {words}; check API_BASE_URL or try later", transient=page
    )


def _is_plain(body: bytes) -> bool:
    """Tell JSON in UTF-8 without a byte order mark, as others read it, from what only our parser takes."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in body and not body.startswith(codecs.BOM_UTF8)


@dataclass(frozen=True)
class Outcome:
    """What a completion, or a stream's chunks so far, amount to; the facts that a verdict needs."""

    came: bool
    """Text that is more than white space."""
    finish_reason: str | None
    native_finish_reason: object = None
    error: object = None
    refusal: str = ""
    tool_calls: bool = False
    media: bool = False
    """Images or sound."""
    reasoned: bool = False
    """The model's reasoning took tokens."""


def outcome_of(completion: Completion) -> Outcome:
    """Gather the facts of a completion."""
    choice, message = completion.choice, completion.message
    details = completion.usage.get("completion_tokens_details")
    refusal = message.get("refusal")
    return Outcome(
        came=bool(completion.text.strip()),
        finish_reason=completion.finish_reason,
        native_finish_reason=choice.get("native_finish_reason"),
        error=choice.get("error") or completion.object.get("error"),
        refusal=refusal.strip() if isinstance(refusal, str) else "",
        tool_calls=has_calls(message.get("tool_calls")),
        media=has_media(message),
        reasoned=bool(completion.reasoning or (isinstance(details, Mapping) and details.get("reasoning_tokens"))),
    )


def has_calls(tool_calls: object) -> bool:
    """Tell whether a message's `tool_calls` hold any call."""
    return isinstance(tool_calls, list) and any(isinstance(call, Mapping) for call in tool_calls)


def verdict(outcome: Outcome, *, tools: bool = False, media: bool = True, whole: bool = False) -> OrcliError | None:
    """Judge what came: None when it is a whole answer, else why it is not.

    With `tools`, tool calls are an answer too, with `media` images and sound; `whole` says that calls came in one body,
    so that they need no finish_reason to be trusted. An error counts by its own code, as Incomplete once text had come.
    """
    reason, native = outcome.finish_reason, outcome.native_finish_reason
    if outcome.error or reason == "error":
        error = outcome.error or {"message": f"the provider failed ({native or 'finish_reason error'})"}
        failure = from_api(error)
        return _after_content(failure, error) if outcome.came or outcome.media else failure
    if outcome.refusal:
        return Refused(f"the model refused: {one_line(outcome.refusal, WORDS)}; change the prompt")
    if reason == "content_filter":
        return Refused("a content filter stopped the answer; change the prompt")
    if outcome.tool_calls and not tools:
        return ToolsError("the model asked for tools in place of an answer; use orcli tool")
    if reason == "length":
        return _cut_at_limit(outcome)
    if not (outcome.came or outcome.media or outcome.tool_calls):
        if reason is None and not whole:
            return Unavailable("the stream ended before any text came; try later")
        if native in _FAILURES:
            return Unavailable(f"the provider failed ({native}) and sent no text; try later", transient=True)
        return Incomplete("the answer is empty; try again, or another model")
    if reason is None and not (outcome.tool_calls and whole):
        return Incomplete("the answer came without a finish_reason, so it may be cut; try again")
    if native in _FAILURES:
        return Incomplete(f"the answer broke off: the provider failed ({native}); try again")
    if reason in _CALL_REASONS and not outcome.tool_calls:
        fault = "the model meant to call tools, but no call came"
        return Incomplete(f"{fault}; try again") if tools else ToolsError(f"{fault}; use orcli tool")
    if not (media or outcome.came or outcome.tool_calls):
        return Incomplete("the answer is images or sound without text; use orcli vision --save DIR, or --json")
    return None


def _after_content(failure: OrcliError, error: object) -> OrcliError:
    """Turn a failure that struck after text had come into Incomplete; a refusal stays one."""
    if isinstance(failure, Refused):
        return failure
    words = provider_words(error) if isinstance(error, Mapping) else one_line(str(error), WORDS)
    shown = dict(failure.error or {})
    if not (isinstance(error, Mapping) and error.get("code") is not None):
        shown["code"] = Incomplete.code.name.lower()
    return Incomplete(f"the answer broke off: {words or 'the provider failed'}; try again", error=shown)


def _cut_at_limit(outcome: Outcome) -> Incomplete:
    if outcome.tool_calls:
        return Incomplete("the tool calls were cut at the token limit; raise --max-tokens")
    if outcome.reasoned and not outcome.came:
        return Incomplete("reasoning used up the token limit before any text; raise --max-tokens")
    return Incomplete("the answer was cut at the token limit (finish_reason length); raise --max-tokens")
