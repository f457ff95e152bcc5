"""The form an answer must have: a JSON Schema, or a fenced code block."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orcli.errors import Mismatch, UsageError
from orcli.text import load_json

_KEYWORDS = frozenset({"properties", "items", "$ref", "anyOf", "allOf", "oneOf", "enum", "const", "not"})


def read_schema(text: str, name: str) -> dict[str, Any]:
    """Read a JSON Schema from its text; UsageError where it cannot be one."""
    try:
        schema = load_json(text)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}; give a JSON Schema object") from None
    return as_schema(schema, name)


def as_schema(schema: object, name: str) -> dict[str, Any]:
    """Take a JSON value for a JSON Schema, not compiled yet; UsageError where it cannot be one."""
    if not isinstance(schema, dict):
        raise UsageError(f"{name} is no JSON Schema: it must be an object")
    wrapped = schema.get("json_schema", schema)
    if isinstance(wrapped, dict) and isinstance(wrapped.get("schema"), dict) and not schema.keys() & _KEYWORDS:
        raise UsageError(
            f"{name} is what goes around a JSON Schema, which would allow anything; give its `schema` alone"
        )
    return schema


_LIMITS = (f"{end}{what}" for end in ("min", "max") for what in ("imum", "Length", "Items", "Properties", "Contains"))
_PLAIN = frozenset(
    {"type", "enum", "const", "required", "dependentRequired", "format"}
    | {"exclusiveMinimum", "exclusiveMaximum", *_LIMITS}
    | {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$comment"}
)
"""Keywords of JSON Schema (2020-12 and before) that hold no schema, and whose check takes no longer than a look.

`multipleOf` is none: between numbers of hundreds of digits it takes 30 µs.
"""
_INSIDE = frozenset(
    {"items", "prefixItems", "additionalItems", "contains", "additionalProperties", "propertyNames"}
    | {"anyOf", "allOf", "oneOf", "not", "if", "then", "else"}
    | {"properties", "dependentSchemas", "$defs", "definitions"}
)
_BY_NAME = frozenset({"properties", "dependentSchemas", "$defs", "definitions"})


def looks_once(schema: Mapping[str, Any]) -> bool:
    """Tell a schema of which each part is held against each part of a value no more than once, and at a glance.

    It has no references, no patterns, no fractions, and nothing whose check repeats another's.
    """
    parts: list[Any] = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            if not part.keys() <= _PLAIN | _INSIDE:
                return False
            for key in part.keys() & _INSIDE:
                inner = part[key]
                parts += inner.values() if key in _BY_NAME and isinstance(inner, dict) else [inner]
    return True


def load_validator() -> None:
    """Import what validates: only a request with a schema pays for it.

    It imports decimal by itself at its first use and panics where a signal ends that, so decimal comes first.
    """
    import decimal

    import jsonschema_rs

    del decimal, jsonschema_rs


def compiled(schema: Mapping[str, Any], name: str) -> Any:
    """Compile a JSON Schema; UsageError says what is wrong with it.

    Time and memory may be exponential in its size: `unevaluatedProperties` under `$ref` is looked through each way.
    """
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(dict(schema), offline=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        message = getattr(error, "message", "") or str(error)
        path = "/".join(str(step) for step in getattr(error, "instance_path", ()) or ())
        place = f" at {path}" if path else ""
        raise UsageError(f"{name} is no JSON Schema: {message}{place}; mend it") from None


def satisfies(value: object, schema: Mapping[str, Any]) -> bool:
    """Tell whether a JSON value satisfies a schema; how long that may take, `looks_once` tells."""
    try:
        return bool(compiled(schema, "the schema").is_valid(value))
    except UnicodeEncodeError:
        return False


def faults(value: object, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield an empty text once a JSON value is known not to satisfy the schema, then the first fault and its place.

    Each may be exponential, the second far sooner: the fault of an `anyOf` holds those of all its branches.
    """
    import jsonschema_rs

    validator = compiled(schema, "the schema")
    try:
        if validator.is_valid(value):
            return
        yield ""
        validator.validate(value)
    except UnicodeEncodeError:
        yield "it holds half a surrogate pair, which is no text"
    except jsonschema_rs.ValidationError as fault:
        path = "/".join(str(step) for step in fault.instance_path)
        yield f"{fault.message} at {path}" if path else str(fault.message)


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
