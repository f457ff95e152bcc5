"""The answer as it arrives, and proof at its end that it is whole."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from orcli.answer import as_line, parse_completion, verdict
from orcli.client import Client, Response
from orcli.deltas import Accumulator
from orcli.errors import WORDS, Incomplete, OrcliError, Unavailable, one_line, redacted_object, reports_error
from orcli.process import Stalled
from orcli.retry import Retry
from orcli.sse import events
from orcli.text import compact_json, encode, load_json, salvage_json

EVENT_STREAM = "text/event-stream"
_SILENT = "nothing came for longer than --idle-timeout; try again"


@dataclass(frozen=True)
class Chunk:
    """One event of a stream: the bytes of its data, the object they are, and its text and reasoning."""

    data: bytes
    object: Mapping[str, Any]
    text: str
    reasoning: str

    @property
    def says_error(self) -> bool:
        """The object itself carries an error, as the API sends it."""
        return reports_error(self.object)

    def line(self) -> bytes:
        """Give the object as one line, byte for byte as it came but for line ends; redacted where it has an error."""
        return encode(compact_json(redacted_object(self.object))) + b"\n" if self.says_error else as_line(self.data)


@dataclass
class Stream:
    """A stream that is posted when it is iterated; gives its chunks as they come, then raises what made it fail.

    What is transient is tried again until a chunk has text or an image, or with `raw` until any chunk has come. `begin`
    is called before each try. With `keep` the accumulator puts the whole message together; `tools` and `media` are
    those of `verdict`.
    """

    client: Client
    body: bytes
    retry: Retry
    begin: Callable[[], None]
    keep: bool
    raw: bool
    tools: bool
    media: bool
    accumulator: Accumulator
    """What came so far, in the last try."""

    def __iter__(self) -> Generator[Chunk, None, None]:
        for number in count():
            committed = False
            try:
                for chunk in self._chunks():
                    committed = committed or self.raw or bool(chunk.text)
                    yield chunk
            except OrcliError as error:
                if committed:
                    raise
                self.retry.wait(error, number)
            else:
                return

    def _chunks(self) -> Iterator[Chunk]:
        """Post once and yield the chunks; an error before anything that counts is raised and not yielded."""
        self.begin()
        self.accumulator = Accumulator(keep=self.keep)
        first = True
        with ExitStack() as stack:
            try:
                response = self.client.post(self.body)
            except Stalled:
                host = self.client.endpoint.host
                raise Unavailable(f"{host} did not answer within --idle-timeout; try later") from None
            stack.callback(response.close)
            streamed = response.content_type.startswith(EVENT_STREAM)
            for chunk in (_read if streamed else _read_whole)(response, self.accumulator):
                early = first if self.raw else not self.accumulator.delivered
                if self.accumulator.error and early and not chunk.text:
                    raise self._failure(chunk, response.retry_after)
                first = False
                yield chunk
        if first:
            raise Unavailable("the stream ended before anything came; try later")
        if (error := verdict(self.accumulator.outcome(), tools=self.tools, media=self.media)) is not None:
            raise error

    def _failure(self, chunk: Chunk, retry_after: float | None) -> OrcliError:
        failure = verdict(self.accumulator.outcome()) or Unavailable("the provider failed; try later")
        failure.retry_after = retry_after
        failure.completion = replace(self.accumulator.completion(), body=chunk.line() if chunk.says_error else b"")
        return failure


def stream(
    client: Client,
    body: bytes,
    retry: Retry,
    *,
    begin: Callable[[], None],
    keep: bool = False,
    raw: bool = False,
    tools: bool = False,
    media: bool = True,
) -> Stream:
    """Give the stream of an encoded request with `stream` true; iterate it, and close the iterator to hang up."""
    return Stream(client, body, retry, begin, keep, raw, tools, media, Accumulator(keep=keep))


def _read_whole(response: Response, accumulator: Accumulator) -> Iterator[Chunk]:
    """Yield the one chunk that a whole completion is, which some send in place of a stream; raises what else it is."""
    try:
        body = response.read()
    except Stalled:
        raise Unavailable(_SILENT) from None
    if body.broken is not None:
        raise body.broken
    completion = parse_completion(body.data, body.retry_after)
    delta = {**completion.object, "choices": [{**completion.choice, "delta": completion.message}]}
    text, reasoning = accumulator.add(delta)
    yield Chunk(completion.line(), completion.object, text, reasoning)


def _read(response: Response, accumulator: Accumulator) -> Iterator[Chunk]:
    """Yield the chunks of a response until its end, `[DONE]` or an error chunk; raises where it breaks."""
    try:
        for name, data in events(response.blocks()):
            if data.strip() == b"[DONE]":
                return
            chunk, data = _parse(name, data)
            if chunk is None:
                continue
            text, reasoning = accumulator.add(chunk)
            if name == b"error" and accumulator.error is None:
                accumulator.error = {"message": str(chunk.get("message") or "the stream reports an error")}
            yield Chunk(data, chunk, text, reasoning)
            if accumulator.error:
                return
    except Stalled:
        raise _broken(accumulator, _SILENT) from None
    except OrcliError as error:
        raise _broken(accumulator, error.message) from error


def _parse(name: bytes, data: bytes) -> tuple[Mapping[str, Any] | None, bytes]:
    """Read an event's data, and give the bytes that may be printed for it.

    None is what is no chunk and says nothing, as some send to keep a connection alive.
    """
    value: Any = None
    try:
        value = load_json(data)
    except ValueError:
        try:
            value = salvage_json(data)
        except ValueError:
            if name == b"error":
                value = {"message": one_line(data.decode("utf-8", "replace"), WORDS)}
            elif data.strip() and name in (b"", b"message"):
                raise Unavailable("the stream is garbled; try again") from None
        data = encode(compact_json(value))
    return (value if isinstance(value, dict) else None), data


def _broken(accumulator: Accumulator, message: str) -> OrcliError:
    """Say that a stream broke: Incomplete once text had come, else Unavailable; never tried again."""
    if accumulator.delivered:
        return Incomplete(f"the answer broke off: {message}")
    return Unavailable(message)
