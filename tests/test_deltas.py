"""A message put together from a stream's deltas, in every shape they have come in, and in shapes they never should."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcli.answer import verdict
from orcli.deltas import Accumulator
from tests.openrouter import USAGE, Object, UsageShape, chunk, error_chunk, tool_call_delta, usage_chunk


def accumulate(*chunks: Object, keep: bool = True) -> Accumulator:
    accumulator = Accumulator(keep=keep)
    for each in chunks:
        accumulator.add(each)
    return accumulator


def message(*chunks: Object) -> Any:
    return accumulate(*chunks).completion().message


def calls(*chunks: Object) -> list[tuple[str, str, str]]:
    """Give the tool calls that the chunks make: id, name and arguments of each."""
    return [
        (call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message(*chunks).get("tool_calls", [])
    ]


def details(*pieces: list[Object]) -> Any:
    """Give the reasoning details that deltas with these make."""
    return message(*(chunk("", delta={"reasoning_details": piece}) for piece in pieces)).get("reasoning_details")


def bare(**delta: Any) -> Object:
    """Build a chunk whose delta has these members and no others."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def test_add_gives_the_text_and_the_reasoning_of_each_chunk() -> None:
    accumulator = Accumulator(keep=False)

    assert accumulator.add(chunk("")) == ("", "")
    assert accumulator.add(chunk("Hel")) == ("Hel", "")
    assert accumulator.add(chunk(None, delta={"reasoning": "Hm"})) == ("", "Hm")
    assert accumulator.add(chunk("lo", delta={"reasoning": "so"})) == ("lo", "so")
    assert accumulator.add(bare(content="!")) == ("!", "")
    assert accumulator.add(bare(content=None)) == ("", "")


def test_details_that_came_empty_are_there_and_others_are_not() -> None:
    assert details([], []) == []
    assert details() is None


def test_the_text_is_joined_as_it_came() -> None:
    assert message(chunk(""), chunk(" a\n"), chunk(None), chunk("\tb "), chunk("")) == {
        "role": "assistant",
        "content": " a\n\tb ",
    }


def test_a_message_without_text_has_null_for_content() -> None:
    assert message(chunk(""), chunk(None)) == {"role": "assistant", "content": None}


def test_text_in_parts_counts() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "b"},
    ]

    assert Accumulator(keep=False).add(bare(content=parts)) == ("ab", "")


def test_the_completion_carries_the_head_of_the_first_chunk_and_one_choice() -> None:
    completion = accumulate(chunk("a"), chunk("", finish_reason="stop"), usage_chunk()).completion()

    assert completion.object == {
        "id": chunk()["id"],
        "object": "chat.completion",
        "created": chunk()["created"],
        "model": chunk()["model"],
        "provider": chunk()["provider"],
        "system_fingerprint": chunk()["system_fingerprint"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "a"},
                "finish_reason": "stop",
                "native_finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }


def test_the_head_is_complete_although_a_debug_chunk_without_it_comes_first() -> None:
    debug: Object = {"id": "gen-1", "choices": [], "debug": {"echo_upstream_body": {}}}

    assert accumulate(debug, chunk("a")).completion().object["model"] == chunk()["model"]


@pytest.mark.parametrize("shape", ["repeated_finish", "empty_choices", "null_finish"])
def test_the_usage_is_found_in_each_of_its_three_shapes(shape: UsageShape) -> None:
    accumulator = accumulate(chunk("a"), chunk("", finish_reason="stop"), usage_chunk(shape), keep=False)

    assert accumulator.usage == USAGE
    assert accumulator.finish_reason == "stop"
    assert verdict(accumulator.outcome()) is None


def test_the_first_finish_reason_counts_and_null_takes_none_back() -> None:
    accumulator = accumulate(
        chunk("a", finish_reason="length"), chunk("", finish_reason="stop"), chunk(""), usage_chunk("null_finish")
    )

    assert accumulator.finish_reason == "length"


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param(error_chunk(502, "gone"), id="beside choices"),
        pytest.param({**error_chunk(502, "gone"), "choices": []}, id="empty choices"),
        pytest.param({"error": {"message": "gone", "code": 502}}, id="no choices"),
        pytest.param(chunk("", choice={"error": {"message": "gone", "code": 502}}), id="in the choice"),
    ],
)
def test_an_error_is_found_wherever_it_stands(failing: Object) -> None:
    assert accumulate(chunk("a"), failing).error == {"message": "gone", "code": 502}


