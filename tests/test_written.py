"""The files that orcli writes: their modes under any umask, and what a link in their place leads to."""

from __future__ import annotations

import json
import stat
from base64 import b64encode
from pathlib import Path

import pytest

from tests import samples
from tests.command import Orcli
from tests.openrouter import OpenRouter, completion

IMAGE = f"data:image/png;base64,{b64encode(samples.PNG).decode()}"
DRAWN = {"images": [{"type": "image_url", "image_url": {"url": IMAGE}}]}


@pytest.fixture(autouse=True)
def answered(orcli: Orcli, openrouter: OpenRouter) -> None:
    """Answer with an image, and write what the commands read."""
    openrouter.default = completion("Hello.", message=DRAWN)
    orcli.file("in", '"hi"\n').chmod(0o644)


def modes(directory: Path) -> dict[str, int]:
    """Give the mode of everything in a directory, by its path there."""
    return {str(path.relative_to(directory)): stat.S_IMODE(path.lstat().st_mode) for path in directory.rglob("*")}


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_what_is_written_is_its_owners_alone_under_any_umask(orcli: Orcli, umask: str) -> None:
    (orcli.work / "images").mkdir()
    (orcli.work / "images").chmod(0o755)
    runs = (
        "ask -q -c conversation --log log hi",
        "batch -o results in",
        "vision -n --save images hi",
        "vision -n --save new/below hi",
        "models",
    )

    result = orcli.shell(f"umask {umask}; {' && '.join(f'orcli {run}' for run in runs)}")

    assert (result.code, result.stderr) == (0, "")
    made = 0o777 & ~int(umask, 8)
    assert modes(orcli.work) == {
        "in": 0o644,
        "conversation": 0o600,
        "log": 0o600,
        "results": 0o600,
        "images": 0o755,
        "images/orcli-1.png": 0o600,
        "new": made,
        "new/below": made,
        "new/below/orcli-1.png": 0o600,
    }
    assert modes(orcli.home) == {".cache": 0o700, ".cache/orcli": 0o700, ".cache/orcli/models": 0o600}


def test_directories_and_files_that_are_there_keep_their_modes(orcli: Orcli) -> None:
    cache = orcli.home / ".cache" / "orcli"
    cache.mkdir(parents=True)
    for path in (cache.parent, cache):
        path.chmod(0o755)
    for name in ("conversation", "log", "results"):
        orcli.file(name, "").chmod(0o644)

    result = orcli.shell("orcli ask -q -c conversation --log log hi && orcli batch -o results in && orcli models")

    assert (result.code, result.stderr) == (0, "")
    assert modes(orcli.work) == dict.fromkeys(("in", "conversation", "log", "results"), 0o644)
    assert modes(orcli.home) == {".cache": 0o755, ".cache/orcli": 0o755, ".cache/orcli/models": 0o600}


APPENDED = {
    "-c": ["ask", "-q", "-n", "-c", "link", "hi"],
    "--log": ["ask", "-q", "-n", "--log", "link", "hi"],
    "-o": ["batch", "-o", "link", "in"],
}


@pytest.mark.parametrize("target", ["there", "new"])
@pytest.mark.parametrize("option", APPENDED)
def test_a_file_that_is_named_may_be_a_link_as_for_a_shell(orcli: Orcli, option: str, target: str) -> None:
    orcli.file("there", "").chmod(0o644)
    (orcli.work / "link").symlink_to(target)

    result = orcli(*APPENDED[option])

    assert (result.code, result.stderr) == (0, "")
    assert (orcli.work / "link").is_symlink()
    assert json.loads((orcli.work / target).read_text().splitlines()[0])
    assert stat.S_IMODE((orcli.work / target).stat().st_mode) == (0o644 if target == "there" else 0o600)


@pytest.mark.parametrize("target", ["there", "new", "."])
def test_the_list_of_ids_takes_the_place_of_a_link_and_touches_not_what_it_led_to(orcli: Orcli, target: str) -> None:
    there = orcli.file("../home/.cache/orcli/there", "mine")
    link = there.with_name("models")
    link.symlink_to(target)

    result = orcli("models")

    assert (result.code, result.stderr) == (0, "")
    assert not link.is_symlink()
    assert link.read_text() == "openai/gpt-4o-mini\n"
    assert {path.name: path.read_text() for path in there.parent.iterdir() if path != link} == {"there": "mine"}
