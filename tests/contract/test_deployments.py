"""Where deployments are kept: the same of SQLite and of the one in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from foz.canon.deployment import Deployment, Level, Options, Quantization, Replica, Seen, Wanted, Weights, Wish
from foz.canon.fault import Conflict
from foz.ports.deployments import LINES, Deployments
from foz.store.database import connect_reader
from foz.store.deployments import SqliteDeployments
from foz.store.disk import Disk
from foz.store.lookups import Lookups
from foz.testing.deploying import KeptDeployments

WISH = Wish("m-7b", "m", "7b", Quantization.INT8, "hf:a/b", ("here",), Options(max_batch_size=8, context=512))
SEEN = Seen(
    replicas=(Replica("here", "http://127.0.0.1:1", "key", 7, 99, memory=5),),
    weights=Weights("/m.gguf", 10, "llama", "Q8_0", context=2048),
    trouble="none",
    failures=2,
)


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Deployments]:
    disk = Disk(folder)
    lookups = Lookups(connect_reader(folder))
    try:
        yield SqliteDeployments(disk.writer, lookups)
    finally:
        await lookups.close()
        await disk.close()


@asynccontextmanager
async def _kept(folder: Path) -> AsyncIterator[Deployments]:
    yield KeptDeployments()


@pytest.fixture(params=[_sqlite, _kept])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[Deployments], Awaitable[None]]], None]:
    """Runs the work on a store."""

    def there(work: Callable[[Deployments], Awaitable[None]]) -> None:
        async def opened() -> None:
            async with request.param(tmp_path) as store:
                await work(store)

        asyncio.run(opened())

    return there


Run = Callable[[Callable[[Deployments], Awaitable[None]]], None]


def _one(id: str, at: int = 1, wish: Wish = WISH) -> Deployment:
    return Deployment(id, at, wish, "key-1", "project")


def test_what_is_kept_is_what_was_added(run: Run) -> None:
    """A deployment is found by its id as it was added, with what was seen of it since."""

    async def work(store: Deployments) -> None:
        await store.add(_one("a"))
        await store.see("a", SEEN)
        assert await store.find("a") == structs.replace(_one("a"), seen=SEEN)
        assert await store.find("b") is None

    run(work)


def test_equal_wishes_are_one(run: Run) -> None:
    """Fifty equal wishes at once are one deployment; a wish that differs under the same name is a Conflict."""

    async def work(store: Deployments) -> None:
        found = await asyncio.gather(*(store.add(_one(f"d{number}")) for number in range(50)))
        assert len({one.id for one in found}) == 1
        assert max(one.asked for one in found) == 49
        other = structs.replace(WISH, quantization=Quantization.INT4)
        with pytest.raises(Conflict, match="m-7b"):
            await store.add(_one("e", wish=other))

    run(work)


def test_what_is_wanted_and_what_is_seen_do_not_meet(run: Run) -> None:
    """To want something leaves what is seen as it is, and the other way round; wanting is counted."""

    async def work(store: Deployments) -> None:
        await store.add(_one("a"))
        await store.see("a", SEEN)
        wanted = await store.want("a", Wanted.PURGED)
        assert wanted is not None
        assert (wanted.wanted, wanted.seen, wanted.asked) == (Wanted.PURGED, SEEN, 1)
        await store.see("a", Seen())
        found = await store.find("a")
        assert found is not None
        assert found.wanted is Wanted.PURGED
        assert await store.want("b", Wanted.PURGED) is None

    run(work)


def test_a_name_is_free_when_its_deployment_is_unwanted(run: Run) -> None:
    """Another deployment of the same model can be wanted as soon as the one before is not, and is the current one."""

    async def work(store: Deployments) -> None:
        await store.add(_one("a"))
        await store.want("a", Wanted.UNLOADED)
        await store.add(_one("b", 2))
        current = await store.current("m-7b")
        assert current is not None
        assert current.id == "b"
        await store.see("b", Seen(gone=True))
        await store.see("a", Seen(gone=True))
        assert await store.current("m-7b") is None
        assert [one.id for one in await store.listed()] == ["b", "a"]

    run(work)


def test_lines_are_numbered_and_followed(run: Run) -> None:
    """Lines of a log come in their order after a number, each with time and level."""

    async def work(store: Deployments) -> None:
        for number in range(5):
            await store.say("a", number, Level.INFO if number else Level.ERROR, f"line {number}")
        await store.say("b", 9, Level.INFO, "another's")
        lines = await store.lines("a", 2, 2)
        assert [(line.number, line.at, line.message) for line in lines] == [(3, 2, "line 2"), (4, 3, "line 3")]
        assert (await store.lines("a", 0, 1))[0].level is Level.ERROR

    run(work)


def test_every_write_is_another_version(run: Run) -> None:
    """The version is another after each step that writes, and the same where nothing was written."""

    async def work(store: Deployments) -> None:
        versions = [await store.version()]
        steps: list[Callable[[], Awaitable[object]]] = [
            lambda: store.add(_one("a")),
            lambda: store.see("a", SEEN),
            lambda: store.say("a", 1, Level.INFO, "said"),
            lambda: store.want("a", Wanted.UNLOADED),
        ]
        for step in steps:
            await step()
            versions.append(await store.version())
        assert len(set(versions)) == 5
        assert await store.version() == versions[-1]

    run(work)


def test_a_log_has_an_end(tmp_path: Path) -> None:
    """SQLite keeps no more than LINES lines of a log, the newest."""

    async def there() -> None:
        async with _sqlite(tmp_path) as store:
            await asyncio.gather(*(store.say("a", number, Level.INFO, str(number)) for number in range(LINES + 20)))
            lines = await store.lines("a", 0, 10_000)
            assert len(lines) == LINES
            assert lines[-1].message == str(LINES + 19)

    asyncio.run(there())
