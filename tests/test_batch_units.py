"""The parts of a batch alone: lines from descriptors, requests from lines, result lines, known ids, and the pace."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import os
import stat
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcli import lines as lines_module
from orcli.answer import Completion, parse_completion
from orcli.errors import Failed, Incomplete, OrcliError, UsageError
from orcli.lines import read_lines
from orcli.pace import Pace
from orcli.records import Defaults, Job, begins_result, custom_id_of, make_job, read_line, read_result, result_line
from orcli.results import Ids, ResultFile, open_results

T = TypeVar("T")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DEFAULTS = Defaults(("a/b",))
CUSTOM_IDS = st.one_of(st.text(min_size=1), st.integers())
NAMES = st.sampled_from(["messages", "body", "custom_id", "model", "url", "method", "stream", "response_format", "x"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
"""What JSON can hold, and more: NaN."""


def run(work: Awaitable[T]) -> T:
    """Run to the end, or fail after 20 s."""

    async def limited() -> T:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(limited())


async def all_lines(names: Sequence[str]) -> list[bytes | None]:
    return [line async for line in read_lines(names, lambda: None)]


def lines_of(directory: Path, content: bytes) -> list[bytes | None]:
    path = directory / "lines"
    path.write_bytes(content)
    return run(all_lines([str(path)]))


def fed(pieces: Sequence[bytes], monkeypatch: pytest.MonkeyPatch) -> list[bytes | None]:
    """Read lines from a pipe in which each piece is written when the one before it has been read."""
    reader, writer = os.pipe()
    monkeypatch.setattr(lines_module, "STDIN", reader)

    async def feed() -> None:
        waiting = bytearray(4)
        for piece in pieces:
            os.write(writer, piece)
            while fcntl.ioctl(reader, 0x541B, waiting) == 0 and int.from_bytes(waiting, "little"):
                await asyncio.sleep(0)
        os.close(writer)

    async def both() -> list[bytes | None]:
        read, _ = await asyncio.gather(all_lines(["-"]), feed())
        return read

    try:
        return run(both())
    finally:
        os.close(reader)


CONTENTS = [
    pytest.param(b"", [], id="nothing"),
    pytest.param(b"\n", [b""], id="an empty line"),
    pytest.param(b"a", [b"a"], id="no newline at the end"),
    pytest.param(b"a\nb\n", [b"a", b"b"], id="LF"),
    pytest.param(b"a\r\nb\r\n", [b"a", b"b"], id="CR LF"),
    pytest.param(b"a\r\r\nb\rc\n\r", [b"a\r", b"b\rc", b"\r"], id="a CR that ends no line"),
    pytest.param(b"\n\na\n\n", [b"", b"", b"a", b""], id="empty lines count"),
    pytest.param(BYTE_ORDER_MARK + b"a\nb", [b"a", b"b"], id="byte order mark"),
    pytest.param(BYTE_ORDER_MARK, [], id="only a byte order mark"),
    pytest.param(BYTE_ORDER_MARK[:2], [BYTE_ORDER_MARK[:2]], id="the beginning of a byte order mark"),
    pytest.param(BYTE_ORDER_MARK[:2] + b"\nb", [BYTE_ORDER_MARK[:2], b"b"], id="the beginning of one, and a line"),
    pytest.param(2 * BYTE_ORDER_MARK + b"a", [BYTE_ORDER_MARK + b"a"], id="only the first is a mark"),
    pytest.param(b"a\n" + BYTE_ORDER_MARK + b"b", [b"a", BYTE_ORDER_MARK + b"b"], id="a mark is only at the beginning"),
    pytest.param(b"\0\xff\x85\x0b\x0c\x1c\n\xe2\x80\xa8", [b"\0\xff\x85\x0b\x0c\x1c", b"\xe2\x80\xa8"], id="odd bytes"),
]


class TestLines:
    @pytest.mark.parametrize(("content", "expected"), CONTENTS)
    def test_a_file(self, content: bytes, expected: list[bytes], tmp_path: Path) -> None:
        assert lines_of(tmp_path, content) == expected

    @pytest.mark.parametrize(("content", "expected"), CONTENTS)
    def test_a_pipe_that_is_cut_anywhere(
        self, content: bytes, expected: list[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for place in range(len(content)):
            assert fed([content[:place], content[place:]], monkeypatch) == expected
        assert fed([content[place : place + 1] for place in range(len(content))], monkeypatch) == expected

    def test_a_line_may_be_longer_than_what_is_read_at_once(self, tmp_path: Path) -> None:
        lines = [b"x" * size for size in (65_535, 65_536, 65_537, 1_000_000)]

        assert lines_of(tmp_path, b"\n".join(lines)) == lines

    @pytest.mark.parametrize("end", [b"", b"\n", b"\nnext", b"\nnext\n"])
    @pytest.mark.parametrize("beginning", [b"", b"before\n"])
    def test_of_a_line_that_is_too_long_none_is_kept(
        self, beginning: bytes, end: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines_module, "LONGEST", 10)
        before, after = ([b"before"] if beginning else []), ([b"next"] if end.strip() else [])

        assert lines_of(tmp_path, beginning + b"x" * 10 + end) == [*before, b"x" * 10, *after]
        assert lines_of(tmp_path, beginning + b"x" * 11 + end) == [*before, None, *after]
        assert lines_of(tmp_path, beginning + b"x" * 200_000 + end) == [*before, None, *after]

    def test_files_follow_each_other_and_each_ends_its_last_line(self, tmp_path: Path) -> None:
        contents = [b"a\nb", b"", BYTE_ORDER_MARK + b"c", b"d\n"]
        names = [str(tmp_path / f"file{number}") for number, _ in enumerate(contents)]
        for name, content in zip(names, contents, strict=True):
            Path(name).write_bytes(content)

        assert run(all_lines(names)) == [b"a", b"b", b"c", b"d"]

    def test_no_descriptor_is_left_open(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"a\n")
        before = os.listdir("/proc/self/fd")

        run(all_lines([str(tmp_path / "file")] * 3))

        assert os.listdir("/proc/self/fd") == before

    def test_other_work_goes_on_while_a_named_pipe_has_no_writer_yet(self, tmp_path: Path) -> None:
        name = str(tmp_path / "pipe")
        os.mkfifo(name)

        async def write() -> None:
            # A named pipe opens for writing without a wait only once it is being opened for reading.
            while True:
                try:
                    descriptor = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
                except OSError:
                    await asyncio.sleep(0)
                    continue
                os.write(descriptor, b"a\nb")
                os.close(descriptor)
                return

        async def both() -> list[bytes | None]:
            read, _ = await asyncio.gather(all_lines([name]), write())
            return read

        assert run(both()) == [b"a", b"b"]

    def test_silence_is_told_once_and_only_where_there_is_some(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lines_module, "SILENT_SECONDS", 0.01)
        reader, writer = os.pipe()
        monkeypatch.setattr(lines_module, "STDIN", reader)
        told: list[str] = []

        async def read() -> None:
            source = read_lines(["-"], lambda: told.append("silent"))
            first = asyncio.ensure_future(anext(source))
            while not told:
                await asyncio.sleep(0)
            os.write(writer, b"a\n")
            assert await first == b"a"
            second = asyncio.ensure_future(anext(source))
            await asyncio.sleep(0.05)
            os.write(writer, b"b\n")
            assert await second == b"b"

        run(read())
        os.close(reader)
        os.close(writer)

        assert told == ["silent"]

    def test_what_cannot_be_read_is_a_usage_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as raised:
            run(all_lines([str(tmp_path / "none")]))

        assert raised.value.message == f"cannot read {tmp_path / 'none'}: No such file or directory; check the path"


def job(value: Any, defaults: Defaults = DEFAULTS) -> Job:
    """Make the job of a first line."""
    return make_job(value, 1, custom_id_of(value, 1), defaults)


def refusal(function: Callable[[], object]) -> str:
    """Give what a line is refused for."""
    with pytest.raises(UsageError) as raised:
        function()
    return raised.value.message


HI = [{"role": "user", "content": "hi"}]
NO_MESSAGES: list[Any] = [None, [], {}, "hi", [7], [HI[0], "hi"]]


class TestRequests:
    def test_the_batch_form_a_bare_body_and_a_prompt_ask_the_same(self) -> None:
        body = b'{"model":"a/b","messages":[{"role":"user","content":"hi"}]}'

        for value in ({"body": {"messages": HI}}, {"messages": HI}, {"custom_id": "x", "messages": HI}, "hi"):
            assert job(value).body == body

    @pytest.mark.parametrize(
        "url", ["/v1/chat/completions", "/chat/completions", "https://api.openai.com/v1/chat/completions"]
    )
    def test_a_file_for_another_server_s_batches_is_one_for_ours(self, url: str) -> None:
        line = {"custom_id": "r-1", "method": "POST", "url": url, "body": {"model": "gpt-4o", "messages": HI}}

        made = job(line)

        assert (made.custom_id, made.model) == ("r-1", "gpt-4o")
        assert json.loads(made.body) == line["body"]

    @pytest.mark.parametrize("url", ["/v1/embeddings", "/v1/completions", "/v1/chat/completions/", "", 7, None, ["x"]])
    def test_another_url_is_refused(self, url: object) -> None:
        message = refusal(lambda: job({"url": url, "body": {"messages": HI}}))

        assert message == f"url {url!r} is not /v1/chat/completions; orcli makes chat completions only"

    @pytest.mark.parametrize("given", ["x", "é", " ", 0, -1, 10**300])
    def test_an_id_is_kept_as_it_is(self, given: str | int) -> None:
        assert custom_id_of({"custom_id": given}, 5) == given

    @pytest.mark.parametrize("value", ["text", {}, {"custom_id": None}, 7, None, []], ids=repr)
    def test_without_an_id_the_number_is_one(self, value: object) -> None:
        assert custom_id_of(value, 5) == "5"

    @pytest.mark.parametrize("given", ["", True, False, 1.0, [], {}], ids=repr)
    def test_an_id_is_text_or_a_whole_number(self, given: object) -> None:
        message = refusal(lambda: custom_id_of({"custom_id": given}, 5))

        assert message == "custom_id is neither text nor a whole number; change it"

    def test_an_id_that_no_file_can_keep_is_refused(self) -> None:
        message = refusal(lambda: custom_id_of({"custom_id": "a\ud800"}, 5))

        assert message == "custom_id holds half a surrogate pair, which is no text; change it"

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            pytest.param({"model": ""}, "model is no text; give a model id", id="empty model"),
            pytest.param({"model": 7}, "model is no text; give a model id", id="model is a number"),
            pytest.param({"stream": True}, "stream has no place in a batch; leave it out", id="stream"),
            pytest.param({"stream": 1}, "stream has no place in a batch; leave it out", id="stream is 1"),
            pytest.param(
                {"response_format": {"type": "json_schema", "json_schema": {"schema": 7}}},
                "response_format is no JSON Schema: it must be an object",
                id="schema is a number",
            ),
            *(
                pytest.param({"messages": value}, "messages is no list of messages; give at least one", id=repr(value))
                for value in NO_MESSAGES
            ),
        ],
    )
    def test_a_field_of_another_type_is_refused(self, body: dict[str, Any], message: str) -> None:
        assert refusal(lambda: job({"body": {"messages": HI, **body}})) == message

    @pytest.mark.parametrize("value", [False, None])
    def test_a_stream_that_is_not_wanted_is_no_fault(self, value: object) -> None:
        assert json.loads(job({"messages": HI, "stream": value}).body)["stream"] is value

    @pytest.mark.parametrize(
        ("models", "own", "asked"),
        [
            pytest.param(("a/b",), {}, {"model": "a/b"}, id="one default"),
            pytest.param(("a/b", "c/d"), {}, {"model": "a/b", "models": ["c/d"]}, id="with fallbacks"),
            pytest.param(("a/b", "c/d"), {"model": "x/y"}, {"model": "x/y"}, id="own model has no fallbacks"),
            pytest.param(
                ("a/b", "c/d"), {"models": ["x/y"]}, {"model": "a/b", "models": ["x/y"]}, id="own fallbacks stand"
            ),
        ],
    )
    def test_the_model_is_the_line_s_or_the_default(
        self, models: tuple[str, ...], own: dict[str, Any], asked: dict[str, Any]
    ) -> None:
        made = job({"messages": HI, **own}, Defaults(models))

        assert json.loads(made.body) == {**asked, "messages": HI}
        assert made.model == asked["model"]

    @pytest.mark.parametrize(
        ("default", "own"), [("local/smollm2", "a/b"), ("a/b", "local/smollm2"), ("local/smollm2", "local/b.gguf")]
    )
    def test_a_batch_is_answered_in_one_place(self, default: str, own: str) -> None:
        message = refusal(lambda: job({"messages": HI, "model": own}, Defaults((default,))))

        assert message == f"a batch is answered by one local model or by OpenRouter; give -m {own}"

    def test_what_a_line_says_stands_and_the_rest_is_filled_up(self) -> None:
        defaults = Defaults(("a/b",), "Be brief.", {"top_k": 1, "reasoning": {"effort": "low"}})
        own = {"role": "system", "content": "own"}

        filled = job({"messages": HI}, defaults)
        kept = job({"messages": [own, *HI], "reasoning": {"max_tokens": 5}}, defaults)

        brief = {"role": "system", "content": "Be brief."}
        assert json.loads(filled.body) == {"model": "a/b", "messages": [brief, *HI], **defaults.parameters}
        assert json.loads(kept.body) == {
            "model": "a/b",
            "messages": [own, *HI],
            "top_k": 1,
            "reasoning": {"max_tokens": 5},
        }

    @pytest.mark.parametrize(("prompt", "gap"), [("P", "\n\n"), ("P\n", "\n")])
    def test_a_plain_line_follows_the_prompt_after_a_blank_line(self, prompt: str, gap: str) -> None:
        defaults = Defaults(("a/b",), prompt=prompt)

        value = read_line(b' {"a": 1} \\u00e9 ', defaults)

        assert json.loads(job(value, defaults).body)["messages"][0]["content"] == prompt + gap + ' {"a": 1} \\u00e9 '

    def test_tools_and_a_schema_of_the_line_are_known(self) -> None:
        schema = {"type": "object"}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

        plain = job({"messages": HI, "response_format": {"type": "json_object"}, "tools": []})
        made = job({"messages": HI, "response_format": form, "tools": [{"type": "function"}]})

        assert (plain.schema, plain.tools) == (None, False)
        assert (made.schema, made.tools) == (schema, True)

    def test_the_line_of_a_job_asks_the_same_again(self) -> None:
        first = job({"custom_id": "é", "messages": HI, "top_k": 2.0}, Defaults(("a/b", "c/d"), "s", {"seed": 1}))

        again = make_job(read_line(first.as_line().rstrip(b"\n"), DEFAULTS), 1, "é", DEFAULTS)

        assert (json.loads(again.body), again.custom_id) == (json.loads(first.body), "é")

    @given(st.one_of(st.binary(max_size=50), VALUES.map(lambda value: json.dumps(value).encode())))
    @settings(max_examples=150, deadline=None)
    def test_whatever_a_line_holds_it_is_a_job_or_a_usage_error(self, data: bytes) -> None:
        try:
            made = job(read_line(data, DEFAULTS))
        except UsageError:
            return
        assert json.loads(made.as_line())["body"] == json.loads(made.body)

    @pytest.mark.parametrize("depth", [800, 900, 950, 980, 1_000, 100_000])
    @pytest.mark.parametrize("name", ["method", "url", "custom_id", "x", "stream"])
    def test_whatever_is_nested_deep_is_refused_in_words(self, name: str, depth: int) -> None:
        line = b'{"messages":[{}],"body":{"messages":[{}]},"%s":%s1%s}' % (name.encode(), b"[" * depth, b"]" * depth)

        assert refusal(lambda: job(read_line(line, DEFAULTS)))


def completion_of(**fields: Any) -> Completion:
    """Read a completion as it comes."""
    choice = {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return parse_completion(json.dumps({"id": "gen-1", "choices": [choice], **fields}).encode())


class TestResultLines:
    def test_the_completion_goes_in_byte_for_byte_but_for_line_ends(self) -> None:
        body = b'\n  {"id": "gen-1",\r\n "choices": [{"x": 1.50}], "later": "\\u00e9"}\n'

        line = result_line(3, "a", parse_completion(body), None)

        assert line == (
            b'{"id":"batch_req_3","custom_id":"a","response":{"status_code":200,"request_id":"gen-1",'
            b'"body":{"id": "gen-1",   "choices": [{"x": 1.50}], "later": "\\u00e9"}},"error":null}\n'
        )

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
    def test_a_completion_in_another_encoding_is_put_in_as_utf_8(self, encoding: str) -> None:
        body = '{"id":"gen-1","choices":[{"message":{"content":"é"}}]}'

        line = result_line(3, "a", parse_completion(body.encode(encoding)), None)

        assert json.loads(line.decode("utf-8"))["response"]["body"] == json.loads(body)

    def test_an_error_stands_alone_or_beside_the_completion(self) -> None:
        error = Incomplete("it was\ncut; try again")

        alone, beside = (json.loads(result_line(1, 7, each, error)) for each in (None, completion_of()))

        shown = {"code": "incomplete", "message": "it was cut; try again"}
        assert alone == {"id": "batch_req_1", "custom_id": 7, "response": None, "error": shown}
        assert beside == {**alone, "response": {**beside["response"], "status_code": 200}}

    @given(CUSTOM_IDS, st.booleans(), st.booleans())
    @settings(max_examples=100, deadline=None)
    def test_a_line_that_is_written_is_read_again(self, custom_id: str | int, came: bool, failed: bool) -> None:
        error = Incomplete("x") if failed or not came else None

        line = result_line(1, custom_id, completion_of() if came else None, error)

        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert read_result(line) == (custom_id, came and not failed)
        assert all(begins_result(line[:size]) for size in range(len(line)))

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(
                '{"custom_id": "a", "response": {"status_code": 200, "body": {}}, "error": null}', id="OpenAI"
            ),
            pytest.param('{"id": "vllm-1", "custom_id": "a", "response": {"status_code": 200}}', id="vLLM"),
        ],
    )
    def test_results_of_other_servers_are_known(self, text: str) -> None:
        assert read_result(text.encode()) == ("a", True)

    @pytest.mark.parametrize(
        "text", ["", "\n", "7", "[]", "{}", '{"custom_id": "a"}', '{"response": null}', '"custom_id"',
                 '{"custom_id": true, "error": 1}', '{"custom_id": [], "error": 1}', '{"custom_id": "a", "error": NaN}',
                 '{"custom_id": "a", "body": {"messages": []}}'],
    )  # fmt: skip
    def test_anything_else_is_no_result(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"^(no result of a batch|Expecting value.*|NaN is not JSON)$"):
            read_result(text.encode())

    @pytest.mark.parametrize("text", [b"notes", b'{"custom_id":"a"', b'{"id":"x', b" ", b"\0"])
    def test_the_beginning_of_anything_else_is_none_of_a_result(self, text: bytes) -> None:
        assert not begins_result(text)


class TestIds:
    @given(st.lists(st.tuples(st.sampled_from(["see", "answer", "take back"]), CUSTOM_IDS), max_size=200))
    @settings(max_examples=100, deadline=None)
    def test_they_are_as_two_sets_would_be(self, steps: list[tuple[str, str | int]]) -> None:
        ids = Ids()
        seen: set[tuple[type, str | int]] = set()
        answered: dict[tuple[type, str | int], bool] = {}

        for step, custom_id in steps:
            key = (type(custom_id), custom_id)
            if step == "see":
                assert ids.see(custom_id) is (key not in seen)
                seen.add(key)
            else:
                ids.answer(custom_id, step == "answer")
                answered[key] = step == "answer"
            assert ids.answered(custom_id) is answered.get(key, False)

    def test_they_are_kept_as_the_table_grows(self) -> None:
        ids = Ids()
        for number in range(20_000):
            assert ids.see(number)
            ids.answer(number, number % 3 == 0)

        assert not any(ids.see(number) for number in range(20_000))
        assert [ids.answered(number) for number in range(20_000)] == [number % 3 == 0 for number in range(20_000)]
        assert all(ids.see(str(number)) for number in range(20_000))


def opened(path: Path) -> ResultFile:
    """Open a file of results of which the test does not ask what it answers."""
    return open_results(str(path), Ids())


def written(path: Path, *entries: tuple[str, bool]) -> bytes:
    """Write a file of results, each an id and whether it is answered."""
    lines = [result_line(1, name, completion_of(), None if well else Incomplete("x")) for name, well in entries]
    path.write_bytes(b"".join(lines))
    return path.read_bytes()


class TestResultFile:
    def test_it_is_made_for_its_owner_alone(self, tmp_path: Path) -> None:
        os.close(opened(tmp_path / "out").descriptor)

        assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600

    def test_the_last_word_on_an_id_counts(self, tmp_path: Path) -> None:
        written(tmp_path / "out", ("a", True), ("b", False), ("c", False), ("a", False), ("b", True))
        ids = Ids()

        os.close(open_results(str(tmp_path / "out"), ids).descriptor)

        assert [ids.answered(name) for name in ("a", "b", "c", "d")] == [False, True, False, False]

    def test_a_last_line_torn_anywhere_is_cut_off_and_a_whole_one_gets_its_end(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        for entries in ([("a", True)], [("a", True), ("b", True)]):
            whole = written(path, *entries)
            kept = whole[: whole[:-1].rfind(b"\n") + 1]
            for size in range(len(kept) + 1, len(whole)):
                path.write_bytes(whole[:size])
                os.close(opened(path).descriptor)
                assert path.read_bytes() == (whole if size == len(whole) - 1 else kept)

    @pytest.mark.parametrize("content", [b"notes", b"notes\n", b"\n", b'{"messages": []}', b"{}\n", b"\xff\xfe", b"\0"])
    @pytest.mark.parametrize("results_before", [False, True])
    def test_a_file_of_anything_else_is_left_as_it_is(
        self, content: bytes, results_before: bool, tmp_path: Path
    ) -> None:
        before = written(tmp_path / "out", ("a", True)) if results_before else b""
        content = before + content + (b"" if content.endswith(b"\n") or not before else b"\n")
        (tmp_path / "out").write_bytes(content)

        message = refusal(lambda: opened(tmp_path / "out"))

        number = 2 if before else 1
        assert message == f"{tmp_path / 'out'}, line {number} is no result of a batch; give another -o"
        assert (tmp_path / "out").read_bytes() == content

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["named pipe", "directory"])
    def test_what_is_no_regular_file_is_refused(self, make: Callable[[str], None], tmp_path: Path) -> None:
        make(str(tmp_path / "out"))

        assert refusal(lambda: opened(tmp_path / "out")) in (
            f"{tmp_path / 'out'} is no regular file; leave -o out to write to a pipe",
            f"cannot open {tmp_path / 'out'}: Is a directory; check -o",
        )

    def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(self, tmp_path: Path) -> None:
        import resource

        file = opened(tmp_path / "out")
        file.append(b"first\n")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        try:
            with pytest.raises(Failed) as raised:
                file.append(b"second line\n")
            file.append(b"2nd\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            os.close(file.descriptor)

        assert raised.value.message == (
            f"cannot append to {tmp_path / 'out'}: File too large; run it again when it can be"
        )
        assert (tmp_path / "out").read_bytes() == b"first\n2nd\n"


class Clock:
    """A clock that stands still until it is set; waits of a pace end at once and set it forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        monkeypatch.setattr("random.random", lambda: 0.0)

    def __call__(self) -> float:
        return self.now

    def pace(self, most: int) -> Pace:
        """Make a pace that runs by this clock."""
        pace = Pace(most, self)

        async def pause(seconds: float) -> None:
            self.waits.append(seconds)
            self.now += seconds
            await asyncio.sleep(0)

        pace.pause = pause  # type: ignore[method-assign]  # the clock stands in for the loop's own
        return pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give a clock that the test sets."""
    return Clock(monkeypatch)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class TestPace:
    def test_no_more_run_than_may_and_turns_come_in_order(self, clock: Clock) -> None:
        async def work() -> None:
            pace, begun = clock.pace(2), deque[int]()

            async def one(number: int) -> None:
                assert await pace.begin() == clock.now
                begun.append(number)

            tasks = [asyncio.create_task(one(number)) for number in range(5)]
            for running in range(2, 6):
                await settle()
                assert list(begun) == list(range(running))
                pace.end()
            await asyncio.gather(*tasks)

        run(work())

    def test_who_just_ended_does_not_go_before_those_who_wait(self, clock: Clock) -> None:
        async def work() -> list[str]:
            pace, begun = clock.pace(1), []

            async def three(name: str) -> None:
                for _ in range(3):
                    await pace.begin()
                    begun.append(name)
                    await asyncio.sleep(0)
                    pace.end()

            await asyncio.gather(three("a"), three("b"))
            return begun

        assert run(work()) == ["a", "b", "a", "b", "a", "b"]

    @pytest.mark.parametrize(("asked", "wait"), [(7.0, 7.0), (None, 0.5), (0.01, 0.01)])
    def test_a_refusal_holds_back_all_and_halves_what_may_run(
        self, clock: Clock, asked: float | None, wait: float
    ) -> None:
        async def work() -> None:
            pace = clock.pace(8)
            began = await pace.begin()
            assert began is not None
            clock.now += 1.0

            assert pace.slow_down(began, asked) == pytest.approx(wait)
            pace.end()
            assert pace.limit == 4
            assert pace.delay() == pytest.approx(wait)
            again = await pace.begin()

            assert again == pytest.approx(101.0 + wait)
            assert clock.waits == [pytest.approx(wait)]

        run(work())

    def test_refusals_of_what_was_under_way_tell_nothing_new(self, clock: Clock) -> None:
        pace = clock.pace(64)
        clock.now = 101.0
        for _ in range(64):
            pace.slow_down(100.5, None)

        assert (pace.limit, pace.delay()) == (32, 0.5)

        # But one that asks for a longer wait gets it.
        assert pace.slow_down(100.5, 9.0) == 9.0
        assert pace.slow_down(100.5, 3.0) == 9.0
        assert pace.limit == 32

    def test_waits_double_and_what_may_run_halves_until_there_is_an_answer(self, clock: Clock) -> None:
        pace = clock.pace(64)
        found = []
        for _ in range(7):
            clock.now += 100.0
            found.append((pace.slow_down(clock.now - 1.0, None), pace.limit))

        assert found == [(0.5, 32), (1.0, 16), (2.0, 8), (4.0, 4), (8.0, 2), (8.0, 1), (8.0, 1)]

        for limit in itertools.chain(range(2, 65), [64, 64]):
            pace.speed_up()
            assert pace.limit == limit
        clock.now += 100.0
        assert pace.slow_down(clock.now - 1.0, None) == 0.5

    def test_an_answer_lets_one_more_begin(self, clock: Clock) -> None:
        async def work() -> None:
            pace = clock.pace(4)
            for _ in range(4):
                await pace.begin()
            pace.slow_down(clock.now, None)
            tasks = [asyncio.create_task(pace.begin()) for _ in range(4)]
            pace.end()
            pace.end()
            await settle()
            assert not any(task.done() for task in tasks)
            clock.now += 1.0
            pace.speed_up()
            await settle()
            assert [task.done() for task in tasks] == [True, False, False, False]
            for _ in range(3):
                pace.end()
            await asyncio.gather(*tasks)

        run(work())

    def test_once_closed_nobody_waits_and_nobody_gets_a_turn(self) -> None:
        async def work() -> None:
            pace = Pace(1)
            began = await pace.begin()
            assert began is not None
            waiting = asyncio.create_task(pace.begin())
            resting = asyncio.create_task(pace.pause(1000.0))
            held = Pace(1)
            held.slow_down(began, 1000.0)
            held_back = asyncio.create_task(held.begin())
            await settle()

            pace.close()
            held.close()

            await resting
            assert [await waiting, await held_back, await pace.begin()] == [None] * 3
            pace.end()
            assert await pace.begin() is None

        run(work())


def test_what_is_hidden_of_a_failure_is_not_in_its_line() -> None:
    error = OrcliError("the key sk-x is wrong", error={"code": 401, "message": "sk-x"})

    error.hide("sk-x")

    assert b"sk-x" not in result_line(1, "a", None, error)
