"""README's table of all options, between two marks."""

from __future__ import annotations

from orcli.reference.help import option_usage
from orcli.reference.tree import Command

BEGINNING = "<!-- options -->\n"
END = "<!-- end of options -->\n"


def readme_with_options(readme: str, orcli: Command) -> str:
    """Put the table of all options between the marks of a README."""
    before, _, rest = readme.partition(BEGINNING)
    after = rest.partition(END)[2]
    return "".join([before, BEGINNING, _table(orcli), END, after])


def _table(orcli: Command) -> str:
    """Give one row for an option, with the commands that have it; two where their help differs."""
    rows: dict[tuple[str, str], list[str]] = {}
    for command in orcli.commands:
        for options in command.headings.values():
            for option in options:
                usage = f"`{option_usage(option)}`".replace("|", "\\|")
                rows.setdefault((usage, option.help), []).append(command.name)
    lines = ["| option | meaning | of |", "|---|---|---|"]
    for (usage, text), names in rows.items():
        lines.append(f"| {usage} | {text} | {_those(names, orcli)} |")
    return "\n".join(lines) + "\n"


def _those(names: list[str], orcli: Command) -> str:
    """Name commands in few words."""
    others = [command.name for command in orcli.commands if command.name not in names]
    if len(others) < len(names):
        return f"all but {', '.join(others)}" if others else "all"
    return ", ".join(names)
