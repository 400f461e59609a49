"""A shelf over a fake hub: what the tests of where models come from share."""

from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from foz.canon.deployment import Quantization, Weights, Wish
from foz.net.clock import SystemClock
from foz.ports.weights import Found
from foz.runtime.shelf.fetching import Manners
from foz.runtime.shelf.folders import Folders
from foz.runtime.shelf.hub import Hub
from foz.runtime.shelf.ollama import Ollama
from foz.runtime.shelf.shelf import DiskShelf, Shops
from foz.testing.hub.routes import FakeHub
from foz.testing.process import clean_environment
from tests.unit.runtime.hubs import HASTY, Told, outside

INT4, INT8, FP16 = Quantization.INT4, Quantization.INT8, Quantization.FP16


def wish(source: str = "", quantization: Quantization | None = None, **fields: Any) -> Wish:
    """A wish for what comes from there."""
    return Wish(
        model_id=fields.pop("model_id", "m"), model_type=fields.pop("model_type", "x"), source=source,
        quantization=quantization, **fields,
    )  # fmt: skip


class Shop:
    """A hub, and a shelf that asks it."""

    def __init__(self, hub: FakeHub, shelf: DiskShelf, folders: Folders) -> None:
        self.hub = hub
        self.shelf = shelf
        self.folders = folders
        self.told = Told()
        self.made = Told()

    async def has(self, wanted: Wish) -> tuple[Found, Weights]:
        """All that the loop does for a wish."""
        found = await self.shelf.find(self.shelf.check(wanted))
        await self.shelf.fetch(found, self.told)
        return found, await self.shelf.make(found, self.made)

    async def removes(self, had: tuple[Found, Weights], *others: tuple[Found, Weights]) -> int:
        """All that the loop does for a purge, where others are used."""
        return await self.shelf.remove(_files(had), [file for other in others for file in _files(other)])

    @property
    def files(self) -> list[str]:
        """What is in the folder of models, but for notes."""
        root = self.folders.models
        return sorted(
            str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and ".found" not in path.parts
        )


@asynccontextmanager
async def shop(
    tmp_path: Path, *, manners: Manners = HASTY, pace: float = 0.0, token: str | None = None, **shops: Any
) -> Any:
    """A hub over `<tmp>/shop`, and a shelf at `<tmp>/models`, with Ollama's store at `<tmp>/store`."""
    hub = FakeHub(tmp_path / "shop", pace)
    await hub.start()
    reach = outside()
    folders = Folders(tmp_path / "models", [tmp_path / "others"])
    folders.models.mkdir(exist_ok=True)
    told = Shops(
        hub=Hub(hub.url, token, own=True), ollama=Ollama(hub.url, tmp_path / "store", own=True), **shops
    )  # fmt: skip
    try:
        yield Shop(hub, DiskShelf(folders, told, reach, SystemClock(), clean_environment(), manners), folders)
    finally:
        await reach.close()
        await hub.stop()


def _files(had: tuple[Found, Weights]) -> list[str]:
    found, weights = had
    return [*(file.name for file in found.files if file.url), weights.path]
