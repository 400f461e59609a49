"""
The ledger in SQLite. What was awaited is durable.

Which entries are open is known here, in memory: only their owner, this process, settles them.
So the first settle wins before any SQL is asked; a later one only waits until the first is durable.
The usual call, one attempt whose tokens are the entry's, is one row written and one row rewritten, both in bulk
(see `writer.py`); all else is done in order, one statement after the other.
A settle that could not be written leaves the entry open under its owner: it ends as `interrupted` when the owner does.

On the loop, `open` and `settle` cost about 2 µs each: a tuple, a future, an append.
"""

from collections.abc import Awaitable

import apsw
from msgspec import structs

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd
from foz.store.queries import load
from foz.store.writer import Bulk, Row, Value, Writer

_SQL = load("ledger")
_NO_ATTEMPT: Row = (None, None, None, None, None)
_NO_END: Row = (None, None, None, None)


class SqliteLedger:
    """Implements `ports.ledger.Ledger` for one process, its owner."""

    def __init__(self, writer: Writer, owner: bytes) -> None:
        self._writer = writer
        self._owner = owner
        self._current: dict[bytes, Attempt | None] = {}
        """The entries that are open, each with the attempt that runs."""
        self._beyond: set[bytes] = set()
        """Those of them that are past their first attempt."""
        self._opens = Bulk(_SQL["open"], rank=0, lost=self._not_opened)
        self._settles = Bulk(_SQL["settle"], rank=1)

    @property
    def open_entries(self) -> int:
        """How many entries wait for their end."""
        return len(self._current)

    def open(self, entry: Entry, first: Attempt | None) -> Awaitable[None]:
        """Opens an entry with its first attempt."""
        what = entry.attribution
        attempt = _NO_ATTEMPT if first is None else (first.number, first.target, first.placement, first.at, "open")
        future = self._writer.put(
            self._opens,
            (
                entry.id,
                entry.at,
                self._owner,
                entry.principal,
                entry.project,
                what.process_id,
                what.subprocess_id,
                what.user_key,
                entry.skin,
                entry.operation,
                entry.model,
                entry.request_id,
                entry.stream,
                entry.job_id,
                *attempt,
            ),
        )
        self._current[entry.id] = first
        return future

    def next_attempt(self, ended: AttemptEnd, attempt: Attempt) -> Awaitable[None]:
        """Ends one attempt and opens the next."""
        id = attempt.entry_id
        if id not in self._current:
            return self._barrier()
        running, beyond = self._current[id], id in self._beyond

        def work(connection: apsw.Connection) -> None:
            if running is not None:
                _end_attempt(connection, ended, beyond=beyond)
            connection.execute(_SQL["first_was_made" if running is None and not beyond else "next"], _named(attempt))

        future = self._writer.call(work)
        self._current[id] = attempt
        if running is not None:
            self._beyond.add(id)
        return future

    def settle(self, end: EntryEnd, ended: AttemptEnd | None) -> Awaitable[None]:
        """Ends an entry and its last attempt. The first settle wins."""
        id = end.id
        if id not in self._current:
            return self._barrier()
        running = self._current[id]
        if running is None:
            ended = None
        elif ended is None or ended.number != running.number:
            ended = AttemptEnd(id, running.number, end.state, end.usage, end.fault, duration=end.duration)
        if id in self._beyond or (ended is not None and ended.usage != end.usage):
            return self._settle_apart(end, ended)
        future = self._writer.put(self._settles, _end_row(end, ended))
        del self._current[id]
        return future

    def _settle_apart(self, end: EntryEnd, ended: AttemptEnd | None) -> Awaitable[None]:
        id = end.id
        beyond = id in self._beyond

        def work(connection: apsw.Connection) -> None:
            if ended is not None:
                _end_attempt(connection, ended, beyond=beyond)
            values = _named(end)
            for step in ("end_rest_first", "end_rest_further", "settle_entry"):
                connection.execute(_SQL[step], values)

        future = self._writer.call(work)
        del self._current[id]
        self._beyond.discard(id)
        return future

    def _barrier(self) -> Awaitable[None]:
        """Nothing to write; done when what was written before is durable."""
        return self._writer.call(_nothing)

    def _not_opened(self, row: Row) -> None:
        id = row[0]
        if isinstance(id, bytes):
            self._current.pop(id, None)
            self._beyond.discard(id)


def _end_row(end: EntryEnd, ended: AttemptEnd | None) -> Row:
    usage = end.usage
    attempt = _NO_END if ended is None else (ended.state, ended.status, ended.duration, ended.fault)
    return (
        end.id,
        end.state,
        end.status,
        usage.input,
        usage.output,
        usage.cached,
        usage.cache_written,
        usage.reasoning,
        usage.estimated,
        end.first_token,
        end.duration,
        end.price,
        end.currency,
        end.price_version,
        end.fault,
        *attempt,
    )


def _end_attempt(connection: apsw.Connection, ended: AttemptEnd, *, beyond: bool) -> None:
    connection.execute(_SQL["end_further" if beyond else "end_first"], _named(ended))


def _named(value: Attempt | AttemptEnd | EntryEnd) -> dict[str, Value]:
    """The fields as named parameters, the tokens among them."""
    fields = structs.asdict(value)
    usage = fields.pop("usage", None)
    return fields if usage is None else fields | structs.asdict(usage)


def _nothing(_: apsw.Connection) -> None:
    """Writes nothing."""
