"""Request options on their way into the body, and the form that an answer is asked for and checked against."""

from __future__ import annotations

import json
import math
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orcli.config import number, whole
from orcli.errors import Mismatch, UsageError
from orcli.request import encode_request, parse_parameters
from orcli.schema import first_code_block, read_schema
from orcli.text import load_json
from orcli.validation import check_answer, check_schemas
from tests.command import Argument, Changes, Orcli
from tests.openrouter import Object, OpenRouter, completion, stream, text_stream

HI = {"role": "user", "content": "hi"}
PERSON = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def compact(value: object) -> str:
    """Write JSON as orcli does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def asking_for(schema: object) -> Object:
    """Build the `response_format` of a schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def request_body(**fields: Any) -> Object:
    """Build the body of a request for "hi", its members in the order orcli gives them."""
    models = {"models": fields.pop("models")} if "models" in fields else {}
    messages = fields.pop("messages", [HI])
    return {"model": fields.pop("model", "openrouter/auto"), **models, "messages": messages, **fields}


# Every option, as it reaches the request.

DEEP = ["-p", "reasoning.effort=low", "-p", "provider.sort=price", "-p", 'provider.only=["a"]']
OPTIONS = [
    pytest.param([], {}, request_body(), id="none"),
    pytest.param(["-m", "a/b"], {}, request_body(model="a/b"), id="-m"),
    pytest.param(["--model=~a/b:free:online@preset/x"], {}, request_body(model="~a/b:free:online@preset/x"), id="id"),
    pytest.param(
        ["-m", "a/b", "--model", "c", "-m", "@preset/d"],
        {},
        request_body(model="a/b", models=["c", "@preset/d"]),
        id="-m repeated",
    ),
    pytest.param([], {"ORCLI_MODEL": "e/f"}, request_body(model="e/f"), id="ORCLI_MODEL"),
    pytest.param([], {"ORCLI_MODEL": "a,b c"}, request_body(model="a,b c"), id="ORCLI_MODEL is never parsed"),
    pytest.param([], {"ORCLI_MODEL": ""}, request_body(), id="ORCLI_MODEL empty"),
    pytest.param(["-m", "a/b"], {"ORCLI_MODEL": "e/f"}, request_body(model="a/b"), id="-m before ORCLI_MODEL"),
    pytest.param(
        ["-s", "Be brief.\n"],
        {},
        request_body(messages=[{"role": "system", "content": "Be brief.\n"}, HI]),
        id="-s",
    ),
    pytest.param(
        ["--system-file", "system.txt"],
        {},
        request_body(messages=[{"role": "system", "content": "Be long.\r\n"}, HI]),
        id="--system-file",
    ),
    pytest.param(
        ["--max-tokens", "100", "--temperature", "0.7"], {}, request_body(max_tokens=100, temperature=0.7), id="limits"
    ),
    pytest.param(["--temperature=0"], {}, request_body(temperature=0.0), id="--temperature 0"),
    pytest.param(
        DEEP,
        {},
        request_body(reasoning={"effort": "low"}, provider={"sort": "price", "only": ["a"]}),
        id="-p nested",
    ),
    pytest.param(["--param", 'models=["c"]'], {}, request_body(models=["c"]), id="-p models"),
    pytest.param(["--schema", compact(PERSON)], {}, request_body(response_format=asking_for(PERSON)), id="inline"),
    pytest.param(["--schema", "person.json"], {}, request_body(response_format=asking_for(PERSON)), id="--schema FILE"),
    pytest.param(
        ["-p", "response_format.type=json_object"], {}, request_body(response_format={"type": "json_object"}), id="json"
    ),
    pytest.param(
        ["-x", "-n", "-v", "-q", "--timeout", "0", "--retries", "0", "--log", "log"], {}, request_body(), id="others"
    ),
]


@pytest.fixture
def files(orcli: Orcli) -> Path:
    """Write the files that the tables name."""
    orcli.file("system.txt", "Be long.\r\n")
    orcli.file("person.json", json.dumps(PERSON, indent=2) + "\n")
    orcli.file("empty.txt", "\n")
    orcli.file("latin.txt", b"caf\xe9")
    return orcli.work


