"""
Deployments in SQLite: each step is one transaction of the writer, so that one model id is never wanted twice.

What is wanted and what is seen are columns of their own: whoever asks and the loop write side by side. A counter in the
same transaction tells all processes that look for it that something has changed.
"""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from foz.canon.deployment import Deployment, Level, Line, Seen, Wanted, Wish
from foz.canon.fault import Conflict
from foz.ports.deployments import LINES, MOST
from foz.store.lookups import Lookups
from foz.store.queries import load
from foz.store.writer import Writer

LONGEST_LINE = 4_000
_COLUMNS = "id, at, principal, project, wish, wanted, asked, seen"
_SQL = {name: text.replace("/*deployment*/", _COLUMNS) for name, text in load("deployments").items()}
_WISH = msgspec.json.Decoder(Wish)
_SEEN = msgspec.json.Decoder(Seen)
Row = Sequence[Any]


class SqliteDeployments:
    """Implements `ports.deployments.Deployments`."""

    def __init__(self, writer: Writer, lookups: Lookups) -> None:
        self._writer = writer
        self._lookups = lookups

    async def add(self, deployment: Deployment) -> Deployment:
        """Wanted from now on; or the one that is. Raises Conflict."""
        wish = deployment.wish
        values = (
            deployment.id,
            deployment.at,
            deployment.principal,
            deployment.project,
            wish.model_id,
            _json(wish),
            _json(deployment.seen),
        )

        def work(connection: apsw.Connection) -> Deployment:
            row = connection.execute(_SQL["wanted"], (wish.model_id,)).fetchone()
            if row is not None:
                known = _deployment(row)
                if known.wish == wish:
                    row = connection.execute(_SQL["ask_again"], (known.id,)).fetchone()
                    _changed(connection)
                return known if row is None else _deployment(row)
            connection.execute(_SQL["add"], values)
            for (id,) in connection.execute(_SQL["forget"], (MOST,)).fetchall():
                connection.execute(_SQL["forget_all_lines"], (id,))
            _changed(connection)
            return deployment

        found = await self._writer.call(work)
        if found.wish != wish:
            raise Conflict(
                f"'{wish.model_id}' is deployed already ({found.id}), with {_difference(found.wish, wish)}. "
                "Unload it first, or deploy this one under another model_id."
            )
        return found

    async def find(self, id: str) -> Deployment | None:
        """As it stands."""
        return await self._lookups.ask(lambda connection: _one(connection, "find", (id,)))

    async def current(self, model_id: str) -> Deployment | None:
        """The newest one of this model that is not gone."""
        return await self._lookups.ask(lambda connection: _one(connection, "current", (model_id,)))

    async def listed(self) -> list[Deployment]:
        """All of them, newest first."""
        return await self._lookups.ask(
            lambda connection: [_deployment(row) for row in connection.execute(_SQL["listed"])]
        )

    async def want(self, id: str, wanted: Wanted) -> Deployment | None:
        """What is wanted of it now."""

        def work(connection: apsw.Connection) -> Deployment | None:
            found = _one(connection, "want", (wanted.value, id))
            _changed(connection)
            return found

        return await self._writer.call(work)

    async def see(self, id: str, seen: Seen) -> None:
        """What the loop has seen."""
        values = (_json(seen), seen.gone, id)

        def work(connection: apsw.Connection) -> None:
            connection.execute(_SQL["see"], values)
            _changed(connection)

        await self._writer.call(work)

    async def say(self, id: str, at: int, level: Level, message: str) -> None:
        """One more line; the oldest go."""
        values = (id, at, level.value, message[:LONGEST_LINE])

        def work(connection: apsw.Connection) -> None:
            number = int(str(connection.execute(_SQL["say"], values).get))
            connection.execute(_SQL["forget_lines"], (id, number - LINES))
            _changed(connection)

        await self._writer.call(work)

    async def lines(self, id: str, after: int, most: int) -> Sequence[Line]:
        """Lines after a number."""

        def work(connection: apsw.Connection) -> list[Line]:
            rows = connection.execute(_SQL["lines"], (id, after, most)).fetchall()
            return [msgspec.convert(dict(zip(Line.__struct_fields__, row, strict=True)), Line) for row in rows]

        return await self._lookups.ask(work)

    async def version(self) -> int:
        """How often anything was written."""
        return await self._lookups.ask(lambda connection: int(str(connection.execute(_SQL["version"]).get)))


def _json(value: Wish | Seen) -> str:
    return msgspec.json.encode(value).decode()


def _changed(connection: apsw.Connection) -> None:
    connection.execute(_SQL["changed"])


def _one(connection: apsw.Connection, name: str, values: tuple[str, ...]) -> Deployment | None:
    row = connection.execute(_SQL[name], values).fetchone()
    return None if row is None else _deployment(row)


def _deployment(row: Row) -> Deployment:
    id, at, principal, project, wish, wanted, asked, seen = row
    return Deployment(
        id, at, _WISH.decode(wish), principal, project, Wanted(wanted), asked=asked, seen=_SEEN.decode(seen)
    )


def _difference(one: Wish, other: Wish) -> str:
    """What the first has otherwise than the second, in its words."""
    told = [
        f"{name} {_shown(getattr(one, name))}"
        for name in Wish.__struct_fields__
        if getattr(one, name) != getattr(other, name)
    ]
    return ", ".join(told)


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode() if value not in {None, ""} else "unsaid"
