"""Every option once: its names, its help, its place in a value that a command is given.

Every start pays for this module, so its annotations are objects and no text that would have to be read again, and its
classes no dataclasses, whose methods take a millisecond a class to compile.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer


class CommandLine:
    """What was given to a command, as it was typed; each annotated attribute of the class, and of its bases, is one."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


Options = TypeVar("Options", bound=CommandLine)
Result = TypeVar("Result")

# The headings under which help, the man pages and README list options: a command's own come first, then these.
REQUEST = "Request"
INPUT = "Input"
OUTPUT = "Output"
LIMITS = "Limits"
DIAGNOSTICS = "Diagnostics"
OTHER = "Other"
SHARED_HEADINGS = (REQUEST, INPUT, OUTPUT, LIMITS, DIAGNOSTICS, OTHER)
TOOLS = "Tool calls"
IMAGES = "Images"
MODELS = "Choice"


class RunOptions(CommandLine):
    """What every command takes that makes a request of whatever kind, as it was typed."""

    json_output: Annotated[
        bool, typer.Option("--json", help="Print the API's own object in place of text.", rich_help_panel=OUTPUT)
    ] = False
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout", metavar="SECONDS", help="Wall-clock limit, default 600; 0 is none.", rich_help_panel=LIMITS
        ),
    ] = None
    retries: Annotated[
        str | None,
        typer.Option("--retries", metavar="N", help="Tries after the first, default 2.", rich_help_panel=LIMITS),
    ] = None
    verbose: Annotated[
        bool,
        typer.Option(
            "-v", "--verbose", help="Sum up model, tokens, cost and time on stderr.", rich_help_panel=DIAGNOSTICS
        ),
    ] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No warnings.", rich_help_panel=DIAGNOSTICS)] = False
    env_file: Annotated[
        str | None,
        typer.Option("--env-file", metavar="FILE", help="Read settings from this .env file.", rich_help_panel=OTHER),
    ] = None


class CompletionOptions(RunOptions):
    """What every command takes that asks a model."""

    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            metavar="ID",
            help="Model; repeat for fallbacks. local/NAME runs on this machine.",
            rich_help_panel=REQUEST,
        ),
    ] = None
    system: Annotated[
        str | None, typer.Option("-s", "--system", metavar="TEXT", help="System message.", rich_help_panel=REQUEST)
    ] = None
    system_file: Annotated[
        str | None,
        typer.Option("--system-file", metavar="FILE", help="System message from a file.", rich_help_panel=REQUEST),
    ] = None
    param: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--param",
            metavar="KEY=VALUE",
            help="Any other request field; VALUE is JSON, dots nest.",
            rich_help_panel=REQUEST,
        ),
    ] = None
    max_tokens: Annotated[
        str | None,
        typer.Option("--max-tokens", metavar="N", help="Longest answer, in tokens.", rich_help_panel=REQUEST),
    ] = None
    temperature: Annotated[
        str | None,
        typer.Option("--temperature", metavar="X", help="Sampling temperature, 0 to 2.", rich_help_panel=REQUEST),
    ] = None
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema",
            metavar="FILE|JSON",
            help="JSON Schema to ask for and to check the answer against.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the request body and send nothing.", rich_help_panel=DIAGNOSTICS)
    ] = False
    log: Annotated[
        str | None,
        typer.Option(
            "--log", metavar="FILE", help="Append one JSON line about each request.", rich_help_panel=DIAGNOSTICS
        ),
    ] = None


class RequestOptions(CompletionOptions):
    """What every command takes that makes one request of its arguments and standard input."""

    messages: Annotated[
        str | None,
        typer.Option(
            "--messages",
            metavar="FILE",
            help="The whole conversation as JSON; - is standard input.",
            rich_help_panel=INPUT,
        ),
    ] = None
    conversation: Annotated[
        str | None,
        typer.Option(
            "-c", "--conversation", metavar="FILE", help="Carry a conversation on in this file.", rich_help_panel=INPUT
        ),
    ] = None
    extract: Annotated[
        bool,
        typer.Option(
            "-x", "--extract", help="Print only the first fenced code block of the answer.", rich_help_panel=OUTPUT
        ),
    ] = False
    no_stdin: Annotated[
        bool, typer.Option("-n", "--no-stdin", help="Do not read standard input.", rich_help_panel=INPUT)
    ] = False


class IdleOptions(RequestOptions):
    """What every command that may print an answer as it arrives takes besides."""

    idle_timeout: Annotated[
        str | None,
        typer.Option(
            "--idle-timeout",
            metavar="SECONDS",
            help="Longest wait between data, default 120; 0 is none.",
            rich_help_panel=LIMITS,
        ),
    ] = None


class LiveOptions(IdleOptions):
    """What a command takes that prints an answer as it arrives where it is asked to."""

    stream: Annotated[bool, typer.Option("--stream", help="Print the text as it arrives.", rich_help_panel=OUTPUT)] = (
        False
    )


class AskOptions(RequestOptions):
    """What `orcli ask` takes."""

    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="The question; - is standard input.")] = None
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Data that follows it; - is standard input.")
    ] = None


class StreamOptions(AskOptions, IdleOptions):
    """What `orcli stream` takes."""


