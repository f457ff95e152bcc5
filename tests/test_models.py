"""`orcli models`: the list of models, whatever its entries lack, on a terminal, in a pipe, and for completion."""

from __future__ import annotations

import json
import os
import signal
import stat
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orcli.catalog import Model, Wish, choose, read_models, row, table
from orcli.errors import Incomplete
from orcli.run_models import next_path
from tests.command import Orcli
from tests.openrouter import RESET, OpenRouter, error, html, model, raw, verbatim

SMALL = model()
FREE = model(
    "meta/llama:free",
    name="Meta: Llama",
    created=1700000000,
    context_length=8192,
    pricing={"prompt": "0", "completion": "0"},
    architecture={"input_modalities": ["text"]},
    supported_parameters=["tools"],
)
ROUTER = model("openrouter/auto", name="Auto", context_length=None, pricing={"prompt": "-1", "completion": "-1"})
LINES = {
    "small": "openai/gpt-4o-mini\t128000\t0.15\t0.6\ttext,image,file\n",
    "free": "meta/llama:free\t8192\t0\t0\ttext\n",
    "router": "openrouter/auto\t-\t-\t-\ttext,image,file\n",
}


@pytest.fixture
def listed(openrouter: OpenRouter) -> OpenRouter:
    """Let the server list three models, on two pages."""
    openrouter.models = [SMALL, FREE, ROUTER]
    openrouter.models_per_page = 2
    return openrouter


