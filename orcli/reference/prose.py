"""What is said about the command line that the command tree cannot say; the only place that is written by hand.

A text is paragraphs, with an empty line between them; what stands in backquotes is what a person types or reads.
"""

from __future__ import annotations

from typing import NamedTuple

from orcli.errors import ExitCode

DATE = "2026-11-23"
"""When this was last changed; man pages bear it."""


class Example(NamedTuple):
    """A command line, and what it is for."""

    purpose: str
    command: str


EXAMPLES = {
    "orcli": (
        Example(
            "a commit message from a diff",
            'git diff --cached | orcli ask "One-line commit message" | git commit -F -',
        ),
        Example("the answer as it arrives", 'orcli stream "Explain exit codes to a sailor"'),
        Example("a picture from a pipe", 'curl -s https://example.com/cat.jpg | orcli vision "What is this?"'),
        Example("a small model on this machine, without a key", 'orcli ask -m local/smollm2 "What is a pipe?"'),
    ),
    "ask": (
        Example("what broke the build", 'orcli ask "Why did this build fail? One paragraph." build.log'),
        Example(
            "a commit message from a diff",
            'git diff --cached | orcli ask "One-line commit message" | git commit -F -',
        ),
        Example("JSON that fits a schema", 'orcli ask --schema person.json "Who wrote this?" letter.txt | jq .name'),
        Example("code without the prose around it", 'orcli ask -x "A script that lists large files" > large.sh'),
        Example("a conversation in a file", 'orcli ask -c talk.jsonl "And in French?"'),
        Example(
            "a loop over a list, which a FILE leaves on standard input",
            'while read -r file; do orcli ask "One-line summary" "$file"; done < list',
        ),
    ),
    "stream": (
        Example("a story, as far as you like it", 'orcli stream "Tell me a long story" | head -5'),
        Example("give up on a stream that stalls", 'orcli stream --idle-timeout 20 "Compare these" a.txt b.txt'),
        Example(
            "each chunk as the API sends it", "orcli stream --json 'Count to ten' | jq -r '.choices[0].delta.content'"
        ),
    ),
    "tool": (
        Example("run the calls here", "orcli tool --tools tools.json --exec now=date 'What time is it?'"),
        Example("a directory of NAME.json beside NAME.sh", "orcli tool --tools ./tools 'What did we sell today?'"),
        Example("leave the calls to the caller", "orcli tool --tools tools.json 'Weather in Boston?' > turn.json"),
        Example(
            "and go on with a result",
            "orcli tool --tools tools.json --messages turn.json --result call_1=sunny",
        ),
    ),
    "vision": (
        Example("what is in a picture", 'orcli vision "What is this?" photo.png'),
        Example("two pictures, closely", 'orcli vision --detail high "What changed?" before.png after.png'),
        Example("a document", 'orcli vision "Total and date of this invoice" invoice.pdf'),
        Example(
            "keep what a model paints", 'orcli vision -m google/gemini-2.5-flash-image "Add a hat" --save . me.jpg'
        ),
        Example(
            "too large, or a format that no model takes",
            'convert big.heic -resize 1568x1568 png:- | orcli vision "What is this?"',
        ),
    ),
    "models": (
        Example("what one maker has", "orcli models anthropic/"),
        Example("free models that call tools", "orcli models --free --supports tools | cut -f1"),
        Example("the cheapest that reads images", "orcli models --input image --sort price | head -1"),
    ),
    "batch": (
        Example("one question about every line", 'orcli batch --lines "Translate into French" < phrases.txt'),
        Example("go on where it stopped, until all is done", "orcli batch -o results.jsonl requests.jsonl"),
        Example(
            "the texts of what was answered",
            "orcli batch in.jsonl | jq -r '.response.body.choices[0].message.content'",
        ),
        Example("stop at a cost", "orcli batch -j 16 --max-cost 2 -o results.jsonl requests.jsonl"),
    ),
}
"""Command lines for help and man pages, by command; those of `orcli` stand for all."""

