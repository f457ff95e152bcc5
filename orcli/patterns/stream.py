"""The answer as it arrives, and proof at its end that it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from orcli.answer import as_line, parse_completion, verdict
from orcli.client import Client, Response
from orcli.deltas import Accumulator
from orcli.errors import Incomplete, OrcliError, Unavailable
from orcli.process import Stalled
from orcli.retry import Retry
from orcli.sse import events
from orcli.text import load_json

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Chunk:
    """One event of a stream: the bytes of its data, the object they are, and its text and reasoning."""

    data: bytes
    object: Mapping[str, Any]
    text: str
    reasoning: str

    def line(self) -> bytes:
        """Give the object as one line, byte for byte as it came but for line ends."""
        return as_line(self.data)


@dataclass
class Stream:
    """A stream that has begun; iterating gives its chunks as they come and raises at the end what made it fail."""

    response: Response
    accumulator: Accumulator
    early: list[Chunk]
    rest: Iterator[Chunk]
    tools: bool

    def __iter__(self) -> Iterator[Chunk]:
        yield from self.early
        yield from self.rest
        if (error := verdict(self.accumulator.outcome(), tools=self.tools)) is not None:
            raise error

    def close(self) -> None:
        """Hang up at once, so that the provider stops generating."""
        self.response.close()


def open_stream(
    client: Client,
    body: bytes,
    retry: Retry,
    *,
    begin: Callable[[], None],
    keep: bool,
    hold: bool,
    tools: bool = False,
) -> Stream:
    """Post an encoded request with `stream` true and give its stream once something came.

    What is transient is tried again until then. With `hold`, chunks without text are held back until one has some, so
    that an error before any text can still be retried; without it, the first chunk of any kind is the beginning.
    `begin` is called before each try. With `tools`, tool calls are an answer.
    """

    def attempt() -> Stream:
        begin()
        return _begin(client, body, keep=keep, hold=hold, tools=tools)

    return retry.run(attempt)


def _begin(client: Client, body: bytes, *, keep: bool, hold: bool, tools: bool) -> Stream:
    with ExitStack() as stack:
        try:
            response = client.post(body)
        except Stalled:
            raise Unavailable(f"{client.endpoint.host} did not answer within --idle-timeout; try later") from None
        stack.callback(response.close)
        _check_content_type(response)
        accumulator = Accumulator(keep=keep)
        rest = _chunks(response, accumulator)
        early: list[Chunk] = []
        for chunk in rest:
            early.append(chunk)
            if chunk.text or not (hold or accumulator.error):
                break
        if not early:
            raise Unavailable("the stream ended before anything came; try later")
        failure = verdict(accumulator.outcome()) if accumulator.error and not accumulator.came else None
        if failure is not None:
            failure.completion = replace(accumulator.completion(), body=early[-1].data)
            raise failure
        stack.pop_all()
        return Stream(response, accumulator, early, rest, tools)


def _check_content_type(response: Response) -> None:
    """Raise what a 200 that is no event stream says instead; its body would be an empty stream without any error."""
    if response.content_type.startswith(EVENT_STREAM):
        return
    body, broken = response.read()
    if broken is not None:
        raise broken
    parse_completion(body)
    raise Unavailable("the server answered a whole completion in place of a stream; use orcli ask")


def _chunks(response: Response, accumulator: Accumulator) -> Iterator[Chunk]:
    """Yield the chunks of a response until its end, `[DONE]` or an error chunk; raises where it breaks."""
    try:
        for name, data in events(response.blocks()):
            if data == b"[DONE]":
                return
            chunk = _parse(name, data)
            text, reasoning = accumulator.add(chunk)
            yield Chunk(data, chunk, text, reasoning)
            if accumulator.error:
                return
    except Stalled:
        raise _broken(accumulator, "nothing came for longer than --idle-timeout; try again") from None
    except OrcliError as error:
        raise _broken(accumulator, error.message) from error


def _parse(name: bytes, data: bytes) -> Mapping[str, Any]:
    try:
        value = load_json(data)
    except ValueError:
        raise Unavailable("the stream is garbled; try again") from None
    if not isinstance(value, dict):
        raise Unavailable("the stream is garbled; try again")
    if name == b"error" and not value.get("error"):
        return {**value, "error": {"message": str(value.get("message") or "the stream reports an error")}}
    return value


def _broken(accumulator: Accumulator, message: str) -> OrcliError:
    """Say that a stream broke: Incomplete once text had come, else Unavailable; never tried again."""
    if accumulator.came:
        return Incomplete(f"the answer broke off: {message}")
    return Unavailable(message)
