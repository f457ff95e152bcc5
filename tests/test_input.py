"""PROMPT, FILEs and standard input: what becomes the user turn, byte for byte, and what is refused unsent."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import termios
import threading
import time
from pathlib import Path

import pytest

from orcli.errors import UsageError
from orcli.inputs import Reader, read_text
from tests.command import Argument, Orcli, Process
from tests.openrouter import OpenRouter, Reply, Request, completion, hang

SILENT = "orcli: waiting for stdin (use -n or </dev/null)\n"
EMPTY_PIPE = "orcli: warning: standard input is empty, so the prompt is sent alone (-n says that this is meant)\n"
NO_PROMPT = "no PROMPT, and standard input is empty; give a PROMPT or pipe one in"
EMPTY_DASH = "standard input is empty, so there is nothing to send; check the command before the pipe"
ONCE = "standard input can be read only once; give `-` in one place"
CONTRADICTION = "-n and `-` contradict each other; leave one out"
DEADLINE = "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n"


def body(content: str) -> str:
    """Give the line that `orcli ask --dry-run` prints when the conversation is this one user turn."""
    message = json.dumps({"role": "user", "content": content}, ensure_ascii=False, separators=(",", ":"))
    return f'{{"model":"openrouter/auto","messages":[{message}]}}\n'


def user_turn(request: Request) -> str:
    """Give the text of the only message of a request."""
    (message,) = request.json["messages"]
    assert message["role"] == "user"
    content = message["content"]
    assert isinstance(content, str)
    return content


@pytest.fixture
def files(orcli: Orcli) -> Path:
    """Write the files that the tables name."""
    orcli.file("one.txt", "one\n")
    orcli.file("two.txt", "two")
    orcli.file("dir/three.txt", "three\r\n")
    orcli.file("--help", "an odd name\n")
    orcli.file("empty.txt", "")
    orcli.file("blank.txt", " \n\t\r\n")
    (orcli.work / "loop").symlink_to("loop")
    (orcli.work / "dangling").symlink_to("gone")
    return orcli.work


TURNS = [
    pytest.param(["hi"], None, "hi", id="PROMPT"),
    pytest.param(["hi there\n"], None, "hi there\n", id="PROMPT that ends with a newline"),
    pytest.param(["hi\n", "two.txt"], None, "hi\n\ntwo", id="PROMPT with a newline and a FILE without"),
    pytest.param(
        ["hi", "one.txt", "two.txt", "dir/three.txt"],
        None,
        "hi\n\n==> one.txt <==\none\n\n==> two.txt <==\ntwo\n\n==> dir/three.txt <==\nthree\r\n",
        id="PROMPT and several FILEs",
    ),
    pytest.param(
        ["hi", "two.txt", "./two.txt"],
        None,
        "hi\n\n==> two.txt <==\ntwo\n\n==> ./two.txt <==\ntwo",
        id="a FILE twice, named as it was typed",
    ),
    pytest.param(["hi", "one.txt"], "ignored", "hi\n\none\n", id="with a FILE a pipe is not read"),
    pytest.param(["hi"], "data", "hi\n\ndata", id="PROMPT and a pipe"),
    pytest.param(["hi\n"], "data\n", "hi\n\ndata\n", id="PROMPT with a newline and a pipe"),
    pytest.param(["-n", "hi"], "ignored", "hi", id="-n"),
    pytest.param(["hi", "--no-stdin"], "ignored", "hi", id="--no-stdin after PROMPT"),
    pytest.param([], "the prompt\n", "the prompt\n", id="no PROMPT"),
    pytest.param(["-"], "the prompt", "the prompt", id="- as PROMPT"),
    pytest.param(["-", "two.txt"], "the prompt\n", "the prompt\n\ntwo", id="- as PROMPT and a FILE"),
    pytest.param(["hi", "-"], "data", "hi\n\ndata", id="- as the only FILE"),
    pytest.param(
        ["hi", "one.txt", "-", "two.txt"],
        "data",
        "hi\n\n==> one.txt <==\none\n\n==> standard input <==\ndata\n\n==> two.txt <==\ntwo",
        id="- among FILEs",
    ),
    pytest.param(["hi", "/dev/stdin"], "data", "hi\n\ndata", id="standard input by its path"),
    pytest.param(["--", "-n", "--help"], None, "-n\n\nan odd name\n", id="-- ends the options"),
    pytest.param(["--", "-"], "the prompt", "the prompt", id="- after --"),
    pytest.param(["hi"], b"\xef\xbb\xbfBOM", "hi\n\n\ufeffBOM", id="a byte order mark stays"),
    pytest.param(["hi"], "BM is how Bermuda is written", "hi\n\nBM is how Bermuda is written", id="text like a BMP"),
    pytest.param(["hi"], "ID3 and OggS", "hi\n\nID3 and OggS", id="text like a sound"),
    pytest.param([" \t hi \n\n"], None, " \t hi \n\n", id="white space around PROMPT stays"),
]


@pytest.mark.parametrize(("arguments", "stdin", "content"), TURNS)
def test_the_user_turn_is_what_was_given(
    orcli: Orcli, files: Path, arguments: list[str], stdin: bytes | str | None, content: str
) -> None:
    result = orcli("ask", "--dry-run", *arguments, stdin=stdin)

    assert (result.code, result.stdout, result.stderr) == (0, body(content), "")


@pytest.mark.parametrize(
    ("arguments", "stdin", "content"),
    [
        pytest.param(["hi", "one.txt", "two.txt"], None, "hi\n\n==> one.txt <==\none\n\n==> two.txt <==\ntwo"),
        pytest.param(["hi"], "data", "hi\n\ndata"),
        pytest.param([], "the prompt", "the prompt"),
    ],
    ids=["FILEs", "a pipe", "no PROMPT"],
)
@pytest.mark.parametrize("command", ["ask", "stream"])
def test_every_command_that_takes_text_reads_it_in_the_same_way(
    orcli: Orcli, files: Path, command: str, arguments: list[str], stdin: str | None, content: str
) -> None:
    result = orcli(command, "--dry-run", *arguments, stdin=stdin)

    assert (result.code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["messages"] == [{"role": "user", "content": content}]


EVERY_KIND_OF_TEXT = (
    "\ufeff\r\n\r \t two  spaces\u00a0 \x0b\x0c\x1b[31m \u2028\u2029\u0085 e\u0301 \u00e9 \U0001f600 \ue000 \uffff"
    '"quoted" \\n \\u0041 ${HOME} <|im_end|>\n\n \t\n'
)


def test_every_byte_arrives_as_it_was_given(orcli: Orcli, openrouter: OpenRouter) -> None:
    path = orcli.file("file", EVERY_KIND_OF_TEXT)

    result = orcli("ask", EVERY_KIND_OF_TEXT, path, "-", stdin=EVERY_KIND_OF_TEXT)

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert user_turn(openrouter.requests[0]) == (
        f"{EVERY_KIND_OF_TEXT}\n==> {path} <==\n{EVERY_KIND_OF_TEXT}\n==> standard input <==\n{EVERY_KIND_OF_TEXT}"
    )


@pytest.mark.parametrize("script", ["cat large | orcli ask hi", "orcli ask hi large"], ids=["a pipe", "FILE"])
def test_twenty_megabytes_arrive_whole(orcli: Orcli, openrouter: OpenRouter, script: str) -> None:
    text = "".join(f'{number:012} grün 😀 \\ "\t\r\n' for number in range(700_000))
    orcli.file("large", text)
    assert (orcli.work / "large").stat().st_size > 20_000_000

    result = orcli.shell(script)

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert user_turn(openrouter.requests[0]) == f"hi\n\n{text}"


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"LANG": None}, id="no locale, as in cron"),
        pytest.param({"LC_ALL": "C"}, id="the C locale"),
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, id="an ASCII locale"),
    ],
)
def test_text_and_names_are_utf_8_whatever_the_locale(orcli: Orcli, env: dict[str, str | None]) -> None:
    orcli.file("grün 😀.txt", "größer\n")
    orcli.file("two.txt", "two")

    result = orcli("ask", "--dry-run", "café", "grün 😀.txt", "two.txt", env=env)

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == body("café\n\n==> grün 😀.txt <==\ngrößer\n\n==> two.txt <==\ntwo")


def test_a_name_that_is_not_utf_8_is_named_as_well_as_can_be(orcli: Orcli) -> None:
    (orcli.work / os.fsdecode(b"caf\xe9")).write_text("one\n")
    orcli.file("two.txt", "two")

    result = orcli("ask", "--dry-run", "hi", b"caf\xe9", "two.txt")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == body("hi\n\n==> caf\ufffd <==\none\n\n==> two.txt <==\ntwo")


def test_a_command_s_output_can_stand_in_the_place_of_a_file(orcli: Orcli) -> None:
    result = orcli.shell("orcli ask --dry-run hi <(echo one) <(echo two) | sed 's|/dev/fd/[0-9]*|PIPE|g'")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == body("hi\n\n==> PIPE <==\none\n\n==> PIPE <==\ntwo\n")


def test_a_file_without_a_size_is_read_to_its_end(orcli: Orcli) -> None:
    status = Path("/proc/version")
    path = status if status.exists() else orcli.file("version", "no /proc here\n")

    result = orcli("ask", "--dry-run", "hi", path)

    assert (result.code, result.stdout, result.stderr) == (0, body(f"hi\n\n{path.read_text()}"), "")


def test_standard_input_may_be_a_file(orcli: Orcli) -> None:
    path = orcli.file("data", "from a file\n")
    with path.open("rb") as with_prompt, path.open("rb") as without:
        results = [orcli("ask", "--dry-run", "hi", stdin=with_prompt), orcli("ask", "--dry-run", stdin=without)]

    assert [result.stdout for result in results] == [body("hi\n\nfrom a file\n"), body("from a file\n")]
    assert [(result.code, result.stderr) for result in results] == [(0, "")] * 2


def test_a_file_on_standard_input_is_read_from_where_it_stands(orcli: Orcli) -> None:
    orcli.file("data", "first\nsecond\nthird\n")

    result = orcli.shell("{ read -r line; orcli ask --dry-run hi; } < data")

    assert (result.code, result.stdout, result.stderr) == (0, body("hi\n\nsecond\nthird\n"), "")


@pytest.mark.parametrize(
    ("arguments", "content"),
    [(["hi"], "hi\n\nfrom a socket"), (["hi", "-"], "hi\n\nfrom a socket"), ([], "from a socket")],
    ids=["implicit", "-", "no PROMPT"],
)
def test_standard_input_may_be_a_socket(orcli: Orcli, arguments: list[str], content: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = orcli.start("ask", "--dry-run", *arguments, stdin=theirs.fileno())
        ours.sendall(b"from a socket")
        ours.shutdown(socket.SHUT_WR)
        result = process.finish()

    assert (result.code, result.stdout, result.stderr) == (0, body(content), "")


def test_a_standard_input_that_breaks_is_refused(orcli: Orcli, openrouter: OpenRouter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.sendall(b"half of the da")
        ours.close()
        result = orcli("ask", "hi", stdin=theirs.fileno())

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == ("orcli: cannot read standard input: Connection reset by peer; use -n when none is meant\n")
    assert openrouter.requests == []


def test_a_standard_input_open_for_writing_only_is_refused(orcli: Orcli, openrouter: OpenRouter) -> None:
    with (orcli.work / "log").open("wb") as file:
        result = orcli("ask", "hi", stdin=file)

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: cannot read standard input: Bad file descriptor; use -n when none is meant\n"
    assert openrouter.requests == []


def test_a_pipe_that_does_not_block_is_waited_for(orcli: Orcli) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    process = orcli.start("ask", "--dry-run", "hi", stdin=reader)
    with open(writer, "wb", buffering=0) as pipe:
        pipe.write(b"one ")
        wait_until_taken(reader)
        pipe.write(b"two")
    os.close(reader)

    result = process.finish()

    assert (result.code, result.stdout, result.stderr) == (0, body("hi\n\none two"), "")


def wait_until_taken(pipe: int, timeout: float = 10) -> None:
    """Wait until nothing is left in a pipe."""
    deadline = time.monotonic() + timeout
    while struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]:
        assert time.monotonic() < deadline, "the pipe is not read"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("stdin", "options", "warning"),
    [
        pytest.param(None, [], "", id="/dev/null"),
        pytest.param("closed", [], "", id="closed"),
        pytest.param(b"", [], EMPTY_PIPE, id="a pipe"),
        pytest.param(b" \r\n\t\n", [], EMPTY_PIPE, id="a blank pipe"),
        pytest.param(b"", ["-q"], "", id="a pipe, quiet"),
        pytest.param(b"", ["-n"], "", id="a pipe, -n"),
    ],
)
def test_an_implicit_standard_input_that_is_empty_is_no_input(
    orcli: Orcli, openrouter: OpenRouter, stdin: bytes | str | None, options: list[str], warning: str
) -> None:
    result = orcli("ask", *options, "hi", stdin=stdin)

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", warning)
    assert [user_turn(request) for request in openrouter.requests] == ["hi"]


def test_a_pipe_from_a_command_that_found_nothing_bills_nothing_after_a_dash(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    orcli.file("log", "all is well\n")

    result = orcli.shell('grep ERROR log | orcli ask "Summarise" -')

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {EMPTY_DASH}\n")
    assert openrouter.requests == []


def test_a_standard_input_that_stays_silent_for_two_seconds_is_pointed_out_but_to_no_person_who_types(
    orcli: Orcli,
) -> None:
    ways = {"hi": "hi\n\nlate\n", "hi -": "hi\n\nlate\n", "-": "late\n", "": "late\n"}
    silent = [orcli.start("ask", "--dry-run", *way.split(), stdin="pipe") for way in ways]
    person = orcli.terminal("ask", "--dry-run", "hi", "-", stdout_tty=False, stderr_tty=False)

    for process, content in zip(silent, ways.values(), strict=True):
        assert process.wait_stderr("\n") == SILENT
        assert 2 < time.monotonic() - process.started_at < 10
        process.write_stdin(b"late\n")
        result = process.finish()
        assert (result.code, result.stdout, result.stderr) == (0, body(content), SILENT)

    assert not person.wait_exit(0.3)
    person.type("typed\r\x04")
    result = person.finish()
    assert (result.code, result.stdout, result.stderr) == (0, body("hi\n\ntyped\n"), "")


def test_standard_input_is_not_waited_for_where_it_is_not_read(orcli: Orcli, files: Path) -> None:
    silent = [
        orcli.start("ask", "--dry-run", *arguments, stdin="pipe")
        for arguments in (["-n", "hi"], ["hi", "two.txt"], ["--messages", "messages"])
        if orcli.file("messages", '[{"role":"user","content":"hi"}]')
    ]

    assert [process.wait_exit() for process in silent] == [True] * 3
    results = [process.finish() for process in silent]
    assert [result.stdout for result in results] == [body("hi"), body("hi\n\ntwo"), body("hi")]
    assert [(result.code, result.stderr) for result in results] == [(0, "")] * 3


def test_the_deadline_ends_the_wait_for_a_silent_standard_input(orcli: Orcli, openrouter: OpenRouter) -> None:
    ways: list[list[str]] = [["hi"], ["hi", "-"], []]
    silent = [orcli.start("ask", "--timeout", "0.3", *arguments, stdin="pipe") for arguments in ways]

    assert [process.wait_exit() for process in silent] == [True] * 3
    results = [process.finish() for process in silent]
    assert [(result.code, result.stdout, result.stderr) for result in results] == [(124, "", DEADLINE)] * 3
    assert openrouter.requests == []


def feed_slowly(process: Process, seconds: float) -> None:
    """Write a word at once and others over so many seconds, then end the input."""
    process.write_stdin(b"slow")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.1)
        process.write_stdin(b" on")
    process.close_stdin()


def test_the_deadline_stands_still_while_input_flows_and_runs_on_after_it(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(hang())
    process = orcli.start("ask", "--timeout", "2", "hi", stdin="pipe")

    feed_slowly(process, 2.6)
    request = openrouter.wait_for_request()
    began = time.monotonic()

    assert user_turn(request).startswith("hi\n\nslow on on")
    assert request.wait_hung_up()
    assert time.monotonic() - began < 4
    result = process.finish()
    assert (result.code, result.stdout, result.stderr) == (124, "", DEADLINE)


def test_a_terminal_is_not_read_when_there_is_a_prompt(orcli: Orcli, files: Path) -> None:
    terminals = [
        orcli.terminal("ask", "--dry-run", *arguments, stdout_tty=False, stderr_tty=False)
        for arguments in (["hi"], ["hi", "two.txt"])
    ]

    results = [terminal.finish() for terminal in terminals]

    assert [result.stdout for result in results] == [body("hi"), body("hi\n\ntwo")]
    assert [(result.code, result.stderr, result.terminal) for result in results] == [(0, "", "")] * 2


def test_a_terminal_and_no_prompt_is_a_usage_error(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli.terminal("ask", stdout_tty=False, stderr_tty=False).finish()

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: no PROMPT, and standard input is a terminal; give a PROMPT or pipe one in\n"
    assert openrouter.requests == []


def answer_with_the_question(request: Request) -> Reply:
    """Answer with the user turn itself."""
    return completion(f"<{user_turn(request)}>")


def test_a_while_read_loop_runs_every_line(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = answer_with_the_question
    for name in ("a", "b c", "d"):
        orcli.file(name, f"in {name}")
    orcli.file("list", "a\nb c\nd\n")

    by_file = orcli.shell('while read -r f; do orcli ask "Sum up" "$f"; done < list')
    by_prompt = orcli.shell('while read -r f; do orcli ask -n "What is $f?"; done < list')

    assert (by_file.code, by_file.stderr) == (0, "")
    assert by_file.stdout == "<Sum up\n\nin a>\n<Sum up\n\nin b c>\n<Sum up\n\nin d>\n"
    assert (by_prompt.code, by_prompt.stderr) == (0, "")
    assert by_prompt.stdout == "<What is a?>\n<What is b c?>\n<What is d?>\n"


def test_eight_at_once_under_xargs_each_answer_on_a_line_of_its_own(orcli: Orcli, openrouter: OpenRouter) -> None:
    everyone = threading.Event()

    def together(request: Request) -> Reply:
        if len(openrouter.requests) == 8:
            everyone.set()
        assert everyone.wait(30)
        return completion(user_turn(request) + "x" * 3000)

    openrouter.default = together

    result = orcli.shell("seq 8 | xargs -P 8 -I{} orcli ask 'number {}'")

    assert (result.code, result.stderr) == (0, "")
    assert sorted(result.stdout.splitlines()) == [f"number {number}{'x' * 3000}" for number in range(1, 9)]


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (
            [],
            "orcli: warning: PROMPT is the name of a file, sent as it stands; "
            "to send what is in it: orcli ask 'question' one.txt\n",
        ),
        (["-q"], ""),
    ],
    ids=["heard", "quiet"],
)
def test_a_prompt_that_is_a_file_s_name_is_sent_with_a_warning(
    orcli: Orcli, openrouter: OpenRouter, files: Path, options: list[str], warning: str
) -> None:
    result = orcli("ask", *options, "one.txt")

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", warning)
    assert [user_turn(request) for request in openrouter.requests] == ["one.txt"]


def test_a_prompt_longer_than_any_file_s_name_is_sent(orcli: Orcli) -> None:
    prompt = "x" * 100_000

    result = orcli("ask", "--dry-run", prompt)

    assert (result.code, result.stdout, result.stderr) == (0, body(prompt), "")


EMPTY_PROMPT = "PROMPT is empty; give it text or leave it out"
NOTHING = "is empty, so there is nothing to send; leave it out or check what wrote it"
REFUSED = [
    pytest.param([], None, NO_PROMPT, id="no PROMPT, /dev/null"),
    pytest.param([], "closed", NO_PROMPT, id="no PROMPT, closed"),
    pytest.param([], b"", NO_PROMPT, id="no PROMPT, an empty pipe"),
    pytest.param([], b"\n \t\n", NO_PROMPT, id="no PROMPT, a blank pipe"),
    pytest.param(["--"], None, NO_PROMPT, id="no PROMPT after --"),
    pytest.param(
        ["-n"],
        b"data",
        "no PROMPT, and standard input is not read for it; give a PROMPT as an argument",
        id="no PROMPT, -n",
    ),
    pytest.param([""], None, EMPTY_PROMPT, id="an empty PROMPT"),
    pytest.param(["", "one.txt"], None, EMPTY_PROMPT, id="an empty PROMPT and a FILE"),
    pytest.param([""], b"data", EMPTY_PROMPT, id="an empty PROMPT and a pipe"),
    pytest.param(["", "-"], b"data", EMPTY_PROMPT, id="an empty PROMPT and -"),
    pytest.param([" \t\n"], b"data", EMPTY_PROMPT, id="a blank PROMPT"),
    pytest.param(["-", "one.txt"], b"", EMPTY_DASH, id="an empty - as PROMPT"),
    pytest.param(["-"], None, EMPTY_DASH, id="- as PROMPT is /dev/null"),
    pytest.param(["-"], b" \n", EMPTY_DASH, id="a blank - as PROMPT"),
    pytest.param(["hi", "-"], b"", EMPTY_DASH, id="an empty - as FILE"),
    pytest.param(["hi", "-"], "closed", EMPTY_DASH, id="- is closed"),
    pytest.param(["hi", "one.txt", "-"], b"\n", EMPTY_DASH, id="a blank - among FILEs"),
    pytest.param(["hi", "empty.txt"], None, f"empty.txt {NOTHING}", id="an empty FILE"),
    pytest.param(["hi", "one.txt", "blank.txt"], None, f"blank.txt {NOTHING}", id="a blank FILE"),
    pytest.param(["hi", "/dev/null"], None, f"/dev/null {NOTHING}", id="/dev/null as FILE"),
    pytest.param(["hi", "-", "-"], b"data", ONCE, id="- twice as FILE"),
    pytest.param(["-", "-"], b"data", ONCE, id="- as PROMPT and FILE"),
    pytest.param(["--messages", "-", "-"], b"data", ONCE, id="- as --messages and PROMPT"),
    pytest.param(["--messages", "-", "hi", "-"], b"data", ONCE, id="- as --messages and FILE"),
    pytest.param(["--schema", "-", "hi", "-"], b"{}", ONCE, id="- as --schema and FILE"),
    pytest.param(["--system-file", "-", "--schema", "-", "hi"], b"{}", ONCE, id="- as two options"),
    pytest.param(
        ["--system-file", "-"],
        b"data",
        "no PROMPT, and standard input is not read for it; give a PROMPT as an argument",
        id="- as --system-file and no PROMPT",
    ),
    pytest.param(["-n", "hi", "-"], b"data", CONTRADICTION, id="-n and - as FILE"),
    pytest.param(["-n", "-"], b"data", CONTRADICTION, id="-n and - as PROMPT"),
    pytest.param(["-n", "--messages", "-"], b"[]", CONTRADICTION, id="-n and --messages -"),
    pytest.param(["hi", "gone/a.txt"], None, "no such file: gone/a.txt; check the path", id="a missing FILE"),
    pytest.param(
        ["hi", "one.txt", "gone.txt"], b"data", "no such file: gone.txt; check the path", id="one of two is missing"
    ),
    pytest.param(["hi there", "gone.txt"], None, "no such file: gone.txt; check the path", id="a quoted PROMPT"),
    pytest.param(
        ["What", "is", "the", "capital", "of", "France?"],
        b"data",
        "no such file: is, the, capital; if these words are one prompt, quote it: 'What is the capital of France?'",
        id="unquoted words",
    ),
    pytest.param(["hi", "."], None, "cannot read .: Is a directory; check the path", id="a directory"),
    pytest.param(["hi", "one.txt/a"], None, "no such file: one.txt/a; check the path", id="a path through a file"),
    pytest.param(
        ["hi", "loop"],
        None,
        "cannot read loop: Too many levels of symbolic links; check the path",
        id="a link to itself",
    ),
    pytest.param(
        ["hi", "dangling"],
        None,
        "cannot read dangling: No such file or directory; check the path",
        id="a link to nothing",
    ),
    pytest.param(["-5", "degrees"], None, "No such option: -5; see orcli ask --help", id="a PROMPT that begins with -"),
]


@pytest.mark.parametrize(("arguments", "stdin", "message"), REFUSED)
def test_bad_input_is_one_line_and_exit_2_and_nothing_is_sent(
    orcli: Orcli, openrouter: OpenRouter, files: Path, arguments: list[str], stdin: bytes | str | None, message: str
) -> None:
    result = orcli("ask", *arguments, stdin=stdin)

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
    assert openrouter.requests == []


def test_an_empty_name_of_a_file_is_shown_as_one_and_not_taken_for_unquoted_words(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    result = orcli.shell('orcli ask Summarise "$LOG"')

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: no such file: ''; check the path\n"
    assert openrouter.requests == []


def unreadable(directory: Path) -> tuple[str, str]:
    """Make a file that not even this user may read, and say why; root may read all that has a mode."""
    path = directory / "secret"
    if os.geteuid() == 0:
        path.symlink_to("secret")
        return path.name, "Too many levels of symbolic links"
    path.write_text("secret")
    path.chmod(0)
    return path.name, "Permission denied"


@pytest.mark.parametrize("option", [[], ["--system-file"], ["--schema"], ["--messages"]], ids=" ".join)
def test_an_unreadable_file_is_refused_wherever_it_is_named(
    orcli: Orcli, openrouter: OpenRouter, option: list[str]
) -> None:
    name, why = unreadable(orcli.work)

    result = orcli("ask", "hi", *option, name)

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: cannot read {name}: {why}; check the path\n")
    assert openrouter.requests == []


def test_a_line_break_in_a_name_does_not_break_the_line(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("ask", "hi there", "a\n\x1b[31mb")

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: no such file: a [31mb; check the path\n"
    assert openrouter.requests == []


@pytest.mark.parametrize(
    ("place", "data"),
    [
        pytest.param(0, b"\xe9", id="Latin-1"),
        pytest.param(70_000, b"\xff", id="beyond the first read"),
        pytest.param(5, b"\xc3", id="cut in the middle of a character"),
        pytest.param(5, b"\xed\xa0\x80", id="half a surrogate pair"),
        pytest.param(5, b"\xc0\x80", id="overlong"),
    ],
)
def test_a_byte_that_is_not_utf_8_is_named_with_its_file_and_offset(
    orcli: Orcli, openrouter: OpenRouter, place: int, data: bytes
) -> None:
    text = b"x" * place + data

    result = orcli("ask", "hi", orcli.file("latin.txt", text))

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == (
        f"orcli: {orcli.work}/latin.txt is not UTF-8: byte 0x{data[0]:02x} at offset {place}; convert it with iconv\n"
    )
    assert openrouter.requests == []


BAD = b"caf\xe9"
NOT_UTF_8 = "is not UTF-8: byte 0xe9 at offset 3; convert it with iconv"


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        pytest.param([BAD], None, f"PROMPT {NOT_UTF_8}", id="PROMPT"),
        pytest.param(["hi"], BAD, f"standard input {NOT_UTF_8}", id="implicit"),
        pytest.param(["hi", "-"], BAD, f"standard input {NOT_UTF_8}", id="-"),
        pytest.param(["-"], BAD, f"standard input {NOT_UTF_8}", id="- as PROMPT"),
        pytest.param([], BAD, f"standard input {NOT_UTF_8}", id="no PROMPT"),
        pytest.param(["hi", "-s", BAD], None, f"--system {NOT_UTF_8}", id="-s"),
        pytest.param(["hi", "--system-file", "-"], BAD, f"standard input {NOT_UTF_8}", id="--system-file"),
        pytest.param(["hi", "--schema", "-"], BAD, f"standard input {NOT_UTF_8}", id="--schema"),
        pytest.param(
            ["hi"],
            "häh".encode("utf-16"),
            "standard input is not UTF-8: byte 0xff at offset 0; convert it with iconv",
            id="UTF-16",
        ),
    ],
)
def test_a_bad_byte_is_refused_wherever_text_comes_from(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[Argument], stdin: bytes | None, message: str
) -> None:
    result = orcli("ask", *arguments, stdin=stdin)

    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
    assert openrouter.requests == []


VISION = "send it with: orcli vision"
CONVERT = "convert it to text first"
BINARIES = [
    pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", f"is a PNG image; {VISION}", id="PNG"),
    pytest.param(b"\xff\xd8\xff\xe0\0\x10JFIF\0", f"is a JPEG image; {VISION}", id="JPEG"),
    pytest.param(b"GIF89a\x01\0\x01\0\0\0\0;", f"is a GIF image; {VISION}", id="GIF, which may be valid UTF-8"),
    pytest.param(b"RIFF\x1a\0\0\0WEBPVP8L\xff", f"is a WebP image; {VISION}", id="WebP"),
    pytest.param(b"%PDF-1.4\n1 0 obj\n<<>>\n", f"is a PDF document; {VISION}", id="PDF, even all text"),
    pytest.param(b"RIFF\x24\0\0\0WAVEfmt ", f"is a WAV sound; {VISION}", id="WAV"),
    pytest.param(b"ID3\x04\0\0\xff\xfb", f"is an MP3 sound; {VISION}", id="MP3"),
    pytest.param(b"\x1f\x8b\x08\0", f"is a gzip file; {CONVERT}", id="gzip"),
    pytest.param(b"PK\x03\x04\x14\0\x06\0", f"is a ZIP archive or office document; {CONVERT}", id="an office document"),
    pytest.param(b"\x7fELF\x02\x01\x01\0", f"is an ELF program; {CONVERT}", id="ELF"),
    pytest.param(b"II*\0\x08\0\0\0", f"is a TIFF image; {CONVERT}", id="TIFF"),
    pytest.param(b"some text\0and more", f"is not text: NUL byte at offset 9; {CONVERT}", id="NUL"),
    pytest.param("häh".encode() + b"\0", f"is not text: NUL byte at offset 4; {CONVERT}", id="NUL after an umlaut"),
    pytest.param("text".encode("utf-16-le"), f"is not text: NUL byte at offset 1; {CONVERT}", id="UTF-16 without BOM"),
]


def nothing() -> None:
    """Take no notice."""


@pytest.mark.parametrize(("data", "message"), BINARIES)
def test_a_binary_file_is_named_with_the_command_that_takes_it(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(data)
    silent = Reader(on_silence=nothing, on_begin=nothing, on_end=nothing, warn=print)

    with pytest.raises(UsageError) as raised:
        read_text(str(path), silent)

    assert raised.value.message == f"{path} {message}"


PNG, PDF, NUL = BINARIES[0].values, BINARIES[4].values, BINARIES[11].values


@pytest.mark.parametrize(
    ("arguments", "data", "message"),
    [
        pytest.param(["hi", "/dev/stdin"], *PNG, id="FILE"),
        pytest.param(["hi"], *PNG, id="implicit, PNG"),
        pytest.param(["hi"], *NUL, id="implicit, NUL"),
        pytest.param(["hi", "-"], *PNG, id="- as FILE, PNG"),
        pytest.param(["-"], *NUL, id="- as PROMPT, NUL"),
        pytest.param([], *PNG, id="no PROMPT, PNG"),
        pytest.param([], *PDF, id="no PROMPT, PDF"),
        pytest.param([], *NUL, id="no PROMPT, NUL"),
        pytest.param(["hi", "--system-file", "-"], *NUL, id="--system-file, NUL"),
        pytest.param(["hi", "--schema", "-"], *NUL, id="--schema, NUL"),
    ],
)
def test_binary_data_is_refused_wherever_text_comes_from(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], data: bytes, message: str
) -> None:
    result = orcli("ask", *arguments, stdin=data)

    source = "/dev/stdin" if "/dev/stdin" in arguments else "standard input"
    assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {source} {message}\n")
    assert openrouter.requests == []
