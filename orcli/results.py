"""The file that a batch's results are kept in, so that the same command again finishes it; and the ids it knows."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

from orcli.appending import append, has_name, open_appending
from orcli.errors import Failed, UsageError
from orcli.records import begins_result, read_result

_BLOCK = 1 << 20
_SEEN, _ANSWERED = 1, 2
_FLAGS = _SEEN | _ANSWERED
_TAKEN = 4
"""Set in every slot that is in use, so that none of them is 0."""


class Ids:
    """Which ids were seen in the input and which were answered before, in 10 to 20 bytes each.

    A million ids in a set of Python's would take 100 MB. It keeps 61 bits of each one's hash: among a million ids the
    odds that any two are taken for one are one in four million.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._used = 0

    def see(self, custom_id: str | int) -> bool:
        """Note an id of the input, and say whether it is new there."""
        slot = self._slot(custom_id)
        new = not self._slots[slot] & _SEEN
        self._slots[slot] |= _SEEN
        return new

    def seen(self, custom_id: str | int) -> bool:
        """Tell whether an id was seen in the input."""
        return bool(self._slots[self._slot(custom_id)] & _SEEN)

    def answer(self, custom_id: str | int, answered: bool) -> None:
        """Note whether an id is answered; the last word on it counts."""
        slot = self._slot(custom_id)
        self._slots[slot] = self._slots[slot] & ~_ANSWERED | (_ANSWERED if answered else 0)

    def answered(self, custom_id: str | int) -> bool:
        """Tell whether an id is answered."""
        slot = self._slot(custom_id)
        return bool(self._slots[slot] & _ANSWERED)

    def _slot(self, custom_id: str | int) -> int:
        """Find an id's slot, or take one for it."""
        if 5 * self._used >= 4 * len(self._slots):
            self._grow()
        digest = blake2b(json.dumps(custom_id).encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "little") & ~_FLAGS | _TAKEN
        slot = _place(self._slots, key)
        if not self._slots[slot]:
            self._slots[slot] = key
            self._used += 1
        return slot

    def _grow(self) -> None:
        slots = array("Q", bytes(2 * 8 * len(self._slots)))
        for key in self._slots:
            if key:
                slots[_place(slots, key)] = key
        self._slots = slots


def _place(slots: array[int], key: int) -> int:
    """Find where a key is in an open-addressed table, or belongs."""
    mask = len(slots) - 1
    place = (key >> 3) & mask
    while slots[place] and slots[place] | _FLAGS != key | _FLAGS:
        place = (place + 1) & mask
    return place


@dataclass(frozen=True)
class ResultFile:
    """A file of results, locked for this run, that each result is appended to whole."""

    name: str
    descriptor: int

    def append(self, line: bytes) -> None:
        """Append a line in one write; where that fails, Failed, and the file is as it was.

        Failed too where it has lost its name by then, as after an editor: nobody would find what came next.
        """
        try:
            append(self.descriptor, line)
        except OSError as error:
            raise Failed(f"cannot append to {self.name}: {error.strerror}; run it again when it can be") from error
        if not has_name(self.descriptor, self.name):
            raise Failed(f"{self.name} was removed or replaced; run it again")


def open_results(name: str, ids: Ids) -> ResultFile:
    """Open a file of results for this run alone, note in `ids` what it answers, and cut off a torn last line.

    Raises UsageError where it cannot be opened, another run holds it, or it holds anything but results.
    """
    if name == "-":
        raise UsageError("-o - is no file; leave -o out to write to stdout")
    try:
        descriptor = open_appending(name)
    except OSError as error:
        raise UsageError(f"cannot open {name}: {error.strerror}; check -o") from error
    _check_regular(descriptor, name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"{name} is in use by another run; wait for it, or give another -o") from error
    except OSError as error:
        raise UsageError(f"cannot lock {name}: {error.strerror}; give another -o, on another file system") from error
    whole, ended = _note_answers(descriptor, name, ids)
    if whole < os.fstat(descriptor).st_size:
        _mend(name, partial(os.ftruncate, descriptor, whole))
    if not ended:
        _mend(name, partial(os.write, descriptor, b"\n"))
    return ResultFile(name, descriptor)


def look_at_results(name: str, ids: Ids) -> None:
    """Note in `ids` what a file of results answers, and leave it as it is; raises what `open_results` does."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"cannot open {name}: {error.strerror}; check -o") from error
    _check_regular(descriptor, name)
    _note_answers(descriptor, name, ids)
    os.close(descriptor)


def _check_regular(descriptor: int, name: str) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise UsageError(f"{name} is no regular file; leave -o out to write to a pipe")


def _note_answers(descriptor: int, name: str, ids: Ids) -> tuple[int, bool]:
    """Note what a file answers; give the bytes of its whole lines, and whether the last of them has its end."""
    whole, ended = 0, True
    for number, line in enumerate(_lines(descriptor), 1):
        try:
            custom_id, answered = read_result(line)
        except ValueError:
            if line.endswith(b"\n") or not (whole or begins_result(line)):
                raise UsageError(f"{name}, line {number} is no result of a batch; give another -o") from None
            break
        if custom_id is not None:
            ids.answer(custom_id, answered)
        whole += len(line)
        ended = line.endswith(b"\n")
    return whole, ended


def _mend(name: str, work: Callable[[], object]) -> None:
    try:
        work()
    except OSError as error:
        raise Failed(f"cannot mend {name}: {error.strerror}; run it again when it can be") from error


def _lines(descriptor: int) -> Iterator[bytes]:
    with open(descriptor, "rb", buffering=_BLOCK, closefd=False) as file:
        yield from file
