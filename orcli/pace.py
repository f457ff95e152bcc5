"""How fast a batch asks: a server that is overrun slows all of its requests, and speed comes back by itself."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from orcli.retry import backoff


class Pace:
    """Lets at most so many requests run at once, fewer and later while the server asks for it.

    When a server refuses for want of capacity, the limit halves and all wait, as long as it asks or else 0.5 s doubling
    to 8 s; requests that were under way then tell nothing new. Each answer raises the limit by one again.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._running = 0
        self._waiters: deque[asyncio.Future[bool]] = deque()
        self._closed = asyncio.Event()
        self._slowed_at = -1.0
        self._held_until = 0.0
        self._refusals = 0
        self.limit = most

    def delay(self) -> float:
        """Give the seconds that all have to wait."""
        return max(self._held_until - self._clock(), 0.0)

    async def begin(self) -> float | None:
        """Wait for a turn, first come, first served, and give the time at which it began; `end()` has to follow.

        None, and no turn, once it is closed.
        """
        while await self._turn():
            if (delay := self.delay()) == 0:
                return self._clock()
            self.end()
            # Spread, so that those who waited do not all come at once.
            await self.pause(delay + 0.1 * random.random())
        return None

    async def _turn(self) -> bool:
        """Take a turn, held back or not; False, and none is taken, once it is closed."""
        if self._closed.is_set():
            return False
        if self._running < self.limit:
            self._running += 1
            return True
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter

    def end(self) -> None:
        """End a turn."""
        self._running -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters and self._running < self.limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                # Counted here: whoever comes between now and then is not to take the turn away.
                self._running += 1
                waiter.set_result(True)

    async def pause(self, seconds: float) -> None:
        """Wait so many seconds, or until it is closed."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)

    def close(self) -> None:
        """Give no more turns, and end every wait."""
        self._closed.set()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(False)
        self._waiters.clear()

    def slow_down(self, began: float, asked: float | None) -> float:
        """Take a refusal of a request that began then into account, and give the seconds that all wait for now.

        `asked` are the seconds that the server asks for.
        """
        if began > self._slowed_at:
            self._slowed_at = self._clock()
            self.limit = max(self.limit // 2, 1)
            wait = backoff(self._refusals) if asked is None else asked
            self._refusals += 1
        else:
            wait = asked or 0.0
        self._held_until = max(self._held_until, self._clock() + wait)
        return self.delay()

    def speed_up(self) -> None:
        """Take an answer into account."""
        self._refusals = 0
        if self.limit < self._most:
            self.limit += 1
            self._wake()
