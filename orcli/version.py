"""The versions that `--version` names, found without importing anything large."""

from __future__ import annotations

import os
import sys

from orcli import __version__


def version_line() -> str:
    """Name the versions of orcli, of the openai client and of Python."""
    return f"orcli {__version__} (openai {_openai_version()}, Python {sys.version.split()[0]})"


def _openai_version() -> str:
    for directory in sys.path:
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue
        for name in names:
            if name.startswith("openai-") and name.endswith(".dist-info"):
                return name.removeprefix("openai-").removesuffix(".dist-info")
    return "not installed"
