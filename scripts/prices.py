"""
Writes `src/foz/ledger/prices.json` from the package `genai-prices`: `make prices`.

The package is a dependency of development only. `--check` writes nothing and fails where the file is not
what this script makes of the version that is installed. Amounts become integer pico-units a token.
"""

import sys
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import msgspec
from genai_prices import types
from genai_prices.data import providers

from foz.ledger.price import Figures, Match, Priced, Shelf

FILE = Path(__file__).parents[1] / "src/foz/ledger/prices.json"
NAMES = {"x-ai": "xai"}
"""Where our name of a provider is another."""
ROUTED = "huggingface_"
"""Who serves behind Hugging Face's router: callers choose with a suffix, `model:groq`."""
COUNTED = ("input", "output", "cached", "cache_written", "reasoning")
KEYS = dict(
    zip(
        COUNTED,
        ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "output_reasoning_mtok"),
        strict=True,
    )
)
EVER = date.min

Price = Decimal | types.TieredPrices


def match(clause: object) -> Match:
    """A clause of the package in our words."""
    match clause:
        case types.ClauseEquals(equals=text):
            return Match("is", text.lower())
        case types.ClauseStartsWith(starts_with=text):
            return Match("starts", text.lower())
        case types.ClauseEndsWith(ends_with=text):
            return Match("ends", text.lower())
        case types.ClauseContains(contains=text):
            return Match("has", text.lower())
        case types.ClauseRegex(regex=text):
            return Match("regex", text)
        case types.ClauseOr(or_=parts):
            return Match("any", of=tuple(match(part) for part in parts))
        case types.ClauseAnd(and_=parts):
            return Match("all", of=tuple(match(part) for part in parts))
        case _:
            raise TypeError(f"genai-prices has a new kind of clause: {clause!r}")


def at(price: Price | None, tokens: int) -> Decimal | None:
    """A price for a call of so many input tokens."""
    if not isinstance(price, types.TieredPrices):
        return price
    held = [tier.price for tier in price.tiers if tokens > tier.start]
    return held[-1] if held else price.base


def pico(per_million: Decimal | None) -> int | None:
    """Units a million tokens as pico-units a token."""
    return None if per_million is None else round(per_million * 10**6)


def figures(since: date, prices: types.ModelPrice) -> Figures | None:
    """The figures from a day on; None where the model is not priced by its tokens."""
    found: dict[str, Price | None] = {name: getattr(prices, key) for name, key in KEYS.items()}
    if found["input"] is None and found["output"] is None:
        return None
    per_thousand = at(prices.requests_kcount, 0)
    starts = {tier.start for price in found.values() if isinstance(price, types.TieredPrices) for tier in price.tiers}
    made: Figures | None = None
    steps = [-1, *sorted(starts)]
    for start, above in reversed([*pairwise(steps), (steps[-1], None)]):
        input, output, cached, written, reasoning = (pico(at(found[name], start + 1)) for name in COUNTED)
        made = Figures(
            since="" if since == EVER else since.isoformat(),
            input=input or 0,
            output=output or 0,
            cached=cached,
            cache_written=written,
            reasoning=reasoning,
            request=round((per_thousand or Decimal(0)) * 10**9),
            above=above,
            higher=made,
        )
    return made


def dated(model: types.ModelInfo) -> Iterator[tuple[date, types.ModelPrice]]:
    """A model's prices with their first day. Of prices by the hour the dearest stays, from the last day on."""
    if isinstance(model.prices, types.ModelPrice):
        yield EVER, model.prices
        return
    days = [
        (one.constraint.start_date if isinstance(one.constraint, types.StartDateConstraint) else EVER, one.prices)
        for one in model.prices
        if not isinstance(one.constraint, types.TimeOfDateConstraint)
    ]
    hours = [one.prices for one in model.prices if isinstance(one.constraint, types.TimeOfDateConstraint)]
    if hours:
        last = max((day for day, _ in days), default=EVER)
        dearest = max(
            (*hours, *(prices for day, prices in days if day == last)), key=lambda one: at(one.output_mtok, 0) or 0
        )
        days = [(day, prices) for day, prices in days if day != last] + [(last, dearest)]
    yield from sorted(days, key=lambda pair: pair[0])


def priced(models: Iterable[types.ModelInfo]) -> tuple[Priced, ...]:
    """The models that are priced by their tokens; others stay, without figures, so that none after them is taken."""
    return tuple(
        Priced(match(model.match), tuple(made for day, prices in dated(model) if (made := figures(day, prices))))
        for model in models
    )


def routed(models: tuple[Priced, ...], suffix: str) -> Iterator[Priced]:
    """The same models under the names by which Hugging Face's router knows this provider."""
    for model in models:
        parts = model.match.of if model.match.how == "any" else (model.match,)
        names = tuple(Match("is", f"{part.text}:{suffix}") for part in parts if part.how == "is")
        if names:
            yield Priced(Match("any", of=names), model.figures)


def made() -> bytes:
    """The whole file."""
    shelves: dict[str, Shelf] = {}
    behind: list[Priced] = []
    for provider in providers:
        models = priced(provider.models)
        if provider.id.startswith(ROUTED):
            behind += routed(models, provider.id.removeprefix(ROUTED))
        else:
            others = tuple(NAMES.get(name, name) for name in provider.fallback_model_providers or ())
            shelves[NAMES.get(provider.id, provider.id)] = Shelf(models, others)
    shelves["huggingface"] = Shelf(tuple(behind))
    lines = [f'"{name}":' + msgspec.json.encode(shelves[name]).decode() for name in sorted(shelves)]
    head = f'{{"version":"genai-prices {version("genai-prices")}","providers":{{\n'
    return (head + ",\n".join(lines) + "\n}}\n").encode()


if __name__ == "__main__":
    text = made()
    if "--check" in sys.argv[1:]:
        sys.exit(0 if FILE.read_bytes() == text else f"stale, run `make prices`: {FILE.name}")
    FILE.write_bytes(text)
