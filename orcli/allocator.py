"""Large blocks of memory, which go back to the system as soon as they are freed.

Once a large block was freed, glibc keeps what is freed after it, up to twice its size, for more of that kind
(mallopt(3), M_MMAP_THRESHOLD). A long text takes several, one after another, none of which is needed again.
"""

from __future__ import annotations

from contextlib import suppress

LARGE = 1 << 20
_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc's malloc.h."""


def give_back_large_blocks(size: int) -> None:
    """Let large blocks go back from now on, if `size` bytes are large; another C library does as it does."""
    if size >= LARGE:
        with suppress(ImportError, OSError, AttributeError):
            import ctypes

            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, LARGE)
