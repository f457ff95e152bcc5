"""The commands that orcli is measured beside: the naive script, and other tools in an environment of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def install(directory: Path, name: str, *requirements: str) -> Path | None:
    """Install packages into a new environment of that name and give its scripts' directory; None where that fails."""
    environment = directory / name
    try:
        subprocess.run([sys.executable, "-m", "venv", environment], check=True, capture_output=True)
        pip = environment / "bin" / "pip"
        subprocess.run([pip, "install", "-q", *requirements], check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError):
        return None
    return environment / "bin"
