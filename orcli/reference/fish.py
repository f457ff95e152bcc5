"""The completion script for fish: the command tree as `complete` lines."""

from __future__ import annotations

from collections.abc import Iterator

from orcli.reference.tree import Command, Option
from orcli.reference.values import LOCAL_MODEL, MEDIA_SUFFIXES, Kind, argument_kind, kind_of

_VALUES = {
    Kind.TEXT: "",
    Kind.FILES: "-F",
    Kind.DIRECTORIES: "-a '(__fish_complete_directories)'",
    Kind.MEDIA: "-a '(__orcli_media)'",
    Kind.MODELS: "-a '(__orcli_models)'",
    Kind.FILES_AFTER_EQUALS: "-a '(__orcli_after_equals \"\\'\\' \")'",
    Kind.COMMANDS_AFTER_EQUALS: "-a '(__orcli_after_equals \"\")'",
}

_HEAD = r"""# Completion of orcli for fish.
# Written by `python -m orcli.reference` from the command tree; it starts no Python.

# Tell whether the command is the one that is named, or without a name whether there is none yet.
function __orcli_command
    set -l tokens (commandline -opc)
    test "$tokens[2]" = "$argv[1]"
end

function __orcli_models
    set -l cache $XDG_CACHE_HOME
    test -n "$cache"; or set cache ~/.cache
    echo @MODEL@
    test -r $cache/orcli/models; and string match '*' <$cache/orcli/models
end

function __orcli_media
    complete -C "'' "(commandline -ct) | string match -ri '^(?:[^\t]*(?:/|\.(?:@SUFFIXES@)))(?=\t|$)'
end

# Complete what follows NAME= as the command line that is given, and that, would be.
function __orcli_after_equals
    set -l given (string match -r '^(?:--[\w-]+=)?([^=]+=)(.*)$' -- (commandline -ct)); or return
    for word in (complete -C $argv[1]$given[3])
        echo $given[2]$word
    end
end

complete -c orcli -f
"""


def fish_script(orcli: Command) -> str:
    """Give `orcli.fish`."""
    head = _HEAD.replace("@SUFFIXES@", "|".join(MEDIA_SUFFIXES)).replace("@MODEL@", LOCAL_MODEL)
    return head + "".join(f"{line}\n" for line in _lines(orcli))


def _lines(orcli: Command) -> Iterator[str]:
    none = "complete -c orcli -n __orcli_command"
    for command in orcli.commands:
        yield f"{none} -a {command.name} -d {_quoted(command.help.rstrip('.'))}"
    yield from _options(orcli, none)
    for command in orcli.commands:
        chosen = f"complete -c orcli -n '__orcli_command {command.name}'"
        yield ""
        if values := _VALUES[argument_kind(command)]:
            yield f"{chosen} {values}"
        yield from _options(command, chosen)


def _options(command: Command, beginning: str) -> Iterator[str]:
    for option in command.options:
        names = (f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
        words = [beginning, *names, *_value(option), "-d", _quoted(option.help.rstrip("."))]
        yield " ".join(words)


def _value(option: Option) -> Iterator[str]:
    if option.metavar is None:
        return
    kind = kind_of(option.metavar)
    yield "-r" if kind is Kind.FILES else "-x"
    if option.choices:
        yield f"-a {_quoted(' '.join(option.choices))}"
    elif _VALUES[kind]:
        yield _VALUES[kind]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
