"""Agents' sessions: where they are kept, and who opens and ends them."""

from typing import Protocol

from msgspec import Struct

from foz.wire.http import Headers

PRINCIPAL, PROJECT = b"x-foz-principal", b"x-foz-owner"
"""Words by which an upstream that keeps sessions is told who asks. They go no further."""


class Taken(Struct, frozen=True):
    """A seat as it was found: its session, or that it is ours to make one (`ours`), or neither: wait."""

    session: str | None = None
    ours: bool = False
    stale: str | None = None
    """A session that was left, and may be ended."""


class SessionStore(Protocol):
    """Keeps them, for all processes and over restarts. A seat is (principal, project, agent, channel, cuid)."""

    async def take(self, seat: tuple[str, str, str, str, str], claim: bytes, now: int) -> Taken:
        """Looks, and claims the making where nothing is there. What is found is used at `now`."""
        ...

    async def settle(self, seat: tuple[str, str, str, str, str], claim: bytes, session: str | None, now: int) -> None:
        """The session that the holder of a claim has made; None gives the claim back."""
        ...

    async def drop(self, seat: tuple[str, str, str, str, str], session: str) -> None:
        """The seat has no session any more, if it is still this one."""
        ...

    async def own(self, whose: tuple[str, str], agent: str, session: str, now: int) -> None:
        """A session that was opened by name is its opener's."""
        ...

    async def owns(self, whose: tuple[str, str], agent: str, session: str, now: int) -> bool:
        """Whether it is theirs: opened by name, or of one of their seats. It is used at `now`."""
        ...

    async def disown(self, whose: tuple[str, str], agent: str, session: str) -> None:
        """It is over."""
        ...


class Agency(Protocol):
    """Opens and ends sessions of a provider's agents, for callers who do it by name."""

    async def open(self, whose: tuple[str, str], agent: str, name: str | None = None) -> bytes:
        """A new session; gives the provider's own description of it, JSON with `id`. Raises faults."""
        ...

    async def end(self, whose: tuple[str, str], agent: str, session: str) -> None:
        """Ends one. Raises NotFound where it is not theirs."""
        ...


def asking(principal: str, project: str) -> Headers:
    """Who asks, as headers."""
    return ((PRINCIPAL, principal.encode()), (PROJECT, project.encode()))


def whose_of(along: Headers) -> tuple[tuple[str, str], Headers]:
    """Who asks, and the headers that go further."""
    said = dict(along)
    whose = said.get(PRINCIPAL, b"").decode(), said.get(PROJECT, b"").decode()
    return whose, tuple(header for header in along if header[0] not in {PRINCIPAL, PROJECT})
