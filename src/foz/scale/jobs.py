"""
Jobs in Redis (`ports.jobs.JobStore`).

Each step is one script, so no two processes ever hold one job; what is written is fenced in it by (id, epoch). A step
is as durable as Redis is told to be: with `appendfsync always` it is on disk when it is answered. Time is the callers',
never Redis' own; its expiry of keys only takes away what nobody has forgotten long after it was over.
"""

import asyncio
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import msgspec

from foz.canon.fault import Conflict
from foz.canon.job import ENDS, Job, JobEnd, JobState, Mark, Piece, Trouble
from foz.canon.model import Placement
from foz.ports.jobs import KEY_TTL, REPUBLISH, RESULT_TTL, UNPUBLISHED, Claim
from foz.scale.ear import HEARD, LOOK, Ear, woken
from foz.scale.line import Answer, Argument
from foz.scale.pool import Pool, scripts
from foz.scale.topology import NAME
from foz.scale.trouble import DEADLINE

FORGET_SECONDS = 600.0
MOST_LISTED = 1_000
_KEPT = 2 * RESULT_TTL
"""Milliseconds after which Redis itself removes what nobody forgot."""
_FORGOTTEN = 200
_RENEWED = 500
"""In one step: others come between."""
_READ = 1024 * 1024
"""Bytes of a log that one look brings, unless one piece alone has more."""
_LONGEST = 2**40
_SCRIPTS = scripts("jobs")
_TROUBLE = msgspec.json.Decoder(Trouble)
_JOB = msgspec.msgpack.Decoder(Job)
Row = list[Answer]


