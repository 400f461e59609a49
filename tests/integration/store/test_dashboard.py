"""The dashboard's pages over a real ledger and real content: each entry once, to those who may see it."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from bench.reports import START, STEP, fill
from foz.canon.entry import Entry
from foz.canon.principal import LOCAL_ADMIN, Principal, Role
from foz.ledger.report import Filter, Reports
from foz.ports.content import Kept
from foz.serve.http.desk import Desk
from foz.serve.http.faces import ollama_host
from foz.serve.http.faces.ollama_host import AT_ONCE, MOST_SAID, Asked, _page
from foz.store.content import ContentFiles
from foz.store.reader import SqliteReports
from tests.core import Core

ROWS = 600
READERS = (
    LOCAL_ADMIN,
    Principal("key-1", project="project-3"),
    Principal("key-7"),
    Principal("anonymous"),
    Principal("key-7", project="nothing"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger that the bench fills, smaller, with some calls that still run."""
    data = tmp_path_factory.mktemp("data")
    fill(data, ROWS)
    with closing(sqlite3.connect(data / "foz.db")) as books, books:
        books.execute("UPDATE entries SET state = 'open' WHERE at / 2592 % 7 = 0")
    return data


def shown(reports: Reports, content: ContentFiles, reader: Principal, query: str) -> tuple[list[Any], str | None]:
    """One page, and the query of the next."""

    async def ask() -> tuple[list[Any], str | None]:
        core = Core()
        made = ollama_host.router(Desk(core.gateway, reports, content, core.clock))
        endpoint: Any = made.routes[0]
        scope = {"type": "http", "query_string": query.encode(), "headers": [], "state": {"principal": reader}}
        answer = await endpoint.endpoint(Request(scope), Asked.model_validate(dict(parse_qsl(query))))
        link = answer.headers.get("link")
        return msgspec.json.decode(answer.body), None if link is None else urlsplit(link[1:].partition(">")[0]).query

    return asyncio.run(ask())


@settings(max_examples=60)
@given(
    st.sampled_from(READERS),
    st.integers(1, 200),
    st.sampled_from([{}, {"model": "model-3"}, {"project": "project-3"}, {"project": "x"}, {"user_key": "user-13"}]),
    st.none() | st.integers(-10, ROWS + 10),
    st.none() | st.integers(-10, ROWS + 10),
)
def test_pages_show_what_may_be_seen_once_newest_first(
    data: Path, reader: Principal, limit: int, words: dict[str, str], since: int | None, until: int | None
) -> None:
    """Following the links, whatever is asked by whom, shows just the settled entries that match, in order, once."""
    asked = {**words, "limit": str(limit), "from": _iso(since), "to": _iso(until)}
    query: str | None = urlencode({name: value for name, value in asked.items() if value})
    rows: list[Any] = []
    with closing(ContentFiles(data, lambda: START)) as content:
        while query is not None:
            page, query = shown(SqliteReports(data), content, reader, query)
            assert len(page) <= limit
            rows += page

    assert [one["process_id"] for one in rows] == _expected(data, reader, words, since, until)


def _iso(count: int | None) -> str:
    if count is None:
        return ""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=START + count * STEP)).isoformat()


def _expected(data: Path, reader: Principal, words: dict[str, str], since: int | None, until: int | None) -> list[str]:
    """The same by Python, from all rows."""
    with closing(sqlite3.connect(data / "foz.db")) as books:
        books.row_factory = sqlite3.Row
        rows = books.execute("SELECT * FROM entries WHERE state <> 'open' ORDER BY id DESC").fetchall()
    least = -1 if since is None else START + since * STEP
    most = 2**60 if until is None else START + until * STEP
    return [
        str(one["process_id"])
        for one in rows
        if all(one[name] == value for name, value in words.items())
        and least <= one["at"] < most
        and (reader.role is Role.ADMIN or reader.project in {None, one["project"]})
        and (reader.role is Role.ADMIN or reader.project is not None or reader.id == one["principal"])
    ]


class Full:
    """Implements `ports.content.Content`: the longest of everything was said."""

    def __init__(self) -> None:
        self.read_ids = 0

    def keep(self, entry: Entry, input: str, output: str) -> None:
        raise NotImplementedError

    async def read(self, entry_id: bytes) -> Kept | None:
        return (await self.read_many([entry_id]))[entry_id]

    async def read_many(self, entry_ids: Sequence[bytes]) -> dict[bytes, Kept]:
        self.read_ids += len(entry_ids)
        return {id: Kept(id, "p", "project-3", "[]", "x" * 60_000, False, False) for id in entry_ids}


def test_a_page_ends_where_much_was_said(data: Path) -> None:
    """Where the longest of everything was said, a page stops short of its limit, and the next goes on after it."""
    reports = SqliteReports(data)
    lines = reports.page(Filter(), 500).lines
    content = Full()
    page = asyncio.run(_page(content, lines, "the last", LOCAL_ADMIN))

    assert MOST_SAID < sum(len(one.output or "") for one in page.rows) < MOST_SAID + AT_ONCE * 60_002
    assert len(page.rows) == content.read_ids < len(lines)
    assert page.next == lines[len(page.rows) - 1].id
    rest = asyncio.run(_page(Full(), lines[:2], "the last", LOCAL_ADMIN))
    assert (len(rest.rows), rest.next) == (2, "the last")


def test_what_may_not_be_read_is_null(data: Path) -> None:
    """Content of another project is not shown, even where its line is."""
    lines = SqliteReports(data).page(Filter(), 3).lines
    page = asyncio.run(_page(Full(), lines, None, Principal("key-1", project="project-4")))

    assert [one.output for one in page.rows] == [None] * 3
