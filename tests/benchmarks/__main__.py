"""Prints how long whole commands take and what a streamed chunk costs, as ratios to peers of the same run."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.benchmarks.completion import print_completion
from tests.benchmarks.measure import Weight, interleaved, weigh
from tests.benchmarks.peers import NAIVE, install
from tests.benchmarks.relay import Relay
from tests.openrouter import (
    Object,
    OpenRouter,
    Reply,
    Request,
    chunk,
    completion,
    self_signed,
    stream,
    text_stream,
)

TIMES = 15
CHUNKS = (5_000, 50_000)
TYPED = "openai's typed loop"
ROOT = Path(__file__).parents[2]

Runs = dict[str, Callable[[], Weight]]


def answer(request: Request) -> Reply:
    """Answer a request in the way it asks for, whole or as a stream."""
    return stream(*text_stream("Hello", ".")) if request.json.get("stream") else completion()


def small_chunks(number: int) -> Iterator[Object]:
    """Yield a stream of so many chunks of one short word each."""
    piece = chunk("word ")
    for _ in range(number):
        yield piece
    yield chunk("", finish_reason="stop")


def main() -> None:
    """Install what is measured into environments of its own, measure it, and print two tables."""
    with tempfile.TemporaryDirectory() as name, OpenRouter() as server:
        directory = Path(name)
        scripts = install(directory, "orcli", str(ROOT))
        if scripts is None:
            sys.exit("orcli could not be installed")
        (directory / "naive.py").write_text(NAIVE)
        environment = {
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "HOME": name,
            "LANG": "C.UTF-8",
            "OPENROUTER_API_KEY": "sk-or-v1-test",
            "API_BASE_URL": server.base_url,
        }
        print_commands(server, directory, scripts, environment)
        print_chunks(server, directory, scripts, environment)
        print_distance(directory, scripts, environment)
        print_completion(directory, scripts, environment)


def print_commands(server: OpenRouter, directory: Path, scripts: Path, environment: Mapping[str, str]) -> None:
    """Print the table of whole commands, each beside the bare interpreter and the naive script."""
    server.default = answer

    def run(*command: str | Path, code: int = 0) -> Callable[[], Weight]:
        words = [str(word) for word in command]
        return partial(weigh, words, environment, str(directory), (code,))

    python, orcli, naive = scripts / "python", scripts / "orcli", directory / "naive.py"
    url = f"{server.base_url}/chat/completions"
    body = '{"model":"openai/gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}'
    runs: Runs = {
        "python -c pass": run(python, "-c", "pass"),
        "curl": run("curl", "-s", url, "-d", body),
        "naive ask": run(python, naive, "hi"),
        "naive stream": run(python, naive, "--stream", "hi"),
        "orcli ask": run(orcli, "ask", "hi"),
        "orcli stream": run(orcli, "stream", "hi"),
        "orcli ask --dry-run": run(orcli, "ask", "--dry-run", "hi"),
        "orcli ask --help": run(orcli, "ask", "--help"),
        "orcli --version": run(orcli, "--version"),
        "orcli ask --typo": run(orcli, "ask", "--typo", code=2),
    }
    weights = interleaved(runs, TIMES)
    bare, plain = weights["python -c pass"].wall, weights["naive ask"].wall
    print(f"| command (median of {TIMES}) | wall | of bare Python | of naive ask | processor | peak |")
    print("|---|---|---|---|---|---|")
    for name, weight in weights.items():
        print(
            f"| {name} | {weight.wall * 1000:.0f} ms | {weight.wall / bare:.1f} | {weight.wall / plain:.2f} "
            f"| {weight.processor * 1000:.0f} ms | {weight.memory:.0f} MiB |"
        )


def print_chunks(server: OpenRouter, directory: Path, scripts: Path, environment: Mapping[str, str]) -> None:
    """Print what a streamed chunk costs: the processor time between a short and a long stream, per chunk."""
    url = f"{server.base_url}/chat/completions"
    commands = {
        "orcli stream": [str(scripts / "orcli"), "stream", "hi"],
        TYPED: [str(scripts / "python"), str(directory / "naive.py"), "--stream", "hi"],
        "curl": ["curl", "-sN", url, "-d", '{"stream":true}'],
    }
    weights: dict[int, dict[str, Weight]] = {}
    for number in CHUNKS:
        server.default = stream(list(small_chunks(number)))
        runs: Runs = {name: partial(weigh, words, environment, str(directory)) for name, words in commands.items()}
        weights[number] = interleaved(runs, 3)
    few, many = CHUNKS
    print(f"\n| stream ({few} and {many} chunks) | processor per chunk | of the typed loop | peak, short and long |")
    print("|---|---|---|---|")
    costs = {name: (weights[many][name].processor - weights[few][name].processor) / (many - few) for name in commands}
    for name, cost in costs.items():
        print(
            f"| {name} | {cost * 1e6:.1f} µs | {cost / costs[TYPED]:.2f} "
            f"| {weights[few][name].memory:.0f} and {weights[many][name].memory:.0f} MiB |"
        )


def print_distance(directory: Path, scripts: Path, environment: Mapping[str, str]) -> None:
    """Print what a connection made while modules load saves over TLS, at two round-trip times."""
    context, certificate = self_signed(directory)
    without = directory / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text(
        "import orcli.preconnect\norcli.preconnect.preconnect = lambda url: None\n"
    )
    print("\n| TLS at a round trip of | ask | without the early connection | saved |")
    print("|---|---|---|---|")
    with OpenRouter(tls=context) as server:
        for seconds in (0.03, 0.1):
            with Relay(server.port, seconds) as relay:
                distant = {
                    **environment,
                    "API_BASE_URL": f"https://127.0.0.1:{relay.port}/api/v1",
                    "SSL_CERT_FILE": str(certificate),
                }
                words = [str(scripts / "orcli"), "ask", "hi"]
                weights = interleaved(
                    {
                        "with": partial(weigh, words, distant, str(directory)),
                        "without": partial(weigh, words, {**distant, "PYTHONPATH": str(without)}, str(directory)),
                    },
                    TIMES,
                )
            early, late = weights["with"].wall, weights["without"].wall
            print(
                f"| {seconds * 1000:.0f} ms | {early * 1000:.0f} ms | {late * 1000:.0f} ms "
                f"| {(late - early) * 1000:.0f} ms |"
            )


if __name__ == "__main__":
    main()
