"""What a value can be completed to, told by its metavar."""

from __future__ import annotations

from enum import Enum

from orcli.reference.tree import Command


class Kind(Enum):
    """What completes a value; the names are those that the bash script uses."""

    TEXT = "text"
    FILES = "files"
    DIRECTORIES = "directories"
    MEDIA = "media"
    MODELS = "models"
    FILES_AFTER_EQUALS = "=files"
    COMMANDS_AFTER_EQUALS = "=commands"


_KINDS = {
    "FILE": Kind.FILES,
    "FILE|JSON": Kind.FILES,
    "PATH": Kind.FILES,
    "DIR": Kind.DIRECTORIES,
    "IMAGE": Kind.MEDIA,
    "ID": Kind.MODELS,
    "PATTERN": Kind.MODELS,
    "ID=FILE": Kind.FILES_AFTER_EQUALS,
    "NAME=COMMAND": Kind.COMMANDS_AFTER_EQUALS,
}

MEDIA_SUFFIXES = ("png", "jpg", "jpeg", "webp", "gif", "pdf", "wav", "mp3", "flac", "ogg", "m4a")
"""Names of the files that `vision` takes; orcli itself looks at their bytes."""

LOCAL_MODEL = "local/smollm2"
"""The model that needs no list."""


def kind_of(metavar: str) -> Kind:
    """Tell what completes a value; one whose metavar says nothing is text."""
    return _KINDS.get(metavar, Kind.TEXT)


def argument_kind(command: Command) -> Kind:
    """Tell what completes a command's arguments, wherever they stand: the kind of the last, which may be repeated."""
    return kind_of(command.arguments[-1].metavar) if command.arguments else Kind.TEXT
