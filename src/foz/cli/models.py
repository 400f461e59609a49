"""`foz models`: the names that callers can use, and what serves them."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from foz.canon.model import Model, Placement, Target
from foz.canon.money import Rates
from foz.cli.asking import directory
from foz.cli.settings import config_option, json_option, read_settings, today
from foz.config.bind import NO_KEY
from foz.config.directory import snapshot
from foz.config.settings import Settings
from foz.net.clock import SystemClock
from foz.wire import json

PICO_PER_MILLION = 10**6
WIDTH = 120


class TargetLine(Struct, frozen=True):
    """A target, as programs read it. Prices are per million tokens."""

    name: str
    placement: str
    rank: int
    weight: float
    available: bool
    why_not: str | None
    input_price: float | None
    output_price: float | None
    currency: str | None


class ModelLine(Struct, frozen=True):
    """A model, as programs read it."""

    name: str
    available: bool
    description: str | None
    targets: tuple[TargetLine, ...]


def _price(rates: Rates | None, side: str) -> float | None:
    pico = getattr(rates, side, None)
    return None if pico is None else pico / PICO_PER_MILLION


def _tried(model: Model) -> list[Target]:
    """The targets in the order in which they are tried: ours first, by rank, the heavier of a rank first."""
    return sorted(model.targets, key=lambda one: (one.placement is not Placement.GPU, one.rank, -one.weight))


def lines(models: Sequence[Model]) -> list[ModelLine]:
    """The models with their targets."""
    return [
        ModelLine(
            model.name,
            any(not target.barred for target in model.targets),
            model.description,
            tuple(
                TargetLine(
                    name=target.name,
                    placement=target.placement.value,
                    rank=target.rank,
                    weight=target.weight,
                    available=not target.barred,
                    why_not=target.barred,
                    input_price=_price(target.rates, "input"),
                    output_price=_price(target.rates, "output"),
                    currency=target.rates.currency if target.rates else None,
                )
                for target in _tried(model)
            ),
        )
        for model in models
    ]


def _cost(target: TargetLine) -> str:
    if target.input_price is None or target.output_price is None:
        return "unknown"
    if target.input_price == target.output_price == 0:
        return "free"
    return f"{target.input_price:g} / {target.output_price:g} {target.currency}"


def _show(found: Sequence[ModelLine], settings: Settings) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "served by", "where", "per million in / out", ""):
        table.add_column(heading, overflow="fold")
    for model in found:
        for place, target in enumerate(model.targets):
            name = model.name if place == 0 else ""
            why = f"[red]{escape(target.why_not)}[/]" if target.why_not else ""
            table.add_row(escape(name), escape(target.name), target.placement, _cost(target), why)
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(table)
    if settings.test_mode:
        console.print("\nTest mode: every other name is answered by the simulated model too.")
    ready = [one.name for one in settings.providers if one.state == "ready" and one.name != "simulated"]
    if ready:
        console.print(f"\nAnd every model of {', '.join(ready)}, as provider/model.")
    asleep = {one.name: one.why for one in settings.providers if one.state == "off" and one.why.startswith(NO_KEY)}
    if asleep and not settings.test_mode:
        console.print(f"\nWithout a key: {', '.join(asleep)}. `foz doctor` says which variable each needs.")


@click.command("models")
@json_option
@click.option("--offline", is_flag=True, help="Ask no provider what it has.")
@config_option
def command(*, as_json: bool, offline: bool, config: Path | None) -> None:
    """List the models that callers can name, what serves them, and why something does not."""
    settings = read_settings(config)
    day = today(SystemClock().now())
    found = lines((snapshot(settings, {}, day) if offline else directory(settings, day)).all_models())
    if as_json:
        click.echo(json.encode(found))
    else:
        _show(found, settings)
