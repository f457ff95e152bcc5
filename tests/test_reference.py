"""What is written down about orcli against the code, both ways: commands, options, variables, exit codes, examples."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orcli.commands import parse, tree
from orcli.config import VARIABLES
from orcli.errors import ExitCode
from orcli.reference import prose
from orcli.reference.files import reference_files
from tests.shell_words import invocations
from tests.shipped import ROOT

pytestmark = pytest.mark.source

ORCLI = tree()
README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
FILES = reference_files(ORCLI, README)
COMMANDS = {command.name for command in ORCLI.commands}
OPTIONS = {name for command in (ORCLI, *ORCLI.commands) for option in command.options for name in option.names}
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "orcli" / "man").glob("*"))}
OVERVIEW = PAGES["orcli"].replace("\\", "")

READ_BY_THE_CLIENT = {"NO_PROXY"}
"""Variables that the client's own HTTP library reads."""
NOT_WORTH_A_WORD = {"HOME", "TERM"}
"""Variables that README leaves to the man page."""


def section(page: str, heading: str) -> str:
    """Give a section of a man page."""
    return page.partition(f"\n.SH {heading}\n")[2].partition("\n.SH ")[0]


def terms(text: str) -> list[str]:
    """Give what a list of a man page explains, without its marks."""
    return [re.sub(r"f[BIR]", "", line) for line in re.findall(r"^\.TP\n(.*)", text, re.MULTILINE)]


def strings(path: Path) -> Iterator[str]:
    """Yield what a module may take for a variable's name: all capitals with a low line, or asked of the environment."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and re.fullmatch(r"[A-Z]+(_[A-Z]+)+|[a-z]+_proxy", str(node.value)):
            yield str(node.value).upper()
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("environ.get"):
            yield from (str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant))


def variables() -> set[str]:
    """Collect every environment variable that orcli and its completion scripts read or set."""
    modules = [path for path in (ROOT / "orcli").rglob("*.py") if path.parent.name != "reference"]
    scripts = "".join(path.read_text() for path in (ROOT / "completions").iterdir())
    return {name for path in modules for name in strings(path)} | set(re.findall(r"\bXDG_[A-Z_]+", scripts))


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_what_the_command_tree_gives(name: str) -> None:
    assert (ROOT / name).read_text() == FILES[name], "run: python -m orcli.reference"


def test_no_other_file_stands_beside_the_generated_ones() -> None:
    present = [path for directory in ("completions", "orcli/man") for path in (ROOT / directory).iterdir()]

    assert {str(path.relative_to(ROOT)) for path in present} == set(FILES) - {"README.md"}


def test_commands_are_the_same_everywhere() -> None:
    shown = {words[0] for block in SHELL for words in invocations(block)}

    assert set(PAGES) == {"orcli"} | {f"orcli-{name}" for name in COMMANDS}
    assert terms(section(OVERVIEW, "COMMANDS")) == [f"orcli-{command.name}(1)" for command in ORCLI.commands]
    assert (
        set(re.findall(r"^    ([a-z]+)\)\n        arguments=", FILES["completions/orcli.bash"], re.MULTILINE))
        == COMMANDS
    )
    assert set(re.findall(r"^    \(([a-z]+)\)$", FILES["completions/_orcli"], re.MULTILINE)) == COMMANDS
    assert set(re.findall(r"__orcli_command -a (\S+)", FILES["completions/orcli.fish"])) == COMMANDS
    assert set(prose.EXAMPLES) == set(prose.DESCRIPTIONS) == COMMANDS | {"orcli"}
    assert shown - OPTIONS == COMMANDS


def test_options_are_the_same_everywhere() -> None:
    table = README.partition("<!-- options -->")[2].partition("<!-- end of options -->")[0]
    long = {name for name in OPTIONS if name.startswith("--")}
    short = {name for name in OPTIONS if not name.startswith("--")}
    completions = {name: FILES[f"completions/{name}"] for name in ("orcli.bash", "_orcli", "orcli.fish")}
    # What stands in README's own commands, but those of another program.
    named = {name for span in re.findall(r"`([^`\n]+)`", README) for name in re.findall(r"(?<!\S)--?[a-z][\w-]*", span)}

    looked_up = re.findall(r"^        (?:flags|values)='(.*)'$", completions["orcli.bash"], re.MULTILINE)
    assert {word.partition("@")[0] for words in looked_up for word in words.split()} == OPTIONS
    assert set(re.findall(r"--[a-z][\w-]*", completions["_orcli"])) == long
    assert {
        f"--{name}" for name in re.findall(r"^complete .*? -l (\S+)", completions["orcli.fish"], re.MULTILINE)
    } == long
    assert {
        f"-{name}" for name in re.findall(r"^complete .*? -s (\S+)", completions["orcli.fish"], re.MULTILINE)
    } == short
    pages = "\n".join(terms("".join(PAGES.values()).replace("\\", "")))
    assert set(re.findall(r"--[a-z][\w-]*", pages)) == long
    assert set(re.findall(r"--[a-z][\w-]*", table)) == long - {"--version"}
    assert named <= OPTIONS
    assert set(prose.DETAILS) <= long


def test_variables_are_the_same_everywhere() -> None:
    read = variables() | READ_BY_THE_CLIENT
    sample = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    named = re.findall(r"`(?:export )?([A-Z]+(?:_[A-Z]+)+)(?:=[^`*]*)?`", README)

    assert set(prose.VARIABLES) == read
    assert terms(section(OVERVIEW, "ENVIRONMENT")) == list(prose.VARIABLES)
    assert sorted(sample) == sorted(VARIABLES)
    assert set(named) == read - NOT_WORTH_A_WORD


def test_exit_codes_are_the_same_everywhere() -> None:
    names = {code.value: code.name.lower().replace("_", " ") for code in ExitCode}
    table = README.partition("## Exit codes")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (\d+) \| ([a-z ]+) \|", table, re.MULTILINE))
    (signals,) = re.findall(r"^\| ([\d, ]+) \| signals \|", table, re.MULTILINE)

    assert {int(code): name for code, name in rows.items()} | {
        int(code): names[int(code)] for code in signals.split(", ")
    } == names
    assert terms(section(OVERVIEW, "EXIT STATUS")) == [f"{code} ({name})" for code, name in names.items()]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block[:30])
def test_what_readme_runs_parses(block: str) -> None:
    for arguments in invocations(block):
        assert arguments == ["--version"] or callable(parse(arguments))
