"""`--help`: a page of plain text, 80 columns wide on every terminal and in every pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orcli.errors import ExitCode
from orcli.reference.prose import EXAMPLES
from orcli.reference.tree import Command, Option

WIDTH = 80
_GAP = 2
_WIDEST_NAME = 26

Row = tuple[str, str]


def page(command: Command) -> str:
    """Give the help of a command: what it is for, examples, and all it takes."""
    tables = {
        "Commands": [(below.name, below.help) for below in command.commands],
        "Arguments": [(argument.metavar, argument.help) for argument in command.arguments],
    }
    for heading, options in command.headings.items():
        tables["Options" if len(command.headings) == 1 else heading] = [_row(option) for option in options]
    lines = [f"Usage: {command.usage}", "", *_filled(command.help.split(), "")]
    if examples := EXAMPLES.get(command.name):
        lines += ["", "Examples:"]
        for example in examples:
            lines += [f"  # {example.purpose}", *(f"  {line}" for line in example.command.splitlines())]
    names = [name for rows in tables.values() for name, _ in rows]
    width = max((len(name) for name in names if len(name) <= _WIDEST_NAME), default=0)
    for heading, rows in tables.items():
        if rows:
            lines += ["", f"{heading}:", *_table(rows, width)]
    return "\n".join([*lines, "", *_more(command)])


def option_usage(option: Option) -> str:
    """Give an option as people write it: `-m, --model ID`."""
    return ", ".join(option.names) + (f" {option.metavar}" if option.metavar else "")


def _row(option: Option) -> Row:
    indent = "" if len(option.names) > 1 or not option.long.startswith("--") else "    "
    return indent + option_usage(option), option.help


def _table(rows: list[Row], width: int) -> Iterator[str]:
    indent = " " * (2 + width + _GAP)
    for name, text in rows:
        lines = list(_filled(text.split(), indent))
        if len(name) <= width:
            yield f"  {name:{width}}{' ' * _GAP}{lines[0].strip()}"
            yield from lines[1:]
        else:
            yield f"  {name}"
            yield from lines


def _filled(words: Iterable[str], indent: str) -> Iterator[str]:
    """Put words on indented lines; textwrap would cost more to import than this costs to run."""
    line = ""
    for word in words:
        if line and len(indent) + len(line) + 1 + len(word) > WIDTH:
            yield indent + line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield indent + line


def _more(command: Command) -> Iterator[str]:
    if not command.commands:
        yield f"More: man orcli-{command.name}, exit codes: orcli --help"
        return
    yield f"More: {command.path} COMMAND --help, man {command.path}"
    codes = [code for code in ExitCode if code <= ExitCode.DEADLINE]
    named = [f"{code.value} {code.name.lower().replace('_', ' ')}{'' if code is codes[-1] else ','}" for code in codes]
    yield from _filled(["Exit codes:", *named], "")
