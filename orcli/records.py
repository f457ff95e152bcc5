"""The lines of a batch: what a line asks for, and the line that answers it, both in the form of OpenAI's Batch API.

Forms: https://platform.openai.com/docs/guides/batch; vLLM's `run-batch` reads and writes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orcli.answer import Completion
from orcli.errors import OrcliError, UsageError, one_line
from orcli.inputs import decode_text, gap_after
from orcli.local import is_local
from orcli.request import build_request, encode_request
from orcli.schema import as_schema
from orcli.text import compact_json, encode, load_json
from orcli.transcript import check_asked

URL = "/v1/chat/completions"
FORMAT = "response_format"
_FIELDS = frozenset({"custom_id", "method", "url", "body"})
_BEGINNING = b'{"id":"batch_req_'
_FORMS = 'give {"custom_id": …, "body": {"messages": …}}, {"messages": …} or a JSON string'


@dataclass(frozen=True)
class Defaults:
    """What every line's request has unless the line says otherwise."""

    models: tuple[str, ...]
    system: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    """Each line is plain text that follows this prompt."""


@dataclass(frozen=True)
class Job:
    """A line that asks for something: its number from 1, its id, and its encoded request."""

    number: int
    custom_id: str | int
    model: str
    body: bytes
    schema: Mapping[str, Any] | None
    """What the answer is checked against, not compiled yet; messages call it `FORMAT`."""
    tools: bool
    """Tool calls are an answer too."""

    def as_line(self) -> bytes:
        """Give the job as a line of the OpenAI batch form, which orcli and others take."""
        head = {"custom_id": self.custom_id, "method": "POST", "url": URL}
        return encode(compact_json(head)[:-1]) + b',"body":' + self.body + b"}\n"


def read_line(data: bytes, defaults: Defaults) -> Any:
    """Read a line, without its line end, as the JSON value or the plain text it is; UsageError where it is neither."""
    if not data.strip():
        raise UsageError("the line is empty; nothing was asked")
    text = decode_text(data, "the line")
    if defaults.prompt is not None:
        return text
    try:
        return load_json(text)
    except ValueError as error:
        raise UsageError(f"the line is not JSON: {one_line(str(error))}; {_FORMS}") from None


def custom_id_of(value: Any, number: int) -> str | int:
    """Give the id a line names, else its number as text; UsageError for one that is no text and no whole number."""
    given = value.get("custom_id") if isinstance(value, Mapping) else None
    if given is None:
        return str(number)
    if isinstance(given, bool) or not isinstance(given, (str, int)) or given == "":
        raise UsageError("custom_id is neither text nor a whole number; change it")
    try:
        str(given).encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError("custom_id holds half a surrogate pair, which is no text; change it") from None
    return given


def make_job(value: Any, number: int, custom_id: str | int, defaults: Defaults) -> Job:
    """Make a line's request, the defaults filled in; UsageError says what the line asks for that cannot be."""
    request = _with_defaults(_body(value, defaults), defaults)
    return Job(
        number, custom_id, request["model"], encode_request(request), _schema(request), bool(request.get("tools"))
    )


def _body(value: Any, defaults: Defaults) -> Mapping[str, Any]:
    """Give the request that a line holds in one of the forms."""
    if isinstance(value, str):
        if not value.strip():
            raise UsageError("the prompt is empty; nothing was asked")
        text = value if defaults.prompt is None else defaults.prompt + gap_after(defaults.prompt) + value
        return {"messages": [{"role": "user", "content": text}]}
    if not isinstance(value, dict):
        raise UsageError(f"the line is no request; {_FORMS}")
    if "body" not in value:
        if "messages" not in value:
            raise UsageError(f"the line has neither body nor messages; {_FORMS}")
        return {key: item for key, item in value.items() if key != "custom_id"}
    if unknown := sorted(value.keys() - _FIELDS):
        raise UsageError(f"unknown field {unknown[0]!r} beside body; {_FORMS}")
    method, url, body = value.get("method", "POST"), value.get("url", URL), value["body"]
    if method != "POST":
        raise UsageError(f"method {method!r} is not POST; {_FORMS}")
    if not (isinstance(url, str) and url.endswith("/chat/completions")):
        raise UsageError(f"url {url!r} is not {URL}; orcli makes chat completions only")
    if not isinstance(body, dict):
        raise UsageError(f"body is no object; {_FORMS}")
    return body


def _with_defaults(body: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    """Fill a request up with the defaults; what it says itself stands."""
    messages = body.get("messages")
    if not (isinstance(messages, list) and messages and all(isinstance(message, dict) for message in messages)):
        raise UsageError("messages is no list of messages; give at least one")
    check_asked(messages)
    if body.get("stream"):
        raise UsageError("stream has no place in a batch; leave it out")
    if defaults.system is not None and messages[0].get("role") != "system":
        messages = [{"role": "system", "content": defaults.system}, *messages]
    own = {key: item for key, item in body.items() if key not in ("model", "messages")}
    parameters = {**defaults.parameters, **own}
    model = body.get("model")
    if model is None:
        models = defaults.models if "models" not in own else defaults.models[:1]
        return build_request(models, messages, parameters)
    if not (isinstance(model, str) and model):
        raise UsageError("model is no text; give a model id")
    if model != defaults.models[0] and (is_local(model) or is_local(defaults.models[0])):
        raise UsageError(f"a batch is answered by one local model or by OpenRouter; give -m {one_line(model, 80)}")
    return build_request((model,), messages, parameters)


def _schema(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Give the JSON Schema that a request asks its answer to satisfy, if it does."""
    wanted = request.get(FORMAT)
    if not isinstance(wanted, Mapping) or wanted.get("type") != "json_schema":
        return None
    form = wanted.get("json_schema")
    schema = form.get("schema") if isinstance(form, Mapping) else None
    return None if schema is None else as_schema(schema, FORMAT)


def result_line(
    number: int, custom_id: str | int | None, completion: Completion | None, error: OrcliError | None
) -> bytes:
    """Give the line that answers line `number`: the completion as it came, and what is wrong with it or stands for it.

    Shape: `{"id", "custom_id", "response": {"status_code", "request_id", "body"} | null, "error": {…} | null}`.
    """
    head = compact_json({"id": f"batch_req_{number}", "custom_id": custom_id})[:-1]
    parts = [encode(head), b',"response":', b"null", b',"error":', b"null", b"}\n"]
    if completion is not None:
        status = {"status_code": 200, "request_id": completion.object.get("id")}
        parts[2] = encode(compact_json(status))[:-1] + b',"body":' + completion.line().strip() + b"}"
    if error is not None:
        parts[4] = encode(compact_json(error.as_json()["error"]))
    return b"".join(parts)


_AROUND = 2
"""Levels of a result line around the completion in it."""


def read_result(data: bytes) -> tuple[str | int | None, bool]:
    """Read a result line: its `custom_id`, and whether it answers it; ValueError for what is no result line."""
    value = load_json(data, around=_AROUND)
    if not (isinstance(value, dict) and "custom_id" in value and {"response", "error"} & value.keys()):
        raise ValueError("no result of a batch")
    custom_id, response = value["custom_id"], value.get("response")
    if isinstance(custom_id, bool) or not isinstance(custom_id, (str, int, type(None))):
        raise ValueError("no result of a batch")
    status = response.get("status_code") if isinstance(response, dict) else None
    return custom_id, status == 200 and value.get("error") is None


def begins_result(data: bytes) -> bool:
    """Tell the beginning of what `result_line` gives, however short, from that of anything else."""
    return data[: len(_BEGINNING)] == _BEGINNING[: len(data)]
