"""The man pages as they are installed: found by `man`, and without a fault for either formatter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orcli.commands import tree
from tests.command import Orcli
from tests.shipped import need, share_directory

pytestmark = pytest.mark.debian

PAGES = ("orcli", *(f"orcli-{command.name}" for command in tree().commands))


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    """Give the directory that MANPATH names."""
    return share_directory(tmp_path / "share") / "man"


def test_a_page_for_orcli_and_for_each_command_is_installed(manual: Path) -> None:
    assert {page.name for page in (manual / "man1").glob("orcli*")} == {f"{name}.1" for name in PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_neither_formatter_finds_a_fault(orcli: Orcli, manual: Path, name: str) -> None:
    need("mandoc", "mandoc")
    need("man", "man-db")
    page = manual / "man1" / f"{name}.1"

    linted = orcli.shell(f"mandoc -T lint -W style {page}")
    formatted = orcli.shell(f"man --warnings -l {page}", env={"MANROFFSEQ": "", "MANWIDTH": "80"})

    assert (linted.code, linted.stdout, linted.stderr) == (0, "", "")
    assert (formatted.code, formatted.stderr) == (0, "")
    assert max(map(len, formatted.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", PAGES)
def test_man_finds_the_page_by_its_name(orcli: Orcli, manual: Path, name: str) -> None:
    need("man", "man-db")

    result = orcli.shell(f"man {name}", env={"MANPATH": str(manual), "MANWIDTH": "80"})

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{name.upper()}(1)")
    assert f"\n       {name} - " in result.stdout


def test_man_finds_the_page_beside_a_command_on_the_path(orcli: Orcli, manual: Path, tmp_path: Path) -> None:
    need("man", "man-db")
    shutil.copytree(manual, tmp_path / "env" / "share" / "man")
    (tmp_path / "env" / "bin").mkdir()

    result = orcli.shell("man -w orcli-ask", env={"PATH": f"{tmp_path}/env/bin:/usr/bin:/bin"})

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path}/env/share/man/man1/orcli-ask.1\n"
