"""What a thousand requests through one pipe cost, beside the ideal, xargs with curl and xargs with orcli."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.bench import Bench, print_table
from tests.benchmarks.measure import Weight, interleaved, weigh_apart
from tests.openrouter import Pause, completion

REQUESTS, SECONDS, JOBS = 1000, 0.1, 64
ASKS, ASK_JOBS = 96, 8
SIZES = (1_000, 100_000)


def print_batch(bench: Bench) -> None:
    """Print what 1,000 requests of 100 ms take in several ways, and the peak memory of short and long inputs."""
    bench.server.default = completion().with_(delay=Pause(seconds=SECONDS))
    one, many = _input(bench.directory, 1), _input(bench.directory, REQUESTS)
    url = f"{bench.server.base_url}/chat/completions"
    body = json.dumps({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]})
    curl = f"seq {REQUESTS} | xargs -P {JOBS} -I % curl -s {url} -d '{body}'"
    ask = f"seq {ASKS} | xargs -P {ASK_JOBS} -I % orcli ask -n %"
    weights = interleaved(
        {
            "one": bench.run("orcli", "batch", one),
            "batch": bench.run("orcli", "batch", "-j", str(JOBS), many),
            "curl": bench.run("sh", "-c", curl),
            "ask": bench.run("sh", "-c", ask),
        },
        3,
    )
    ideal = REQUESTS * SECONDS / JOBS
    start = weights["one"].wall - SECONDS
    scale = REQUESTS / ASKS
    rows = {
        f"ideal: {REQUESTS} × {SECONDS:g} s / {JOBS}": Weight(ideal, 0, 0),
        f"orcli batch -j {JOBS}, its start-up of {start:.2f} s apart": Weight(
            weights["batch"].wall - start, weights["batch"].processor, 0
        ),
        f"orcli batch -j {JOBS}, whole": weights["batch"],
        f"xargs -P {JOBS} curl": weights["curl"],
        f"xargs -P {ASK_JOBS} orcli ask, {ASKS} scaled to {REQUESTS}": Weight(
            weights["ask"].wall * scale, weights["ask"].processor * scale, 0
        ),
    }
    print_table(
        [f"{REQUESTS} requests of {SECONDS * 1000:.0f} ms (median of 3)", "wall", "of the ideal speed", "processor"],
        [
            [name, f"{weight.wall:.2f} s", f"{ideal / weight.wall:.2f}", f"{weight.processor:.2f} s"]
            for name, weight in rows.items()
        ],
    )
    bench.server.default = completion()
    print_table(
        ["orcli batch", "peak"],
        [[f"{size:,} lines", f"{_peak(bench, size):.0f} MiB"] for size in SIZES],
    )


def _input(directory: Path, size: int) -> Path:
    path = directory / f"lines-{size}"
    path.write_text("".join(f'"prompt {number}"\n' for number in range(size)))
    return path


def _peak(bench: Bench, size: int) -> float:
    """Give the peak memory of a batch of so many lines in MiB."""
    command = ["orcli", "batch", str(_input(bench.directory, size))]
    return weigh_apart(command, bench.environment, bench.directory).memory
