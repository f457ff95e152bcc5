"""Hostile values: JSON with a wrong type in any one place, and what every run must keep to whatever it meets.

`ORCLI_TEST_THOROUGH=1` tries them all, which takes minutes; else it is one in eleven, the same each time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, Final, TypeVar

from tests.command import Result

T = TypeVar("T")

THOROUGHNESS: Final = 10 if os.environ.get("ORCLI_TEST_THOROUGH") else 1
_STEP: Final = 1 if THOROUGHNESS > 1 else 11
"""A prime, so that each place gets other values."""

Place = tuple[str | int, ...]
"""Keys and indices from the top of a JSON value down."""

MISSING: Final = object()
"""In the place of a value: no member at all."""

WRONG: Final[tuple[Any, ...]] = (
    MISSING,
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    "",
    "x",
    "\ud800\x00\x1b[31m",
    [],
    [None],
    [[]],
    {},
    {"x": {}},
    [{"x": 1}, "x"],
)


def places(value: Any, start: Place = ()) -> Iterator[Place]:
    """Yield the place of every value in a JSON value, the whole first."""
    yield start
    if isinstance(value, dict):
        for key, member in value.items():
            yield from places(member, (*start, key))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from places(member, (*start, index))


def replaced(value: Any, place: Place, wrong: Any) -> Any:
    """Copy a JSON value with another value in one place."""
    if not place:
        return None if wrong is MISSING else wrong
    copy = deepcopy(value)
    holder = copy
    for key in place[:-1]:
        holder = holder[key]
    if wrong is MISSING:
        del holder[place[-1]]
    else:
        holder[place[-1]] = wrong
    return copy


def wrong_anywhere(value: Any) -> list[tuple[Place, Any, Any]]:
    """Give each place, what is put there, and the whole with it."""
    return [(place, wrong, replaced(value, place, wrong)) for place in places(value) for wrong in WRONG]


def some(cases: Sequence[T]) -> Sequence[T]:
    """Give one in eleven cases; all where that is asked for."""
    return cases[::_STEP]


def encoded(value: Any) -> bytes:
    """Write JSON, lone surrogates as escapes."""
    return json.dumps(value).encode()


def faults(result: Result, codes: Sequence[int]) -> list[str]:
    """Say what about a run no input whatever may bring about; nothing when it kept to the contract."""
    lines = result.stderr.splitlines()
    found = []
    if result.code not in codes:
        found.append(f"exit code {result.code}")
    if "internal error" in result.stderr or "Traceback" in result.stderr:
        found.append("a bug")
    if not all(line.startswith("orcli: ") for line in lines):
        found.append("a line on stderr that is not orcli's")
    said = sum(not line.startswith("orcli: warning: ") for line in lines)
    if "-v" not in result.arguments and said != (result.code != 0):
        found.append("not one line for the failure")
    if result.stderr.removesuffix("\n").count("\n") != max(len(lines) - 1, 0) or "\x1b" in result.stderr:
        found.append("something raw on stderr")
    return found
