"""Server-sent events read from blocks of bytes: the lines of the standard, whatever the borders of the blocks."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcli.sse import events

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
ODD = b"\x00\xff\x0b\x0c\x1c\xc2\x85\xe2\x80\xa8x"

Parsed = list[tuple[bytes, bytes]]


def parse(*blocks: bytes) -> Parsed:
    return list(events(blocks))


def one_by_one(stream: bytes) -> Parsed:
    return parse(*(stream[place : place + 1] for place in range(len(stream))))


CASES = [
    pytest.param(b"", [], id="nothing"),
    pytest.param(b"\n\n\n", [], id="blank lines"),
    pytest.param(b"data: a\n\n", [(b"", b"a")], id="one event"),
    pytest.param(b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")], id="two events"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"", b"a"), (b"", b"b")], id="CRLF"),
    pytest.param(b"data: a\r\rdata: b\r\r", [(b"", b"a"), (b"", b"b")], id="CR"),
    pytest.param(b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", [(b"", b"a"), (b"", b"b"), (b"", b"c")], id="mixed ends"),
    pytest.param(b"data: a\n\n\r\n\r\r\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")], id="many mixed blank lines"),
    pytest.param(b"data:a\n\n", [(b"", b"a")], id="no space after the colon"),
    pytest.param(b"data:  a \n\n", [(b"", b" a ")], id="only one space is dropped"),
    pytest.param(b"data: a\ndata: b\n\n", [(b"", b"a\nb")], id="two lines of data"),
    pytest.param(b"data: a\ndata:\ndata: b\n\n", [(b"", b"a\n\nb")], id="an empty line of data among others"),
    pytest.param(b"data:\n\n", [(b"", b"")], id="empty data"),
    pytest.param(b"data\n\ndata\ndata\n\n", [(b"", b""), (b"", b"\n")], id="a field without a colon"),
    pytest.param(b": a comment\n\n", [], id="a comment"),
    pytest.param(b":\n: \n:data: a\n\n", [], id="comments of every kind"),
    pytest.param(b"data: a\n: a comment\ndata: b\n\n", [(b"", b"a\nb")], id="a comment inside an event"),
    pytest.param(b": OPENROUTER PROCESSING\n\ndata: a\n\n", [(b"", b"a")], id="a keep-alive and an event"),
    pytest.param(b"event: error\ndata: a\n\n", [(b"error", b"a")], id="a name"),
    pytest.param(b"data: a\nevent: error\n\ndata: b\n\n", [(b"error", b"a"), (b"", b"b")], id="a name for one event"),
    pytest.param(b"event: error\n\ndata: a\n\n", [(b"", b"a")], id="a name without data is forgotten"),
    pytest.param(b"event: a\nevent: b\ndata: c\n\n", [(b"b", b"c")], id="the last name counts"),
    pytest.param(b"id: 7\nretry: 10\ndatum: x\n data: y\nDATA: z\ndata: a\n\n", [(b"", b"a")], id="other fields"),
    pytest.param(b"id: 7\n\n", [], id="an event without data"),
    pytest.param(b"data: a", [(b"", b"a")], id="an unfinished line"),
    pytest.param(b"data: a\n", [(b"", b"a")], id="an unfinished event"),
    pytest.param(b"data: a\n\nevent: x\ndata: b\ndata: c", [(b"", b"a"), (b"x", b"b\nc")], id="unfinished, two lines"),
    pytest.param(b"data: a\n\nda", [(b"", b"a")], id="an unfinished field name"),
    pytest.param(BYTE_ORDER_MARK + b"data: a\n\n", [(b"", b"a")], id="a byte order mark"),
    pytest.param(BYTE_ORDER_MARK, [], id="a byte order mark alone"),
    pytest.param(b"\xef\xbbdata: a\n\ndata: b\n\n", [(b"", b"b")], id="half a byte order mark"),
    pytest.param(b"data: a" + BYTE_ORDER_MARK + b"\n\n", [(b"", b"a" + BYTE_ORDER_MARK)], id="a later mark is data"),
    pytest.param(b"data: " + ODD + b"\n\n", [(b"", ODD)], id="no other byte ends a line"),
]


@pytest.mark.parametrize(("stream", "expected"), CASES)
def test_a_stream_gives_its_events(stream: bytes, expected: Parsed) -> None:
    assert parse(stream) == expected


@pytest.mark.parametrize(("stream", "expected"), CASES)
def test_a_stream_that_comes_byte_by_byte_gives_the_same_events(stream: bytes, expected: Parsed) -> None:
    assert one_by_one(stream) == expected


@pytest.mark.parametrize(("stream", "expected"), CASES)
def test_a_stream_in_any_two_blocks_gives_the_same_events(stream: bytes, expected: Parsed) -> None:
    for border in range(len(stream) + 1):
        assert parse(stream[:border], stream[border:]) == expected, border


PIECES = [
    *[b"data: ", b"data:", b"data", b"event: error", b"event:", b": comment", b"id: 1", b"{}", b"[DONE]", b"a"],
    *[b" ", b":", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", BYTE_ORDER_MARK, b"\xef", b"\x00", "ü😀".encode()],
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join), st.lists(st.integers(0, 120), max_size=12))
def test_the_borders_of_the_blocks_change_nothing(stream: bytes, cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    blocks = [stream[start:end] for start, end in itertools.pairwise(borders)]

    assert parse(*blocks) == parse(stream)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=12))
def test_any_bytes_at_all_are_read_without_an_error(blocks: list[bytes]) -> None:
    assert parse(*blocks) == parse(b"".join(blocks))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6),
    st.sampled_from([b"\n", b"\r", b"\r\n"]),
    st.integers(1, 40),
)
def test_json_that_was_framed_comes_out_as_it_went_in(objects: list[dict[str, str]], end: bytes, size: int) -> None:
    payloads = [json.dumps(value, ensure_ascii=value == {}).encode("utf-8", "surrogatepass") for value in objects]
    stream = b"".join(b": keep-alive" + end * 2 + b"data: " + payload + end * 2 for payload in payloads)
    blocks = [stream[place : place + size] for place in range(0, len(stream), size)]

    assert parse(*blocks) == [(b"", payload) for payload in payloads]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n"], ids=["LF", "CR", "CRLF"])
def test_an_event_is_given_as_soon_as_its_blank_line_is_there(end: bytes) -> None:
    taken: list[bytes] = []

    def blocks() -> Iterator[bytes]:
        for block in (b"data: a" + end, b"data: b" + end):
            taken.append(block)
            yield block

    assert next(events(blocks())) == (b"", b"a")
    assert len(taken) == 1


def allocated(blocks: Iterable[bytes]) -> int:
    """Sum up the bytes that are allocated while a stream is read, those that are given back at once too."""
    total = before = 0

    def count() -> None:
        nonlocal total, before
        now, peak = tracemalloc.get_traced_memory()
        total += peak - before
        before = now
        tracemalloc.reset_peak()

    def counting() -> Iterator[bytes]:
        for block in blocks:
            count()
            yield block

    tracemalloc.start()
    try:
        for _ in events(counting()):
            count()
        count()
    finally:
        tracemalloc.stop()
    return total


@pytest.mark.parametrize("size", [64, 4096, 1 << 20])
def test_a_megabyte_long_line_is_copied_a_few_times_whatever_the_size_of_the_blocks(size: int) -> None:
    blocks = [b"data: ", *[b"x" * size] * ((1 << 20) // size), b"\n\n"]
    [(_, data)] = events(blocks)

    assert len(data) == 1 << 20
    assert allocated(blocks) < 16 << 20


def test_many_short_lines_in_one_block_are_copied_a_few_times() -> None:
    line = b"data: a few words of text\n\n"
    whole = line * 20_000

    assert allocated([whole]) < 12 * len(whole)
