"""What a connection made while modules load saves over TLS, from a server that is far away."""

from __future__ import annotations

from tests.benchmarks.bench import Bench, print_table
from tests.benchmarks.measure import interleaved
from tests.benchmarks.relay import Relay
from tests.openrouter import OpenRouter, self_signed

TIMES = 15
ROUND_TRIPS = (0.03, 0.1)
WITHOUT = "import orcli.preconnect\norcli.preconnect.preconnect = lambda url: None\n"


def print_distance(bench: Bench) -> None:
    """Print what `ask` takes with and without the early connection, at each round-trip time."""
    context, certificate = self_signed(bench.directory)
    without = bench.directory / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text(WITHOUT)
    rows = []
    with OpenRouter(tls=context) as server:
        for seconds in ROUND_TRIPS:
            with Relay(server.port, seconds) as relay:
                distant = {
                    "API_BASE_URL": f"https://127.0.0.1:{relay.port}/api/v1",
                    "SSL_CERT_FILE": str(certificate),
                }
                runs = {
                    "with": bench.run("orcli", "ask", "hi", env=distant),
                    "without": bench.run("orcli", "ask", "hi", env={**distant, "PYTHONPATH": str(without)}),
                }
                weights = interleaved(runs, TIMES)
            early, late = weights["with"].wall, weights["without"].wall
            rows.append([f"{time * 1000:.0f} ms" for time in (seconds, early, late, late - early)])
    print_table(["TLS at a round trip of", "ask", "without the early connection", "saved"], rows)
