"""The man pages, `orcli.1` and one for each command: the command tree, and the prose around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from orcli import __version__
from orcli.reference.prose import (
    CONFIGURATION,
    DATE,
    DESCRIPTIONS,
    DETAILS,
    EXAMPLES,
    EXIT_CODES,
    FILES,
    VARIABLES,
    Example,
)
from orcli.reference.tree import Argument, Command, Option

_WIDTH = 78
_ESCAPES = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"})
_TYPED = re.compile(r"`([^`]*)`")


def man_pages(orcli: Command) -> dict[str, str]:
    """Give every page by its name, such as `orcli-ask.1`."""
    pages = {"orcli.1": _overview(orcli)}
    for command in orcli.commands:
        pages[f"{_title(command)}.1"] = _command_page(command, orcli)
    return {name: "\n".join(lines) + "\n" for name, lines in pages.items()}


def _overview(orcli: Command) -> Iterator[str]:
    yield from _beginning(orcli)
    yield ".SH COMMANDS"
    for command in orcli.commands:
        yield from _item(f"{_bold(_title(command))}(1)", command.help)
    yield ".SH OPTIONS"
    yield from _options(orcli.options)
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES.items():
        yield from _item(f"{_bold(str(code.value))} ({code.name.lower().replace('_', ' ')})", meaning)
    yield ".SH ENVIRONMENT"
    yield from _paragraphs(CONFIGURATION)
    for name, meaning in VARIABLES.items():
        yield from _item(_bold(name), meaning)
    yield ".SH FILES"
    for name, meaning in FILES.items():
        yield from _item(_bold(name), meaning)
    yield from _examples(EXAMPLES[orcli.name])
    yield from _see_also([f"{_title(command)}(1)" for command in orcli.commands])


def _command_page(command: Command, orcli: Command) -> Iterator[str]:
    yield from _beginning(command)
    yield ".SH OPTIONS"
    yield ".SS Arguments"
    for argument in command.arguments:
        yield from _item(_argument(argument), argument.help)
    for heading, options in command.headings.items():
        yield f".SS {heading}"
        yield from _options(options)
    yield ".SH EXIT STATUS"
    yield from _paragraphs("0 after a complete answer; `orcli`(1) lists the others, and the environment and files too.")
    yield from _examples(EXAMPLES[command.name])
    others = (f"{_title(other)}(1)" for other in orcli.commands if other != command)
    yield from _see_also([f"{_title(orcli)}(1)", *others])


def _beginning(command: Command) -> Iterator[str]:
    title = _title(command)
    yield '.\\" Written by `python -m orcli.reference` from the command tree.'
    yield f'.TH {title.upper()} 1 {DATE} "orcli {__version__}" "User Commands"'
    yield ".nh"
    yield ".ad l"
    yield ".SH NAME"
    yield f"{_typed(title)} \\-"
    yield from _filled(_purpose(command))
    yield ".SH SYNOPSIS"
    arguments = "".join(f" {_argument(argument)}" for argument in command.arguments)
    if command.commands:
        yield f"{_bold(command.path)} \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGS\\fR]..."
    else:
        yield f"{_bold(command.path)} [\\fIOPTIONS\\fR]{arguments}"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(DESCRIPTIONS[command.name])


def _purpose(command: Command) -> str:
    """Give a command's help as indexes of man pages have it: a phrase in lower case."""
    phrase = command.help.partition(":")[0].rstrip(".")
    return phrase[0].lower() + phrase[1:]


def _options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        names = ", ".join(_bold(name) for name in option.names)
        value = f" \\fI{_text(option.metavar)}\\fR" if option.metavar else ""
        yield from _item(names + value, f"{option.help} {DETAILS.get(option.long, '')}")


def _argument(argument: Argument) -> str:
    return argument.usage.replace(argument.metavar, f"\\fI{argument.metavar}\\fR")


def _examples(examples: Iterable[Example]) -> Iterator[str]:
    yield ".SH EXAMPLES"
    for number, example in enumerate(examples):
        if number:
            yield ".PP"
        yield f"{_text(example.purpose[0].upper() + example.purpose[1:])}:"
        yield ".EX"
        yield from (_guarded(_typed(line)) for line in example.command.splitlines())
        yield ".EE"


def _see_also(pages: list[str]) -> Iterator[str]:
    yield ".SH SEE ALSO"
    for page in pages:
        name, section = page[:-3], page[-3:]
        yield f"{_bold(name)}{section}{'' if page == pages[-1] else ','}"


def _item(term: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield term
    yield from _filled(text)


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield from _filled(paragraph)


def _filled(text: str) -> Iterator[str]:
    """Put a text on lines that an editor shows whole, what stands in backquotes in bold."""
    pieces = _TYPED.split(" ".join(text.split()))
    marked = "".join(_bold(piece) if index % 2 else _text(piece) for index, piece in enumerate(pieces))
    line = ""
    for word in marked.split():
        if line and len(line) + 1 + len(word) > _WIDTH:
            yield _guarded(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield _guarded(line)


def _title(command: Command) -> str:
    return command.path.replace(" ", "-")


def _bold(text: str) -> str:
    return f"\\fB{_typed(text)}\\fR"


def _text(text: str) -> str:
    return text.replace("\\", "\\e")


def _typed(text: str) -> str:
    """Escape what is to be typed or copied, so that it is shown in ASCII."""
    return text.translate(_ESCAPES)


def _guarded(line: str) -> str:
    return f"\\&{line}" if line.startswith((".", "'")) else line
