"""The process that each run of `tests.forks` is a fork of: it has imported all of orcli and run none of it.

It reads a run as one line of JSON (`arguments`, `env`, `cwd`, and the files that become descriptors 0, 1 and 2),
answers with the number of the process, and, when that has ended, with its exit code, negative for a signal.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
from typing import Any


def main() -> None:
    """Serve runs until stdin ends."""
    load()
    for line in sys.stdin:
        run = json.loads(line)
        number = os.fork()
        if number == 0:
            become(run)
        print(number, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)


def load() -> None:
    """Import every module of orcli and all that a client needs."""
    import orcli
    from orcli.client import connect
    from orcli.config import Endpoint

    for module in pkgutil.walk_packages(orcli.__path__, "orcli."):
        importlib.import_module(module.name)
    with connect(Endpoint("http://127.0.0.1/api/v1", "sk-or-v1-test")):
        pass


def become(run: dict[str, Any]) -> None:
    """Be a run of orcli."""
    from orcli.cli import main as orcli

    for descriptor, (name, flags) in enumerate(zip(run["files"], (0, 1, 1), strict=True)):
        file = os.open(name, flags | (os.O_CREAT | os.O_TRUNC if flags else 0))
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(run["cwd"])
    os.environ.clear()
    os.environ.update(run["env"])
    sys.argv[:] = ["orcli", *run["arguments"]]
    orcli()


if __name__ == "__main__":
    main()
