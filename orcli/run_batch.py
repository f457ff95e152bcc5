"""`orcli batch`: requests in, results out, many at once; how the run is told to end, and how it says what it does."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import stat
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from orcli import config, output
from orcli.answer import Completion
from orcli.config import Endpoint, Setting
from orcli.errors import OrcliError, SomeFailed, UsageError, as_failure
from orcli.inputs import STDIN, Given, Reader, argument_text, check_stdin_readers, display_name
from orcli.lines import read_lines
from orcli.local import is_local
from orcli.options import BatchOptions
from orcli.patterns.batch import Limits, batch
from orcli.process import (
    ENDING_SIGNALS,
    DeadlinePassed,
    Signalled,
    Watch,
    allow_open_files,
    exit_code_of,
    release,
    when_reader_gone,
)
from orcli.progress import Progress
from orcli.records import FORMAT, Defaults, Job, custom_id_of, make_job, read_line, result_line
from orcli.report import Log, Report, added, amounts, open_log, uncounted
from orcli.results import Ids, ResultFile, look_at_results, open_results
from orcli.run import read_parameters, read_system, served
from orcli.session import chosen_models, chosen_retries, chosen_seconds, opening, setting_text
from orcli.text import compact_json
from orcli.validation import check_schemas_async

DEFAULT_JOBS = 8
MOST_JOBS = 1000
_ADVICE = "raise --timeout"
_OTHER_FILES = 16
"""Descriptors for what is no connection: input, results, log, name look-ups, the event loop's own."""
_GRACE_SECONDS = 1.0
"""How long results that are there may take to be written after a signal."""


@dataclass
class Batch:
    """One run: what it was told, and what came of it so far."""

    report: Report
    names: Sequence[str]
    """The files of the input; `-` is standard input."""
    defaults: Defaults
    limits: Limits
    watch: Watch
    """The clock of the whole run."""
    ids: Ids
    results: ResultFile | None
    log: Log | None
    progress: Progress
    began: float = field(default_factory=time.monotonic)
    number: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    """Lines that were answered before."""
    compiled: str = ""
    """The schema that was compiled last."""
    spent: dict[str, float] = field(default_factory=dict)


def run_batch(options: BatchOptions) -> None:
    """Carry out `orcli batch`: a result for each line of the input; raises what the exit code tells."""
    # A batch may be long, so memory is to stay flat.
    gc.enable()
    with opening(options) as told:
        watch = Watch(0.0 if options.timeout is None else config.seconds(options.timeout, "--timeout"), _ADVICE)
        watch.start()
        run = prepare(options, told.settings, told.report, watch)
        if options.dry_run:
            in_loop(print_requests(run))
        else:
            try:
                with served(run.defaults.models, told.settings, told.report) as endpoint, run.progress:
                    told.printed = True
                    in_loop(ask_all(run, endpoint))
            finally:
                told.report.detail(summary(run))
        if run.skipped and not run.done:
            told.report.say(f"all lines are answered in {options.results} already; nothing was asked")
        if run.failed:
            advice = "mend them" if options.dry_run else "their results say why; run it again"
            raise SomeFailed(f"{run.failed} of {run.done} lines failed; {advice}")


def prepare(options: BatchOptions, settings: Mapping[str, Setting], report: Report, watch: Watch) -> Batch:
    """Check all that can be wrong before a line is read, and open the files that are written."""
    names = tuple(options.files or ("-",))
    check_input(options, names)
    reader = Reader(lambda: report.say(_WAITING), lambda: None, lambda: None, report.warn)
    parameters, schema = read_parameters(options, reader)
    models = chosen_models(options.model, settings)
    defaults = Defaults(
        models,
        read_system(options, reader),
        parameters,
        None if options.lines is None else argument_text(options.lines, "--lines"),
    )
    limits = Limits(
        # The local model's server answers one request at a time: what waits there would wait in its own time.
        min(chosen_jobs(options.jobs), 1 if is_local(models[0]) else MOST_JOBS),
        chosen_retries(options.retries, settings),
        chosen_seconds(options.request_timeout, "--request-timeout", settings, "ORCLI_TIMEOUT"),
        None if options.max_cost is None else config.amount(options.max_cost, "--max-cost"),
        # A result that waits in memory for an earlier line's would be lost, and billed again, by kill -9.
        ordered=not options.unordered and options.results is None,
    )
    log_name = None if options.dry_run else options.log or setting_text(settings, "ORCLI_LOG")
    log = open_log(log_name, report.secret) if log_name else None
    if log is not None:
        for name in names:
            log.check_apart(display_name(name), "input", _status(name))
    ids = Ids()
    results = None
    if options.results is not None and options.dry_run:
        if os.path.exists(options.results):
            look_at_results(options.results, ids)
    elif options.results is not None:
        results = open_results(options.results, ids)
        if log is not None:
            log.check_apart(options.results, "output", os.fstat(results.descriptor))
    # Where results go to a terminal they are the progress.
    shown = results is None and os.isatty(output.STDOUT)
    progress = Progress(wanted=not (report.quiet or options.dry_run or shown), total=size_of(names))
    compiled = "" if schema is None else compact_json(schema)
    return Batch(report, names, defaults, limits, watch, ids, results, log, progress, compiled=compiled)


