"""Whole commands, from the start of the process to its end, beside the bare interpreter, curl and other tools."""

from __future__ import annotations

from tests.benchmarks.bench import Bench, print_table
from tests.benchmarks.measure import Run, interleaved
from tests.benchmarks.peers import MODEL, naive, other_tools
from tests.openrouter import Reply, Request, completion, stream, text_stream

TIMES = 15


def answer(request: Request) -> Reply:
    """Answer a request in the way it asks for, whole or as a stream."""
    return stream(*text_stream("Hello", ".")) if request.json.get("stream") else completion()


def print_commands(bench: Bench) -> None:
    """Print what each command takes, as ratios to the bare interpreter, the naive script and llm."""
    bench.server.default = answer
    url = f"{bench.server.base_url}/chat/completions"
    body = f'{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}}]}}'
    runs: dict[str, Run] = {
        "python -c pass": bench.run("python", "-c", "pass"),
        "curl": bench.run("curl", "-s", url, "-d", body),
        **naive(bench),
        **other_tools(bench),
        "orcli ask": bench.run("orcli", "ask", "hi"),
        "orcli stream": bench.run("orcli", "stream", "hi"),
        "orcli ask --dry-run": bench.run("orcli", "ask", "--dry-run", "hi"),
        "orcli ask --help": bench.run("orcli", "ask", "--help"),
        "orcli --version": bench.run("orcli", "--version"),
        "orcli ask --typo": bench.run("orcli", "ask", "--typo", code=2),
    }
    weights = interleaved(runs, TIMES)

    def ratio(wall: float, name: str, digits: int) -> str:
        return f"{wall / weights[name].wall:.{digits}f}" if name in weights else "–"

    print_table(
        [f"command (median of {TIMES})", "wall", "of bare Python", "of naive ask", "of llm ask", "processor", "peak"],
        [
            [
                name,
                f"{weight.wall * 1000:.0f} ms",
                ratio(weight.wall, "python -c pass", 1),
                ratio(weight.wall, "naive ask", 2),
                ratio(weight.wall, "llm ask", 2),
                f"{weight.processor * 1000:.0f} ms",
                f"{weight.memory:.0f} MiB",
            ]
            for name, weight in weights.items()
        ],
    )
