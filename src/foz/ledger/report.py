"""
What was called, by whom, and what it cost: the values of a usage report. `store/reader.py` fills them.

Money is integer pico-units, by currency; a call whose price nobody knows is counted, not guessed.
Times are milliseconds. Percentiles are over calls that have the figure.
"""

from collections.abc import Iterable
from typing import Literal, Protocol

from msgspec import Struct

from foz.canon.model import Standing

Key = Literal["project", "model", "principal", "day", "target"]
KEYS: tuple[Key, ...] = ("project", "model", "principal", "day", "target")
MOST_LINES = 1_000
"""Lines of one page."""


class Filter(Struct, frozen=True):
    """Which entries count: those that match all that is given. `since` counts, `until` no longer."""

    since: int | None = None
    until: int | None = None
    project: str | None = None
    model: str | None = None
    principal: str | None = None
    process_id: str | None = None
    subprocess_id: str | None = None
    user_key: str | None = None


class Latency(Struct, frozen=True):
    """Milliseconds; None where no call has any."""

    average: float | None
    p50: float | None
    p95: float | None


class Group(Struct, frozen=True):
    """All calls that share the keys asked for."""

    project: str | None
    model: str | None
    principal: str | None
    day: str | None
    """UTC, as 2026-01-31."""
    target: str | None
    """Who answered last: `provider/model`; None where it was not asked for, empty where no target was called."""
    calls: int
    states: dict[str, int]
    """How many of them are in each state; states without a call are left out."""
    input: int
    output: int
    cached: int
    reasoning: int
    estimated: int
    """Calls whose tokens were estimated."""
    prices: dict[str, int]
    """Pico-units, by currency."""
    unpriced: int
    """Calls that have ended and whose price is unknown."""
    duration: Latency
    first_token: Latency


class Line(Struct, frozen=True):
    """One entry, as it may be shown."""

    id: str
    at: int
    principal: str
    project: str
    process_id: str | None
    subprocess_id: str | None
    user_key: str | None
    skin: str
    operation: str
    model: str
    target: str | None
    """Who was asked last."""
    attempts: int
    request_id: str
    stream: bool
    job_id: str | None
    state: str
    status: int | None
    input: int | None
    output: int | None
    cached: int | None
    reasoning: int | None
    estimated: bool
    first_token: int | None
    duration: int | None
    price: int | None
    currency: str | None
    price_version: str | None
    fault: str | None


class Page(Struct, frozen=True):
    """Entries, newest first, and where the next page begins; None where there is none."""

    lines: list[Line]
    next: str | None


class Reports(Protocol):
    """Reads the ledger; it may take a second or two, so it is called in a thread."""

    def groups(self, filter: Filter, by: Iterable[Key] = ()) -> list[Group]:
        """The sums over all that the filter lets through, by these keys, in the order of their values."""
        ...

    def page(self, filter: Filter, limit: int = 100, cursor: str | None = None, *, settled: bool = False) -> Page:
        """
        Up to `limit` entries, newest first; with `settled` only those that have ended. A line's id is a cursor too.
        Raises ValueError where the cursor is none of ours.
        """
        ...

    def standing(self, model: str, since: int) -> Standing:
        """How a model did from this UTC millisecond on, over all callers."""
        ...
