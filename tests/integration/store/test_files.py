"""Files of callers on a real disk: each its owner's, for its time, within its room, and nothing left behind."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from foz.canon.fault import BadRequest, NotFound, OverBudget
from foz.store.disk import Disk
from foz.store.files import STALE_SECONDS, Room, SqliteFiles

HIS, HERS, ELSEWHERE = ("key-1", "p"), ("key-2", "p"), ("key-1", "q")
HOUR = 3600


class Hands:
    """A clock that is put on."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000

    def now(self) -> int:
        return self.at


def run(folder: Path, work: Callable[[SqliteFiles, Hands], Awaitable[None]], room: Room | None = None) -> None:
    """Works with the files of a data directory, as one process would."""

    async def all_of_it() -> None:
        disk, hands = Disk(folder), Hands()
        try:
            await work(SqliteFiles(folder, disk.writer, hands.now, room or Room()), hands)
        finally:
            await disk.close()

    asyncio.run(all_of_it())


async def keep(
    files: SqliteFiles, data: bytes = b"words", whose: tuple[str, str] = HIS, seconds: int | None = None
) -> str:
    """One that is all there; its id."""
    draft = await files.begin(whose)
    try:
        await draft.write(data)
        return (await draft.keep("a.txt", "user_data", seconds)).id
    finally:
        await draft.drop()


def left(folder: Path) -> set[str]:
    """What lies on the disk."""
    return {path.name for path in (folder / "files").iterdir()}


def test_a_file_is_its_owners(tmp_path: Path) -> None:
    """Another key, and another project of the same key, neither finds, lists, reads nor removes a file."""

    async def work(files: SqliteFiles, _: Hands) -> None:
        id = await keep(files)
        for other in (HERS, ELSEWHERE):
            assert await files.every(other) == []
            for act in (files.find, files.read, files.remove):
                with pytest.raises(NotFound):
                    await act(other, id)
        assert await files.read(HIS, id) == b"words"

    run(tmp_path, work)


def test_a_file_is_kept_for_its_time(tmp_path: Path) -> None:
    """From its last moment on a file is unknown, its bytes are removed by the next sweep, and it takes no room."""

    async def work(files: SqliteFiles, hands: Hands) -> None:
        short = await keep(files, seconds=HOUR)
        usual = await keep(files)
        hands.at += HOUR * 1000 - 1
        assert (await files.find(HIS, short)).id == short
        hands.at += 1
        with pytest.raises(NotFound):
            await files.read(HIS, short)
        assert [one.id for one in await files.every(HIS)] == [usual]
        await keep(files)
        await files.forget()
        assert short not in left(tmp_path)
        assert usual in left(tmp_path)
        hands.at += 10**12
        await files.forget()
        assert left(tmp_path) == set()

    run(tmp_path, work, Room(files=2))


def test_nobody_keeps_longer_than_the_room_allows(tmp_path: Path) -> None:
    """A wish beyond the settings' time is cut to it."""

    async def work(files: SqliteFiles, hands: Hands) -> None:
        id = await keep(files, seconds=90 * HOUR)
        assert (await files.find(HIS, id)).expires == hands.at + HOUR * 1000

    run(tmp_path, work, Room(seconds=HOUR))


def test_room_is_each_owners_own(tmp_path: Path) -> None:
    """Number and bytes are counted for one key and project; who has none left is refused and leaves nothing."""

    async def work(files: SqliteFiles, _: Hands) -> None:
        first = await keep(files, b"a" * 60)
        with pytest.raises(OverBudget, match="100 bytes"):
            await keep(files, b"a" * 60)
        await keep(files, b"a" * 60, HERS)
        await keep(files, b"a" * 20)
        with pytest.raises(OverBudget, match="2 files"):
            await keep(files, b"a")
        assert len(left(tmp_path)) == 3
        await files.remove(HIS, first)
        await keep(files, b"a" * 60)

    run(tmp_path, work, Room(files=2, total=100))


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x00", b"PK\x03\x04"])
def test_what_nobody_reads_is_not_kept(tmp_path: Path, data: bytes) -> None:
    """An empty file, and one of no known kind, is refused and leaves nothing."""

    async def work(files: SqliteFiles, _: Hands) -> None:
        with pytest.raises(BadRequest):
            await keep(files, data)
        assert left(tmp_path) == set()

    run(tmp_path, work)


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    """Bytes without a row, whole or half, go once they are old; those of an upload under way stay."""

    async def work(files: SqliteFiles, hands: Hands) -> None:
        kept = await keep(files)
        for name in ("file-foz0", "file-foz1.coming", "file-foz2.coming"):
            (tmp_path / "files" / name).write_bytes(b"half")
        old, new = hands.at / 1000 - STALE_SECONDS - 1, hands.at / 1000
        for name in (kept, "file-foz0", "file-foz1.coming"):
            os.utime(tmp_path / "files" / name, (old, old))
        os.utime(tmp_path / "files" / "file-foz2.coming", (new, new))
        await files.forget()
        assert left(tmp_path) == {kept, "file-foz2.coming"}

    run(tmp_path, work)