@pytest.mark.parametrize(("arguments", "env", "expected"), OPTIONS)
def test_an_option_reaches_the_request_body(
    orcli: Orcli, files: Path, arguments: list[str], env: Changes, expected: Object
) -> None:
    result = orcli("ask", "--dry-run", *arguments, "hi", env=env)

    assert (result.code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == expected
    assert result.stdout.startswith('{"model":')
    assert result.stdout.count("\n") == 1


def test_a_dry_run_prints_one_compact_line_with_the_text_as_it_is(orcli: Orcli) -> None:
    result = orcli("ask", "--dry-run", "-p", "n=1", "größer 😀\u2028\n")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == (
        '{"model":"openrouter/auto","messages":[{"role":"user","content":"größer 😀\u2028\\n"}],"n":1}\n'
    )


EVERYTHING = [
    *("-m", "a/b", "-m", "c/d", "-s", "Be brief.", "--max-tokens", "9", "--temperature", "1", *DEEP),
    *("--schema", compact(PERSON), "-p", "x=größer", "-p", "big=123456789012345678901234567890", "-p", "f=1e-7"),
]


@pytest.mark.parametrize("command", ["ask", "stream"])
def test_what_a_dry_run_prints_is_what_is_sent_and_can_be_posted_as_it_is(
    orcli: Orcli, openrouter: OpenRouter, command: str
) -> None:
    answer = completion('{"age": 4}') if command == "ask" else stream(*text_stream('{"age"', ": 4}"))
    openrouter.reply(answer, answer)

    printed = orcli(command, "--dry-run", *EVERYTHING, "hi", stdin="data")
    assert openrouter.requests == []
    asked = orcli(command, *EVERYTHING, "hi", stdin="data")
    url = f"{openrouter.base_url}/chat/completions"
    by_hand = urllib.request.Request(url, printed.stdout_bytes, {"Content-Type": "application/json"})
    with urllib.request.urlopen(by_hand) as response:
        assert response.status == 200

    assert (printed.code, printed.stderr) == (0, "")
    assert (asked.code, asked.stdout, asked.stderr) == (0, '{"age": 4}\n', "")
    ours, theirs = openrouter.requests
    assert ours.body + b"\n" == printed.stdout_bytes
    assert ours.json == theirs.json
    assert (ours.method, ours.path, ours.headers["content-type"]) == (
        "POST",
        "/api/v1/chat/completions",
        "application/json",
    )
    assert ours.json.get("stream") is (True if command == "stream" else None)


def test_a_dry_run_needs_no_key_and_no_server(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("ask", "--dry-run", "hi", env={"OPENROUTER_API_KEY": None, "API_BASE_URL": None})

    assert (result.code, result.stdout, result.stderr) == (0, compact(request_body()) + "\n", "")
    assert openrouter.connections == 0


def test_a_dry_run_of_a_wrong_command_line_fails_as_the_run_would(orcli: Orcli) -> None:
    result = orcli("ask", "--dry-run", "-p", "x", "hi")

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: -p 'x' has no '='; give KEY=VALUE\n"


# -p

VALUES = [
    ("n=1", {"n": 1}),
    ("n=1.50", {"n": 1.5}),
    ("n=-0", {"n": 0}),
    ("n=123456789012345678901234567890", {"n": 123456789012345678901234567890}),
    ("b=true", {"b": True}),
    ("b=True", {"b": "True"}),
    ("z=null", {"z": None}),
    ("s=low", {"s": "low"}),
    ('s="1"', {"s": "1"}),
    ("s=", {"s": ""}),
    ("s= ", {"s": " "}),
    ("s=a=b", {"s": "a=b"}),
    ("s=01", {"s": "01"}),
    ("s=1,2", {"s": "1,2"}),
    ("s=nan", {"s": "nan"}),
    ("s=NaN or not", {"s": "NaN or not"}),
    ("s=Infinity War", {"s": "Infinity War"}),
    ("s=1e999 ways", {"s": "1e999 ways"}),
    ("s={broken", {"s": "{broken"}),
    ("s=größer 😀", {"s": "größer 😀"}),
    ('stop=["a", 1]', {"stop": ["a", 1]}),
    (' o = {"a": {"b.c": 1}} ', {" o ": {"a": {"b.c": 1}}}),
    ("a.b.c=1", {"a": {"b": {"c": 1}}}),
    ("provider.model=x", {"provider": {"model": "x"}}),
    ('models=["a"]', {"models": ["a"]}),
    ("stream_options.x=1", {"stream_options": {"x": 1}}),
]


@pytest.mark.parametrize(("assignment", "expected"), VALUES, ids=[assignment for assignment, _ in VALUES])
def test_a_parameter_is_json_or_else_a_string(assignment: str, expected: Object) -> None:
    parameters = parse_parameters([assignment], max_tokens=None, temperature=None, schema=None)

    assert repr(parameters) == repr(expected)


def test_parameters_nest_beside_each_other() -> None:
    assignments = ["a.b=1", "x=0", "a.c.d=2", "a.c.e=3", 'f={"g": 1}', "f.h=2"]

    parameters = parse_parameters(assignments, max_tokens=None, temperature=None, schema=None)

    assert parameters == {"a": {"b": 1, "c": {"d": 2, "e": 3}}, "x": 0, "f": {"g": 1, "h": 2}}


FAULTS = [
    pytest.param(["x"], "-p 'x' has no '='; give KEY=VALUE", id="no ="),
    pytest.param([""], "-p '' has no '='; give KEY=VALUE", id="empty"),
    pytest.param(["=1"], "-p '=1' has an empty name; give KEY=VALUE, dots nest", id="no name"),
    pytest.param(["a..b=1"], "-p 'a..b=1' has an empty name; give KEY=VALUE, dots nest", id="two dots"),
    pytest.param([".a=1"], "-p '.a=1' has an empty name; give KEY=VALUE, dots nest", id="a dot first"),
    pytest.param(["a.=1"], "-p 'a.=1' has an empty name; give KEY=VALUE, dots nest", id="a dot last"),
    *(
        pytest.param([f"{name}=1"], f"-p cannot set {path!r}; that is what the command's own options are for", id=name)
        for name, path in (
            ("model", "model"),
            ("messages", "messages"),
            ("stream", "stream"),
            ("stream.x", "stream"),
            ("messages.0.content", "messages"),
        )
    ),
    *(
        pytest.param([f"x={text}"], f"-p value cannot be sent: {text} is not JSON; change it", id=text)
        for text in ("NaN", "Infinity", "-Infinity")
    ),
    pytest.param(["x=[NaN]"], "-p value cannot be sent: NaN is not JSON; change it", id="NaN inside"),
    pytest.param(["x=1e999"], "-p value cannot be sent: 1e999 is beyond any number; change it", id="1e999"),
    pytest.param(["x=" + "[" * 50_000], "-p value cannot be sent: nested too deeply; change it", id="nested"),
    pytest.param(["a=1", "a=1"], "-p a is given twice; use one", id="twice"),
    pytest.param(["a.b=1", "a.b=2"], "-p a.b is given twice; use one", id="twice, nested"),
    pytest.param(["a.b=1", "a=2"], "-p a is given twice; use one", id="the whole after a part"),
    pytest.param(
        ["a=1", "a.b=2"], "-p a.b contradicts an earlier -p that gives 'a' a value; use one", id="a part of a number"
    ),
]


@pytest.mark.parametrize(("assignments", "message"), FAULTS)
def test_a_wrong_parameter_is_told_in_one_line(assignments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_parameters(assignments, max_tokens=None, temperature=None, schema=None)

    assert raised.value.message == message


# Contradictions, and values that are none.

REFUSED = [
    pytest.param(["-p", "x"], "-p 'x' has no '='; give KEY=VALUE", id="-p without ="),
    pytest.param(["-p", "a=1", "-p", "a=2"], "-p a is given twice; use one", id="-p twice"),
    pytest.param(["-m", ""], "-m is empty; give a model id", id="an empty -m"),
    pytest.param(["-m", "a", "-m", ""], "-m is empty; give a model id", id="an empty fallback"),
    pytest.param(
        ["-m", "a", "-m", "b", "-p", 'models=["c"]'],
        "-m given more than once and -p models contradict each other; use one",
        id="fallbacks twice",
    ),
    pytest.param(
        ["--max-tokens", "5", "-p", "max_tokens=6"],
        "-p max_tokens and --max-tokens contradict each other; use one",
        id="--max-tokens and -p",
    ),
    pytest.param(
        ["-p", "temperature=1", "--temperature", "1"],
        "-p temperature and --temperature contradict each other; use one",
        id="--temperature and -p",
    ),
    pytest.param(
        ["--schema", "{}", "-p", "response_format.type=text"],
        "-p response_format.type and --schema contradict each other; use one",
        id="--schema and -p",
    ),
    pytest.param(
        ["-s", "a", "--system-file", "system.txt"],
        "-s and --system-file contradict each other; use one",
        id="-s and --system-file",
    ),
    pytest.param(["-s", ""], "--system is empty; give it text or leave it out", id="an empty -s"),
    pytest.param(["-s", " \n"], "--system is empty; give it text or leave it out", id="a blank -s"),
    pytest.param(
        ["--system-file", "empty.txt"],
        "empty.txt is empty, so there is nothing to send; leave it out or check what wrote it",
        id="an empty --system-file",
    ),
    pytest.param(
        ["--system-file", "gone"], "cannot read gone: No such file or directory; check the path", id="no --system-file"
    ),
    pytest.param(
        ["--system-file", "latin.txt"],
        "latin.txt is not UTF-8: byte 0xe9 at offset 3; convert it with iconv",
        id="--system-file in Latin-1",
    ),
    pytest.param(["--max-tokens", "0"], "--max-tokens is no whole number of at least 1: '0'; give one", id="no tokens"),
    pytest.param(["--temperature", "nan"], "--temperature is no number: 'nan'; give one", id="--temperature nan"),
    pytest.param(["--retries", "-1"], "--retries is no whole number of at least 0: '-1'; give one", id="--retries -1"),
    pytest.param(["--timeout", "-1"], "--timeout is no number of seconds: '-1'; give 0 or more", id="--timeout -1"),
    pytest.param(["--timeout", "1h"], "--timeout is no number: '1h'; give one", id="--timeout 1h"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_wrong_options_are_one_line_and_exit_2_and_nothing_is_sent(
    orcli: Orcli, openrouter: OpenRouter, files: Path, arguments: list[str], message: str
) -> None:
    result = orcli("ask", *arguments, "hi")

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
    assert openrouter.requests == []


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1e3", "many", "", " 1", "1_0", "٣", "1" * 30])
def test_a_whole_number_is_digits_alone(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        whole(text, "--max-tokens", 1)

    assert raised.value.message == f"--max-tokens is no whole number of at least 1: {text!r}; give one"


@pytest.mark.parametrize("text", ["nan", "-nan", "inf", "-Infinity", "1e999", "warm", "", "1_0", "0x1"])
def test_a_number_is_finite(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        number(text, "--temperature")

    assert raised.value.message == f"--temperature is no number: {text!r}; give one"


@pytest.mark.parametrize("arguments", [["-p", b"x=\xff"], ["-p", b"\xff=1"], ["-m", b"\xff"]])
def test_an_option_that_is_not_utf_8_is_a_usage_error(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[Argument]
) -> None:
    result = orcli("ask", *arguments, "hi")

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == (
        "orcli: the request holds half a surrogate pair (U+DCFF), which is no text; mend the messages\n"
    )
    assert openrouter.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["hi", "-x"], "-x and --json contradict each other; use one", id="-x"),
        pytest.param([""], "PROMPT is empty; give it text or leave it out", id="an empty PROMPT"),
        pytest.param(["hi", "-p", "x"], "-p 'x' has no '='; give KEY=VALUE", id="-p"),
        pytest.param(
            ["hi", "--schema", "5"], "cannot read 5: No such file or directory; check the path", id="--schema"
        ),
        pytest.param(["hi", "--zzz"], "No such option: --zzz; see orcli ask --help", id="no such option"),
    ],
)
def test_a_usage_error_under_json_is_an_object_on_stdout_too(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], message: str
) -> None:
    result = orcli("ask", "--json", *arguments)

    assert (result.code, result.stderr) == (2, f"orcli: {message}\n")
    assert result.stdout == compact({"error": {"code": "usage", "message": message}}) + "\n"
    assert openrouter.requests == []


@pytest.mark.parametrize(
    "arguments",
    [["--idle-timeout", "5"], ["--tools", "x"], ["--max-cost", "1"], ["--stream"], ["--key", "sk-or-v1-test"]],
    ids=" ".join,
)
def test_an_option_of_another_command_is_refused(orcli: Orcli, openrouter: OpenRouter, arguments: list[str]) -> None:
    result = orcli("ask", *arguments, "hi")

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"orcli: No such option: {arguments[0]}")
    assert result.stderr.endswith("; see orcli ask --help\n")
    assert result.stderr.count("\n") == 1
    assert openrouter.requests == []


# --schema


@pytest.mark.parametrize(
    "given",
    ["person.json", "./person.json", compact(PERSON), f"  {json.dumps(PERSON, indent=1)}\n", "-"],
    ids=["FILE", "a path", "inline", "inline on many lines", "-"],
)
def test_a_schema_comes_from_a_file_or_inline_or_standard_input(orcli: Orcli, files: Path, given: str) -> None:
    result = orcli("ask", "--dry-run", "--schema", given, "hi", stdin=json.dumps(PERSON) if given == "-" else None)

    assert (result.code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == request_body(response_format=asking_for(PERSON))


def test_a_schema_is_sent_as_it_was_written(orcli: Orcli) -> None:
    schema = '{"type":"object","x-unknown":[1.0,"ü"],"properties":{"b":{"const":null},"a":{}},"$defs":{}}'

    result = orcli("ask", "--dry-run", "--schema", schema, "hi")

    assert (result.code, result.stderr) == (0, "")
    assert f'"json_schema":{{"name":"answer","strict":true,"schema":{schema}}}' in result.stdout


BROKEN_SCHEMAS = [
    pytest.param(
        '{"type":',
        "--schema is not JSON: Expecting value: line 1 column 9 (char 8); give a JSON Schema object",
        id="inline, not JSON",
    ),
    pytest.param(
        '{"maximum": NaN}', "--schema is not JSON: NaN is not JSON; give a JSON Schema object", id="inline, NaN"
    ),
    pytest.param('{"type": "person"}', None, id="inline, no such type"),
    pytest.param('{"required": "age"}', None, id="inline, not a list"),
    pytest.param('{"pattern": "("}', None, id="inline, a broken pattern"),
    pytest.param('{"$ref": "#/$defs/gone"}', None, id="inline, a reference to nothing"),
    pytest.param('{"$schema": "http://example.com/nonsense"}', None, id="inline, an unknown dialect"),
    pytest.param('{"const": "\\ud83d"}', None, id="inline, half a surrogate pair"),
    pytest.param(
        '{"not":' * 500 + "{}" + "}" * 500,
        "--schema is not JSON: nested too deeply; give a JSON Schema object",
        id="inline, deep",
    ),
    pytest.param(
        '{"name": "person", "schema": {"type": "object"}}',
        "--schema is what goes around a JSON Schema, which would allow anything; give its `schema` alone",
        id="inline, in its wrapper",
    ),
    pytest.param(
        '{"type": "json_schema", "json_schema": {"name": "person", "schema": {}}}',
        "--schema is what goes around a JSON Schema, which would allow anything; give its `schema` alone",
        id="inline, as response_format",
    ),
    pytest.param("true", "cannot read true: No such file or directory; check the path", id="a missing file"),
    pytest.param(".", "cannot read .: Is a directory; check the path", id="a directory"),
    pytest.param("list.json", "list.json is no JSON Schema: it must be an object", id="a file with a list"),
    pytest.param(
        "text.json",
        "text.json is not JSON: Expecting value: line 1 column 1 (char 0); give a JSON Schema object",
        id="a file with text",
    ),
    pytest.param(
        "empty.txt",
        "empty.txt is empty, so there is nothing to send; leave it out or check what wrote it",
        id="an empty file",
    ),
]


@pytest.mark.parametrize(("given", "message"), BROKEN_SCHEMAS)
def test_a_broken_or_impossible_schema_is_refused_before_anything_is_sent(
    orcli: Orcli, openrouter: OpenRouter, files: Path, given: str, message: str | None
) -> None:
    orcli.file("list.json", "[]")
    orcli.file("text.json", "person")

    result = orcli("ask", "--schema", given, "hi")

    assert (result.code, result.stdout) == (2, "")
    if message is None:
        assert result.stderr.startswith("orcli: --schema is no JSON Schema: ")
        assert result.stderr.endswith("; mend it\n")
        assert result.stderr.count("\n") == 1
    else:
        assert result.stderr == f"orcli: {message}\n"
    assert openrouter.requests == []


def test_a_schema_that_leads_elsewhere_is_refused_and_not_followed(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file("other.json", "{}")
    for place in (f"{openrouter.base_url}/schema", path.as_uri()):
        result = orcli("ask", "--schema", compact({"$ref": place}), "hi")

        assert (result.code, result.stdout) == (2, "")
        assert result.stderr.startswith("orcli: --schema is no JSON Schema: ")
        assert place in result.stderr
    assert openrouter.connections == 0


ADVICE = "try again, or another model"
NOT_JSON = f"the answer is not JSON: Expecting value: line 1 column 1 (char 0); {ADVICE}"
NO_BLOCK = "the answer has no fenced code block for -x; ask for one in the prompt"
FENCED = 'Here:\n\n```json\n{"age": 4}\n```\nDone.'
SCHEMA = ["--schema", compact(PERSON)]
ANSWERS = [
    pytest.param(SCHEMA, '{"age": 4}', '{"age": 4}\n', None, id="right"),
    pytest.param(SCHEMA, ' \n{"age": 4, "x": 1e2}\n\n', ' \n{"age": 4, "x": 1e2}\n\n', None, id="white space around"),
    pytest.param(SCHEMA, "Four.", "Four.\n", NOT_JSON, id="not JSON"),
    pytest.param(SCHEMA, FENCED, f"{FENCED}\n", "the answer is not JSON: ", id="fenced, without -x"),
    pytest.param(
        SCHEMA,
        '{"age": NaN}',
        '{"age": NaN}\n',
        f"the answer is not JSON: NaN is not JSON; {ADVICE}",
        id="NaN",
    ),
    pytest.param(SCHEMA, '{"age": 4', '{"age": 4\n', "the answer is not JSON: ", id="cut short"),
    pytest.param(
        SCHEMA,
        '{"age": "4"}',
        '{"age": "4"}\n',
        f'the answer does not satisfy --schema: "4" is not of type "integer" at age; {ADVICE}',
        id="wrong, with its place",
    ),
    pytest.param(
        SCHEMA,
        "{}",
        "{}\n",
        f'the answer does not satisfy --schema: "age" is a required property; {ADVICE}',
        id="something is missing",
    ),
    pytest.param(
        ["--schema", '{"type":"string"}'],
        '"\\ud83d"',
        '"\\ud83d"\n',
        "the answer does not satisfy --schema: ",
        id="half a surrogate pair",
    ),
    pytest.param(["--schema", '{"not":{}}'], "1", "1\n", "the answer does not satisfy --schema: ", id="unsatisfiable"),
    pytest.param(["-x"], FENCED, '{"age": 4}\n', None, id="-x"),
    pytest.param(["-x", *SCHEMA], FENCED, '{"age": 4}\n', None, id="-x and --schema"),
    pytest.param(
        ["-x", *SCHEMA],
        "```\n[]\n```",
        "[]\n",
        f'the answer does not satisfy --schema: [] is not of type "object"; {ADVICE}',
        id="-x and a wrong block",
    ),
    pytest.param(["-x"], "No block.", "No block.\n", NO_BLOCK, id="-x and no block"),
    pytest.param(["-x", *SCHEMA], '{"age": 4}', '{"age": 4}\n', NO_BLOCK, id="-x and bare JSON"),
]


@pytest.mark.parametrize(("options", "answer", "stdout", "message"), ANSWERS)
def test_an_answer_is_printed_and_its_form_checked(
    orcli: Orcli, openrouter: OpenRouter, options: list[str], answer: str, stdout: str, message: str | None
) -> None:
    openrouter.reply(completion(answer))

    result = orcli("ask", *options, "hi")

    assert result.stdout == stdout
    if message is None:
        assert (result.code, result.stderr) == (0, "")
    elif message.endswith(": "):
        assert result.code == 7
        assert result.stderr.startswith(f"orcli: {message}")
        assert result.stderr.endswith(f"; {ADVICE}\n")
        assert result.stderr.count("\n") == 1
    else:
        assert (result.code, result.stderr) == (7, f"orcli: {message}\n")


@pytest.mark.parametrize(
    ("options", "answer", "stdout", "message"),
    [ANSWERS[0], ANSWERS[2], ANSWERS[10], ANSWERS[12], ANSWERS[13]],
)
def test_a_stream_s_form_is_checked_at_its_end(
    orcli: Orcli, openrouter: OpenRouter, options: list[str], answer: str, stdout: str, message: str | None
) -> None:
    openrouter.reply(stream(*text_stream(*(answer[place : place + 3] for place in range(0, len(answer), 3)))))

    result = orcli("stream", *options, "hi")

    assert (result.code, result.stdout) == (0 if message is None else 7, stdout)
    assert result.stderr == ("" if message is None else f"orcli: {message}\n")


@pytest.mark.parametrize(("answer", "code"), [('{"age": 4}', 0), ('{"age": "4"}', 7)])
def test_a_schema_under_json_prints_the_completion_whatever_the_answer(
    orcli: Orcli, openrouter: OpenRouter, answer: str, code: int
) -> None:
    reply = completion(answer)
    openrouter.reply(reply)

    result = orcli("ask", "--json", *SCHEMA, "hi")

    assert (result.code, result.stdout_bytes) == (code, reply.body + b"\n")
    assert result.stderr == (
        f'orcli: the answer does not satisfy --schema: "4" is not of type "integer" at age; {ADVICE}\n' if code else ""
    )


def test_a_place_deep_in_an_answer_is_named() -> None:
    schema = read_schema('{"properties":{"a":{"items":{"properties":{"b c":{"maximum":3}}}}}}', "--schema")

    with pytest.raises(Mismatch) as raised:
        check_answer('{"a": [{}, {"b c": 4}]}', schema)

    assert raised.value.message.endswith(f" at a/1/b c; {ADVICE}")


BLOCKS = [
    pytest.param("```\nls\n```", "ls\n", id="plain"),
    pytest.param("a\n\n``` sh title=x\nls\n\n  -l\n```  \nb\n```\nno\n```", "ls\n\n  -l\n", id="the first of two"),
    pytest.param("~~~\n```\n~~~", "```\n", id="tildes"),
    pytest.param("~~~ `a` ~~~\nb\n~~~~", "b\n", id="tildes with anything behind them"),
    pytest.param("````md\n```sh\nls\n```\n````", "```sh\nls\n```\n", id="a longer fence around a shorter"),
    pytest.param("```\n``\n~~~\n``` x\n```", "``\n~~~\n``` x\n", id="what does not close it"),
    pytest.param("```\nls", "ls", id="never closed"),
    pytest.param("```\nls\n", "ls\n", id="never closed, with a newline"),
    pytest.param("```\n```", "", id="empty"),
    pytest.param("```", "", id="a fence and nothing else"),
    pytest.param("```\r\nls\r\n```\r\n", "ls\r\n", id="CRLF"),
    pytest.param("```\rls\r```\r", "ls\r", id="CR"),
    pytest.param("  ```\n    a\n  b\n c\n  ```", "  a\nb\nc\n", id="indented, and its indent taken off"),
    pytest.param("```\n    ```\n```", "    ```\n", id="a fence indented by four closes nothing"),
    pytest.param(
        "- a\n  1. b:\n     ```sh\n     ls\n       -l\n     ```\n\n```\nno\n```", "ls\n  -l\n", id="inside a list"
    ),
    pytest.param("* a\n\n\t```\n\tb\n\t```\n", "b\n", id="inside a list, by a tab"),
    pytest.param("a ```\n```\nb\n```", "b\n", id="a fence begins its line"),
    pytest.param("``` a`b\n```\nc\n```", "c\n", id="a line with another backtick opens nothing"),
    pytest.param("``\nno\n``\n```\nyes\n```", "yes\n", id="two backticks are none"),
    pytest.param("```\na\u2028```\nb\n```", "a\u2028```\nb\n", id="U+2028 ends no line"),
    pytest.param("```\na\x0c```\nb\x85\x0b```\n```", "a\x0c```\nb\x85\x0b```\n", id="a form feed ends no line"),
]


@pytest.mark.parametrize(("text", "block"), BLOCKS)
def test_the_first_fenced_code_block_is_what_commonmark_says(text: str, block: str) -> None:
    assert first_code_block(text) == block


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "`a`",
        "``\na\n``",
        "    ```\na\n    ```",
        "\t```\na\n\t```",
        "-a\n    ```\na\n    ```",
        "``` a`\n",
        "a\u2028```\nb",
    ],
)
def test_no_fenced_code_block_is_a_mismatch(text: str) -> None:
    with pytest.raises(Mismatch) as raised:
        first_code_block(text)

    assert raised.value.message == NO_BLOCK


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        pytest.param(["ask"], True, id="ask"),
        pytest.param(["ask", "--json"], False, id="ask --json"),
        pytest.param(["stream", "--json"], True, id="stream --json"),
        pytest.param(["vision", "-n", "--save", ".", "--json"], False, id="vision --json"),
        pytest.param(["vision", "-n", "--save", ".", "--json", "--stream"], True, id="vision --json --stream"),
    ],
)
def test_choices_that_would_not_be_printed_are_not_asked_for(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], refused: bool
) -> None:
    result = orcli(*arguments, "-p", "n=2", "hi")

    message = "orcli: -p n=2 gives choices of which one is printed; use ask --json, or orcli batch\n"
    assert (result.code, result.stderr) == ((2, message) if refused else (0, ""))
    assert len(openrouter.requests) == (not refused)


