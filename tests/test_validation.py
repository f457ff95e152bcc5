"""Schemas that no bound is known of, and the process that tells about them within bounds."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcli.contained import MEBIBYTES, SECONDS, Outcome, Say, Work, contained, contained_async
from orcli.errors import UsageError
from orcli.schema import compiled, faults, looks_once, satisfies
from orcli.validation import check_schemas, first_fault
from tests.command import Orcli, processes_left, wait_for_child
from tests.openrouter import Object, OpenRouter, Reply, Request, completion, stream, text_stream, tool_call

BOUNDS = f"{SECONDS} s of processor time or {MEBIBYTES} MiB of memory"
UNTOLD = f"to check the answer against --schema takes more than {BOUNDS}; simplify the schema"
NOWHERE = f"the answer does not satisfy --schema: to say where takes more than {BOUNDS}; try again, or another model"
RUNS = [contained, lambda work: asyncio.run(contained_async(work))]


def doubled(levels: int, level: Callable[[Object], Object], last: Object) -> Object:
    """Build a schema that leads to its last part in 2 to the power of `levels` ways."""
    parts = {f"a{number}": level({"$ref": f"#/$defs/a{number + 1}"}) for number in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**parts, f"a{levels}": last}}


LONG_TO_COMPILE = doubled(30, lambda part: {"allOf": [part, part], "unevaluatedProperties": False}, {"type": "string"})
LONG_TO_CHECK = doubled(60, lambda part: {"allOf": [part, part]}, {"type": "string"})
LONG_TO_EXPLAIN = doubled(24, lambda part: {"anyOf": [part, part]}, {"type": "integer"})
TREE: Object = {
    "anyOf": [
        {"type": "object", "properties": {"down": {"$ref": "#"}}, "required": ["left"]},
        {"type": "object", "properties": {"down": {"$ref": "#"}}, "required": ["right"]},
        {"type": "null"},
    ]
}
"""As programs make them for the nodes of a language; a fault far down has two explanations at each level above it."""


def deep(levels: int) -> object:
    """Build a value with a fault at its very bottom."""
    value: object = "no node"
    for _ in range(levels):
        value = {"down": value, "left": 1}
    return value


@pytest.mark.parametrize("command", ["ask", "tool", "batch", "a line"])
def test_a_schema_that_nobody_can_compile_is_refused_before_anything_is_sent(
    orcli: Orcli, openrouter: OpenRouter, command: str
) -> None:
    orcli.file("schema", json.dumps(LONG_TO_COMPILE))
    function = {"type": "function", "function": {"name": "f", "parameters": LONG_TO_COMPILE}}
    orcli.file("tools", json.dumps([function]))
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": LONG_TO_COMPILE}}
    orcli.file("lines", json.dumps({"messages": [{"role": "user", "content": "a"}], "response_format": form}))
    arguments = {
        "ask": ["ask", "--schema", "schema", "hi"],
        "tool": ["tool", "--tools", "tools", "hi"],
        "batch": ["batch", "--schema", "schema", "lines"],
        "a line": ["batch", "lines"],
    }[command]
    name = {"tool": "tools: the parameters of f", "a line": "response_format"}.get(command, "schema")

    result = orcli(*arguments)

    fault = f"{name} takes more than {BOUNDS} to compile; simplify it"
    if command == "a line":
        assert json.loads(result.stdout)["error"] == {"code": "usage", "message": f"line 1: {fault}"}
        assert (result.code, result.stderr.count("\n")) == (9, 1)
    else:
        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {fault}\n")
    assert openrouter.requests == []


@pytest.mark.parametrize(
    ("schema", "answer", "message"),
    [
        pytest.param(LONG_TO_CHECK, "x", UNTOLD, id="long to check"),
        pytest.param(LONG_TO_EXPLAIN, "x", NOWHERE, id="long to explain"),
        pytest.param(TREE, deep(40), NOWHERE, id="a tree with a fault deep in it"),
    ],
)
@pytest.mark.parametrize("command", ["ask", "stream"])
def test_an_answer_that_takes_long_to_check_is_printed_and_is_a_mismatch(
    orcli: Orcli, openrouter: OpenRouter, command: str, schema: Object, answer: object, message: str
) -> None:
    text = json.dumps(answer)
    openrouter.reply(completion(text) if command == "ask" else stream(*text_stream(text)))
    orcli.file("schema", json.dumps(schema))

    result = orcli(command, "--schema", "schema", "hi")

    assert (result.code, result.stdout, result.stderr) == (7, f"{text}\n", f"orcli: {message}\n")


@pytest.mark.parametrize("command", ["ask", "stream", "ask --json"])
def test_the_deadline_passes_while_an_answer_is_checked_and_the_answer_is_printed(
    orcli: Orcli, openrouter: OpenRouter, command: str
) -> None:
    reply = stream(*text_stream('"x"')) if command == "stream" else completion('"x"')
    openrouter.reply(reply)
    orcli.file("schema", json.dumps(LONG_TO_CHECK))

    result = orcli(*command.split(), "--timeout", "4", "--schema", "schema", "hi")

    assert (result.code, result.stderr) == (
        124,
        "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n",
    )
    assert result.stdout_bytes == (reply.body + b"\n" if "--json" in command else b'"x"\n')


def test_a_call_whose_arguments_take_long_to_check_does_not_run_and_the_model_is_told(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    parameters = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a0"}}, "$defs": LONG_TO_CHECK["$defs"]}
    function = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    orcli.file("tools", json.dumps([function]))
    call = tool_call("c", "f", '{"a": "x"}')
    openrouter.reply(completion(None, message={"tool_calls": [call]}, finish_reason="tool_calls"))
    openrouter.reply(completion("Well."))

    result = orcli("tool", "-n", "--tools", "tools", "--exec", "f=touch ran", "hi")

    assert (result.code, result.stdout, result.stderr) == (0, "Well.\n", "")
    told = openrouter.requests[1].json["messages"][-1]["content"]
    assert told == f"error: to check it takes more than {BOUNDS}"
    assert not (orcli.work / "ran").exists()


LONG_LINE = {
    "custom_id": "long",
    "messages": [{"role": "user", "content": "x"}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": LONG_TO_CHECK}},
}


def echo(request: Request) -> Reply:
    """Answer with the prompt as JSON."""
    return completion(json.dumps(request.json["messages"][-1]["content"]))


def test_a_batch_goes_on_while_the_answer_of_one_line_is_checked(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = echo
    lines = [LONG_LINE, *({"custom_id": str(number), "messages": LONG_LINE["messages"]} for number in range(30))]

    result = orcli("batch", "-j", "2", "--unordered", stdin="".join(f"{json.dumps(line)}\n" for line in lines))

    results = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["custom_id"] for line in results] == [*map(str, range(30)), "long"]
    assert [line["error"] for line in results] == [*[None] * 30, {"code": "mismatch", "message": UNTOLD}]
    assert results[-1]["response"]["body"]["choices"][0]["message"]["content"] == '"x"'
    assert (result.code, result.stderr) == (
        9,
        "orcli: 1 of 31 lines failed; their results say why; run it again\n",
    )


ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
@pytest.mark.parametrize("command", ["ask", "batch"])
def test_a_signal_ends_a_check_and_leaves_nothing(
    orcli: Orcli, openrouter: OpenRouter, command: str, number: signal.Signals
) -> None:
    openrouter.default = echo
    orcli.file("schema", json.dumps(LONG_TO_CHECK))
    orcli.file("line", json.dumps(LONG_LINE))
    arguments = ["ask", "--schema", "schema", "x"] if command == "ask" else ["batch", "line"]
    process = orcli.start(*arguments)
    marker = f"HOME={orcli.home}"
    wait_for_child(process, marker, 0.3)

    process.send_signal(number)

    result = process.finish(SECONDS - 1)
    assert (result.code, result.stderr) == (-number, "")
    if number == signal.SIGKILL:
        assert result.stdout == ""
    elif command == "ask":
        assert result.stdout == '"x"\n'
    else:
        assert unchecked(result.stdout) == ["long"]
    assert processes_left(marker, 1) == []


def unchecked(stdout: str) -> list[str]:
    """Give the ids of results that are all answers which were not checked."""
    results = [json.loads(line) for line in stdout.splitlines()]
    for result in results:
        assert result["response"]["body"]["choices"][0]["message"]["content"] == '"x"'
        message = "the run ended before the answer was checked; run it again"
        assert result["error"] == {"code": "failed", "message": message}
    return [result["custom_id"] for result in results]


def test_answers_that_wait_for_their_check_at_the_deadline_are_written(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = echo
    lines = "".join(f"{json.dumps({**LONG_LINE, 'custom_id': name})}\n" for name in "abcd")

    result = orcli("batch", "-j", "4", "--timeout", "4", stdin=lines)

    assert (result.code, result.stderr) == (124, "orcli: the deadline has passed; raise --timeout\n")
    assert unchecked(result.stdout) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("calls", [[None], ["x"], "none", {"a": 1}, 1, True])
@pytest.mark.parametrize("command", ["ask", "batch"])
def test_what_is_no_call_does_not_stand_for_one_that_needs_no_check(
    orcli: Orcli, openrouter: OpenRouter, command: str, calls: object
) -> None:
    openrouter.default = completion("not json", message={"tool_calls": calls})

    result = orcli(command, "--schema", '{"type": "object"}', *(["hi"] if command == "ask" else []), stdin='"hi"\n')

    assert result.code == (7 if command == "ask" else 9)
    assert "the answer is not JSON" in result.stdout + result.stderr


def test_a_number_of_too_many_digits_is_told_of_in_words_of_ours(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(completion("9" * 5000))

    result = orcli("ask", "--schema", "{}", "hi")

    assert (result.code, result.stdout) == (7, "9" * 5000 + "\n")
    advice = "try again, or another model"
    assert result.stderr == f"orcli: the answer is not JSON: a number of too many digits; {advice}\n"


def test_checks_take_no_descriptors_that_requests_need(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = echo
    orcli.file("schema", json.dumps(doubled(19, lambda part: {"allOf": [part, part]}, {"type": "string"})))

    result = orcli.shell("ulimit -n 40; orcli batch -j 24 --schema schema", stdin='"x"\n' * 60)

    assert (result.code, result.stderr, len(result.stdout.splitlines())) == (0, "", 60)


@pytest.mark.parametrize("blocked", [["SIGXCPU"], ["SIGALRM"], ["SIGXCPU", "SIGALRM"]], ids=" ".join)
def test_signals_that_were_inherited_as_blocked_end_a_check(
    orcli: Orcli, openrouter: OpenRouter, blocked: list[str]
) -> None:
    openrouter.default = echo
    orcli.file("schema", json.dumps(LONG_TO_CHECK))
    block = f"signal.pthread_sigmask(signal.SIG_BLOCK, [{', '.join(f'signal.{name}' for name in blocked)}])"
    line = f"import os, signal, sys; {block}; os.execvp(sys.argv[1], sys.argv[1:])"
    orcli.line = (sys.executable, "-c", line, *orcli.line)

    late = orcli("ask", "--schema", "schema", "--timeout", "4", "x")
    ended = orcli("ask", "--schema", "schema", "x")

    assert (late.code, late.stdout) == (124, '"x"\n')
    assert (ended.code, ended.stdout, ended.stderr) == (7, '"x"\n', f"orcli: {UNTOLD}\n")


def test_sixteen_descriptors_are_enough_to_check_an_answer(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = echo
    orcli.file("schema", json.dumps(TREE))
    orcli.file("in", '"null"\n')

    asked = orcli.shell("ulimit -n 16; orcli ask --schema schema x")
    batch = orcli.shell("ulimit -n 16; orcli batch --schema schema in")

    assert (asked.code, asked.stdout) == (7, '"x"\n')
    assert (batch.code, json.loads(batch.stdout)["error"]["code"]) == (9, "mismatch")


class TestContained:
    """The process itself, by both ways of waiting for it."""

    pytestmark = pytest.mark.parametrize("run", RUNS, ids=["blocking", "in a loop"])

    def test_what_it_says_comes_back_with_its_end(self, run: Callable[[Work], Outcome]) -> None:
        texts = ["", "é\n\0\ud800", "x" * 1_000_000]

        def work(say: Say) -> None:
            for text in texts:
                say(text)

        assert run(work) == Outcome(texts, True)

    def test_a_failure_is_one_here(self, run: Callable[[Work], Outcome]) -> None:
        def work(say: Say) -> None:
            say("a")
            raise KeyError("b")

        with pytest.raises(RuntimeError, match=r"^KeyError: 'b'$"):
            run(work)

    def test_a_lack_is_one_here(self, run: Callable[[Work], Outcome]) -> None:
        def work(say: Say) -> None:
            raise OSError(errno.EMFILE, "nowhere")

        with pytest.raises(OSError, match=f"^.Errno {errno.EMFILE}. Too many open files$"):
            run(work)

    @pytest.mark.parametrize(
        ("number", "beyond"), [("SIGXCPU", True), ("SIGABRT", True), ("SIGSEGV", True), ("SIGTERM", False)]
    )
    def test_a_signal_tells_whether_it_went_beyond_its_bounds(
        self, run: Callable[[Work], Outcome], number: str, beyond: bool
    ) -> None:
        def work(say: Say) -> None:
            os.kill(os.getpid(), getattr(signal, number))
            time.sleep(60)

        if beyond:
            assert run(work) == Outcome([], False)
        else:
            with pytest.raises(RuntimeError, match=r"^a check ended with SIGTERM$"):
                run(work)

    def test_processor_time_has_a_bound(self, run: Callable[[Work], Outcome]) -> None:
        def work(say: Say) -> None:
            say("a")
            resource.setrlimit(resource.RLIMIT_CPU, (1, resource.getrlimit(resource.RLIMIT_CPU)[1]))
            while True:
                pass

        assert run(work) == Outcome(["a"], False)

    def test_memory_has_a_bound(self, run: Callable[[Work], Outcome]) -> None:
        def work(say: Say) -> None:
            kept = bytearray(MEBIBYTES // 2 << 20)
            say("a")
            kept += bytearray(MEBIBYTES << 20)
            say("b")

        assert run(work) == Outcome(["a"], False)

    def test_it_has_nothing_of_what_is_open_here_and_no_handler_of_a_signal(
        self, run: Callable[[Work], Outcome], tmp_path: Path
    ) -> None:
        def work(say: Say) -> None:
            for name in os.listdir("/dev/fd"):
                with suppress(OSError):
                    say(os.readlink(f"/dev/fd/{name}").partition(":")[0])
            say(" ".join(str(signal.getsignal(number) == signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGALRM)))

        with (tmp_path / "file").open("w") as file:
            os.set_inheritable(file.fileno(), True)
            outcome = run(work)

        assert sorted(outcome.said) == sorted([*["/dev/null"] * 3, *["pipe"] * 2, "True True"])

    def test_nothing_is_left_of_it_here(self, run: Callable[[Work], Outcome]) -> None:
        run(lambda say: None)
        before = sorted(os.listdir("/proc/self/fd"))

        for _ in range(3):
            run(lambda say: say("a"))

        assert sorted(os.listdir("/proc/self/fd")) == before
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_other_threads_are_no_reason_to_warn(self, run: Callable[[Work], Outcome]) -> None:
        over = threading.Event()
        thread = threading.Thread(target=over.wait)
        thread.start()
        try:
            outcome = run(lambda say: say("a"))
        finally:
            over.set()
            thread.join()

        assert outcome == Outcome(["a"], True)


def test_what_gives_up_a_wait_in_a_loop_ends_the_process() -> None:
    async def give_up() -> None:
        await asyncio.wait_for(contained_async(lambda say: time.sleep(60)), 0.1)

    began = time.monotonic()
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(give_up())

    assert time.monotonic() - began < 30
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    ("schema", "once"),
    [
        ({}, True),
        ({"type": "object", "properties": {"$ref": {"type": "string", "minLength": 1}}, "required": ["$ref"]}, True),
        ({"properties": {"a": {"items": [{"enum": [{"pattern": "x"}]}, True]}}, "additionalProperties": False}, True),
        (
            {"anyOf": [{"not": {"const": {"$ref": "#"}}}, {"if": {}, "then": {"title": "a", "default": {"$ref": 1}}}]},
            True,
        ),
        ({"$ref": "#"}, False),
        ({"properties": {"a": {"$dynamicRef": "#a"}}}, False),
        ({"items": {"pattern": "a"}}, False),
        ({"multipleOf": 0.01}, False),
        ({"items": [{}, {"uniqueItems": True}]}, False),
        ({"$defs": {"a": {"unevaluatedProperties": False}}}, False),
        ({"properties": [{"$ref": "#"}]}, False),
        ({"a word that nobody knows": 1}, False),
    ],
)
def test_a_schema_that_looks_once_is_told_from_others(schema: Object, once: bool) -> None:
    assert looks_once(schema) is once


VALUES = st.recursive(
    st.sampled_from([None, True, 1, 2.5, 7, "", "a"]),
    lambda value: st.lists(value, max_size=3) | st.dictionaries(st.sampled_from("abc"), value),
)
LEAVES = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"enum": [None, "a"]}, {"maximum": 3}, {}, True])


def around(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Put a schema into another, by every kind of keyword."""
    some = st.lists(part, min_size=1, max_size=3)
    objects = st.dictionaries(st.sampled_from("ab"), part)
    return st.one_of(
        st.builds(lambda key, part: {key: part}, st.sampled_from(("items", "not", "additionalProperties")), part),
        st.builds(lambda parts: {"type": "object", "properties": parts}, objects),
        st.builds(lambda key, parts: {key: parts}, st.sampled_from(("anyOf", "allOf", "oneOf", "prefixItems")), some),
    )


