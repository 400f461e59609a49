"""The file of kept answers: how large it grows, what is done with one that is no good, and when the disk is slow."""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from foz.ports.cache import MOST
from foz.store.cache import MOST_WAITING, NAME, SqliteCache
from foz.store.database import StoreError

NOW = 1_700_000_000_000
LATER = NOW + 1_000_000


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_the_file_keeps_to_its_size(tmp_path: Path) -> None:
    """However much is kept, the database's pages stay within the size and a bit; with less it gets smaller."""

    async def main() -> tuple[int, int]:
        cache = SqliteCache(tmp_path, 4 * MOST)
        for number in range(12):
            cache.keep(key(number), os.urandom(MOST), LATER)
        await cache.close()
        grown = (tmp_path / NAME).stat().st_size
        cache = SqliteCache(tmp_path, MOST)
        await cache.forget(NOW)
        await cache.close()
        return grown, (tmp_path / NAME).stat().st_size

    grown, shrunk = asyncio.run(main())
    assert 3 * MOST < grown <= 6 * MOST
    assert shrunk <= MOST


@pytest.mark.parametrize("spoil", ["no database", "another form", "a newer one"])
def test_a_file_that_is_of_no_use_is_begun_anew(tmp_path: Path, spoil: str) -> None:
    """A file with other bytes, with other tables or of a newer Foz is replaced, and answers are kept and found."""
    path = tmp_path / NAME
    if spoil == "no database":
        path.write_bytes(os.urandom(10_000))
    else:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE answers (something)")
            other.execute(f"PRAGMA user_version = {7 if spoil == 'a newer one' else 0}")

    async def main() -> bytes | None:
        cache = SqliteCache(tmp_path, MOST)
        cache.keep(key(1), b"answer", LATER)
        await cache.close()
        cache = SqliteCache(tmp_path, MOST)
        try:
            return await cache.find(key(1), NOW)
        finally:
            await cache.close()

    assert asyncio.run(main()) == b"answer"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Where the file cannot be made, a StoreError says which file it is."""

    async def main() -> None:
        with pytest.raises(StoreError, match=r"cache\.db"):
            SqliteCache(tmp_path, MOST)

    (tmp_path / NAME).mkdir()
    asyncio.run(main())


def test_a_file_that_spoils_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where it is overwritten while it is open, nothing is found, nothing is raised, and one warning tells it."""

    async def main() -> None:
        cache = SqliteCache(tmp_path, MOST)
        cache.keep(key(1), b"answer", LATER)
        await cache.close()
        cache = SqliteCache(tmp_path, MOST)
        (tmp_path / NAME).write_bytes(b"\xff" * (tmp_path / NAME).stat().st_size)
        for _ in range(5):
            assert await cache.find(key(1), NOW) is None
        await cache.close()

    asyncio.run(main())
    warnings = [record for record in caplog.records if record.name == "foz.cache" and record.levelname == "WARNING"]
    assert len(warnings) == 1


def test_what_comes_faster_than_it_is_written_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the file is locked, answers wait up to a bound and are found; more are not kept; then those are written."""

    async def main() -> list[int]:
        cache = SqliteCache(tmp_path, 4 * MOST_WAITING)
        locker = apsw.Connection(str(tmp_path / NAME))
        locker.execute("BEGIN IMMEDIATE")
        most = MOST_WAITING // MOST
        for number in range(2 * most):
            cache.keep(key(number), bytes(MOST), LATER)
        waiting = [number for number in range(2 * most) if await cache.find(key(number), NOW) is not None]
        assert waiting == list(range(most))
        locker.execute("ROLLBACK")
        locker.close()
        await cache.close()
        cache = SqliteCache(tmp_path, 4 * MOST_WAITING)
        try:
            return [number for number in range(2 * most) if await cache.find(key(number), NOW) is not None]
        finally:
            await cache.close()

    assert asyncio.run(main()) == list(range(MOST_WAITING // MOST))
    assert caplog.text.count("answers are not kept") == 1
