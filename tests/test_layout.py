"""The direction of imports, and what a run that makes no request must not load."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import orcli as package
from tests.command import Orcli

PACKAGE = Path(package.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PURE = ("errors", "text", "answer", "deltas", "sse", "media", "schema", "request")

pytestmark = pytest.mark.source


def imported(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_the_client_imports_openai_and_its_http_library() -> None:
    importers = {path.stem for path in MODULES for name in imported(path) if name.split(".")[0] in ("openai", "httpx2")}

    assert importers == {"client"}


def test_errors_import_nothing_of_orcli() -> None:
    assert [name for name in imported(PACKAGE / "errors.py") if name.startswith("orcli")] == []


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_no_effects(name: str) -> None:
    effects = {"os", "sys", "signal", "socket", "subprocess", "threading", "time", "typer"}

    assert {module.split(".")[0] for module in imported(PACKAGE / f"{name}.py")} & effects == set()
    assert {module.split(".")[1] for module in imported(PACKAGE / f"{name}.py") if module.startswith("orcli.")} <= {
        *PURE
    }


@pytest.mark.parametrize("path", sorted((PACKAGE / "patterns").glob("*.py")), ids=lambda path: path.stem)
def test_a_pattern_knows_no_terminal_no_environment_and_no_parser(path: Path) -> None:
    forbidden = {"typer", "sys", "os"}
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}

    assert {module.split(".")[0] for module in imported(path)} & forbidden == set()
    assert "print" not in names
    assert {
        module for module in imported(path) if module.startswith(("orcli.run", "orcli.output", "orcli.config"))
    } == set()


def test_only_the_command_line_imports_typer() -> None:
    assert {path.stem for path in MODULES for name in imported(path) if name.split(".")[0] == "typer"} == {
        "commands",
        "options",
    }


@pytest.mark.parametrize("path", sorted((PACKAGE / "reference").glob("*.py")), ids=lambda path: path.stem)
def test_what_describes_orcli_has_no_effects_but_to_write_its_files(path: Path) -> None:
    effects = {"os", "sys", "signal", "socket", "subprocess", "typer"} - ({"sys"} if path.stem == "__main__" else set())

    assert {module.split(".")[0] for module in imported(path)} & effects == set()


WALL_CLOCK = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime", "ctime", "st_mtime", "getmtime"}


def test_the_wall_clock_stamps_the_log_and_dates_a_retry_and_measures_nothing() -> None:
    """It may jump; what is measured is measured by `time.monotonic`."""
    readers = {
        path.stem
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in WALL_CLOCK)
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    }

    assert readers == {"report", "client"}


def test_only_the_configuration_reads_the_key() -> None:
    readers = {
        path.stem
        for path in MODULES
        if path.parent.name != "reference"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == "OPENROUTER_API_KEY"
    }

    assert readers == {"config"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--help"], 0, id="help"),
        pytest.param(["ask", "--help"], 0, id="help of a command"),
        pytest.param(["ask", "--no-such-option"], 2, id="usage error of the command line"),
        pytest.param(["ask", ""], 2, id="usage error of the input"),
        pytest.param(["ask", "--dry-run", "hi"], 0, id="dry run"),
        pytest.param(["vision", "--dry-run", "hi", "https://example.com/a.png"], 0, id="dry run of vision"),
        pytest.param(["--version"], 0, id="version"),
    ],
)
def test_a_run_without_a_request_does_not_import_openai(orcli: Orcli, arguments: list[str], code: int) -> None:
    result = orcli(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})

    modules = {
        line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")
    }
    assert result.code == code
    assert "orcli.cli" in modules
    assert {"openai", "httpx2", "pydantic", "jsonschema_rs", "rich"} & modules == set()


@pytest.mark.parametrize(
    ("arguments", "described_by"),
    [
        pytest.param(["ask", "--dry-run", "hi"], set(), id="a run"),
        pytest.param(["ask", "--help"], {"help", "prose", "tree"}, id="help"),
        pytest.param(["ask", "--typo"], {"tree"}, id="a mistake"),
    ],
)
def test_only_help_and_mistakes_load_what_describes_orcli(
    orcli: Orcli, arguments: list[str], described_by: set[str]
) -> None:
    result = orcli(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})

    assert set(re.findall(r"orcli\.reference\.(\w+)", result.stderr)) == described_by


def test_a_run_with_a_request_does_import_openai(orcli: Orcli) -> None:
    result = orcli("ask", "hi", env={"PYTHONPROFILEIMPORTTIME": "1"})

    assert result.code == 0
    assert any(line.rpartition("|")[2].strip() == "openai" for line in result.stderr.splitlines())
