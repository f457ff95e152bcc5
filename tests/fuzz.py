"""Bytes that look for the way through the code that reads them: `python -m tests.fuzz [SECONDS] [READER...]`.

Each reader gets so many seconds (60) of coverage-guided mutation by atheris (extra `fuzz`), from whole values of its
kind. It may raise an OrcliError and nothing else, and what it gives has to be printable in one line.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests import samples
from tests.test_hostile import BATCH_LINE, BODY, CALL_CHUNKS, CHUNKS, COMPLETION, DEFINITION, ERROR, MESSAGES


def events(data: bytes) -> None:
    """Read server-sent events in one block and in single bytes, which must be the same."""
    from orcli.sse import events

    assert list(events([data])) == list(events(data[place : place + 1] for place in range(len(data))))


def chunks(data: bytes) -> None:
    """Put a message together from chunks, one a line, and judge it."""
    from orcli.answer import verdict
    from orcli.deltas import Accumulator
    from orcli.text import load_json

    accumulator = Accumulator(keep=True)
    for line in data.splitlines():
        try:
            chunk = load_json(line)
        except ValueError:
            return
        if isinstance(chunk, dict):
            accumulator.add(chunk)
    _check_line(accumulator.completion().line())
    verdict(accumulator.outcome(), tools=True)


def completion(data: bytes) -> None:
    """Read a completion, judge it and say what it took."""
    from orcli.answer import outcome_of, parse_completion, verdict
    from orcli.report import added, summary

    answer = parse_completion(data)
    _check_line(answer.line())
    verdict(outcome_of(answer), whole=True)
    summary(answer, "a/b", added({}, answer.spent), 2.0, 1.0)


def api_error(data: bytes) -> None:
    """Read an error of the API, which is one line and JSON again."""
    from orcli.errors import from_api
    from orcli.text import load_json

    try:
        value = load_json(data)
    except ValueError:
        return
    failure = from_api(value, retry_after=1.0)
    assert "sk-or-v1-0123456789abcdef" not in failure.message
    json.dumps(failure.as_json())


def messages(data: bytes) -> None:
    """Read a transcript."""
    from orcli.request import encode_request
    from orcli.transcript import parse_messages

    encode_request({"messages": parse_messages(data, "file")})


def batch_line(data: bytes) -> None:
    """Make a batch line's job, and a line of it again."""
    from orcli.records import Defaults, custom_id_of, make_job, read_line

    defaults = Defaults(("a/b",))
    value = read_line(data, defaults)
    _check_line(make_job(value, 1, custom_id_of(value, 1), defaults).as_line())


def result_line(data: bytes) -> None:
    """Read what is in the file of a batch's results."""
    from orcli.records import read_result

    try:
        read_result(data)
    except ValueError:
        return


def media(data: bytes) -> None:
    """Tell what kind of file it is."""
    from orcli.media import kind_of, media_kind, size_warning

    kind_of(data)
    kind = media_kind(data, "file", "file")
    size_warning(kind, len(data), "file", "file")


def schema(data: bytes) -> None:
    """Read a JSON Schema and check values against it."""
    from orcli.schema import compiled, faults, read_schema

    read = read_schema(data.decode("utf-8", "replace"), "--schema")
    compiled(read, "--schema")
    for value in (None, {"a": "b"}, ["a", 1]):
        list(faults(value, read))


def code_block(data: bytes) -> None:
    """Take the first code block out of an answer."""
    from orcli.schema import first_code_block

    first_code_block(data.decode("utf-8", "replace"))


def models(data: bytes) -> None:
    """Read a list of models and print it as a table."""
    from orcli.catalog import Wish, choose, read_models, table
    from orcli.text import load_json

    try:
        value = load_json(data)
    except ValueError:
        return
    if isinstance(value, list):
        for sort in ("id", "price", "context", "created"):
            table(choose(read_models(value), Wish(pattern="a"), sort))


def _check_line(line: bytes) -> None:
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    json.loads(line)


READERS: Final[Mapping[str, tuple[Callable[[bytes], None], list[bytes]]]] = {
    "events": (events, [BODY]),
    "chunks": (chunks, [b"\n".join(json.dumps(chunk).encode() for chunk in some) for some in (CHUNKS, CALL_CHUNKS)]),
    "completion": (completion, [json.dumps(COMPLETION).encode()]),
    "api_error": (api_error, [json.dumps(ERROR["error"]).encode()]),
    "messages": (messages, [json.dumps(MESSAGES).encode(), b"\n".join(json.dumps(m).encode() for m in MESSAGES)]),
    "batch_line": (batch_line, [json.dumps(BATCH_LINE).encode(), b'"hi"']),
    "result_line": (result_line, [b'{"custom_id":"a","response":{"status_code":200},"error":null}']),
    "media": (media, [samples.PNG]),
    "schema": (schema, [json.dumps(DEFINITION[0]["function"]["parameters"]).encode()]),
    "code_block": (code_block, [b"a\n```json\n{}\n```\nb"]),
    "models": (models, [json.dumps([{"id": "a", "pricing": {"prompt": "0.1"}, "context_length": 7}]).encode()]),
}


def main() -> None:
    """Let each reader run in a process of its own, and print how many inputs it got."""
    seconds, *names = sys.argv[1:] or ["60"]
    failed = False
    for name in names or READERS:
        with TemporaryDirectory() as directory:
            for number, seed in enumerate(READERS[name][1]):
                Path(directory, str(number)).write_bytes(seed)
            command = [sys.executable, "-m", __spec__.name, "--one", name, seconds, directory]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = re.search(r"number_of_executed_units: (\d+)", run.stderr)
        print(f"{name}: {runs[1] if runs else 'no'} inputs{', and FAILED' if run.returncode else ''}", flush=True)
        if run.returncode:
            failed = True
            print(run.stdout[-3000:], run.stderr[-5000:])
    sys.exit(failed)


def one(name: str, seconds: str, directory: str) -> None:
    """Fuzz one reader; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["orcli"]):
        import orcli.answer
        import orcli.catalog
        import orcli.deltas
        import orcli.media
        import orcli.records
        import orcli.report
        import orcli.schema
        import orcli.sse
        import orcli.transcript  # noqa: F401
    from orcli.errors import OrcliError

    read = READERS[name][0]

    def try_once(data: bytes) -> None:
        try:
            read(data)
        except OrcliError as error:
            _check_message(error)

    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20"]
    atheris.Setup([name, *limits, "-print_final_stats=1", f"-artifact_prefix={directory}/", directory], try_once)
    atheris.Fuzz()


def _check_message(error: Any) -> None:
    assert "\n" not in error.message
    json.dumps(error.as_json())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    else:
        main()
