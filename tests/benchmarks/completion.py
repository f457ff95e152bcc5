"""What a TAB costs: the static script for bash, beside the way of Typer, which starts the program itself."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.bench import Bench, print_table
from tests.benchmarks.measure import Run, interleaved
from tests.benchmarks.peers import NAIVE

TIMES = 9
TABS = 100
"""How often one bash completes, so that its own start can be taken off."""
MODELS = 500
SCRIPT = "share/bash-completion/completions/orcli"
TYPER = "`naive.py --st`, the program itself"


def print_completion(bench: Bench) -> None:
    """Print what one TAB takes, in a bash that runs already."""
    models = bench.directory / ".cache" / "orcli" / "models"
    models.parent.mkdir(parents=True, exist_ok=True)
    models.write_text("".join(f"maker/model-{number}:free\n" for number in range(MODELS)))
    naive = bench.directory / "naive.py"
    naive.write_text(NAIVE)
    script = Path(bench.environment["PATH"].partition(":")[0]).parent / SCRIPT

    def static(line: str) -> Run:
        words = f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_CWORD={len(line.split()) - 1} COMP_WORDS=({line})"
        repeat = f"for ((tab = 0; tab < {TABS}; tab++)); do _orcli; done"
        return bench.run("bash", "-c", f". {script}; {words}; {repeat}; ((${{#COMPREPLY[@]}}))")

    dynamic = {"COMP_WORDS": "naive.py --st", "COMP_CWORD": "1", "_NAIVE.PY_COMPLETE": "complete_bash"}
    weights = interleaved(
        {
            "bash": bench.run("bash", "-c", ":"),
            "`orcli ask --mo`, the static script": static("orcli ask --mo"),
            f"`orcli ask -m maker/`, the same and {MODELS} models": static("orcli ask -m maker/"),
            TYPER: bench.run("python", naive, env=dynamic),
        },
        TIMES,
    )
    bash = weights.pop("bash")
    rows = []
    for name, weight in weights.items():
        wall, processor = weight.wall, weight.processor
        if name != TYPER:
            wall, processor = (wall - bash.wall) / TABS, (processor - bash.processor) / TABS
        rows.append([name, f"{wall * 1000:.1f} ms", f"{processor * 1000:.1f} ms"])
    print_table([f"a TAB (median of {TIMES})", "wall", "processor"], rows)
