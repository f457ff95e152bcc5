"""The command lines of orcli in a shell's text, such as a document's examples."""

from __future__ import annotations

import shlex


def invocations(script: str) -> list[list[str]]:
    """Give the arguments of every orcli that a shell's text runs, comments and quoted text apart."""
    lexer = shlex.shlex(script.replace("\\\n", " "), posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace_split = True
    lexer.whitespace = " \t"
    found: list[list[str]] = []
    inside = False
    for token in lexer:
        if token.rpartition("/")[2] == "orcli":
            found.append([])
            inside = True
        elif set(token) <= set("();<>|&\n"):
            inside = False
        elif inside:
            found[-1].append(token)
    return found
