"""Asking the providers, for the commands that do: a loop, connections, and their end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from foz.assembly.outbound import Outbound
from foz.config.checkup.reach import Reached, reach
from foz.config.directory import snapshot
from foz.config.settings import Settings
from foz.gateway.resolve import Snapshot
from foz.net.clock import SystemClock
from foz.net.watch import TickingWatch


@asynccontextmanager
async def _outbound(settings: Settings) -> AsyncIterator[Outbound]:
    outbound = Outbound(settings, TickingWatch(asyncio.get_running_loop()), SystemClock())
    try:
        yield outbound
    finally:
        await outbound.close()


async def _reached(settings: Settings) -> list[Reached]:
    async with _outbound(settings) as outbound:
        return await reach(settings.providers, outbound.lines, SystemClock())


async def _directory(settings: Settings, day: str) -> Snapshot:
    async with _outbound(settings) as outbound:
        directory = snapshot(settings, outbound.lines, day)
        for provider, names in (await outbound.look()).items():
            directory = directory.with_discovered(provider, names)
        return directory


def reached(settings: Settings) -> list[Reached]:
    """What comes of asking every provider that is on, all at once."""
    return asyncio.run(_reached(settings))


def directory(settings: Settings, day: str) -> Snapshot:
    """The directory of models with those that providers say they have; who does not answer is left out."""
    return asyncio.run(_directory(settings, day))
