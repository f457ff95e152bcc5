"""One run of a command: what it was told, its clock and its voice, and how it ends, whatever happens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from orcli import config, output
from orcli.answer import Completion
from orcli.config import Endpoint, Setting
from orcli.errors import AccountError, ExitCode, Failed, OrcliError, UsageError, as_failure
from orcli.local import is_model_file
from orcli.options import LiveOptions, RequestOptions, RunOptions
from orcli.process import Signalled, Watch, exit_code_of, release
from orcli.report import Log, Report, Waiting, added, open_log, summary
from orcli.retry import Retry


@dataclass
class Session:
    """One run of a command: what it was told, its clock and its voice, and what came of it so far."""

    command: str
    options: RequestOptions
    report: Report
    settings: Mapping[str, Setting]
    watch: Watch
    retry: Retry
    log: Log | None
    waiting: Waiting
    json_output: bool
    model: str = ""
    began_at: float | None = None
    sent_at: float | None = None
    text_at: float | None = None
    spent: dict[str, float] = field(default_factory=dict)
    """What the run's earlier requests took: prompt_tokens, completion_tokens, cost in USD."""
    completion: Completion | None = None
    before: Completion | None = None
    """The completion of the request before the last."""
    as_line: Callable[[Completion], bytes] = Completion.line
    printed: bool = False
    """stdout has the API's object or error already, so no error object may follow it."""

    @property
    def media_answer(self) -> bool:
        """Images and sound are an answer without text: they can be kept, or are in the object that is printed."""
        return self.json_output or self.command == "vision"

    def next_request(self) -> None:
        """Begin a request: log the one before it, and let a person wait for this one."""
        now = time.monotonic()
        if self.completion is not None:
            self.log_request(ExitCode.OK)
            self.spent = added(self.spent, self.completion.spent)
            self.before, self.completion = self.completion, None
        self.began_at = self.began_at or now
        self.sent_at = now
        self.waiting.start(self.model)

    def note_text(self) -> None:
        """Note when the first text came."""
        if self.text_at is None:
            self.text_at = time.monotonic()

    def log_request(self, exit_code: int) -> None:
        """Append a line about the last request to the log, if there is one."""
        if self.log is None or self.sent_at is None:
            return
        fault = self.log.append(self.command, self.model, self.completion, time.monotonic() - self.sent_at, exit_code)
        if fault:
            self.report.warn(fault)


@contextmanager
def session(command: str, options: RequestOptions) -> Iterator[Session]:
    """Set a run up, and end it: its error object under `--json`, its summary and its log line, however it ends."""
    report = Report(options.verbose, options.quiet)
    watch, current = None, None
    try:
        check_contradictions(options)
        settings = config.load_settings(os.environ, options.env_file)
        report = replace(report, secret=config.secret(settings))
        watch = Watch(chosen_seconds(options.timeout, "--timeout", settings, "ORCLI_TIMEOUT"))
        retry = Retry(chosen_retries(options.retries, settings), watch.remaining, report.retrying)
        log_name = options.log or setting_text(settings, "ORCLI_LOG")
        log = open_log(log_name, report.secret) if log_name else None
        current = Session(command, options, report, settings, watch, retry, log, Waiting(report), options.json_output)
        watch.start()
        yield current
    except BaseException as error:
        release()
        report.hide(error)
        if current is not None:
            _conclude(current, error)
        if (current.json_output if current else options.json_output) and not (current and current.printed):
            write_error_object(error)
        raise
    release()
    _conclude(current, None)


@dataclass
class Opening:
    """A run that asks in its own way: what it was told, and its voice."""

    report: Report
    settings: Mapping[str, Setting] = field(default_factory=dict)
    printed: bool = False
    """stdout has something already, so no error object may follow it."""


@contextmanager
def opening(options: RunOptions) -> Iterator[Opening]:
    """Read the settings of a run, and end it: its error object under `--json`, however it ends."""
    run = Opening(Report(options.verbose, options.quiet))
    try:
        run.settings = config.load_settings(os.environ, options.env_file)
        run.report = replace(run.report, secret=config.secret(run.settings))
        yield run
    except BaseException as error:
        release()
        run.report.hide(error)
        if options.json_output and not run.printed:
            write_error_object(error)
        raise
    release()


