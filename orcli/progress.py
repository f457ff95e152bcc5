"""What a person at a terminal sees of a batch while it runs: one line on stderr, erased at its end."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from orcli.report import amounts, shows_progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Progress:
    """Shows how far a batch is, where stderr is a terminal: done, failed, rate, tokens, cost, time left.

    `total` is the size of the input in bytes, by which the time left is reckoned; None where it is not known.
    """

    def __init__(self, *, wanted: bool, total: int | None) -> None:
        self._wanted = wanted and shows_progress()
        self._total = total
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        if self._wanted:
            # Imported here: only a person at a terminal pays for it.
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            ends = [] if self._total is None else [BarColumn(None), TimeRemainingColumn(compact=True)]
            columns = [TextColumn("{task.description}", markup=False), *ends, TimeElapsedColumn()]
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True, expand=self._total is not None)
            self._task = self._bar.add_task("starting", total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Erase it, and show the cursor again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def read(self, size: int) -> None:
        """Note that so many bytes of the input were read."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, size)

    def advance(self, done: int, failed: int, spent: Mapping[str, float]) -> None:
        """Note what is done."""
        if self._bar is not None and self._task is not None:
            elapsed = self._bar.tasks[0].elapsed or 0.0
            rate = [f"{done / elapsed:.1f}/s"] if elapsed > 1 else []
            words = ", ".join([f"{done} done", f"{failed} failed", *rate, *amounts(spent)])
            self._bar.update(self._task, description=words)