TAME = st.recursive(LEAVES, around).filter(lambda schema: isinstance(schema, dict))


@settings(deadline=None, max_examples=60)
@given(TAME, VALUES)
def test_both_ways_of_looking_see_the_same(schema: Any, value: object) -> None:
    assert looks_once(schema)

    fault = first_fault(value, schema)

    assert (fault is None) == satisfies(value, schema) == (list(faults(value, schema)) == [])


def test_a_long_value_is_not_held_against_a_long_schema_without_a_bound() -> None:
    schema = {"items": {"enum": [[number] for number in range(20_000)]}}

    assert first_fault([[19_999]] * 20_000, schema) == f"to check it takes more than {BOUNDS}"


def test_the_first_schema_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match=r"^b is no JSON Schema: "):
        check_schemas([("a", {}), ("b", {"type": "no type"}), ("c", {"type": 1}), ("d", LONG_TO_COMPILE)])


def test_the_schema_that_takes_long_is_named() -> None:
    with pytest.raises(UsageError) as raised:
        check_schemas([("a", {}), ("b", LONG_TO_COMPILE), ("c", {"type": 1})])

    assert raised.value.message == f"b takes more than {BOUNDS} to compile; simplify it"


# What nobody foresaw.


@pytest.fixture
def broken(orcli: Orcli) -> Path:
    """Put a validator in the real one's place that fails over some values."""
    path = orcli.file(
        "broken/jsonschema_rs.py",
        """
class ValidationError(ValueError): pass
class ReferencingError(ValueError): pass
class validator_for:
    def __init__(self, schema, offline):
        if "bad" in schema:
            raise RuntimeError("unforeseen")
    def is_valid(self, value):
        if value == "bad":
            raise RuntimeError("unforeseen")
        return True
""",
    )
    orcli.env["PYTHONPATH"] = str(path.parent)
    return path


