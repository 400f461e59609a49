"""Times and money as people type them, and as they are shown."""

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal

import click
from rich.console import Console
from rich.table import Table
from typing_extensions import override

from foz.canon.money import PICO
from foz.cli.place import now

_SPAN = re.compile(r"(\d{1,6})\s*([mhdw])")
_MILLISECONDS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_DAYS = {"today": 0, "yesterday": 1}
_WIDE = 180
_KEPT = "\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}\N{SOFT HYPHEN}"
_MOST_DOLLARS = 9_000_000
"""What fits into 64 bits of pico-units."""


class Moment(click.ParamType[int]):
    """
    A date, a date with a time (UTC unless it names a zone), or a span from now: `24h` ago, or in `90d`.
    In the past also `today` and `yesterday`: where they begin, in UTC.
    """

    name = "time"

    def __init__(self, side: Literal["ago", "ahead"]) -> None:
        self._sign = -1 if side == "ago" else 1

    @override
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        days = _DAYS.get(str(value).strip().lower())
        if days is not None and self._sign < 0:
            return now() // _MILLISECONDS["d"] * _MILLISECONDS["d"] - days * _MILLISECONDS["d"]
        span = _SPAN.fullmatch(str(value).strip())
        if span is not None:
            return now() + self._sign * int(span[1]) * _MILLISECONDS[span[2]]
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            also = ", or today or yesterday" if self._sign < 0 else ""
            self.fail(
                f"{value!r}: expected a date such as 2026-01-31 or 2026-01-31T12:00, or a span such as 24h or 7d{also}"
            )
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class Dollars(click.ParamType[int]):
    """An amount of US dollars, as pico-units."""

    name = "usd"

    @override
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            amount = Decimal(str(value).strip().removeprefix("$"))
        except InvalidOperation:
            self.fail(f"{value!r}: expected an amount of US dollars, such as 25 or 0.50")
        if not amount.is_finite() or not 0 <= amount <= _MOST_DOLLARS:
            self.fail(f"{value!r}: expected an amount from 0 to {_MOST_DOLLARS:,}")
        return int(amount * PICO)


def money(pico: int) -> str:
    """An amount in its unit, without trailing zeros: at most twelve places, so that nothing rounds to nothing."""
    text = f"{Decimal(pico) / PICO:f}"
    whole, _, places = text.partition(".")
    places = places.rstrip("0")
    return f"{whole}.{places.ljust(2, '0')}"


def moment(milliseconds: int | None) -> str:
    """A time in UTC, to the second; empty where there is none."""
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(milliseconds: int) -> str:
    """A time in UTC, as programs read it: `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(words: str | None) -> str:
    """What a caller wrote, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words or "")


def spoken(words: str) -> str:
    """
    What a model wrote, of many lines, without what a terminal would obey or read backwards. Spaces of all kinds and
    what joins letters to one sign stay.
    """
    return "".join(_sign(letter) for letter in words if letter != "\r")


def _sign(letter: str) -> str:
    if letter.isprintable() or letter in _KEPT:
        return letter
    kind = unicodedata.category(letter)
    return letter if kind == "Zs" else "\n" if kind in {"Zl", "Zp"} else "\N{REPLACEMENT CHARACTER}"


def shown(table: Table) -> None:
    """Prints a table, letter by letter: as wide as the terminal, and wide enough for all where there is none."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)
