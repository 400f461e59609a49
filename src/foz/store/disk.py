"""All that a process has open in a data directory: its writer, its checkpoints, its ledger and its name as an owner."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from foz.store import owner
from foz.store.checkpoint import Checkpointer
from foz.store.database import PATIENCE, Durability, connect, connect_reader, prepare
from foz.store.ledger import SqliteLedger
from foz.store.owner import Owner
from foz.store.queries import load
from foz.store.writer import Writer

SWEEP_SECONDS = 5.0
NAME = "name"
_SQL = load("ledger")


class Disk:
    """Made in the running loop that will use it; `close` it there. Raises StoreError where it cannot be used."""

    def __init__(
        self, data: Path, durability: Durability = "process", patience: float = PATIENCE, *, linger: float = 0.0
    ) -> None:
        prepare(data)
        self.data = data
        self.owner = Owner(data)
        self.writer = Writer(connect(data, durability, patience), linger=linger)
        self.ledger = SqliteLedger(self.writer, self.owner.id)
        self._checkpointer = Checkpointer(connect(data, durability, patience), self.writer, patience=patience)

    @property
    def name(self) -> str:
        """What this data directory is called: drawn once, by who asks first."""
        path = self.data / NAME
        drawn = path.with_name(f"{NAME}.{self.owner.id.hex()}")
        if not path.exists():
            drawn.write_text(self.owner.id.hex(), "ascii")
            with suppress(FileExistsError):
                os.link(drawn, path)
            drawn.unlink()
        return path.read_text("ascii")

    async def sweep(self) -> int:
        """Ends what dead owners left open as `interrupted`; how many entries that were."""
        dead = await asyncio.to_thread(self._dead)
        if not dead:
            return 0
        try:
            count = await self.writer.call(owner.interrupt(list(dead)))
            owner.bury(self.data, dead)
        finally:
            owner.let_go(dead)
        return count

    async def close(self) -> None:
        """Writes what waits and lets go of everything. What is still open is left to the next sweep."""
        try:
            await self.writer.close()
            await asyncio.to_thread(self._checkpointer.close)
        finally:
            self.owner.close()

    def _dead(self) -> dict[bytes, int | None]:
        reader = connect_reader(self.data)
        try:
            having_open = {row[0] for row in reader.execute(_SQL["owners"])}
        finally:
            reader.close()
        return owner.dead_owners(self.data, having_open, self.owner.id)
