"""What every table is measured on, and how it is printed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.measure import Run, weigh
from tests.install import install
from tests.openrouter import OpenRouter

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bench:
    """A server on loopback, a directory, and a closed environment that finds orcli and asks that server."""

    server: OpenRouter
    directory: Path
    environment: Mapping[str, str]

    def run(self, *command: str | Path, env: Mapping[str, str] | None = None, code: int = 0) -> Run:
        """Give a run of a command, with more variables in its environment, that ends with this code."""
        words = [str(word) for word in command]
        return partial(weigh, words, {**self.environment, **(env or {})}, str(self.directory), code)


@contextmanager
def bench() -> Iterator[Bench]:
    """Install orcli as a user would, into an environment of its own, beside a server that it asks."""
    with TemporaryDirectory() as name, OpenRouter() as server:
        directory = Path(name)
        scripts = install(directory / "orcli", str(ROOT))
        environment = {
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "HOME": name,
            "LANG": "C.UTF-8",
            "OPENROUTER_API_KEY": "sk-or-v1-test",
            "API_BASE_URL": server.base_url,
        }
        yield Bench(server, directory, environment)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown, with an empty line below."""
    print(f"| {' | '.join(headings)} |")
    print("|---" * len(headings) + "|")
    for cells in rows:
        print(f"| {' | '.join(cells)} |")
    print(flush=True)
