"""Programs installed as their users would, each into an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def install(environment: Path, *requirements: str, python: str = sys.executable) -> Path:
    """Install packages into a new environment and give its scripts' directory; SubprocessError where that fails."""
    subprocess.run([python, "-m", "venv", environment], check=True, capture_output=True)
    pip = environment / "bin" / "pip"
    subprocess.run([pip, "install", "-q", *requirements], check=True, capture_output=True, timeout=600)
    return environment / "bin"
