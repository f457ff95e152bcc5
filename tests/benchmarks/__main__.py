"""Measures orcli beside its peers, on this machine and in one run; the arguments name tables, none is all of them."""

from __future__ import annotations

import argparse

from tests.benchmarks.batch import print_batch
from tests.benchmarks.bench import bench
from tests.benchmarks.chunks import print_chunks
from tests.benchmarks.commands import print_commands
from tests.benchmarks.completion import print_completion
from tests.benchmarks.distance import print_distance
from tests.benchmarks.requests import print_requests

TABLES = {
    "commands": print_commands,
    "chunks": print_chunks,
    "distance": print_distance,
    "requests": print_requests,
    "batch": print_batch,
    "completion": print_completion,
}


def main() -> None:
    """Print the tables that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", choices=TABLES, help=", ".join(TABLES))
    tables = parser.parse_args().tables or TABLES
    with bench() as installed:
        for name in tables:
            TABLES[name](installed)


if __name__ == "__main__":
    main()
