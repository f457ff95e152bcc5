"""`orcli tool`: definitions, commands and results from the command line, and the sequence of turns between them."""

from __future__ import annotations

import os
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orcli import config, output
from orcli.answer import Completion, has_calls
from orcli.errors import WORDS, ToolsError, UsageError, one_line
from orcli.inputs import Given, Reader, argument_text, read_text
from orcli.local import check_tools
from orcli.options import ToolOptions
from orcli.patterns.tool import Call, Conversation, Limits, answered, converse, pending_calls
from orcli.process import DeadlinePassed, Signalled, release
from orcli.report import uncounted
from orcli.request import encode_request
from orcli.run import as_stream, ask_once, connected, finish, prepare, print_completion, print_stream
from orcli.session import Session, live_seconds, session
from orcli.text import compact_json, encode, escaped
from orcli.tools import Outcome, Runner, Tool, check_arguments, describe, failed, load_tools
from orcli.transcript import Message

DEFAULT_ROUNDS = 10
DEFAULT_TOOL_SECONDS = 60.0
CHOICES = ("auto", "none", "required")
_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")


@dataclass(frozen=True)
class Toolbox:
    """The tools of a run, and how their calls are carried out."""

    tools: Sequence[Tool]
    runner: Runner | None
    """None by hand: the calls are left to the caller."""
    strict: bool
    confirm: bool


def run_tool(options: ToolOptions) -> None:
    """Carry out `orcli tool`: the sequence by itself, or one step of it by hand; raises what the exit code tells."""
    with session("tool", options) as current:
        toolbox = read_toolbox(options, config.child_environment(os.environ, current.settings))
        by_hand = toolbox.runner is None
        current.json_output = options.json_output or by_hand
        check_flags(options, by_hand=by_hand)
        limits = Limits(
            DEFAULT_ROUNDS if options.max_rounds is None else config.whole(options.max_rounds, "--max-rounds"),
            None if options.max_cost is None else config.amount(options.max_cost, "--max-cost"),
        )
        count_cost = uncounted(current.report, limits.cost)
        idle = live_seconds(current, options)
        plan = prepare(
            current, _given(options), results=lambda earlier, reader: _results(options, earlier, reader, by_hand)
        )
        check_tools(plan.models[0])
        fields = request_fields(options, toolbox.tools, plan.request)
        conversation = Conversation(list(plan.request["messages"]))
        pending_calls(conversation.messages)
        current.as_line = lambda completion: with_messages(completion, conversation.messages)

        def body(messages: Sequence[Message], rounds: int) -> bytes:
            request = {**plan.request, "messages": messages, **for_round(fields, rounds)}
            return encode_request(request if idle is None else as_stream(request))

        if options.dry_run:
            output.write_json_line(body(conversation.messages, 0) + b"\n")
            return
        try:
            with connected(current, plan) as client:

                def complete(messages: Sequence[Message], rounds: int) -> Completion:
                    current.next_request()
                    if idle is None:
                        ask_once(current, client, body(messages, rounds), tools=True)
                    else:
                        print_stream(current, client, body(messages, rounds), idle, keep=True, chunks=False, tools=True)
                    assert current.completion is not None
                    count_cost(current.completion)
                    return current.completion

                converse(conversation, complete, _executor(current, toolbox), limits)
        except (Exception, DeadlinePassed, Signalled) as error:
            release()
            print_so_far(current, conversation, error, streamed=idle is not None)
            raise
        shown = idle is not None and not current.json_output and not options.extract
        finish(current, plan, shown=shown, added=conversation.new)


def print_so_far(current: Session, conversation: Conversation, error: BaseException, *, streamed: bool) -> None:
    """Print what came before a sequence ended early: the last text, or the object with the transcript."""
    completion = current.completion
    if completion is None or not (completion.text or has_calls(completion.message.get("tool_calls"))):
        completion = conversation.completion
    live = streamed and not (current.json_output or current.options.extract)
    if completion is None or current.printed or live:
        return
    if not isinstance(error, Exception) and not output.writable():
        return
    print_completion(current, completion.text, completion)


def _given(options: ToolOptions) -> Given:
    on_stdin = [assignment for assignment in options.result_file or () if assignment.endswith("=-")]
    return Given(
        options.prompt,
        tuple(options.files or ()),
        other_readers=len(on_stdin),
        prompt_optional=bool(options.result or options.result_file),
    )


def read_toolbox(options: ToolOptions, environment: Mapping[str, str]) -> Toolbox:
    """Read the tools; by hand when none of them has a command."""
    if not options.tools:
        raise UsageError("no tools; give --tools PATH, in every step of the sequence")
    tools = load_tools(options.tools, options.execute or ())
    typed = options.tool_timeout
    seconds = DEFAULT_TOOL_SECONDS if typed is None else config.seconds(typed, "--tool-timeout")
    runs = any(tool.command for tool in tools)
    return Toolbox(tools, Runner(environment, seconds) if runs else None, options.strict, options.confirm)


def check_flags(options: ToolOptions, *, by_hand: bool) -> None:
    """Raise UsageError for a flag that this way of running tools would ignore."""
    if by_hand:
        ignored = {
            "-x": options.extract,
            "--strict": options.strict,
            "--confirm": options.confirm,
            "--tool-timeout": options.tool_timeout is not None,
            "--max-rounds": options.max_rounds is not None,
            "--max-cost": options.max_cost is not None,
        }
        for name, given in ignored.items():
            if given:
                raise UsageError(f"{name} has no effect when no tool has a command; give --exec, or leave it out")
    if (options.result or options.result_file) and options.messages is None and options.conversation is None:
        raise UsageError("--result needs the conversation with the call; give it with --messages or -c")


