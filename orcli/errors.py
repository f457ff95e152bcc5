"""What can go wrong, and the exit code that tells the caller what to do next.

The one place where a failure gets its code. Everything here is pure: no input, no output, no other module of orcli.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """The process's exit codes, a contract with scripts: never renumbered."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ACCOUNT = 3
    UNAVAILABLE = 4
    INCOMPLETE = 5
    REFUSED = 6
    MISMATCH = 7
    TOOLS = 8
    SOME_FAILED = 9
    DEADLINE = 124
    HANGUP = 129
    INTERRUPTED = 130
    QUIT = 131
    READER_GONE = 141
    TERMINATED = 143


class OrcliError(Exception):
    """A failure with an exit code and one line for people: `what happened; what to do`.

    `error` is the API's own error object where there is one, and `status` the HTTP status that it came with or stands
    for. `transient` says that the same request may succeed later, and `retry_after` how many seconds the server asked
    for. `completion` is what came in spite of it.
    """

    code = ExitCode.FAILED
    completion: Any = None
    status: int | None = None

    def __init__(
        self,
        message: str,
        *,
        error: Mapping[str, Any] | None = None,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error = error
        self.transient = transient
        self.retry_after = retry_after

    def hide(self, secret: str) -> None:
        """Take a secret out of all that is printed of the failure."""
        self.message = without(self.message, secret)
        self.args = (self.message,)
        self.error = None if self.error is None else without(self.error, secret)

    def as_json(self) -> dict[str, Any]:
        """Give the failure in the API's own shape: `{"error": {"code": …, "message": …, "metadata": …}}`."""
        if self.error is not None:
            return {"error": dict(self.error)}
        return {"error": {"code": self.code.name.lower(), "message": one_line(self.message)}}


class Failed(OrcliError):
    """Output could not be written, or orcli itself is wrong."""

    code = ExitCode.FAILED


class UsageError(OrcliError):
    """The command line, its input or the request itself is wrong."""

    code = ExitCode.USAGE


class AccountError(OrcliError):
    """The key, the base URL, the credits or the proxy need fixing."""

    code = ExitCode.ACCOUNT


class Unavailable(OrcliError):
    """Nothing was answered; later it may be."""

    code = ExitCode.UNAVAILABLE


class Incomplete(OrcliError):
    """An answer came, but not the whole of it."""

    code = ExitCode.INCOMPLETE


class Refused(OrcliError):
    """A filter, a moderator or the model itself declined."""

    code = ExitCode.REFUSED


class Mismatch(OrcliError):
    """The answer is whole but not of the form that was asked for."""

    code = ExitCode.MISMATCH


class ToolsError(OrcliError):
    """Tool calls came where text was wanted, or could not be carried through."""

    code = ExitCode.TOOLS


class TimedOut(OrcliError):
    """One request of many took longer than it may."""

    code = ExitCode.DEADLINE


class SomeFailed(OrcliError):
    """A batch is finished, but some of its lines are errors."""

    code = ExitCode.SOME_FAILED


# Metadata `error_type` values, as the API documents them, by what the caller should do next.
_REFUSAL_TYPES = frozenset({"content_policy_violation", "refusal"})
_ERROR_TYPES: dict[str, type[OrcliError]] = {
    **dict.fromkeys(("authentication", "permission_denied", "payment_required"), AccountError),
    **dict.fromkeys(
        ("rate_limit_exceeded", "provider_overloaded", "provider_unavailable", "server", "timeout", "unmapped"),
        Unavailable,
    ),
    **dict.fromkeys(
        (
            "context_length_exceeded",
            "max_tokens_exceeded",
            "token_limit_exceeded",
            "string_too_long",
            "invalid_request",
            "invalid_prompt",
            "not_found",
            "precondition_failed",
            "payload_too_large",
            "unprocessable",
            "invalid_image",
            "image_too_large",
            "image_too_small",
            "unsupported_image_format",
            "image_not_found",
            "image_download_failed",
        ),
        UsageError,
    ),
}
_ACCOUNT_STATUSES = frozenset({401, 402, 403, 407})
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_ADVICE: dict[type[OrcliError], str] = {
    UsageError: "change the request",
    AccountError: "check the account",
    Unavailable: "try later",
    Refused: "change the prompt",
}
_STATUS_ADVICE = {
    401: "check OPENROUTER_API_KEY",
    402: "add credits, or lower --max-tokens",
    403: "check what the key may do",
    404: "check the model id and what it supports (orcli models)",
    407: "check the user and password in HTTPS_PROXY",
    413: "send less",
}


def from_api(error: object, status: int | None = None, retry_after: float | None = None) -> OrcliError:
    """Turn the API's `error` object, and the HTTP status it came with, into ours.

    An error inside a 200 (`status` None) counts by its `code` or `error_type` as if that were the status; without
    either it is Unavailable. Shapes: https://openrouter.ai/docs/api-reference/errors.
    """
    fields: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": str(error)}
    metadata = fields.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    number = status if status is not None else _as_status(fields.get("code"))
    error_type = metadata.get("error_type", fields.get("error_type"))
    if not isinstance(error_type, str):
        error_type = fields.get("code") if isinstance(fields.get("code"), str) else ""
    kind = _kind_of(number, str(error_type), metadata)
    in_flight = metadata.get("limit_source") == "openrouter_in_flight_budget" and retry_after is not None
    remedy = metadata.get("remedy_hint")
    advice = remedy if isinstance(remedy, str) and remedy.strip() else None
    if advice is None and kind is not Refused:
        advice = _STATUS_ADVICE.get(number or 0)
    message = ": ".join(part for part in (str(number) if number else "", provider_words(fields)) if part)
    failure = kind(
        f"{message or 'the API reported an error'}; {advice or _ADVICE[kind]}",
        error=redacted_error(fields, number, kind),
        transient=kind is Unavailable or in_flight,
        retry_after=retry_after,
    )
    failure.status = number
    return failure


def _as_status(code: object) -> int | None:
    """Read an error's `code`, an int or a string of digits, as an HTTP status; None when it is neither."""
    if isinstance(code, bool):
        return None
    if isinstance(code, int):
        return code if 300 <= code <= 599 else None
    if isinstance(code, str) and re.fullmatch(r"[345][0-9][0-9]", code):
        return int(code)
    return None


def _kind_of(status: int | None, error_type: str, metadata: Mapping[str, Any]) -> type[OrcliError]:
    if error_type in _REFUSAL_TYPES or (status == 403 and metadata.get("reasons")):
        return Refused
    if status is None:
        return _ERROR_TYPES.get(error_type, Unavailable)
    if status in _ACCOUNT_STATUSES or 300 <= status < 400:
        return AccountError
    if status in _TRANSIENT_STATUSES or status >= 500:
        return Unavailable
    return UsageError


def provider_words(error: Mapping[str, Any]) -> str:
    """Give the most telling message of an API error: the provider's own where `metadata.raw` carries it."""
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    message = _innermost_message(error)
    raw = _innermost_message(metadata.get("raw"))
    provider = metadata.get("provider_name")
    words = message
    if raw and raw not in message:
        words = f"{message}: {raw}" if message and message != "Provider returned error" else raw
    reasons = metadata.get("reasons")
    if isinstance(reasons, list) and reasons:
        words = f"{words} ({', '.join(str(reason) for reason in reasons)})"
    if isinstance(provider, str) and provider and provider not in words:
        words = f"{provider}: {words}" if words else provider
    return one_line(words, WORDS)


def _innermost_message(value: object, depth: int = 0) -> str:
    """Unwrap a message that is itself JSON, however often, down to its words."""
    if depth > 8:
        return ""
    if isinstance(value, str):
        if value.lstrip()[:1] in ("{", "["):
            try:
                inner = _innermost_message(json.loads(value), depth + 1)
            except (ValueError, RecursionError):
                inner = ""
            return inner or value.strip()
        return value.strip()
    if isinstance(value, Mapping):
        for key in ("message", "error", "detail", "details", "msg"):
            if words := _innermost_message(value.get(key), depth + 1):
                return words
    if isinstance(value, list) and value:
        return _innermost_message(value[0], depth + 1)
    return ""


def redacted_error(error: Mapping[str, Any], status: int | None, kind: type[OrcliError]) -> dict[str, Any]:
    """Copy an API error for `--json` without what identifies the account, and with a `code` in any case."""
    clean: dict[str, Any] = redact_values({key: value for key, value in error.items() if key != "user_id"})
    if clean.get("code") is None:
        clean["code"] = status if status is not None else kind.code.name.lower()
    return clean


def redacted_object(value: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a completion or a chunk that reports an error without what identifies the account; its answer stands."""
    clean = {key: item for key, item in value.items() if key != "user_id"}
    if clean.get("error"):
        clean["error"] = redact_values(clean["error"])
    choices = clean.get("choices")
    if isinstance(choices, list):
        clean["choices"] = [
            {**choice, "error": redact_values(choice["error"])} if reports_error(choice) else choice
            for choice in choices
        ]
    return clean


def reports_error(value: object) -> bool:
    """Tell whether a completion, a chunk or one of their choices carries an error."""
    if not isinstance(value, Mapping):
        return False
    choices = value.get("choices")
    return bool(value.get("error")) or (isinstance(choices, list) and any(map(reports_error, choices)))


_DEEPEST = 50
_MOST_CHARACTERS = 1 << 16
"""Of the strings of an error, which are looked through for secrets: a hostile million takes half a second."""
_CUT = r"(?:[*•]{2,}|\.{3,}|…)"
"""What stands in a key for that of it which is not shown."""
_SECRETS = (
    # A digit tells a key from words such as `sk-learn` and `risk-assessment`. All runs are bounded, or a long text of
    # beginnings would take time squared.
    (
        re.compile(
            r"(?:(?<![A-Za-z])sk-|sk-(?=or-v[0-9]))(?:"
            rf"(?=[A-Za-z_-]{{0,40}}[0-9])[A-Za-z0-9_-]{{8,}}(?:{_CUT}[A-Za-z0-9_-]*)?"
            rf"|[A-Za-z0-9_-]{{0,40}}{_CUT}[A-Za-z0-9_-]{{2,}})"
        ),
        "sk-[redacted]",
    ),
    (re.compile(r"\buser_(?=[A-Za-z]{0,40}[0-9])[A-Za-z0-9]{6,}"), "user_[redacted]"),
    # The hash of a key; a file that is named by a hash has an extension.
    (re.compile(r"\b[0-9a-f]{64}\b(?!\.[A-Za-z0-9])"), "[redacted]"),
    (re.compile(r"(?i)\bbearer\s+(?=[a-z._~+/=-]{0,40}[0-9])[a-z0-9._~+/=-]{8,}"), "Bearer [redacted]"),
)


def redact(text: str) -> str:
    """Take keys, key hashes and user ids out of a text."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def redact_values(value: Any) -> Any:
    """Copy a JSON value with every string in it redacted and every `user_id` left out.

    What is nested deep is cut, and what comes after more characters than an error has to say.
    """
    left = _MOST_CHARACTERS

    def copy(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if isinstance(value, str):
            shown = redact(value[:left]) + ("…" if len(value) > left else "")
            left -= len(value)
            return shown
        if depth > _DEEPEST and isinstance(value, (Mapping, list)):
            return "[nested too deeply]"
        if isinstance(value, Mapping):
            return {key: copy(item, depth + 1) for key, item in value.items() if key != "user_id" and left > 0}
        if isinstance(value, list):
            return [copy(item, depth + 1) for item in value if left > 0]
        return value

    return copy(value, 0)


def without(value: Any, secret: str) -> Any:
    """Copy a JSON value, nested no deeper than an error object, with a secret taken out of every string."""
    if isinstance(value, str):
        return value.replace(secret, "[redacted]")
    if isinstance(value, Mapping):
        return {key: without(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, secret) for item in value]
    return value


_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


def exhaustion(error: BaseException) -> str | None:
    """Say what the machine lacked where an exception only tells of that: memory, descriptors, processes, threads."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        return error.strerror
    # CPython's words for pthread_create's EAGAIN.
    return str(error) if isinstance(error, RuntimeError) and str(error) == "can't start new thread" else None


def as_failure(error: BaseException) -> OrcliError:
    """Give an exception that nobody foresaw as a failure that says so, and where; a failure is given as it is."""
    if isinstance(error, OrcliError):
        return error
    if lack := exhaustion(error):
        return Failed(f"{lack}; see ulimit -a")
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return Failed(f"internal error: {type(error).__name__}: {error}{where}; please report it")


WORDS = 480
"""Characters that another's words may take of a line, so that what to do has its place after them."""


def one_line(text: str, limit: int = 600) -> str:
    """Fit a message into one printable line: what is not printable and runs of white space become a space."""
    shown = (character if character.isprintable() else " " for character in text[: 4 * limit])
    line = " ".join("".join(shown).split())
    line = redact(line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def is_control(character: str) -> bool:
    """Tell a character that a terminal would act on instead of showing."""
    point = ord(character)
    return point < 0x20 or 0x7F <= point < 0xA0 or point in _INVISIBLE


# Bidirectional controls and line separators (Unicode 15, Bidi_Control): they can reorder or break a line on a terminal.
_INVISIBLE = frozenset({0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF})