# Whatever comes, no other exception than ours.

HOSTILE_TEXT = st.text(st.characters() | st.sampled_from('[]{}",:.=-`~ \n\r\t0123456789eE'), max_size=60)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def numbers_in(value: Any) -> list[float]:
    """Gather the floats of a JSON value."""
    if isinstance(value, float):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [number for item in inner for number in numbers_in(item)]


@settings(deadline=None, max_examples=200)
@given(HOSTILE_TEXT | st.binary(max_size=60) | JSON_VALUES.map(json.dumps))
@example("[" * 100_000)
@example("[" * 100_000 + "]" * 100_000)
@example('{"a":' * 100_000)
@example("9" * 10_000)
@example("-1e99999")
@example("[NaN]")
@example(b"\xff\xfe\x00")
def test_json_is_a_finite_value_or_a_value_error(text: str | bytes) -> None:
    try:
        value = load_json(text)
    except ValueError:
        return
    assert all(map(math.isfinite, numbers_in(value)))


ASSIGNMENTS = st.one_of(
    HOSTILE_TEXT,
    st.builds(lambda path, text: ".".join(path) + "=" + text, st.lists(st.sampled_from("abc")), HOSTILE_TEXT),
    st.builds(lambda path, value: f"{path}={json.dumps(value)}", st.sampled_from(("a", "a.b", "b.a.c")), JSON_VALUES),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(ASSIGNMENTS, max_size=4), st.none() | st.integers(1), st.none() | st.floats(-9, 9))
