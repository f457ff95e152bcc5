"""`main()`: the one boundary between orcli and the process it runs in.

Here a command line becomes a run, and whatever comes of it one line on stderr and an exit code. Modules are imported
inside, so that Ctrl-C ends even the start-up quietly and `--version` costs next to nothing.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line in `sys.argv`, and exit."""
    if sys.argv[1:] == ["--version"]:
        _print_version()
    import gc
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The process is short and its memory flat: a collection would only cost time.
    gc.disable()
    from orcli import process

    process.speak_utf8()
    closed = process.fill_descriptors()
    process.catch_signals()
    try:
        _run(sys.argv[1:], closed)
        error: BaseException | None = None
    except BaseException as raised:  # noqa: BLE001  the boundary: whatever comes ends as an exit code
        error = process.ending(raised)
    process.release()
    process.leave(_conclude(error))


def _print_version() -> None:
    """Print the versions and exit, with next to nothing loaded; where that fails, leave it to the usual way."""
    from orcli.version import version_line

    try:
        os.write(1, f"{version_line()}\n".encode())
    except OSError:
        return
    os._exit(0)


def _run(arguments: list[str], closed: frozenset[int]) -> None:
    from orcli import output

    output.check_stdout(closed)
    if "--version" in arguments[:1]:
        from orcli.version import version_line

        output.write_text(version_line())
    else:
        _run_command(arguments)
    output.finish()


def _run_command(arguments: list[str]) -> None:
    from orcli import output
    from orcli.commands import parse
    from orcli.errors import UsageError
    from orcli.session import write_error_object

    try:
        run = parse(arguments)
    except UsageError as error:
        if "--json" in arguments:
            write_error_object(error)
        raise
    if isinstance(run, str):
        output.write_text(run)
    else:
        run()


def _conclude(error: BaseException | None) -> int:
    """Say in one line on stderr what went wrong, and give the exit code; a signal has no line."""
    from orcli import output, process
    from orcli.errors import as_failure

    if isinstance(error, process.DeadlinePassed):
        output.report(f"the deadline has passed; {error.advice}")
    elif error is not None and not isinstance(error, process.Signalled):
        output.report(as_failure(error).message)
    return process.exit_code_of(error)
