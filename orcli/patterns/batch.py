"""Many requests at once: read, asked and written side by side, with no more in memory than is under way."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from orcli.answer import Completion, has_calls
from orcli.client import AsyncClient
from orcli.errors import AccountError, Failed, OrcliError, TimedOut, ToolsError, Unavailable, as_failure
from orcli.pace import Pace
from orcli.patterns.ask import whole_answer
from orcli.records import Job
from orcli.retry import LONGEST_WAIT, backoff
from orcli.validation import check_answer_async

_WINDOW = 16
"""Results for each request at once that may wait for an earlier line's."""
_WINDOW_BYTES = 1 << 25
_CHECKS = 2
"""Answers that are checked against their schema at once; each may take a process."""
_UNCHECKED = "the run ended before the answer was checked; run it again"
_OVERRUN = frozenset({429, 503})
_FAILURES_IN_A_ROW = 50

Source = AsyncIterator[Job | bytes]
"""What a batch asks; bytes are the result of a line that asks nothing."""
Conclude = Callable[[Job, Completion | None, OrcliError | None, float], bytes]
"""Gives a job's result, from its completion, its failure and the seconds it took."""
Write = Callable[[Sequence[bytes]], Awaitable[None]]
"""Writes results."""


@dataclass(frozen=True)
class Limits:
    """How far a batch goes: requests at once, retries and seconds (0 is no limit) for each, the cost of all in USD."""

    jobs: int
    retries: int
    seconds: float
    cost: float | None = None
    ordered: bool = True


async def batch(client: AsyncClient, source: Source, conclude: Conclude, write: Write, limits: Limits) -> None:
    """Ask everything that `source` yields and write each result, in the order of `source` unless told otherwise.

    Where a line's failure is one of all lines, the key's or the credits', or the cost is reached, no more are started,
    those under way end, and the failure is raised. When cancelled it hangs up and writes the results that are there.
    """
    run = _Run(client, conclude, limits)
    reader = asyncio.create_task(run.read(source))
    run.reader = reader
    writer = asyncio.create_task(run.write_out(write))
    workers = [asyncio.create_task(run.work()) for _ in range(limits.jobs)]
    asking = asyncio.gather(reader, *workers)
    both: set[asyncio.Future[Any]] = {asking, writer}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if writer.done():
            await writer
        await asking
        run.close()
        await writer
        await write(run.rest())
    except BaseException:
        unwritable = writer.done() and not writer.cancelled() and writer.exception() is not None
        run.close()
        for task in (reader, writer, *workers):
            task.cancel()
        await asyncio.gather(asking, reader, writer, *workers, return_exceptions=True)
        if not unwritable:
            await write(run.rest())
        raise
    if run.stopped is not None:
        raise run.stopped


