"""Text on its way in and out: strict JSON, UTF-8 whatever the text holds, and what a terminal may be shown."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from orcli.errors import is_control

COMPACT = (",", ":")
SPACED = (", ", ": ")
"""What separates items, and keys from values."""
_BLOCK = 1 << 16
_DEEPEST = 200
_MOST_DIGITS = 640
"""Any interpreter turns so many into an int, however its limit is set (sys.int_info.str_digits_check_threshold)."""
_TOO_DEEP = "nested too deeply"
_SPACE = re.compile(r"[ \t\n\r]*")


def load_json(text: str | bytes, around: int = 0) -> Any:
    """Parse strict JSON: ValueError for NaN, Infinity, a number beyond a float, and nesting too deep to work with.

    Nesting may be deeper by `around`, the levels that were put around what was parsed before.
    """
    try:
        if isinstance(text, str):
            value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        else:
            # It may be one of many chunks: to make a decoder for each takes half as long as to read it.
            text = text.decode(json.detect_encoding(text), "surrogatepass")
            value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:
        if "set_int_max_str_digits" in str(error):
            raise ValueError("a number of too many digits") from None
        raise
    if text.count("[") + text.count("{") > _DEEPEST:
        _check_depth(value, around)
    return value


def salvage_json(data: bytes) -> Any:
    """Parse what was paid for in spite of bytes that are no UTF-8 and numbers that JSON or orcli cannot hold.

    The bytes become U+FFFD and the numbers null. Raises what `load_json` does for all else.
    """
    text = data.decode("utf-8-sig", "replace")
    try:
        value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite_or_null, parse_int=_short_or_null)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(value)
    return value


def _finite_or_null(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _short_or_null(digits: str) -> int | None:
    return int(digits) if len(digits) < _MOST_DIGITS else None


def load_json_part(text: str, start: int, end: int) -> Any:
    """Parse the strict JSON that a part of a text is, without a copy of that part; ValueError where it is none."""
    try:
        value, stop = _DECODER.raw_decode(text, _after_space(text, start))
        if stop <= end <= _after_space(text, stop):
            _check_depth(value)
            return value
    except (ValueError, RecursionError):
        pass
    return load_json(text[start:end])


def _check_depth(value: Any, around: int = 0) -> None:
    """Raise ValueError for nesting that one interpreter could read and the next could not, nor any write again."""
    level = [value]
    for _ in range(_DEEPEST + around):
        if not level:
            return
        inner: list[Any] = []
        for item in level:
            if isinstance(item, list):
                inner += item
            elif isinstance(item, dict):
                inner += item.values()
        level = inner
    raise ValueError(_TOO_DEEP)


def _after_space(text: str, start: int) -> int:
    space = _SPACE.match(text, start)
    return space.end() if space else start


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is beyond any number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def compact_json(value: Any) -> str:
    """Give a value's JSON on one line, without a space that it does not need."""
    return json.dumps(value, ensure_ascii=False, separators=COMPACT)


def json_blocks(value: Any, separators: tuple[str, str] = COMPACT) -> Iterator[str]:
    """Yield the JSON of a value piece by piece, so that a long text in it is not copied at each step of the way.

    Joined, the pieces are what `json.dumps` gives; none ends between the halves of a surrogate pair. Raises ValueError
    for NaN and infinities.
    """
    yield from _blocks(value, json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=separators))


def _blocks(value: Any, encoder: json.JSONEncoder) -> Iterator[str]:
    if isinstance(value, str) and len(value) > _BLOCK:
        yield '"'
        start = 0
        while start < len(value):
            end = start + _BLOCK
            while "\ud800" <= value[end - 1 : end] <= "\udbff":
                end += 1
            yield encoder.encode(value[start:end])[1:-1]
            start = end
        yield '"'
    elif isinstance(value, dict) and value:
        opening = "{"
        for key, item in value.items():
            yield opening + encoder.encode(key) + encoder.key_separator
            yield from _blocks(item, encoder)
            opening = encoder.item_separator
        yield "}"
    elif isinstance(value, list) and value:
        opening = "["
        for item in value:
            yield opening
            yield from _blocks(item, encoder)
            opening = encoder.item_separator
        yield "]"
    else:
        yield encoder.encode(value)


def encode(text: str) -> bytes:
    """Encode as UTF-8, joining surrogate pairs and replacing lone halves."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("utf-8")


def mended(value: Any) -> Any:
    """Copy a JSON value with its surrogate pairs joined and lone halves replaced, so that it can be sent."""
    if isinstance(value, str):
        return value if value.isascii() else encode(value).decode("utf-8")
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mended(item) for item in value]
    return value


def visible(text: str) -> str:
    """Make control and bidirectional characters visible, as `cat -v` does, but for newline and tab."""
    if text.isprintable():
        return text
    return "".join(_shown(character) if is_control(character) else character for character in text)


def escaped(text: str) -> str:
    """Escape whatever does not show as what it is, line ends too, so that nothing is left out or hidden."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _shown(character: str) -> str:
    point = ord(character)
    if character in "\n\t":
        return character
    if point < 0x20:
        return f"^{chr(point + 0x40)}"
    if point == 0x7F:
        return "^?"
    return f"\\u{point:04x}"
