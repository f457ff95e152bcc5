"""A command line that does not parse: what is wrong with it, and what was probably meant."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from difflib import get_close_matches

from orcli.errors import one_line
from orcli.reference.tree import Command


def explain(words: str, wrong_option: str | None, arguments: Sequence[str], orcli: Command) -> str:
    """Say in one line what is wrong: the parser's own `words`, or better ones, and a suggestion where there is one."""
    first = arguments[0] if arguments else None
    command = next((command for command in orcli.commands if command.name == first), orcli)
    if first is None:
        *names, last = (command.name for command in orcli.commands)
        return f"no command; give {', '.join(names)} or {last}, as in: orcli ask 'What is the capital of France?'"
    if command is orcli and not first.startswith("-"):
        return _no_such_command(first, orcli)
    if wrong_option is None:
        return f"{words.rstrip('.')}; {_then_see(None, command)}"
    what = f"No such option: {wrong_option}"
    if any(wrong_option in option.names for option in orcli.options):
        return f"{what}; it stands alone: orcli {wrong_option}"
    having = [below.name for below in orcli.commands if any(wrong_option in option.names for option in below.options)]
    meant = _meant_option(wrong_option, arguments, command)
    if not having or (meant and not wrong_option.startswith("--")):
        return f"{what}; {_then_see(meant, command)}"
    if command is orcli:
        return f"{what}; options follow the command: orcli {having[0]} {wrong_option}"
    return f"{what} (of {', '.join(having)}); {_then_see(None, command)}"


def _no_such_command(word: str, orcli: Command) -> str:
    if " " in word:
        return f"No such command; to ask a question: orcli ask {shlex.quote(one_line(word, 60))}"
    near = get_close_matches(word, [command.name for command in orcli.commands], 1)
    return f"No such command: {word}; {_then_see(near[0] if near else None, orcli)}"


def _then_see(suggestion: str | None, command: Command) -> str:
    return f"did you mean {suggestion}? See {command.path} --help" if suggestion else f"see {command.path} --help"


def _meant_option(typed: str, arguments: Sequence[str], command: Command) -> str | None:
    """Give the option that a typed one is near to: it begins so, it has two dashes, or nearly the same letters."""
    names = {option.long.removeprefix("--"): option.long for option in command.options}
    if not typed.startswith("--"):
        words = (word.removeprefix("-") for word in arguments if word.startswith(typed))
        return next((names[word] for word in words if word in names), None)
    word = typed.removeprefix("--")
    if len(begun := [name for name in names if name.startswith(word)]) == 1:
        return names[begun[0]]
    near = get_close_matches(word, names, 1, 0.7)
    return names[near[0]] if near else None
