"""Group commit: who fails, who waits, and what happens when the thread dies."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from foz.canon.fault import Bug, Conflict, Draining, NoCapacity
from foz.store.database import connect, prepare
from foz.store.queries import load, widen
from foz.store.writer import Bulk, Row, Writer

TABLE = "CREATE TABLE things (id INTEGER PRIMARY KEY, word TEXT NOT NULL) STRICT"
INSERT = "INSERT INTO things (id, word) VALUES (?, ?)"


class Scene:
    """A writer over one table."""

    def __init__(self, data: Path, limit: int = 1000, linger: float = 0.0) -> None:
        prepare(data)
        self.connection = connect(data)
        self.connection.execute(TABLE)
        self.reader = connect(data)
        self.writer = Writer(self.connection, limit, linger=linger)
        self.lost: list[Row] = []
        self.bulk = Bulk(INSERT, 0, self.lost.append)

    def put(self, id: int, word: str | None = "a") -> "asyncio.Future[None]":
        return self.writer.put(self.bulk, (id, word))

    def words(self) -> dict[int, str]:
        return {int(id): str(word) for id, word in self.reader.execute("SELECT id, word FROM things")}

    @contextmanager
    def held(self) -> Iterator[None]:
        """While it lasts the thread is busy with one job."""
        holding, go_on = threading.Event(), threading.Event()

        def work(_: apsw.Connection) -> None:
            holding.set()
            go_on.wait(10)

        held = self.writer.call(work)
        self.writer._ring()
        holding.wait(10)
        try:
            yield
        finally:
            go_on.set()
            held.add_done_callback(lambda future: future.exception())


def told(data: Path, story: Callable[[Scene], Awaitable[None]], limit: int = 1000, *, linger: float = 0.0) -> None:
    async def run() -> None:
        scene = Scene(data, limit, linger)
        try:
            await story(scene)
        finally:
            await scene.writer.close()
            scene.reader.close()

    asyncio.run(run())


def fail_in_sql(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO things (id, word) VALUES (-1, 'never')")
    connection.execute("INSERT INTO nothing VALUES (1)")


def test_what_was_awaited_is_written(tmp_path: Path) -> None:
    """More rows than one statement or one batch holds are all written once each."""

    async def story(scene: Scene) -> None:
        await asyncio.gather(*[scene.put(id, str(id)) for id in range(900)])
        assert scene.words() == {id: str(id) for id in range(900)}

    told(tmp_path, story)


@pytest.mark.parametrize("word", [None, "\ud800", object(), 2**80])
def test_a_row_that_fails_fails_only_its_own_caller(word: str | None, tmp_path: Path) -> None:
    """Of rows in one transaction, the one that cannot be written raises Bug; the others are durable."""

    async def story(scene: Scene) -> None:
        with scene.held():
            futures = [scene.put(1), scene.put(2, word), scene.put(3)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), Bug, type(None)]
        assert scene.words() == {1: "a", 3: "a"}
        assert [row[0] for row in scene.lost] == [2]

    told(tmp_path, story)


def test_work_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Work that fails half-way is undone whole; what stood before and after it in the line is durable."""

    async def story(scene: Scene) -> None:
        with scene.held():
            futures: list[asyncio.Future[None]] = [scene.put(1), scene.writer.call(fail_in_sql), scene.put(2)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), Bug, type(None)]
        assert scene.words() == {1: "a", 2: "a"}

    told(tmp_path, story)


def test_work_gives_its_result_and_its_own_faults(tmp_path: Path) -> None:
    """The result of work comes back to its caller, and a fault that it raises comes as it is."""

    def refuse(_: apsw.Connection) -> None:
        raise Conflict("no")

    async def story(scene: Scene) -> None:
        with scene.held():
            seen = scene.writer.call(lambda connection: connection.execute("SELECT 7").get)
            refused = scene.writer.call(refuse)
        assert await seen == 7
        with pytest.raises(Conflict, match="no"):
            await refused

    told(tmp_path, story)


def test_work_sees_what_was_put_before_it(tmp_path: Path) -> None:
    """Work counts the rows that stood before it in the line, and not those after."""

    async def story(scene: Scene) -> None:
        with scene.held():
            first = scene.put(1)
            counted = scene.writer.call(lambda connection: connection.execute("SELECT count(*) FROM things").get)
            second = scene.put(2)
        await asyncio.gather(first, second)
        assert await counted == 1

    told(tmp_path, story)


def test_a_full_line_refuses_at_once(tmp_path: Path) -> None:
    """Beyond its limit the line raises NoCapacity without waiting; what stood in it is written."""

    async def story(scene: Scene) -> None:
        with scene.held():
            futures = [scene.put(id) for id in range(10)]
            with pytest.raises(NoCapacity):
                scene.put(10)
        await asyncio.gather(*futures)
        assert sorted(scene.words()) == list(range(10))

    told(tmp_path, story, limit=10)