class _Run:
    """The state that the reader, the workers and the writer of a batch share."""

    def __init__(self, client: AsyncClient, conclude: Conclude, limits: Limits) -> None:
        self._client = client
        self._conclude = conclude
        self._limits = limits
        self._pace = Pace(limits.jobs)
        self._checks = asyncio.Semaphore(_CHECKS)
        self._queue: asyncio.Queue[tuple[int, Job | bytes] | None] = asyncio.Queue(1)
        self._begun = self._started = self._next = self._written = 0
        self._finished: dict[int, bytes] = {}
        self._ready: list[bytes] = []
        self._held = 0
        self._closed = False
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._cost = 0.0
        self._failures = 0
        self._reading, self._read_all = True, False
        self.stopped: OrcliError | None = None
        self.reader: asyncio.Task[None] | None = None

    async def read(self, source: Source) -> None:
        """Hand the lines to the workers, no more than fit in the window, and at the end tell them so."""
        try:
            async for item in source:
                while self._begun - self._written >= _WINDOW * self._limits.jobs or self._held >= _WINDOW_BYTES:
                    self._room.clear()
                    await self._room.wait()
                await self._queue.put((self._begun, item))
                self._begun += 1
            self._read_all = True
        except OrcliError as error:
            self._stop(error)
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
        self._reading = False
        for _ in range(self._limits.jobs):
            await self._queue.put(None)

    def _stop(self, error: OrcliError) -> None:
        """Start nothing more; the first reason is the one that counts."""
        if self.stopped is None:
            self.stopped = error
            self._pace.close()
            if self._reading and self.reader is not None and self.reader is not asyncio.current_task():
                self.reader.cancel()

    async def work(self) -> None:
        """Answer one line after another."""
        # A cancellation may be lost in the very moment that an answer comes (wait_for, before Python 3.12).
        while not self._closed and (item := await self._queue.get()) is not None:
            place, job = item
            if isinstance(job, bytes):
                self._started += 1
                self._finish(place, job)
            elif (line := await self._answer(job)) is not None:
                self._finish(place, line)

    async def _answer(self, job: Job) -> bytes | None:
        """Give a job's result; None where the run was stopped before it was asked."""
        completion, error = None, None
        began = time.monotonic()
        try:
            completion = await self._ask(job)
            if completion is None:
                return None
        except Exception as raised:  # noqa: BLE001  what nobody foresaw befalls one line and spares the others
            error = as_failure(raised)
            completion = error.completion
        self._judge(completion, error)
        return self._conclude(job, completion, error, time.monotonic() - began)

    async def _ask(self, job: Job) -> Completion | None:
        """Ask until there is an answer, a failure for good, or the retries or the time are used up.

        Once the run is stopped nothing more is asked: the last failure counts; None where there is none.
        """
        ends = math.inf
        last: OrcliError | None = None
        for number in count():
            began = await self._pace.begin()
            if began is None:
                if last is None:
                    return None
                raise last
            if number == 0:
                self._started += 1
                ends = began + (self._limits.seconds or math.inf)
            try:
                return await self._ask_once(job, ends)
            except OrcliError as error:
                last = error
                overrun = error.transient and (error.status in _OVERRUN or error.retry_after is not None)
                wait = self._pace.slow_down(began, error.retry_after) if overrun else backoff(number)
                if error.transient and wait > LONGEST_WAIT:
                    self._stop(Unavailable(f"{error.message} (in {wait:.0f} s, says the server)", error=error.error))
                if not error.transient or number >= self._limits.retries or self.stopped is not None:
                    raise
                if time.monotonic() + wait >= ends:
                    raise
            finally:
                self._pace.end()
            if not overrun:
                await self._pace.pause(wait)
        raise AssertionError("the count does not end")

    async def _ask_once(self, job: Job, ends: float) -> Completion:
        left = ends - time.monotonic()
        try:
            if left <= 0:
                # The time went by while all were held back.
                raise asyncio.TimeoutError
            answer = await asyncio.wait_for(self._client.post(job.body), None if left == math.inf else left)
        except asyncio.TimeoutError:
            raise TimedOut(
                f"no answer within {self._limits.seconds:g} s; raise --request-timeout (ORCLI_TIMEOUT)"
            ) from None
        completion = whole_answer(answer, tools=job.tools)
        self._pace.speed_up()
        if job.schema is not None and not has_calls(completion.message.get("tool_calls")):
            try:
                async with self._checks:
                    await check_answer_async(completion.text, job.schema)
            except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001  the answer is there, and paid for
                error = Failed(_UNCHECKED) if isinstance(raised, asyncio.CancelledError) else as_failure(raised)
                error.completion = completion
                raise error from None
        return completion

    def _judge(self, completion: Completion | None, error: OrcliError | None) -> None:
        """Stop the run where a result says that all further ones would be as bad, or that the cost is reached."""
        if completion is not None:
            self._cost += completion.cost
        if isinstance(error, AccountError) and error.status != 403:
            self._stop(error)
        self._failures = self._failures + 1 if isinstance(error, (Unavailable, Failed)) else 0
        if error is not None and self._failures >= max(_FAILURES_IN_A_ROW, 4 * self._limits.jobs):
            what, _, advice = error.message.rpartition("; ")
            self._stop(type(error)(f"{what}, {self._failures} lines in a row; {advice}", error=error.error))
        limit = self._limits.cost
        if limit is not None and self._cost >= limit and not (self._read_all and self._started == self._begun):
            self._stop(ToolsError(f"the cost limit of ${limit:g} is reached; raise --max-cost, or run it again"))

    def _finish(self, place: int, line: bytes) -> None:
        """Take a result in, and let out what is next."""
        self._held += len(line)
        if self._limits.ordered:
            self._finished[place] = line
            while self._next in self._finished:
                self._ready.append(self._finished.pop(self._next))
                self._next += 1
        else:
            self._ready.append(line)
        if self._ready:
            self._news.set()

    async def write_out(self, write: Write) -> None:
        """Write results as they become ready, until there are no more to come."""
        while not (self._closed and not self._ready):
            if not self._ready:
                self._news.clear()
                await self._news.wait()
                continue
            lines, self._ready = self._ready, []
            # Once begun it goes on, also when the batch is cancelled.
            await asyncio.shield(write(lines))
            self._written += len(lines)
            self._held -= sum(map(len, lines))
            self._room.set()

    def close(self) -> None:
        """Say that no more is asked and no more results come."""
        self._closed = True
        self._news.set()

    def rest(self) -> list[bytes]:
        """Take out the results that are not written, those behind one that is still missing too."""
        lines = [*self._ready, *(self._finished[place] for place in sorted(self._finished))]
        self._ready, self._finished = [], {}
        return lines
