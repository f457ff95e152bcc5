"""One request, one whole answer."""

from __future__ import annotations

from contextlib import closing

from orcli.answer import Completion, outcome_of, parse_completion, verdict
from orcli.client import Client
from orcli.errors import Incomplete


def ask(client: Client, body: bytes, *, tools: bool = False) -> Completion:
    """Post an encoded request and give the completion, once it is a whole answer; with `tools`, calls are one too.

    Raises what stands in its place; the error carries the `completion` where one came.
    """
    with closing(client.post(body)) as response:
        data, broken = response.read()
        retry_after = response.retry_after
    if broken is not None:
        raise Incomplete(f"the answer broke off: {broken.message}") if data.strip() else broken
    completion = parse_completion(data, retry_after)
    if (error := verdict(outcome_of(completion), tools=tools, whole=True)) is not None:
        error.completion = completion
        error.retry_after = retry_after
        raise error
    return completion
