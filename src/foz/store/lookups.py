"""
One thread that reads, for looks that a caller waits for.

A connection of its own sees what is committed and waits for no writer, nor any writer for it. What is asked while the
thread is at work goes with the next round, in one transaction: an idle store answers with one hand-over to the thread,
a busy one with one for many. Long questions go elsewhere (`reader.py`): here the next one waits for them.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import apsw

from foz.canon.fault import Draining, Fault, NoCapacity

T = TypeVar("T")
Work = Callable[[apsw.Connection], object]
Question = tuple[Work, "asyncio.Future[Any]"]

MOST_WAITING = 50_000
_ROUND = 256


class Lookups:
    """The thread, and the line before it. Belongs to the loop it is made in; owns the connection."""

    def __init__(self, connection: apsw.Connection, limit: int = MOST_WAITING) -> None:
        self._connection = connection
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "foz-lookups")
        self._waiting: list[Question] = []
        self._round: asyncio.Future[None] | None = None
        self._closing = False

    def ask(self, work: Callable[[apsw.Connection], T]) -> "asyncio.Future[T]":
        """What the work finds. It must only read. Raises NoCapacity or Draining, at once or through the future."""
        if self._closing:
            raise Draining("The database is being closed.")
        if len(self._waiting) >= self._limit:
            raise NoCapacity("Too much waits to be read from the database; ask again in a moment.", retry_after=1)
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((work, future))
        if self._round is None:
            self._round = asyncio.ensure_future(self._rounds())
        return future

    async def close(self) -> None:
        """Answers what was asked, then ends the thread and closes the connection. Idempotent."""
        if self._closing:
            return
        self._closing = True
        if self._round is not None:
            await self._round
        await self._loop.run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    async def _rounds(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting[:_ROUND], self._waiting[_ROUND:]
            try:
                found = await self._loop.run_in_executor(self._thread, self._look, asked)
            except apsw.Error as error:
                found = [error for _ in asked]
            for (_, future), result in zip(asked, found, strict=True):
                if future.done():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(_fault(result))
                else:
                    future.set_result(result)
        self._round = None

    def _look(self, asked: Sequence[Question]) -> Sequence[object]:
        self._connection.execute("BEGIN")
        try:
            return [_tried(work, self._connection) for work, _ in asked]
        finally:
            self._connection.execute("COMMIT")


def _tried(work: Work, connection: apsw.Connection) -> object:
    try:
        return work(connection)
    except (apsw.Error, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return error


def _fault(error: BaseException) -> BaseException:
    if not isinstance(error, apsw.Error):
        return error
    fault: Fault = NoCapacity(f"The database cannot be read ({error}): look at the disk.", retry_after=1)
    fault.__cause__ = error
    return fault