@example(["a=" + "9" * 10_000], None, None)
@example(["." * 5000 + "=1"], None, None)
@example([".".join("a" * 5000) + "=1"], None, None)
@example(["a=\udcff"], None, None)
def test_any_parameters_are_a_body_or_a_usage_error(
    assignments: list[str], max_tokens: int | None, temperature: float | None
) -> None:
    try:
        parameters = parse_parameters(assignments, max_tokens=max_tokens, temperature=temperature, schema=None)
        body = encode_request(parameters)
    except UsageError:
        return
    assert json.loads(body) == parameters


@settings(deadline=None, max_examples=200)
@given(HOSTILE_TEXT)
@example("```" * 10_000)
@example("```\n" * 10_000)
@example(" " * 100_000 + "```")
@example("`" * 100_000)
def test_any_text_has_a_block_or_is_a_mismatch(text: str) -> None:
    try:
        block = first_code_block(text)
    except Mismatch:
        return
    assert len(block) <= len(text)


@settings(deadline=None, max_examples=100)
@given(HOSTILE_TEXT, st.sampled_from("`~"), st.integers(0, 3))
def test_a_block_in_a_longer_fence_comes_out_as_it_went_in(inside: str, fence: str, more: int) -> None:
    runs = [0, *(len(run) for run in "".join(c if c == fence else " " for c in inside).split())]
    mark = fence * (max(3, max(runs) + 1) + more)

    assert first_code_block(f"Here:\n{mark}text\n{inside}\n{mark}\nDone.") == f"{inside}\n"


@settings(deadline=None, max_examples=150)
@given(HOSTILE_TEXT | JSON_VALUES.map(json.dumps), st.sampled_from([{}, PERSON, {"type": "string", "maxLength": 3}]))
@example('"\\ud83d"', {"type": "string", "maxLength": 3})
@example("[" * 900 + "]" * 900, {"items": {"$ref": "#"}})
def test_any_answer_satisfies_a_schema_or_is_a_mismatch(text: str, schema: Object) -> None:
    message = ADVICE
    try:
        check_answer(text, schema)
    except Mismatch as mismatch:
        message = mismatch.message
    assert message.endswith(ADVICE)


KEYWORDS = ("type", "properties", "items", "$ref", "$id", "$schema", "pattern", "enum", "allOf", "multipleOf", "$defs")


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from(KEYWORDS), JSON_VALUES | st.sampled_from(("#", "object", "("))))
def test_any_object_is_a_schema_or_a_usage_error(schema: Object) -> None:
    text = json.dumps(schema)
    try:
        read = read_schema(text, "--schema")
        check_schemas([("--schema", read)])
    except UsageError:
        return
    assert read == schema
