"""From options to an exit: settings, input, request, client, pattern, output, in this order, for every command.

What could go wrong here and now is found before anything is sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orcli import config, output
from orcli.answer import Completion, has_calls
from orcli.config import Endpoint, Setting
from orcli.errors import OrcliError, UsageError
from orcli.inputs import (
    Given,
    Reader,
    argument_text,
    check_stdin_readers,
    display_name,
    read_file,
    read_text,
    user_text,
)
from orcli.local import is_local, serve
from orcli.options import AskOptions, CompletionOptions, LiveOptions, StreamOptions
from orcli.process import DeadlinePassed, release
from orcli.report import Lines, Report
from orcli.request import build_request, encode_request, parse_parameters
from orcli.schema import first_code_block, read_schema
from orcli.session import Session, chosen_models, idle_seconds, session, trusted_endpoint
from orcli.transcript import (
    Conversation,
    Message,
    assistant_turn,
    check_asked,
    open_conversation,
    parse_messages,
    with_system,
)
from orcli.validation import check_answer, check_schemas

if TYPE_CHECKING:
    from orcli.client import Client


@dataclass(frozen=True)
class Plan:
    """A request that is ready to be sent, and what its answer is checked against and kept in."""

    models: tuple[str, ...]
    request: dict[str, Any]
    """Empty once it is encoded."""
    schema: Mapping[str, Any] | None
    conversation: Conversation | None
    turns: list[Message]
    """What `-c` appends before the answer: the system message, tool results and the new user turn; without it none."""

    def encoded(self, *, stream: bool) -> bytes:
        """Give the body that is sent, and let go of the request: a long text is not to be there twice."""
        body = encode_request(as_stream(self.request) if stream else self.request)
        self.request.clear()
        return body


def run_ask(options: AskOptions) -> None:
    """Carry out `orcli ask`: one request, one answer on stdout; raises what the exit code tells."""
    with session("ask", options) as current:
        deliver(current, prepare(current, Given(options.prompt, tuple(options.files or ()))))


def run_stream(options: StreamOptions) -> None:
    """Carry out `orcli stream`: the answer on stdout as it arrives; raises what the exit code tells."""
    with session("stream", options) as current:
        idle = idle_seconds(current, options.idle_timeout)
        deliver(current, prepare(current, Given(options.prompt, tuple(options.files or ()))), idle=idle)


def deliver(current: Session, plan: Plan, *, idle: float | None = None, keep: bool = False) -> None:
    """Send a request, or under `--dry-run` print it, and print its answer: whole, or with `idle` as it arrives.

    `idle` is the longest wait between data of a stream, in seconds, 0 being no limit; with `keep` the whole message of
    a stream is `current.completion` at its end.
    """
    options = current.options
    streamed = idle is not None
    body = plan.encoded(stream=streamed)
    if options.dry_run:
        output.write_json_line(body)
        output.write(b"\n")
        return
    with connected(current, plan) as client:
        current.next_request()
        if idle is not None:
            keep = keep or plan.schema is not None or plan.conversation is not None or options.extract
            print_stream(current, client, body, idle, keep=keep, chunks=options.json_output)
        else:
            ask_once(current, client, body)
    del body
    finish(current, plan, shown=streamed and not options.extract)


def ask_once(current: Session, client: Client, body: bytes, *, tools: bool = False) -> None:
    """Send a request and keep its completion; of one that fails, what came is printed before the error is raised."""
    from orcli.patterns.ask import ask

    try:
        current.completion = current.retry.run(lambda: ask(client, body, tools=tools, media=current.media_answer))
    except OrcliError as error:
        current.completion = error.completion
        if current.completion is not None:
            print_completion(current, current.completion.text)
        raise


def as_stream(request: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for a stream; OpenRouter always sends the usage, llama.cpp wants to be asked for it."""
    options = {"stream_options": {"include_usage": True}} if is_local(request["model"]) else {}
    return {**options, **request, "stream": True}


