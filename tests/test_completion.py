"""Completion in the real shells, on a terminal: what is typed, a TAB, and the words that the command then gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command import Orcli, Terminal
from tests.shipped import need, share_directory

pytestmark = pytest.mark.debian

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
SHELLS = ("bash", "bash alone", "zsh", "fish")
WORDS = re.compile(rb"given: (.*)\|end")
STUB = """#!/bin/sh
printf 'given: '; for word; do printf '%s|' "$word"; done; echo end
"""


@pytest.fixture(params=SHELLS, ids=lambda name: name.replace(" ", "-"))
def shell(request: pytest.FixtureRequest, orcli: Orcli, tmp_path: Path) -> Terminal:
    """Start a shell on a terminal, with the scripts where the wheel puts them, and a stub of orcli that shows words."""
    name: str = request.param
    share = share_directory(tmp_path / "share")
    for program in ("orcli", "lonely-program"):
        stub = orcli.file(f"../bin/{program}", STUB)
        stub.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "XDG_DATA_DIRS": f"{share}:/usr/local/share:/usr/share",
        "PS1": "ready> ",
    }
    if name == "zsh":
        need("zsh", "zsh")
        lines = f"PS1='ready> '\nfpath=({share}/zsh/site-functions $fpath)\nautoload -Uz compinit\ncompinit -u -D\n"
        orcli.file("../home/.zshrc", lines)
        command = "exec zsh -d -i"
    elif name == "fish":
        need("fish", "fish")
        lines = "set -g fish_greeting\nfunction fish_prompt\n    echo -n 'ready> '\nend\n"
        orcli.file("../home/.config/fish/config.fish", lines)
        command = "exec fish"
    else:
        line = f". {share}/bash-completion/completions/orcli"
        if name == "bash":
            assert BASH_COMPLETION.exists(), "bash-completion is not installed; apt-get install bash-completion"
            line = f". {BASH_COMPLETION}"
        rc = orcli.file("../home/bashrc", f"PS1='ready> '\nbind 'set enable-bracketed-paste off'\n{line}\n")
        command = f"exec bash --noprofile --rcfile {rc} -i"
    for directory in ("album", "then/inner"):
        (orcli.work / directory).mkdir(parents=True)
    for file in ("picture.PNG", "plan.txt", "my pic.jpeg", "then/inner/film.gif", "then/inner/fine.txt", "alto.txt"):
        orcli.file(file, "x")
    orcli.file(
        "../home/.cache/orcli/models", "a$(touch hit)\nanthropic/claude-opus\nmeta-llama/llama-4\nopenai/gpt-4o:free\n"
    )
    terminal = orcli.terminal(command, env=environment, shell=True)
    terminal.wait_for("ready> ")
    return terminal


CASES = [
    pytest.param("st\t", ["stream"], id="a command"),
    pytest.param("--ver\t", ["--version"], id="an option of orcli itself"),
    pytest.param("ask --mo\t", ["ask", "--model"], id="an option"),
    pytest.param("vision hi --sho\t", ["vision", "hi", "--short"], id="an option after the prompt"),
    pytest.param("ask --sho\t", ["ask", "--sho"], id="no option of another command"),
    pytest.param("ask -m openai/\t", ["ask", "-m", "openai/gpt-4o:free"], id="a model, colon and all"),
    pytest.param("ask -m openai/gpt-4o:\t", ["ask", "-m", "openai/gpt-4o:free"], id="a model after its colon"),
    pytest.param("ask -m openai/gpt-4o:f\t", ["ask", "-m", "openai/gpt-4o:free"], id="a model in its last part"),
    pytest.param("ask --model=openai/\t", ["ask", "--model=openai/gpt-4o:free"], id="a model after ="),
    pytest.param("ask --model openai/\t", ["ask", "--model", "openai/gpt-4o:free"], id="a model after --model"),
    pytest.param("ask -qm openai/\t", ["ask", "-qm", "openai/gpt-4o:free"], id="a model after short options together"),
    pytest.param("ask -mopenai/\t", ["ask", "-mopenai/gpt-4o:free"], id="a model joined to its option"),
    pytest.param("ask -m lo\t", ["ask", "-m", "local/smollm2"], id="the model of this machine"),
    pytest.param("stream hi pla\t", ["stream", "hi", "plan.txt"], id="a file"),
    pytest.param("ask --schema pla\t", ["ask", "--schema", "plan.txt"], id="a file after an option"),
    pytest.param("ask --log=pla\t", ["ask", "--log=plan.txt"], id="a file after ="),
    pytest.param("ask --max-tokens pla\t", ["ask", "--max-tokens", "pla"], id="no file where a number goes"),
    pytest.param(
        "ask -s --schema pla\t", ["ask", "-s", "--schema", "plan.txt"], id="a value that looks like an option"
    ),
    pytest.param("vision p\t", ["vision", "picture.PNG"], id="a picture, not a text file"),
    pytest.param("vision hi my\t", ["vision", "hi", "my pic.jpeg"], id="a picture with a blank in its name"),
    pytest.param("vision hi ./pi\t", ["vision", "hi", "./picture.PNG"], id="a picture by its path"),
    pytest.param("vision hi ~/pho\t", ["vision", "hi", "~/photo.webp"], id="a picture at home"),
    pytest.param("vision hi then/inner/f\t", ["vision", "hi", "then/inner/film.gif"], id="a picture in a directory"),
    pytest.param("vision hi the\t", ["vision", "hi", "then"], id="a directory on the way to a picture"),
    pytest.param("vision --save al\t", ["vision", "--save", "album"], id="a directory, not a file"),
    pytest.param("vision --detail h\t", ["vision", "--detail", "high"], id="a choice"),
    pytest.param("vision --detail=h\t", ["vision", "--detail=high"], id="a choice after ="),
    pytest.param("tool --tool-choice re\t", ["tool", "--tool-choice", "required"], id="a choice among others"),
    pytest.param("tool --result-file a=pla\t", ["tool", "--result-file", "a=plan.txt"], id="a file after a name"),
    pytest.param("tool --result-file=a=pla\t", ["tool", "--result-file=a=plan.txt"], id="a file after a name after ="),
    pytest.param("tool --exec now=lonel\t", ["tool", "--exec", "now=lonely-program"], id="a command after a name"),
    pytest.param("ask -- --mo\t", ["ask", "--", "--mo"], id="no option after --"),
    pytest.param("ask -- hi pla\t", ["ask", "--", "hi", "plan.txt"], id="a file after --"),
]


@pytest.mark.parametrize(("typed", "words"), CASES)
def test_a_tab_completes(orcli: Orcli, shell: Terminal, typed: str, words: list[str]) -> None:
    orcli.file("../home/photo.webp", "x")

    shell.type(f"orcli {typed}\r")

    (given,) = WORDS.findall(shell.wait_for("|end"))
    assert given.decode().replace(str(orcli.home), "~").rstrip("/").split("|") == words


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        pytest.param("vision --detail ", ("low", "high", "auto"), id="choices"),
        pytest.param("", ("ask", "stream", "tool", "vision"), id="commands"),
        pytest.param("ask -m ", ("anthropic/claude-opus", "meta-llama/llama-4", "local/smollm2"), id="models"),
        pytest.param("ask -", ("-model", "-schema", "-dry-run"), id="options"),
    ],
)
def test_tabs_list_what_there_is(shell: Terminal, typed: str, shown: tuple[str, ...]) -> None:
    shell.type(f"orcli {typed}\t\t")

    for word in shown:
        shell.wait_for(word)


def test_no_option_is_offered_after_the_end_of_options(shell: Terminal) -> None:
    shell.type("orcli ask -- -\t\t\r")

    screen = shell.wait_for("given: ask|--|-|end")
    assert b"--model" not in screen


@pytest.mark.parametrize("shell", ["bash"], indirect=True)
def test_what_is_no_model_id_does_not_get_onto_the_command_line(shell: Terminal) -> None:
    shell.type("orcli ask -m a\t\r")

    shell.wait_for("given: ask|-m|anthropic/claude-opus|end")


@pytest.mark.parametrize("shell", ["bash"], indirect=True)
def test_words_that_are_not_broken_at_colons_complete_too(shell: Terminal) -> None:
    shell.type("COMP_WORDBREAKS=${COMP_WORDBREAKS//[:=]}\r")

    shell.type("orcli ask --model=openai/gpt-4o:f\t\r")

    shell.wait_for("given: ask|--model=openai/gpt-4o:free|end")
