"""`python -m orcli.reference` writes completions, man pages and README's table of options into the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

from orcli.commands import tree
from orcli.reference.files import reference_files


def main() -> None:
    """Write every file that has changed, and name it."""
    checkout = Path(__file__).parents[2]
    if not (checkout / "pyproject.toml").is_file():
        sys.exit("this writes into a checkout; install orcli from one with pip install -e")
    for name, content in reference_files(tree(), (checkout / "README.md").read_text()).items():
        path = checkout / name
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
            print(name)


if __name__ == "__main__":
    main()