def test_a_caller_that_went_away_disturbs_nobody(tmp_path: Path) -> None:
    """A cancelled wait leaves its row written, and its neighbours too."""

    async def story(scene: Scene) -> None:
        with scene.held():
            first, second = scene.put(1), scene.put(2)
            first.cancel()
        await second
        assert sorted(scene.words()) == [1, 2]

    told(tmp_path, story)


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    """What was put before `close` is durable after it; later puts are refused."""

    async def story(scene: Scene) -> None:
        future = scene.put(1)
        await scene.writer.close()
        assert future.done()
        assert scene.words() == {1: "a"}
        with pytest.raises(Draining):
            scene.put(2)

    told(tmp_path, story)


def test_a_dead_thread_is_told_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect ends the thread: the one whose work it was, those in line and those who come later get Bug."""
    ended = []
    monkeypatch.setattr(threading, "excepthook", lambda told: ended.append(told.exc_type))

    def die(_: apsw.Connection) -> None:
        raise RuntimeError("a defect")

    async def story(scene: Scene) -> None:
        with scene.held():
            futures: list[asyncio.Future[None]] = [scene.put(1), scene.writer.call(die), scene.put(2)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(result) for result in results] == [Bug, Bug, Bug]
        assert all("a defect" in str(result) for result in results)
        with pytest.raises(Bug, match="a defect"):
            scene.put(3)
        assert scene.words() == {}

    told(tmp_path, story)
    assert ended == [RuntimeError]


def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    """While the database cannot grow, writes raise NoCapacity; when it can again, they succeed."""

    async def story(scene: Scene) -> None:
        def allow(pages: int) -> Callable[[apsw.Connection], None]:
            return lambda connection: connection.pragma("max_page_count", pages)

        await scene.writer.call(allow(1))
        with pytest.raises(NoCapacity, match="full"):
            await asyncio.gather(*[scene.put(id, "x" * 4000) for id in range(20)])
        await scene.writer.call(allow(1_000_000))
        await scene.put(1000)
        assert 1000 in scene.words()

    told(tmp_path, story)


def test_a_database_that_is_locked_for_long_is_said(tmp_path: Path) -> None:
    """Where another program holds the lock beyond the patience, all that waited raise NoCapacity."""

    async def story(scene: Scene) -> None:
        scene.connection.set_busy_timeout(1)
        scene.reader.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(scene.put(1), scene.put(2), return_exceptions=True)
        scene.reader.execute("ROLLBACK")
        assert [type(result) for result in results] == [NoCapacity, NoCapacity]
        await scene.put(3)
        assert sorted(scene.words()) == [3]

    told(tmp_path, story)


def test_a_wide_statement_differs_in_its_values_only() -> None:
    """Widening repeats the one row of question marks; a query without exactly one is refused."""
    assert widen("INSERT INTO t VALUES (?, 'a', ?)", 3) == "INSERT INTO t VALUES (?, 'a', ?),(?, 'a', ?),(?, 'a', ?)"
    for query in ("SELECT 1", "INSERT INTO t VALUES (?) VALUES (?)"):
        with pytest.raises(ValueError, match="one row of VALUES"):
            widen(query, 2)


def test_every_file_of_queries_is_read_whole() -> None:
    """Each file names at least one query, and no query is empty."""
    for subject in ("ledger", "keys", "leases", "reports"):
        assert load(subject)
        assert all(text.endswith(";") for text in load(subject).values())


def test_rows_in_a_hurry_wait_for_each_other(tmp_path: Path) -> None:
    """Rows that come fast, one in each turn of the loop, share commits; closing writes those that wait at once."""
    linger = 0.05

    async def story(scene: Scene) -> None:
        commits = 0

        def committed() -> bool:
            nonlocal commits
            commits += 1
            return False

        loop, id = asyncio.get_running_loop(), 0
        until = loop.time() + 12 * linger
        while loop.time() < until:
            id += 1
            await asyncio.sleep(0)
            scene.put(id)
            await asyncio.sleep(0.001)
        await scene.put(id + 1)
        scene.connection.set_commit_hook(committed)
        rows = []
        for more in range(2, 14):
            rows.append(scene.put(id + more))
            await asyncio.sleep(0)
        await asyncio.gather(*rows)
        assert commits <= 3
        last = scene.put(id + 14)
        await scene.writer.close()
        assert last.done()
        assert len(scene.words()) == id + 14

    told(tmp_path, story, linger=linger)


def test_a_row_that_comes_alone_waits_for_nobody(tmp_path: Path) -> None:
    """However long rows may wait for each other, one that comes alone is written at once."""

    async def story(scene: Scene) -> None:
        for id in range(3):
            await asyncio.wait_for(scene.put(id), 10)

    told(tmp_path, story, linger=60.0)
