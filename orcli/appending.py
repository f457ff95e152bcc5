"""Files of lines that grow, which others may read, lock and replace meanwhile: conversations, results of batches."""

from __future__ import annotations

import os
from contextlib import suppress


def open_appending(name: str, *, make: bool = True) -> int:
    """Open a file for reading and appending, made with mode 0600 where it is not there yet; OSError where it cannot be.

    What is no regular file is opened without waiting for its other end.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    return os.open(name, flags | (os.O_CREAT if make else 0), 0o600)


def append(descriptor: int, data: bytes | memoryview) -> None:
    """Append data in one write; where that fails, OSError, and the file is as it was."""
    size = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        # Once, but for a disk that fills up in its midst: the second write tells why.
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def has_name(descriptor: int, name: str) -> bool:
    """Tell whether an open file still has its name: an editor or git may have put another one in its place."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(name))
    return False