def _conclude(current: Session, error: BaseException | None) -> None:
    last = current.completion or current.before
    if last is not None and current.began_at is not None:
        first = None if current.text_at is None else current.text_at - current.began_at
        seconds = time.monotonic() - current.began_at
        spent = current.spent if current.completion is None else added(current.spent, current.completion.spent)
        current.report.detail(summary(last, current.model, spent, seconds, first))
    current.log_request(exit_code_of(error))


def write_error_object(error: BaseException) -> None:
    """Write a failure as the one JSON object that stdout gets; silent where stdout itself is what failed."""
    code = ExitCode(exit_code_of(error))
    if isinstance(error, Failed) or code is ExitCode.READER_GONE:
        return
    if isinstance(error, Exception):
        value = as_failure(error).as_json()
    else:
        value = {"error": {"code": code.name.lower(), "message": f"ended by {code.name.lower()}"}}
    if not isinstance(error, OrcliError) and not output.writable():
        return
    try:
        output.write_json(value)
    except (OrcliError, Signalled):
        return


def check_contradictions(options: RequestOptions) -> None:
    """Raise UsageError for options that contradict each other."""
    pairs = (
        ("-c", options.conversation, "--messages", options.messages),
        ("-x", options.extract, "--json", options.json_output),
    )
    for first, first_value, second, second_value in pairs:
        if first_value not in (None, False) and second_value not in (None, False):
            raise UsageError(f"{first} and {second} contradict each other; use one")


def trusted_endpoint(settings: Mapping[str, Setting], report: Report, *, key_needed: bool = True) -> Endpoint:
    """Give where requests go and the key for it, once what a user should hear about that is said."""
    endpoint = config.endpoint(settings, key_needed=key_needed)
    for warning in config.endpoint_warnings(settings):
        report.warn(warning)
    return endpoint


def chosen_models(given: Sequence[str] | None, settings: Mapping[str, Setting]) -> tuple[str, ...]:
    """Give the model and its fallbacks: those of `-m`, the settings', or the default.

    Raises AccountError where a `.env` that was found names a file: llama.cpp would read it, whoever made it.
    """
    setting = settings.get("ORCLI_MODEL")
    if not given and setting is not None and setting.found and is_model_file(setting.value):
        raise AccountError(
            f"ORCLI_MODEL of {setting.source} is a file, which a .env that was found may not load; use -m"
        )
    models = tuple(given or (setting_text(settings, "ORCLI_MODEL") or config.DEFAULT_MODEL,))
    if not all(models):
        raise UsageError("-m is empty; give a model id")
    return models


def setting_text(settings: Mapping[str, Setting], name: str) -> str | None:
    """Give the text of a setting; None where it is not set."""
    setting = settings.get(name)
    return setting.value if setting else None


def chosen_seconds(typed: str | None, option: str, settings: Mapping[str, Setting], variable: str) -> float:
    """Give a number of seconds, 0 being no limit: the option's, the setting's, or the default."""
    if typed is not None:
        return config.seconds(typed, option)
    value = setting_text(settings, variable)
    return config.DEFAULT_SECONDS[variable] if value is None else config.seconds(value, variable)


def idle_seconds(current: Session, typed: str | None) -> float:
    """Give the longest wait between data of a stream, in seconds; 0 is no limit."""
    return chosen_seconds(typed, "--idle-timeout", current.settings, "ORCLI_IDLE_TIMEOUT")


def live_seconds(current: Session, options: LiveOptions) -> float | None:
    """Give the longest wait between data where the answer is to be printed as it arrives; None where it is not."""
    if options.stream:
        return idle_seconds(current, options.idle_timeout)
    if options.idle_timeout is not None:
        raise UsageError("--idle-timeout has no effect without --stream; add it, or leave this out")
    return None


def chosen_retries(typed: str | None, settings: Mapping[str, Setting]) -> int:
    """Give how often to try again: as the option says, the setting, or the default."""
    if typed is not None:
        return config.whole(typed, "--retries")
    value = setting_text(settings, "ORCLI_RETRIES")
    return config.DEFAULT_RETRIES if value is None else config.whole(value, "ORCLI_RETRIES")
