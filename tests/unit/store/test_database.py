"""Opening the database: migrations, refusals, pragmas, checkpoints."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from foz.store.checkpoint import Checkpointer, restart
from foz.store.database import (
    StoreError,
    connect,
    connect_reader,
    migrations,
    path_of,
    prepare,
)
from foz.store.writer import Writer

ROOT = Path(__file__).parents[3]
PREPARE = "import sys, pathlib; from foz.store.database import prepare; prepare(pathlib.Path(sys.argv[1]))"


def test_migrations_are_numbered_without_gaps() -> None:
    """The steps are 1, 2, 3 and so on."""
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    """Five processes that find no database end well, and the database is the newest."""
    processes = [
        subprocess.Popen([sys.executable, "-c", PREPARE, str(tmp_path / "data")], env={"PYTHONPATH": str(ROOT / "src")})
        for _ in range(5)
    ]

    assert [process.wait(timeout=60) for process in processes] == [0] * 5

    connection = connect(tmp_path / "data")
    assert connection.pragma("user_version") == len(migrations())
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_a_database_of_before_is_brought_up_to_date_and_keeps_its_rows(tmp_path: Path) -> None:
    """A ledger of the first format has the newest one after `prepare`, with its entry."""
    connection = apsw.Connection(str(path_of(tmp_path)))
    for _ in connection.execute(migrations()[0][1]):
        pass
    connection.pragma("user_version", 1)
    connection.execute(
        "INSERT INTO entries (id, at, principal, project, skin, operation, model, request_id, stream, state)"
        " VALUES (zeroblob(16), 1, 'k', 'p', 'openai', 'chat', 'm', 'r', 0, 'complete')"
    )
    connection.close()

    prepare(tmp_path)
    prepare(tmp_path)

    reader = connect_reader(tmp_path)
    assert reader.pragma("user_version") == len(migrations())
    assert reader.execute("SELECT count(*) FROM entries").get == 1
    reader.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A database of a later format raises a StoreError that names the file and both formats."""
    prepare(tmp_path)
    connection = connect(tmp_path)
    connection.pragma("user_version", 999)
    connection.close()

    with pytest.raises(StoreError, match=rf"foz\.db: written by a newer Foz \(format 999; .*{len(migrations())}\)"):
        prepare(tmp_path)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Where a table is in the way, the step is undone whole and the message says so."""
    connection = apsw.Connection(str(path_of(tmp_path)))
    connection.execute("CREATE TABLE further_attempts (x)")
    connection.close()

    with pytest.raises(StoreError, match="further_attempts already exists"):
        prepare(tmp_path)

    reader = connect_reader(tmp_path)
    assert reader.pragma("user_version") == 0
    assert not reader.table_exists(None, "entries")
    reader.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file of something else raises a StoreError that names it."""
    path_of(tmp_path).write_bytes(b"not a database, but long enough to look at" * 100)

    with pytest.raises(StoreError, match=r"foz\.db: SQLite cannot use it"):
        prepare(tmp_path)


def test_durability_decides_how_often_the_disk_is_waited_for(tmp_path: Path) -> None:
    """`process` is synchronous NORMAL, `power` FULL; both write a WAL and never checkpoint in a commit."""
    prepare(tmp_path)
    for durability, synchronous in (("process", 1), ("power", 2)):
        connection = connect(tmp_path, durability)  # type: ignore[arg-type]  # a tuple widens the literals
        assert connection.pragma("synchronous") == synchronous
        assert connection.pragma("journal_mode") == "wal"
        assert connection.pragma("wal_autocheckpoint") == 0
        connection.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """A connection for reports refuses to write, and the data directory is its owner's alone."""
    prepare(tmp_path / "data")
    reader = connect_reader(tmp_path / "data")

    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM entries")

    reader.close()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def _log_number(data: Path) -> int:
    """How often the WAL has been started again: its header counts it."""
    with (data / "foz.db-wal").open("rb") as log:
        log.seek(12)
        return int.from_bytes(log.read(4))


def test_the_log_is_started_again_at_its_cap(tmp_path: Path) -> None:
    """Under writing that never pauses the WAL begins anew once it is past its cap, and nothing is lost."""
    prepare(tmp_path)

    async def story() -> int:
        writer = Writer(connect(tmp_path))
        checkpointer = Checkpointer(connect(tmp_path), writer, cap_frames=20, every_seconds=0.005)
        rows = 0
        await writer.call(lambda connection: connection.execute("CREATE TABLE t (x)").get)
        first = _log_number(tmp_path)
        while _log_number(tmp_path) == first:
            await asyncio.gather(
                *[
                    writer.call(lambda connection: connection.execute("INSERT INTO t VALUES (zeroblob(300))").get)
                    for _ in range(500)
                ]
            )
            rows += 500
        checkpointer.close()
        await writer.close()
        return rows

    rows = asyncio.run(story())

    reader = connect_reader(tmp_path)
    assert reader.execute("SELECT count(*) FROM t").get == rows
    assert reader.pragma("integrity_check") == "ok"
    reader.close()


def test_a_reader_in_the_way_does_not_hold_the_writer(tmp_path: Path) -> None:
    """Starting the WAL again while somebody reads gives up soon, and the connection keeps its patience."""
    prepare(tmp_path)
    writer, reader = connect(tmp_path), connect_reader(tmp_path)
    writer.execute("CREATE TABLE t (x)")
    writer.execute("INSERT INTO t VALUES (1)")
    with reader:
        assert reader.execute("SELECT count(*) FROM t").get == 1
        writer.execute("INSERT INTO t VALUES (2)")

        restart(writer)

        assert reader.execute("SELECT count(*) FROM t").get == 1
    other = connect(tmp_path)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.05, lambda: other.execute("ROLLBACK"))
    release.start()
    writer.execute("INSERT INTO t VALUES (3)")
    release.join()
    assert reader.execute("SELECT count(*) FROM t").get == 3
    for connection in (writer, reader, other):
        connection.close()
