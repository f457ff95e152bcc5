"""The client's packages loaded lazily: the same names, the same behaviour, far fewer modules, and a way back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Orcli
from tests.openrouter import OpenRouter, error, stream, text_stream

MODULES_AT_MOST = 470
"""Modules of a whole `ask`; the eager way loads over 900."""


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


def test_a_request_loads_less_than_half_of_the_modules(orcli: Orcli) -> None:
    def loaded(eager: str | None) -> int:
        result = orcli("ask", "hi", env={"PYTHONPROFILEIMPORTTIME": "1", "ORCLI_EAGER": eager})
        assert result.code == 0
        return sum(line.startswith("import time:") for line in result.stderr.splitlines())

    lazy, eager = loaded(None), loaded("1")

    assert lazy < MODULES_AT_MOST < eager