class RedisJobs:
    """
    Implements `ports.jobs.JobStore` in one Redis, for the loop it is used in. `forget` should be called every
    FORGET_SECONDS. `name` comes before all keys.
    """

    def __init__(self, url: str, *, deadline: float = DEADLINE, name: str = NAME) -> None:
        self._pool = Pool(url, name, deadline)
        self._ear = Ear(self._pool)

    async def _run(self, name: str, *arguments: Argument) -> Answer:
        return await self._pool.run(_SCRIPTS[name], *arguments)

    async def add(self, job: Job, order: bytes) -> Job:
        """Accepts it, or gives the one that its key stands for. Raises Conflict."""
        key = f"{len(job.principal.id)}:{job.principal.id}:{job.key}"
        overdue = max(job.at + UNPUBLISHED, job.due)
        facts = (job.id.hex(), job.at, job.digest, msgspec.msgpack.encode(job), job.due, job.lane.value, key)
        kept = (job.principal.id, order, KEY_TTL, overdue, 10 * RESULT_TTL)
        answer = await self._run("add", *facts, *kept)
        if answer == b"conflict":
            raise Conflict(
                "This idempotency key stands for another request; send a new key with what is new.",
                field="idempotency_key",
                status=422,
            )
        return job if answer == b"new" else _job(_list(answer))

    async def published(self, id: bytes, now: int) -> None:
        """Not to be published again for a while."""
        await self._run("published", id.hex(), now, now + REPUBLISH)

    async def withdraw(self, id: bytes) -> None:
        """Forgets it, if nobody counts on it."""
        await self._run("withdraw", id.hex())

    async def remove(self, id: bytes) -> None:
        """Forgets it, if it is over."""
        await self._run("remove", id.hex())

    async def find(self, id: bytes) -> Job | None:
        """As it stands."""
        return _maybe(await self._run("find", id.hex()))

    async def told(self, id: bytes) -> tuple[Job, bytes] | None:
        """The same, with its answer."""
        found, pieces = _list(await self._run("told", id.hex()))
        job = _maybe(found)
        return None if job is None else (job, b"".join(map(_bytes, _list(pieces))))

    async def listed(self, principal: str | None, most: int, before: bytes | None = None) -> list[Job]:
        """Newest first."""
        home = "all" if principal is None else f"of:{principal}"
        bound = "+" if before is None else f"({before.hex()}"
        return _jobs(await self._run("listed", home, bound, max(0, min(most, MOST_LISTED))))

    async def claim(self, id: bytes, now: int, until: int) -> Claim | Job | None:
        """Ours till then, or as it stands."""
        answer = await self._run("claim", id.hex(), now, until, secrets.token_bytes(8))
        if answer is None:
            return None
        job, *order = _list(answer)
        found = _job(_list(job))
        return Claim(found, _bytes(order[0])) if order else found

    async def renew(self, held: Sequence[tuple[bytes, int]], until: int) -> list[bytes]:
        """Extends leases. Gives the ids of those that are lost."""
        lost: list[bytes] = []
        for start in range(0, len(held), _RENEWED):
            asked: list[Argument] = []
            for id, epoch in held[start : start + _RENEWED]:
                asked += (id.hex(), epoch)
            lost += [bytes.fromhex(_text(one)) for one in _list(await self._run("renew", until, *asked))]
        return lost

    async def append(self, id: bytes, epoch: int, first: int, pieces: Sequence[bytes]) -> bool:
        """More of the log."""
        return await self._run("append", id.hex(), epoch, first, *pieces) == 1

    async def end(self, id: bytes, epoch: int, end: JobEnd, first: int = 0, pieces: Sequence[bytes] = ()) -> bool:
        """The end."""
        trouble = b"" if end.trouble is None else msgspec.json.encode(end.trouble)
        served = "" if end.served is None else end.served.value
        latency = "" if end.latency is None else repr(end.latency)
        facts = (end.state.value, end.at, served, latency, trouble, int(end.dead))
        nonce = secrets.token_bytes(8)
        return await self._run("end", id.hex(), epoch, *facts, first, _KEPT, nonce, *pieces) == 1

    async def put_back(self, id: bytes, epoch: int, lane: Placement, due: int, *, counts: bool) -> bool:
        """It waits again."""
        facts = (lane.value, due, 0 if counts else -1, secrets.token_bytes(8))
        return await self._run("put_back", id.hex(), epoch, *facts) == 1

    async def cancel(self, id: bytes, now: int) -> Job | None:
        """Ends it, unless it has an end."""
        return _maybe(await self._run("cancel", id.hex(), now, _KEPT))

    async def revive(self, id: bytes, now: int) -> Job | None:
        """A failed one waits again."""
        return _maybe(await self._run("revive", id.hex(), now))

    async def log(self, id: bytes, after: Mark, most: int) -> list[Piece]:
        """Pieces after a mark; no more than a part of what is there at a time."""
        number = max(-1, min(after.number, _LONGEST))
        answer = await self._run("log", id.hex(), after.epoch, number, most, _READ)
        if answer is None:
            return []
        epoch, start, pieces = _list(answer)
        marks = (Mark(int(_text(epoch)), cast("int", start) + place) for place in range(most))
        return [Piece(mark, _bytes(piece)) for mark, piece in zip(marks, _list(pieces), strict=False)]

    async def answer(self, id: bytes) -> bytes:
        """The whole log."""
        return b"".join(_bytes(piece) for piece in _list(await self._run("answer", id.hex())))

    async def wait(self, seen: Job, after: Mark, seconds: float, *, end: bool = False) -> None:
        """Until it changes, or ends, or so long."""
        loop = asyncio.get_running_loop()
        last = loop.time() + seconds
        hears = self._ear.hears(seen.id, end=end)
        look = seconds <= 0 or (hears and not end)  # who hears all ends has heard one that came before
        while True:
            with self._ear.listening(seen.id, end=end) as nudge:
                if look and await self._changed(seen, after, end=end):
                    return
                left = last - loop.time()
                if left <= 0:
                    return
                timer = loop.call_later(min(left, LOOK if hears else HEARD), woken, nudge)
                try:
                    if await nudge and end:
                        return
                finally:
                    timer.cancel()
            look = hears = True

    async def _changed(self, seen: Job, after: Mark, *, end: bool) -> bool:
        state, epoch, length = _list(await self._run("standing", seen.id.hex()))
        if end and state is not None:
            return _text(state) in ENDS
        if state is None or (_text(state), int(_text(epoch))) != (seen.state.value, seen.epoch):
            return True
        read = after.number if after.epoch == seen.epoch else -1
        return cast("int", length) - 1 > read

    async def overdue(self, now: int, most: int) -> list[Job]:
        """Those that should be published again: of both kinds some, where there are too many."""
        waiting, lapsed = (_jobs(found) for found in _list(await self._run("overdue", now, most)))
        chosen = lapsed[: max(most - len(waiting), most // 2)]
        return chosen + waiting[: most - len(chosen)]

    async def dead(self, most: int) -> list[Job]:
        """Dead letters, newest first."""
        return _jobs(await self._run("listed", "dead", "+", max(0, min(most, MOST_LISTED))))

    async def forget(self, now: int) -> int:
        """Removes what is over its time."""
        count = 0
        while some := cast("int", await self._run("forget", now - RESULT_TTL, _FORGOTTEN)):
            count += some
        return count

    async def close(self) -> None:
        """Whoever waits is let go."""
        await self._ear.close()
        await self._pool.close()


def _list(answer: Answer) -> Row:
    return answer if isinstance(answer, list) else []


def _bytes(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else b""


def _text(answer: Answer) -> str:
    return _bytes(answer).decode()


def _number(answer: Answer) -> int | None:
    return int(answer) if isinstance(answer, bytes) and answer else None


def _maybe(answer: Answer) -> Job | None:
    row = _list(answer)
    return _job(row) if row and row[0] is not None else None


def _jobs(answer: Answer) -> list[Job]:
    return [_job(_list(row)) for row in _list(answer)]


@lru_cache(1024)
def _fixed(said: bytes) -> Job:
    return _JOB.decode(said)


def _job(row: Row) -> Job:
    fixed, state, epoch, attempts, due, lane, began, ended, served, latency, trouble, dead = row
    job = _fixed(_bytes(fixed))
    return msgspec.structs.replace(
        job,
        state=JobState(_text(state)),
        epoch=int(_bytes(epoch)),
        attempts=int(_bytes(attempts)),
        due=int(_bytes(due)),
        lane=Placement(_text(lane)),
        began=_number(began),
        ended=_number(ended),
        served=Placement(_text(served)) if served else None,
        latency=float(_bytes(latency)) if latency else None,
        trouble=_TROUBLE.decode(_bytes(trouble)) if trouble else None,
        dead=dead == b"1",
    )
