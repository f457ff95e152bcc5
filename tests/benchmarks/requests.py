"""What a long request costs over a short one, beside a script that does no more than read, encode and send it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests import samples
from tests.benchmarks.bench import Bench, print_table
from tests.benchmarks.measure import weigh_apart
from tests.openrouter import completion

TIMES = 5
TEXT_BYTES, MESSAGES, IMAGE_BYTES = 20_000_000, 2_000, 15_000_000

BARE = """
import base64, http.client, json, sys, urllib.parse
url, form = sys.argv[1:]
data = sys.stdin.buffer.read()
if form == "text":
    messages = [{"role": "user", "content": data.decode()}]
elif form == "messages":
    messages = [json.loads(line) for line in data.splitlines()]
else:
    image = "data:image/png;base64," + base64.b64encode(data).decode()
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}]}]
body = json.dumps({"model": "m", "messages": messages}, ensure_ascii=False).encode()
address = urllib.parse.urlsplit(url)
connection = http.client.HTTPConnection(address.netloc)
connection.request("POST", address.path + "/chat/completions", body, {"Content-Type": "application/json"})
print(json.load(connection.getresponse())["choices"][0]["message"]["content"])
"""


@dataclass(frozen=True)
class Cost:
    """Processor time in milliseconds and peak memory in MiB."""

    processor: float
    memory: float


def print_requests(bench: Bench) -> None:
    """Print what text, messages and an image of some megabytes cost over those of some bytes."""
    directory, environment = bench.directory, bench.environment
    bench.server.default = completion()
    _write(directory / "small", TEXT_BYTES // 1_000_000, 2, 1)
    _write(directory / "large", TEXT_BYTES, MESSAGES, IMAGE_BYTES)
    bare = directory / "bare.py"
    bare.write_text(BARE)
    url = environment["API_BASE_URL"]
    rows = []
    for name, form, command in (
        (f"`ask`, {TEXT_BYTES // 1_000_000} MB of text on standard input", "text", ["ask", "hi"]),
        (f"`ask --messages`, {MESSAGES:,} messages", "messages", ["ask", "--messages", "messages", "hi"]),
        (f"`ask -c`, {MESSAGES:,} messages", "messages", ["ask", "-n", "-c", "talk", "hi"]),
        (f"`vision`, an image of {IMAGE_BYTES // 1_000_000} MB", "image", ["vision", "-q", "hi"]),
        (f"`vision -c`, an image of {IMAGE_BYTES // 1_000_000} MB", "image", ["vision", "-q", "-c", "talk", "hi"]),
    ):
        cells = [name]
        for words in (["orcli", *command], ["python", str(bare), url, form]):
            small, large = (_weigh(words, directory / size, form, environment) for size in ("small", "large"))
            cells += [f"{large.processor - small.processor:.0f} ms", f"{large.memory - small.memory:.0f} MiB"]
        rows.append(cells)
    headings = [f"over a short request (median of {TIMES})", "processor", "peak", "bare script: processor", "peak"]
    print_table(headings, rows)


def _write(directory: Path, text: int, messages: int, image: int) -> None:
    """Write a text of so many bytes, a conversation of so many messages and an image of so many bytes."""
    line = 'The street is 4 m wide, "more or less", says the Größenordnung.\n'
    turns = [{"role": role, "content": line * 20} for role in ("user", "assistant")] * (messages // 2)
    directory.mkdir(exist_ok=True)
    (directory / "text").write_bytes(line.encode() * max(text // len(line.encode()), 1))
    (directory / "messages").write_bytes("".join(json.dumps(turn) + "\n" for turn in turns).encode())
    (directory / "image").write_bytes(samples.png_of_size(max(image, len(samples.PNG))))


def _weigh(command: Sequence[str], directory: Path, form: str, environment: Mapping[str, str]) -> Cost:
    """Run a command some times, each with the same conversation and this file as its input, and give the medians."""
    costs = []
    for _ in range(TIMES):
        talk = (directory / "messages").read_bytes() if form == "messages" else b""
        (directory / "talk").write_bytes(talk)
        with open(directory / form, "rb") as given:
            weight = weigh_apart(command, environment, directory, given)
        costs.append(Cost(weight.processor * 1000, weight.memory))
    return Cost(median(cost.processor for cost in costs), median(cost.memory for cost in costs))
