"""
One thread that writes: group commit.

All that waits goes into one transaction, and its callers are released by one call into their loop.
What costs here is not SQLite but the hand-over of the interpreter's lock: APSW gives it up around every step,
and while the loop is busy each step waits to get it back. So rows of one kind are written by one statement
for up to 64 of them, `INSERT ... VALUES (...), (...)` and `UPDATE ... FROM (VALUES (...), (...))`: one step each.
Measured on one core with uvloop, 64 callers, open and settle of an entry with its attempt, CPU of loop and writer:
this way 8.3 µs a call, `executemany` 13.2, one JSON parameter through `json_each` 17 to 26; on the loop itself,
without a thread, 7.4 to 11.7, but there another process's commit would stop every caller (`bench/ledger.py`).
Rows of one kind that fit into one statement need no BEGIN and COMMIT: one step instead of three. In that bench the
difference is within the spread (both 10 µs a call when last looked at); it showed where callers came one by one.
A writer that lingers after a batch, and the loop rings less often, costs more than it saves (it takes the lock
from the loop in the middle of its turn): 47,000 calls a second instead of 97,000 with 0.3 ms.
The loop wakes the writer at the end of its turn, not at the first row, so that a turn's rows travel together.
Where a loop's turns bring one row each (gRPC wakes it for every event of a call), `linger` lets rows wait for each
other on the loop's side, while they come in a hurry: two wakes a call become one for several calls, and who is released
together goes on together. Measured on one core, 64 calls under way: of 0.52 ms of processor time a call 0.33 are left,
of the thread's 0.08 ms 0.03. While rows come slowly they wait for nobody.

A statement that fails fails only its own caller: the transaction is undone and its jobs are done again one by one.
If the thread dies, whoever waits is told, and whoever comes later too: nobody hangs.
"""

import asyncio
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeVar

import apsw

from foz.canon.fault import Bug, Draining, Fault, NoCapacity
from foz.store.queries import widen

Value = str | bytes | int | float | None
Row = tuple[Value, ...]
T = TypeVar("T")

logger = logging.getLogger(__name__)

MOST_WAITING = 50_000
_BATCH = 512
_LOOK = 10
"""How many times as long as rows may wait is looked at for how fast they come."""
_WIDEST = 64
"""Rows of one statement. Statements of all widths are kept prepared: about 2 MB."""
_REFUSALS = (apsw.Error, Fault, ArithmeticError, LookupError, TypeError, ValueError)
"""What a job may come to; anything else is a defect and ends the thread."""
_FULL = (apsw.FullError, apsw.IOError, apsw.BusyError, apsw.CantOpenError, apsw.ReadOnlyError)


class Bulk:
    """A kind of row that is written many at once. Within a batch a lower rank is written first."""

    __slots__ = ("_texts", "lost", "rank")

    def __init__(self, query: str, rank: int, lost: Callable[[Row], None] | None = None) -> None:
        self._texts = [widen(query, rows) for rows in range(1, _WIDEST + 1)]
        self.rank = rank
        self.lost = lost
        """Told on the loop of a row that was not written."""

    def write(self, connection: apsw.Connection, rows: Sequence[Row]) -> None:
        """Writes the rows, as few statements as can be."""
        for start in range(0, len(rows), _WIDEST):
            some = rows[start : start + _WIDEST]
            connection.execute(self._texts[len(some) - 1], list(chain.from_iterable(some)))


class _Lost:
    """What a job came to instead of a result."""

    __slots__ = ("fault",)

    def __init__(self, error: BaseException) -> None:
        self.fault = _fault(error)


Work = Callable[[apsw.Connection], object]
Job = tuple[Bulk | Work, Row, "asyncio.Future[Any]"]


