"""Long requests cost what they are: one text, one body, and nothing of them twice that is not needed twice."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import samples
from tests.command import Orcli, interpreter
from tests.openrouter import OpenRouter, as_asked

SIZE = 16_000_000
PEAK = """
import resource, subprocess, sys
name, *command = sys.argv[1:]
with open(f"{name}.out", "wb") as out:
    code = subprocess.run(command, stdout=out).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command from a small process: the kernel counts what a process held before it became the command."""

LINE = 'Größe der Straße, "zwölf" Meter\n'
ASTRAL_LINE = f"😀 {LINE}"


def text_of(line: str, size: int) -> bytes:
    """Give so many bytes of a line repeated, none less than one line."""
    return line.encode() * max(size // len(line.encode()), 1)


def talk(size: int) -> bytes:
    """Give a conversation of 2,000 messages of so many bytes in all, one a line."""
    content = LINE * max(size // 2000 // len(LINE.encode()), 1)
    turns = [{"role": role, "content": content} for role in ("user", "assistant")]
    return "".join(json.dumps(turn, ensure_ascii=False) + "\n" for turn in turns * 1000).encode()


def seen(size: int) -> bytes:
    """Give a conversation about an image of so many bytes."""
    url = f"data:image/png;base64,{'QUJD' * (size // 3)}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "A cat."}]
    return "".join(json.dumps(turn) + "\n" for turn in turns).encode()


def png(size: int) -> bytes:
    """Give an image of so many bytes."""
    return samples.png_of_size(max(size, len(samples.PNG)))


@pytest.mark.parametrize(
    ("script", "data", "most"),
    [
        pytest.param("orcli ask hi < {}", lambda size: text_of(LINE, size), 2, id="standard input"),
        pytest.param("orcli ask hi {}", lambda size: text_of(LINE, size), 2, id="file"),
        pytest.param("orcli ask < {}", lambda size: text_of(LINE, size), 2, id="prompt"),
        pytest.param("orcli stream hi < {}", lambda size: text_of(LINE, size), 2, id="stream"),
        pytest.param("orcli ask hi < {}", lambda size: text_of(ASTRAL_LINE, size), 5, id="four bytes a character"),
        pytest.param("orcli ask -c new hi < {}", lambda size: text_of(LINE, size), 3, id="new conversation"),
        pytest.param("orcli ask --messages {} hi", talk, 2.5, id="2,000 messages"),
        pytest.param("orcli ask -c {} hi", talk, 2.5, id="conversation of 2,000 messages"),
        pytest.param("orcli ask -c {} hi", seen, 2.5, id="conversation about an image"),
        pytest.param("orcli vision -q hi {}", png, 1.7, id="image"),
        pytest.param("orcli vision -q --stream hi < {}", png, 1.7, id="image on standard input"),
        pytest.param("orcli vision -q --dry-run hi {}", png, 3, id="dry run"),
        pytest.param("orcli vision -q -c new hi {}", png, 3, id="image in a new conversation"),
    ],
)
def test_what_is_sent_costs_little_more_than_its_size(
    orcli: Orcli, openrouter: OpenRouter, script: str, data: Callable[[int], bytes], most: float
) -> None:
    openrouter.default = as_asked
    orcli.file("peak.py", PEAK)

    def peak(name: str, size: int) -> int:
        path = orcli.file(name, data(size))
        (orcli.work / "new").unlink(missing_ok=True)
        python = shlex.quote(str(interpreter()))
        result = orcli.shell(f"{python} peak.py {name} {script.format(path)}")
        code, kilobytes = result.stdout.split()
        assert (code, result.stderr) == ("0", "")
        return int(kilobytes) * 1024

    cost = peak("large", SIZE) - peak("small", 3000)

    body = max(
        (request.body for request in openrouter.requests), key=len, default=(orcli.work / "large.out").read_bytes()
    )
    assert len(body) > SIZE
    assert body.strip() == json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode()
    assert 0.9 * len(body) < cost <= most * len(body)


def test_where_the_allocator_cannot_be_told_all_goes_on(orcli: Orcli, openrouter: OpenRouter, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ctypes'] = None\n")
    path = orcli.file("large", text_of(LINE, SIZE))

    result = orcli("ask", "hi", path, env={"PYTHONPATH": str(tmp_path)})

    assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
    assert openrouter.requests[0].json["messages"] == [{"role": "user", "content": f"hi\n\n{path.read_text()}"}]
