"""The list of models: reading an entry whatever it lacks, choosing among entries, and showing them as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from fnmatch import fnmatchcase
from typing import Any

SORTS = ("id", "price", "context", "created")
_UNKNOWN = "-"
_HEADER = ("ID", "CONTEXT", "PROMPT", "COMPLETION", "INPUT")


@dataclass(frozen=True)
class Model:
    """An entry of the list, whole."""

    object: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The model's id; entries without one are none."""
        return str(self.object["id"])

    @property
    def context(self) -> int | None:
        """How many tokens fit, if the list says it."""
        return _whole(self.object.get("context_length"))

    @property
    def created(self) -> int | None:
        """When the list got it, in seconds since 1970."""
        return _whole(self.object.get("created"))

    @property
    def inputs(self) -> list[str]:
        """What it takes: text, image, file, audio, video."""
        architecture = self.object.get("architecture")
        return _texts(architecture.get("input_modalities") if isinstance(architecture, Mapping) else None)

    @property
    def parameters(self) -> list[str]:
        """Which request fields it supports."""
        return _texts(self.object.get("supported_parameters"))

    def price(self, of: str) -> Decimal | None:
        """Give the price of `prompt` or `completion` in USD per million tokens; None where it is unknown or varies."""
        pricing = self.object.get("pricing")
        given = pricing.get(of) if isinstance(pricing, Mapping) else None
        if isinstance(given, bool) or not isinstance(given, (str, int, float)):
            return None
        try:
            price = Decimal(str(given).strip()) * 1_000_000
        except DecimalException:
            return None
        if price == 0:
            return Decimal(0)
        return price if price.is_finite() and Decimal("1e-12") < price < 10**12 else None

    @property
    def total(self) -> Decimal | None:
        """Both prices together, by which models are sorted."""
        prompt, completion = self.price("prompt"), self.price("completion")
        return None if prompt is None or completion is None else prompt + completion


def read_models(entries: Sequence[Any]) -> list[Model]:
    """Take the entries that have an id."""
    return [Model(entry) for entry in entries if isinstance(entry, Mapping) and _is_id(entry.get("id"))]


def _is_id(given: object) -> bool:
    return isinstance(given, str) and given != ""


def _whole(given: object) -> int | None:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return None
    return int(given) if 0 <= given < 1e15 else None


def _texts(given: object) -> list[str]:
    return [item for item in given if isinstance(item, str)] if isinstance(given, list) else []


@dataclass(frozen=True)
class Wish:
    """Which models are wanted; `pattern` is part of an id or a name, or a glob for the whole of one."""

    pattern: str | None = None
    supports: Sequence[str] = ()
    inputs: Sequence[str] = ()
    free: bool = False


def choose(models: Sequence[Model], wish: Wish, sort: str = "id") -> list[Model]:
    """Give the models that a wish is for, sorted: the cheapest, the largest context, the newest first, unknown last."""
    wanted = [model for model in models if _is_wanted(model, wish)]
    return sorted(sorted(wanted, key=lambda model: model.id), key=_KEYS[sort])


_KEYS: dict[str, Callable[[Model], Any]] = {
    "id": lambda model: model.id,
    "price": lambda model: (model.total is None, model.total or 0),
    "context": lambda model: -(model.context or 0),
    "created": lambda model: -(model.created or 0),
}


def _is_wanted(model: Model, wish: Wish) -> bool:
    return (
        _matches(model, wish.pattern)
        and set(wish.supports) <= set(model.parameters)
        and set(wish.inputs) <= set(model.inputs)
        and not (wish.free and (model.total != 0 or model.price("request")))
    )


def _matches(model: Model, pattern: str | None) -> bool:
    if pattern is None:
        return True
    wanted = pattern.casefold()
    names = [model.id.casefold(), str(model.object.get("name") or "").casefold()]
    if any(character in wanted for character in "*?["):
        return any(fnmatchcase(name, wanted) for name in names)
    return any(wanted in name for name in names)


def row(model: Model) -> tuple[str, ...]:
    """Give what a line shows: id, context length, prices in USD per million tokens, inputs; `-` is unknown."""
    context = _UNKNOWN if model.context is None else str(model.context)
    prices = [_amount(model.price(of)) for of in ("prompt", "completion")]
    return tuple(_plain(cell) for cell in (model.id, context, *prices, ",".join(model.inputs) or _UNKNOWN))


def table(models: Sequence[Model]) -> list[str]:
    """Give aligned lines below a header, numbers to the right."""
    rows = [_HEADER, *(row(model) for model in models)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(_HEADER))]
    return [
        "  ".join(
            cell.rjust(width) if 0 < column < 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in rows
    ]


def _amount(price: Decimal | None) -> str:
    if price is None:
        return _UNKNOWN
    text = f"{price:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain(cell: str) -> str:
    """Keep a cell from breaking its column or line."""
    return "".join(character if character.isprintable() and character != " " else "_" for character in cell)
