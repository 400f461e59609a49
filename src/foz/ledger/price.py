"""
What a target's tokens cost: pure, from a provider and what it calls the model to rates in pico-units a token.

1. rows of the settings (`[[price]]`), the first that matches;
2. what is served by us is free;
3. the built-in table `prices.json`, which `scripts/prices.py` makes of the package `genai-prices`: that package
   costs a start 0.4 seconds and brings an HTTP client, so it is read when Foz is made, not when Foz runs.

What none of them knows is None: unknown is not free. Prices with a first day hold from that day on. Where a vendor's
price depends on the hour the table has the dearest one.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct

from foz.canon.money import FREE, Rates

LONGEST = 256


class Match(Struct, frozen=True, array_like=True):
    """Whether a name, in small letters, is meant. `of` are the parts of `any` and `all`."""

    how: str
    text: str = ""
    of: "tuple[Match, ...]" = ()

    def holds(self, name: str) -> bool:
        """Whether it is."""
        match self.how:
            case "is":
                return name == self.text
            case "starts":
                return name.startswith(self.text)
            case "ends":
                return name.endswith(self.text)
            case "has":
                return self.text in name
            case "regex":
                return re.search(self.text, name) is not None
            case "any":
                return any(part.holds(name) for part in self.of)
            case _:
                return all(part.holds(name) for part in self.of)


class Figures(Struct, frozen=True, array_like=True):
    """Pico-units a token; `request` a request. `higher` holds above `above` input tokens."""

    since: str
    """The first day (`2026-10-12`); empty: ever since."""
    input: int
    output: int
    cached: int | None = None
    cache_written: int | None = None
    reasoning: int | None = None
    request: int = 0
    above: int | None = None
    higher: "Figures | None" = None


class Priced(Struct, frozen=True, array_like=True):
    """One model: the names that mean it, and its prices by their first day."""

    match: Match
    figures: tuple[Figures, ...]


class Shelf(Struct, frozen=True, array_like=True):
    """One provider's models; those of `others` are tried after them."""

    models: tuple[Priced, ...]
    others: tuple[str, ...] = ()


class _Bundle(Struct, frozen=True):
    version: str
    providers: dict[str, msgspec.Raw]


class Row(Struct, frozen=True):
    """A `[[price]]` row."""

    provider: str
    pattern: str
    rates: Rates

    def means(self, provider: str, model: str) -> bool:
        """Whether it prices this model of this provider. `*` stands for anything."""
        return self.provider in {"*", provider} and _pattern(self.pattern).fullmatch(model.lower()) is not None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.lower().split("*")), re.DOTALL)


def _rates(figures: Figures, version: str) -> Rates:
    return Rates(
        input=figures.input,
        output=figures.output,
        cached=figures.cached,
        cache_written=figures.cache_written,
        reasoning=figures.reasoning,
        request=figures.request,
        version=version,
        above=figures.above,
        higher=_rates(figures.higher, version) if figures.higher else None,
    )


class _Index:
    """A shelf, so that most names cost one look: whole names in a table, and in order what must be tried."""

    def __init__(self, shelf: Shelf) -> None:
        self._models = shelf.models
        self._whole: dict[str, int] = {}
        self._tried: list[tuple[int, Match]] = []
        for place, priced in enumerate(shelf.models):
            parts = priced.match.of if priced.match.how == "any" else (priced.match,)
            for part in parts:
                if part.how == "is":
                    self._whole.setdefault(part.text, place)
                else:
                    self._tried.append((place, part))

    def find(self, name: str) -> Priced | None:
        """The first model that is meant."""
        place = self._whole.get(name, len(self._models))
        for earlier, part in self._tried:
            if earlier >= place:
                break
            if part.holds(name):
                place = earlier
                break
        return self._models[place] if place < len(self._models) else None


class BuiltIn:
    """The table of `prices.json`; a provider's part is decoded when it is first asked for."""

    def __init__(self, text: bytes) -> None:
        bundle = msgspec.json.decode(text, type=_Bundle)
        self.version = bundle.version
        self._raw: Mapping[str, msgspec.Raw] = bundle.providers
        self._shelves: dict[str, tuple[Shelf, _Index]] = {}

    def shelf(self, provider: str) -> tuple[Shelf, _Index] | None:
        """A provider's part of the table."""
        found = self._shelves.get(provider)
        raw = self._raw.get(provider)
        if found is None and raw is not None:
            shelf = msgspec.json.decode(raw, type=Shelf)
            found = self._shelves[provider] = (shelf, _Index(shelf))
        return found

    def figures(self, provider: str, model: str, day: str) -> Figures | None:
        """The figures of a model on a day."""
        own = self.shelf(provider)
        if own is None or len(model) > LONGEST:
            return None
        name = model.lower()
        for found in (own, *filter(None, (self.shelf(other) for other in own[0].others))):
            priced = found[1].find(name)
            if priced is not None:
                held = [figures for figures in priced.figures if figures.since <= day]
                return held[-1] if held else None
        return None


@cache
def built_in() -> BuiltIn:
    """The table that comes with Foz."""
    return BuiltIn(files("foz.ledger").joinpath("prices.json").read_bytes())


class Table(Struct, frozen=True):
    """Everything that says a price."""

    built_in: BuiltIn
    day: str
    """Today, in UTC, as `2026-10-12`."""
    rows: tuple[Row, ...] = ()
    free: frozenset[str] = frozenset()
    """Providers that are ours."""


def rates(provider: str, model: str, table: Table) -> Rates | None:
    """What this model of this provider costs; None where nobody knows."""
    for row in table.rows:
        if row.means(provider, model):
            return row.rates
    if provider in table.free:
        return FREE
    figures = table.built_in.figures(provider, model, table.day)
    return _rates(figures, table.built_in.version) if figures else None