class ToolOptions(AskOptions, LiveOptions):
    """What `orcli tool` takes."""

    tools: Annotated[
        list[str] | None,
        typer.Option(
            "--tools",
            metavar="PATH",
            help="Tool definitions: a JSON file, or a directory of NAME.json.",
            rich_help_panel=TOOLS,
        ),
    ] = None
    execute: Annotated[
        list[str] | None,
        typer.Option(
            "--exec",
            metavar="NAME=COMMAND",
            help="The command that runs a function: JSON in, result out.",
            rich_help_panel=TOOLS,
        ),
    ] = None
    result: Annotated[
        list[str] | None,
        typer.Option(
            "--result", metavar="ID=TEXT", help="The result of a pending call, taken literally.", rich_help_panel=TOOLS
        ),
    ] = None
    result_file: Annotated[
        list[str] | None,
        typer.Option(
            "--result-file",
            metavar="ID=FILE",
            help="The result of a pending call; - is standard input.",
            rich_help_panel=TOOLS,
        ),
    ] = None
    tool_choice: Annotated[
        str | None,
        typer.Option(
            "--tool-choice",
            metavar="auto|none|required|NAME",
            help="Whether, or which function, the model calls.",
            rich_help_panel=TOOLS,
        ),
    ] = None
    no_parallel: Annotated[
        bool, typer.Option("--no-parallel", help="At most one call a turn.", rich_help_panel=TOOLS)
    ] = False
    max_rounds: Annotated[
        str | None,
        typer.Option("--max-rounds", metavar="N", help="Most rounds of calls, default 10.", rich_help_panel=TOOLS),
    ] = None
    max_cost: Annotated[
        str | None,
        typer.Option("--max-cost", metavar="USD", help="Stop calling tools from this cost on.", rich_help_panel=TOOLS),
    ] = None
    tool_timeout: Annotated[
        str | None,
        typer.Option(
            "--tool-timeout",
            metavar="SECONDS",
            help="Longest run of a tool, default 60; 0 is none.",
            rich_help_panel=TOOLS,
        ),
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first call that fails.", rich_help_panel=TOOLS)
    ] = False
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Ask on the terminal before each call.", rich_help_panel=TOOLS)
    ] = False


class VisionOptions(LiveOptions):
    """What `orcli vision` takes."""

    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="The question; - is standard input.")] = None
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE", help="An image, PDF or sound: a path, a URL, or -; default standard input."),
    ] = None
    detail: Annotated[
        str | None,
        typer.Option(
            "--detail", metavar="low|high|auto", help="How closely the model looks at images.", rich_help_panel=IMAGES
        ),
    ] = None
    save: Annotated[
        str | None,
        typer.Option(
            "--save",
            metavar="DIR",
            help="Keep images that the model makes here, and print their paths.",
            rich_help_panel=IMAGES,
        ),
    ] = None
    short: Annotated[
        bool, typer.Option("--short", help="With --dry-run: shorten the base64.", rich_help_panel=DIAGNOSTICS)
    ] = False


class BatchOptions(CompletionOptions):
    """What `orcli batch` takes."""

    json_output: Annotated[
        bool, typer.Option("--json", help="Print result objects, as without it.", rich_help_panel=OUTPUT)
    ] = False
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout", metavar="SECONDS", help="Wall-clock limit of the run, default none.", rich_help_panel=LIMITS
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the requests as batch lines and send nothing.", rich_help_panel=DIAGNOSTICS
        ),
    ] = False
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Requests, one a line; default standard input.")
    ] = None
    lines: Annotated[
        str | None,
        typer.Option(
            "--lines", metavar="PROMPT", help="Each line is plain text, sent after PROMPT.", rich_help_panel=INPUT
        ),
    ] = None
    results: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Append results here as they finish; what is answered there is not asked again.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    jobs: Annotated[
        str | None,
        typer.Option("-j", "--jobs", metavar="N", help="Requests at once, default 8.", rich_help_panel=LIMITS),
    ] = None
    unordered: Annotated[
        bool,
        typer.Option("--unordered", help="Print results as they finish, not in input order.", rich_help_panel=OUTPUT),
    ] = False
    max_cost: Annotated[
        str | None,
        typer.Option(
            "--max-cost", metavar="USD", help="Start no more requests from this cost on.", rich_help_panel=LIMITS
        ),
    ] = None
    request_timeout: Annotated[
        str | None,
        typer.Option(
            "--request-timeout",
            metavar="SECONDS",
            help="Limit for each request, default 600; 0 is none.",
            rich_help_panel=LIMITS,
        ),
    ] = None


class ModelsOptions(RunOptions):
    """What `orcli models` takes."""

    json_output: Annotated[
        bool, typer.Option("--json", help="Print the API's model objects, one a line.", rich_help_panel=OUTPUT)
    ] = False
    pattern: Annotated[
        str | None, typer.Argument(metavar="[PATTERN]", help="Part of an id or a name, or a glob for all of it.")
    ] = None
    supports: Annotated[
        list[str] | None,
        typer.Option(
            "--supports",
            metavar="PARAMETER",
            help="Only with this request field: tools …",
            rich_help_panel=MODELS,
        ),
    ] = None
    input: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="text|image|file|audio|video", help="Only with this input.", rich_help_panel=MODELS
        ),
    ] = None
    free: Annotated[bool, typer.Option("--free", help="Only what costs nothing.", rich_help_panel=MODELS)] = False
    sort: Annotated[
        str | None,
        typer.Option("--sort", metavar="id|price|context|created", help="Order, default id.", rich_help_panel=MODELS),
    ] = None


def takes(options: type[Options]) -> Callable[[Callable[[Options], Result]], Callable[..., Result]]:
    """Make a function of one options value a Typer command, whose parameters are the attributes of that value."""

    def decorate(function: Callable[[Options], Result]) -> Callable[..., Result]:
        annotations = {
            name: annotation
            for base in reversed(options.__mro__)
            for name, annotation in inspect.get_annotations(base).items()
        }
        parameters = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=getattr(options, name), annotation=annotation
            )
            for name, annotation in annotations.items()
        ]

        def command(**values: Any) -> Result:
            return function(options(**values))

        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect reads
        command.__annotations__ = {}
        return command

    return decorate