@pytest.mark.parametrize("schema", ['{"type": "string"}', '{"$ref": "#"}'], ids=["in the process", "in another"])
def test_a_fault_of_ours_befalls_one_line_of_a_batch_and_keeps_its_answer(
    orcli: Orcli, openrouter: OpenRouter, broken: Path, schema: str
) -> None:
    openrouter.default = echo

    result = orcli("batch", "--schema", schema, stdin='"good"\n"bad"\n"good too"\n')

    results = [json.loads(line) for line in result.stdout.splitlines()]
    texts = [line["response"]["body"]["choices"][0]["message"]["content"] for line in results]
    assert texts == ['"good"', '"bad"', '"good too"']
    first, second, third = (line["error"] for line in results)
    assert (first, second["code"], third) == (None, "failed", None)
    assert second["message"].startswith("internal error: RuntimeError: ")
    assert "unforeseen" in second["message"]
    assert (result.code, result.stderr) == (9, "orcli: 1 of 3 lines failed; their results say why; run it again\n")


@pytest.mark.parametrize("command", ["ask", "stream", "ask --json"])
def test_a_fault_of_ours_over_an_answer_does_not_keep_it(
    orcli: Orcli, openrouter: OpenRouter, broken: Path, command: str
) -> None:
    reply = stream(*text_stream('"bad"')) if command == "stream" else completion('"bad"')
    openrouter.reply(reply)

    result = orcli(*command.split(), "--schema", '{"type": "string"}', "hi")

    fault = f"internal error: RuntimeError: unforeseen at {broken}:10; please report it"
    assert (result.code, result.stderr) == (1, f"orcli: {fault}\n")
    assert result.stdout_bytes == (reply.body + b"\n" if "--json" in command else b'"bad"\n')


