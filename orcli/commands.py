"""The whole command line on one page: each command's options, and the function that carries it out.

Parsing a command line gives a function without arguments; calling it is the run. So everything between is plain.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from copy import copy
from io import StringIO
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from orcli.errors import UsageError
from orcli.options import AskOptions, BatchOptions, ModelsOptions, StreamOptions, ToolOptions, VisionOptions, takes

if TYPE_CHECKING:
    from orcli.reference.tree import Command

Run = Callable[[], None]


class TextCoercion:
    """Takes a parameter's value as the text it is; orcli reads numbers and choices itself, in its own words.

    It stands in for Typer's own coercion, which loads pydantic, 70 ms, to turn text into text.
    """

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give the value, or what stands for an absent one."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        return value


class TextCommand(TyperCommand):
    """A command whose parameters are all text and flags."""

    def get_params(self, ctx: Any) -> Any:
        """Give the parameters, the help option too, without any other coercion."""
        return as_text(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """Give the page of help."""
        return help_page(self, ctx)


class TextGroup(TyperGroup):
    """The command of all commands, whose parameters are flags."""

    def get_params(self, ctx: Any) -> Any:
        """Give the parameters, the help option too, without any other coercion."""
        return as_text(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """Give the page of help."""
        return help_page(self, ctx)


def as_text(parameters: list[Any]) -> list[Any]:
    """Let parameters be coerced as text.

    The attribute is private to Typer: where it goes away, its own coercion comes back, with the same result.
    """
    for parameter in parameters:
        parameter._runtime_param = TextCoercion()
    return parameters


def help_page(command: Any, ctx: Any) -> str:
    """Give a command's page of help, in orcli's own form."""
    from orcli.reference.help import page
    from orcli.reference.tree import read_command

    return page(read_command(command, ctx, ctx.command_path))


app = typer.Typer(
    name="orcli",
    cls=TextGroup,
    help="A language model as a Unix filter: arguments or stdin in, plain text or JSON out, an exit code that tells.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def orcli(
    version: Annotated[bool, typer.Option("--version", help="Print the versions of orcli, openai and Python.")] = False,
) -> None:
    """A language model as a Unix filter: arguments or stdin in, plain text or JSON out, an exit code that tells."""


@app.command(cls=TextCommand)
@takes(AskOptions)
def ask(options: AskOptions) -> Run:
    """Ask one question and print the answer."""
    from orcli.run import run_ask

    return lambda: run_ask(options)


@app.command(cls=TextCommand)
@takes(StreamOptions)
def stream(options: StreamOptions) -> Run:
    """Print the answer as it arrives."""
    from orcli.run import run_stream

    return lambda: run_stream(options)


@app.command(cls=TextCommand)
@takes(ToolOptions)
def tool(options: ToolOptions) -> Run:
    """Let the model call tools, run here or left to the caller, and print its answer."""
    from orcli.run_tool import run_tool

    return lambda: run_tool(options)


@app.command(cls=TextCommand)
@takes(VisionOptions)
def vision(options: VisionOptions) -> Run:
    """Ask about images, documents and sound."""
    from orcli.run_vision import run_vision

    return lambda: run_vision(options)


@app.command(cls=TextCommand)
@takes(BatchOptions)
def batch(options: BatchOptions) -> Run:
    """Answer many requests, one a line, and print one result a line."""
    from orcli.run_batch import run_batch

    return lambda: run_batch(options)


@app.command(cls=TextCommand)
@takes(ModelsOptions)
def models(options: ModelsOptions) -> Run:
    """List the models there are."""
    from orcli.run_models import run_models

    return lambda: run_models(options)


def parse(arguments: list[str]) -> Run | str:
    """Turn a command line into its run, or into the help it asks for; UsageError where it is wrong."""
    try:
        with redirect_stdout(StringIO()) as help_text:
            result = _application(arguments[:1])(args=arguments, prog_name="orcli", standalone_mode=False)
    except typer.TyperException as raised:
        from orcli.mistakes import explain

        wrong_option = getattr(raised, "option_name", None) if hasattr(raised, "possibilities") else None
        raise UsageError(explain(raised.format_message(), wrong_option, arguments, tree())) from raised
    return result if callable(result) else help_text.getvalue()


def tree() -> Command:
    """Read the whole command line as plain values."""
    from orcli.reference.tree import read_command

    group = typer.main.get_command(app)
    return read_command(group, group.make_context("orcli", [], resilient_parsing=True))


def _application(first: list[str]) -> typer.Typer:
    """Give the application without the commands that its first argument rules out: Typer would build them all."""
    named = [command for command in app.registered_commands if getattr(command.callback, "__name__", None) in first]
    if not named:
        return app
    alone = copy(app)
    alone.registered_commands = named
    return alone
