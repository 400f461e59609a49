"""Reports say what is in the ledger: sums, pages and filters."""

import asyncio
import os
import statistics
from pathlib import Path

import pytest

from bench.reports import DAY, START, STEP, fill
from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State
from foz.canon.identity import Identities
from foz.canon.model import Standing
from foz.canon.money import PICO
from foz.canon.request import Attribution
from foz.canon.usage import Usage
from foz.ledger.report import Filter, Group, Line
from foz.store.disk import Disk
from foz.store.reader import SqliteReports

ROWS = 5_000


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> SqliteReports:
    """The ledger that the bench fills, smaller."""
    data = tmp_path_factory.mktemp("data")
    fill(data, ROWS)
    return SqliteReports(data)


def every_line(reports: SqliteReports, filter: Filter, limit: int) -> list[Line]:
    lines: list[Line] = []
    cursor = None
    while True:
        page = reports.page(filter, limit, cursor)
        lines += page.lines
        cursor = page.next
        if cursor is None:
            return lines


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_pages_show_each_entry_once_newest_first(reports: SqliteReports, limit: int) -> None:
    """Following the cursor to the end shows all that match, in falling order, none twice."""
    filter = Filter() if limit > 10 else Filter(user_key="user-13")

    lines = every_line(reports, filter, limit)

    ids = [line.id for line in lines]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == (ROWS if limit > 10 else 2)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (Filter(project="rare"), 1),
        (Filter(project="project-3"), ROWS // 20),
        (Filter(project="project-3", model="model-0"), 0),
        (Filter(model="model-7"), ROWS // 10),
        (Filter(principal="key-1"), ROWS // 50),
        (Filter(process_id="process-999"), 5),
        (Filter(subprocess_id="process-999"), 0),
        (Filter(user_key="'; DROP TABLE entries; --"), 0),
        (Filter(since=START + 10 * STEP), ROWS - 10),
        (Filter(until=START + 10 * STEP), 10),
        (Filter(since=START + 10 * STEP, until=START + 20 * STEP), 10),
        (Filter(since=START * 2), 0),
        (Filter(since=2**60, until=2**60), 0),
        (Filter(until=0), 0),
    ],
)
def test_filters_let_through_what_they_say(reports: SqliteReports, filter: Filter, expected: int) -> None:
    """Pages and sums count the same entries, those that match all that is given."""
    assert len(every_line(reports, filter, 1000)) == expected
    assert sum(group.calls for group in reports.groups(filter)) == expected


@pytest.mark.parametrize("by", [("project",), ("model",), ("principal",), ("day",), ("target",), ("model", "day")])
def test_sums_are_those_of_the_lines(reports: SqliteReports, by: tuple[str, ...]) -> None:
    """Each group's figures are what one gets by adding up its lines."""
    lines = every_line(reports, Filter(), 1000)
    lines_of: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        day = f"2023-11-{14 + (line.at // DAY - START // DAY)}"
        named = {"day": day, **{name: getattr(line, name) for name in ("project", "model", "principal", "target")}}
        lines_of.setdefault(tuple(named[key] for key in by), []).append(line)

    groups = reports.groups(Filter(), by)  # type: ignore[arg-type]  # parametrize widens the literals

    assert [tuple(getattr(group, key) for key in by) for group in groups] == sorted(lines_of, key=str)
    for group in groups:
        _agrees(group, lines_of[tuple(getattr(group, key) for key in by)])


def _agrees(group: Group, lines: list[Line]) -> None:
    durations = [line.duration or 0 for line in lines]
    assert group.calls == len(lines)
    assert sum(group.states.values()) == len(lines)
    assert group.input == sum(line.input or 0 for line in lines)
    assert group.output == sum(line.output or 0 for line in lines)
    assert group.prices == {"USD": sum(line.price or 0 for line in lines)}
    assert group.unpriced == sum(line.price is None for line in lines)
    assert group.duration.average == pytest.approx(statistics.fmean(durations))
    assert group.duration.p50 == pytest.approx(statistics.median(durations))


def test_a_report_knows_attempts_currencies_and_what_is_open(tmp_path: Path) -> None:
    """The last target is named, attempts are counted, currencies are kept apart, and large sums do not overflow."""
    ids = Identities(lambda: START, os.urandom)
    seen = Usage(input=1, output=1, estimated=True)

    async def story() -> None:
        disk = Disk(tmp_path)
        for currency in ("USD", "BRL", "USD", None):
            id = ids.new()
            await disk.ledger.open(
                Entry(id, START, "key-1", "blue", Attribution(), "openai", "chat", "m", "r", stream=True),
                Attempt(id, 1, "one/m", "api", START),
            )
            await disk.ledger.next_attempt(AttemptEnd(id, 1, State.FAILED, Usage()), Attempt(id, 2, "two/m", "api", 1))
            if currency is not None:
                await disk.ledger.settle(
                    EntryEnd(id, State.COMPLETE, 200, seen, None, 5, 9_000_000 * PICO, currency, "v"), None
                )
        await disk.close()

    asyncio.run(story())
    reports = SqliteReports(tmp_path)

    (group,) = reports.groups(Filter(), ("target",))
    newest, *_ = reports.page(Filter()).lines

    assert (group.target, group.calls, group.states) == ("two/m", 4, {"open": 1, "complete": 3})
    assert group.prices == {"USD": 18_000_000 * PICO, "BRL": 9_000_000 * PICO}
    assert (group.unpriced, group.estimated) == (0, 3)
    assert group.first_token.p50 is None
    assert (newest.target, newest.attempts, newest.state, newest.price) == ("two/m", 2, "open", None)


def test_an_empty_ledger_has_no_groups(tmp_path: Path) -> None:
    """Where nothing was called there is no group and no line."""
    fill(tmp_path, 0)
    reports = SqliteReports(tmp_path)

    assert reports.groups(Filter()) == []
    assert reports.groups(Filter(), ("model",)) == []
    assert reports.page(Filter()).lines == []


def test_a_model_stands_as_its_calls_went(tmp_path: Path) -> None:
    """Callers' mistakes, hang-ups and what is open say nothing; cuts, full targets and 5xx do; older calls do not."""
    ids = Identities(lambda: START, os.urandom)
    ends = [
        ("m", START, State.COMPLETE, 200, 100),
        ("m", START, State.COMPLETE, 200, 300),
        ("m", START, State.COMPLETE, 200, 500),
        ("m", START, State.UPSTREAM_CUT, 200, 9),
        ("m", START, State.FAILED, 502, 9),
        ("m", START, State.FAILED, 429, 9),
        ("m", START, State.FAILED, 400, 9),
        ("m", START, State.CALLER_GONE, 499, 9),
        ("m", START - 1, State.COMPLETE, 200, 9_000),
        ("n", START, State.COMPLETE, 200, 7),
        ("m", START, None, 0, 0),
    ]

    async def story() -> None:
        disk = Disk(tmp_path)
        for model, at, state, status, duration in ends:
            id = ids.new()
            entry = Entry(id, at, "key-1", "", Attribution(), "openai", "chat", model, "r", stream=False)
            await disk.ledger.open(entry, None)
            if state is not None:
                await disk.ledger.settle(EntryEnd(id, state, status, Usage(), None, duration, None, None, None), None)
        await disk.close()

    asyncio.run(story())
    reports = SqliteReports(tmp_path)

    assert reports.standing("m", START) == Standing(300.0, 0.5)
    assert reports.standing("n", START) == Standing(7.0, 1.0)
    assert reports.standing("m'; --", START) == Standing(None, None)
