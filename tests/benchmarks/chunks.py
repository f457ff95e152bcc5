"""What a streamed chunk costs: the processor time between a short stream and a long one, per chunk."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.bench import Bench, print_table
from tests.benchmarks.measure import Weight, interleaved
from tests.benchmarks.peers import naive
from tests.openrouter import Object, chunk, stream

TIMES = 3
FEW, MANY = 5_000, 50_000
TYPED = "openai's typed loop"


def small_chunks(number: int) -> Iterator[Object]:
    """Yield a stream of so many chunks of one short word each."""
    piece = chunk("word ")
    for _ in range(number):
        yield piece
    yield chunk("", finish_reason="stop")


def print_chunks(bench: Bench) -> None:
    """Print the cost of a chunk for orcli, for the client's own loop, and for curl, which only copies."""
    runs = {
        "orcli stream": bench.run("orcli", "stream", "hi"),
        TYPED: naive(bench)["naive stream"],
        "curl": bench.run("curl", "-sN", f"{bench.server.base_url}/chat/completions", "-d", '{"stream":true}'),
    }
    weights: dict[int, dict[str, Weight]] = {}
    for number in (FEW, MANY):
        bench.server.default = stream(list(small_chunks(number)))
        weights[number] = interleaved(runs, TIMES)
    costs = {name: (weights[MANY][name].processor - weights[FEW][name].processor) / (MANY - FEW) for name in runs}
    print_table(
        [f"stream ({FEW} and {MANY} chunks)", "processor per chunk", "of the typed loop", "peak, short and long"],
        [
            [
                name,
                f"{cost * 1e6:.1f} µs",
                f"{cost / costs[TYPED]:.2f}",
                f"{weights[FEW][name].memory:.0f} and {weights[MANY][name].memory:.0f} MiB",
            ]
            for name, cost in costs.items()
        ],
    )
