"""JSON in and out without a copy at each step: the same as by the plain way, whatever the length."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcli.text import COMPACT, SPACED, encode, json_blocks, load_json, load_json_part

HALVES = "\ud83d\ude00"
LONG = 70_000
CHARACTERS = st.characters() | st.sampled_from('"\\/\b\f\n\r\t\x00\x1f\x7f\u2028äß€😀' + HALVES)
TEXT = st.text(CHARACTERS, max_size=8)
LONG_TEXT = st.builds(
    lambda before, unit, after: before + unit * (LONG // len(unit)) + after,
    st.text(CHARACTERS, max_size=3),
    st.text(CHARACTERS, min_size=1, max_size=5),
    TEXT,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT | LONG_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=100)
@given(VALUES, st.sampled_from([COMPACT, SPACED]))
def test_blocks_joined_are_what_json_dumps_gives(value: Any, separators: tuple[str, str]) -> None:
    blocks = list(json_blocks(value, separators))

    expected = json.dumps(value, ensure_ascii=False, separators=separators)
    assert "".join(blocks) == expected
    assert b"".join(map(encode, blocks)) == encode(expected)


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("halves", [HALVES, "\ud83d" + HALVES, HALVES * 2, "\ud83d" * 3, "\ude00\ud83d"])
def test_no_block_ends_within_a_surrogate_pair(before: int, halves: str) -> None:
    text = "x" * ((1 << 16) - before) + halves + "y"

    assert b"".join(map(encode, json_blocks(text))) == encode(json.dumps(text, ensure_ascii=False))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}], ids=str)
def test_what_json_has_no_word_for_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        list(json_blocks(value))


def test_no_block_is_long() -> None:
    blocks = json_blocks({"a": ["\x00" * 1_000_000, {"b": "ä" * 1_000_000}]})

    assert max(map(len, blocks)) <= 6 << 16


LINES = st.text(st.sampled_from('[]{}",:.-\\\t\r \u00a0\x0b0123456789eEtrunflasN'), max_size=12) | VALUES.map(
    json.dumps
)


@settings(deadline=None, max_examples=200)
@given(LINES, LINES, LINES)
def test_a_part_is_read_as_if_it_stood_alone(before: str, part: str, after: str) -> None:
    text = f"{before}\n{part}\n{after}"
    start = len(before) + 1

    def outcome(read: Any, *arguments: Any) -> tuple[Any, str]:
        try:
            return read(*arguments), ""
        except ValueError as error:
            return None, str(error)

    assert outcome(load_json_part, text, start, start + len(part)) == outcome(load_json, part)
