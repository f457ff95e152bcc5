"""Whether a schema is one and a value satisfies it, told within bounds whatever the two are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from orcli.contained import BOUNDS, Outcome, Say, contained, contained_async
from orcli.errors import Mismatch, UsageError
from orcli.schema import compiled, faults, load_validator, looks_once, satisfies
from orcli.text import compact_json, load_json

Named = tuple[str, Mapping[str, Any]]
"""What messages call a schema, and the schema."""
_AT_ONCE = 10**8
"""Characters of a schema times those of a value, which take no more than some tenths of a second."""


def check_schemas(schemas: Sequence[Named]) -> None:
    """Raise UsageError for the first of some JSON Schemas that is none, or that nobody could check a value against."""
    if schemas:
        load_validator()
        _judge_schemas(contained(partial(_compile_all, schemas)), schemas)


async def check_schemas_async(schemas: Sequence[Named]) -> None:
    """Do as `check_schemas`, while the event loop goes on."""
    load_validator()
    _judge_schemas(await contained_async(partial(_compile_all, schemas)), schemas)


def _compile_all(schemas: Sequence[Named], say: Say) -> None:
    for name, schema in schemas:
        try:
            compiled(schema, name)
        except UsageError as error:
            say(error.message)
            return
        say("")


def _judge_schemas(outcome: Outcome, schemas: Sequence[Named]) -> None:
    if outcome.said and outcome.said[-1]:
        raise UsageError(outcome.said[-1])
    if len(outcome.said) < len(schemas):
        name, _ = schemas[len(outcome.said)]
        raise UsageError(f"{name} takes more than {BOUNDS} to compile; simplify it")


def check_answer(text: str, schema: Mapping[str, Any]) -> None:
    """Raise Mismatch, naming the first fault and its place, when an answer does not satisfy a schema."""
    value = _json(text)
    if not _surely_satisfies(value, schema):
        _judge_answer(contained(partial(_say_faults, value, schema)))


async def check_answer_async(text: str, schema: Mapping[str, Any]) -> None:
    """Do as `check_answer`, while the event loop goes on."""
    value = _json(text)
    if not _surely_satisfies(value, schema):
        _judge_answer(await contained_async(partial(_say_faults, value, schema)))


def _json(text: str) -> Any:
    try:
        return load_json(text)
    except ValueError as error:
        raise Mismatch(f"the answer is not JSON: {error}; try again, or another model") from None


def _surely_satisfies(value: object, schema: Mapping[str, Any]) -> bool:
    """Look without a process of its own where that cannot take long; False tells nothing yet.

    The validator is loaded in any case, so that a process that then looks has it from this one.
    """
    load_validator()
    return (
        looks_once(schema)
        and len(compact_json(schema)) * len(compact_json(value)) <= _AT_ONCE
        and satisfies(value, schema)
    )


def _judge_answer(outcome: Outcome) -> None:
    if _undecided(outcome):
        raise Mismatch(f"to check the answer against --schema takes more than {BOUNDS}; simplify the schema")
    if (fault := _fault(outcome)) is not None:
        raise Mismatch(f"the answer does not satisfy --schema: {fault}; try again, or another model")


def first_fault(value: object, schema: Mapping[str, Any]) -> str | None:
    """Name the first fault of a JSON value and its place; None when it satisfies the schema."""
    if _surely_satisfies(value, schema):
        return None
    outcome = contained(partial(_say_faults, value, schema))
    return f"to check it takes more than {BOUNDS}" if _undecided(outcome) else _fault(outcome)


def _say_faults(value: object, schema: Mapping[str, Any], say: Say) -> None:
    for words in faults(value, schema):
        say(words)


def _undecided(outcome: Outcome) -> bool:
    return not outcome.said and not outcome.ended


def _fault(outcome: Outcome) -> str | None:
    if not outcome.said:
        return None
    return outcome.said[-1] or f"to say where takes more than {BOUNDS}"
