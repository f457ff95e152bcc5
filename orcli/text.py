"""Text on its way in and out: strict JSON, UTF-8 whatever the text holds, and what a terminal may be shown."""

from __future__ import annotations

import json
from typing import Any

from orcli.errors import is_control


def load_json(text: str | bytes) -> Any:
    """Parse strict JSON: ValueError for NaN, Infinity, a number beyond a float, and nesting too deep to read."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    def finite(digits: str) -> float:
        number = float(digits)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"{digits} is beyond any number")
        return number

    try:
        return json.loads(text, parse_constant=refuse, parse_float=finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


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


def _shown(character: str) -> str:
    point = ord(character)
    if character in "\n\t":
        return character
    if point < 0x20:
        return f"^{chr(point + 0x40)}"
    if point == 0x7F:
        return "^?"
    return f"\\u{point:04x}"
