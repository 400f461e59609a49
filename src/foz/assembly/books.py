"""What is kept on disk: the ledger, the callers' keys, and what is left of their allowances."""

import asyncio
from collections.abc import Sequence

from pydantic import SecretStr

from foz.config.settings import Settings
from foz.ports.clock import Clock
from foz.store.content import ContentFiles
from foz.store.database import StoreError, path_of, prepare
from foz.store.disk import Disk
from foz.store.keys import SqliteKeys
from foz.store.leases import SqliteBook


class Books:
    """Made in the loop that uses it. Raises StoreError where the data directory cannot be used."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._disk = Disk(settings.data, settings.ledger.durability)
        self._clock = clock
        self.ledger = self._disk.ledger
        self.keys = _keys(settings, clock, self._disk)
        kept = settings.ledger
        self.content = ContentFiles(settings.data, clock.now, limit=kept.capture_limit, days=kept.content_days)
        self.book = SqliteBook(self._disk.writer, self._disk.owner.id, clock.now)

    @property
    def waiting(self) -> int:
        """Rows that are not durable yet."""
        return self._disk.writer.waiting

    def troubles(self) -> Sequence[str]:
        """Why nothing can be written, where it cannot."""
        return [] if self._disk.writer.alive else ["the ledger's writer has died: nothing can be accounted for"]

    async def keep(self) -> None:
        """Everything that is done from time to time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._disk.keep_swept(self._clock.sleep))
            group.create_task(self.keys.keep_fresh(self._clock.sleep))
            group.create_task(self.book.keep_returned(self._clock.sleep))

    async def close(self) -> None:
        """Writes what waits."""
        try:
            await self.keys.note_used()
        finally:
            self.keys.close()
            await asyncio.to_thread(self.content.close)
            await self._disk.close()


def _keys(settings: Settings, clock: Clock, disk: Disk | None) -> SqliteKeys:
    auth = settings.auth
    return SqliteKeys(
        settings.data,
        clock.now,
        api_key=_shown(auth.api_key),
        admin_key=_shown(auth.admin_key),
        writer=disk.writer if disk else None,
    )


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def has_keys(settings: Settings, clock: Clock) -> bool:
    """Whether any caller's key is configured or kept. Looks, and makes nothing."""
    if settings.auth.api_key is not None or settings.auth.admin_key is not None:
        return True
    if not path_of(settings.data).exists():
        return False
    prepare(settings.data)
    keys = _keys(settings, clock, None)
    try:
        return not keys.open
    finally:
        keys.close()


__all__ = ["Books", "StoreError", "has_keys"]
