"""
Whose session it is: found, made once however many ask at the same time, and owned.

The store keeps what is decided, so that it holds for all processes and over restarts.
"""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from foz.canon.fault import NotFound, Timeout
from foz.ports.clock import Clock
from foz.ports.sessions import SessionStore

PAUSE = 0.05
"""Seconds between two looks at a session that another makes."""
PATIENCE = 30.0
"""Longest wait for it: longer than a claim, which lapses when its holder has died."""
Seat = tuple[str, str, str, str, str]
Whose = tuple[str, str]


class Seated(Struct, frozen=True):
    """The session to use. `stale` was left, and may be ended."""

    session: str
    reused: bool
    stale: str | None = None


class Keeper:
    """Decides for all callers of a process; `random` gives bytes that name a claim."""

    def __init__(self, store: SessionStore, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._store = store
        self._clock = clock
        self._random = random

    async def seat(self, seat: Seat, make: Callable[[], Awaitable[str]]) -> Seated:
        """The seat's session: the one that there is, or the one that whoever came first makes."""
        claim = self._random(16)
        end = self._clock.monotonic() + PATIENCE
        while True:
            taken = await self._store.take(seat, claim, self._clock.now())
            if taken.session is not None:
                return Seated(taken.session, reused=True)
            if taken.ours:
                return Seated(await self._made(seat, claim, make), reused=False, stale=taken.stale)
            if self._clock.monotonic() > end:
                raise Timeout(f"a session of this agent was not made within {PATIENCE:g} seconds", sent=False)
            await self._clock.sleep(PAUSE)

    async def _made(self, seat: Seat, claim: bytes, make: Callable[[], Awaitable[str]]) -> str:
        session = None
        try:
            session = await make()
        finally:
            await asyncio.shield(self._store.settle(seat, claim, session, self._clock.now()))
        return session

    async def left(self, seat: Seat, session: str) -> None:
        """The agent knows this session no more."""
        await self._store.drop(seat, session)

    async def own(self, whose: Whose, agent: str, session: str) -> None:
        """It was opened by name."""
        await self._store.own(whose, agent, session, self._clock.now())

    async def check(self, whose: Whose, agent: str, session: str) -> None:
        """Raises NotFound where it is not theirs."""
        if not await self._store.owns(whose, agent, session, self._clock.now()):
            raise NotFound("There is no such session, or it has expired.", field="session", status=404)

    async def end(self, whose: Whose, agent: str, session: str) -> None:
        """It is over."""
        await self._store.disown(whose, agent, session)