def print_stream(
    current: Session, client: Client, body: bytes, idle: float, *, keep: bool, chunks: bool, tools: bool = False
) -> None:
    """Print a stream as it arrives, under the rules of completeness; `current.completion` is what came of it.

    With `chunks` each chunk's object is printed, else its text, unless the run prints at its end: `-x`, or an object
    of the whole. `idle` is in seconds, 0 is no limit. Raises what made the stream fail, after what had come is printed.
    """
    from orcli.patterns.stream import stream

    watch = current.watch
    live = not (current.json_output or current.options.extract)
    writer = output.TextStream()
    thoughts = Lines(current.report, "reasoning: ")
    retry = replace(current.retry, on_wait=lambda error, wait: _stand_by(current, error, wait))
    answer = stream(
        client,
        body,
        retry,
        begin=lambda: watch.expect_events(idle),
        keep=keep,
        raw=chunks,
        tools=tools,
        media=current.media_answer,
    )
    try:
        with closing(answer.__iter__()) as arriving:
            for chunk in arriving:
                watch.event()
                if chunk.reasoning and current.report.verbose:
                    current.waiting.stop()
                    thoughts.add(chunk.reasoning)
                if chunk.text:
                    thoughts.end()
                    current.waiting.stop()
                    current.note_text()
                    if live:
                        writer.write(chunk.text)
                if chunks:
                    current.waiting.stop()
                    output.write_json_line(chunk.line())
                    current.printed = chunk.says_error
                watch.listen()
    except (OrcliError, DeadlinePassed) as error:
        watch.expect_events(0)
        current.waiting.stop()
        if chunks and isinstance(error, OrcliError) and error.completion is not None and error.completion.body:
            output.write_json_line(error.completion.line())
            current.printed = True
        if current.options.extract:
            writer.write(answer.accumulator.completion().text)
            current.printed = True
        writer.end()
        raise
    finally:
        watch.expect_events(0)
        thoughts.end()
        current.completion = answer.accumulator.completion() if answer.accumulator.began else None
    writer.end()


def _stand_by(current: Session, error: OrcliError, wait: float) -> None:
    """Stop counting silence while the client itself waits to try again."""
    current.watch.expect_events(0)
    current.report.retrying(error, wait)


def prepare(
    current: Session,
    given: Given,
    read: Callable[[Given, Reader], Any] = user_text,
    results: Callable[[list[Message], Reader], list[Message]] | None = None,
) -> Plan:
    """Read all the input and build the request; whatever is wrong with them is raised here.

    `read` gives the content of the user turn, text or parts, or None where there need be none; `results` gives the
    tool messages that follow the earlier conversation.
    """
    options = current.options
    models = chosen_models(options.model, current.settings)
    current.model = models[0]
    on_stdin = [name for name in (options.messages, options.system_file, options.schema) if name == "-"]
    given = replace(
        given,
        no_stdin=options.no_stdin,
        other_readers=given.other_readers + len(on_stdin),
        prompt_optional=given.prompt_optional or options.messages is not None,
    )
    check_stdin_readers(given)
    reader = Reader(
        on_silence=lambda: current.report.say("waiting for stdin (use -n or </dev/null)"),
        on_begin=current.watch.pause,
        on_end=current.watch.start,
        warn=current.report.warn,
    )
    parameters, schema = read_parameters(options, reader)
    system = read_system(options, reader)
    conversation: Conversation | None = None
    earlier: list[Message] = []
    if options.conversation is not None:
        conversation, earlier = open_conversation(options.conversation)
        if current.log is not None:
            current.log.check_apart(options.conversation, "conversation", os.fstat(conversation.descriptor))
    if options.messages is not None:
        earlier = parse_messages(read_file(options.messages, reader), display_name(options.messages))
    turns = results(earlier, reader) if results else []
    content = read(given, reader)
    if content is not None:
        turns = [*turns, {"role": "user", "content": content}]
    messages = [*with_system(earlier, system), *turns]
    check_request(current, messages, parameters, goes_on=results is not None)
    if system is not None and not earlier:
        turns = messages
    return Plan(
        models, build_request(models, messages, parameters), schema, conversation, turns if conversation else []
    )


