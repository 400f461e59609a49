"""Content: cut, kept apart, found by its entry, removed with its day."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.entry import Entry
from foz.canon.identity import Identities
from foz.canon.principal import Principal, Role
from foz.canon.request import NOBODY
from foz.ports.content import Kept
from foz.store.content import ContentFiles, cut
from foz.store.database import prepare

NOW = 1_700_000_000_000
DAY = 86_400_000


def entry(at: int = NOW) -> Entry:
    id = Identities(lambda: at, os.urandom).new()
    return Entry(id, at, "key-1", "blue", NOBODY, "ollama_host", "chat", "m", "r", stream=False)


def test_what_was_kept_is_found_by_its_entry(tmp_path: Path) -> None:
    """Input and output of a call are read back; of another call there is nothing."""
    one = entry()
    files = ContentFiles(tmp_path, lambda: NOW)
    files.keep(one, '[{"role":"user","content":"olá"}]', "resposta \U0001f600")
    files.close()

    kept = asyncio.run(files.read(one.id))

    assert kept == Kept(
        one.id, "key-1", "blue", '[{"role":"user","content":"olá"}]', "resposta \U0001f600", False, False
    )
    assert asyncio.run(files.read(entry().id)) is None
    assert asyncio.run(files.read(entry(NOW - DAY).id)) is None


def test_what_is_not_written_yet_is_read_too(tmp_path: Path) -> None:
    """A call's content is found as soon as it was taken, though nobody writes for an hour."""
    one = entry()
    files = ContentFiles(tmp_path, lambda: NOW, gather_seconds=3600)
    files.keep(one, "[]", "resposta")

    found = asyncio.run(files.read_many([entry().id, one.id]))
    written = (tmp_path / "content" / "2023-11-14").exists()
    files.close()

    assert found == {one.id: Kept(one.id, "key-1", "blue", "[]", "resposta", False, False)}
    assert not written
    assert asyncio.run(files.read(one.id)) == found[one.id]


def test_several_calls_are_read_together(tmp_path: Path) -> None:
    """Calls of several days are found by their entries; those of which nothing is kept are left out."""
    entries = [entry(), entry(), entry(NOW - DAY)]
    files = ContentFiles(tmp_path, lambda: NOW)
    for number, one in enumerate(entries):
        files.keep(one, str(number), "")
    files.close()

    found = asyncio.run(files.read_many([entry().id, *(one.id for one in entries), entry(NOW - 2 * DAY).id]))

    assert {id: kept.input for id, kept in found.items()} == {one.id: str(n) for n, one in enumerate(entries)}


def test_who_reads_while_a_day_begins_is_told_that_nothing_is_there(tmp_path: Path) -> None:
    """Reading without a pause while a day's first call is written never fails, and finds it soon."""
    for number in range(20):
        one = entry()
        files = ContentFiles(tmp_path / str(number), lambda: NOW, gather_seconds=0.001)
        files.keep(one, "a", "b")
        found = next(filter(None, (files.read_now(one.id) for _ in range(100_000))), None)
        files.close()

        assert found == Kept(one.id, "key-1", "blue", "a", "b", False, False)
        assert [path.name for path in tmp_path.glob(f"{number}/content/*/*.new")] == []


@given(st.text(max_size=300), st.text(max_size=300), st.integers(0, 400))
def test_a_call_never_exceeds_its_limit(input: str, output: str, limit: int) -> None:
    """Both together are at most the limit in bytes: beginnings, marked where they are not whole."""
    kept_input, kept_output, input_cut, output_cut = cut(input, output, limit)

    assert len(kept_input.encode()) + len(kept_output.encode()) <= limit
    assert input.startswith(kept_input)
    assert output.startswith(kept_output)
    assert input_cut == (kept_input != input)
    assert output_cut == (kept_output != output)
    if len(input.encode()) + len(output.encode()) <= limit:
        assert (kept_input, kept_output) == (input, output)


def test_a_long_input_leaves_room_for_the_output() -> None:
    """An endless input takes what a short output leaves, and half where both are endless."""
    assert [len(part) for part in cut("a" * 1000, "b" * 10, 100)[:2]] == [90, 10]
    assert [len(part) for part in cut("a" * 1000, "b" * 1000, 100)[:2]] == [50, 50]
    assert [len(part) for part in cut("a" * 10, "b" * 1000, 100)[:2]] == [10, 90]


def test_broken_unicode_harms_nobody(tmp_path: Path) -> None:
    """A lone surrogate is replaced, and its neighbours are kept."""
    first, second = entry(), entry()
    files = ContentFiles(tmp_path, lambda: NOW)
    files.keep(first, "\ud800", "a")
    files.keep(second, "b", "c")
    files.close()

    kept = [files.read_now(one.id) for one in (first, second)]

    assert [(each.input, each.output) for each in kept if each] == [("?", "a"), ("b", "c")]


def test_a_day_is_removed_with_its_files_when_its_time_is_over(tmp_path: Path) -> None:
    """After 30 days a day's folder is gone, also its WAL; younger days and foreign files stay."""
    now = [NOW]
    old, young = entry(NOW), entry(NOW + DAY)
    files = ContentFiles(tmp_path, lambda: now[0])
    files.keep(old, "old", "")
    files.keep(young, "young", "")
    files.close()
    (tmp_path / "content" / "2023-11-14" / "content.db-wal").touch()
    (tmp_path / "content" / "notes").mkdir()

    now[0] = NOW + 30 * DAY
    assert files.sweep() == []
    now[0] = NOW + 31 * DAY
    assert files.sweep() == ["2023-11-14"]

    assert files.read_now(old.id) is None
    assert files.read_now(young.id) is not None
    assert sorted(path.name for path in (tmp_path / "content").iterdir()) == ["2023-11-15", "notes"]


def test_too_much_is_dropped_and_counted(tmp_path: Path) -> None:
    """Beyond the line's size content is not kept, and the calls are counted."""
    files = ContentFiles(tmp_path, lambda: NOW, most_waiting=50, gather_seconds=60.0)
    entries = [entry() for _ in range(10)]
    for each in entries:
        files.keep(each, "x" * 20, "")
    files.close()

    kept = [files.read_now(each.id) for each in entries]

    assert files.dropped == 8
    assert sum(each is not None for each in kept) == 2


def test_content_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    """A file where the day's folder should be costs the content, not the process."""
    prepare(tmp_path)
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "2023-11-14").touch()
    files = ContentFiles(tmp_path, lambda: NOW)
    files.keep(entry(), "a", "b")
    files.close()

    assert files.dropped == 1


@pytest.mark.parametrize(
    ("reader", "readable"),
    [
        (Principal("x", Role.ADMIN), True),
        (Principal("x", project="blue"), True),
        (Principal("key-1", project="red"), False),
        (Principal("key-1"), True),
        (Principal("x"), False),
    ],
)
def test_only_administrators_and_the_own_project_may_read(reader: Principal, readable: bool) -> None:
    """Who may read is decided by role and project; who has no project reads what is their own."""
    assert Kept(b"", "key-1", "blue", "", "", False, False).readable_by(reader) is readable
