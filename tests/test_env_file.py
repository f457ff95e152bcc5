"""What a `.env` may be and hold, whoever wrote it: a link, a device, a pipe, any bytes, open to anyone's pen."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orcli.config import VARIABLES, Endpoint, Setting, endpoint, endpoint_warnings, load_settings
from orcli.errors import AccountError
from tests.command import Changes, Orcli, Process
from tests.openrouter import OpenRouter

KEY = "sk-or-v1-0123456789abcdef"
OTHER_KEY = "sk-or-v1-fedcba9876543210"
NEITHER: Changes = {"API_BASE_URL": None, "OPENROUTER_API_KEY": None}
LARGE = "larger than 64 KiB"


# What it is.

KINDS = [
    pytest.param("nothing", "No such file or directory", id="dangling link"),
    pytest.param("link", "Too many levels of symbolic links", id="link to itself"),
    pytest.param(".", "Is a directory", id="link to a directory"),
    pytest.param("/dev/zero", LARGE, id="device without end"),
    pytest.param("/proc/self/mem", "Input/output error", id="unreadable"),
    pytest.param("sparse", LARGE, id="100 GiB"),
    pytest.param("text", "NUL byte at offset 4", id="NUL"),
]


@pytest.mark.parametrize(("target", "reason"), KINDS)
def test_a_named_env_file_of_any_kind_is_read_or_one_line(
    orcli: Orcli, openrouter: OpenRouter, target: str, reason: str
) -> None:
    orcli.file("text", b"X=1\n\0")
    with orcli.file("sparse", "ORCLI_MODEL=a\n").open("r+b") as file:
        file.truncate(100 << 30)
    (orcli.work / "link").symlink_to(target)

    result = orcli("ask", "--env-file", "link", "hi", timeout=10)

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr == f"orcli: cannot read link: {reason}; mend it or move it away\n"
    assert openrouter.connections == 0


@pytest.mark.parametrize("kind", ["directory", "fifo", "dangling link", "link to itself", "device"])
def test_an_own_env_that_is_no_file_is_passed_over(orcli: Orcli, kind: str) -> None:
    path = orcli.home / ".config" / "orcli" / ".env"
    path.parent.mkdir(parents=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to({"dangling link": "nowhere", "link to itself": ".env", "device": "/dev/zero"}[kind])

    result = orcli("ask", "--dry-run", "hi", timeout=10)

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith('{"model":"openrouter/auto",')


def write_end(fifo: Path, reader: Process) -> int:
    """Open a FIFO for writing as soon as a process waits to read it."""
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert not reader.wait_exit(0.02)


def test_a_named_fifo_is_waited_for_as_cat_waits(orcli: Orcli) -> None:
    os.mkfifo(orcli.work / "fifo")
    process = orcli.start("ask", "--dry-run", "--env-file", "fifo", "hi")
    with open(write_end(orcli.work / "fifo", process), "w") as fifo:
        fifo.write("ORCLI_MODEL=late\n")
    result = process.finish(10)

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith('{"model":"late",')


def test_ctrl_c_ends_the_wait_for_a_named_fifo(orcli: Orcli) -> None:
    os.mkfifo(orcli.work / "fifo")
    process = orcli.start("ask", "--dry-run", "--env-file", "fifo", "hi")
    with open(write_end(orcli.work / "fifo", process), "w"):
        process.send_signal(signal.SIGINT)
        result = process.finish(10)

    assert (result.code, result.stdout, result.stderr) == (-signal.SIGINT, "", "")


def test_a_link_to_the_env_file_of_another_checkout_is_what_was_found(orcli: Orcli, openrouter: OpenRouter) -> None:
    orcli.file("other/.env", f"API_BASE_URL={openrouter.base_url}\nOPENROUTER_API_KEY={OTHER_KEY}\n")
    link = orcli.work / "mine" / ".env"
    link.parent.mkdir()
    link.symlink_to("../other/.env")

    own = orcli("ask", "hi", env=NEITHER, cwd=link.parent)
    foreign = orcli("ask", "hi", env={"API_BASE_URL": None, "OPENROUTER_API_KEY": KEY}, cwd=link.parent)

    assert (own.code, own.stdout) == (0, "Hello.\n")
    assert own.stderr == f"orcli: warning: requests go to 127.0.0.1, as {link} says\n"
    assert [request.headers["authorization"] for request in openrouter.requests] == [f"Bearer {OTHER_KEY}"]
    assert (foreign.code, foreign.stdout, foreign.stderr) == (3, "", untrusted(link))


def untrusted(path: Path) -> str:
    """Give the line for a base URL that must not get a key from elsewhere."""
    return (
        f"orcli: API_BASE_URL of {path} is not trusted with a key from elsewhere; "
        "set API_BASE_URL in the environment to allow it\n"
    )


@pytest.mark.parametrize("place", [".config/orcli", ".config/orcli/below"])
def test_the_users_own_file_is_nobody_elses_in_its_own_directory(
    orcli: Orcli, openrouter: OpenRouter, place: str
) -> None:
    path = orcli.file("../home/.config/orcli/.env", f"API_BASE_URL={openrouter.base_url}\nORCLI_LOG=log\n")
    (orcli.home / place).mkdir(exist_ok=True)
    # As where HOME is a link: the working directory is known by another name.
    (orcli.home.parent / "alias").symlink_to("home")

    env = {"API_BASE_URL": None, "HOME": str(orcli.home.parent / "alias")}
    result = orcli("ask", "hi", env=env, cwd=orcli.home / place)

    assert path.exists()
    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert (orcli.home / place / "log").exists()


@pytest.fixture
def planted(orcli: Orcli) -> tuple[Path, Path]:
    """Make a directory like /tmp with somebody else's `.env` in it, and one below; gives both."""
    shared = orcli.work / "shared"
    (shared / "mine").mkdir(parents=True)
    shared.chmod(0o1777)
    path = orcli.file("shared/.env", "")
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    return path, shared / "mine"


