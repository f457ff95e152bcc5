"""The pure parts of tool calling: definitions, calls and their ids, results, arguments; on hostile input."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcli.answer import Completion
from orcli.errors import ToolsError, UsageError
from orcli.patterns.tool import (
    Call,
    Conversation,
    Limits,
    answered,
    call_ids,
    converse,
    pending_calls,
    with_usable_calls,
)
from orcli.run_tool import for_round, with_messages
from orcli.tools import Tool, check_arguments, describe, failed, load_tools
from orcli.transcript import Message

few = settings(max_examples=150, deadline=None)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
ids = st.none() | st.sampled_from(["", "a", "b", "call_1"]) | st.integers()
functions = values | st.fixed_dictionaries({}, optional={"name": values, "arguments": values})
calls = values | st.fixed_dictionaries({}, optional={"id": ids, "type": values, "function": functions})
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
    optional={"content": values, "tool_calls": values | st.lists(calls, max_size=4), "tool_call_id": ids},
)
conversations = st.lists(messages, max_size=6)


def call(identity: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    """Write one entry of `tool_calls`."""
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*entries: Any) -> Message:
    """Write an assistant message with calls."""
    return {"role": "assistant", "content": None, "tool_calls": list(entries)}


def result(identity: str, content: str = "ok", name: str = "f") -> Message:
    """Write a tool message."""
    return {"role": "tool", "name": name, "tool_call_id": identity, "content": content}


USER: Message = {"role": "user", "content": "hi"}


class TestPendingCalls:
    """Which calls still wait for a result."""

    @pytest.mark.parametrize(
        ("conversation", "pending"),
        [
            pytest.param([], [], id="nothing"),
            pytest.param([USER], [], id="no call"),
            pytest.param([USER, assistant(call("a"), call("b"))], ["a", "b"], id="all of a turn"),
            pytest.param([USER, assistant(call("a"), call("b")), result("b")], ["a"], id="one answered"),
            pytest.param([USER, assistant(call("a"), call("b")), result("b"), result("a")], [], id="out of order"),
            pytest.param([assistant(call("a")), result("a"), assistant(call("a"))], ["a"], id="an id used again"),
            pytest.param([assistant(call("a")), result("x")], ["a"], id="a result of no call"),
            pytest.param([{**assistant(), "content": "hi"}], [], id="an empty list"),
            pytest.param([{**assistant(), "tool_calls": None}], [], id="null"),
            pytest.param([assistant({"id": "a", "type": "custom", "custom": {}})], ["a"], id="of the other type"),
        ],
    )
    def test_they_are_those_of_the_last_turn_without_a_result(
        self, conversation: list[Message], pending: list[str]
    ) -> None:
        assert [each.id for each in pending_calls(conversation)] == pending

    @pytest.mark.parametrize("after", [USER, assistant(call("b"))], ids=["a user turn", "an assistant turn"])
    def test_going_on_with_a_call_unanswered_is_a_usage_error(self, after: Message) -> None:
        with pytest.raises(UsageError) as caught:
            pending_calls([assistant(call("a")), after])

        assert caught.value.message == "call a has no result, but the conversation goes on; give it one"

    @pytest.mark.parametrize(
        "entry",
        [None, 5, {}, {"id": "a"}, {"id": None, "function": {}}, {"id": "a", "function": "f"}],
        ids=["null", "a number", "empty", "no function", "null id", "text for a function"],
    )
    def test_a_call_that_is_none_is_a_usage_error(self, entry: Any) -> None:
        with pytest.raises(UsageError) as caught:
            pending_calls([assistant(entry)])

        assert caught.value.message == "a tool call in the messages has no id or no function; mend the messages"

    def test_two_pending_calls_of_one_id_are_not_taken_for_one(self) -> None:
        with pytest.raises(UsageError):
            pending_calls([assistant(call("a", arguments='{"n":1}'), call("a", arguments='{"n":2}'))])

    def test_arguments_that_are_null_are_an_empty_object(self) -> None:
        entry = {"id": "a", "type": "function", "function": {"name": "f", "arguments": None}}

        assert pending_calls([assistant(entry)]) == [Call("a", "f", "{}")]

    @few
    @given(conversations)
    def test_only_a_usage_error_ever_comes_of_them(self, conversation: list[Message]) -> None:
        try:
            pending = pending_calls(conversation)
        except UsageError:
            return
        assert len({each.id for each in pending}) == len(pending)


class TestUsableCalls:
    """What is echoed to the model."""

    def test_ids_that_are_empty_null_double_or_taken_are_replaced_and_no_other(self) -> None:
        message = assistant(call("a"), call(""), {**call("x"), "id": None}, call("a"), call("old"), call("b"))

        usable = [each["id"] for each in with_usable_calls(message, {"old"})["tool_calls"]]

        assert (usable[0], usable[5]) == ("a", "b")
        assert len({*usable, "old"}) == 7
        assert all(each.startswith("call_") and 9 <= len(each) <= 40 for each in usable[1:5])

    @pytest.mark.parametrize(
        ("arguments", "echoed"),
        [("", "{}"), (None, "{}"), (" \n", "{}"), ({"a": 1}, '{"a":1}'), ("{ }", "{ }"), ('{"a', '{"a')],
        ids=["empty", "null", "blank", "an object in place of text", "as it is", "cut"],
    )
    def test_arguments_are_echoed_as_they_came_but_for_none(self, arguments: Any, echoed: str) -> None:
        entry = {"id": "a", "index": 0, "function": {"name": "f", "arguments": arguments}}

        usable = with_usable_calls(assistant(entry), set())["tool_calls"]

        assert [each["function"]["arguments"] for each in usable] == [echoed]
        assert list(usable[0]) == ["id", "type", "function"]

    @pytest.mark.parametrize("entries", [[], [None], ["x", 5]], ids=["empty", "null", "no objects"])
    def test_a_list_without_any_call_is_not_sent_back(self, entries: list[Any]) -> None:
        message = {"role": "assistant", "content": "Hello.", "tool_calls": entries}

        assert with_usable_calls(message, set()) == {"role": "assistant", "content": "Hello."}

    def test_everything_else_of_the_message_stays(self) -> None:
        details = [{"type": "reasoning.text", "text": "a", "index": 0}, {"type": "reasoning.encrypted", "data": "b"}]
        message = {**assistant(call("a")), "content": "Wait.", "reasoning_details": details}

        assert with_usable_calls(message, set()) == message

    @few
    @given(st.lists(calls, max_size=6), st.sets(st.sampled_from(["a", "b", "call_1"])))
    def test_whatever_came_every_call_is_pending_once(self, entries: list[Any], taken: set[str]) -> None:
        message = with_usable_calls(assistant(*entries), taken)

        pending = pending_calls([message])
        assert len(pending) == sum(isinstance(entry, dict) for entry in entries)
        assert not {each.id for each in pending} & taken
        assert all(each.id and isinstance(each.arguments, str) and each.arguments.strip() for each in pending)

    @few
    @given(conversations)
    def test_the_ids_of_a_conversation_are_found_whatever_it_holds(self, conversation: list[Message]) -> None:
        assert all(isinstance(identity, str) for identity in call_ids(conversation))


class TestAnswered:
    """Results from the command line as tool messages."""

    def test_they_come_in_the_order_of_the_calls_with_the_guides_members(self) -> None:
        conversation = [USER, assistant(call("a", "f"), call("b", "g"))]

        assert answered(conversation, {"b": "2", "a": "1"}, all_of_them=True) == [
            {"role": "tool", "name": "f", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "name": "g", "tool_call_id": "b", "content": "2"},
        ]

    @pytest.mark.parametrize(
        ("results", "message"),
        [
            ({"x": "1"}, "no pending call 'x' for --result; pending: a, b"),
            ({"a": "1"}, "call b has no result; give --result b=TEXT"),
            ({}, "call a, b has no result; give --result a=TEXT"),
        ],
        ids=["unknown", "missing", "none"],
    )
    def test_a_wrong_set_of_results_is_a_usage_error(self, results: dict[str, str], message: str) -> None:
        with pytest.raises(UsageError) as caught:
            answered([USER, assistant(call("a"), call("b"))], results, all_of_them=True)

        assert caught.value.message == message

    def test_the_rest_may_be_run(self) -> None:
        conversation = [USER, assistant(call("a"), call("b"))]

        assert answered(conversation, {"b": "2"}, all_of_them=False) == [result("b", "2")]

    @few
    @given(conversations, st.dictionaries(st.sampled_from(["", "a", "b"]), st.text(max_size=3)), st.booleans())
    def test_only_a_usage_error_ever_comes_of_them(
        self, conversation: list[Message], results: dict[str, str], every: bool
    ) -> None:
        try:
            made = answered(conversation, results, all_of_them=every)
        except UsageError:
            return
        assert {message["tool_call_id"]: message["content"] for message in made} == results


class TestCheckArguments:
    """The model's arguments against the tool's schema."""

    WEATHER: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"location": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["location"],
        "additionalProperties": False,
    }

    @staticmethod
    def fault(arguments: str, parameters: object = None) -> str | None:
        definition = {"type": "function", "function": {"name": "f", "parameters": parameters}}
        return check_arguments(Tool(definition, "tools.json", "f"), arguments)

    @pytest.mark.parametrize(
        ("arguments", "fault"),
        [
            ('{ "location": "Boston, MA"}', None),
            ('{"location": "Boston", "unit": "kelvin"}', '"kelvin" is not one of "celsius" or "fahrenheit" at unit'),
            ("{}", '"location" is a required property'),
            ('{"location": 5}', '5 is not of type "string" at location'),
            (
                '{"location": "B", "x": 1}',
                "Additional properties are not allowed ('x' was unexpected)",
            ),
            ("[]", "the arguments are no JSON object"),
            ("null", "the arguments are no JSON object"),
            (
                '{"location": "Bos',
                "the arguments are not JSON: Unterminated string starting at: line 1 column 14 (char 13)",
            ),
            ('{"location": NaN}', "the arguments are not JSON: NaN is not JSON"),
            (
                '{"location": "a"} {"location": "b"}',
                "the arguments are not JSON: Extra data: line 1 column 19 (char 18)",
            ),
        ],
        ids=["good", "enum", "missing", "type", "additional", "array", "null", "cut", "NaN", "two"],
    )
    def test_the_first_fault_and_its_place_are_named(self, arguments: str, fault: str | None) -> None:
        assert self.fault(arguments, self.WEATHER) == fault

    @pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}], ids=["none", "empty", "any object"])
    def test_a_function_without_a_schema_takes_any_object(self, parameters: object) -> None:
        assert self.fault('{"a": [1, 2.5, null]}', parameters) is None

    @pytest.mark.parametrize(
        "inner",
        [
            "[" * 500 + "]" * 500,
            '{"a":' * 800 + "1" + "}" * 800,
            "9" * 400,
            "-" + "9" * 4000,
            "1e300",
            '"' + "x" * 10**6 + '"',
        ],
        ids=["deep arrays", "deep objects", "a huge integer", "a huger one", "a huge float", "a long text"],
    )
    def test_arguments_that_no_validator_likes_are_a_fault_or_pass(self, inner: str) -> None:
        fault = self.fault(f'{{"location": {inner}}}', {"type": "object"})

        assert fault is None or isinstance(fault, str)

    @few
    @given(st.text(max_size=20) | values.map(json.dumps))
    def test_whatever_the_model_sends_gives_a_fault_or_none(self, arguments: str) -> None:
        fault = self.fault(arguments, self.WEATHER)

        assert fault is None or fault


class TestDefinitions:
    """`--tools` files, read without a process."""

    @few
    @given(
        values
        | st.fixed_dictionaries({"tools": values})
        | st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "type": st.just("function") | values,
                    "function": values
                    | st.fixed_dictionaries(
                        {"name": st.sampled_from(["f", "g", "a b", ""]) | values},
                        optional={
                            "parameters": values
                            | st.fixed_dictionaries(
                                {},
                                optional={
                                    "type": st.sampled_from(["object", "none", 5]),
                                    "properties": values,
                                    "$ref": st.sampled_from(["#", "#/x", "http://127.0.0.1:9/x"]) | values,
                                    "pattern": st.sampled_from(["(", "a*", "(a+)+$"]) | values,
                                    "required": values,
                                    "enum": values,
                                },
                            )
                        },
                    ),
                },
            ),
            max_size=3,
        )
    )
    def test_only_a_usage_error_that_names_the_file_ever_comes_of_json(self, value: Any) -> None:
        self.check(json.dumps(value).encode())

    @few
    @given(
        st.binary(max_size=20) | st.sampled_from([b"[" * 5000, b"\xff\xfe[\x00", b'[{"name":"\\ud800"}]', b"9" * 5000])
    )
    def test_only_a_usage_error_that_names_the_file_ever_comes_of_bytes(self, data: bytes) -> None:
        self.check(data)

    @staticmethod
    def check(data: bytes) -> None:
        """Read definitions from a file."""
        with NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            try:
                tools = load_tools([file.name], ())
            except UsageError as error:
                named = file.name in error.message
            else:
                named = bool(tools)
        assert named

    @pytest.mark.parametrize(
        "parameters",
        [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"properties": {"a": {"$ref": "#"}}}],
        ids=["itself", "all of itself", "a tree"],
    )
    def test_a_schema_that_refers_to_itself_ends(self, tmp_path: Path, parameters: dict[str, Any]) -> None:
        path = tmp_path / "tools.json"
        path.write_text(json.dumps({"name": "f", "parameters": parameters}))

        tool = load_tools([str(path)], ())[0]

        assert check_arguments(tool, '{"a": {"a": {}}}') is None


class TestConverse:
    """The sequence itself, on functions in place of a model and tools."""

    @staticmethod
    def completion(*entries: Any, text: str | None = None, cost: object = 0.001) -> Completion:
        message = {"role": "assistant", "content": text, **({"tool_calls": list(entries)} if entries else {})}
        return Completion({"choices": [{"message": message}], "usage": {"cost": cost}}, b"")

    def test_calls_left_pending_are_carried_out_first(self) -> None:
        conversation = Conversation([USER, assistant(call("a"))])

        converse(
            conversation,
            lambda messages, rounds: self.completion(text=f"{len(messages)} messages, {rounds} rounds"),
            lambda suggested: [each.id.upper() for each in suggested],
            Limits(1),
        )

        assert conversation.new == [result("a", "A"), {"role": "assistant", "content": "3 messages, 1 rounds"}]

    def test_at_the_limit_of_rounds_the_calls_stay_pending(self) -> None:
        conversation = Conversation([USER])

        with pytest.raises(ToolsError) as caught:
            converse(
                conversation, lambda *_: self.completion(call("a")), lambda suggested: ["x"] * len(suggested), Limits(2)
            )

        assert caught.value.message == "the model still calls tools after 2 rounds; raise --max-rounds"
        assert len(pending_calls(conversation.messages)) == 1
        assert len(call_ids(conversation.messages)) == 3

    def test_at_the_limit_of_cost_no_call_is_carried_out(self) -> None:
        conversation = Conversation([USER])

        with pytest.raises(ToolsError) as caught:
            converse(conversation, lambda *_: self.completion(call("a")), lambda _: ["x"], Limits(9, 0.002))

        assert caught.value.message == "the cost has reached $0.002000; raise --max-cost"
        assert [message["role"] for message in conversation.new] == ["assistant", "tool", "assistant"]

    @pytest.mark.parametrize(("cost", "amount"), [(0.5, 0.5), (1, 1.0), (None, 0.0), ("1", 0.0), (True, 0.0)], ids=repr)
    def test_a_cost_counts_where_it_is_a_number(self, cost: object, amount: float) -> None:
        assert self.completion(cost=cost).cost == amount


def test_a_forced_choice_is_auto_from_the_second_round_on() -> None:
    forced = {"type": "function", "function": {"name": "f"}}

    assert for_round({"tool_choice": forced}, 0) == {"tool_choice": forced}
    assert for_round({"tool_choice": forced}, 1) == {"tool_choice": "auto"}
    assert for_round({"tool_choice": "required"}, 3) == {"tool_choice": "auto"}
    assert for_round({"tool_choice": "none"}, 1) == {"tool_choice": "none"}
    assert for_round({"tools": []}, 1) == {"tools": []}


def test_the_transcript_is_added_to_the_bytes_as_they_came() -> None:
    body = b' {"choices": [ {"x":1.50} ],\r\n "u":"\\u00e9"} \n'

    assert with_messages(Completion({}, body), [{"role": "user", "content": "é"}]) == (
        '{"choices": [ {"x":1.50} ],   "u":"\\u00e9","messages":[{"role":"user","content":"é"}]}\n'.encode()
    )


def test_a_failure_tells_the_model_the_last_of_what_the_command_said() -> None:
    outcome = failed("it failed", "exit 1", 1.0, "x" * 3000 + "END\n")

    assert outcome.text == "error: it failed: " + "x" * 1996 + "END"
    assert describe("f", '{"a":\n1}', outcome) == f'tool f {{"a": 1}}: exit 1, 1.00 s, {len(outcome.text)} bytes'
