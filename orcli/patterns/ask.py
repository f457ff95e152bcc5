"""One request, one whole answer."""

from __future__ import annotations

from contextlib import closing

from orcli.answer import Completion, outcome_of, parse_completion, verdict
from orcli.client import Body, Client
from orcli.errors import Incomplete


def ask(client: Client, body: bytes, *, tools: bool = False) -> Completion:
    """Post an encoded request and give the completion, once it is a whole answer; with `tools`, calls are one too.

    Raises what stands in its place; the error carries the `completion` where one came.
    """
    with closing(client.post(body)) as response:
        answer = response.read()
    return whole_answer(answer, tools=tools)


def whole_answer(answer: Body, *, tools: bool = False) -> Completion:
    """Give the completion that the body of a 200 holds, once it is a whole answer; raises what `ask` does."""
    if answer.broken is not None:
        raise Incomplete(f"the answer broke off: {answer.broken.message}") if answer.data.strip() else answer.broken
    completion = parse_completion(answer.data, answer.retry_after)
    if (error := verdict(outcome_of(completion), tools=tools, whole=True)) is not None:
        error.completion = completion
        error.retry_after = answer.retry_after
        raise error
    return completion