def test_a_fault_of_ours_over_one_line_s_request_spares_the_others(
    orcli: Orcli, openrouter: OpenRouter, broken: Path
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"bad": 1}}}
    bad = {"messages": LONG_LINE["messages"], "response_format": form}

    result = orcli("batch", stdin=f'"good"\n{json.dumps(bad)}\n"good too"\n')

    results = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["response"] is not None for line in results] == [True, False, True]
    assert results[1]["error"]["code"] == "failed"
    assert results[1]["error"]["message"].startswith(
        "line 2: internal error: RuntimeError: RuntimeError: unforeseen at"
    )
    assert result.code == 9


def test_a_fault_of_ours_that_befalls_all_lines_ends_the_batch(
    orcli: Orcli, openrouter: OpenRouter, broken: Path
) -> None:
    openrouter.default = echo

    result = orcli("batch", "-j", "1", "--schema", "{}", stdin='"bad"\n' * 200)

    assert len(result.stdout.splitlines()) == len(openrouter.requests) == 50
    assert result.code == 1
    assert result.stderr == (
        f"orcli: internal error: RuntimeError: unforeseen at {broken}:10, 50 lines in a row; please report it\n"
    )


def test_a_schema_that_is_compiled_names_its_fault_once() -> None:
    with pytest.raises(UsageError, match=r"^x is no JSON Schema: "):
        compiled({"type": "no type"}, "x")
