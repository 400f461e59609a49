"""What is kept on disk: the ledger, the callers' keys, and what is left of their allowances."""

import asyncio
from collections.abc import Awaitable, Sequence

from foz.canon.principal import Principal, Role
from foz.canon.usage import Usage
from foz.config.settings import Settings
from foz.ports.clock import Clock
from foz.store.disk import Disk


class SettingsKeys:
    """Implements `ports.keys.Keyring` over the keys of the settings."""

    def __init__(self, settings: Settings) -> None:
        auth = settings.auth
        self._known = {}
        if auth.api_key:
            role = Role.USER if auth.admin_key else Role.ADMIN
            self._known[auth.api_key.get_secret_value()] = Principal("api_key", role)
        if auth.admin_key:
            self._known[auth.admin_key.get_secret_value()] = Principal("admin_key", Role.ADMIN)

    @property
    def open(self) -> bool:
        """True while no key is configured at all."""
        return not self._known

    def find(self, key: str) -> Principal | None:
        """The principal of a key."""
        return self._known.get(key)


class NoLimits:
    """Implements `ports.keys.Book`: nobody has a limit."""

    def reserve(self, principal: Principal, tokens: int) -> Awaitable[None] | None:  # noqa: ARG002 - the port's signature
        """It is open."""
        return None

    def settle(self, principal: Principal, reserved: int, usage: Usage, price: int | None) -> None:
        """Nothing is counted."""


class Books:
    """Made in the loop that uses it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._disk = Disk(settings.data, settings.ledger.durability)
        self._clock = clock
        self.ledger = self._disk.ledger
        self.keys = SettingsKeys(settings)
        self.book = NoLimits()

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

    async def close(self) -> None:
        """Writes what waits."""
        await self._disk.close()


def has_keys(settings: Settings) -> bool:
    """Whether any caller's key is configured."""
    return not SettingsKeys(settings).open
