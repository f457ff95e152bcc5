"""What a TAB costs: the static script for bash, beside the way of Typer, which starts the program itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.benchmarks.measure import Weight, interleaved, weigh

TIMES = 9
TABS = 100
"""How often one bash completes, so that its own start can be taken off."""
MODELS = 500
SCRIPT = "share/bash-completion/completions/orcli"
TYPER = "`naive.py --st`, the program itself"


def print_completion(directory: Path, scripts: Path, environment: Mapping[str, str]) -> None:
    """Print the table of what one TAB takes, in a bash that runs already."""
    models = directory / ".cache" / "orcli" / "models"
    models.parent.mkdir(parents=True, exist_ok=True)
    models.write_text("".join(f"maker/model-{number}:free\n" for number in range(MODELS)))

    def run(*command: str | Path, **more: str) -> Callable[[], Weight]:
        return partial(weigh, [str(word) for word in command], {**environment, **more}, str(directory))

    def static(line: str) -> Callable[[], Weight]:
        words = f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_CWORD={len(line.split()) - 1} COMP_WORDS=({line})"
        repeat = f"for ((tab = 0; tab < {TABS}; tab++)); do _orcli; done"
        return run("bash", "-c", f". {scripts.parent / SCRIPT}; {words}; {repeat}; ((${{#COMPREPLY[@]}}))")

    dynamic = {"COMP_WORDS": "naive.py --st", "COMP_CWORD": "1", "_NAIVE.PY_COMPLETE": "complete_bash"}
    weights = interleaved(
        {
            "bash": run("bash", "-c", ":"),
            "`orcli ask --mo`, the static script": static("orcli ask --mo"),
            f"`orcli ask -m maker/`, the same and {MODELS} models": static("orcli ask -m maker/"),
            TYPER: run(scripts / "python", directory / "naive.py", **dynamic),
        },
        TIMES,
    )
    bash = weights.pop("bash")
    print(f"\n| a TAB (median of {TIMES}) | wall | processor |")
    print("|---|---|---|")
    for name, weight in weights.items():
        wall, processor = weight.wall, weight.processor
        if name != TYPER:
            wall, processor = (wall - bash.wall) / TABS, (processor - bash.processor) / TABS
        print(f"| {name} | {wall * 1000:.1f} ms | {processor * 1000:.1f} ms |")
