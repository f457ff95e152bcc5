"""What the wheel puts below share/: as installed, where an installed command is tested, else from the checkout."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.command import COMMAND_VARIABLE, command_under_test

ROOT = Path(__file__).parents[1]
SHARED = {
    "completions/orcli.bash": "bash-completion/completions/orcli",
    "completions/_orcli": "zsh/site-functions/_orcli",
    "completions/orcli.fish": "fish/vendor_completions.d/orcli.fish",
}
"""Files of the checkout, and where below share/ they are installed; the man pages go to man/man1."""


def share_directory(directory: Path) -> Path:
    """Give the share/ of the installed wheel, or one like it in a new directory."""
    if os.environ.get(COMMAND_VARIABLE):
        return command_under_test().parents[1] / "share"
    pages = {f"orcli/man/{page.name}": f"man/man1/{page.name}" for page in (ROOT / "orcli" / "man").glob("*.1")}
    for source, target in {**SHARED, **pages}.items():
        (directory / target).parent.mkdir(parents=True, exist_ok=True)
        (directory / target).symlink_to(ROOT / source)
    return directory


def need(program: str, package: str) -> None:
    """Fail where a program of Debian is not installed, and name its package."""
    if shutil.which(program) is None:
        pytest.fail(f"{program} is not installed; apt-get install {package}", pytrace=False)
