"""The request body, a plain dict in the API's own words from the moment it is built."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from orcli.errors import UsageError
from orcli.text import json_blocks, load_json

RESERVED_PARAMETERS = ("model", "messages", "stream")
SCHEMA_NAME = "answer"


def build_request(
    models: Sequence[str], messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Put a request together: the first of `models` is `model`, the rest are `models`, the fallbacks."""
    request: dict[str, Any] = {"model": models[0]}
    if len(models) > 1:
        if "models" in parameters:
            raise UsageError("-m given more than once and -p models contradict each other; use one")
        request["models"] = list(models[1:])
    return {**request, "messages": list(messages), **parameters}


def parse_parameters(
    assignments: Sequence[str], *, max_tokens: int | None, temperature: float | None, schema: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Merge `-p KEY=VALUE` with the options that set a request field; UsageError where two set the same one."""
    parameters: dict[str, Any] = {}
    named: dict[str, tuple[str, Any]] = {
        "max_tokens": ("--max-tokens", max_tokens),
        "temperature": ("--temperature", temperature),
        "response_format": ("--schema", None if schema is None else response_format(schema)),
    }
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        path = key.split(".")
        if not equals:
            raise UsageError(f"-p {assignment!r} has no '='; give KEY=VALUE")
        if not all(path):
            raise UsageError(f"-p {assignment!r} has an empty name; give KEY=VALUE, dots nest")
        if path[0] in RESERVED_PARAMETERS:
            raise UsageError(f"-p cannot set {path[0]!r}; that is what the command's own options are for")
        if path[0] in named and named[path[0]][1] is not None:
            raise UsageError(f"-p {key} and {named[path[0]][0]} contradict each other; use one")
        _assign(parameters, path, parse_value(text), key)
    for field, (_, value) in named.items():
        if value is not None:
            parameters[field] = value
    return parameters


def parse_value(text: str) -> Any:
    """Read a parameter's value: JSON, else the string itself; UsageError for a number JSON cannot hold."""
    try:
        json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        pass
    try:
        return load_json(text)
    except ValueError as error:
        raise UsageError(f"-p value cannot be sent: {error}; change it") from None


def _assign(parameters: dict[str, Any], path: Sequence[str], value: Any, key: str) -> None:
    target = parameters
    for name in path[:-1]:
        target = target.setdefault(name, {})
        if not isinstance(target, dict):
            raise UsageError(f"-p {key} contradicts an earlier -p that gives {name!r} a value; use one")
    if path[-1] in target:
        raise UsageError(f"-p {key} is given twice; use one")
    target[path[-1]] = value


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap a JSON Schema as the API wants it."""
    return {"type": "json_schema", "json_schema": {"name": SCHEMA_NAME, "strict": True, "schema": schema}}


def encode_request(request: Mapping[str, Any]) -> bytes:
    """Encode a request as the bytes that are sent; UsageError for what JSON or UTF-8 cannot carry."""
    body = BytesIO()
    try:
        for block in json_blocks(request):
            body.write(block.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the request holds half a surrogate pair (U+{ord(error.object[error.start]):04X}), which is no text; "
            "mend the messages"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the request cannot be sent as JSON: {error}; change it") from None
    return body.getvalue()
