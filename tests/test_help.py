"""What a person meets on the first day: help, the answer to a typo, and examples that parse."""

from __future__ import annotations

import re

import pytest

from orcli.commands import parse, tree
from orcli.errors import UsageError
from orcli.reference.help import WIDTH
from orcli.reference.prose import EXAMPLES
from orcli.reference.tree import Command, Option
from tests.command import Orcli
from tests.shell_words import invocations

COMMANDS = tree().commands
HEADINGS = ("Arguments", "Request", "Input", "Output", "Limits", "Diagnostics", "Other")


def test_help_lists_the_commands_examples_first_and_the_exit_codes(orcli: Orcli) -> None:
    result = orcli("--help")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: orcli COMMAND [OPTIONS] [ARGS]...\n\nA language model as a Unix filter")
    assert re.findall(r"^(\w+):", result.stdout, re.MULTILINE) == ["Usage", "Examples", "Commands", "Options", "More"]
    for command in COMMANDS:
        assert re.search(rf"^  {command.name} +{re.escape(command.help[:30])}", result.stdout, re.MULTILINE)
    assert result.stdout.endswith("""
Options:
      --version  Print the versions of orcli, openai and Python.
  -h, --help     Show this message and exit.

More: orcli COMMAND --help, man orcli
Exit codes: 0 ok, 1 failed, 2 usage, 3 account, 4 unavailable, 5 incomplete,
6 refused, 7 mismatch, 8 tools, 9 some failed, 124 deadline
""")


def test_the_help_of_a_command_groups_its_options(orcli: Orcli) -> None:
    result = orcli("ask", "-h")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: orcli ask [OPTIONS] [PROMPT] [FILE]...\n\nAsk one question and print the ")
    assert re.findall(r"^(\w+):", result.stdout, re.MULTILINE) == ["Usage", "Examples", *HEADINGS, "More"]
    assert (
        """
Input:
      --messages FILE      The whole conversation as JSON; - is standard input.
  -c, --conversation FILE  Carry a conversation on in this file.
  -n, --no-stdin           Do not read standard input.
"""
        in result.stdout
    )


def test_a_commands_own_options_come_first(orcli: Orcli) -> None:
    result = orcli("tool", "--help")

    assert result.stdout.index("\nTool calls:\n") < result.stdout.index("\nRequest:\n")
    assert (
        """
      --tool-choice auto|none|required|NAME
                              Whether, or which function, the model calls.
"""
        in result.stdout
    )


@pytest.mark.parametrize("name", [None, *(command.name for command in COMMANDS)])
def test_help_fits_80_columns_whatever_the_terminal(orcli: Orcli, name: str | None) -> None:
    arguments = ("--help",) if name is None else (name, "--help")

    narrow, wide = (orcli(*arguments, env={"COLUMNS": columns}) for columns in ("40", "200"))

    assert narrow.stdout == wide.stdout
    assert [line for line in wide.stdout.splitlines() if len(line) > WIDTH or line.endswith(" ")] == []
    assert "\n\n\n" not in wide.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_examples_and_every_option_a_heading(command: Command) -> None:
    def own(options: list[Option]) -> set[str]:
        return {option.long for option in options}

    assert EXAMPLES[command.name]
    assert own(command.headings["Other"]) <= {"--env-file", "--help"}


@pytest.mark.parametrize(
    "line", [example.command for examples in EXAMPLES.values() for example in examples], ids=lambda line: line[:40]
)
def test_every_example_parses(line: str) -> None:
    found = invocations(line)

    assert found
    for arguments in found:
        assert callable(parse(arguments))


def test_an_example_with_a_wrong_option_would_not_pass() -> None:
    ((words),) = invocations('cat "a b" | orcli ask --modl x "What is | this?" > out')

    assert words == ["ask", "--modl", "x", "What is | this?"]
    with pytest.raises(UsageError):
        parse(words)


MISTAKES = [
    pytest.param([], "no command; give {all}, as in: orcli ask 'What is the capital of France?'", id="no command"),
    pytest.param(["ak"], "No such command: ak; did you mean ask? See orcli --help", id="a command's typo"),
    pytest.param(["zebra"], "No such command: zebra; see orcli --help", id="no command at all"),
    pytest.param(
        ["What is up?", "--json"], "No such command; to ask a question: orcli ask 'What is up?'", id="a prompt"
    ),
    pytest.param(["-m", "x", "hi"], "No such option: -m; options follow the command: orcli ask -m", id="too early"),
    pytest.param(
        ["What's up now?"], """No such command; to ask a question: orcli ask 'What'"'"'s up now?'""", id="a '"
    ),
    pytest.param(["ask", "--version"], "No such option: --version; it stands alone: orcli --version", id="too late"),
    pytest.param(["--foo"], "No such option: --foo; see orcli --help", id="no option of any"),
    pytest.param(["--versoin"], "No such option: --versoin; did you mean --version? See orcli --help", id="--versoin"),
    pytest.param(
        ["ask", "--modl", "x"], "No such option: --modl; did you mean --model? See orcli ask --help", id="a typo"
    ),
    pytest.param(
        ["ask", "--modl=x"], "No such option: --modl; did you mean --model? See orcli ask --help", id="with a value"
    ),
    pytest.param(
        ["stream", "--temp", "1"],
        "No such option: --temp; did you mean --temperature? See orcli stream --help",
        id="a beginning",
    ),
    pytest.param(
        ["ask", "hi", "-json"], "No such option: -j; did you mean --json? See orcli ask --help", id="one dash for two"
    ),
    pytest.param(["ask", "-z"], "No such option: -z; see orcli ask --help", id="no short option"),
    pytest.param(["ask", "--stream"], "No such option: --stream (of tool, vision); see orcli ask --help", id="others'"),
    pytest.param(["ask", "--log"], "Option '--log' requires an argument; see orcli ask --help", id="no value"),
    pytest.param(["ask", "--json=1"], "Option '--json' does not take a value; see orcli ask --help", id="a value"),
]


@pytest.mark.parametrize(("arguments", "line"), MISTAKES)
def test_a_mistake_is_told_in_one_line_with_what_was_meant(orcli: Orcli, arguments: list[str], line: str) -> None:
    *names, last = (command.name for command in COMMANDS)
    result = orcli(*arguments)

    assert (result.code, result.stderr) == (2, "orcli: " + line.format(all=f"{', '.join(names)} or {last}") + "\n")
    assert ("usage" in result.stdout) == ("--json" in arguments)


def test_unquoted_words_taken_for_files_explain_quoting(orcli: Orcli) -> None:
    result = orcli("ask", "what", "is", "this")

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: no such file: is, this; if these words are one prompt, quote it: 'what is this'\n"