def remote(text: str) -> str:
    """Leave out what is installed on this machine."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("local/"))


def test_a_pipe_gets_tab_separated_lines_of_every_page_without_a_header(orcli: Orcli, listed: OpenRouter) -> None:
    result = orcli("models")

    assert (result.code, result.stderr) == (0, "")
    assert remote(result.stdout) == LINES["free"] + LINES["small"] + LINES["router"]
    assert [request.path.partition("?")[0] for request in listed.requests] == ["/api/v1/models"] * 2


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        pytest.param(["mini"], ["small"], id="part of an id"),
        pytest.param(["META:"], ["free"], id="part of a name in the other case"),
        pytest.param(["openai/*"], ["small"], id="glob"),
        pytest.param(["*mini"], ["small"], id="glob at the end"),
        pytest.param(["o*", "--sort", "price"], ["small", "router"], id="unknown prices last"),
        pytest.param(["--supports", "tools", "a/"], ["free"], id="supports"),
        pytest.param(["--supports", "tools", "--supports", "response_format", "gpt"], ["small"], id="supports both"),
        pytest.param(["--input", "image"], ["small", "router"], id="input"),
        pytest.param(["--free", "llama"], ["free"], id="free, and -1 is not"),
        pytest.param(["--sort", "context", "/"], ["small", "free", "router"], id="largest context first"),
        pytest.param(["--sort", "created", "/"], ["small", "router", "free"], id="newest first"),
    ],
)
def test_models_are_chosen_and_sorted(orcli: Orcli, listed: OpenRouter, arguments: list[str], names: list[str]) -> None:
    result = orcli("models", *arguments)

    assert (result.code, result.stderr) == (0, "")
    assert remote(result.stdout) == "".join(LINES[name] for name in names)


def test_json_prints_the_objects_whole(orcli: Orcli, listed: OpenRouter) -> None:
    result = orcli("models", "--json", "mini")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == json.dumps(SMALL, separators=(",", ":")) + "\n"


def test_a_terminal_gets_an_aligned_table_with_a_header(orcli: Orcli, listed: OpenRouter) -> None:
    result = orcli.terminal("models", "-q", "[om]*").finish()

    assert result.code == 0
    assert result.terminal.split("\r\n") == [
        "ID                  CONTEXT  PROMPT  COMPLETION  INPUT",
        "meta/llama:free        8192       0           0  text",
        "openai/gpt-4o-mini   128000    0.15         0.6  text,image,file",
        "openrouter/auto           -       -           -  text,image,file",
        "",
    ]


@pytest.mark.parametrize("key", [None, "", "sk-or-v1-test"])
def test_no_key_is_needed_and_none_is_sent_where_there_is_none(
    orcli: Orcli, listed: OpenRouter, key: str | None
) -> None:
    result = orcli("models", "mini", env={"OPENROUTER_API_KEY": key})

    assert (result.code, result.stdout, result.stderr) == (0, LINES["small"], "")
    assert listed.requests[0].headers.get("authorization") == (f"Bearer {key}" if key else None)


def test_a_key_from_elsewhere_does_not_go_where_a_found_file_says(orcli: Orcli, listed: OpenRouter) -> None:
    orcli.file(".env", f"API_BASE_URL={orcli.env['API_BASE_URL']}\n")

    result = orcli("models", env={"API_BASE_URL": None})

    assert (result.code, result.stdout) == (3, "")
    assert "is not trusted with a key from elsewhere" in result.stderr
    assert listed.requests == []


def test_no_match_is_said_and_is_no_failure(orcli: Orcli, listed: OpenRouter) -> None:
    result = orcli("models", "no-such-model")
    quiet = orcli("models", "-q", "no-such-model")

    assert (result.code, result.stdout, result.stderr) == (0, "", "orcli: no model matches; see orcli models\n")
    assert (quiet.code, quiet.stdout, quiet.stderr) == (0, "", "")


def test_the_ids_are_kept_for_completion_and_nothing_else(orcli: Orcli, listed: OpenRouter) -> None:
    result = orcli("models", "mini", env={"XDG_CACHE_HOME": None})

    kept = orcli.home / ".cache" / "orcli" / "models"
    assert result.code == 0
    assert kept.read_text() == "meta/llama:free\nopenai/gpt-4o-mini\nopenrouter/auto\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert os.listdir(kept.parent) == ["models"]


def test_ids_that_cannot_be_kept_are_no_failure(orcli: Orcli, listed: OpenRouter) -> None:
    (orcli.home / ".cache").write_text("a file in the way")

    result = orcli("models", "mini")

    assert (result.code, result.stdout, result.stderr) == (0, LINES["small"], "")


SIGNAL_WHILE_KEPT = """
import os, signal, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
really_open = os.open
def open_and_signal(path, *rest, **more):
    descriptor = really_open(path, *rest, **more)
    if "/orcli/.models." in os.fsdecode(path):
        os.kill(os.getpid(), signal.SIGTERM)
    return descriptor
