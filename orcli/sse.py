"""Server-sent events: the lines of a stream as the data of its events. Pure.

Framing: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, with one leniency:
an event that the end of the stream leaves without its blank line counts, so that a last chunk is not lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orcli.errors import Incomplete

MOST_BYTES = 1 << 27
"""Of a body, of one event, of what is kept of a stream. A picture in an answer takes tens of millions."""
TOO_LONG = f"more than {MOST_BYTES >> 20} MiB came, which is no answer; try another model"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def events(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield each event's name (empty without one) and data, whatever the borders of the blocks; comments are none.

    Linear in the length of a line. Lines end in LF, CRLF or CR. Raises Incomplete for an event without end.
    """
    data: list[bytes] = []
    name = b""
    size = 0
    for line in _lines(blocks):
        size = size + len(line) if line else 0
        if size > MOST_BYTES:
            raise Incomplete(TOO_LONG)
        if line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif not line:
            if data:
                yield name, data[0] if len(data) == 1 else b"\n".join(data)
                data = []
            name = b""
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif line == b"data":
            data.append(b"")
    if data:
        yield name, b"\n".join(data)


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines without their ends; the last one also when it has none."""
    unfinished: list[bytes] = []
    size = 0
    after_return = False
    for block in _without_mark(blocks):
        if after_return and block.startswith(b"\n"):
            block = block[1:]
        after_return = block.endswith(b"\r")
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = block.split(b"\n")
        unfinished.append(lines[0])
        size += len(lines[0])
        if size > MOST_BYTES:
            raise Incomplete(TOO_LONG)
        if len(lines) > 1:
            yield b"".join(unfinished)
            yield from lines[1:-1]
            unfinished = [lines[-1]]
            size = len(lines[-1])
    if any(unfinished):
        yield b"".join(unfinished)


def _without_mark(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what is not empty, from behind a byte order mark at the very beginning."""
    held: bytes | None = b""
    for block in blocks:
        if held is None:
            if block:
                yield block
            continue
        held += block
        if len(held) >= len(_BYTE_ORDER_MARK) or not _BYTE_ORDER_MARK.startswith(held):
            if beginning := held.removeprefix(_BYTE_ORDER_MARK):
                yield beginning
            held = None
    if held:
        yield held