def chosen_jobs(typed: str | None) -> int:
    """Give how many requests run at once; UsageError for more than there may be connections, or than is sensible."""
    jobs = DEFAULT_JOBS if typed is None else config.whole(typed, "--jobs", 1)
    if jobs > MOST_JOBS:
        raise UsageError(f"--jobs is more than {MOST_JOBS}: {jobs}; give fewer")
    open_files = allow_open_files(jobs + _OTHER_FILES)
    if jobs + _OTHER_FILES <= open_files:
        return jobs
    if typed is not None:
        raise UsageError(f"--jobs {jobs} takes more open files than the limit of {open_files}; give fewer, or raise it")
    return max(open_files - _OTHER_FILES, 1)


_WAITING = "waiting for stdin (give a FILE or </dev/null)"


def check_input(options: BatchOptions, names: Sequence[str]) -> None:
    """Raise UsageError for input that is not there, is read twice, or is the file of results itself."""
    on_stdin = [name for name in (options.system_file, options.schema) if name == "-"]
    check_stdin_readers(Given(None, tuple(names), other_readers=len(on_stdin)))
    if not options.files and os.isatty(STDIN):
        raise UsageError("no FILE, and standard input is a terminal; give a FILE or pipe requests in")
    for name in names:
        if name != "-" and not os.path.exists(name):
            raise UsageError(f"no such file: {display_name(name)}; check the path")
        if name != "-" and os.path.isdir(name):
            raise UsageError(f"{display_name(name)} is a directory; give files")
        if (written := _written(options.results)) is not None and os.path.samestat(_status(name), written):
            other = "write to another file" if options.results is None else "give another -o"
            raise UsageError(f"{display_name(name)} is both input and output; {other}")


def _status(name: str) -> os.stat_result:
    return os.fstat(STDIN) if name == "-" else os.stat(name)


def _written(results: str | None) -> os.stat_result | None:
    """Give the file that results go to, where it is one already: it would grow as it is read."""
    if results is None:
        status = os.fstat(output.STDOUT)
    elif os.path.exists(results):
        status = os.stat(results)
    else:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def size_of(names: Sequence[str]) -> int | None:
    """Give the size of the input in bytes; None where it is not known before it is read."""
    statuses = [_status(name) for name in names]
    return sum(status.st_size for status in statuses) if all(stat.S_ISREG(s.st_mode) for s in statuses) else None


def in_loop(work: Coroutine[object, object, None]) -> None:
    """Run to the end in an event loop that nothing is waited for after: not a name look-up, not a stuck writer."""
    loop = asyncio.new_event_loop()
    # What a task that is given up ends with, after the run's own end, is nobody's business.
    loop.set_exception_handler(lambda *_: None)
    asyncio.set_event_loop(loop)
    loop.run_until_complete(work)


async def requests(run: Batch) -> AsyncIterator[Job | bytes]:
    """Yield the jobs of the input that are not answered yet, and the results of lines that ask nothing."""
    async for line in read_lines(run.names, lambda: run.report.say(_WAITING)):
        run.number += 1
        run.progress.read(1 if line is None else len(line) + 1)
        try:
            if line is None:
                raise UsageError("the line is longer than 64 MiB; split it")
            value = read_line(line, run.defaults)
            custom_id = custom_id_of(value, run.number)
        except Exception as error:  # noqa: BLE001  a line that nobody foresaw spares the others
            yield refuse(run, unclaimed_number(run), as_failure(error))
            continue
        if not run.ids.see(custom_id):
            # Without an id: its error must not stand in the place of the other line's answer.
            taken = UsageError(f"custom_id {custom_id!r} is that of an earlier line; give each its own")
            yield refuse(run, None, taken)
        elif run.ids.answered(custom_id):
            run.skipped += 1
        else:
            try:
                job = make_job(value, run.number, custom_id, run.defaults)
                await check_schema(run, job.schema)
            except Exception as error:  # noqa: BLE001  nor does a request of that kind end the run
                yield refuse(run, custom_id, as_failure(error))
            else:
                yield job


