"""The form an answer must have: a JSON Schema, or a fenced code block."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orcli.errors import Mismatch, UsageError
from orcli.text import load_json

_KEYWORDS = frozenset({"properties", "items", "$ref", "anyOf", "allOf", "oneOf", "enum", "const", "not"})


def read_schema(text: str, name: str) -> dict[str, Any]:
    """Read a JSON Schema from its text; UsageError says what is wrong with it."""
    try:
        schema = load_json(text)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}; give a JSON Schema object") from None
    return parse_schema(schema, name)


def parse_schema(schema: object, name: str) -> dict[str, Any]:
    """Compile a JSON Schema once to be sure that it is one; UsageError says what is wrong with it."""
    if not isinstance(schema, dict):
        raise UsageError(f"{name} is no JSON Schema: it must be an object")
    wrapped = schema.get("json_schema", schema)
    if isinstance(wrapped, dict) and isinstance(wrapped.get("schema"), dict) and not schema.keys() & _KEYWORDS:
        raise UsageError(
            f"{name} is what goes around a JSON Schema, which would allow anything; give its `schema` alone"
        )
    _validator(schema, name)
    return schema


def _validator(schema: Mapping[str, Any], name: str) -> Any:
    # Imported here: only a request with a schema pays for the validator. It imports decimal by itself at its first use
    # and panics where a signal ends that, so decimal comes first.
    import decimal

    import jsonschema_rs

    del decimal

    try:
        return jsonschema_rs.validator_for(dict(schema), offline=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        message = getattr(error, "message", "") or str(error)
        path = "/".join(str(step) for step in getattr(error, "instance_path", ()) or ())
        place = f" at {path}" if path else ""
        raise UsageError(f"{name} is no JSON Schema: {message}{place}; mend it") from None


def check_answer(text: str, schema: Mapping[str, Any]) -> None:
    """Raise Mismatch, naming the first fault and its place, when an answer does not satisfy a schema."""
    try:
        value = load_json(text)
    except ValueError as error:
        raise Mismatch(f"the answer is not JSON: {error}; try again, or another model") from None
    if (fault := first_fault(value, schema)) is not None:
        raise Mismatch(f"the answer does not satisfy --schema: {fault}; try again, or another model")


def first_fault(value: object, schema: Mapping[str, Any]) -> str | None:
    """Name the first fault of a JSON value and its place; None when it satisfies the schema."""
    try:
        fault = next(_validator(schema, "the schema").iter_errors(value), None)
    except UnicodeEncodeError:
        return "it holds half a surrogate pair, which is no text"
    if fault is None:
        return None
    path = "/".join(str(step) for step in fault.instance_path)
    return f"{fault.message} at {path}" if path else str(fault.message)


_FENCE = re.compile(r"^([ \t]*)(`{3,}(?=[^`\n]*$)|~{3,})[^\n]*$")

_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|[0-9]{1,9}[.)])[ \t]")


def first_code_block(text: str) -> str:
    """Give the inside of the first fenced code block (CommonMark 0.31, section 4.5); Mismatch when there is none.

    A block that is never closed ends with the text. Once a list has begun it may be indented by any amount.
    """
    lines = iter(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text))
    in_list = False
    for line in lines:
        opening = _FENCE.match(line.rstrip("\r\n"))
        if opening is not None and (in_list or len(opening[1].expandtabs(4)) < 4):
            break
        in_list = in_list or _LIST_ITEM.match(line) is not None
    else:
        raise Mismatch("the answer has no fenced code block for -x; ask for one in the prompt")
    indent, fence = len(opening[1]), opening[2]
    closing = re.compile(rf"^[ \t]{{0,{indent + 3}}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    inside = []
    for line in lines:
        if closing.match(line.rstrip("\r\n")):
            break
        inside.append(line[min(indent, len(line) - len(line.lstrip(" \t"))) :])
    return "".join(inside)