def test_an_env_file_planted_in_a_shared_directory_gets_no_key(
    orcli: Orcli, openrouter: OpenRouter, planted: tuple[Path, Path]
) -> None:
    path, mine = planted
    path.write_text(f"API_BASE_URL={openrouter.base_url}\n")

    for key_source in ("the environment", "the user's own"):
        if key_source == "the user's own":
            orcli.file("../home/.config/orcli/.env", f"OPENROUTER_API_KEY={KEY}\n")
            del orcli.env["OPENROUTER_API_KEY"]
        for command in (["ask", "hi"], ["batch", "--lines", "hi"], ["models"]):
            result = orcli(*command, stdin="x\n", env={"API_BASE_URL": None}, cwd=mine)

            assert (result.code, result.stdout, result.stderr) == (3, "", untrusted(path))
    assert openrouter.connections == 0


def test_an_env_file_planted_in_a_shared_directory_may_choose_a_model(
    orcli: Orcli, openrouter: OpenRouter, planted: tuple[Path, Path]
) -> None:
    path, mine = planted
    path.write_text("ORCLI_MODEL=maker/model\nORCLI_LOG=log\nHTTPS_PROXY=http://127.0.0.1:9\n")

    result = orcli("ask", "hi", cwd=mine)

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert openrouter.requests[0].json["model"] == "maker/model"
    assert os.listdir(mine) == []


@pytest.mark.parametrize("command", [["ask", "hi"], ["stream", "hi"], ["batch", "--lines", "hi"]])
def test_a_found_env_file_cannot_have_a_file_loaded_as_a_model(orcli: Orcli, command: list[str]) -> None:
    orcli.file("model.gguf", "text")
    path = orcli.file(".env", "ORCLI_MODEL=local/model.gguf\n")
    opened = "orcli: model.gguf is no GGUF file; give a model of llama.cpp's format\n"

    found = orcli(*command, stdin="x\n")
    named = orcli(*command, "--env-file", ".env", stdin="x\n")

    refusal = f"ORCLI_MODEL of {path} is a file, which a .env that was found may not load; use -m"
    assert (found.code, found.stdout, found.stderr) == (3, "", f"orcli: {refusal}\n")
    assert (named.code, named.stdout, named.stderr) == (2, "", opened)


# A file that anyone can write to.


def exposed(path: Path | str, names: str) -> str:
    """Give the warning of a file that anyone can write to."""
    return f"orcli: warning: anyone can write to {path}, which sets {names}; run chmod o-w on it\n"


@pytest.mark.parametrize("mode", [0o602, 0o622, 0o666, 0o777], ids=oct)
@pytest.mark.parametrize("place", ["named", "found", "own", "linked"])
def test_a_key_from_a_file_that_anyone_can_write_to_is_warned_of(
    orcli: Orcli, monkeypatch: pytest.MonkeyPatch, place: str, mode: int
) -> None:
    loaded, path = settings_of(orcli, monkeypatch, place, f"OPENROUTER_API_KEY={KEY}\n", mode)

    assert endpoint_warnings(loaded) == [exposed(path, "OPENROUTER_API_KEY").removeprefix("orcli: warning: ").strip()]