async def check_schema(run: Batch, schema: Mapping[str, Any] | None) -> None:
    """Raise UsageError for a line's schema that is none; most often it is that of the line before."""
    if schema is not None and (text := compact_json(schema)) != run.compiled:
        await check_schemas_async([(FORMAT, schema)])
        run.compiled = text


def unclaimed_number(run: Batch) -> str | None:
    """Give the id of a line that names none, its number, unless that is another line's."""
    number = str(run.number)
    return None if run.ids.seen(number) or run.ids.answered(number) else number


def refuse(run: Batch, custom_id: str | int | None, error: OrcliError) -> bytes:
    """Give the result of a line that asks nothing."""
    error.message = f"line {run.number}: {error.message}"
    run.report.hide(error)
    count(run, None, error)
    return result_line(run.number, custom_id, None, error)


def count(run: Batch, completion: Completion | None, error: OrcliError | None) -> None:
    """Take a result into the sums."""
    run.done += 1
    run.failed += error is not None
    if completion is not None:
        run.spent = added(run.spent, completion.spent)
    run.progress.advance(run.done, run.failed, run.spent)


async def print_requests(run: Batch) -> None:
    """Print each line's request in the form of the OpenAI Batch API, and send nothing."""
    async for job in requests(run):
        if isinstance(job, Job):
            count(run, None, None)
            output.write_json_line(job.as_line())
        else:
            run.report.say(json.loads(job)["error"]["message"])


async def ask_all(run: Batch, endpoint: Endpoint) -> None:
    """Answer the whole input, until its end, a signal, the deadline, or a reader of stdout that is gone."""
    from orcli.client import connect_async

    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException] = loop.create_future()

    def end(error: BaseException) -> None:
        if not ended.done():
            ended.set_result(error)
        # A second signal ends the process where it stands, and must leave the terminal as it was.
        run.progress.stop()
        release()

    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end, Signalled(number))
    # From here on the loop keeps the time.
    run.watch.pause()
    if (left := run.watch.remaining()) is not None:
        loop.call_later(left, end, DeadlinePassed(_ADVICE))

    def tell() -> None:
        loop.call_soon_threadsafe(end, Signalled(signal.SIGPIPE))

    if run.results is None:
        when_reader_gone(output.STDOUT, tell)
    writer = ThreadPoolExecutor(1)
    append = output.write_json_line if run.results is None else run.results.append

    def write_each(lines: Sequence[bytes]) -> None:
        for line in lines:
            append(line)

    async def write(lines: Sequence[bytes]) -> None:
        await loop.run_in_executor(writer, write_each, lines)

    count_cost = uncounted(run.report, run.limits.cost)

    def conclude(job: Job, completion: Completion | None, error: OrcliError | None, seconds: float) -> bytes:
        run.report.hide(error)
        count(run, completion, error)
        if completion is not None:
            count_cost(completion)
        if run.log is not None:
            fault = run.log.append("batch", job.model, completion, seconds, exit_code_of(error))
            if fault:
                run.report.warn(fault)
        return result_line(job.number, job.custom_id, completion, error)

    async with connect_async(endpoint, run.limits.jobs) as client:
        asking = asyncio.create_task(batch(client, requests(run), conclude, write, run.limits))
        both: set[asyncio.Future[Any]] = {asking, ended}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            asking.cancel()
            await asyncio.wait({asking}, timeout=_GRACE_SECONDS)
            raise ended.result()
        await asking


def summary(run: Batch) -> str:
    """Say in one line what a run did."""
    seconds = time.monotonic() - run.began
    lines = f"{run.done} lines, {run.failed} failed"
    return ", ".join([lines, *amounts(run.spent), f"{run.done / max(seconds, 0.001):.1f}/s", f"total {seconds:.2f} s"])
