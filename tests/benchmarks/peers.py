"""The commands that orcli is measured beside: the naive script, and other tools set up to ask the same server."""

from __future__ import annotations

import json
import subprocess
from functools import partial

from tests.benchmarks.bench import Bench
from tests.benchmarks.measure import Run
from tests.install import install

KEY = "sk-or-v1-test"
MODEL = "openai/gpt-4o-mini"

NAIVE = """
import os
import typer
from openai import OpenAI

app = typer.Typer()


@app.command()
def main(prompt: str, stream: bool = False, model: str = "openai/gpt-4o-mini") -> None:
    client = OpenAI(base_url=os.environ["API_BASE_URL"], api_key=os.environ["OPENROUTER_API_KEY"])
    messages = [{"role": "user", "content": prompt}]
    if stream:
        for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
            if chunk.choices:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()
    else:
        print(client.chat.completions.create(model=model, messages=messages).choices[0].message.content)


app()
"""


def naive(bench: Bench) -> dict[str, Run]:
    """Give the runs of what anybody would write first, with the packages that orcli has."""
    script = bench.directory / "naive.py"
    script.write_text(NAIVE)
    return {
        "naive ask": bench.run("python", script, "hi"),
        "naive stream": bench.run("python", script, "--stream", "hi"),
    }


def other_tools(bench: Bench) -> dict[str, Run]:
    """Give the runs of other tools; one that cannot be installed or asks nothing is left out, with a line about it."""
    runs: dict[str, Run] = {}
    for name, set_up in (("llm", llm), ("shell_gpt", shell_gpt)):
        try:
            own = set_up(bench)
            for run in own.values():
                asked = len(bench.server.requests)
                run()
                if len(bench.server.requests) == asked:
                    raise RuntimeError("it did not ask the server")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"{name} is left out: {error}\n")
        else:
            runs |= own
    return runs


def llm(bench: Bench) -> dict[str, Run]:
    """Install llm with a model at the server; its database is off."""
    scripts = install(bench.directory / "llm", "llm")
    settings = bench.directory / "llm-settings"
    settings.mkdir()
    model = {
        "model_id": "loopback",
        "model_name": MODEL,
        "api_base": bench.server.base_url,
        "api_key_name": "loopback",
    }
    # What is JSON is YAML too.
    (settings / "extra-openai-models.yaml").write_text(json.dumps([model]))
    (settings / "keys.json").write_text(json.dumps({"loopback": KEY}))
    ask = partial(bench.run, scripts / "llm", "--no-log", "--model", "loopback", env={"LLM_USER_PATH": str(settings)})
    return {"llm ask": ask("--no-stream", "hi"), "llm stream": ask("hi")}


def shell_gpt(bench: Bench) -> dict[str, Run]:
    """Install shell_gpt with the server as its API; it has streams only, and its cache and its Markdown are off."""
    # It imports click, which it gets through Typer, and Typer has none since 0.26.
    scripts = install(bench.directory / "shell_gpt", "shell-gpt", "typer<0.26")
    home = bench.directory / "shell_gpt-home"
    home.mkdir()
    env = {"HOME": str(home), "TMPDIR": str(home), "OPENAI_API_KEY": KEY}
    words = ("--no-cache", "--no-md", "--no-interaction", "--no-functions", "--model", MODEL, "hi")
    return {"shell_gpt stream": bench.run(scripts / "sgpt", *words, env=env)}