DESCRIPTIONS = {
    "orcli": """\
`orcli` asks a language model through OpenRouter, or one on this machine, and prints plain text or JSON. It reads like
`grep`: first the PROMPT, then the data, as FILEs or on standard input; a `-` is standard input there, and `--` ends the
options. One run is one request, or one run of calls: no session, no daemon, no state except files that you name.

Standard output carries the answer and nothing else. Everything else goes to standard error, each line beginning with
`orcli: `. An answer that was cut, refused or does not fit its schema is printed all the same, and the exit status
tells.
""",
    "ask": """\
Sends PROMPT, then a blank line and the FILE, or standard input where it is a pipe, a file or a socket, and prints the
answer when it is whole. Several FILEs come each under a line with its name. Without PROMPT, standard input is the
prompt. Text is sent byte for byte and must be UTF-8. Nothing empty is ever sent.
""",
    "stream": """\
Takes what `orcli ask` takes and prints the text as it arrives. An end before the model said that it was finished is an
error, with what came on standard output. Ctrl-C, a reader that is gone and `--timeout` close the connection at once, so
that the provider stops generating.
""",
    "tool": """\
Gives the model functions to call. With a command for every function, by `--exec` or by a directory for `--tools`, each
call is checked against the function's schema and run here, those of one turn at the same time, and the results go back
until the model answers in text. A command gets the arguments as JSON on standard input, and what it prints is the
result; it runs without any key in its environment.

With no commands the calls are left to the caller: standard output is the completion with `messages`, the whole
transcript, which `--messages` takes back together with `--result` or `--result-file`.
""",
    "vision": """\
Sends PROMPT and each IMAGE: a path, an `http` or `https` URL, which is sent as it is and never fetched here, or `-`.
Without any, standard input is the image. PNG, JPEG, WebP and GIF, PDF, and WAV, MP3, FLAC, OGG and M4A sound are told
by their bytes, not by their names; anything else is refused with what it is.
""",
    "models": """\
Lists the models of OpenRouter, and those on this machine; no key is needed. On a terminal it is a table; in a pipe each
line has the id, the context length, the prices of prompt and completion in USD per million tokens, and the inputs,
separated by tabs, `-` where it is unknown or varies.

PATTERN is part of an id or a name, in either case, or with `*`, `?` or `[` a glob for the whole of one. The ids are
kept in a file from which shells complete.
""",
    "batch": """\
Reads one request a line, from FILEs or standard input: the form of OpenAI's batch files (`custom_id`, `body`), a bare
body with `messages`, or a JSON string, the prompt; with `--lines`, plain text. Prints one result a line in the form of
the same files, `custom_id` kept, else the number of the line: `response`, or `error`. A line that is no request is an
error on its own line, and the rest go on.

With `-o`, results are appended as they finish; what FILE answers already is not asked again and what failed is, so that
the same command, run until it exits with 0, finishes the work, whatever ended it. A `Retry-After` holds back all
requests, and memory stays flat however long the input.
""",
}
"""What a man page says about a command before its options."""

DETAILS = {
    "--model": "The first is asked; the API turns to the rest where it fails. Ids are taken as they are, `local/` "
    "apart: `local/smollm2`, and `local/`PATH for a model file of llama.cpp.",
    "--conversation": "One message a line; both new turns are appended, under a lock, after a complete answer only. A "
    "new file gets mode 0600, and the system message.",
    "--messages": "An array of messages, an object with `messages`, or one message a line. A PROMPT is appended as the "
    "next turn.",
    "--param": "As in `-p reasoning.effort=low -p provider.sort=price`. What is no JSON is a string.",
    "--schema": "JSON stands here where it begins with a brace. An answer that does not fit, or takes too long to "
    "check, is printed all the same, with exit status 7.",
    "--extract": "Without one, the whole answer is printed, with exit status 7.",
    "--json": "Whatever the exit status, standard output is JSON: what the API sent, or an object with `error`.",
    "--dry-run": "Needs no key.",
    "--retries": "Only before any content has come. `Retry-After` is honoured.",
    "--log": "Time, command, model, provider, id, finish_reason, usage with cost, milliseconds, exit code; never a "
    "prompt, an answer or the key.",
    "--env-file": "It comes before the environment.",
    "--exec": "It is split as a shell would split it, and run without one.",
    "--tools": "In a directory, each `NAME.json` stands beside an executable `NAME` or `NAME.sh`, which runs it.",
    "--confirm": "Without a terminal, every call is denied.",
    "--save": "Never over a file that exists.",
    "--jobs": "A local model is asked one request at a time all the same.",
    "--max-cost": "As far as the answers tell theirs; a warning says where one does not.",
}
"""What a man page says of an option beyond its help, wherever it occurs."""

