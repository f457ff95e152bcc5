"""The versions that `--version` names, found without importing anything large."""

from __future__ import annotations

import os
import platform
import re
import sys

from orcli import __version__


def version_line() -> str:
    """Name the versions of orcli, of the openai client and of Python."""
    return f"orcli {__version__} (openai {_openai_version()}, Python {platform.python_version()})"


def _openai_version() -> str:
    for directory in sys.path:
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue
        for name in names:
            if match := re.fullmatch(r"openai-([0-9][^-]*)\.dist-info", name):
                return match.group(1)
    return "not installed"