def request_fields(options: ToolOptions, tools: Sequence[Tool], request: Mapping[str, Any]) -> dict[str, Any]:
    """Give the request fields that tools add; UsageError where -p sets one of them too."""
    for name in _FIELDS:
        if name in request:
            raise UsageError(f"-p {name} contradicts what orcli tool sends; use its own options")
    fields: dict[str, Any] = {"tools": [tool.definition for tool in tools]}
    choice = options.tool_choice
    if choice in CHOICES:
        fields["tool_choice"] = choice
    elif choice is not None:
        if not choice or choice not in [tool.name for tool in tools]:
            raise UsageError(f"--tool-choice {choice!r} is none of {', '.join(CHOICES)} and no function of --tools")
        fields["tool_choice"] = {"type": "function", "function": {"name": choice}}
    if options.no_parallel:
        fields["parallel_tool_calls"] = False
    return fields


def for_round(fields: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """Give the fields for a later round: a call that was forced is not forced again, or no answer would ever come."""
    if rounds and fields.get("tool_choice") not in (None, "none"):
        return {**fields, "tool_choice": "auto"}
    return dict(fields)


def _results(options: ToolOptions, earlier: Sequence[Message], reader: Reader, by_hand: bool) -> list[Message]:
    results: dict[str, str] = {}
    pending = [call.id for call in pending_calls(earlier)]
    for assignment in options.result or ():
        identity, text = _assignment(assignment, "--result", pending)
        _keep(results, identity, argument_text(text, f"--result {identity}") if text else "")
    for assignment in options.result_file or ():
        identity, name = _assignment(assignment, "--result-file", pending)
        _keep(results, identity, read_text(name, reader))
    return answered(earlier, results, all_of_them=by_hand)


def _assignment(assignment: str, option: str, pending: Sequence[str]) -> tuple[str, str]:
    """Split ID=VALUE; a pending call's id may hold a `=` itself."""
    identity, equals, value = assignment.partition("=")
    for known in sorted(pending, key=len):
        if assignment.startswith(f"{known}="):
            identity, value = known, assignment[len(known) + 1 :]
    if not equals or not identity:
        raise UsageError(f"{option} {assignment!r} has no '='; give ID=VALUE")
    return identity, value


def _keep(results: dict[str, str], identity: str, text: str) -> None:
    if identity in results:
        raise UsageError(f"two results for call {identity}; give one")
    results[identity] = text


def with_messages(completion: Completion, messages: Sequence[Message]) -> bytes:
    """Give a completion as one line, byte for byte as it came, with the transcript as its member `messages`."""
    transcript = encode(compact_json(messages))
    return completion.line().rstrip()[:-1].rstrip() + b',"messages":' + transcript + b"}\n"


def _executor(current: Session, toolbox: Toolbox) -> Callable[[Sequence[Call]], Sequence[str]] | None:
    runner = toolbox.runner
    if runner is None:
        return None
    return lambda calls: run_calls(current, toolbox, runner, calls)


def run_calls(current: Session, toolbox: Toolbox, runner: Runner, calls: Sequence[Call]) -> list[str]:
    """Run the calls of one turn at the same time and give their results in order.

    Raises ToolsError under `--strict` for the first call that fails, before anything runs if that is certain.
    """
    current.waiting.stop()
    tools = {tool.name: tool for tool in toolbox.tools}
    faults = [call_fault(call, tools) for call in calls]
    if toolbox.strict:
        _stop_at_fault(calls, faults)
    if toolbox.confirm:
        faults = [
            fault or (None if confirmed(call) else "the user did not allow this call")
            for call, fault in zip(calls, faults, strict=True)
        ]
    jobs = [_job(runner, tools, call, fault) for call, fault in zip(calls, faults, strict=True)]
    outcomes = runner.run_all(jobs)
    for call, outcome in zip(calls, outcomes, strict=True):
        for line in outcome.errors.splitlines():
            current.report.say(f"{call.name}: {line}")
        current.report.detail(describe(call.name, call.arguments, outcome))
    if toolbox.strict:
        _stop_at_fault(calls, [outcome.fault for outcome in outcomes])
    return [outcome.text for outcome in outcomes]


def call_fault(call: Call, tools: Mapping[str, Tool]) -> str | None:
    """Say what makes a call impossible to run; None when its command may get it."""
    tool = tools.get(call.name)
    if tool is None or tool.command is None:
        return f"there is no function {call.name!r}; there are {', '.join(name for name in tools if name)}"
    return check_arguments(tool, call.arguments)


def _stop_at_fault(calls: Sequence[Call], faults: Sequence[str | None]) -> None:
    for call, fault in zip(calls, faults, strict=True):
        if fault is not None:
            raise ToolsError(f"{call.name or 'a call'} failed under --strict: {one_line(fault, WORDS)}; see -v")


def _job(runner: Runner, tools: Mapping[str, Tool], call: Call, fault: str | None) -> Callable[[], Outcome]:
    if fault is not None:
        outcome = failed(fault)
        return lambda: outcome
    command = tools[call.name].command or ()
    return lambda: runner.run(call.name, call.id, command, call.arguments)


def confirmed(call: Call) -> bool:
    """Ask on the terminal, not on stdin, whether a call may run; without a terminal it may not.

    The whole of the arguments is shown. What was typed before the question is no answer to it.
    """
    try:
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            termios.tcflush(terminal, termios.TCIFLUSH)
            terminal.write(encode(f"orcli: run {call.name} {escaped(call.arguments)}? [y/N] "))
            reply = terminal.readline()
    except (OSError, termios.error):
        return False
    return reply.strip().lower() in (b"y", b"yes")
