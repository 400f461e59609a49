"""
The queue of jobs where the jobs are in SQLite: the rows that wait are the queue.

What is published here goes straight to whoever takes here, without a look at the database. What others accepted, what
has come due and what was left by those who held it is found by looking: when little is at hand of much that waits, and
every POLL seconds in any case, so that no job waits behind those of this process for ever. A look brings the oldest of
the lane, first of all what was left by others; what is at hand is then what it brought and what was published since.
Each id is in one pair of hands at a time in this process; between processes the claim decides. So that they do not all
reach for the same ids, each begins with those that fall to it by chance: two processes that took up a backlog in the
same order made a vain claim for every job; this way it is one for ten or more.

Whoever takes from a lane says so in a row of its own, which is believed for a while.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from foz.canon.fault import Draining, Fault
from foz.canon.model import Placement
from foz.ports.jobs import Lane
from foz.store.lookups import Lookups
from foz.store.queries import load
from foz.store.writer import Writer

log = logging.getLogger("foz.jobs")

POLL = 0.25
PRESENT = 5.0
"""Seconds between two words of a process that it takes from a lane; it is believed for three times as long."""
MOST_AT_HAND = 4_096
"""Ids of a lane in memory."""
_FEW = 128
_LOOK = 512
"""Ids that one look brings."""
_MOST_HIDDEN = 20_000
_SQL = load("jobs")
_NEXT = ("next_lapsed", "next")


class SqliteQueue:
    """Implements `ports.jobs.JobQueue`. `now` is UTC in milliseconds. Belongs to the loop it is made in."""

    def __init__(self, writer: Writer, lookups: Lookups, now: Callable[[], int]) -> None:
        self._writer = writer
        self._lookups = lookups
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._name = os.urandom(16)
        self._lines = {lane: _Line() for lane in Placement}
        self._out: set[bytes] = set()
        """Handed out and not answered."""
        self._again: dict[bytes, Placement] = {}
        """Published while they were out."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._present: asyncio.Task[None] | None = None
        self._closed = False

    async def publish(self, lane: Placement, id: bytes) -> None:
        """It waits in the store already: whoever takes here is told."""
        self._check()
        self._offer(lane, id)

    async def take(self, lane: Placement) -> "SqliteDelivery":
        """The next one; waits for it."""
        line = self._lines[lane]
        if not line.taken_from:
            line.taken_from = True
            self._show()
        while True:
            self._check()
            if line.looked + POLL <= self._loop.time() or (line.more and len(line) < _FEW):
                self._look(lane)
            while (id := line.pop()) is not None:
                if id not in self._out:
                    self._out.add(id)
                    return SqliteDelivery(self, lane, id)
                self._again[id] = lane
            await line.word((self._loop.time() if line.looking else line.looked) + POLL)

    async def lane(self, lane: Placement) -> Lane:
        """How it stands."""
        self._check()
        now = self._now()

        def work(connection: apsw.Connection) -> tuple[Any, Any]:
            return connection.execute(_SQL["waiting"], (lane,)).get, connection.execute(
                _SQL["workers"], (lane, now)
            ).get

        waiting, workers = await self._lookups.ask(work)
        return Lane(waiting or 0, workers)

    async def close(self) -> None:
        """What was taken waits in the store as before; whoever waits for something is told that nothing comes."""
        if self._closed:
            return
        self._closed = True
        for line in self._lines.values():
            line.wake_all()
        present = self._present
        for task in (*self._tasks, *([] if present is None else [present])):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if present is not None:
            name = self._name
            try:
                await self._writer.call(lambda connection: connection.execute(_SQL["absent"], (name,)).fetchall())
            except Fault as fault:  # its presence lapses by itself
                log.info("for %g seconds it looks as if somebody still worked here: %s", 3 * PRESENT, fault.message)

    def answered(self, place: Placement, id: bytes, seconds: float = 0.0) -> None:
        """It may be handed out again, after so long where nobody publishes it."""
        self._out.discard(id)
        lane = self._again.pop(id, None)
        if self._closed:
            return
        if lane is not None:
            self._offer(lane, id)
        elif seconds > 0:
            self._lines[place].hide(id, self._loop.time() + seconds)

    def _check(self) -> None:
        if self._closed:
            raise Draining("The queue of jobs is closed.")

    def _offer(self, lane: Placement, id: bytes) -> None:
        if id in self._out:
            self._again[id] = lane
        else:
            self._lines[lane].push(id)

    def _look(self, lane: Placement) -> None:
        line = self._lines[lane]
        if not line.looking:
            line.begin(self._loop.time())
            task = asyncio.ensure_future(self._found(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _found(self, lane: Placement) -> None:
        line = self._lines[lane]
        now, most = self._now(), _LOOK + len(self._out) + line.uncover(self._loop.time())

        def work(connection: apsw.Connection) -> tuple[list[Any], list[Any], list[Any]]:
            values = (lane, now, most)
            lapsed, waiting = ([id for (id,) in connection.execute(_SQL[name], values)] for name in _NEXT)
            return lapsed, waiting, [name for (name,) in connection.execute(_SQL["names"], values[:2])]

        try:
            lapsed, waiting, names = await self._lookups.ask(work)
            found = [id for id in lapsed + waiting if id not in self._out]
            more = most in {len(lapsed), len(waiting)}
            if len(names) > 1 and self._name in names:
                ours = [id for id in found if id[-1] % len(names) == names.index(self._name)]
                found = ours if ours and more else list(dict.fromkeys(ours + found))
            line.restock(found, more=more)
        except Fault as fault:
            if not self._closed:
                log.warning("waiting jobs cannot be looked for now, and are looked for again: %s", fault.message)
        finally:
            line.looking = False

    def _show(self) -> None:
        """Says that this process takes from its lanes, now and from time to time."""
        if self._present is not None:
            self._present.cancel()
        self._present = asyncio.ensure_future(self._shown())

    async def _shown(self) -> None:
        while True:
            until = self._now() + round(3000 * PRESENT)
            rows = [(self._name, lane, until) for lane, line in self._lines.items() if line.taken_from]

            def work(connection: apsw.Connection, rows: Sequence[tuple[bytes, Placement, int]] = rows) -> None:
                for row in rows:
                    connection.execute(_SQL["present"], row)

            try:
                await self._writer.call(work)
            except Fault as fault:
                log.warning("other processes are not told who works at jobs for now: %s", fault.message)
            await asyncio.sleep(PRESENT)


class SqliteDelivery:
    """Implements `ports.jobs.Delivery`. How a job ended stands in the store: nothing needs to be said of it here."""

    __slots__ = ("_lane", "_queue", "id")

    def __init__(self, queue: SqliteQueue, lane: Placement, id: bytes) -> None:
        self._queue = queue
        self._lane = lane
        self.id = id

    async def done(self) -> None:
        """The row says the rest."""
        self._queue.answered(self._lane, self.id)

    async def later(self, seconds: float) -> None:
        """Not here before; where the row lets them, others may take it."""
        self._queue.answered(self._lane, self.id, seconds)

    async def dead(self) -> None:
        """The row says it."""
        self._queue.answered(self._lane, self.id)


class _Line:
    """What is at hand of one lane, and who waits for more."""

    def __init__(self) -> None:
        self._ids: deque[bytes] = deque()
        self._known: set[bytes] = set()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._published: list[bytes] = []
        self._handed: set[bytes] = set()
        """Published, and handed out, since the last look began: it does not know of either."""
        self._hidden: dict[bytes, float] = {}
        """Not to be handed out before a time of the loop, should a look bring them."""
        self.more = False
        """Whether the database has some that are not at hand."""
        self.looking = False
        self.looked = float("-inf")
        self.taken_from = False

    def __len__(self) -> int:
        return len(self._ids)

    def pop(self) -> bytes | None:
        """The first one at hand."""
        if not self._ids:
            return None
        id = self._ids.popleft()
        self._known.discard(id)
        if self.looking:
            self._handed.add(id)
        return id

    def push(self, id: bytes) -> None:
        """One more, behind all others: where there is no room, or older ones are not at hand, a look will bring it."""
        self._hidden.pop(id, None)
        if self.looking:
            self._published.append(id)
            self._handed.discard(id)
        if self.more or len(self._ids) >= MOST_AT_HAND:
            self.more = True
        elif id not in self._known:
            self._ids.append(id)
            self._known.add(id)
        self._wake()

    def hide(self, id: bytes, until: float) -> None:
        """No look brings it before that time."""
        if len(self._hidden) < _MOST_HIDDEN:  # else it comes too soon, and is refused again
            self._hidden[id] = until

    def uncover(self, time: float) -> int:
        """Forgets what need not be hidden any more. How many are."""
        self._hidden = {id: until for id, until in self._hidden.items() if until > time}
        return len(self._hidden)

    def begin(self, time: float) -> None:
        """A look begins."""
        self.looking, self.looked = True, time
        self._published.clear()
        self._handed.clear()

    def restock(self, found: Sequence[bytes], *, more: bool) -> None:
        """What a look brought, and what was published since it began."""
        self._ids = deque(id for id in dict.fromkeys(found) if id not in self._handed and id not in self._hidden)
        self._known = set(self._ids)
        self.more, self.looking = more, False
        for id in self._published:
            if id not in self._handed:
                self.push(id)
        for _ in range(min(len(self._ids), len(self._takers))):
            self._wake()

    async def word(self, until: float) -> None:
        """Waits for a word that something is at hand, or until this time of the loop."""
        loop = asyncio.get_running_loop()
        word: asyncio.Future[None] = loop.create_future()
        self._takers.append(word)
        timer = loop.call_at(until, _say, word)
        try:
            await word
        except asyncio.CancelledError:
            if word.done() and not word.cancelled():
                self._wake()  # it was for somebody else, then
            raise
        finally:
            timer.cancel()
            if word in self._takers:
                self._takers.remove(word)

    def wake_all(self) -> None:
        """A word to everybody."""
        while self._takers:
            self._wake()

    def _wake(self) -> None:
        while self._takers:
            word = self._takers.popleft()
            if not word.done():
                word.set_result(None)
                return


def _say(word: "asyncio.Future[None]") -> None:
    if not word.done():
        word.set_result(None)