EXIT_CODES = {
    ExitCode.OK: "A complete answer.",
    ExitCode.FAILED: "Output could not be written (full disk, closed standard output), or orcli itself is wrong.",
    ExitCode.USAGE: "Wrong options or input, or the API rejects the request itself (400, 404, 413, 422): fix the "
    "command.",
    ExitCode.ACCOUNT: "No key, an untrusted or malformed base URL, an unreadable `.env`, an unusable proxy, 401, 402, "
    "403: fix the set-up or the credits.",
    ExitCode.UNAVAILABLE: "DNS, TLS, connection, 408, 429, 5xx or a gateway's page, after all retries and before any "
    "content: try later.",
    ExitCode.INCOMPLETE: "The token limit, an empty answer, or one that breaks, errs or stalls; what came is on "
    "standard output: raise the limit, or retry.",
    ExitCode.REFUSED: "A content filter, moderation or the model itself declined: change the prompt.",
    ExitCode.MISMATCH: "The answer does not satisfy `--schema`, or `-x` found no block; the text is printed all the "
    "same: retry.",
    ExitCode.TOOLS: "A limit on rounds or cost was reached, a tool failed under `--strict`, or tool calls came in "
    "place of text.",
    ExitCode.SOME_FAILED: "Some lines of a batch failed: run it again.",
    ExitCode.DEADLINE: "The time of `--timeout` is over; what came is on standard output.",
    ExitCode.HANGUP: "Ended by SIGHUP.",
    ExitCode.INTERRUPTED: "Ended by SIGINT (Ctrl-C).",
    ExitCode.QUIT: "Ended by SIGQUIT (Ctrl-\\).",
    ExitCode.READER_GONE: "The reader of standard output is gone, as in `| head`.",
    ExitCode.TERMINATED: "Ended by SIGTERM.",
}

VARIABLES = {
    "OPENROUTER_API_KEY": "The key, from https://openrouter.ai/keys. There is no option for it.",
    "API_BASE_URL": "Where requests go, `https://openrouter.ai/api/v1` by default. From a `.env` that was found, it is "
    "used only with a key from the same file.",
    "ORCLI_MODEL": "The model when `-m` names none, `openrouter/auto` by default.",
    "ORCLI_TIMEOUT": "Seconds, as `--timeout`.",
    "ORCLI_IDLE_TIMEOUT": "Seconds, as `--idle-timeout`.",
    "ORCLI_RETRIES": "As `--retries`.",
    "ORCLI_LOG": "A file, as `--log`. Not read from a `.env` that was found.",
    "HTTPS_PROXY": "The proxy for `https`, as everywhere.",
    "HTTP_PROXY": "The proxy for `http`.",
    "ALL_PROXY": "The proxy where neither of them is set.",
    "NO_PROXY": "Hosts that are reached without a proxy.",
    "SSL_CERT_FILE": "A file of certificates to trust in place of the system's.",
    "SSL_CERT_DIR": "A directory of such certificates.",
    "XDG_CONFIG_HOME": "Where the user's own `orcli/.env` is, `~/.config` by default.",
    "XDG_CACHE_HOME": "Where `orcli/models` is, `~/.cache` by default.",
    "HOME": "The home directory, where one of these two is not set.",
    "TERM": "With `dumb` or nothing, a wait is not shown on the terminal.",
    "ORCLI_EAGER": "With `1`, the client's packages are imported whole: slower, for a fault that this takes away.",
    "ORCLI_TOOL_NAME": "Set for a tool that `orcli tool` runs: the function's name.",
    "ORCLI_TOOL_CALL_ID": "Set for a tool that `orcli tool` runs: the call's id.",
}
"""Every environment variable that orcli reads or sets."""

CONFIGURATION = """\
A setting is looked up in this order, one variable at a time, an empty value counting as none: option, `--env-file`, the
environment, the `.env` of the working directory or its nearest parent that has one, `~/.config/orcli/.env`, default.
"""

FILES = {
    ".env": "Settings, in the working directory or its nearest parent that has one. No other name in it "
    "has any effect.",
    "~/.config/orcli/.env": "The user's own settings.",
    "~/.cache/orcli/models": "Model ids, one a line, which completion offers after `-m`; below XDG_CACHE_HOME where "
    "that is set.",
}
