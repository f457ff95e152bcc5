"""The fixtures of every test: a scripted OpenRouter, and orcli in a closed environment that talks to it."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.command import Orcli, command_under_test, why_missing
from tests.openrouter import OpenRouter

_SHOWN = 50
"""Requests, the last ones, that are shown below a failure."""


def pytest_configure() -> None:
    """Give the commands under test the signals as a login shell would: a run in the background ignores some."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_report_header() -> str:
    """Name the script under test."""
    return f"orcli: {command_under_test()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Stop before the first test when the script that the tests run is not there; a worker of xdist cannot."""
    trouble = why_missing(command_under_test())
    needed = any("orcli" in getattr(item, "fixturenames", ()) for item in items)
    if trouble and needed and not hasattr(config, "workerinput"):
        raise pytest.UsageError(trouble)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show all that the commands and the server saw below a failure."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Orcli):
                report.sections.append(("commands", "\n".join(map(repr, value.processes))))
            elif isinstance(value, OpenRouter):
                report.sections.append(("requests", "\n".join(map(repr, value.requests[-_SHOWN:]))))
    return report


@pytest.fixture
def openrouter() -> Iterator[OpenRouter]:
    """Run an OpenRouter; every queued reply has to be used, unless `allow_unused` is set."""
    with OpenRouter() as server:
        yield server
    for failure in server.failures:
        raise failure
    assert server.allow_unused or not server.unused, f"{server.unused} queued replies were not used"


@pytest.fixture
def orcli(openrouter: OpenRouter, tmp_path: Path) -> Iterator[Orcli]:
    """Run orcli against that OpenRouter, with a home and a working directory of its own."""
    command = command_under_test()
    if trouble := why_missing(command):
        pytest.fail(trouble, pytrace=False)
    with Orcli(command, tmp_path, openrouter.base_url) as runner:
        yield runner
