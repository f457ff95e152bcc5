"""The command tree as plain values, read from Typer's own objects; everything that describes orcli starts here.

The values are named tuples: `--help` loads this, and a frozen dataclass takes seven times as long to define.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from orcli.options import OTHER, SHARED_HEADINGS


class Option(NamedTuple):
    """An option: `names` with the short one first, and the `metavar` of its value, None for a flag."""

    names: tuple[str, ...]
    metavar: str | None
    help: str
    heading: str
    repeatable: bool

    @property
    def long(self) -> str:
        """The name that says what it does."""
        return self.names[-1]

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that its metavar spells out, in lower case, such as those of `low|high|auto`."""
        return tuple(word for word in (self.metavar or "").split("|") if word.islower())


class Argument(NamedTuple):
    """An argument by its place."""

    metavar: str
    help: str
    repeatable: bool
    required: bool

    @property
    def usage(self) -> str:
        """How a usage line shows it: `PROMPT`, `[PROMPT]`, `[FILE]...`."""
        return (self.metavar if self.required else f"[{self.metavar}]") + ("..." if self.repeatable else "")


class Command(NamedTuple):
    """A command, or orcli itself, which has `commands` in place of arguments; `path` is how it is called."""

    path: str
    help: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...] = ()
    commands: tuple[Command, ...] = ()

    @property
    def name(self) -> str:
        """The last word of its path."""
        return self.path.rpartition(" ")[2]

    @property
    def usage(self) -> str:
        """The synopsis, on one line."""
        if self.commands:
            return f"{self.path} COMMAND [OPTIONS] [ARGS]..."
        return " ".join([self.path, "[OPTIONS]", *(argument.usage for argument in self.arguments)])

    @property
    def headings(self) -> dict[str, list[Option]]:
        """The options under their headings: the command's own headings first, then those that commands share."""
        own = [option.heading for option in self.options if option.heading not in SHARED_HEADINGS]
        grouped: dict[str, list[Option]] = {heading: [] for heading in (*own, *SHARED_HEADINGS)}
        for option in self.options:
            grouped[option.heading].append(option)
        return {heading: options for heading, options in grouped.items() if options}


def read_command(command: Any, context: Any, path: str = "orcli") -> Command:
    """Read a Typer command, with the commands below it where it has some."""
    parameters = command.get_params(context)
    below = command.list_commands(context) if hasattr(command, "list_commands") else ()
    return Command(
        path,
        command.help or "",
        tuple(_option(parameter) for parameter in parameters if parameter.param_type_name == "option"),
        tuple(_argument(parameter) for parameter in parameters if parameter.param_type_name == "argument"),
        tuple(read_command(command.get_command(context, name), context, f"{path} {name}") for name in below),
    )


def _option(parameter: Any) -> Option:
    return Option(
        tuple(sorted(parameter.opts, key=len)),
        None if parameter.is_flag else parameter.metavar,
        parameter.help,
        parameter.rich_help_panel or OTHER,
        parameter.multiple,
    )


def _argument(parameter: Any) -> Argument:
    return Argument(parameter.metavar, parameter.help, parameter.nargs != 1, parameter.required)
