"""The lines of files and of standard input as they come, one at a time, while other work goes on."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence

from orcli.errors import UsageError
from orcli.inputs import SILENT_SECONDS, STDIN, display_name

_BLOCK = 1 << 16
LONGEST = 1 << 26
"""Bytes of a line; nothing that the API takes is as long."""
_BOM = b"\xef\xbb\xbf"


async def read_lines(names: Sequence[str], on_silence: Callable[[], None]) -> AsyncIterator[bytes | None]:
    """Yield the lines of files, `-` being standard input, one after the other, without their ends, LF or CR LF.

    None stands for a line longer than 64 MiB, of which no more is kept. `on_silence` is called once when standard
    input stays silent for 2 s at its beginning. Raises UsageError for what cannot be read.
    """
    for name in names:
        descriptor = STDIN if name == "-" else await _open(name)
        blocks = _blocks(descriptor, name, on_silence if name == "-" else None)
        async for line in _split(_without_mark(blocks)):
            yield line
        if descriptor != STDIN:
            os.close(descriptor)


async def _without_mark(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Take out the byte order mark that a file may begin with."""
    beginning: bytes | None = b""
    async for block in blocks:
        if beginning is not None:
            block = beginning + block
            if len(block) < len(_BOM) and _BOM.startswith(block):
                beginning = block
                continue
            block, beginning = block.removeprefix(_BOM), None
        yield block
    if beginning:
        yield beginning


async def _split(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    parts: list[bytes] = []
    size = 0
    async for block in blocks:
        *whole, rest = block.split(b"\n")
        for piece in whole:
            yield b"".join([*parts, piece]).removesuffix(b"\r") if size + len(piece) <= LONGEST else None
            parts, size = [], 0
        size += len(rest)
        if size > LONGEST:
            parts = []
        elif rest:
            parts.append(rest)
    if size:
        yield b"".join(parts) if size <= LONGEST else None


async def _open(name: str) -> int:
    # In a thread: a named pipe opens only when something writes to it.
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(None, os.open, name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(name, error) from error


async def _blocks(descriptor: int, name: str, on_silence: Callable[[], None] | None) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    silence = None if on_silence is None else loop.call_later(SILENT_SECONDS, on_silence)
    waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
    try:
        while True:
            waits = waits and await _readable(descriptor)
            if silence is not None:
                silence.cancel()
            try:
                block = os.read(descriptor, _BLOCK)
            except BlockingIOError:
                continue
            if not block:
                return
            yield block
            # Lines that ask nothing must not keep signals and answers waiting.
            await asyncio.sleep(0)
    except OSError as error:
        raise _unreadable(name, error) from error
    finally:
        if silence is not None:
            silence.cancel()


async def _readable(descriptor: int) -> bool:
    """Wait until a descriptor can be read without blocking; False for one that never blocks and cannot be waited on."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(descriptor, tell)
    except PermissionError:
        return False
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    return True


def _unreadable(name: str, error: OSError) -> UsageError:
    return UsageError(f"cannot read {display_name(name)}: {error.strerror}; check the path")
