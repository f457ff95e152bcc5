"""The parts of a batch on their own: lines, records, ids, and the pace that all requests share."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcli import lines
from orcli.answer import Completion
from orcli.errors import OrcliError, Refused, UsageError
from orcli.lines import read_lines
from orcli.pace import Pace
from orcli.records import Defaults, custom_id_of, make_job, read_line, read_result, result_line
from orcli.results import Ids

DEFAULTS = Defaults(("a/b",), system="Be brief.")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["custom_id", "body", "messages", "role", "content", "model", "method", "url", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def split(pieces: list[bytes]) -> list[bytes | None]:
    """Read what a pipe gives in these pieces."""

    async def collect() -> list[bytes | None]:
        return [line async for line in lines._split(lines._without_mark(arriving()))]

    async def arriving() -> Any:
        for piece in pieces:
            yield piece

    return asyncio.run(collect())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"a\nb\n", [b"a", b"b"], id="lines"),
        pytest.param(b"a\nb", [b"a", b"b"], id="no last newline"),
        pytest.param(b"a\r\n\r\nb\n", [b"a", b"", b"b"], id="CR LF and an empty line"),
        pytest.param(b"\xef\xbb\xbfa\n", [b"a"], id="byte order mark"),
        pytest.param(b"\xef\xbb", [b"\xef\xbb"], id="half a byte order mark"),
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\n", [b""], id="an empty line"),
    ],
)
def test_lines_are_the_same_wherever_the_input_is_cut(data: bytes, expected: list[bytes]) -> None:
    for place in range(len(data) + 1):
        assert split([piece for piece in (data[:place], data[place:]) if piece]) == expected
    assert split([data[place : place + 1] for place in range(len(data))]) == expected


def test_a_line_that_is_too_long_is_none_and_the_next_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 5)

    for size in range(1, 20):
        data = b"12345\n123456\nab\n1234567"
        assert split([data[at : at + size] for at in range(0, len(data), size)]) == [b"12345", None, b"ab", None]


def test_a_pipe_and_files_are_read_one_after_the_other(tmp_path: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"c\nd")

    async def collect() -> list[bytes | None]:
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(None, (tmp_path / "pipe").write_bytes, b"a\nb")
        names = [str(tmp_path / "pipe"), str(tmp_path / "file")]
        found = [line async for line in read_lines(names, lambda: None)]
        await writing
        return found

    assert asyncio.run(collect()) == [b"a", b"b", b"c", b"d"]


@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
@settings(deadline=None, max_examples=300)
def test_a_line_of_any_bytes_is_a_job_or_a_usage_error(data: bytes) -> None:
    for prompt in (None, "Translate:"):
        defaults = Defaults(("a/b",), prompt=prompt)
        try:
            value = read_line(data, defaults)
            job = make_job(value, 1, custom_id_of(value, 1), defaults)
        except UsageError:
            continue
        assert json.loads(job.body)["messages"]
        assert json.loads(job.as_line())["body"] == json.loads(job.body)


@given(
    st.text(max_size=10) | st.integers(),
    st.none() | st.text(max_size=20),
    st.none() | st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
)
@settings(deadline=None, max_examples=200)
def test_a_result_is_one_line_that_reads_back(
    custom_id: str | int, message: str | None, answer: dict[str, Any] | None
) -> None:
    error = None if message is None else Refused(f"{message}; change the prompt")
    completion = None if answer is None else Completion(answer, json.dumps(answer, indent=1).encode())

    data = result_line(3, custom_id, completion, error)

    value = json.loads(data)
    assert data.count(b"\n") == 1
    assert set(value) == {"id", "custom_id", "response", "error"}
    assert (value["response"] and value["response"]["body"]) == answer
    assert (value["error"] is None) == (error is None)
    if isinstance(custom_id, int) or custom_id.isprintable():
        assert read_result(data) == (custom_id, completion is not None and error is None)


@pytest.mark.parametrize("data", [b"", b"1", b"{}", b'{"custom_id": "a"}', b'{"custom_id": [], "error": null}', b"{"])
def test_what_is_no_result_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_result(data)


@given(st.lists(st.tuples(st.integers(0, 3000) | st.text(max_size=2), st.sampled_from("sya")), max_size=400))
@settings(deadline=None, max_examples=60)
def test_ids_are_known_as_a_dictionary_would_know_them(steps: list[tuple[int | str, str]]) -> None:
    ids, seen, answered = Ids(), set(), {}

    for custom_id, step in steps:
        if step == "s":
            assert ids.see(custom_id) == (custom_id not in seen)
            seen.add(custom_id)
        else:
            ids.answer(custom_id, step == "y")
            answered[custom_id] = step == "y"
        assert ids.answered(custom_id) == answered.get(custom_id, False)


def test_ids_stay_known_while_their_table_grows() -> None:
    ids = Ids()

    assert all(ids.see(f"id-{number}") for number in range(20_000))
    for number in range(0, 20_000, 2):
        ids.answer(f"id-{number}", True)

    assert not any(ids.see(f"id-{number}") for number in range(20_000))
    assert [ids.answered(f"id-{number}") for number in range(4)] == [True, False, True, False]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_refusals_halves_the_limit_once_and_answers_raise_it_again() -> None:
    clock = Clock()
    pace = Pace(16, clock)

    clock.now += 1
    waits = [pace.slow_down(100.0, None) for _ in range(10)]
    assert pace.limit == 8
    assert all(0.3 < wait <= 0.5 for wait in waits)
    clock.now += 1
    assert 0.7 < pace.slow_down(101.5, None) <= 1.0
    assert pace.limit == 4
    for _ in range(20):
        pace.speed_up()
    assert pace.limit == 16


def test_what_the_server_asks_for_is_what_all_wait() -> None:
    clock = Clock()
    pace = Pace(4, clock)

    assert pace.slow_down(100.0, 30.0) == 30.0
    clock.now += 10
    assert pace.delay() == 20.0
    assert pace.slow_down(100.0, 5.0) == 20.0
    assert pace.slow_down(100.0, 60.0) == 60.0
    clock.now += 60
    assert pace.delay() == 0.0


def test_turns_are_given_first_come_first_served_and_no_more_than_the_limit() -> None:
    async def run() -> list[int]:
        pace, order, running = Pace(2), [], 0

        async def work(number: int) -> None:
            nonlocal running
            assert await pace.begin() is not None
            running += 1
            assert running <= 2
            order.append(number)
            await asyncio.sleep(0)
            running -= 1
            pace.end()

        await asyncio.gather(*(work(number) for number in range(20)))
        return order

    assert asyncio.run(run()) == list(range(20))


def test_a_closed_pace_gives_no_turn_and_ends_every_wait() -> None:
    async def run() -> list[float | None]:
        pace = Pace(1)
        await pace.begin()
        waiting = [asyncio.create_task(pace.begin()) for _ in range(3)]
        pausing = asyncio.create_task(pace.pause(1000))
        await asyncio.sleep(0)
        pace.close()
        await asyncio.wait_for(pausing, 5)
        return [await asyncio.wait_for(task, 5) for task in waiting] + [await pace.begin()]

    assert asyncio.run(run()) == [None] * 4


def test_an_error_of_the_api_stands_in_the_result_as_it_came() -> None:
    failure = OrcliError("400: bad; change the request", error={"code": 400, "message": "bad", "metadata": {"a": 1}})

    assert json.loads(result_line(1, "a", None, failure))["error"] == {
        "code": 400,
        "message": "bad",
        "metadata": {"a": 1},
    }