class Writer:
    """The thread, and the line before it. Belongs to the loop it is made in; owns the connection."""

    def __init__(self, connection: apsw.Connection, limit: int = MOST_WAITING, *, linger: float = 0.0) -> None:
        self._connection = connection
        self._limit = limit
        self._linger = linger
        """Seconds that rows may wait for others, while they come in a hurry."""
        self._looked = 0.0
        self._counted = 0
        self._hurry = False
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._died: Fault | None = None
        self._waiting: deque[Job] = deque()
        self._taken: Sequence[Job] = ()
        self._doorbell = threading.Lock()
        self._doorbell.acquire()
        self._asleep = False
        self._rung = False
        self._closing = False
        self._errand: Callable[[apsw.Connection], None] | None = None
        self.written = 0
        """Jobs done so far."""
        self._thread = threading.Thread(target=self._run, name="foz-writer", daemon=True)
        self._thread.start()

    # -- on the loop -------------------------------------------------------

    def put(self, bulk: Bulk, row: Row) -> "asyncio.Future[None]":
        """Done when the row is durable. Raises NoCapacity or Draining at once; the future raises what it came to."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._line_up((bulk, row, future))
        return future

    def call(self, work: Callable[[apsw.Connection], T]) -> "asyncio.Future[T]":
        """
        Does the work inside the transaction, in the order in which it came, and gives its result when it is durable.
        It may be done more than once, the last time for good: it must only touch the connection.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._line_up((work, (), future))
        return future

    @property
    def waiting(self) -> int:
        """Jobs that nobody has taken up yet."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether the thread still writes."""
        return not self._ended.done()

    async def close(self) -> None:
        """Writes all that waits, then ends the thread and closes the connection. Idempotent."""
        if not self._closing:
            self._closing = True
            self._ring()
        await asyncio.shield(self._ended)
        self._thread.join()

    def _line_up(self, job: Job) -> None:
        if self._died is not None:
            raise Bug(f"Nothing can be written any more: {self._died.message}")
        if self._closing:
            raise Draining("The database is being closed.")
        if len(self._waiting) >= self._limit:
            raise NoCapacity("Too much waits to be written to the database; ask again in a moment.", retry_after=1)
        self._waiting.append(job)
        if self._asleep and not self._rung:
            self._rung = True
            if self._linger and self._hurried():
                self._loop.call_later(self._linger, self._ring)
            else:
                self._loop.call_soon(self._ring)

    def _hurried(self) -> bool:
        """Whether so many rows came of late that while one waits another comes."""
        now = self._loop.time()
        since = now - self._looked
        if since >= _LOOK * self._linger:
            count = self.written + len(self._waiting)
            self._hurry = (count - self._counted) * self._linger >= since
            self._looked, self._counted = now, count
        return self._hurry

    def _ring(self) -> None:
        self._rung = False
        if self._asleep:
            self._asleep = False
            if self._doorbell.locked():  # else it was rung already; nobody but the loop rings
                self._doorbell.release()

    def _release(self, jobs: Sequence[Job], results: Sequence[object] | None) -> None:
        if results is None:
            for _, _, future in jobs:
                if not future.done():
                    future.set_result(None)
            return
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, _Lost):
                self._lose(job, result.fault)
            elif not job[2].done():
                job[2].set_result(result)

    def _lose(self, job: Job, fault: Fault) -> None:
        what, row, future = job
        if isinstance(what, Bulk) and what.lost is not None:
            what.lost(row)
        if future.done():
            logger.error("Not written, and nobody waits for it any more: %s", fault.message)
        else:
            future.set_exception(fault)

    def _bury(self, error: BaseException | None) -> None:
        jobs = [*self._taken, *self._waiting]
        self._waiting.clear()
        if error is not None:
            self._died = _fault(error)
            self._release(jobs, [_Lost(error) for _ in jobs])
        if not self._ended.done():
            self._ended.set_result(None)

    # -- in the thread -----------------------------------------------------

    def between_commits(self, errand: Callable[[apsw.Connection], None]) -> None:
        """Has the thread do this after the commit that comes next, outside a transaction. From any thread."""
        self._errand = errand

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            error = sys.exception()
            self._connection.close()
            self._loop.call_soon_threadsafe(self._bury, error)

    def _serve(self) -> None:
        waiting = self._waiting
        while True:
            if not waiting:
                self._asleep = True
                if not waiting and not self._closing:
                    self._doorbell.acquire()
                    continue
                self._asleep = False
                if not waiting:
                    return
            jobs = self._taken = [waiting.popleft() for _ in range(min(len(waiting), _BATCH))]
            results = self._settled(jobs)
            self.written += len(jobs)
            self._taken = ()
            self._loop.call_soon_threadsafe(self._release, jobs, results)
            self._run_errand()

    def _settled(self, jobs: Sequence[Job]) -> Sequence[object] | None:
        try:
            return self._together(jobs)
        except apsw.BusyError as error:
            self._undo()
            return [_Lost(error) for _ in jobs]
        except _REFUSALS as error:
            self._undo()
            if len(jobs) == 1:
                return [_Lost(error)]
        return [self._alone(job) for job in jobs]

    def _alone(self, job: Job) -> object:
        try:
            results = self._together([job])
        except _REFUSALS as error:
            self._undo()
            return _Lost(error)
        return results[0] if results else None

    def _together(self, jobs: Sequence[Job]) -> Sequence[object] | None:
        """Results in the order of the jobs, None where they are all rows. Raises with the transaction still open."""
        connection = self._connection
        rows: dict[Bulk, list[Row]] = {}
        results: list[object] | None = None
        only = jobs[0][0]
        if isinstance(only, Bulk) and len(jobs) <= _WIDEST and all(what is only for what, _, _ in jobs):
            only.write(connection, [row for _, row, _ in jobs])  # one statement is a transaction by itself
            return None
        connection.execute("BEGIN IMMEDIATE")
        for index, (what, row, _) in enumerate(jobs):
            if isinstance(what, Bulk):
                some = rows.get(what)
                if some is None:
                    rows[what] = [row]
                else:
                    some.append(row)
            else:
                _flush(connection, rows)
                results = results or [None] * len(jobs)
                results[index] = what(connection)
        _flush(connection, rows)
        connection.execute("COMMIT")
        return results

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _run_errand(self) -> None:
        errand, self._errand = self._errand, None
        if errand is not None:
            try:
                errand(self._connection)
            except apsw.Error as error:
                logger.warning("What was to be done between two commits failed, and is tried again: %s", error)


def _flush(connection: apsw.Connection, rows: dict[Bulk, list[Row]]) -> None:
    for bulk in sorted(rows, key=lambda bulk: bulk.rank):
        bulk.write(connection, rows[bulk])
    rows.clear()


def _fault(error: BaseException) -> Fault:
    if isinstance(error, Fault):
        return error
    if isinstance(error, _FULL):
        fault: Fault = NoCapacity(f"The database cannot be written ({error}): look at the disk.", retry_after=1)
    else:
        fault = Bug(f"The database refused what was to be written: {type(error).__name__}: {error}")
    fault.__cause__ = error
    return fault
