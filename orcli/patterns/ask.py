"""One request, one whole answer."""

from __future__ import annotations

from contextlib import closing, suppress

from orcli.answer import Completion, outcome_of, parse_completion, verdict
from orcli.client import Body, Client
from orcli.errors import Incomplete, OrcliError


def ask(client: Client, body: bytes, *, tools: bool = False, media: bool = True) -> Completion:
    """Post an encoded request and give the completion, once it is a whole answer by `verdict`'s rules.

    Raises what stands in its place; the error carries the `completion` where one came.
    """
    with closing(client.post(body)) as response:
        answer = response.read()
    return whole_answer(answer, tools=tools, media=media)


def whole_answer(answer: Body, *, tools: bool = False, media: bool = True) -> Completion:
    """Give the completion that the body of a 200 holds, once it is a whole answer; raises what `ask` does."""
    if answer.broken is not None:
        raise _broken(answer)
    completion = parse_completion(answer.data, answer.retry_after)
    if (error := verdict(outcome_of(completion), tools=tools, media=media, whole=True)) is not None:
        error.completion = completion
        error.retry_after = answer.retry_after
        raise error
    return completion


def _broken(answer: Body) -> OrcliError:
    """Say that a body broke off; where all of a completion had come, the error carries it."""
    assert answer.broken is not None
    if not answer.data.strip():
        return answer.broken
    failure = Incomplete(f"the answer broke off: {answer.broken.message}")
    with suppress(OrcliError):
        failure.completion = parse_completion(answer.data)
    return failure
