"""The client's packages loaded lazily: the same names, the same behaviour, far fewer modules, and a way back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import samples
from tests.command import Orcli, interpreter
from tests.openrouter import OpenRouter, as_asked, error, stream, text_stream


def python(code: str, **env: str) -> str:
    """Run code in a fresh interpreter and give what it prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_every_name_of_the_real_init_is_the_same_object_lazily() -> None:
    code = """
import importlib, sys
from orcli.lazy import lazy_packages
with lazy_packages():
    import openai
lazy = {name: getattr(openai, name) for name in ("OpenAI", "Omit", "Stream", "APIStatusError", "Timeout")}
assert "openai.types.chat" not in sys.modules
real = importlib.import_module("openai")
assert lazy["OpenAI"] is importlib.import_module("openai._client").OpenAI
assert lazy["Omit"] is importlib.import_module("openai._types").Omit
assert lazy["Stream"] is importlib.import_module("openai._streaming").Stream
assert lazy["APIStatusError"] is importlib.import_module("openai._exceptions").APIStatusError
from openai.types.chat import ChatCompletion
assert ChatCompletion.model_json_schema()["title"] == "ChatCompletion"
openai.api_key
assert all(getattr(openai, name) is value for name, value in lazy.items())
print("same")
"""
    assert python(code) == "same\n"


def test_a_missing_name_is_an_attribute_error() -> None:
    code = """
from orcli.lazy import lazy_packages
with lazy_packages():
    import openai
try:
    openai.no_such_name
except AttributeError as error:
    print("no_such_name" in str(error))
"""
    assert python(code) == "True\n"


def test_asyncio_is_not_loaded_by_the_client_and_whole_for_whoever_asks() -> None:
    code = """
import sys
from orcli.lazy import lazy_packages
with lazy_packages():
    from openai import OpenAI
assert "asyncio" in sys.modules and "asyncio.base_events" not in sys.modules
names = {}
exec("from asyncio import *", names)
import asyncio
assert set(asyncio.__all__) <= set(names)
async def answer():
    await asyncio.sleep(0)
    return 42
print(asyncio.run(answer()))
"""
    assert python(code) == "42\n"


def test_what_was_loaded_before_is_not_forgotten() -> None:
    code = """
import asyncio, sys
from orcli.lazy import lazy_packages
before = dict(sys.modules)
try:
    with lazy_packages():
        from openai import NoSuchName
except ImportError:
    pass
print(all(sys.modules[name] is module for name, module in before.items()))
"""
    assert python(code) == "True\n"


def test_what_goes_wrong_inside_is_forgotten_and_loads_eagerly() -> None:
    code = """
import sys
from orcli.lazy import lazy_packages
before = len(sys.meta_path)
try:
    with lazy_packages():
        import openai, httpcore2
        from openai import NoSuchName
except ImportError:
    pass
assert len(sys.meta_path) == before
assert not [name for name in sys.modules if name.split(".")[0] in ("openai", "httpcore2")]
from openai import OpenAI
print(len(sys.modules) > 700)
"""
    assert python(code) == "True\n"


def test_an_interpreter_with_lazy_imports_of_its_own_uses_those() -> None:
    code = """
import sys
asked = []
sys.set_lazy_imports = asked.append
from orcli.lazy import lazy_packages
before = len(sys.meta_path)
with lazy_packages():
    import openai
print(asked, len(sys.meta_path) == before)
"""
    assert python(code) == "['all'] True\n"


def test_the_client_falls_back_when_the_lazy_way_breaks(orcli: Orcli, openrouter: OpenRouter, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import orcli.lazy\ndef broken(real):\n    raise RuntimeError('surprise')\norcli.lazy._reexports = broken\n"
    )

    result = orcli("ask", "hi", env={"ORCLI_EAGER": None, "PYTHONPATH": str(tmp_path)})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")


