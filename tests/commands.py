"""Each command in a form that answers by itself, and the files that these read, for tests of what holds for all."""

from __future__ import annotations

import json
from typing import Final

from tests import samples
from tests.command import Orcli

COMMANDS: Final = {
    "ask": ["ask", "-n", "hi"],
    "stream": ["stream", "-n", "hi"],
    "tool": ["tool", "-n", "--tools", "tools.json", "--exec", "f=env", "hi"],
    "vision": ["vision", "-n", "hi", "a.png"],
    "batch": ["batch", "in"],
    "models": ["models"],
}


def write_inputs(orcli: Orcli, lines: int = 1) -> None:
    """Write what the commands read, a batch of so many lines."""
    orcli.file("tools.json", json.dumps([{"type": "function", "function": {"name": "f", "parameters": {}}}]))
    orcli.file("a.png", samples.PNG)
    orcli.file("in", '"a"\n' * lines)
