"""When the same request is made again: only for what is transient, and only within the deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from orcli.errors import OrcliError, Unavailable

T = TypeVar("T")

LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more is not waited for."""
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 8.0


@dataclass(frozen=True)
class Retry:
    """How often to try again, how many seconds are left, and whom to tell of a wait."""

    times: int
    remaining: Callable[[], float | None]
    on_wait: Callable[[OrcliError, float], None]

    def run(self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it succeeds, fails for good, or the retries or the time are used up.

        Waits as `Retry-After` says, else 0.5 s doubling to 8 s, less up to a quarter; where the wait would be over
        120 s or over the deadline, the error is raised at once.
        """
        for number in count():
            try:
                return attempt()
            except OrcliError as error:
                self.wait(error, number)
        raise AssertionError("the count does not end")

    def wait(self, error: OrcliError, number: int) -> None:
        """Wait before try `number` + 1, counted from 0; raises `error` where there is to be none."""
        if not error.transient or number >= self.times:
            raise error
        seconds = self._seconds(error, number)
        self.on_wait(error, seconds)
        time.sleep(seconds)

    def _seconds(self, error: OrcliError, number: int) -> float:
        asked = error.retry_after
        wait = backoff(number) if asked is None else asked + 0.1 * random.random()
        left = self.remaining()
        if asked is not None and asked > LONGEST_WAIT:
            raise _too_late(error, f"{error.message} (in {asked:.0f} s, says the server)") from error
        if left is not None and wait >= left:
            raise error if asked is None else _too_late(error, error.message) from error
        return wait


def backoff(number: int) -> float:
    """Give the seconds to wait before try `number` + 1, counted from 0, where the server asks for none."""
    return min(_FIRST_BACKOFF * 2.0 ** min(number, 16), _LONGEST_BACKOFF) * (1 - 0.25 * random.random())


def _too_late(error: OrcliError, message: str) -> Unavailable:
    failure = Unavailable(message, error=error.error)
    failure.completion = error.completion
    return failure
