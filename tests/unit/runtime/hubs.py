"""A server of files and a fetcher that asks it: what the tests of where models come from share."""

import asyncio
import hashlib
import ssl
from collections.abc import Coroutine
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from typing_extensions import override

from foz.net.clock import SystemClock
from foz.net.outside import Outside
from foz.net.watch import TickingWatch
from foz.ports.weights import File
from foz.runtime.shelf.fetching import Fetcher, Manners
from foz.runtime.shelf.opening import Source
from foz.testing.hub.files import Answer, Asked, FileServer

T = TypeVar("T")
HASTY = Manners(stall=0.25, trickle=64, tries=3, worth=50_000, pause=0.01, longest=0.05, margin=0, waiting=0.02)


def run(main: Coroutine[Any, Any, T]) -> T:
    """The result of it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


class Folder(FileServer):
    """Serves a folder."""

    def __init__(self, folder: Path, pace: float = 0.0) -> None:
        super().__init__(pace)
        self.folder = folder

    @override
    def answer(self, asked: Asked) -> Answer:
        path = self.folder / asked.path.lstrip("/")
        return Answer(file=path) if path.is_file() else Answer(404, body=b"nothing here")

    def wanted(self, name: str, *, sized: bool = True, summed: bool = True) -> File:
        """A file as a source would tell of it."""
        data = (self.folder / name).read_bytes()
        digest = hashlib.sha256(data).hexdigest() if summed else None
        return File(name, len(data) if sized else None, digest, f"{self.url}/{name}")


def outside() -> Outside:
    """Reaches servers as a gateway without a proxy does."""
    return Outside(TickingWatch(asyncio.get_running_loop()), lambda _scheme, _host: None, ssl.create_default_context)


@asynccontextmanager
async def serving(folder: Path, pace: float = 0.0) -> Any:
    """A server of this folder."""
    server = Folder(folder, pace)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Told:
    """What was told of a download."""

    def __init__(self, enough: int = 0) -> None:
        self.figures: list[tuple[int, int | None]] = []
        self.enough = asyncio.Event()
        """Set when more than so many bytes were told of."""
        self._enough = enough

    def __call__(self, done: int, total: int | None) -> None:
        self.figures.append((done, total))
        if done > self._enough:
            self.enough.set()

    @property
    def rising(self) -> bool:
        """Whether every figure was greater than the one before."""
        done = [figure[0] for figure in self.figures]
        return all(low < high for low, high in pairwise(done))


async def fetch(server: Folder, file: File, final: Path, told: Told | None = None, manners: Manners = HASTY) -> None:
    """Fetches it as one process would."""
    reach = outside()
    try:
        await Fetcher(reach, SystemClock(), manners).fetch(Source(server.url, own=True), file, final, told or Told())
    finally:
        await reach.close()
