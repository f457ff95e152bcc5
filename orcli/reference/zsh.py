"""The completion script for zsh: the command tree as specifications for `_arguments`."""

from __future__ import annotations

from collections.abc import Iterator

from orcli.reference.tree import Command, Option
from orcli.reference.values import LOCAL_MODEL, MEDIA_SUFFIXES, Kind, argument_kind, kind_of

_ACTIONS = {
    Kind.TEXT: " ",
    Kind.FILES: "_files",
    Kind.DIRECTORIES: "_directories",
    Kind.MEDIA: "_orcli_media",
    Kind.MODELS: "_orcli_models",
    Kind.FILES_AFTER_EQUALS: "_orcli_named_file",
    Kind.COMMANDS_AFTER_EQUALS: "_orcli_named_program",
}

_SCRIPT = r"""#compdef orcli
# Completion of orcli for zsh.
# Written by `python -m orcli.reference` from the command tree; it starts no Python.

_orcli_commands() {
    local -a commands=(
@COMMANDS@    )
    _describe -t commands command commands
}

_orcli_models() {
    local file=${XDG_CACHE_HOME:-$HOME/.cache}/orcli/models
    local -a ids expl
    [[ -r $file ]] && ids=(${(f)"$(<$file)"})
    ids+=(@MODEL@)
    _wanted models expl 'model' compadd -a ids
}

_orcli_media() {
    _files "$@" -g '*.(#i)(@SUFFIXES@)(-.)'
}

_orcli_named_file() {
    compset -P '*=' && _files "$@"
}

_orcli_named_program() {
    compset -P '*=' && _alternative 'commands:command:_command_names -e' 'files:file:_files'
}

_orcli() {
    local curcontext=$curcontext context state state_descr line ret=1
    local -A opt_args
    _arguments -C -S -A '-*' \
@OPTIONS@        '1:command:_orcli_commands' \
        '*::argument:->arguments' && ret=0
    [[ $state == arguments ]] || return ret
    curcontext=${curcontext%:*:*}:orcli-$words[1]:
    case $words[1] in
@ROWS@    esac
    return ret
}

_orcli "$@"
"""


def zsh_script(orcli: Command) -> str:
    """Give `_orcli`."""
    described = (f"{command.name}:{command.help.rstrip('.')}" for command in orcli.commands)
    return (
        _SCRIPT.replace("@COMMANDS@", "".join(f"        {_quoted(line)}\n" for line in described))
        .replace("@OPTIONS@", _specifications(orcli, " " * 8, "(- *)"))
        .replace("@ROWS@", "".join(_rows(orcli)))
        .replace("@SUFFIXES@", "|".join(MEDIA_SUFFIXES))
        .replace("@MODEL@", LOCAL_MODEL)
    )


def _rows(orcli: Command) -> Iterator[str]:
    for command in orcli.commands:
        yield f"    ({command.name})\n        _arguments -s -S \\\n{_specifications(command, ' ' * 12)}"
        yield f"            '*:argument:{_ACTIONS[argument_kind(command)]}' && ret=0\n        ;;\n"


def _specifications(command: Command, indent: str, excluded: str = "") -> str:
    return "".join(f"{indent}{_specification(option, excluded)} \\\n" for option in command.options)


def _specification(option: Option, excluded: str) -> str:
    """Give an option as `_arguments` takes it: what it excludes, its names, its help, its value."""
    once = excluded or ("*" if option.repeatable else f"({' '.join(option.names)})" if len(option.names) > 1 else "")
    names = [name + ("" if not option.metavar else "=" if name.startswith("--") else "+") for name in option.names]
    text = option.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").rstrip(".")
    value = f":{option.metavar}:{_action(option)}" if option.metavar else ""
    if len(names) == 1:
        return _quoted(f"{once}{names[0]}[{text}]{value}")
    return f"{_quoted(once)}{{{','.join(names)}}}{_quoted(f'[{text}]{value}')}"


def _action(option: Option) -> str:
    return f"({' '.join(option.choices)})" if option.choices else _ACTIONS[kind_of(option.metavar or "")]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
