"""Many runs, one after the other and at once: short forms of `python -m tests.cron` and `python -m tests.crowd`."""

from __future__ import annotations

from pathlib import Path

from tests.cron import JOBS, spend
from tests.crowd import gather


def test_runs_that_end_in_every_way_leave_nothing_behind(tmp_path: Path) -> None:
    day = spend(tmp_path, len(JOBS))

    assert (day.wrong, day.left) == ([], [])
    assert day.ends.total() == len(JOBS)


def test_processes_that_all_wait_at_once_each_get_their_own_answer(tmp_path: Path) -> None:
    crowd = gather(tmp_path, 16)

    assert (crowd.wrong, crowd.stderr) == ([], "")
    assert crowd.memory > 0
