"""The five-turn sequence: the model suggests calls, their results go back, the model answers. No call is run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from orcli.answer import Completion
from orcli.errors import ToolsError, UsageError
from orcli.text import compact_json, mended
from orcli.transcript import Message, assistant_turn


@dataclass(frozen=True)
class Call:
    """One call that the model suggests; `arguments` is JSON text, unchecked."""

    id: str
    name: str
    arguments: str


@dataclass
class Conversation:
    """The transcript of a tool sequence: all messages so far, the last completion, and what it cost in USD."""

    messages: list[Message]
    completion: Completion | None = None
    cost: float = 0.0
    new: list[Message] = field(default_factory=list)
    """The messages that this run has added."""

    def add(self, *messages: Message) -> None:
        """Append messages of this run."""
        self.messages.extend(messages)
        self.new.extend(messages)


@dataclass(frozen=True)
class Limits:
    """When to stop: after how many rounds of calls, and from which cost in USD on (None: never)."""

    rounds: int
    cost: float | None = None


def converse(
    conversation: Conversation,
    complete: Callable[[Sequence[Message], int], Completion],
    execute: Callable[[Sequence[Call]], Sequence[str]] | None,
    limits: Limits,
) -> None:
    """Carry a conversation on until the model answers without calls; without `execute`, for one turn.

    `complete` posts the messages, `execute` gives the result of each call in order. Calls left pending by an earlier
    run are executed first. Raises ToolsError at a limit, and whatever the two functions raise; the conversation holds
    what came until then, and can be carried on from there.
    """
    rounds = 0
    while True:
        calls = pending_calls(conversation.messages)
        if calls:
            if execute is None:
                return
            if rounds >= limits.rounds:
                raise ToolsError(f"the model still calls tools after {rounds} rounds; raise --max-rounds")
            if limits.cost is not None and conversation.cost >= limits.cost:
                raise ToolsError(f"the cost has reached ${conversation.cost:.6f}; raise --max-cost")
            rounds += 1
            results = execute(calls)
            conversation.add(*(tool_message(call, result) for call, result in zip(calls, results, strict=True)))
        elif conversation.completion is not None:
            return
        completion = complete(conversation.messages, rounds)
        conversation.completion = completion
        conversation.cost += completion.cost
        turn = mended(assistant_turn(completion.message))
        conversation.add(with_usable_calls(turn, call_ids(conversation.messages)))


def calls_of(message: Message) -> list[Mapping[str, Any]]:
    """Give the calls of a message, leaving out whatever is no object."""
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []


def call_ids(messages: Sequence[Message]) -> set[str]:
    """Give the ids of all calls in a conversation."""
    return {str(call.get("id")) for message in messages for call in calls_of(message)}


def with_usable_calls(message: Message, taken: set[str]) -> Message:
    """Give each call of an assistant message an id of its own, none of those `taken`, and arguments to send back.

    Ids come empty, null or twice from some providers, arguments empty for functions that take none, or as an object.
    """
    seen = set(taken)
    usable = []
    for call in calls_of(message):
        name, arguments = _name_and_arguments(call)
        identity = call.get("id")
        if not isinstance(identity, str) or not identity or identity in seen:
            identity = f"call_{uuid4().hex[:24]}"
        seen.add(identity)
        usable.append({"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}})
    if usable:
        return {**message, "tool_calls": usable}
    return {key: value for key, value in message.items() if key != "tool_calls"}


def _is_function(call: Mapping[str, Any]) -> bool:
    return isinstance(call.get("function"), Mapping)


def _is_custom(call: Mapping[str, Any]) -> bool:
    """Tell a call of the API's second type, which has text in place of arguments; only a caller can answer it."""
    return call.get("type") == "custom" and isinstance(call.get("custom"), Mapping)


def _name_and_arguments(call: Mapping[str, Any]) -> tuple[str, str]:
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = compact_json(arguments)
    usable = arguments if isinstance(arguments, str) and arguments.strip() else "{}"
    return name if isinstance(name, str) else "", usable


def pending_calls(messages: Sequence[Message]) -> list[Call]:
    """Give the calls of the last assistant message that no tool message answers yet.

    Raises UsageError where an earlier call was left unanswered and the conversation went on, and for calls that
    cannot be told apart.
    """
    pending: dict[str, Call] = {}
    for message in messages:
        if message.get("role") == "tool":
            pending.pop(str(message.get("tool_call_id")), None)
            continue
        if pending:
            raise UsageError(f"call {next(iter(pending))} has no result, but the conversation goes on; give it one")
        calls = message.get("tool_calls") if message.get("role") == "assistant" else None
        for call in calls if isinstance(calls, list) else ():
            identity = call.get("id") if isinstance(call, Mapping) else None
            if not isinstance(identity, str) or not (_is_function(call) or _is_custom(call)):
                raise UsageError("a tool call in the messages has no id or no function; mend the messages")
            if identity in pending:
                raise UsageError(f"two tool calls in the messages have the id {identity!r}; mend the messages")
            pending[identity] = Call(identity, *_name_and_arguments(call))
    return list(pending.values())


def tool_message(call: Call, content: str) -> Message:
    """Make the tool message of the guide's fourth step."""
    return {"role": "tool", "name": call.name, "tool_call_id": call.id, "content": content}


def answered(messages: Sequence[Message], results: Mapping[str, str], *, all_of_them: bool) -> list[Message]:
    """Give the tool messages for results by call id, in the order of the calls.

    Raises UsageError for a result of no pending call, and with `all_of_them` for a call without a result.
    """
    calls = pending_calls(messages)
    for identity in results:
        if all(call.id != identity for call in calls):
            waiting = ", ".join(call.id for call in calls) or "none"
            raise UsageError(f"no pending call {identity!r} for --result; pending: {waiting}")
    if all_of_them and (missing := [call.id for call in calls if call.id not in results]):
        raise UsageError(f"call {', '.join(missing)} has no result; give --result {missing[0]}=TEXT")
    return [tool_message(call, results[call.id]) for call in calls if call.id in results]
