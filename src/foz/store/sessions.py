"""Agents' sessions in SQLite: each step is one transaction of the writer, so two processes never make two of one."""

import apsw

from foz.ports.sessions import Taken
from foz.sessions.standing import OWNED, TTL, Standing, decide
from foz.store.queries import load
from foz.store.writer import Writer

FORGET_SECONDS = 3600.0
_SQL = load("sessions")
Seat = tuple[str, str, str, str, str]
Whose = tuple[str, str]


class SqliteSessions:
    """Implements `ports.sessions.SessionStore`. `forget` should be called every FORGET_SECONDS."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def take(self, seat: Seat, claim: bytes, now: int) -> Taken:
        """Looks, and claims the making where nothing is there."""

        def work(connection: apsw.Connection) -> Taken:
            row = connection.execute(_SQL["seat"], seat).fetchone()
            standing = None if row is None else _standing(row)
            step = decide(standing, now)
            if step == "use" and standing is not None:
                connection.execute(_SQL["use"], (now, *seat))
                return Taken(standing.session)
            if step == "wait":
                return Taken()
            connection.execute(_SQL["claim"], (*seat, now, claim, now))
            return Taken(ours=True, stale=standing.session if standing else None)

        return await self._writer.call(work)

    async def settle(self, seat: Seat, claim: bytes, session: str | None, now: int) -> None:
        """The session that the holder of a claim has made; None gives the claim back."""

        def work(connection: apsw.Connection) -> None:
            if session is None:
                connection.execute(_SQL["give_back"], (*seat, claim))
            else:
                connection.execute(_SQL["settle"], (session, now, *seat, claim))

        await self._writer.call(work)

    async def drop(self, seat: Seat, session: str) -> None:
        """The seat has no session any more, if it is still this one."""

        def work(connection: apsw.Connection) -> None:
            connection.execute(_SQL["drop"], (*seat, session))

        await self._writer.call(work)

    async def own(self, whose: Whose, agent: str, session: str, now: int) -> None:
        """A session that was opened by name is its opener's."""

        def work(connection: apsw.Connection) -> None:
            connection.execute(_SQL["own"], (agent, session, *whose, now))

        await self._writer.call(work)

    async def owns(self, whose: Whose, agent: str, session: str, now: int) -> bool:
        """Whether it is theirs: opened by name, or of one of their seats."""

        def work(connection: apsw.Connection) -> bool:
            owned = connection.execute(_SQL["owned"], (now, agent, session, *whose)).fetchall()
            return bool(
                owned or connection.execute(_SQL["seated"], (now, agent, session, *whose, now - TTL)).fetchall()
            )

        return await self._writer.call(work)

    async def disown(self, whose: Whose, agent: str, session: str) -> None:
        """It is over."""

        def work(connection: apsw.Connection) -> None:
            for name in ("disown", "unseat"):
                connection.execute(_SQL[name], (agent, session, *whose))

        await self._writer.call(work)

    async def forget(self, now: int) -> None:
        """Removes what nobody has used for so long that it is no session any more."""

        def work(connection: apsw.Connection) -> None:
            connection.execute(_SQL["forget_seats"], (now - OWNED,))
            connection.execute(_SQL["forget_sessions"], (now - OWNED,))

        await self._writer.call(work)


def _standing(row: tuple[object, ...]) -> Standing:
    session, used, claim, claimed = row
    return Standing(
        session if isinstance(session, str) else None,
        used if isinstance(used, int) else 0,
        claim if isinstance(claim, bytes) else None,
        claimed if isinstance(claimed, int) else 0,
    )