def test_the_usage_of_an_error_chunk_counts() -> None:
    assert accumulate({**error_chunk(400), "usage": USAGE}).usage == USAGE


def test_only_the_first_choice_is_the_answer() -> None:
    second = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]}

    accumulator = Accumulator(keep=True)

    assert accumulator.add(second) == ("", "")
    assert accumulator.finish_reason is None


class TestToolCalls:
    """Fragments of tool calls, joined."""

    def test_the_recorded_stream_of_one_call(self) -> None:
        assert calls(
            tool_call_delta("", id="call_L7mH", name="get_weather"),
            tool_call_delta('{"'),
            tool_call_delta("city"),
            tool_call_delta('":"Rome"}'),
            chunk("", finish_reason="tool_calls"),
            usage_chunk(finish_reason="tool_calls"),
        ) == [("call_L7mH", "get_weather", '{"city":"Rome"}')]

    def test_the_fragments_of_two_calls_may_be_interleaved(self) -> None:
        assert calls(
            tool_call_delta("", index=0, id="a", name="f"),
            tool_call_delta("", index=1, id="b", name="g"),
            tool_call_delta('{"x":', index=0),
            tool_call_delta('{"y":', index=1),
            tool_call_delta("1}", index=0),
            tool_call_delta("2}", index=1),
        ) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]

    def test_several_fragments_may_share_a_chunk(self) -> None:
        first = tool_call_delta('{"x":', index=0, id="a", name="f")
        second = tool_call_delta('{"y":2}', index=1, id="b", name="g")
        entries = [each["choices"][0]["delta"]["tool_calls"][0] for each in (first, second)]

        assert calls(chunk(delta={"tool_calls": entries}), tool_call_delta("1}")) == [
            ("a", "f", '{"x":1}'),
            ("b", "g", '{"y":2}'),
        ]

    def test_a_whole_call_may_come_in_one_chunk(self) -> None:
        assert calls(tool_call_delta('{"x":1}', id="a", name="f")) == [("a", "f", '{"x":1}')]

    def test_two_whole_calls_in_one_chunk_without_an_index_are_two_calls(self) -> None:
        entries = [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]

        assert calls(chunk(delta={"tool_calls": entries})) == [("a", "f", "{}"), ("b", "f", "{}")]

    def test_a_fragment_without_an_index_belongs_to_the_last_call(self) -> None:
        assert calls(
            tool_call_delta('{"x"', index=0, id="a", name="f"),
            tool_call_delta('{"y"', index=1, id="b", name="g"),
            tool_call_delta(":2}", index=None),
        ) == [("a", "f", '{"x"'), ("b", "g", '{"y":2}')]

    def test_calls_without_any_index_are_told_apart_by_their_ids(self) -> None:
        assert calls(
            tool_call_delta("", index=None, id="a", name="f"),
            tool_call_delta('{"x":1}', index=None),
            tool_call_delta("", index=None, id="b", name="g"),
            tool_call_delta('{"y":2}', index=None),
        ) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]

    def test_a_new_id_under_the_same_index_is_a_new_call(self) -> None:
        assert calls(
            tool_call_delta("{}", index=0, id="a", name="f"),
            tool_call_delta('{"y":', index=0, id="b", name="f"),
            tool_call_delta("2}", index=0),
        ) == [("a", "f", "{}"), ("b", "f", '{"y":2}')]

    def test_a_new_name_under_the_same_index_without_ids_is_a_new_call(self) -> None:
        assert calls(
            tool_call_delta('{"x":1}', index=0, name="f"),
            tool_call_delta('{"y":2}', index=0, name="g"),
        ) == [("", "f", '{"x":1}'), ("", "g", '{"y":2}')]

    def test_a_name_that_is_repeated_without_arguments_is_no_new_call(self) -> None:
        assert calls(
            tool_call_delta("", index=0, id="a", name="f"),
            tool_call_delta('{"x":1}', index=0, name="f"),
            tool_call_delta("", index=0, name="f"),
        ) == [("a", "f", '{"x":1}')]

    def test_arguments_that_are_no_text_are_its_json(self) -> None:
        whole = chunk(delta={"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]})

        assert calls(whole) == [("a", "f", '{"x":1}')]

    def test_an_id_that_is_repeated_in_every_fragment_is_one_call(self) -> None:
        assert calls(
            tool_call_delta('{"x"', index=0, id="a", name="f"),
            tool_call_delta(":1}", index=0, id="a", name="f"),
        ) == [("a", "f", '{"x":1}')]

    def test_an_id_that_is_repeated_without_an_index_is_one_call(self) -> None:
        assert calls(
            tool_call_delta('{"x"', index=None, id="a", name="f"),
            tool_call_delta(":1}", index=None, id="a"),
        ) == [("a", "f", '{"x":1}')]

    def test_an_id_that_is_empty_or_null_later_changes_nothing(self) -> None:
        null = chunk(delta={"tool_calls": [{"index": 0, "id": None, "function": {"name": None, "arguments": ":1"}}]})

        assert calls(
            tool_call_delta('{"x"', index=0, id="a", name="f"), null, tool_call_delta("}", index=0, id="", name="")
        ) == [("a", "f", '{"x":1}')]

    def test_an_id_may_come_later(self) -> None:
        assert calls(tool_call_delta("", index=0, name="f"), tool_call_delta("{}", index=0, id="a")) == [
            ("a", "f", "{}")
        ]

    @pytest.mark.parametrize("identity", ["", None, "same"])
    def test_calls_of_two_indexes_stay_two_whatever_their_ids(self, identity: str | None) -> None:
        assert calls(
            tool_call_delta("{}", index=0, id=identity, name="f"), tool_call_delta("{}", index=1, id=identity, name="g")
        ) == [(identity or "", "f", "{}"), (identity or "", "g", "{}")]

    @pytest.mark.parametrize("arguments", ["", None], ids=["empty", "missing"])
    def test_a_call_without_arguments_has_empty_ones(self, arguments: str | None) -> None:
        assert calls(tool_call_delta(arguments, id="a", name="f")) == [("a", "f", "")]

    def test_a_preamble_beside_calls_is_text(self) -> None:
        said = message(chunk("Let me look."), tool_call_delta("{}", id="a", name="f"))

        assert (said["content"], len(said["tool_calls"])) == ("Let me look.", 1)

    def test_a_call_keeps_the_shape_that_the_api_wants_back(self) -> None:
        assert message(tool_call_delta("{}", id="a", name="f"))["tool_calls"] == [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0}
        ]

    @pytest.mark.parametrize("keep", [True, False])
    @pytest.mark.parametrize(
        "beside", [{}, {"role": "assistant"}, {"content": None}, {"role": "assistant", "content": ""}]
    )
    def test_a_call_is_noticed_whatever_stands_beside_it(self, beside: Object, keep: bool) -> None:
        call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        accumulator = accumulate(bare(**beside, tool_calls=[call]), keep=keep)

        assert accumulator.outcome().tool_calls
        assert len(accumulator.completion().message.get("tool_calls", [])) == keep

    def test_empty_lists_are_no_calls(self) -> None:
        assert not accumulate(chunk("a", delta={"tool_calls": []})).outcome().tool_calls


@pytest.mark.parametrize("beside", [{}, {"role": "assistant"}, {"role": "assistant", "content": None}])
@pytest.mark.parametrize("keep", [True, False])
def test_a_refusal_is_joined_whatever_stands_beside_it(beside: Object, keep: bool) -> None:
    pieces = (bare(**beside, refusal="I can"), bare(**beside, refusal="not."), bare(**beside, refusal=None))

    assert accumulate(*pieces, keep=keep).outcome().refusal == "I cannot."


@pytest.mark.parametrize("keep", [True, False])
def test_images_are_noticed_and_kept_in_order(keep: bool) -> None:
    images = [{"type": "image_url", "index": number, "image_url": {"url": f"data:,{number}"}} for number in range(2)]
    accumulator = accumulate(*(bare(images=[image]) for image in images), keep=keep)

    assert accumulator.outcome().media
    assert accumulator.completion().message.get("images") == (images if keep else None)


def test_annotations_are_kept_in_order() -> None:
    notes = [{"type": "url_citation", "url_citation": {"url": f"https://example.org/{number}"}} for number in range(3)]

    assert (
        message(bare(annotations=notes[:2]), bare(annotations=[]), bare(annotations=notes[2:]))["annotations"] == notes
    )


class TestReasoningDetails:
    """Pieces of reasoning details, joined so that they can be sent back unmodified and in order."""

    def test_the_texts_of_one_type_and_index_are_joined(self) -> None:
        assert details(
            [{"type": "reasoning.text", "text": "Let me ", "format": "unknown", "index": 0}],
            [{"type": "reasoning.text", "text": "think.", "format": "unknown", "index": 0}],
        ) == [{"type": "reasoning.text", "text": "Let me think.", "format": "unknown", "index": 0}]

    def test_summaries_and_data_are_joined_too(self) -> None:
        assert details(
            [{"type": "reasoning.summary", "summary": "a", "index": 0}],
            [{"type": "reasoning.encrypted", "data": "X", "index": 1}],
            [{"type": "reasoning.encrypted", "data": "Y", "index": 1}],
            [{"type": "reasoning.summary", "summary": "b", "index": 0}],
        ) == [
            {"type": "reasoning.summary", "summary": "ab", "index": 0},
            {"type": "reasoning.encrypted", "data": "XY", "index": 1},
        ]

    def test_a_signature_in_a_delta_of_its_own_joins_its_text(self) -> None:
        assert details(
            [{"type": "reasoning.text", "text": "Hm.", "format": "anthropic-claude-v1", "index": 0}],
            [{"type": "reasoning.text", "signature": "Et0B", "format": "anthropic-claude-v1", "index": 0}],
        ) == [
            {"type": "reasoning.text", "text": "Hm.", "format": "anthropic-claude-v1", "index": 0, "signature": "Et0B"}
        ]

    def test_a_text_that_comes_after_its_signature_joins_it(self) -> None:
        signature = {"type": "reasoning.text", "signature": "Et0B", "index": 0}
        text = {"type": "reasoning.text", "text": "Hm.", "index": 0}

        assert details([signature], [text]) == [{**signature, **text}]

    def test_a_text_after_a_null_one_is_kept(self) -> None:
        text = {"type": "reasoning.text", "text": "Hm.", "index": 0}

        assert details([{**text, "text": None}], [text]) == [text]

    @pytest.mark.parametrize("later", [None, ""])
    @pytest.mark.parametrize("member", ["signature", "id", "format"])
    def test_what_is_null_or_empty_later_takes_nothing_back(self, member: str, later: str | None) -> None:
        assert details(
            [{"type": "reasoning.text", "text": "a", member: "x", "index": 0}],
            [{"type": "reasoning.text", "text": "b", member: later, "index": 0}],
        ) == [{"type": "reasoning.text", "text": "ab", member: "x", "index": 0}]

    @pytest.mark.parametrize("member", ["signature", "id", "format"])
    def test_the_last_of_what_is_no_text_counts(self, member: str) -> None:
        assert details(
            [{"type": "reasoning.text", "text": "a", member: "x", "index": 0}],
            [{"type": "reasoning.text", "text": "b", member: "y", "index": 0}],
        ) == [{"type": "reasoning.text", "text": "ab", member: "y", "index": 0}]

    def test_other_types_and_indexes_are_details_of_their_own_in_the_order_they_began(self) -> None:
        assert details(
            [{"type": "reasoning.text", "text": "a", "index": 1}],
            [{"type": "reasoning.summary", "summary": "s", "index": 1}],
            [{"type": "reasoning.text", "text": "c", "index": 0}],
            [{"type": "reasoning.text", "text": "b", "index": 1}],
        ) == [
            {"type": "reasoning.text", "text": "ab", "index": 1},
            {"type": "reasoning.summary", "summary": "s", "index": 1},
            {"type": "reasoning.text", "text": "c", "index": 0},
        ]

    def test_pieces_without_an_index_join_the_last_detail_of_their_type(self) -> None:
        assert details(
            [{"type": "reasoning.text", "text": "a"}],
            [{"type": "reasoning.text", "text": "b"}],
            [{"type": "reasoning.encrypted", "data": "X"}],
        ) == [{"type": "reasoning.text", "text": "ab"}, {"type": "reasoning.encrypted", "data": "X"}]

    def test_an_encrypted_detail_without_data_is_dropped(self) -> None:
        assert details(
            [{"type": "reasoning.encrypted", "index": 0}, {"type": "reasoning.encrypted", "data": "", "index": 1}],
            [{"type": "reasoning.text", "text": "a", "index": 2}],
        ) == [{"type": "reasoning.text", "text": "a", "index": 2}]

    def test_unknown_types_and_members_are_kept(self) -> None:
        odd = {"type": "reasoning.dream", "index": 0, "depth": [1], "id": None, "format": None}

        assert details([odd]) == [odd]

    @pytest.mark.parametrize("beside", [{}, {"content": ""}, {"reasoning": "a"}])
    def test_they_are_noticed_whatever_stands_beside_them(self, beside: Object) -> None:
        detail = {"type": "reasoning.text", "text": "a", "index": 0}

        assert message(bare(**beside, reasoning_details=[detail]))["reasoning_details"] == [detail]

    def test_what_was_taken_in_is_not_changed_by_what_follows(self) -> None:
        first: Object = {"type": "reasoning.text", "text": "a", "index": 0}
        details([first], [{"type": "reasoning.text", "text": "b", "index": 0}])

        assert first == {"type": "reasoning.text", "text": "a", "index": 0}


WORDS = ["", "a", "  ", "0", "{}", "reasoning.text", "reasoning.encrypted", "stop", "error", "\ud83d", "\ude00"]
SCALARS = st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.sampled_from(WORDS)
KEYS = st.sampled_from(
    [
        *["choices", "delta", "message", "index", "finish_reason", "native_finish_reason"],
        *["content", "text", "type", "role", "reasoning", "reasoning_details"],
        *["refusal", "images", "annotations", "tool_calls", "function", "name"],
        *["arguments", "id", "usage", "completion_tokens_details", "reasoning_tokens", "error"],
        *["code", "data", "signature", "model"],
    ]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


def mostly(shape: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(shape, shape, shape, VALUES)


def mapping(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with any of these members, mostly of the right shape."""
    return st.fixed_dictionaries({}, optional={name: mostly(shape) for name, shape in members.items()})


FUNCTIONS = mapping(name=SCALARS, arguments=SCALARS)
CALLS = mapping(index=SCALARS, id=SCALARS, type=SCALARS, function=FUNCTIONS)
DETAILS = mapping(type=SCALARS, index=SCALARS, text=SCALARS, data=SCALARS, signature=SCALARS)
DELTAS = mapping(
    content=SCALARS,
    reasoning=SCALARS,
    refusal=SCALARS,
    tool_calls=st.lists(mostly(CALLS), max_size=3),
    reasoning_details=st.lists(mostly(DETAILS), max_size=3),
    images=st.lists(VALUES, max_size=2),
    annotations=st.lists(VALUES, max_size=2),
)
CHOICES = mapping(index=st.just(0), delta=DELTAS, finish_reason=SCALARS, native_finish_reason=SCALARS, error=VALUES)
CHUNKS = st.one_of(
    mapping(choices=st.lists(mostly(CHOICES), max_size=2), usage=VALUES, error=VALUES, model=SCALARS),
    st.dictionaries(KEYS, VALUES, max_size=4),
)


@settings(max_examples=70, deadline=None)
@given(st.lists(CHUNKS, max_size=6), st.booleans())
def test_no_chunk_of_any_shape_raises(chunks: list[Object], keep: bool) -> None:
    accumulator = Accumulator(keep=keep)

    for each in chunks:
        text, reasoning = accumulator.add(each)
        assert isinstance(text, str)
        assert isinstance(reasoning, str)
    completion = accumulator.completion()
    verdict(accumulator.outcome())

    assert isinstance(completion.text, str)


def extent(value: object) -> int:
    """Count all that a value holds: characters, items, members."""
    if isinstance(value, dict):
        return 1 + sum(extent(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return 1 + sum(map(extent, value))
    return len(value) if isinstance(value, (str, bytes)) else 1


@settings(max_examples=45, deadline=None)
@given(st.lists(CHUNKS, min_size=1, max_size=4))
def test_without_keep_the_size_does_not_grow_with_the_stream(chunks: list[Object]) -> None:
    accumulator = Accumulator(keep=False)

    def extent_after(rounds: int) -> int:
        for each in chunks * rounds:
            accumulator.add(each)
        return extent(vars(accumulator))

    # What a message will show of a refusal may be kept, hence the first rounds and the margin.
    assert extent_after(20) + 2500 >= extent_after(3000 // len(chunks))


def test_a_long_refusal_does_not_fill_the_memory() -> None:
    accumulator = accumulate(*[bare(refusal="I will not help with that. ")] * 20_000, keep=False)

    assert extent(vars(accumulator)) < 5_000
    assert accumulator.outcome().refusal.startswith("I will not help with that. I will not")