@pytest.mark.parametrize("env", [{"ORCLI_EAGER": None}, {"ORCLI_EAGER": "1"}], ids=["lazy", "eager"])
def test_both_ways_behave_the_same(orcli: Orcli, openrouter: OpenRouter, env: dict[str, str | None]) -> None:
    openrouter.reply(error(500), error(401, "No auth credentials found"), stream(*text_stream("Hello", ".")))

    failed = orcli("ask", "--retries", "1", "hi", env=env)
    streamed = orcli("stream", "hi", env=env)

    assert (failed.code, failed.stdout) == (3, "")
    assert failed.stderr == "orcli: 401: No auth credentials found; check OPENROUTER_API_KEY\n"
    assert (streamed.code, streamed.stdout, streamed.stderr) == (0, "Hello.\n", "")


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """Give the modules that the interpreter and the script of an entry point load by themselves."""
    run = subprocess.run(
        [interpreter(), "-X", "importtime", "-c", "import re"], capture_output=True, text=True, check=True
    )
    return imported(run.stderr)


def imported(report: str) -> set[str]:
    """Read the modules from what the interpreter reports of its imports."""
    return {line.rpartition("|")[2].strip() for line in report.splitlines() if line.startswith("import time:")}


LIGHT = {"rich", "jsonschema_rs", "dotenv", "asyncio.base_events", "encodings.idna", "openai.types.chat"}
"""What no run loads that does not need it; the client's own packages in a run without a request come on top."""
CLIENT = {"openai", "httpx2", "httpcore2", "pydantic", "anyio", "asyncio", "ssl", "socket"}


@pytest.mark.parametrize(
    ("arguments", "code", "unwanted", "most"),
    [
        pytest.param(["ask", "hi"], 0, LIGHT, 382, id="ask"),
        pytest.param(["stream", "hi"], 0, LIGHT, 384, id="stream"),
        pytest.param(["tool", "--tools", "tools.json", "hi"], 0, LIGHT - {"jsonschema_rs"}, 389, id="tool"),
        pytest.param(["vision", "hi", "a.png"], 0, LIGHT, 383, id="vision"),
        pytest.param(["ask", "--dry-run", "hi"], 0, LIGHT | CLIENT, 142, id="dry run"),
        pytest.param(["ask", "--help"], 0, LIGHT | CLIENT, 136, id="help of a command"),
        pytest.param(["--help"], 0, LIGHT | CLIENT, 136, id="help"),
        pytest.param(["ask", "--typo"], 2, LIGHT | CLIENT, 135, id="usage error"),
        pytest.param(["--version"], 0, LIGHT | CLIENT, 4, id="version"),
    ],
)
def test_a_run_loads_no_more_modules_than_it_did(
    orcli: Orcli,
    openrouter: OpenRouter,
    bare: set[str],
    arguments: list[str],
    code: int,
    unwanted: set[str],
    most: int,
) -> None:
    orcli.file("tools.json", json.dumps([{"type": "function", "function": {"name": "f", "parameters": {}}}]))
    orcli.file("a.png", samples.PNG)
    openrouter.default = as_asked

    result = orcli(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1", "ORCLI_EAGER": None})

    loaded = imported(result.stderr) - bare
    assert result.code == code
    assert loaded & unwanted == set()
    assert len(loaded) <= most, sorted(loaded)


def test_the_version_loads_these_modules_alone(orcli: Orcli, bare: set[str]) -> None:
    result = orcli("--version", env={"PYTHONPROFILEIMPORTTIME": "1"})

    assert imported(result.stderr) - bare == {"__future__", "orcli", "orcli.cli", "orcli.version"}


def test_the_eager_way_loads_it_all(orcli: Orcli) -> None:
    result = orcli("ask", "hi", env={"PYTHONPROFILEIMPORTTIME": "1", "ORCLI_EAGER": "1"})

    assert {"openai.types.chat", "asyncio.base_events"} <= imported(result.stderr)
