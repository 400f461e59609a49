"""
Jobs in SQLite: each step is one transaction of the writer, so no two processes ever hold one job.

What is written is fenced in the statement itself: it finds its row by id and epoch while the job is processed, or
nothing. Looks go to a thread that only reads (`lookups.py`), behind no write. What was asked is removed with the end
that makes it useless; the log is written in rows of many pieces and read in parts.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import apsw
import msgspec

from foz.canon.fault import Conflict
from foz.canon.job import Job, JobEnd, JobState, Mark, Piece, Trouble
from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import Mode
from foz.ports.jobs import KEY_TTL, REPUBLISH, RESULT_TTL, UNPUBLISHED, Claim
from foz.store.lookups import Lookups
from foz.store.queries import load, widen
from foz.store.watch import Standing, Watch
from foz.store.writer import Bulk, Writer

FORGET_SECONDS = 600.0
MOST_LISTED = 1_000
_FORGOTTEN = 200
"""Jobs or keys that are forgotten in one transaction: others write in between."""
_WIDEST = 64
_PLACES = 1 << 28
"""Of a log: pieces that it may have."""
_CHUNK = 256 * 1024
"""Bytes of the pieces in one row of a log, unless one piece alone has more."""
_READ = 1024 * 1024
"""Bytes of a log that one look brings, unless one row alone has more."""
_NEWEST = b"\xff" * 17
_COLUMNS = (
    "id, at, caller, project, skin, model, mode, stream, lane, key, digest, state, epoch, attempts, due, began, ended,"
    " served, latency, trouble, dead"
)
_SQL = {name: text.replace("/*job*/", _COLUMNS) for name, text in load("jobs").items()}
_RENEW = [widen(_SQL["renew"], rows) for rows in range(1, _WIDEST + 1)]
_PIECES = msgspec.msgpack.Decoder(list[bytes])
_PRINCIPAL = msgspec.json.Decoder(Principal)
_TROUBLE = msgspec.json.Decoder(Trouble)
Row = Sequence[Any]


class SqliteJobs:
    """Implements `ports.jobs.JobStore`. `forget` should be called every FORGET_SECONDS."""

    def __init__(self, writer: Writer, lookups: Lookups) -> None:
        self._writer = writer
        self._lookups = lookups
        self._published = Bulk(_SQL["published"], rank=2)
        self._watch = Watch(self._standings)

    async def add(self, job: Job, order: bytes) -> Job:
        """Accepts it, or gives the one that its key stands for. Raises Conflict."""
        caller = _said(job.principal)

        def work(connection: apsw.Connection) -> Job | None:
            named = (job.principal.id, job.key)
            if connection.execute(_SQL["stand_for"], (*named, job.id, job.digest, job.at)).fetchone() is None:
                standing = connection.execute(_SQL["stands_for"], named).fetchone()
                id, digest, at = standing or (b"", b"", 0)
                known = None if int(str(at)) + KEY_TTL <= job.at else _found(connection, id)
                if known is not None:
                    if digest != job.digest:
                        return None
                    connection.execute(_SQL["share"], (known.id,))
                    return known
                connection.execute(_SQL["stand_anew"], (job.id, job.digest, job.at, *named))
            _insert(connection, job, caller, order)
            return job

        accepted = await self._writer.call(work)
        if accepted is None:
            raise Conflict(
                "This idempotency key stands for another request; send a new key with what is new.",
                field="idempotency_key",
                status=422,
            )
        return accepted

    async def published(self, id: bytes, now: int) -> None:
        """Not to be published again for a while."""
        await self._writer.put(self._published, (id, now, now + REPUBLISH))

    async def withdraw(self, id: bytes) -> None:
        """Forgets it, if nobody counts on it."""
        await self._take_away("withdraw", id)

    async def remove(self, id: bytes) -> None:
        """Forgets it, if it is over."""
        await self._take_away("remove", id)

    async def _take_away(self, how: str, id: bytes) -> None:
        def work(connection: apsw.Connection) -> bool:
            row = connection.execute(_SQL[how], (id,)).fetchone()
            if row is None:
                return False
            number, (principal, key) = _number(row), row[1:]
            connection.execute(_SQL["forget_log"], _places(number))
            connection.execute(_SQL["forget_order"], (number,))
            connection.execute(_SQL["free_key"], (principal, key, id))
            return True

        if await self._writer.call(work):
            self._watch.tell(id, None)

    async def find(self, id: bytes) -> Job | None:
        """As it stands."""
        return await self._lookups.ask(lambda connection: _found(connection, id))

    async def told(self, id: bytes) -> tuple[Job, bytes] | None:
        """The same, with its answer."""

        def work(connection: apsw.Connection) -> tuple[Job, bytes] | None:
            job = _found(connection, id)
            if job is None:
                return None
            return job, _answer(connection, id) if job.state is JobState.COMPLETED else b""

        return await self._lookups.ask(work)

    async def listed(self, principal: str | None, most: int, before: bytes | None = None) -> list[Job]:
        """Newest first."""
        bound, most = before or _NEWEST, max(0, min(most, MOST_LISTED))
        if principal is None:
            return await self._lookups.ask(lambda connection: _several(connection, "listed", (bound, most)))
        return await self._lookups.ask(lambda connection: _several(connection, "listed_of", (principal, bound, most)))

    async def claim(self, id: bytes, now: int, until: int) -> Claim | Job | None:
        """Ours till then, or as it stands."""

        def work(connection: apsw.Connection) -> Claim | Job | None:
            row = connection.execute(_SQL["claim"], (until, now, id)).fetchone()
            if row is None:
                return _found(connection, id)
            number, job = _number(row), _job(row[1:])
            if job.epoch > 1:
                connection.execute(_SQL["forget_log"], _places(number))
            return Claim(job, bytes(connection.execute(_SQL["ordered"], (number,)).get))

        found = await self._writer.call(work)
        if isinstance(found, Claim):
            self._tell(found.job)
        return found

    async def renew(self, held: Sequence[tuple[bytes, int]], until: int) -> list[bytes]:
        """Extends leases. Gives the ids of those that are lost."""

        def work(connection: apsw.Connection) -> set[bytes]:
            ours: set[bytes] = set()
            for start in range(0, len(held), _WIDEST):
                some = held[start : start + _WIDEST]
                values = list(chain.from_iterable((id, epoch, until) for id, epoch in some))
                ours.update(bytes(row[0]) for row in connection.execute(_RENEW[len(some) - 1], values))
            return ours

        ours = await self._writer.call(work)
        return [id for id, _ in held if id not in ours]

    async def append(self, id: bytes, epoch: int, first: int, pieces: Sequence[bytes]) -> bool:
        """More of the log."""
        rows = _rows(first, pieces)

        def work(connection: apsw.Connection) -> bool:
            held = bool(rows) or connection.execute(_SQL["holds"], (id, epoch)).fetchone() is not None
            for row in rows:
                held = connection.execute(_SQL["append"], (*row, id, epoch)).fetchone() is not None
            return held

        held = await self._writer.call(work)
        if held and rows:
            self._watch.tell(id, (JobState.PROCESSING, epoch, first + len(pieces) - 1))
        return held

    async def end(self, id: bytes, epoch: int, end: JobEnd, first: int = 0, pieces: Sequence[bytes] = ()) -> bool:
        """The end."""
        rows = _rows(first, pieces)
        trouble = None if end.trouble is None else msgspec.json.encode(end.trouble).decode()
        values = (end.state, end.at, end.served, end.latency, trouble, end.dead, id, epoch)

        def work(connection: apsw.Connection) -> bool:
            for row in rows:
                connection.execute(_SQL["append"], (*row, id, epoch))
            ended = connection.execute(_SQL["end"], values).fetchone()
            if ended is not None and end.state is not JobState.FAILED:  # what failed may be revived
                connection.execute(_SQL["forget_order"], ended)
            return ended is not None

        held = await self._writer.call(work)
        if held:
            self._watch.tell(id, (end.state, epoch, first + len(pieces) - 1))
        return held

    async def put_back(self, id: bytes, epoch: int, lane: Placement, due: int, *, counts: bool) -> bool:
        """It waits again."""
        values = (lane, due, 0 if counts else 1, id, epoch)
        held = await self._writer.call(lambda connection: connection.execute(_SQL["put_back"], values).fetchone())
        if held is not None:
            self._watch.tell(id, (JobState.PENDING, epoch, -1))
        return held is not None

    async def cancel(self, id: bytes, now: int) -> Job | None:
        """Ends it, unless it has an end."""

        def work(connection: apsw.Connection) -> Job | None:
            row = connection.execute(_SQL["cancel"], (now, id)).fetchone()
            if row is None:
                return _found(connection, id)
            connection.execute(_SQL["forget_order"], row[:1])
            return _job(row[1:])

        return self._tell(await self._writer.call(work))

    async def revive(self, id: bytes, now: int) -> Job | None:
        """A failed one waits again."""

        def work(connection: apsw.Connection) -> Job | None:
            row = connection.execute(_SQL["revive"], (now, id)).fetchone()
            return _found(connection, id) if row is None else _job(row)

        return self._tell(await self._writer.call(work))

    async def log(self, id: bytes, after: Mark, most: int) -> list[Piece]:
        """Pieces after a mark; no more than a part of what is there at a time."""
        return await self._lookups.ask(lambda connection: _log(connection, id, after, most))

    async def answer(self, id: bytes) -> bytes:
        """The whole log."""
        return await self._lookups.ask(lambda connection: _answer(connection, id))

    async def wait(self, seen: Job, after: Mark, seconds: float, *, end: bool = False) -> None:
        """Until it changes, or ends, or so long."""
        await self._watch.wait(seen, after, seconds, end=end)

    async def overdue(self, now: int, most: int) -> list[Job]:
        """Those that should be published again: of both kinds some, where there are too many."""

        def work(connection: apsw.Connection) -> list[Job]:
            waiting = _several(connection, "unpublished", (now, most))
            lapsed = [job for lane in Placement for job in _several(connection, "lapsed", (lane, now, most))]
            share = max(most - len(waiting), most // 2)
            chosen = lapsed[:share]
            return chosen + waiting[: most - len(chosen)]

        return await self._lookups.ask(work)

    async def dead(self, most: int) -> list[Job]:
        """Dead letters, newest first."""
        return await self._lookups.ask(lambda connection: _several(connection, "dead", (min(most, MOST_LISTED),)))

    async def forget(self, now: int) -> int:
        """Removes what is over its time."""
        count = 0
        while some := await self._writer.call(lambda connection: _forget(connection, now)):
            count += some
        values = (now - KEY_TTL, _FORGOTTEN)
        while await self._writer.call(lambda connection: connection.execute(_SQL["forget_keys"], values).fetchall()):
            pass
        await self._writer.call(lambda connection: connection.execute(_SQL["forget_workers"], (now,)).fetchall())
        return count

    async def close(self) -> None:
        """Whoever waits is let go. The writer and the lookups are closed by who made them."""
        await self._watch.close()

    def _tell(self, job: Job | None) -> Job | None:
        if job is not None:
            self._watch.tell(job.id, (job.state, job.epoch, -1))
        return job

    async def _standings(self, ids: Sequence[bytes]) -> Mapping[bytes, Standing]:
        def work(connection: apsw.Connection) -> dict[bytes, Standing]:
            found = {id: connection.execute(_SQL["standing"], (id,)).fetchone() for id in ids}
            return {id: _standing(row) for id, row in found.items() if row is not None}

        return await self._lookups.ask(work)


def _insert(connection: apsw.Connection, job: Job, caller: str, order: bytes) -> None:
    asked = (job.project, job.skin, job.model, job.mode, job.stream, job.lane, job.key, job.digest)
    times = (job.due, max(job.at + UNPUBLISHED, job.due))
    connection.execute(_SQL["add"], (job.id, job.at, job.principal.id, caller, *asked, *times))
    connection.execute(_SQL["order"], (connection.last_insert_rowid(), order))


def _found(connection: apsw.Connection, id: object) -> Job | None:
    row = connection.execute(_SQL["find"], (id,)).fetchone()
    return None if row is None else _job(row)


def _several(connection: apsw.Connection, name: str, values: Row) -> list[Job]:
    return [_job(row) for row in connection.execute(_SQL[name], tuple(values))]


def _rows(first: int, pieces: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
    """Rows of a log: place, number of pieces, the pieces."""
    rows: list[tuple[int, int, bytes]] = []
    chunk: list[bytes] = []
    size = 0
    for piece in pieces:
        if chunk and size + len(piece) > _CHUNK:
            rows.append((first, len(chunk), msgspec.msgpack.encode(chunk)))
            first, chunk, size = first + len(chunk), [], 0
        chunk.append(piece)
        size += len(piece)
    if chunk:
        rows.append((first, len(chunk), msgspec.msgpack.encode(chunk)))
    return rows


def _log(connection: apsw.Connection, id: bytes, after: Mark, most: int) -> list[Piece]:
    placed = connection.execute(_SQL["place"], (id,)).fetchone()
    if placed is None:
        return []
    number, epoch = _number(placed), int(str(placed[1]))
    first, last = _places(number)
    wanted = min(max(after.number + 1, 0), _PLACES) if after.epoch == epoch else 0
    found: list[Piece] = []
    size = 0
    for row in connection.execute(_SQL["log"], (first, min(first + wanted, last), last)):
        start, data = _number(row) - first, _data(row)
        pieces = [Piece(Mark(epoch, start + n), piece) for n, piece in enumerate(_PIECES.decode(data))]
        found += pieces[max(wanted - start, 0) :]
        size += len(data)
        if len(found) >= most or (found and size >= _READ):
            break
    return found[:most]


def _answer(connection: apsw.Connection, id: bytes) -> bytes:
    placed = connection.execute(_SQL["place"], (id,)).fetchone()
    if placed is None:
        return b""
    first, last = _places(_number(placed))
    rows = connection.execute(_SQL["log"], (first, first, last))
    return b"".join(chain.from_iterable(_PIECES.decode(_data(row)) for row in rows))


def _forget(connection: apsw.Connection, now: int) -> int:
    numbers = [_number(row) for row in connection.execute(_SQL["over"], (now - RESULT_TTL, _FORGOTTEN)).fetchall()]
    for number in numbers:
        connection.execute(_SQL["forget_log"], _places(number))
        connection.execute(_SQL["forget_order"], (number,))
        connection.execute(_SQL["forget"], (number,))
    return len(numbers)


def _number(row: Row) -> int:
    number: int = row[0]
    return number


def _data(row: Row) -> bytes:
    data: bytes = row[1]
    return data


def _places(number: int) -> tuple[int, int]:
    """The first and the last place in the log that are a job's."""
    return number * _PLACES, (number + 1) * _PLACES - 1


def _standing(row: Row) -> Standing:
    state, epoch, last = row
    return JobState(state), epoch, last


@lru_cache(1024)
def _said(principal: Principal) -> str:
    return msgspec.json.encode(principal).decode()


@lru_cache(1024)
def _principal(said: str) -> Principal:
    return _PRINCIPAL.decode(said)


def _job(row: Row) -> Job:
    id, at, caller, project, skin, model, mode, stream, lane, key, digest, state, epoch, attempts, due, *rest = row
    began, ended, served, latency, trouble, dead = rest
    return Job(
        id=id,
        at=at,
        principal=_principal(caller),
        project=project,
        skin=skin,
        model=model,
        mode=Mode(mode),
        stream=bool(stream),
        lane=Placement(lane),
        key=key,
        digest=digest,
        state=JobState(state),
        epoch=epoch,
        attempts=attempts,
        due=due,
        began=began,
        ended=ended,
        served=None if served is None else Placement(served),
        latency=latency,
        trouble=None if trouble is None else _TROUBLE.decode(trouble),
        dead=bool(dead),
    )