os.open = open_and_signal
"""
"""The kernel may give the signal to the other thread."""


def test_a_signal_as_the_ids_are_kept_leaves_no_other_file(orcli: Orcli, listed: OpenRouter) -> None:
    orcli.file("startup/sitecustomize.py", SIGNAL_WHILE_KEPT)

    result = orcli("models", "mini", env={"PYTHONPATH": str(orcli.work / "startup")})

    assert (result.code, result.stdout, result.stderr) == (-signal.SIGTERM, "", "")
    assert os.listdir(orcli.home / ".cache" / "orcli") == ["models"]


def test_a_failed_list_leaves_the_kept_ids_alone(orcli: Orcli, openrouter: OpenRouter) -> None:
    kept = orcli.home / ".cache" / "orcli" / "models"
    kept.parent.mkdir(parents=True)
    kept.write_text("a/b\n")
    openrouter.reply(error(500))

    result = orcli("models", "--retries", "0")

    assert (result.code, result.stdout) == (4, "")
    assert kept.read_text() == "a/b\n"


@pytest.mark.parametrize(
    ("reply", "stderr"),
    [
        pytest.param(error(503), "orcli: 503: Provider returned error; try later\n", id="503"),
        pytest.param(html(502), "orcli: 502: a gateway's page; try later\n", id="a gateway's page"),
        pytest.param(
            raw(body=b'{"data": {}}'),
            "orcli: the server answered with no list of models; check API_BASE_URL or try later\n",
            id="no list",
        ),
        pytest.param(
            raw(body=b'{"data": [1, 2'),
            "orcli: the server answered with no list of models; check API_BASE_URL or try later\n",
            id="cut JSON",
        ),
    ],
)
def test_what_is_no_list_is_unavailable(orcli: Orcli, openrouter: OpenRouter, reply: Any, stderr: str) -> None:
    openrouter.reply(reply)

    result = orcli("models", "--retries", "0")

    assert (result.code, result.stdout, result.stderr) == (4, "", stderr)


def test_a_reset_is_tried_again(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.models = [SMALL]
    openrouter.reply(verbatim(RESET))

    result = orcli("models", "mini")

    assert (result.code, result.stdout, result.stderr) == (0, LINES["small"], "")


@pytest.mark.parametrize(
    ("arguments", "stderr"),
    [
        pytest.param(
            ["--sort", "name"], "orcli: --sort is none of id, price, context, created: 'name'; give one\n", id="sort"
        ),
        pytest.param(
            ["--input", "smell"],
            "orcli: --input is none of text, image, file, audio, video: 'smell'; give one\n",
            id="input",
        ),
        pytest.param([""], "orcli: PATTERN is empty; give part of an id, or leave it out\n", id="empty pattern"),
    ],
)
def test_a_wrong_option_is_a_usage_error_before_anything_is_sent(
    orcli: Orcli, openrouter: OpenRouter, arguments: list[str], stderr: str
) -> None:
    result = orcli("models", *arguments)

    assert (result.code, result.stdout, result.stderr) == (2, "", stderr)
    assert openrouter.requests == []


def test_local_models_need_no_network(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("models", "local/")

    assert result.code == 0
    assert result.stdout in ("", "local/smollm2\t8192\t0\t0\ttext\n")
    assert openrouter.requests == []


def test_a_reader_that_leaves_ends_it_quietly(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.models = [model(f"maker/model-{number}") for number in range(5000)]
    openrouter.models_per_page = 5000

    result = orcli.shell("orcli models maker | head -1; echo ${PIPESTATUS[0]}")

    assert (result.stdout, result.stderr) == ("maker/model-0\t128000\t0.15\t0.6\ttext,image,file\n141\n", "")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(
        ["id", "name", "context_length", "created", "architecture", "pricing", "supported_parameters", "nothing"]
    ),
)
@settings(deadline=None, max_examples=200)
def test_an_entry_of_any_shape_is_one_line_of_five_cells_or_none(value: Any, member: str) -> None:
    models = read_models([{**SMALL, member: value}])

    for sort in ("id", "price", "context", "created"):
        assert choose(models, Wish(), sort) == models
    for entry in models:
        assert len(row(entry)) == 5
        assert all(cell.isprintable() and cell and " " not in cell for cell in row(entry))
        assert len(table([entry])) == 2


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param("0.00000015", Decimal("0.15"), id="text"),
        pytest.param("1e-7", Decimal("0.1"), id="exponent"),
        pytest.param(0.000002, Decimal("2"), id="number"),
        pytest.param("0", Decimal(0), id="nothing"),
        pytest.param("-1", None, id="negative"),
        pytest.param("NaN", None, id="not a number"),
        pytest.param("Infinity", None, id="infinite"),
        pytest.param("1e999999999", None, id="beyond all bounds"),
        pytest.param("1e-999990", None, id="below all bounds"),
        pytest.param("0e-999990", Decimal(0), id="nothing in many places"),
        pytest.param("free", None, id="word"),
        pytest.param(None, None, id="missing"),
        pytest.param(True, None, id="truth"),
    ],
)
def test_a_price_is_read_for_what_it_says_or_unknown(price: object, expected: Decimal | None) -> None:
    assert Model({"id": "a", "pricing": {"prompt": price}}).price("prompt") == expected


@pytest.mark.parametrize(
    ("following", "expected"),
    [
        pytest.param("/api/v1/models?offset=2", "https://a.example/api/v1/models?offset=2", id="path"),
        pytest.param("https://a.example/x", "https://a.example/x", id="the same host"),
        pytest.param(None, None, id="the end"),
        pytest.param(7, None, id="a number"),
    ],
)
def test_the_next_page_is_where_the_list_says(following: object, expected: str | None) -> None:
    assert next_path({"links": {"next": following}}, "https://a.example/api/v1") == expected


@pytest.mark.parametrize(
    ("following", "where"),
    [
        pytest.param("https://b.example/x", "https://b.example, which is not asked", id="another host"),
        pytest.param("//b.example/x", "http://b.example, which is not asked", id="another host without a scheme"),
        pytest.param("https://127.0.0.1/x", "https://127.0.0.1, which is not asked", id="another scheme"),
        pytest.param("http://127.0.0.1:9/x", "http://127.0.0.1:9, which is not asked", id="another port"),
        pytest.param("https://u@b.example/", "https://u@b.example, which is not asked", id="a user"),
        pytest.param("http://[", "what is no address", id="no address"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["lines", "json"])
def test_a_list_that_goes_on_elsewhere_is_cut_there_and_says_so(
    orcli: Orcli, openrouter: OpenRouter, following: str, where: str, options: list[str]
) -> None:
    openrouter.reply(raw(body=json.dumps({"data": [SMALL], "links": {"next": following}}).encode()))

    result = orcli("models", *options, "mini")

    assert (result.code, result.stderr) == (5, f"orcli: the list of models goes on at {where}; it is cut\n")
    assert result.stdout == (json.dumps(SMALL, separators=(",", ":")) + "\n" if options else LINES["small"])
    assert len(openrouter.requests) == 1


def test_a_list_without_end_is_cut_and_says_so(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.reply(
        *(
            raw(body=json.dumps({"data": [], "links": {"next": f"/api/v1/models?page={page}"}}).encode())
            for page in range(100)
        )
    )

    result = orcli("models", "nothing", "--json")

    message = "the list of models has more than 100 pages; check API_BASE_URL"
    assert (result.code, result.stderr) == (5, f"orcli: {message}\n")
    assert json.loads(result.stdout)["error"]["message"] == message
    assert len(openrouter.requests) == 100


ADDRESSES = st.text(st.sampled_from("http:/[]@?#.%\\ a\n\0é٣"), max_size=20) | st.text(max_size=20)


@given(ADDRESSES)
@settings(deadline=None, max_examples=300)
@example("http://[")
@example("//b.example")
def test_the_key_goes_to_no_other_host_whatever_the_list_says(following: str) -> None:
    url = None
    with suppress(Incomplete):
        url = next_path({"links": {"next": following}}, "https://a.example/api/v1")

    assert url is None or url.startswith("https://a.example/")


@pytest.mark.parametrize(("code", "expected"), [(401, 3), (402, 3), (429, 4)])
def test_an_error_in_place_of_a_list_counts_by_its_code(
    orcli: Orcli, openrouter: OpenRouter, code: int, expected: int
) -> None:
    openrouter.reply(raw(200, body=json.dumps({"error": {"code": code, "message": "Said why"}}).encode()))

    result = orcli("models", "--retries", "0")

    assert (result.code, result.stdout) == (expected, "")
    assert result.stderr.startswith(f"orcli: {code}: Said why; ")


def test_free_is_what_takes_nothing_for_a_request_either(orcli: Orcli, openrouter: OpenRouter) -> None:
    nothing = {"prompt": "0", "completion": "0"}
    openrouter.models = [
        model("a/fee", pricing={**nothing, "request": "0.05"}),
        model("a/free", pricing={**nothing, "request": "0"}),
    ]

    result = orcli("models", "--free", "a/f")

    assert (result.code, result.stdout) == (0, "a/free\t128000\t0\t0\ttext,image,file\n")
