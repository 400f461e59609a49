"""
Reports from the ledger. Each is read in one transaction on a connection of its own, which only reads:
writers do not wait for it. It may take a second or two: run it in a thread, never on the loop.

Entries have no index by project or principal. Such an index costs each call 2 to 5 µs (it dirties as many pages of a
commit as there are projects in it), more than the whole rest of writing. Without it, over 1,000,000 entries on one
core, a page of what most entries match takes a millisecond, one of what hardly any matches 0.15 s, and sums over all
1 to 2.5 s; a filter by time is always fast, for ids sort by time (`bench/reports.py` measures it).
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import structs

from foz.canon.entry import State
from foz.canon.identity import least, parse, text
from foz.canon.model import Standing
from foz.canon.money import PICO
from foz.ledger.report import KEYS, MOST_LINES, Filter, Group, Key, Latency, Line, Page
from foz.store.database import connect_reader
from foz.store.queries import load
from foz.store.writer import Value

_SQL = load("reports")
_STATES = (State.OPEN, State.COMPLETE, State.CALLER_GONE, State.UPSTREAM_CUT, State.FAILED, State.INTERRUPTED)
_LATEST = 2**48 - 1
_SLACK = 3_600_000
"""An entry's id may be made a while before the entry is opened."""
_AFTER_ALL = b"\xff" * 17

_FRAGMENTS: dict[Key, str] = {
    "project": "project",
    "model": "model",
    "principal": "principal",
    "day": "date(at / 1000, 'unixepoch')",
    "target": "coalesce((SELECT target FROM further_attempts WHERE entry_id = id ORDER BY number DESC LIMIT 1),"
    " first_target, '')",
}

Row = tuple[Any, ...]


class SqliteReports:
    """Reads the ledger of a data directory."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def groups(self, filter: Filter, by: Iterable[Key] = ()) -> list[Group]:
        """The sums over all that the filter lets through, by these keys, in the order of their values."""
        asked = set(by)
        keys = tuple(key for key in KEYS if key in asked)
        values = _bounds(filter, None)
        connection = connect_reader(self._data, sorts=True)
        try:
            with connection:
                rows: list[Row] = connection.execute(_keyed("groups", keys), values).fetchall()
                money: list[Row] = connection.execute(_keyed("other_money", keys), values).fetchall()
        finally:
            connection.close()
        others: dict[Row, dict[str, int]] = {}
        for *named, currency, whole, part in money:
            others.setdefault(tuple(named), {})[currency] = whole * PICO + part
        return [_group(keys, row, others.get(row[: len(keys)], {})) for row in rows if row[len(keys)]]

    def page(self, filter: Filter, limit: int = 100, cursor: str | None = None, *, settled: bool = False) -> Page:
        """
        Up to `limit` entries, newest first; with `settled` only those that have ended. A line's id is a cursor too.
        Raises ValueError where the cursor is none of ours.
        """
        limit = max(1, min(limit, MOST_LINES))
        values = _bounds(filter, cursor) | {"limit": limit + 1, "settled": int(settled)}
        connection = connect_reader(self._data, sorts=True)
        try:
            rows: list[Row] = connection.execute(_SQL["page"], values).fetchall()
        finally:
            connection.close()
        lines = [_line(row) for row in rows[:limit]]
        return Page(lines, lines[-1].id if len(rows) > limit else None)

    def standing(self, model: str, since: int) -> Standing:
        """How a model did from this UTC millisecond on, over all callers."""
        values: dict[str, Value] = {"first_id": least(_within(since - _SLACK)), "since": since, "model": model}
        connection = connect_reader(self._data)
        try:
            rows: list[Row] = connection.execute(_SQL["standing"], values).fetchall()
        finally:
            connection.close()
        ((latency, answered, failed),) = rows
        return Standing(latency, answered / (answered + failed) if answered + failed else None)


def _bounds(filter: Filter, cursor: str | None) -> dict[str, Value]:
    since = filter.since or 0
    until = _LATEST if filter.until is None else filter.until
    last_id = _AFTER_ALL if filter.until is None else least(_within(until + _SLACK))
    return {
        "first_id": least(_within(since - _SLACK)),
        "last_id": last_id if cursor is None else min(last_id, parse(cursor)),
        "since": since,
        "until": until,
        "project": filter.project,
        "model": filter.model,
        "principal": filter.principal,
        "process_id": filter.process_id,
        "subprocess_id": filter.subprocess_id,
        "user_key": filter.user_key,
    }


def _within(millisecond: int) -> int:
    return max(0, min(millisecond, _LATEST))


@cache
def _keyed(name: str, keys: tuple[Key, ...]) -> str:
    """The query with its keys: only fragments of the table above ever stand in it."""
    return _SQL[name].replace("/*keys*/", "".join(f"{_FRAGMENTS[key]}, " for key in keys))


def _group(keys: tuple[Key, ...], row: Row, others: dict[str, int]) -> Group:
    named = dict(zip(keys, row, strict=False))
    calls, *rest = row[len(keys) :]
    states = {str(state): int(count) for state, count in zip(_STATES, rest, strict=False) if count}
    input, output, cached, reasoning, estimated, unpriced, priced, whole, part, *times = rest[len(_STATES) :]
    return Group(
        project=named.get("project"),
        model=named.get("model"),
        principal=named.get("principal"),
        day=named.get("day"),
        target=named.get("target"),
        calls=calls,
        states=states,
        input=input,
        output=output,
        cached=cached,
        reasoning=reasoning,
        estimated=int(estimated),
        prices=({"USD": whole * PICO + part} if priced else {}) | others,
        unpriced=int(unpriced),
        duration=Latency(*times[:3]),
        first_token=Latency(*times[3:]),
    )


def _line(row: Row) -> Line:
    id, *rest = row
    line = Line(text(id), *rest)
    return structs.replace(line, stream=bool(line.stream), estimated=bool(line.estimated))