def check_request(
    current: Session, messages: Sequence[Message], parameters: Mapping[str, Any], *, goes_on: bool
) -> None:
    """Raise UsageError for a request that asks nothing, or asks for what would not be printed.

    `goes_on` says that calls without a result are not the end of it.
    """
    check_asked(messages)
    if any(message.get("tool_calls") for message in messages) and not goes_on:
        from orcli.patterns.tool import pending_calls

        if calls := pending_calls(messages):
            raise UsageError(f"call {calls[0].id} has no result; give it one with orcli tool --result")
    count = parameters.get("n")
    whole = current.command == "ask" or (isinstance(current.options, LiveOptions) and not current.options.stream)
    if isinstance(count, (int, float)) and count > 1 and not (current.json_output and whole and not goes_on):
        raise UsageError(f"-p n={count} gives choices of which one is printed; use ask --json, or orcli batch")


def read_parameters(options: CompletionOptions, reader: Reader) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Give the request's fields that options set, and the schema among them that the answer is checked against."""
    schema = None if options.schema is None else _read_schema(options.schema, reader)
    parameters = parse_parameters(
        options.param or (),
        max_tokens=None if options.max_tokens is None else config.whole(options.max_tokens, "--max-tokens", 1),
        temperature=None if options.temperature is None else config.number(options.temperature, "--temperature"),
        schema=schema,
    )
    return parameters, schema


def _read_schema(given: str, reader: Reader) -> dict[str, Any]:
    if given.lstrip().startswith("{"):
        name, text = "--schema", given
    else:
        name, text = display_name(given), read_text(given, reader)
    schema = read_schema(text, name)
    check_schemas([(name, schema)])
    return schema


def read_system(options: CompletionOptions, reader: Reader) -> str | None:
    """Give the system message that options set, if any."""
    if options.system is not None and options.system_file is not None:
        raise UsageError("-s and --system-file contradict each other; use one")
    if options.system is not None:
        return argument_text(options.system, "--system")
    if options.system_file is not None:
        return read_text(options.system_file, reader)
    return None


@contextmanager
def connected(current: Session, plan: Plan) -> Iterator[Client]:
    """Give a client connected to where the model is: OpenRouter, or llama.cpp's server on this machine."""
    from orcli.preconnect import preconnect

    with ExitStack() as stack:
        current.waiting.start(current.model)
        stack.callback(current.waiting.stop)
        current.watch.expect_reader(output.STDOUT)
        endpoint = stack.enter_context(served(plan.models, current.settings, current.report))
        ready = None if any(is_local(model) for model in plan.models) else preconnect(endpoint.base_url)
        from orcli.client import connect

        yield stack.enter_context(connect(endpoint, ready))


@contextmanager
def served(models: Sequence[str], settings: Mapping[str, Setting], report: Report) -> Iterator[Endpoint]:
    """Give where models are: OpenRouter, or llama.cpp's server on this machine, which is gone on the way out."""
    if any(is_local(model) for model in models):
        with serve(models, config.child_environment(os.environ, settings)) as endpoint:
            yield endpoint
    else:
        yield trusted_endpoint(settings, report)


def finish(current: Session, plan: Plan, *, shown: bool = False, added: Sequence[Message] | None = None) -> None:
    """Check a whole answer's form, print it if it is not shown yet, and carry the conversation on.

    `added` are the messages that followed the plan's own turns, if more than the answer. Raises Mismatch, after the
    answer is printed, where it has not the form that was asked for; so too whatever else keeps it from being checked.
    """
    completion = current.completion
    assert completion is not None
    text = completion.text
    failure: BaseException | None = None
    try:
        if current.options.extract:
            text = first_code_block(text)
        if plan.schema is not None and not has_calls(completion.message.get("tool_calls")):
            check_answer(text, plan.schema)
    except BaseException as error:  # noqa: BLE001  raised below: the answer is there, and paid for
        failure = error
        if not isinstance(error, Exception):
            release()
    if not shown and (failure is None or isinstance(failure, Exception) or output.writable()):
        print_completion(current, text)
    if failure is not None:
        raise failure
    if plan.conversation is not None:
        plan.conversation.append([*plan.turns, *(added or [assistant_turn(completion.message)])])


def print_completion(current: Session, text: str, completion: Completion | None = None) -> None:
    """Print a completion, the last one unless given: the API's object under `--json`, else the text if there is any."""
    completion = completion or current.completion
    assert completion is not None
    current.report.detail_lines("reasoning: ", completion.reasoning)
    current.printed = True
    current.waiting.stop()
    if current.json_output:
        output.write_json_line(current.as_line(completion))
    elif text:
        output.write_text(text)