def settings_of(
    orcli: Orcli, monkeypatch: pytest.MonkeyPatch, place: str, content: str, mode: int
) -> tuple[dict[str, Setting], str]:
    """Load the settings with one file in one place; gives them and the file's name."""
    name = {"named": "named", "found": ".env", "own": "../home/.config/orcli/.env", "linked": "target"}[place]
    path = orcli.file(name, content)
    path.chmod(mode)
    if place == "linked":
        path = orcli.work / ".env"
        path.symlink_to("target")
    monkeypatch.chdir(orcli.work)
    shown = "named" if place == "named" else os.path.abspath(path)
    return load_settings({"HOME": str(orcli.home)}, "named" if place == "named" else None), shown


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o660, 0o664, 0o400], ids=oct)
@pytest.mark.parametrize("place", ["named", "found", "own", "linked"])
def test_a_key_from_a_file_that_only_its_group_can_write_to_is_not(
    orcli: Orcli, monkeypatch: pytest.MonkeyPatch, place: str, mode: int
) -> None:
    loaded, _ = settings_of(orcli, monkeypatch, place, f"OPENROUTER_API_KEY={KEY}\n", mode)

    assert endpoint_warnings(loaded) == []


BASE = "API_BASE_URL=https://gateway.test\n"
EXPOSED = [
    pytest.param("own", BASE, "API_BASE_URL", id="where requests go, in a file of the user's"),
    pytest.param("named", f"{BASE}OPENROUTER_API_KEY={KEY}\n", "OPENROUTER_API_KEY and API_BASE_URL", id="both"),
    pytest.param("found", "API_BASE_URL=https://openrouter.ai/api/v1\n", None, id="what the rule of trust decides"),
    pytest.param("named", "ORCLI_MODEL=a\nORCLI_LOG=log\n", None, id="nothing of the endpoint"),
    pytest.param("found", "X=1\n", None, id="nothing of orcli's"),
]


@pytest.mark.parametrize(("place", "content", "names"), EXPOSED)
def test_what_anyone_can_write_to_is_warned_of_where_a_key_hangs_on_it(
    orcli: Orcli, monkeypatch: pytest.MonkeyPatch, place: str, content: str, names: str | None
) -> None:
    loaded, path = settings_of(orcli, monkeypatch, place, content, 0o666)

    lines = [exposed(path, names).removeprefix("orcli: warning: ").strip()] if names else []
    assert endpoint_warnings(loaded) == lines


def test_the_warning_is_one_line_that_q_silences_and_no_unused_file_raises(
    orcli: Orcli, openrouter: OpenRouter
) -> None:
    path = orcli.file(".env", f"OPENROUTER_API_KEY={OTHER_KEY}\n")
    path.chmod(0o666)
    no_key: Changes = {"OPENROUTER_API_KEY": None}

    warned = orcli("ask", "hi", env=no_key)
    batch = orcli("batch", "--lines", "hi", env=no_key, stdin="x\n")
    quiet = [
        orcli("ask", "-q", "hi", env=no_key),
        orcli("ask", "hi"),
        orcli("ask", "--dry-run", "hi", env=no_key),
    ]

    assert (warned.code, warned.stdout, warned.stderr) == (0, "Hello.\n", exposed(path, "OPENROUTER_API_KEY"))
    assert (batch.code, batch.stderr) == (0, exposed(path, "OPENROUTER_API_KEY"))
    assert [(result.code, result.stderr) for result in quiet] == [(0, "")] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


# What it holds.


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"ORCLI_LOG=a\0b\n", "NUL byte at offset 11", id="NUL"),
        pytest.param(b"\xef\xbb\xbfX='\0'", "NUL byte at offset 6", id="NUL after a BOM"),
        pytest.param(b"#" * (1 << 16) + b"\n", LARGE, id="a byte too large"),
        pytest.param("é".encode() * (1 << 15) + b"\n", LARGE, id="cut in the midst of a character"),
        pytest.param(b"X=1\n" * (1 << 18), LARGE, id="1 MiB"),
    ],
)
def test_an_env_file_that_no_one_wrote_as_such_is_one_line(
    orcli: Orcli, openrouter: OpenRouter, content: bytes, reason: str
) -> None:
    path = orcli.file(".env", content)

    result = orcli("ask", "hi", timeout=10)

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr == f"orcli: cannot read {path}: {reason}; mend it or move it away\n"
    assert openrouter.connections == 0


