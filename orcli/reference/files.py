"""The files of the checkout that are written from the command tree, and what has to stand in them."""

from __future__ import annotations

from orcli.reference.bash import bash_script
from orcli.reference.fish import fish_script
from orcli.reference.manual import man_pages
from orcli.reference.readme import readme_with_options
from orcli.reference.tree import Command
from orcli.reference.zsh import zsh_script


def reference_files(orcli: Command, readme: str) -> dict[str, str]:
    """Give every file by its path in the checkout; of README, which is given, only the table of options changes."""
    return {
        "completions/orcli.bash": bash_script(orcli),
        "completions/_orcli": zsh_script(orcli),
        "completions/orcli.fish": fish_script(orcli),
        **{f"orcli/man/{name}": page for name, page in man_pages(orcli).items()},
        "README.md": readme_with_options(readme, orcli),
    }