def test_an_env_file_of_64_kib_is_read(orcli: Orcli) -> None:
    orcli.file(".env", b"ORCLI_MODEL=maker/model\n".ljust((1 << 16) - 1, b"#") + b"\n")

    result = orcli("ask", "--dry-run", "hi")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith('{"model":"maker/model",')


@pytest.mark.parametrize("name", ["OPENROUTER_API_KEY", "ORCLI_MODEL", "HOME"])
@pytest.mark.parametrize("form", ["${{{}}}", "${}", "$({})", "`{}`", '"${{{}}}"', "${{{}:-x}}"])
def test_nothing_of_the_environment_gets_into_a_base_url(
    orcli: Orcli, openrouter: OpenRouter, form: str, name: str
) -> None:
    path = orcli.file(".env", f"API_BASE_URL={openrouter.base_url}/{form.format(name)}\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(orcli.work)
        patch.setenv(name, KEY)
        loaded = load_settings({}, None)

    assert loaded["API_BASE_URL"].source == str(path)
    assert KEY not in loaded["API_BASE_URL"].value


def test_a_base_url_that_asks_for_the_key_in_its_path_does_not_get_it(orcli: Orcli, openrouter: OpenRouter) -> None:
    content = f"API_BASE_URL={openrouter.base_url}/${{OPENROUTER_API_KEY}}\nOPENROUTER_API_KEY={OTHER_KEY}\n"
    orcli.file(".env", content)

    stolen = orcli("ask", "hi", env={"API_BASE_URL": None, "OPENROUTER_API_KEY": KEY})
    result = orcli("ask", "-q", "hi", env=NEITHER)

    assert (stolen.code, stolen.stdout) == (3, "")
    assert (result.code, result.stdout) == (2, "")
    assert [OTHER_KEY in request.path or KEY in request.path for request in openrouter.requests] == [False]


LINES = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.builds(
            lambda export, name, equals, value: export + name + equals + value,
            st.sampled_from([b"", b"export ", b"export\t", b" ", b"\xc2\xa0"]),
            st.sampled_from([name.encode() for name in VARIABLES] + [b"X", b"'OPENROUTER_API_KEY'", b"#", b""]),
            st.sampled_from([b"=", b" = ", b"= ", b"", b":", b"=="]),
            st.one_of(
                st.binary(max_size=12),
                st.text(alphabet="aA1/.:@#$ '\"\\\t\x0b\u2028\ufeffö", max_size=12).map(str.encode),
                st.sampled_from(
                    [b"${OPENROUTER_API_KEY}", b"https://evil.test/${OPENROUTER_API_KEY}", b"'", b'"a', b'"\\x00"']
                ),
            ),
        ),
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=300)
@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b""]), st.sampled_from([b"", b"\xef\xbb\xbf"]))
@example([b"API_BASE_URL=https://evil.test/${OPENROUTER_API_KEY}"], b"\n", b"")
@example([b"ORCLI_MODEL=local/a\0b.gguf"], b"\n", b"")
@example([b"A='" + b"x" * 70000], b"\n", b"")
def test_whatever_a_found_env_file_holds_the_key_of_the_environment_goes_to_openrouter_or_nowhere(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes, mark: bytes
) -> None:
    directory = tmp_path_factory.getbasetemp() / "fuzzed"
    directory.mkdir(exist_ok=True)
    (directory / ".env").write_bytes(mark + end.join(lines))
    failure, allowed = "", None

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("OPENROUTER_API_KEY", KEY)
        try:
            loaded = load_settings({"OPENROUTER_API_KEY": KEY}, None)
            allowed = endpoint(loaded)
        except AccountError as error:
            failure = error.message

    if allowed is None:
        assert failure.startswith(("cannot read ", "cannot parse ", "API_BASE_URL of "))
        assert KEY not in failure
    else:
        assert allowed == Endpoint(allowed.base_url, KEY)
        assert allowed.base_url.lower().startswith("https://openrouter.ai")
        values = [setting.value for name, setting in loaded.items() if name != "OPENROUTER_API_KEY"]
        assert not [value for value in values if "\0" in value or KEY in value]
